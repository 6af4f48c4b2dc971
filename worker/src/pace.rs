//! How fast a device computes and how full its batches are: for the length of spans, and for the figures.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use separation::Load;

/// The pace of a device with a network; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    device: Arc<Device>,
    recent: Arc<Mutex<Recent>>,
}

/// What is counted whatever is loaded.
#[derive(Debug)]
struct Device {
    name: String,
    batch: AtomicUsize,
    busy_us: AtomicU64,
}

/// Time and segments, of which those long ago count less.
#[derive(Debug, Default)]
struct Recent {
    seconds: f64,
    segments: f64,
}

/// What remains of the past with every batch: some ten batches count.
const REMAINS: f64 = 0.9;

impl Pace {
    /// Of a device of which nothing is known but how many segments a batch may have.
    pub(crate) fn new(name: String, batch: usize) -> Self {
        let device = Arc::new(Device { name, batch: AtomicUsize::new(batch), busy_us: AtomicU64::new(0) });
        let pace = Self { device, recent: Arc::default() };
        pace.tell(0, 0, 0);
        pace
    }

    /// The same device with another network.
    pub(crate) fn begin(&self, batch: usize) -> Self {
        self.device.batch.store(batch, Ordering::Relaxed);
        Self { device: Arc::clone(&self.device), recent: Arc::default() }
    }

    /// Counts a batch.
    pub(crate) fn add(&self, load: Load) {
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.seconds = REMAINS * recent.seconds + load.time.as_secs_f64();
            recent.segments = REMAINS * recent.segments + load.segments as f64;
        }
        let before = self.device.batch.swap(load.batch, Ordering::Relaxed);
        if load.batch < before {
            let (device, batch) = (&self.device.name, load.batch);
            tracing::warn!(%device, batch, before, "batches are smaller from now on: the device has too little memory");
        }
        self.tell(load.segments as u64, 1, load.busy.as_micros() as u64);
    }

    /// Begins anew with what is measured.
    pub(crate) fn forget(&self) {
        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) = Recent::default();
    }

    /// Measured seconds for one segment; none before the first.
    pub(crate) fn segment_s(&self) -> Option<f64> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        (recent.segments > 0.0).then(|| recent.seconds / recent.segments)
    }

    /// Segments that a batch may have.
    pub(crate) fn batch(&self) -> usize {
        self.device.batch.load(Ordering::Relaxed)
    }

    fn tell(&self, segments: u64, batches: u64, busy_us: u64) {
        let device = || self.device.name.clone();
        metrics::counter!("msaas_device_segments_total", "device" => device()).increment(segments);
        metrics::counter!("msaas_device_batches_total", "device" => device()).increment(batches);
        // Counters are whole numbers.
        let sum_us = self.device.busy_us.fetch_add(busy_us, Ordering::Relaxed) + busy_us;
        metrics::counter!("msaas_device_seconds_total", "device" => device()).absolute(sum_us / 1_000_000);
        metrics::gauge!("msaas_device_batch", "device" => device()).set(self.batch() as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_segment_takes_what_recent_batches_took_for_each_of_theirs() {
        let pace = Pace::new("cpu".to_owned(), 8);
        assert_eq!((pace.segment_s(), pace.batch()), (None, 8));
        let batch = |segments, ms| {
            let time = Duration::from_millis(ms);
            Load { segments, time, busy: time / 2, batch: 4 }
        };
        pace.add(batch(4, 400));
        // Hardly filled: it takes as long, and says less.
        pace.add(batch(1, 400));
        let segment_s = pace.segment_s().unwrap_or_default();
        assert!((segment_s - 0.76 / 4.6).abs() < 1e-9, "{segment_s}");
        assert_eq!(pace.device.busy_us.load(Ordering::Relaxed), 400_000);
        assert_eq!((pace.batch(), pace.begin(2).segment_s()), (4, None));
        assert_eq!(pace.batch(), 2);
    }
}

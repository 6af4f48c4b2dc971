//! How a worker works.

use std::path::PathBuf;
use std::time::Duration;

use common::ModelName;

/// Settings of a worker; none of them changes a result.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name in lists and logs.
    pub name: String,
    /// Songs in work at a time; 0 takes as many as the engines can use.
    pub songs_at_once: usize,
    /// The network of what was pushed by hand and names none.
    pub model: ModelName,
    /// Folder for songs and results in work; none takes the system's.
    pub temp_dir: Option<PathBuf>,
    /// Bytes of that folder that songs in work may take together; none takes what is free there. A song that needs more
    /// is in work alone.
    pub temp_bytes: Option<u64>,
    /// Program that decodes songs in a process of its own, by [`crate::decoder::if_asked`]; without one the worker
    /// decodes them itself.
    pub decoder: Option<PathBuf>,
    /// A decoder that writes nothing for so long is ended.
    pub decoder_hung_after: Duration,
    /// Longest song in seconds.
    pub max_song_s: f64,
    /// Computing time of a span in seconds: what a crash costs at most.
    pub span_s: f64,
    /// What a span keeps in memory and stores at most, in bytes; a span has one segment at least.
    pub span_bytes: u64,
    /// Segments of a span, instead of what `span_s` and `span_bytes` give.
    pub span_segments: Option<usize>,
    /// A task that does nothing for so long ends the process, which hangs.
    pub hung_after: Duration,
    /// How long a worker that is asked to end may go on with the task in hand.
    pub finish_within: Duration,
    /// How often lost tasks are looked for.
    pub reap_every: Duration,
    /// How often everything that is pending is looked at.
    pub sweep_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: format!("worker-{}", std::process::id()),
            songs_at_once: 0,
            model: ModelName::htdemucs(),
            temp_dir: None,
            temp_bytes: None,
            decoder: None,
            decoder_hung_after: Duration::from_mins(1),
            max_song_s: 7200.0,
            span_s: 20.0,
            span_bytes: 256 << 20,
            span_segments: None,
            hung_after: Duration::from_mins(5),
            finish_within: Duration::ZERO,
            reap_every: Duration::from_secs(3),
            sweep_every: Duration::from_secs(20),
        }
    }
}

impl Settings {
    /// Segments of a span of a song of `total` segments, which keeps `bytes` of sums in all; `total` or more means
    /// that it is not divided.
    pub(crate) fn segments_of_span(&self, total: usize, bytes: u64, measured_s: Option<f64>) -> usize {
        if let Some(segments) = self.span_segments {
            return segments.max(1);
        }
        // Before anything was measured a span is a segment or two: too small costs little.
        let segment_s = measured_s.unwrap_or(self.span_s / 2.0).max(1e-6);
        let count = (self.span_s / segment_s).round().max(1.0) as usize;
        // A song that is hardly longer than a span is not worth dividing, and as a whole it keeps no sums.
        if count.saturating_mul(3) / 2 >= total {
            return total;
        }
        let bytes_of_segment = (bytes / total as u64).max(1);
        count.min((self.span_bytes / bytes_of_segment) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_takes_the_time_that_is_wanted() {
        let settings = Settings::default();
        let of = |total, seconds| settings.segments_of_span(total, total as u64 * 8_000_000, seconds);
        assert_eq!(of(41, Some(4.0)), 5);
        assert_eq!(of(41, Some(60.0)), 1);
        assert!(of(41, Some(0.1)) >= 41, "a fast device takes the song as a whole");
        assert!(of(6, Some(4.0)) >= 6, "a short song is not divided");
        assert_eq!(of(41, None), 2);
        assert_eq!(of(1200, Some(0.05)), 33, "a fast device's spans of a long song fit into memory");
        assert_eq!(Settings { span_segments: Some(7), ..settings }.segments_of_span(41, 0, Some(0.1)), 7);
    }
}

//! How a worker works.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of a worker; none of them changes a result.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name in lists and logs.
    pub name: String,
    /// Folder for songs and results in work; none takes the system's.
    pub temp_dir: Option<PathBuf>,
    /// Longest song in seconds.
    pub max_song_s: f64,
    /// Computing time of a span in seconds: what a crash costs at most.
    pub span_s: f64,
    /// Segments of a span, instead of what `span_s` gives.
    pub span_segments: Option<usize>,
    /// A task that does nothing for so long ends the process, which hangs.
    pub hung_after: Duration,
    /// How often lost tasks are looked for.
    pub reap_every: Duration,
    /// How often everything that is pending is looked at.
    pub sweep_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: format!("worker-{}", std::process::id()),
            temp_dir: None,
            max_song_s: 7200.0,
            span_s: 20.0,
            span_segments: None,
            hung_after: Duration::from_mins(5),
            reap_every: Duration::from_secs(3),
            sweep_every: Duration::from_secs(20),
        }
    }
}

impl Settings {
    /// Segments of a span of a song of `total` segments; `total` or more means that it is not divided.
    pub(crate) fn segments_of_span(&self, total: usize, measured_s: Option<f64>) -> usize {
        if let Some(segments) = self.span_segments {
            return segments.max(1);
        }
        // Before anything was measured a span is a segment or two: too small costs little.
        let segment_s = measured_s.unwrap_or(self.span_s / 2.0).max(1e-6);
        let count = (self.span_s / segment_s).round().max(1.0) as usize;
        // A song that is hardly longer than a span is not worth dividing.
        if count.saturating_mul(3) / 2 >= total { total } else { count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_takes_the_time_that_is_wanted() {
        let settings = Settings::default();
        assert_eq!(settings.segments_of_span(41, Some(4.0)), 5);
        assert_eq!(settings.segments_of_span(41, Some(60.0)), 1);
        assert!(settings.segments_of_span(41, Some(0.1)) >= 41, "a fast device takes the song as a whole");
        assert!(settings.segments_of_span(6, Some(4.0)) >= 6, "a short song is not divided");
        assert_eq!(settings.segments_of_span(41, None), 2);
        assert_eq!(Settings { span_segments: Some(7), ..settings }.segments_of_span(41, Some(0.1)), 7);
    }
}

use audio::measure::{Comparison, Difference};
use serde::Serialize;

use super::MAX_LAG;
use super::pairs::{Lonely, Pair};

/// What was measured of a pair, or of all together. Infinite figures are `null` in JSON, as are undefined ones.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) name: String,
    /// Nothing for all together, which may have several.
    rate: Option<u32>,
    /// As many as both have.
    frames: usize,
    reference_frames: usize,
    /// Of each of the files that are summed.
    estimate_frames: Vec<usize>,
    /// Nothing where one of them is silent, and for all together.
    pub(super) lag_frames: Option<isize>,
    gain: Option<f64>,
    gain_db: Option<f64>,
    max_difference: f64,
    snr_db: f64,
    pub(super) sdr_db: f64,
}

impl Figures {
    /// `lengths` are the frames of the reference and of each estimate.
    pub(super) fn of_pair(
        pair: &Pair,
        rate: u32,
        lengths: (usize, Vec<usize>),
        comparison: &mut Comparison,
    ) -> Self {
        Self {
            rate: Some(rate),
            reference_frames: lengths.0,
            estimate_frames: lengths.1,
            lag_frames: comparison.lag(MAX_LAG).map(|lag| lag.frames),
            ..Self::new(&pair.name, comparison.frames(), comparison.difference())
        }
    }

    /// All pairs as if they were one.
    pub(super) fn of_all(pairs: &[Self], total: &Difference) -> Self {
        let sum = |frames: fn(&Self) -> usize| pairs.iter().map(frames).sum::<usize>();
        Self {
            reference_frames: sum(|figures| figures.reference_frames),
            estimate_frames: vec![sum(|figures| figures.estimate_frames.iter().sum())],
            ..Self::new("all", sum(|figures| figures.frames), total)
        }
    }

    fn new(name: &str, frames: usize, difference: &Difference) -> Self {
        Self {
            name: name.to_owned(),
            rate: None,
            frames,
            reference_frames: frames,
            estimate_frames: vec![frames],
            lag_frames: None,
            gain: difference.gain(),
            gain_db: difference.gain_db(),
            max_difference: difference.max(),
            snr_db: difference.snr_db(),
            sdr_db: difference.sdr_db(),
        }
    }

    pub(super) fn is_equally_long(&self) -> bool {
        self.estimate_frames.iter().all(|frames| *frames == self.reference_frames)
    }

    fn cells(&self) -> [String; COLUMNS.len()] {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            self.frames.to_string(),
            or_dash(self.lag_frames.map(|lag| lag.to_string())),
            or_dash(self.gain.map(|gain| format!("{gain:.5}"))),
            or_dash(self.gain_db.map(|gain| format!("{gain:.3}"))),
            format!("{:.2e}", self.max_difference),
            format!("{:.2}", self.snr_db),
            format!("{:.2}", self.sdr_db),
        ]
    }
}

/// After the name; the width is that of the heading or of the largest usual figure.
const COLUMNS: [(&str, usize); 7] =
    [("frames", 10), ("lag", 5), ("gain", 8), ("gain dB", 8), ("max diff", 8), ("SNR dB", 7), ("SDR dB", 7)];

/// All that is told.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) pairs: Vec<Figures>,
    /// Of folders only.
    pub(super) all: Option<Figures>,
    #[serde(rename = "missing")]
    pub(super) lonely: Lonely,
}

impl Report {
    /// A table with a heading, and a line for each pair of unequal length.
    pub(super) fn lines(&self) -> Vec<String> {
        let rows = || self.pairs.iter().chain(&self.all);
        let width = rows().map(|figures| figures.name.chars().count()).max().unwrap_or(0).max(4);
        let row = |name: &str, cells: [&str; COLUMNS.len()]| {
            cells
                .iter()
                .zip(COLUMNS)
                .fold(format!("{name:width$}"), |line, (cell, (_, width))| format!("{line}  {cell:>width$}"))
        };
        let mut lines = vec![row("name", COLUMNS.map(|(heading, _)| heading))];
        lines
            .extend(rows().map(|figures| row(&figures.name, figures.cells().each_ref().map(String::as_str))));
        for figures in self.pairs.iter().filter(|figures| !figures.is_equally_long()) {
            let lengths: Vec<String> = figures.estimate_frames.iter().map(usize::to_string).collect();
            let (name, frames) = (&figures.name, figures.reference_frames);
            lines.push(format!("{name}: the reference has {frames} frames, not {}", lengths.join(", ")));
        }
        lines
    }
}

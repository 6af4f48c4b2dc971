//! How far a separation is.

use std::ops::ControlFlow;

/// State of a separation after a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Segments separated, over all passes and networks.
    pub segments_done: usize,
    /// Segments there are.
    pub segments_total: usize,
    /// Frames of every stem that are finished.
    pub frames_done: usize,
    /// Frames of the song.
    pub frames_total: usize,
}

/// Hears of every segment and may stop the separation there.
pub trait Observer {
    /// Called before the first segment and after each one.
    fn segment(&mut self, progress: Progress) -> ControlFlow<()>;
}

impl<F: FnMut(Progress) -> ControlFlow<()>> Observer for F {
    fn segment(&mut self, progress: Progress) -> ControlFlow<()> {
        self(progress)
    }
}

/// Lets every separation run to its end.
impl Observer for () {
    fn segment(&mut self, _: Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

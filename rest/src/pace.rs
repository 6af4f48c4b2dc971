//! How slowly clients may bring bytes or take them.
//!
//! A client that keeps this server waiting owes that time, and pays with bytes. Who owes more than the longest pause
//! is cut off: for one long pause as well as for a dribble that never pauses for long.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::config::LimitArgs;

/// The client was too slow.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the client was too slow")]
pub(crate) struct TooSlow;

impl TooSlow {
    /// Whether this is what is behind an error.
    pub(crate) fn is_behind(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut causes = std::iter::successors(Some(error), |error| error.source());
        causes.any(<dyn std::error::Error + 'static>::is::<Self>)
    }
}

/// What one client owes, in one direction.
#[derive(Debug, Clone, Copy)]
struct Debt {
    longest: Duration,
    /// Bytes that pay for a second; 0 where any do.
    slowest: u64,
    owed: Duration,
}

impl Debt {
    /// Bytes after a pause.
    fn settle(&mut self, pause: Duration, bytes: usize) {
        let paid = if self.slowest == 0 { f64::MAX } else { bytes as f64 / self.slowest as f64 };
        let paid = Duration::try_from_secs_f64(paid).unwrap_or(Duration::MAX);
        self.owed = (self.owed + pause).saturating_sub(paid);
    }

    /// How long the next pause may be.
    fn left(&self) -> Duration {
        self.longest.saturating_sub(self.owed)
    }
}

/// Patience with one client, in one direction.
#[derive(Debug)]
pub(crate) struct Patience {
    debt: Debt,
    pause: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Patience {
    pub(crate) fn new(limits: &LimitArgs) -> Self {
        let debt = Debt { longest: limits.idle, slowest: limits.slowest, owed: Duration::ZERO };
        Self { debt, pause: None }
    }

    /// Bytes have come, or were taken.
    pub(crate) fn moved(&mut self, bytes: usize) {
        let pause = self.pause.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
        self.debt.settle(pause, bytes);
    }

    /// There are none for now; ready when that has lasted too long.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.debt.left();
        let (_, end) = self.pause.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        end.as_mut().poll(cx)
    }
}

/// A body that a client, or another server, brings; it ends with [`TooSlow`] when patience does.
pub(crate) struct Paced {
    body: Body,
    patience: Patience,
}

impl Paced {
    pub(crate) fn new(body: Body, limits: &LimitArgs) -> Self {
        Self { body, patience: Patience::new(limits) }
    }
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            self.patience.moved(data.map_or(0, Bytes::len));
            return Poll::Ready(frame);
        }
        ready!(self.patience.poll_end(cx));
        Poll::Ready(Some(Err(axum::Error::new(TooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds until a client is cut off that brings so many bytes every `every_ms`; none within a minute.
    fn cut_off_after(slowest: u64, bytes: usize, every_ms: u64) -> Option<u128> {
        let (every, mut now) = (Duration::from_millis(every_ms), Duration::ZERO);
        let mut debt = Debt { longest: Duration::from_secs(5), slowest, owed: Duration::ZERO };
        while now < Duration::from_mins(1) {
            if debt.left() < every {
                return Some((now + debt.left()).as_millis());
            }
            debt.settle(every, bytes);
            now += every;
        }
        None
    }

    #[test]
    fn pauses_and_dribbles_end_and_slow_lines_do_not() {
        assert_eq!(cut_off_after(1000, 1 << 20, 60_000), Some(5000), "one pause");
        assert_eq!(cut_off_after(1000, 1, 100), Some(5050), "a dribble");
        assert_eq!(cut_off_after(1000, 100, 200), Some(9900), "half of what is asked for");
        assert_eq!(cut_off_after(1000, 1000, 1000), None);
        assert_eq!(cut_off_after(1000, 4900, 4900), None);
        assert_eq!(cut_off_after(0, 1, 4900), None, "any rate");
    }
}

//! A stream of bytes in pieces of a size of our choice.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;

use super::ByteStream;

/// Regroups a stream. Nothing is lost when a call to [`Pieces::next`] is dropped.
pub(super) struct Pieces {
    stream: ByteStream,
    /// What came and was not given out yet.
    kept: BytesMut,
    /// What came beyond the piece that is being gathered.
    rest: Bytes,
    ended: bool,
}

impl Pieces {
    pub(super) fn new(stream: ByteStream) -> Self {
        Self { stream, kept: BytesMut::new(), rest: Bytes::new(), ended: false }
    }

    /// The next `size_bytes` bytes, fewer only at the end; none behind the end. Memory: one piece and what the
    /// stream brings at once.
    pub(super) async fn next(&mut self, size_bytes: usize) -> io::Result<Option<Bytes>> {
        loop {
            let wanted = size_bytes - self.kept.len();
            if self.kept.is_empty() && self.rest.len() >= wanted {
                return Ok(Some(self.rest.split_to(wanted)));
            }
            if self.kept.capacity() == 0 && !self.rest.is_empty() {
                // Once and of the right length: buffers that double leave holes between them.
                self.kept.reserve(size_bytes);
            }
            let taken = self.rest.split_to(wanted.min(self.rest.len()));
            self.kept.extend_from_slice(&taken);
            if self.kept.len() == size_bytes {
                return Ok(Some(std::mem::take(&mut self.kept).freeze()));
            }
            if self.ended {
                return Ok((!self.kept.is_empty()).then(|| std::mem::take(&mut self.kept).freeze()));
            }
            match self.stream.try_next().await? {
                Some(bytes) => self.rest = bytes,
                None => self.ended = true,
            }
        }
    }

    /// Whether everything was given out; false while that is not known.
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.rest.is_empty() && self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_full_and_lose_nothing(lengths in prop::collection::vec(0_usize..40, 0..20), size in 1_usize..50) {
            let chunks: Vec<Bytes> =
                lengths.iter().enumerate().map(|(i, &n)| Bytes::from(vec![i as u8; n])).collect();
            let whole = chunks.concat();
            let stream = futures_util::stream::iter(chunks.into_iter().map(Ok));
            let mut pieces = Pieces::new(Box::pin(stream));
            let (mut got, mut last) = (Vec::new(), size);
            futures_util::future::FutureExt::now_or_never(async {
                while let Some(piece) = pieces.next(size).await.unwrap() {
                    assert_eq!(last, size, "a short piece that was not the last");
                    assert!(!piece.is_empty());
                    last = piece.len();
                    got.extend_from_slice(&piece);
                }
            }).unwrap();
            prop_assert_eq!(got, whole);
            prop_assert!(pieces.is_done());
        }
    }
}

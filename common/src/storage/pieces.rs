//! A stream of bytes in pieces of a size of our choice.

use std::io;

use bytes::Bytes;
use futures_util::TryStreamExt;
use memmap2::MmapMut;

use super::ByteStream;

/// Regroups a stream. Nothing is lost when a call to [`Pieces::next`] is dropped.
pub(super) struct Pieces {
    stream: ByteStream,
    /// What came and was not given out yet.
    kept: Option<Gathered>,
    /// What came beyond the piece that is being gathered.
    rest: Bytes,
    ended: bool,
}

impl Pieces {
    pub(super) fn new(stream: ByteStream) -> Self {
        Self { stream, kept: None, rest: Bytes::new(), ended: false }
    }

    /// The next `size_bytes` bytes, fewer only at the end; none behind the end. Memory: one piece and what the
    /// stream brings at once.
    pub(super) async fn next(&mut self, size_bytes: usize) -> io::Result<Option<Bytes>> {
        loop {
            if self.kept.is_none() && self.rest.len() >= size_bytes {
                return Ok(Some(self.rest.split_to(size_bytes)));
            }
            if !self.rest.is_empty() {
                let mut kept = match self.kept.take() {
                    Some(kept) => kept,
                    None => Gathered::of(size_bytes)?,
                };
                kept.fill_from(&mut self.rest);
                if kept.len == size_bytes {
                    return Ok(Some(Bytes::from_owner(kept)));
                }
                self.kept = Some(kept);
            }
            if self.ended {
                return Ok(self.kept.take().map(Bytes::from_owner));
            }
            match self.stream.try_next().await? {
                Some(bytes) => self.rest = bytes,
                None => self.ended = true,
            }
        }
    }

    /// Whether everything was given out; false while that is not known.
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.rest.is_empty() && self.kept.is_none()
    }
}

/// A piece that is being gathered, in memory of its own that goes back to the system at once: from the heap, blocks of
/// this size leave holes between those of many uploads, which took 120 MiB more for 64 of them.
struct Gathered {
    memory: MmapMut,
    len: usize,
}

impl Gathered {
    fn of(size_bytes: usize) -> io::Result<Self> {
        Ok(Self { memory: MmapMut::map_anon(size_bytes)?, len: 0 })
    }

    /// Takes as much as there is room for.
    fn fill_from(&mut self, rest: &mut Bytes) {
        let room = &mut self.memory[self.len..];
        let taken = rest.split_to(room.len().min(rest.len()));
        room[..taken.len()].copy_from_slice(&taken);
        self.len += taken.len();
    }
}

impl AsRef<[u8]> for Gathered {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
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

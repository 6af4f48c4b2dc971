//! The part of a file that a format reader may see, with a few header bytes replaced.

use std::io::{Read, Result, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::io::MediaSource;

/// Four bytes that a reader sees in place of those in the file, at an offset into the window.
pub(super) type Patch = (u64, [u8; 4]);

/// A byte range of a source, which looks like a whole file.
pub(super) struct Window {
    source: Box<dyn MediaSource>,
    range: Range<u64>,
    /// Position within the window.
    at: u64,
    patches: Vec<Patch>,
}

impl Window {
    pub(super) fn new(source: Box<dyn MediaSource>, range: Range<u64>) -> Self {
        Self { source, range, at: 0, patches: Vec::new() }
    }

    /// Replaces header bytes and, with `len`, the end of the window.
    pub(super) fn patched(mut self, patches: Vec<Patch>, len: Option<u64>) -> Self {
        self.patches = patches;
        if let Some(len) = len {
            self.range.end = self.range.end.min(self.range.start.saturating_add(len));
        }
        self
    }

    pub(super) fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// `N` bytes at `at`, or none beyond the end.
    pub(super) fn bytes_at<const N: usize>(&mut self, at: u64) -> Result<Option<[u8; N]>> {
        if at.checked_add(N as u64).is_none_or(|end| end > self.len()) {
            return Ok(None);
        }
        let mut bytes = [0; N];
        self.seek(SeekFrom::Start(at))?;
        self.read_exact(&mut bytes)?;
        Ok(Some(bytes))
    }
}

impl Read for Window {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let room = self.len().saturating_sub(self.at).min(buf.len() as u64) as usize;
        if room == 0 {
            return Ok(0);
        }
        self.source.seek(SeekFrom::Start(self.range.start + self.at))?;
        let read = self.source.read(&mut buf[..room])?;
        for (start, bytes) in &self.patches {
            for (offset, byte) in (*start..).zip(bytes) {
                if let Some(i) = offset.checked_sub(self.at).filter(|i| *i < read as u64) {
                    buf[i as usize] = *byte;
                }
            }
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl MediaSource for Window {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_window_shows_its_range_with_patches_across_reads() {
        let source = Box::new(Cursor::new((0..20).collect::<Vec<u8>>()));
        let mut window = Window::new(source, 2..18).patched(vec![(3, [90, 91, 92, 93])], Some(10));
        let mut seen = Vec::new();
        let mut part = [0; 4];
        while let Ok(n @ 1..) = window.read(&mut part) {
            seen.extend_from_slice(&part[..n]);
        }
        assert_eq!(seen, [2, 3, 4, 90, 91, 92, 93, 9, 10, 11]);
        assert_eq!(window.bytes_at::<2>(8).unwrap(), Some([10, 11]));
        assert_eq!(window.bytes_at::<2>(9).unwrap(), None);
    }
}

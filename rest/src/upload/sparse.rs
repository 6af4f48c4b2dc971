//! A file of which only some parts are at hand; the rest reads as zeros.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};

/// Parts of a file of known or supposed length.
#[derive(Debug, Default)]
pub(crate) struct Sparse {
    pub(crate) len: u64,
    /// Offset and bytes of each part; of two that overlap the earlier one counts.
    pub(crate) parts: Vec<(u64, Vec<u8>)>,
    pub(crate) at: u64,
}

impl Sparse {
    /// The bytes that are at hand from `start` on, without a gap.
    pub(crate) fn from(&self, start: u64) -> &[u8] {
        let part = self.parts.iter().find(|(at, bytes)| (*at..at + bytes.len() as u64).contains(&start));
        part.map_or(&[][..], |(at, bytes)| &bytes[(start - at) as usize..])
    }
}

impl Read for Sparse {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let left = self.len.saturating_sub(self.at).min(out.len() as u64) as usize;
        let here = self.from(self.at);
        let read = if here.is_empty() {
            let next = self.parts.iter().map(|(at, _)| *at).filter(|at| *at > self.at).min();
            let gap = next.map_or(left, |next| left.min((next - self.at).min(usize::MAX as u64) as usize));
            out[..gap].fill(0);
            gap
        } else {
            let read = here.len().min(left);
            out[..read].copy_from_slice(&here[..read]);
            read
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_zeros_and_parts_are_themselves() {
        let mut file = Sparse { len: 12, parts: vec![(1, vec![1, 2]), (6, vec![3])], at: 0 };
        let mut all = Vec::new();
        file.read_to_end(&mut all).unwrap();
        assert_eq!(all, [0, 1, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0]);
        file.seek(SeekFrom::End(-6)).unwrap();
        assert_eq!(file.read(&mut [9; 9]).unwrap(), 1);
    }
}

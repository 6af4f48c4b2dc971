//! The frame without music that most encoders put first in an MP3.
//!
//! Source: the Xing, VBRI and LAME tags as they are described in "MP3 Info Tag revision 1".

use tags::frame::Frame;

/// Samples by which every decoder is late.
const DECODER_DELAY: usize = 529;

/// What the tag says. Lies are possible.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct InfoTag {
    /// Frames of music in the file.
    pub(super) packets: Option<usize>,
    /// Samples to drop at the start and at the end.
    pub(super) gaps: Option<(usize, usize)>,
}

/// Reads the tag from a whole frame; none for a frame of music.
pub(super) fn read(frame: Frame, bytes: &[u8]) -> Option<InfoTag> {
    let side = match (frame.frames, frame.channels) {
        (1152, 2) => 32,
        (1152, _) | (_, 2) => 17,
        _ => 9,
    };
    if bytes.get(36..40) == Some(b"VBRI") {
        return Some(InfoTag { packets: number(bytes, 50), gaps: None });
    }
    let tag = bytes.get(4 + side..).filter(|tag| tag.starts_with(b"Xing") || tag.starts_with(b"Info"))?;
    let flags = number(tag, 4)?;
    let has = |bit: usize| flags >> bit & 1;
    let packets = if has(0) == 1 { number(tag, 8) } else { None };
    let lame = 8 + 4 * has(0) + 4 * has(1) + 100 * has(2) + 4 * has(3);
    Some(InfoTag { packets, gaps: gaps(tag.get(lame..).unwrap_or_default()) })
}

/// Delay and padding, of encoders that are known to state them.
fn gaps(lame: &[u8]) -> Option<(usize, usize)> {
    let known = [&b"LAME"[..], b"Lavf", b"Lavc"];
    let gaps = lame.get(21..24).filter(|_| known.iter().any(|name| lame.starts_with(name)))?;
    let delay = usize::from(gaps[0]) << 4 | usize::from(gaps[1] >> 4);
    let padding = usize::from(gaps[1] & 15) << 8 | usize::from(gaps[2]);
    Some((delay + DECODER_DELAY, padding.saturating_sub(DECODER_DELAY)))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes) as usize)
}

//! Headers of MP3 and ADTS frames: what is needed to walk from one to the next.
//!
//! ```
//! let frame = tags::frame::mp3(&[0xff, 0xfb, 0x90, 0x64]).expect("a header");
//! assert_eq!((frame.bytes, frame.rate, frame.channels, frame.frames), (417, 44_100, 2, 1152));
//! ```

/// Bytes in the longer of the two headers' part that is looked at.
pub const HEADER_BYTES: usize = 6;

/// Longest frame of either kind, in bytes.
pub const MAX_BYTES: usize = 8191;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What stays the same from frame to frame: version, layer or profile, and sample rate, packed together.
    pub kind: u32,
    /// Length of this frame in bytes, header included.
    pub bytes: usize,
    /// Length of the header in bytes, checksum included for ADTS.
    pub header_bytes: usize,
    /// Samples per second.
    pub rate: u32,
    /// Channels; 0 where ADTS leaves it to the stream.
    pub channels: usize,
    /// Samples per channel.
    pub frames: usize,
}

/// Reads one kind of header from the front of some bytes.
pub type Parser = fn(&[u8]) -> Option<Frame>;

/// kbit/s of MPEG-1 layer III and of MPEG-2 and 2.5 layer III, by index.
const KBPS: [[usize; 15]; 2] = [
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// Hz of MPEG-1; MPEG-2 has half of each, MPEG-2.5 a quarter.
const MP3_RATES: [u32; 3] = [44_100, 48_000, 32_000];

/// Hz of ADTS, by index.
const ADTS_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// The MP3 (layer III) frame that starts at the front of `bytes`, if one does; not those of free bit rate.
///
/// Source: ISO 11172-3, 2.4.1.3.
#[must_use]
pub fn mp3(bytes: &[u8]) -> Option<Frame> {
    let word = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    if word >> 21 != 0x7ff || (word >> 17) & 3 != 1 {
        return None;
    }
    let version = match (word >> 19) & 3 {
        3 => 0,
        2 => 1,
        0 => 2,
        _ => return None,
    };
    let kbps = *KBPS[version.min(1)].get((word >> 12) as usize & 15)?;
    let rate = *MP3_RATES.get((word >> 10) as usize & 3)? >> version;
    if kbps == 0 {
        return None;
    }
    let frames = if version == 0 { 1152 } else { 576 };
    let padding = (word >> 9) as usize & 1;
    let bytes = frames * 125 * kbps / rate as usize + padding;
    let channels = if (word >> 6) & 3 == 3 { 1 } else { 2 };
    Some(Frame { kind: word & 0xfffe_0c00, bytes, header_bytes: 4, rate, channels, frames })
}

/// The ADTS frame that starts at the front of `bytes`, if one does. Source: ISO 13818-7, 6.2.
#[must_use]
pub fn adts(bytes: &[u8]) -> Option<Frame> {
    let b = bytes.get(..HEADER_BYTES)?;
    if b[0] != 0xff || b[1] & 0xf6 != 0xf0 {
        return None;
    }
    let rate = *ADTS_RATES.get(usize::from(b[2] >> 2 & 15))?;
    let bytes = usize::from(b[3] & 3) << 11 | usize::from(b[4]) << 3 | usize::from(b[5] >> 5);
    let header_bytes = if b[1] & 1 == 1 { 7 } else { 9 };
    let channels = match usize::from(b[2] & 1) << 2 | usize::from(b[3] >> 6) {
        7 => 8,
        channels => channels,
    };
    let kind = u32::from_be_bytes([b[0], b[1], b[2] & 0xfd, b[3] & 0xc0]);
    (bytes > header_bytes).then_some(Frame { kind, bytes, header_bytes, rate, channels, frames: 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_lengths_follow_the_standard() {
        assert_eq!(mp3(&[0xff, 0xfb, 0x90, 0x64]).unwrap().bytes, 417);
        assert_eq!(mp3(&[0xff, 0xfb, 0xe2, 0x64]).unwrap().bytes, 1045);
        assert_eq!(mp3(&[0xff, 0xf3, 0x84, 0x64]).unwrap().bytes, 192);
        assert_eq!(mp3(&[0xff, 0xf1, 0x50, 0x80]), None, "that is adts");
        let adts = adts(&[0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f]).unwrap();
        assert_eq!((adts.bytes, adts.header_bytes, adts.rate, adts.channels), (371, 7, 44_100, 2));
    }
}

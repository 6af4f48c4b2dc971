//! WAV headers with sizes that the format reader would trip over: RF64, streams, and recordings cut short.
//!
//! Source: EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64).

use super::window::{Patch, Window};
use crate::{Error, Result};

/// "Until the end of the file", in a 32-bit size.
const UNKNOWN: [u8; 4] = [0xff; 4];

/// Chunks looked at before the samples; real files have about five.
const MAX_CHUNKS: usize = 256;

/// Makes sizes say what the file has: the outer one is never trusted, RF64 becomes RIFF with the 64-bit size
/// as the end of the window, and a data chunk of size 0 that ends the file runs to its end.
pub(super) fn mend(mut window: Window) -> Result<Window> {
    let io = Error::io("read the file");
    let (patches, len) = plan(&mut window).map_err(io)?;
    Ok(window.patched(patches, len))
}

fn plan(window: &mut Window) -> std::io::Result<(Vec<Patch>, Option<u64>)> {
    let mut patches = vec![(0, *b"RIFF"), (4, UNKNOWN)];
    let wide = window.bytes_at::<4>(0)?.is_some_and(|id| &id != b"RIFF");
    let mut wide_data = None;
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let Some(head) = window.bytes_at::<8>(at)? else { break };
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if &head[..4] == b"ds64" && wide {
            wide_data = window.bytes_at::<8>(at + 16)?.map(u64::from_le_bytes);
        }
        if &head[..4] == b"data" {
            let body = at + 8;
            if wide && size == u32::MAX {
                return Ok((patches, wide_data.map(|size| body.saturating_add(size))));
            }
            if size == 0 && body + 8 < window.len() && !is_chunk(window, body)? {
                patches.push((at + 4, UNKNOWN));
            }
            break;
        }
        at += 8 + u64::from(size) + u64::from(size & 1);
    }
    Ok((patches, None))
}

/// Whether a chunk header rather than samples stands at `at`.
fn is_chunk(window: &mut Window, at: u64) -> std::io::Result<bool> {
    let Some(head) = window.bytes_at::<8>(at)? else { return Ok(false) };
    let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
    let named = head[..4].iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    Ok(named && at + 8 + size <= window.len())
}

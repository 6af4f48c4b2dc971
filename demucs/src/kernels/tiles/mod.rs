//! Products and attention on AMX: floats as sums of two bfloat16, multiplied in registers that are tiles of 16 rows.
//!
//! A float x is `high + low` to 2^-17 of itself, both bfloat16, and `x * y` is taken as `high * low + high * high +
//! low * high`, added up in single precision. A processor with AMX multiplies bfloat16 so fast that three products take
//! a fraction of the time of one of floats.

mod attention;
mod panels;
mod rows;

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

pub(super) use attention::OnTiles;
pub(super) use panels::Tiles;

/// Tokens, and columns, of a product on tiles: two registers each way.
const SIDE: usize = 32;
/// Rows of a register.
const ROWS: usize = 16;

/// Whether the processor has tiles and the system lets this process use them.
pub(super) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        // AMX-BF16 and AMX-TILE.
        let features = __cpuid_count(7, 0).edx;
        features >> 22 & 1 == 1 && features >> 24 & 1 == 1 && permitted()
    })
}

/// Asks for the state that the registers take in every thread; Linux gives it to those only that asked.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: the call reads and writes no memory of this process.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// Gives the tile registers their shapes for as long as it lives.
struct Shaped;

/// What the processor reads of them.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Eight registers of 16 rows of 64 bytes.
static SHAPES: Shapes = {
    let (mut row_bytes, mut rows) = ([0; 16], [0; 16]);
    let mut tile = 0;
    while tile < 8 {
        (row_bytes[tile], rows[tile]) = (64, 16);
        tile += 1;
    }
    Shapes { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows }
};

impl Shaped {
    /// # Safety
    /// The processor has tiles and the system gave them.
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller's contract; the shapes are valid ones.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack, readonly, preserves_flags));
        }
        Self
    }
}

impl Drop for Shaped {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: there is a value only where there are tiles.
        unsafe {
            asm!("tilerelease", options(nomem, nostack, preserves_flags));
        }
    }
}

/// Sums of [`SIDE`] tokens and as many columns.
#[repr(C, align(64))]
struct Square([f32; SIDE * SIDE]);

/// A product of [`SIDE`] tokens with as many columns.
#[derive(Clone, Copy)]
struct Task<'a> {
    /// Bytes from `high` and from `weights` to the halves of each step. A step of the weights has the low halves of two
    /// tiles of columns and then the high ones.
    places: &'a [[usize; 2]],
    /// High halves of the first token, bytes from them to the low ones, and bytes from token to token.
    high: *const u16,
    low: usize,
    pitch: usize,
    weights: *const f32,
}

/// What is read at the end only.
#[repr(C)]
struct Rest {
    low: usize,
    to: *mut f32,
    to_pitch: usize,
}

/// The sums of a task to `to`, tokens `to_pitch` bytes apart.
///
/// # Safety
/// The tile registers have their shapes, the halves of all steps are there, and room for all sums.
#[inline(always)]
unsafe fn multiply(task: Task<'_>, to: *mut f32, to_pitch: usize) {
    assert!(!task.places.is_empty());
    let rest = Rest { low: task.low, to, to_pitch };
    // SAFETY: the caller's contract.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "mov {upper}, qword ptr [{places}]",
            "mov {w}, qword ptr [{places} + 8]",
            "add {upper}, {high}",
            "add {w}, {weights}",
            "lea {lower}, [{upper} + {below}]",
            "tileloadd tmm4, [{upper} + {pitch}*1]",
            "tileloadd tmm6, [{w} + {row}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{w} + {row}*1 + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lower} + {pitch}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm6, [{w} + {row}*1 + 2048]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{w} + {row}*1 + 3072]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {upper}, qword ptr [{rest}]",
            "add {lower}, qword ptr [{rest}]",
            "tileloadd tmm4, [{upper} + {pitch}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lower} + {pitch}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {places}, 16",
            "dec {steps}",
            "jnz 2b",
            "mov {upper}, qword ptr [{rest} + 8]",
            "mov {w}, qword ptr [{rest} + 16]",
            "mov {lower}, {w}",
            "shl {lower}, 4",
            "add {lower}, {upper}",
            "tilestored [{upper} + {w}*1], tmm0",
            "tilestored [{upper} + {w}*1 + 64], tmm1",
            "tilestored [{lower} + {w}*1], tmm2",
            "tilestored [{lower} + {w}*1 + 64], tmm3",
            places = inout(reg) task.places.as_ptr() => _,
            steps = inout(reg) task.places.len() => _,
            high = in(reg) task.high,
            below = in(reg) ROWS * task.pitch,
            pitch = in(reg) task.pitch,
            weights = in(reg) task.weights,
            row = in(reg) 64usize,
            rest = in(reg) &raw const rest,
            upper = out(reg) _,
            lower = out(reg) _,
            w = out(reg) _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

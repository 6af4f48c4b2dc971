//! What a card can do, be it one or be it emulated.

use std::ffi::{CString, c_void};
use std::fmt;

use super::card::Properties;
use super::sequence::Prepared;
use crate::error::Result;

/// Whatever a driver gives a thing of its own.
pub(super) type Handle = usize;

/// A kernel that was looked up.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) name: CString,
    /// Of a block.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "the emulation has it by its name"))]
    pub(super) threads: u32,
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "the emulation has it by its name"))]
    pub(super) function: Handle,
}

/// Streams and events are ordered as those of CUDA are. What is unsafe here takes handles of the same driver that were
/// not dropped, and addresses of as many bytes as are used, until the stream is done with them.
pub(super) trait Driver: fmt::Debug + Send + Sync {
    fn properties(&self) -> &Properties;
    fn free_bytes(&self) -> Result<usize>;

    /// Zeroed memory of the card.
    fn allocate(&self, bytes: usize) -> Result<u64>;
    /// Waits until nothing runs that could use it.
    unsafe fn free(&self, address: u64, bytes: usize);
    /// Zeroed memory of the host that the card copies from and to by itself.
    fn allocate_pinned(&self, bytes: usize) -> Result<*mut c_void>;
    unsafe fn free_pinned(&self, address: *mut c_void, bytes: usize);

    fn new_stream(&self) -> Result<Handle>;
    unsafe fn drop_stream(&self, stream: Handle);
    unsafe fn upload(&self, stream: Handle, from: *const c_void, to: u64, bytes: usize) -> Result<()>;
    unsafe fn download(&self, stream: Handle, from: u64, to: *mut c_void, bytes: usize) -> Result<()>;
    /// From one place of the card to another one, that do not overlap.
    unsafe fn copy(&self, stream: Handle, from: u64, to: u64, bytes: usize) -> Result<()>;
    /// Waits until all that was given to the stream is done.
    unsafe fn finish(&self, stream: Handle) -> Result<()>;

    /// An event behind all that was given to the stream.
    unsafe fn new_event(&self, stream: Handle) -> Result<Handle>;
    unsafe fn drop_event(&self, event: Handle);
    /// What is given to the stream from now on waits for the event.
    unsafe fn follow(&self, stream: Handle, event: Handle) -> Result<()>;
    /// Waits here for the event.
    unsafe fn reach(&self, event: Handle) -> Result<()>;
    /// Seconds of the card between two events that were reached.
    unsafe fn seconds(&self, from: Handle, to: Handle) -> Result<f64>;

    /// Looks a kernel up that takes so many bytes of arguments and of shared memory.
    fn kernel(&self, name: &str, args: usize, shared: u32) -> Result<Kernel>;
    unsafe fn launch(&self, stream: Handle, launch: &Prepared) -> Result<()>;
    /// All launches as one, where that is possible and any faster.
    unsafe fn record(&self, launches: &[Prepared]) -> Result<Option<Handle>>;
    unsafe fn replay(&self, stream: Handle, recording: Handle) -> Result<()>;
    unsafe fn drop_recording(&self, recording: Handle);

    /// Has everything from now on fail, for tests.
    #[cfg(feature = "emulation")]
    fn fail(&self) {}

    /// Has the next launch find too little memory, for tests.
    #[cfg(feature = "emulation")]
    fn crowd(&self) {}

    /// Has launches wait as long as `hangs` holds, for tests.
    #[cfg(feature = "emulation")]
    fn hang(&self, _hangs: bool) {}
}

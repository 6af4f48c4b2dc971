//! A card that this machine's processor plays. Its streams do what they were given as late as they can.

use std::alloc::{self, Layout};
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::card::Properties;
use super::driver::{Driver, Handle, Kernel};
use super::queues::Queues;
use super::sequence::Prepared;
use crate::error::{Error, Result};

// In `cuda/emulation`.
unsafe extern "C" {
    fn emulate(
        kernel: *const c_char,
        grid: *const c_uint,
        shared_bytes: c_uint,
        args: *const c_void,
        args_size: c_uint,
    ) -> c_int;
    fn emulated_threads(kernel: *const c_char) -> c_uint;
}

/// NaN in front of and behind all memory: what is read there shows in a result, and what is written there is seen.
const MARGIN: usize = 4096;
const NAN: u8 = 0xff;
const TOLD_TO_FAIL: &str = "it was told to fail";

#[derive(Debug)]
pub(super) struct Emulation {
    properties: Properties,
    queues: Mutex<Queues>,
    /// Bytes of the card that somebody has.
    taken: AtomicUsize,
    failing: AtomicBool,
    /// The next launch is refused.
    crowded: AtomicBool,
    hanging: Mutex<bool>,
    released: Condvar,
}

impl Emulation {
    pub(super) fn new() -> Self {
        let properties = Properties {
            number: 0,
            name: "emulation".into(),
            capability: (8, 0),
            driver: (0, 0),
            compiler: "emulation",
            translates: false,
            memory: usize::MAX,
            processors: 4,
            shared: 227 << 10,
        };
        Self {
            properties,
            queues: Mutex::default(),
            taken: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            hanging: Mutex::default(),
            released: Condvar::new(),
        }
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies when the stream comes to it.
    ///
    /// # Safety
    /// Both have these bytes until then.
    unsafe fn give_copy(&self, stream: Handle, from: usize, to: usize, bytes: usize) -> Result<()> {
        let copy = move || {
            let (from, to) = (ptr::with_exposed_provenance::<u8>(from), ptr::with_exposed_provenance_mut(to));
            // SAFETY: the caller's.
            unsafe { ptr::copy(from, to, bytes) };
            Ok(())
        };
        self.queues().give(stream, Box::new(copy))
    }
}

/// Zeros between margins.
fn allocate(bytes: usize) -> Result<usize> {
    let layout = layout(bytes)?;
    // SAFETY: the layout has bytes, at least those of the margins.
    unsafe {
        let whole = alloc::alloc_zeroed(layout);
        if whole.is_null() {
            return Err(Error::OutOfMemory(format!("{bytes} bytes")));
        }
        for margin in [whole, whole.add(MARGIN + bytes)] {
            margin.write_bytes(NAN, MARGIN);
        }
        Ok(whole.add(MARGIN).expose_provenance())
    }
}

/// # Safety
/// It was allocated with so many bytes, and nobody uses it any more.
unsafe fn free(address: usize, bytes: usize) {
    let memory: *mut u8 = ptr::with_exposed_provenance_mut(address);
    // SAFETY: the caller's.
    let intact = unsafe {
        let whole = memory.sub(MARGIN);
        let is_nan =
            |margin: *const u8| slice::from_raw_parts(margin, MARGIN).iter().all(|&byte| byte == NAN);
        let intact = is_nan(whole) && is_nan(memory.add(bytes));
        alloc::dealloc(whole, layout(bytes).expect("it was allocated"));
        intact
    };
    assert!(intact || std::thread::panicking(), "a kernel wrote beyond memory of {bytes} bytes");
}

fn layout(bytes: usize) -> Result<Layout> {
    let whole = bytes.checked_add(2 * MARGIN).and_then(|whole| Layout::from_size_align(whole, 256).ok());
    whole.ok_or_else(|| Error::OutOfMemory(format!("{bytes} bytes")))
}

/// Runs a kernel, or only asks whether it takes so many bytes of arguments where the grid is empty.
unsafe fn run(kernel: &CString, grid: [u32; 3], shared: u32, args: *const c_void, size: usize) -> Result<()> {
    // SAFETY: a name that ends, three numbers of blocks, and the arguments' own size; the kernel is the caller's.
    let why = match unsafe { emulate(kernel.as_ptr(), grid.as_ptr(), shared, args, size as c_uint) } {
        0 => return Ok(()),
        1 => "there is no such kernel",
        2 => "it takes arguments of another size",
        3 => "it has more shared memory than a card",
        4 => "it writes beyond its shared memory",
        5 => "its threads wait for each other at different places",
        6 => "it copies from or to an address that is no multiple of 16",
        7 => "it reads or writes several values at once at an address that is no multiple of their size",
        _ => "the emulation does not say why",
    };
    Err(Error::Card(format!("{}: {why}", kernel.to_string_lossy())))
}

impl Driver for Emulation {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn free_bytes(&self) -> Result<usize> {
        Ok(self.properties.memory - self.taken.load(Ordering::Relaxed))
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        let address = allocate(bytes)?;
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Ok(address as u64)
    }

    unsafe fn free(&self, address: u64, bytes: usize) {
        self.queues().finish_all();
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
        // SAFETY: it was allocated so.
        unsafe { free(address as usize, bytes) }
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<*mut c_void> {
        allocate(bytes).map(ptr::with_exposed_provenance_mut)
    }

    unsafe fn free_pinned(&self, address: *mut c_void, bytes: usize) {
        self.queues().finish_all();
        // SAFETY: it was allocated so.
        unsafe { free(address.expose_provenance(), bytes) }
    }

    fn new_stream(&self) -> Result<Handle> {
        self.queues().new_stream()
    }

    unsafe fn drop_stream(&self, stream: Handle) {
        self.queues().drop_stream(stream);
    }

    unsafe fn upload(&self, stream: Handle, from: *const c_void, to: u64, bytes: usize) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { self.give_copy(stream, from.expose_provenance(), to as usize, bytes) }
    }

    unsafe fn download(&self, stream: Handle, from: u64, to: *mut c_void, bytes: usize) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { self.give_copy(stream, from as usize, to.expose_provenance(), bytes) }
    }

    unsafe fn copy(&self, stream: Handle, from: u64, to: u64, bytes: usize) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { self.give_copy(stream, from as usize, to as usize, bytes) }
    }

    unsafe fn finish(&self, stream: Handle) -> Result<()> {
        self.queues().finish(stream)
    }

    unsafe fn new_event(&self, stream: Handle) -> Result<Handle> {
        self.queues().new_event(stream)
    }

    unsafe fn drop_event(&self, event: Handle) {
        self.queues().drop_event(event);
    }

    unsafe fn follow(&self, stream: Handle, event: Handle) -> Result<()> {
        self.queues().follow(stream, event)
    }

    unsafe fn reach(&self, event: Handle) -> Result<()> {
        self.queues().reach(event)
    }

    unsafe fn seconds(&self, from: Handle, to: Handle) -> Result<f64> {
        self.queues().seconds(from, to)
    }

    fn kernel(&self, name: &str, args: usize, shared: u32) -> Result<Kernel> {
        let name = CString::new(name).map_err(|_| Error::Card("a kernel's name has a 0 in it".into()))?;
        // SAFETY: no block of the grid reads arguments.
        unsafe { run(&name, [0; 3], shared, ptr::null(), args)? };
        // SAFETY: a name that ends.
        let threads = unsafe { emulated_threads(name.as_ptr()) };
        Ok(Kernel { name, threads, function: 0 })
    }

    unsafe fn launch(&self, stream: Handle, prepared: &Prepared) -> Result<()> {
        let Prepared { kernel, launch } = prepared;
        let hanging = self.hanging.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.released.wait_while(hanging, |hanging| *hanging));
        if self.failing.load(Ordering::Relaxed) {
            self.queues().fail(TOLD_TO_FAIL.into());
        }
        if self.crowded.swap(false, Ordering::Relaxed) {
            return Err(Error::OutOfMemory(format!("a launch of {}", launch.kernel)));
        }
        let size = size_of_val(&*launch.args);
        // A card has the arguments from the beginning; whoever gives them may change them. So many words are aligned as they are.
        let mut args = vec![0u64; size.div_ceil(8)];
        // SAFETY: there are as many bytes as the arguments have.
        unsafe { ptr::copy_nonoverlapping(prepared.args().cast::<u8>(), args.as_mut_ptr().cast(), size) };
        let (name, grid, shared) = (kernel.name.clone(), launch.grid, launch.shared);
        // SAFETY: whoever made the sequence answers for it.
        let launched = move || unsafe { run(&name, grid, shared, args.as_ptr().cast(), size) };
        self.queues().give(stream, Box::new(launched))
    }

    unsafe fn record(&self, _: &[Prepared]) -> Result<Option<Handle>> {
        Ok(None)
    }

    unsafe fn replay(&self, _: Handle, _: Handle) -> Result<()> {
        Ok(())
    }

    unsafe fn drop_recording(&self, _: Handle) {}

    fn fail(&self) {
        self.failing.store(true, Ordering::Relaxed);
        // Where the card computes, its next launch says so: whoever computes on and on would keep this waiting.
        if let Ok(mut queues) = self.queues.try_lock() {
            queues.fail(TOLD_TO_FAIL.into());
        }
    }

    fn crowd(&self) {
        self.crowded.store(true, Ordering::Relaxed);
    }

    fn hang(&self, hangs: bool) {
        *self.hanging.lock().unwrap_or_else(PoisonError::into_inner) = hangs;
        self.released.notify_all();
    }
}

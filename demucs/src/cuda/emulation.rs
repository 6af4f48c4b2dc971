//! A card that this machine's processor plays: everything is done at once, and takes no time.

use std::alloc::{self, Layout};
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

use super::card::Properties;
use super::driver::{Driver, Handle, Kernel};
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

#[derive(Debug)]
pub(super) struct Emulation {
    properties: Properties,
    failing: AtomicBool,
}

impl Emulation {
    pub(super) fn new() -> Self {
        let properties = Properties {
            number: 0,
            name: "emulation".into(),
            capability: (8, 0),
            driver: (0, 0),
            memory: usize::MAX,
            processors: 4,
            shared: 227 << 10,
        };
        Self { properties, failing: AtomicBool::new(false) }
    }
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
        _ => "the emulation does not say why",
    };
    Err(Error::Card(format!("{}: {why}", kernel.to_string_lossy())))
}

impl Driver for Emulation {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn free_bytes(&self) -> Result<usize> {
        Ok(self.properties.memory)
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
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
            Ok(whole.add(MARGIN).expose_provenance() as u64)
        }
    }

    unsafe fn free(&self, address: u64, bytes: usize) {
        let memory: *mut u8 = ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: it was allocated so.
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

    fn allocate_pinned(&self, bytes: usize) -> Result<*mut c_void> {
        Ok(ptr::with_exposed_provenance_mut(self.allocate(bytes)? as usize))
    }

    unsafe fn free_pinned(&self, address: *mut c_void, bytes: usize) {
        // SAFETY: it was allocated so.
        unsafe { self.free(address.expose_provenance() as u64, bytes) }
    }

    fn new_stream(&self) -> Result<Handle> {
        Ok(0)
    }

    unsafe fn drop_stream(&self, _: Handle) {}

    unsafe fn upload(&self, _: Handle, from: *const c_void, to: u64, bytes: usize) -> Result<()> {
        // SAFETY: both have these bytes.
        unsafe { ptr::copy(from.cast::<u8>(), ptr::with_exposed_provenance_mut(to as usize), bytes) };
        Ok(())
    }

    unsafe fn download(&self, _: Handle, from: u64, to: *mut c_void, bytes: usize) -> Result<()> {
        // SAFETY: both have these bytes.
        unsafe { ptr::copy(ptr::with_exposed_provenance(from as usize), to.cast::<u8>(), bytes) };
        Ok(())
    }

    unsafe fn copy(&self, _: Handle, from: u64, to: u64, bytes: usize) -> Result<()> {
        let (from, to) = (ptr::with_exposed_provenance(from as usize), to as usize);
        // SAFETY: both have these bytes.
        unsafe { ptr::copy::<u8>(from, ptr::with_exposed_provenance_mut(to), bytes) };
        Ok(())
    }

    unsafe fn finish(&self, _: Handle) -> Result<()> {
        Ok(())
    }

    unsafe fn new_event(&self, _: Handle) -> Result<Handle> {
        Ok(0)
    }

    unsafe fn drop_event(&self, _: Handle) {}

    unsafe fn follow(&self, _: Handle, _: Handle) -> Result<()> {
        Ok(())
    }

    unsafe fn reach(&self, _: Handle) -> Result<()> {
        Ok(())
    }

    unsafe fn seconds(&self, _: Handle, _: Handle) -> Result<f64> {
        Ok(0.0)
    }

    fn kernel(&self, name: &str, args: usize, shared: u32) -> Result<Kernel> {
        let name = CString::new(name).map_err(|_| Error::Card("a kernel's name has a 0 in it".into()))?;
        // SAFETY: no block of the grid reads arguments.
        unsafe { run(&name, [0; 3], shared, ptr::null(), args)? };
        // SAFETY: a name that ends.
        let threads = unsafe { emulated_threads(name.as_ptr()) };
        Ok(Kernel { name, threads, function: 0 })
    }

    unsafe fn launch(&self, _: Handle, prepared: &Prepared) -> Result<()> {
        if self.failing.load(Ordering::Relaxed) {
            return Err(Error::Card("it was told to fail".into()));
        }
        let size = size_of_val(&*prepared.launch.args);
        // SAFETY: whoever made the sequence answers for it.
        unsafe {
            run(&prepared.kernel.name, prepared.launch.grid, prepared.launch.shared, prepared.args(), size)
        }
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
    }
}

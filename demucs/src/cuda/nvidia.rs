//! A card of this machine, by the driver that is installed.

use std::ffi::{CString, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute, CUfunction_attribute, CUresult};

use super::card::Properties;
use super::compiled;
use super::driver::{Driver, Handle, Kernel};
use super::sequence::Prepared;
use crate::error::{Error, Result};

/// What the driver answers.
type Driven<T> = std::result::Result<T, DriverError>;

/// The least that the kernels need: asynchronous copies, and products of half precision and of TF32.
const CAPABILITY: (u32, u32) = (8, 0);
/// Major number of the newest cards that there is machine code for: `CODE` in `build.rs`.
const NEWEST: u32 = 9;
/// Shared memory that a kernel has without asking for it.
const SHARED: u32 = 48 << 10;

/// A driver refuses to wait for a whole card while one of its streams is recorded, and the recording is lost: whoever does either
/// has this. All that a process has of a card is one context, whoever opened it.
static WHOLE: Mutex<()> = Mutex::new(());

fn whole() -> MutexGuard<'static, ()> {
    WHOLE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
pub(super) struct Nvidia {
    device: sys::CUdevice,
    context: sys::CUcontext,
    modules: Vec<sys::CUmodule>,
    properties: Properties,
}

// SAFETY: handles of a driver, which any thread may use at any time.
unsafe impl Send for Nvidia {}
// SAFETY: handles of a driver, which any thread may use at any time.
unsafe impl Sync for Nvidia {}

/// Cards that the driver finds, at least one.
pub(super) fn count() -> Result<usize> {
    // SAFETY: it runs what the library does when it is loaded.
    let count = if unsafe { sys::is_culib_present() } {
        result::init().and_then(|()| result::device::get_count())
    } else {
        return Err(Error::Request("no NVIDIA driver is installed here".into()));
    };
    let why = match count {
        Ok(0) | Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => "the NVIDIA driver finds no card".into(),
        Err(error) => format!("the NVIDIA driver does not start: {}", word(error)),
        Ok(count) => return Ok(count as usize),
    };
    Err(Error::Request(why))
}

impl Nvidia {
    pub(super) fn open(index: usize) -> Result<Self> {
        let refuse = |why: String| Err(Error::Request(why));
        let count = count()?;
        if index >= count {
            return refuse(format!("there is no card {index}: the last one is {}", count - 1));
        }
        let device = result::device::get(index as c_int).map_err(failed("card"))?;
        let properties = properties(index, device).map_err(failed("properties of a card"))?;
        let Properties { name, capability, driver, .. } = &properties;
        if *capability < CAPABILITY {
            let ((major, minor), (least, _)) = (capability, CAPABILITY);
            return refuse(format!(
                "{name} has compute capability {major}.{minor}, the kernels need {least}.0"
            ));
        }
        if driver.0 < compiled::TOOLKIT.0 {
            return refuse(too_old(*driver));
        }
        // Threads that wait for a card sleep: others decode and encode meanwhile.
        // SAFETY: this device is there.
        let context = unsafe {
            sys::cuDevicePrimaryCtxSetFlags_v2(device, sys::CUctx_flags::CU_CTX_SCHED_BLOCKING_SYNC as u32)
                .result()
                .and_then(|()| result::primary_ctx::retain(device))
                .map_err(failed("context"))?
        };
        let mut card = Self { device, context, modules: Vec::new(), properties };
        card.load()?;
        Ok(card)
    }

    fn load(&mut self) -> Result<()> {
        self.enter()?;
        for module in compiled::MODULES {
            let image: *const [u8] = &raw const module.image.0;
            // SAFETY: nvcc made the image.
            let loaded = unsafe { result::module::load_data(image.cast()) };
            self.modules.push(loaded.map_err(|error| match error.0 {
                CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
                | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
                | CUresult::CUDA_ERROR_INVALID_IMAGE
                | CUresult::CUDA_ERROR_INVALID_PTX => Error::Request(too_old(self.properties.driver)),
                _ => failed("load of the kernels")(error),
            })?);
        }
        Ok(())
    }

    /// Makes the card that of the running thread.
    fn enter(&self) -> Result<()> {
        // SAFETY: the context lives as long as this.
        unsafe { result::ctx::set_current(self.context) }.map_err(failed("context"))
    }

    /// As `enter`, where things are given back: whatever fails then, there is nobody to tell.
    fn leave<T>(&self, give_back: impl FnOnce() -> Driven<T>) {
        let _ = self.enter().map(|()| give_back());
    }
}

fn too_old((major, minor): (u32, u32)) -> String {
    let (of, and) = compiled::TOOLKIT;
    format!("the NVIDIA driver (CUDA {major}.{minor}) is too old for the kernels (CUDA {of}.{and})")
}

fn properties(index: usize, device: sys::CUdevice) -> Driven<Properties> {
    use CUdevice_attribute as Attribute;
    // SAFETY: this device is there.
    let number =
        |attribute| unsafe { result::device::get_attribute(device, attribute) }.map(|number| number as u32);
    let mut driver: c_int = 0;
    // SAFETY: it writes one number.
    unsafe { sys::cuDriverGetVersion(&raw mut driver).result()? };
    let major = number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    Ok(Properties {
        number: index,
        name: result::device::get_name(device)?,
        capability: (major, number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?),
        driver: (driver as u32 / 1000, driver as u32 % 1000 / 10),
        compiler: compiled::COMPILER,
        translates: major > NEWEST,
        // SAFETY: this device is there.
        memory: unsafe { result::device::total_mem(device)? },
        processors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        shared: number(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
    })
}

/// As the driver's documentation names it.
fn word(error: DriverError) -> String {
    error.error_name().map_or_else(|_| format!("{:?}", error.0), |name| name.to_string_lossy().into_owned())
}

fn failed(what: &str) -> impl Fn(DriverError) -> Error {
    move |error| match error.0 {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => Error::OutOfMemory(what.into()),
        _ => Error::Card(format!("{what}: {}", word(error))),
    }
}

/// A driver may put the load of a kernel off until its first launch, which is no time to load anything where it is recorded.
/// Drivers that have no such function load it when it is looked up.
unsafe fn load_now(function: sys::CUfunction) -> Driven<()> {
    type Load = unsafe extern "C" fn(sys::CUfunction) -> CUresult;
    // SAFETY: the driver's library has it by this name with these arguments; the function is the caller's.
    unsafe {
        match sys::culib().get::<Load>(b"cuFuncLoad\0") {
            Ok(load) => load(function).result(),
            Err(_) => Ok(()),
        }
    }
}

fn pointer<T>(handle: Handle) -> *mut T {
    ptr::with_exposed_provenance_mut(handle)
}

impl Driver for Nvidia {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn free_bytes(&self) -> Result<usize> {
        self.enter()?;
        Ok(result::mem_get_info().map_err(failed("free memory"))?.0)
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.enter()?;
        let what = format!("{bytes} bytes");
        let _whole = whole();
        // SAFETY: nobody else has the address yet. Zeros are there before anything that other streams are given.
        unsafe {
            let address = result::malloc_sync(bytes.max(1)).map_err(failed(&what))?;
            let zeroed =
                result::memset_d8_sync(address, 0, bytes.max(1)).and_then(|()| result::ctx::synchronize());
            if let Err(error) = zeroed {
                let _ = result::free_sync(address);
                return Err(failed(&what)(error));
            }
            Ok(address)
        }
    }

    unsafe fn free(&self, address: u64, _: usize) {
        let _whole = whole();
        // SAFETY: it was allocated there.
        self.leave(|| unsafe { result::ctx::synchronize().and(result::free_sync(address)) });
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<*mut c_void> {
        self.enter()?;
        let _whole = whole();
        // SAFETY: nobody else has the address yet, and there are these bytes.
        unsafe {
            let address = result::malloc_host(bytes.max(1), 0).map_err(failed("pinned memory"))?;
            address.write_bytes(0, bytes);
            Ok(address)
        }
    }

    unsafe fn free_pinned(&self, address: *mut c_void, _: usize) {
        let _whole = whole();
        // SAFETY: it was allocated there.
        self.leave(|| unsafe { result::free_host(address) });
    }

    fn new_stream(&self) -> Result<Handle> {
        self.enter()?;
        let stream =
            result::stream::create(result::stream::StreamKind::NonBlocking).map_err(failed("stream"))?;
        Ok(stream.expose_provenance())
    }

    unsafe fn drop_stream(&self, stream: Handle) {
        // SAFETY: the caller's.
        self.leave(|| unsafe { result::stream::destroy(pointer(stream)) });
    }

    unsafe fn upload(&self, stream: Handle, from: *const c_void, to: u64, bytes: usize) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        unsafe { sys::cuMemcpyHtoDAsync_v2(to, from, bytes, pointer(stream)).result() }
            .map_err(failed("upload"))
    }

    unsafe fn download(&self, stream: Handle, from: u64, to: *mut c_void, bytes: usize) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        unsafe { sys::cuMemcpyDtoHAsync_v2(to, from, bytes, pointer(stream)).result() }
            .map_err(failed("download"))
    }

    unsafe fn copy(&self, stream: Handle, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        unsafe { sys::cuMemcpyDtoDAsync_v2(to, from, bytes, pointer(stream)).result() }
            .map_err(failed("copy"))
    }

    unsafe fn finish(&self, stream: Handle) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        unsafe { result::stream::synchronize(pointer(stream)) }.map_err(failed("end of a stream"))
    }

    unsafe fn new_event(&self, stream: Handle) -> Result<Handle> {
        self.enter()?;
        let event =
            result::event::create(sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC).map_err(failed("event"))?;
        // SAFETY: the event is ours, the stream the caller's.
        unsafe {
            if let Err(error) = result::event::record(event, pointer(stream)) {
                let _ = result::event::destroy(event);
                return Err(failed("event")(error));
            }
        }
        Ok(event.expose_provenance())
    }

    unsafe fn drop_event(&self, event: Handle) {
        // SAFETY: the caller's.
        self.leave(|| unsafe { result::event::destroy(pointer(event)) });
    }

    unsafe fn follow(&self, stream: Handle, event: Handle) -> Result<()> {
        self.enter()?;
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: the caller's.
        unsafe { result::stream::wait_event(pointer(stream), pointer(event), flags) }.map_err(failed("event"))
    }

    unsafe fn reach(&self, event: Handle) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        unsafe { result::event::synchronize(pointer(event)) }.map_err(failed("event"))
    }

    unsafe fn seconds(&self, from: Handle, to: Handle) -> Result<f64> {
        self.enter()?;
        // SAFETY: the caller's.
        let milliseconds =
            unsafe { result::event::elapsed(pointer(from), pointer(to)) }.map_err(failed("event"))?;
        Ok(f64::from(milliseconds) / 1000.0)
    }

    fn kernel(&self, name: &str, args: usize, shared: u32) -> Result<Kernel> {
        self.enter()?;
        let (module, kernel) =
            compiled::find(name).ok_or_else(|| Error::Card(format!("{name}: there is no such kernel")))?;
        if kernel.args != args {
            return Err(Error::Card(format!("{name}: it takes arguments of another size")));
        }
        let most = self.properties.shared;
        if shared > most {
            return Err(Error::Card(format!("{name}: {shared} bytes of shared memory, of {most}")));
        }
        let name = CString::new(name).map_err(|_| Error::Card("a kernel's name has a 0 in it".into()))?;
        // SAFETY: the module lives as long as this, and so does the function.
        let function = unsafe {
            let function =
                result::module::get_function(self.modules[module], name.clone()).map_err(failed("kernel"))?;
            if shared > SHARED {
                // Of launches of one kernel the largest counts.
                let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                result::function::set_function_attribute(function, attribute, most as i32)
                    .map_err(failed("shared memory of a kernel"))?;
            }
            load_now(function).map_err(failed("load of a kernel"))?;
            function
        };
        Ok(Kernel { name, threads: kernel.threads, function: function.expose_provenance() })
    }

    unsafe fn launch(&self, stream: Handle, prepared: &Prepared) -> Result<()> {
        self.enter()?;
        let Prepared { kernel, launch } = prepared;
        let [x, y, z] = launch.grid;
        let mut args = [prepared.args().cast_mut()];
        let function = pointer(kernel.function);
        // SAFETY: the driver copies the arguments, of which there are as many bytes as the kernel takes.
        unsafe {
            let threads = (kernel.threads, 1, 1);
            result::launch_kernel(function, (x, y, z), threads, launch.shared, pointer(stream), &mut args)
        }
        .map_err(|error| failed(&kernel.name.to_string_lossy())(error))
    }

    unsafe fn record(&self, launches: &[Prepared]) -> Result<Option<Handle>> {
        let handle = self.new_stream()?;
        let stream = pointer(handle);
        let whole = whole();
        // Other threads may go on meanwhile.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        let failed = failed("recording");
        // SAFETY: the stream is ours, and so is the graph; nothing of it runs yet.
        let recording = unsafe {
            result::stream::begin_capture(stream, mode).map_err(&failed).and_then(|()| {
                let given = launches.iter().try_for_each(|launch| self.launch(handle, launch));
                // Whatever became of that, the stream has to end it.
                let graph = match result::stream::end_capture(stream) {
                    Ok(graph) => graph,
                    Err(error) => return given.and(Err(failed(error))),
                };
                let instantiate = || result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0));
                let recording = given.and_then(|()| instantiate().map_err(&failed));
                let _ = result::graph::destroy(graph);
                recording
            })
        };
        drop(whole);
        // SAFETY: it is ours.
        unsafe { self.drop_stream(handle) };
        // Launches can be given one by one as well, and if it is the card that fails, the first of them says so.
        let refused = |error: &Error| tracing::warn!(%error, "the card takes no recording: it gets launches one by one");
        Ok(recording.inspect_err(refused).ok().map(<*mut _>::expose_provenance))
    }

    unsafe fn replay(&self, stream: Handle, recording: Handle) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        unsafe { result::graph::launch(pointer(recording), pointer(stream)) }.map_err(failed("recording"))
    }

    unsafe fn drop_recording(&self, recording: Handle) {
        let _whole = whole();
        // SAFETY: the caller's.
        self.leave(|| unsafe {
            result::ctx::synchronize().and(result::graph::exec_destroy(pointer(recording)))
        });
    }
}

impl Drop for Nvidia {
    fn drop(&mut self) {
        let _whole = whole();
        // SAFETY: nothing that has memory, streams or functions of the card is left: each of them has this.
        self.leave(|| unsafe {
            for &module in &self.modules {
                let _ = result::module::unload(module);
            }
            Ok(())
        });
        // SAFETY: as above; it was retained once, and whatever else fails it has to be released.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

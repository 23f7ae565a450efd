//! The real driver: an NVIDIA device through libcuda, which is loaded when the first one is asked for.
//!
//! May use: `error`, `plan`, `driver`. One primary context and one stream per device; nothing here
//! waits for the device but `download` and `sync`.

mod graph;
mod modules;
mod probe;
mod staging;

pub use probe::{Found, found};

use super::driver::{Driver, Memory};
use super::plan::{Chip, Step};
use crate::backend::Replay;
use crate::error::{Error, Result};
use cudarc::driver::{result, sys};
use graph::Graph;
use modules::Modules;
use staging::Staging;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard};

/// A CUDA device.
pub struct Gpu {
    name: String,
    chip: Chip,
    context: Arc<Context>,
    stream: sys::CUstream,
    modules: Mutex<Modules>,
    staging: Mutex<Staging>,
}

// SAFETY: handles of the driver may be used from any thread that has made the context current, which
// every method does first.
unsafe impl Send for Gpu {}
// SAFETY: as above; what is not the driver's own is behind locks.
unsafe impl Sync for Gpu {}

/// A device's primary context, which all users of the device in this process share.
struct Context {
    device: sys::CUdevice,
    handle: sys::CUcontext,
}

// SAFETY: a context may be made current on any thread.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// Makes it this thread's.
    fn enter(&self) -> std::result::Result<(), result::DriverError> {
        // SAFETY: the context is retained as long as `self` lives.
        unsafe { result::ctx::set_current(self.handle) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once, released once.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// A piece of device memory.
struct Block {
    context: Arc<Context>,
    address: sys::CUdeviceptr,
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated once, freed once; freeing waits for what runs. A lost device has nothing to
        // free, so that errors do not matter.
        unsafe {
            let _ = self.context.enter();
            let _ = result::free_sync(self.address);
        }
    }
}

impl Gpu {
    /// Device number `index`.
    ///
    /// # Errors
    /// `Error::Device` if there is no driver, it is too old, or there is no such device.
    pub fn open(index: usize) -> Result<Self> {
        let name = format!("cuda:{index}");
        let refuse = |why: String| Error::Device { device: name.clone(), why, fix: "use --device cpu".into() };
        let all = found().map_err(&refuse)?;
        let Some(found) = all.get(index) else {
            let range = if all.len() == 1 { "cuda:0".into() } else { format!("cuda:0 to cuda:{}", all.len() - 1) };
            return Err(refuse(format!("no such device; there is {range}")));
        };
        if let Some(why) = found.unfit() {
            return Err(refuse(why));
        }
        let device = found.handle;
        let failed = |e: result::DriverError| refuse(format!("cannot be opened: {}", probe::text(e)));
        // SAFETY: the driver is loaded and initialised (`found`), the device exists.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(failed)?;
        let context = Arc::new(Context { device, handle: context });
        context.enter().map_err(failed)?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(failed)?;
        Ok(Gpu {
            chip: found.chip,
            context,
            stream,
            modules: Mutex::new(Modules::new(found.chip)),
            staging: Mutex::new(Staging::default()),
            name,
        })
    }

    /// An error of the driver while doing `action`.
    fn error(&self, action: &str, e: result::DriverError) -> Error {
        let device = self.name.clone();
        let why = format!("{action} failed: {}", probe::text(e));
        // Such an error stays with the process: every later call gives it again.
        let fix = "run again, and if it fails again use --device cpu and report it".into();
        Error::Device { device, why, fix }
    }

    fn enter(&self, action: &str) -> Result<()> {
        self.context.enter().map_err(|e| self.error(action, e))
    }

    fn staging(&self) -> MutexGuard<'_, Staging> {
        self.staging.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // SAFETY: everything was made by this value and is used by nobody else; errors of a lost device
        // do not matter.
        unsafe {
            let _ = self.context.enter();
            let _ = result::stream::synchronize(self.stream);
            self.staging().free();
            self.modules.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).unload();
            let _ = result::stream::destroy(self.stream);
        }
    }
}

impl Driver for Gpu {
    fn name(&self) -> &str {
        &self.name
    }

    fn chip(&self) -> Chip {
        self.chip
    }

    fn alloc(&self, bytes: usize) -> Result<Memory> {
        self.enter("allocating")?;
        // SAFETY: the context is current.
        match unsafe { result::malloc_sync(bytes.max(4)) } {
            Ok(address) => Ok(Memory::new(address, Block { context: self.context.clone(), address })),
            Err(result::DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                Err(Error::OutOfMemory { device: self.name.clone(), bytes })
            }
            Err(e) => Err(self.error("allocating", e)),
        }
    }

    unsafe fn upload(&self, address: u64, src: &[u8]) -> Result<()> {
        self.enter("copying to the device")?;
        // SAFETY: the caller's promise; the context is current.
        unsafe { self.staging().upload(self.stream, address, src) }.map_err(|e| self.error("copying to the device", e))
    }

    unsafe fn download(&self, address: u64, dst: &mut [u8]) -> Result<()> {
        self.enter("copying from the device")?;
        // SAFETY: the caller's promise; `dst` lives until the stream has been waited for.
        let done = unsafe {
            result::memcpy_dtoh_async(dst, address, self.stream).and_then(|()| result::stream::synchronize(self.stream))
        };
        done.map_err(|e| self.error("copying from the device", e))
    }

    unsafe fn launch(&self, module: &'static str, step: &Step, arguments: &[&[u8]]) -> Result<()> {
        self.enter(step.function)?;
        let function = {
            let mut modules = self.modules.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            modules.function(module, step).map_err(|why| Error::Device {
                device: self.name.clone(),
                why,
                fix: "use --device cpu and report it".into(),
            })?
        };
        let mut pointers = [std::ptr::null_mut::<c_void>(); 20];
        for (pointer, argument) in pointers.iter_mut().zip(arguments) {
            *pointer = argument.as_ptr().cast_mut().cast();
        }
        let ([x, y, z], [a, b, c]) = (step.grid, step.block);
        let pointers = &mut pointers[..arguments.len()];
        // SAFETY: the caller's promise; the context is current; the driver copies the values.
        unsafe { result::launch_kernel(function, (x, y, z), (a, b, c), step.shared, self.stream, pointers) }
            .map_err(|e| self.error(&format!("launching {}", step.function), e))
    }

    fn sync(&self) -> Result<()> {
        self.enter("computing")?;
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::synchronize(self.stream) }.map_err(|e| self.error("computing", e))
    }

    fn begin_recording(&self) -> Result<bool> {
        self.enter("recording")?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::begin_capture(self.stream, mode) }.map_err(|e| self.error("recording", e))?;
        self.staging().keep();
        Ok(true)
    }

    fn end_recording(&self) -> Result<Box<dyn Replay>> {
        self.enter("recording")?;
        let kept = self.staging().kept();
        // SAFETY: the stream is being captured.
        let graph = unsafe { Graph::end(self.context.clone(), self.stream, kept) };
        Ok(Box::new(graph.map_err(|e| self.error("recording", e))?))
    }
}

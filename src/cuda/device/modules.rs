//! Modules and their functions, loaded when they are first used.

use super::probe;
use crate::cuda::image;
use crate::cuda::plan::{Chip, Step};
use cudarc::driver::result;
use cudarc::driver::sys::{self, CUfunction_attribute_enum as Attribute, CUjit_option_enum as Option_};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};

/// Most dynamic shared memory that a function gets without asking.
const SHARED: u32 = 48 << 10;

pub(super) struct Modules {
    chip: Chip,
    modules: HashMap<&'static str, sys::CUmodule>,
    functions: HashMap<&'static str, Function>,
}

#[derive(Clone, Copy)]
struct Function {
    handle: sys::CUfunction,
    /// Most dynamic shared memory that it may be launched with, in bytes.
    shared: u32,
}

impl Modules {
    pub(super) fn new(chip: Chip) -> Self {
        Modules { chip, modules: HashMap::new(), functions: HashMap::new() }
    }

    /// The function of a step; the context is current. In words what went wrong.
    pub(super) fn function(&mut self, module: &'static str, step: &Step) -> Result<sys::CUfunction, String> {
        let mut function = match self.functions.get(step.function) {
            Some(function) => *function,
            None => self.load(module, step.function)?,
        };
        if step.shared > function.shared {
            let failed =
                |e| format!("{} bytes of shared memory for {}: {}", step.shared, step.function, probe::text(e));
            let attribute = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is alive.
            unsafe { result::function::set_function_attribute(function.handle, attribute, step.shared as i32) }
                .map_err(failed)?;
            function.shared = step.shared;
            self.functions.insert(step.function, function);
        }
        Ok(function.handle)
    }

    fn load(&mut self, module: &'static str, name: &'static str) -> Result<Function, String> {
        let loaded = match self.modules.get(module) {
            Some(loaded) => *loaded,
            None => {
                let loaded = compile(module, self.chip)?;
                self.modules.insert(module, loaded);
                loaded
            }
        };
        let symbol = CString::new(name).expect("a function's name");
        // SAFETY: the module is alive.
        let handle = unsafe { result::module::get_function(loaded, symbol) }
            .map_err(|e| format!("module {module} has no {name}: {}", probe::text(e)))?;
        let function = Function { handle, shared: SHARED };
        self.functions.insert(name, function);
        Ok(function)
    }

    /// Gives everything back.
    ///
    /// # Safety
    /// The context is current and nothing runs.
    pub(super) unsafe fn unload(&mut self) {
        self.functions.clear();
        for (_, module) in self.modules.drain() {
            // SAFETY: loaded once, unloaded once.
            let _ = unsafe { result::module::unload(module) };
        }
    }
}

/// Has the driver compile a module's PTX for the current device; the driver keeps the result on disk.
fn compile(module: &str, chip: Chip) -> Result<sys::CUmodule, String> {
    let (major, minor) = chip.capability;
    let ptx = image(module, chip.capability).ok_or(format!("no kernels of {module} for capability {major}.{minor}"))?;
    let ptx = CString::new(ptx.text()).map_err(|_| format!("module {module} is not text"))?;
    let mut log = [0u8; 2048];
    let mut options = [Option_::CU_JIT_ERROR_LOG_BUFFER, Option_::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
    let mut values = [log.as_mut_ptr().cast::<c_void>(), (log.len() - 1) as *mut c_void];
    let mut loaded = std::ptr::null_mut();
    // SAFETY: text that ends in 0; the log lives until the call returns, and its size is one less than
    // it has, so that it ends in 0 too.
    let done = unsafe {
        sys::cuModuleLoadDataEx(
            &mut loaded,
            ptx.as_ptr().cast(),
            options.len() as u32,
            options.as_mut_ptr(),
            values.as_mut_ptr(),
        )
    };
    done.result().map_err(|e| {
        let said = CStr::from_bytes_until_nul(&log).map(CStr::to_string_lossy).unwrap_or_default();
        format!("module {module} cannot be loaded: {}. {}", probe::text(e), said.trim())
    })?;
    Ok(loaded)
}

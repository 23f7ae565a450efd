//! The kernels of [`mod@crate::reference`] on Vulkan adapters, through wgpu: the same bits, where the adapter
//! passes the check of [`mod@check`].
//!
//! May use: `error`, `kernel`, `backend`. The kernels are `shaders/FAMILY.wgsl`; here, one file per family says
//! how a call becomes dispatches ([`mod@plan`]), [`mod@shader`] what the driver gets to compile, and [`Wgpu`]
//! runs them on a [`device`].

pub mod ceiling;
pub mod check;
pub mod device;
pub mod elementwise;
pub mod gather;
pub mod gemm;
pub mod mmd;
pub mod norm;
pub mod optim;
pub mod plan;
pub mod random;
pub mod reduce;
pub mod sgld;
pub mod shader;
pub mod softmax;
pub mod spmm;
pub mod zinb;

use crate::backend::{Backend, Buffer, Call, Math, Replay};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use device::{Gpu, Memory};
use plan::{Arg, Plan, Planner};
use shader::Forms;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

/// A shader file with its planners.
pub struct Family {
    /// `shaders/MODULE.wgsl`
    pub module: &'static str,
    /// What is in it.
    pub text: &'static str,
    /// What it computes.
    pub kernels: &'static [(&'static Kernel, Planner)],
}

macro_rules! family {
    ($module:ident) => {
        family!($module, &$module::KERNELS)
    };
    ($module:ident, $kernels:expr) => {
        Family {
            module: stringify!($module),
            text: include_str!(concat!("../../shaders/", stringify!($module), ".wgsl")),
            kernels: $kernels,
        }
    };
}

/// All families.
pub static FAMILIES: &[Family] = &[
    // One line per family.
    family!(ceiling),
    family!(check, &[]),
    family!(elementwise),
    family!(gather),
    family!(gemm),
    family!(mmd),
    family!(norm),
    family!(optim),
    family!(random),
    family!(reduce),
    family!(sgld),
    family!(softmax),
    family!(spmm),
    family!(zinb),
];

/// The module and the planner of every kernel, by name.
fn table() -> &'static HashMap<&'static str, (&'static str, Planner)> {
    static TABLE: OnceLock<HashMap<&str, (&str, Planner)>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let rows = FAMILIES.iter().flat_map(|family| family.kernels.iter().map(|row| (family.module, row)));
        rows.map(|(module, (kernel, planner))| (kernel.name, (module, *planner))).collect()
    })
}

/// Whether this backend has a kernel.
pub fn has(kernel: &Kernel) -> bool {
    table().contains_key(kernel.name)
}

/// The wgpu backend on an adapter.
pub struct Wgpu {
    gpu: Arc<Gpu>,
    forms: Forms,
    scratch: Mutex<Option<Memory>>,
}

impl Wgpu {
    /// The backend on an adapter. Strict: the adapter is checked at its first use, and the verdict kept.
    /// In another mode there is no check, and the adapter's own operations are used.
    ///
    /// # Errors
    /// `Error::Device` if the adapter fails the check, with the name of the operation.
    pub fn new(gpu: Arc<Gpu>, math: Math) -> Result<Self> {
        let forms = match (math, gpu.kept_verdict()) {
            (Math::Fast | Math::Bf16, _) => Forms::NATIVE,
            (Math::Strict, Some(verdict)) => verdict.map_err(|what| unfit(&gpu, &what))?,
            (Math::Strict, None) => verify(&gpu)?,
        };
        Ok(Self::with_forms(gpu, forms))
    }

    /// The backend with these forms of the basic operations, unchecked.
    pub fn with_forms(gpu: Arc<Gpu>, forms: Forms) -> Self {
        Wgpu { gpu, forms, scratch: Mutex::default() }
    }

    /// The adapter.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    fn run(&self, module: &'static str, call: &Call, plan: &Plan) -> Result<()> {
        // Nobody else uses it while it is locked; launches run in order, so that afterwards it may be handed to
        // the next.
        let mut scratch = self.scratch.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if plan.scratch > 0 && scratch.as_ref().is_none_or(|memory| memory.bytes() < 4 * plan.scratch) {
            *scratch = None;
            *scratch = Some(self.gpu.alloc(4 * plan.scratch.next_power_of_two())?);
        }
        for step in &plan.steps {
            let buffer = |arg: &Arg| match *arg {
                Arg::Buffer(i) => memory(call.buffers[i as usize]),
                Arg::Scratch => scratch.as_ref().ok_or_else(|| Error::Launch {
                    kernel: call.kernel.name,
                    why: "its plan has no scratch memory".into(),
                }),
            };
            let buffers = step.args.iter().map(buffer).collect::<Result<Vec<_>>>()?;
            self.gpu.launch(module, step, call.params, &buffers, self.forms)?;
        }
        Ok(())
    }
}

/// Checks an adapter, whatever is known of it, and keeps the verdict.
///
/// # Errors
/// `Error::Device` if it fails, with the name of the operation.
pub fn verify(gpu: &Gpu) -> Result<Forms> {
    let verdict = check::examine(gpu)?;
    gpu.keep_verdict(&verdict);
    verdict.map_err(|what| unfit(gpu, &what))
}

/// The error for an adapter that has no exact form of an operation.
fn unfit(gpu: &Gpu, operation: &str) -> Error {
    let found = gpu.adapter();
    refusal(gpu.name(), &found.name, &found.driver, operation)
}

fn refusal(device: &str, name: &str, driver: &str, operation: &str) -> Error {
    Error::Device {
        device: device.into(),
        why: format!("{name} ({driver}) fails the strict self-check in {operation}"),
        fix: "use --math fast, or --device cpu".into(),
    }
}

fn memory(buffer: &Buffer) -> Result<&Memory> {
    buffer.memory::<Memory>().ok_or_else(|| Error::Launch {
        kernel: "wgpu",
        why: "a buffer of another device was given to a wgpu device".into(),
    })
}

fn fits(op: &'static str, buffer: &Buffer, bytes: usize) -> Result<()> {
    if bytes > buffer.bytes().next_multiple_of(4) {
        return Err(Error::Argument { op, what: format!("{bytes} bytes and a buffer of {}", buffer.bytes()) });
    }
    Ok(())
}

impl Backend for Wgpu {
    fn name(&self) -> &str {
        self.gpu.name()
    }

    fn alloc(&self, bytes: usize) -> Result<Buffer> {
        Ok(Buffer::new(bytes, self.gpu.alloc(bytes)?))
    }

    fn upload(&self, dst: &Buffer, src: &[u8]) -> Result<()> {
        fits("upload", dst, src.len())?;
        self.gpu.upload(memory(dst)?, src)
    }

    fn download(&self, src: &Buffer, dst: &mut [u8]) -> Result<()> {
        fits("download", src, dst.len())?;
        self.gpu.download(memory(src)?, dst)
    }

    fn launch(&self, call: &Call) -> Result<()> {
        let kernel = call.kernel.name;
        let fail = |why: String| Err(Error::Launch { kernel, why });
        if call.buffers.len() != call.kernel.bindings.len() {
            return fail(format!("takes {} buffers, was given {}", call.kernel.bindings.len(), call.buffers.len()));
        }
        let Some((module, planner)) = table().get(kernel) else {
            return fail("unknown to the wgpu backend".into());
        };
        self.run(module, call, &planner(call.params))
    }

    fn sync(&self) -> Result<()> {
        self.gpu.sync()
    }

    fn record(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Replay>>> {
        self.gpu.begin_recording()?;
        let worked = work();
        let recorded = self.gpu.end_recording();
        worked?;
        Ok(Some(recorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shader::MulAdd;

    #[test]
    fn an_adapter_that_fails_gets_one_line_with_the_operation_and_the_way_out() {
        let error = refusal("wgpu:0", "a card", "a driver 1.2", "division: that of 0x1, 0x2, 0x3 is 0x4, not 0x5");
        assert_eq!(error.exit_code(), 3);
        let line = error.to_string();
        assert!(!line.contains('\n') && line.contains("a card (a driver 1.2)"), "{line}");
        assert!(line.contains("division") && line.contains("--math fast"), "{line}");
    }

    /// Every entry with every choice that the planners make is met by `tests/kernels`; here, that those
    /// without choices compile in all forms.
    #[test]
    fn entries_without_choices_compile() {
        for family in FAMILIES {
            for name in shader::entries(family.text) {
                let entry = shader::entry(family.text, name).unwrap_or_else(|| panic!("{name}"));
                let forms = Forms { mul_add: MulAdd::Integers, native_quotient: false, native_root: false };
                let text = entry.text(forms, &vec![1; entry.slots.len()], 0, &[]);
                assert!(entry.slots.len() <= plan::BUFFERS, "{name} has too many buffers");
                if !text.contains('$') {
                    shader::compile(&text, name).unwrap_or_else(|e| panic!("{name}: {e}"));
                }
            }
        }
    }
}

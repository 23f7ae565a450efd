//! The kernels of [`mod@crate::reference`] on CUDA devices: the same bits, unless a faster mode is asked
//! for ([`Math`]).
//!
//! May use: `error`, `kernel`, `backend`. The kernels are `kernels/FAMILY.cu`; here, one file per
//! family says how a call becomes launches ([`mod@plan`]), and [`Cuda`] runs them on a [`driver`].

pub mod ceiling;
pub mod device;
pub mod driver;
pub mod elementwise;
pub mod gather;
pub mod gemm;
pub mod gemm_fast;
pub mod gemm_wgmma;
pub mod mmd;
pub mod norm;
pub mod optim;
pub mod plan;
pub mod random;
pub mod reduce;
mod rows;
pub mod sgld;
pub mod softmax;
pub mod spmm;
mod warpgroup;
pub mod zinb;

use crate::backend::{Backend, Buffer, Call, Math, Replay};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use driver::{Driver, Memory};
use flate2::read::ZlibDecoder;
use plan::{Arg, Chip, Plan, Planner, ZEROS};
use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// A kernel file: its planners and its PTX by target.
pub struct Family {
    /// `kernels/MODULE.cu`
    pub module: &'static str,
    /// The mode that these kernels are for. Beyond `Strict` they replace the strict ones on devices
    /// that the images cover.
    pub math: Math,
    /// Whether it is for devices on which it has been checked (`warpgroup`).
    pub checked: bool,
    /// What it computes.
    pub kernels: &'static [(&'static Kernel, Planner)],
    /// In ascending order of their targets.
    pub images: &'static [Image],
}

/// The PTX of a module for one target, compressed.
#[derive(Clone, Copy)]
pub struct Image {
    /// `"70"`: from capability 7.0 on; `"90a"`: 9.0 alone.
    pub target: &'static str,
    zlib: &'static [u8],
}

impl Image {
    /// The PTX.
    ///
    /// # Panics
    /// If the program's own data is damaged.
    pub fn text(&self) -> String {
        let mut text = String::new();
        ZlibDecoder::new(self.zlib).read_to_string(&mut text).expect("compressed by the build");
        text
    }
}

macro_rules! family {
    ($module:ident, $($target:literal)+) => { family!($module KERNELS Strict false, $($target)+) };
    ($module:ident $kernels:ident $math:ident $checked:literal, $($target:literal)+) => {
        Family {
            module: stringify!($module),
            math: Math::$math,
            checked: $checked,
            kernels: &$module::$kernels,
            images: &[$(Image {
                target: $target,
                zlib: include_bytes!(concat!(env!("OUT_DIR"), "/", stringify!($module), ".sm_", $target, ".ptx.z")),
            }),+],
        }
    };
}

/// All families. The targets are those of the line `// targets:` in the kernel file, 70 without one.
pub static FAMILIES: &[Family] = &[
    // One line per family.
    family!(ceiling, "70"),
    family!(elementwise, "70"),
    family!(gather, "70"),
    family!(gemm, "70" "80"),
    family!(gemm_fast TF32 Fast false, "80"),
    family!(gemm_fast BF16 Bf16 false, "80"),
    family!(gemm_wgmma TF32 Fast true, "90a"),
    family!(gemm_wgmma BF16 Bf16 true, "90a"),
    family!(mmd, "70"),
    family!(norm, "70"),
    family!(optim, "70"),
    family!(random, "70"),
    family!(reduce, "70"),
    family!(sgld, "70"),
    family!(softmax, "70"),
    family!(spmm, "70" "80"),
    family!(zinb, "70"),
];

/// The PTX of a module for a capability: of the last target that it covers.
pub fn image(module: &str, capability: (u32, u32)) -> Option<&'static Image> {
    let family = FAMILIES.iter().find(|family| family.module == module)?;
    let covers = |target: &str| match target.strip_suffix('a') {
        Some(exact) => exact.parse() == Ok(capability.0 * 10 + capability.1),
        None => target.parse::<u32>().is_ok_and(|least| capability.0 * 10 + capability.1 >= least),
    };
    family.images.iter().rfind(|image| covers(image.target))
}

/// The module and the planner of every kernel, by name.
type Table = HashMap<&'static str, (&'static str, Planner)>;

/// The kernels of a mode on devices of a capability; with those that have to be checked there, if they
/// have been.
fn table(math: Math, capability: (u32, u32), checked: bool) -> Table {
    let strict = FAMILIES.iter().filter(|family| family.math == Math::Strict);
    let faster = FAMILIES.iter().filter(|family| math != Math::Strict && family.math == math);
    let faster = faster.filter(|family| image(family.module, capability).is_some() && (checked || !family.checked));
    let rows = strict.chain(faster).flat_map(|family| family.kernels.iter().map(|row| (family.module, row)));
    rows.map(|(module, (kernel, planner))| (kernel.name, (module, *planner))).collect()
}

/// The launches of a strict call on `chip`; `None` for a kernel that this backend lacks.
pub fn plan(call: &Call, chip: &Chip) -> Option<Plan> {
    static TABLE: OnceLock<Table> = OnceLock::new();
    let (_, planner) = TABLE.get_or_init(|| table(Math::Strict, (0, 0), false)).get(call.kernel.name)?;
    Some(planner(call.params, call.geometry, chip))
}

/// The CUDA backend over a driver.
pub struct Cuda<D> {
    driver: D,
    chip: Chip,
    table: Table,
    note: Option<String>,
    scratch: Mutex<Scratch>,
    zeros: OnceLock<Memory>,
}

/// Memory for what one call's steps hand to each other.
#[derive(Default)]
struct Scratch {
    memory: Option<Arc<Memory>>,
    words: usize,
    /// While a recording is made: all memory that its launches use.
    recorded: Option<Vec<Arc<Memory>>>,
}

/// What a driver recorded, with the scratch memory that its launches use.
struct Recorded {
    steps: Box<dyn Replay>,
    _scratch: Vec<Arc<Memory>>,
}

impl Replay for Recorded {
    fn replay(&self) -> Result<()> {
        self.steps.replay()
    }
}

impl<D: Driver> Cuda<D> {
    /// A strict backend.
    pub fn new(driver: D) -> Self {
        Self::with_math(driver, Math::Strict)
    }

    /// A backend in another mode; strict where the device has nothing faster. Kernels that have to be
    /// checked on the device are, and left out with a [note](Backend::note) if they fail.
    pub fn with_math(driver: D, math: Math) -> Self {
        let chip = driver.chip();
        let known = table(math, chip.capability, false);
        let scratch = Mutex::default();
        let mut cuda = Cuda { driver, chip, table: known, note: None, scratch, zeros: OnceLock::new() };
        let doubtful = |family: &&Family| family.checked && family.math == math;
        if FAMILIES.iter().filter(doubtful).any(|family| image(family.module, chip.capability).is_some()) {
            match warpgroup::doubt(&cuda, math) {
                None => cuda.table = table(math, chip.capability, true),
                Some(why) => {
                    let name = cuda.driver.name();
                    cuda.note =
                        Some(format!("{name}: products by warp groups fail their check, others are used ({why})"));
                }
            }
        }
        cuda
    }

    /// The device.
    pub fn driver(&self) -> &D {
        &self.driver
    }

    fn scratch(&self) -> MutexGuard<'_, Scratch> {
        self.scratch.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The address of at least `words` words of scratch memory. Nobody else uses it while `scratch` is
    /// locked; launches run in order, so that afterwards it may be handed to the next.
    fn reserve(&self, scratch: &mut Scratch, words: usize) -> Result<u64> {
        if words == 0 {
            return Ok(0);
        }
        if scratch.words < words {
            if scratch.recorded.is_none() {
                // What runs may still use the old one.
                self.driver.sync()?;
            }
            // Exact at first, which lets a checker of memory see its end; then in powers of two.
            let words = if scratch.words == 0 { words } else { words.next_power_of_two() };
            *scratch = Scratch { recorded: scratch.recorded.take(), ..Scratch::default() };
            scratch.memory = Some(Arc::new(self.driver.alloc(words * 4)?));
            scratch.words = words;
        }
        let memory = scratch.memory.as_ref().expect("just made");
        if let Some(recorded) = &mut scratch.recorded
            && !recorded.iter().any(|held| Arc::ptr_eq(held, memory))
        {
            recorded.push(memory.clone());
        }
        Ok(memory.address())
    }

    /// The address of [`ZEROS`] zeros. Launches run in order, so that one place is enough.
    fn zeros(&self) -> Result<u64> {
        if self.zeros.get().is_none() {
            let memory = self.driver.alloc(ZEROS * 4)?;
            // SAFETY: just allocated, with this size.
            unsafe { self.driver.upload(memory.address(), &[0; ZEROS * 4])? };
            // Another thread may have been first; then its memory is the one.
            let _ = self.zeros.set(memory);
        }
        Ok(self.zeros.get().map_or(0, Memory::address))
    }

    /// Launches a call in a way of the caller's choice instead of the planner's: for tests and
    /// benchmarks.
    ///
    /// # Safety
    /// `plan` is one that the family's planner could make for this call.
    pub unsafe fn launch_as(&self, call: &Call, plan: &Plan) -> Result<()> {
        let kernel = call.kernel.name;
        let fail = |why: String| Err(Error::Launch { kernel, why });
        if call.buffers.len() != call.kernel.bindings.len() {
            return fail(format!("takes {} buffers, was given {}", call.kernel.bindings.len(), call.buffers.len()));
        }
        let Some(&(module, _)) = self.table.get(kernel) else {
            return fail("unknown to the cuda backend".into());
        };
        let mut addresses = [0u64; 12];
        for (address, buffer) in addresses.iter_mut().zip(call.buffers) {
            *address = memory(buffer)?.address();
        }
        let mut scratch = self.scratch();
        let scratch_address = self.reserve(&mut scratch, plan.scratch)?;
        for step in plan.steps.iter() {
            let mut values = [[0u8; 8]; 20];
            for (arg, value) in step.args.iter().zip(&mut values) {
                *value = match *arg {
                    Arg::Params => 0,
                    Arg::Buffer(i) => addresses[i as usize],
                    Arg::Scratch(word) => scratch_address + 4 * u64::from(word),
                    Arg::Zeros => self.zeros()?,
                    Arg::Word(word) => word.into(),
                }
                .to_le_bytes();
            }
            let mut arguments: [&[u8]; 20] = [&[]; 20];
            for ((arg, value), argument) in step.args.iter().zip(&values).zip(&mut arguments) {
                *argument = match arg {
                    Arg::Params => call.params,
                    Arg::Word(_) => &value[..4],
                    Arg::Buffer(_) | Arg::Scratch(_) | Arg::Zeros => value,
                };
            }
            // SAFETY: the caller's plan names the arguments of its function in order; the buffers live
            // as long as the call, and memory given back later is reused or freed in launch order.
            unsafe { self.driver.launch(step.module.unwrap_or(module), step, &arguments[..step.args.len()])? };
        }
        Ok(())
    }
}

fn memory(buffer: &Buffer) -> Result<&Memory> {
    buffer.memory::<Memory>().ok_or_else(|| Error::Launch {
        kernel: "cuda",
        why: "a buffer of another device was given to a cuda device".into(),
    })
}

fn fits(op: &'static str, buffer: &Buffer, bytes: usize) -> Result<()> {
    if bytes > buffer.bytes().next_multiple_of(4) {
        return Err(Error::Argument { op, what: format!("{bytes} bytes and a buffer of {}", buffer.bytes()) });
    }
    Ok(())
}

impl<D: Driver> Backend for Cuda<D> {
    fn name(&self) -> &str {
        self.driver.name()
    }

    fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    fn alloc(&self, bytes: usize) -> Result<Buffer> {
        Ok(Buffer::new(bytes, self.driver.alloc(bytes.next_multiple_of(4))?))
    }

    fn upload(&self, dst: &Buffer, src: &[u8]) -> Result<()> {
        fits("upload", dst, src.len())?;
        // SAFETY: the buffer is alive and large enough.
        unsafe { self.driver.upload(memory(dst)?.address(), src) }
    }

    fn download(&self, src: &Buffer, dst: &mut [u8]) -> Result<()> {
        fits("download", src, dst.len())?;
        // SAFETY: the buffer is alive and large enough.
        unsafe { self.driver.download(memory(src)?.address(), dst) }
    }

    fn launch(&self, call: &Call) -> Result<()> {
        let Some((_, planner)) = self.table.get(call.kernel.name) else {
            return Err(Error::Launch { kernel: call.kernel.name, why: "unknown to the cuda backend".into() });
        };
        // SAFETY: the family's own plan; that it fits its functions is tested for every kernel.
        unsafe { self.launch_as(call, &planner(call.params, call.geometry, &self.chip)) }
    }

    fn sync(&self) -> Result<()> {
        self.driver.sync()
    }

    fn record(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Replay>>> {
        // Written now, not when the recording is replayed.
        self.zeros()?;
        if !self.driver.begin_recording()? {
            return Ok(None);
        }
        self.scratch().recorded = Some(Vec::new());
        let worked = work();
        let scratch = self.scratch().recorded.take().unwrap_or_default();
        let steps = self.driver.end_recording();
        // What went wrong first is what to tell.
        worked?;
        Ok(Some(Box::new(Recorded { steps: steps?, _scratch: scratch })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_has_ptx_with_its_kernels_for_the_chips_of_today() {
        for family in FAMILIES {
            for capability in [(7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)] {
                let Some(image) = image(family.module, capability) else {
                    assert!(family.math != Math::Strict, "{} is missing for {capability:?}", family.module);
                    continue;
                };
                assert!(image.text().contains(".version 8.0"), "{}: PTX of another compiler", family.module);
            }
            assert!(image(family.module, (6, 1)).is_none());
        }
    }

    #[test]
    fn faster_kernels_are_taken_only_when_asked_for_and_on_devices_that_have_them() {
        let module = |math, capability| table(math, capability, false)["gemm"].0;
        assert_eq!(module(Math::Strict, (9, 0)), "gemm");
        for math in [Math::Fast, Math::Bf16] {
            assert_eq!(module(math, (8, 0)), "gemm_fast");
            assert_eq!(module(math, (7, 5)), "gemm");
            // Nothing else changes.
            let (strict, fast) = (table(Math::Strict, (9, 0), true), table(math, (9, 0), true));
            assert_eq!(fast["gemm"].0, "gemm_wgmma");
            assert_eq!(table(math, (10, 0), true)["gemm"].0, "gemm_fast");
            assert_eq!(strict.len(), fast.len());
            assert!(strict.iter().all(|(kernel, row)| *kernel == "gemm" || fast[kernel].0 == row.0));
        }
        assert!(
            table(Math::Fast, (9, 0), false)["gemm"].1 as usize != table(Math::Bf16, (9, 0), false)["gemm"].1 as usize
        );
    }
}

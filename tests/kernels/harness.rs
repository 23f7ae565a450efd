//! Runs one launch on every backend and compares words with the reference.
#![allow(dead_code)]

pub use crate::values::{finite, hostile, ordinary};
use bytemuck::Pod;
use cytograd::backend::{Backend, Buffer, Call};
use cytograd::cpu::Cpu;
use cytograd::kernel::Kernel;
use cytograd::reference::Reference;
#[cfg(feature = "wgpu")]
use cytograd::wgpu::Wgpu;
use std::sync::OnceLock;
#[cfg(feature = "cuda")]
use {
    crate::shim, cytograd::cuda::Cuda, cytograd::cuda::device::Gpu, cytograd::cuda::driver::Driver,
    cytograd::cuda::plan::Chip, std::sync::Mutex,
};

/// Words past the end of every output, which no kernel may touch.
const GUARD: usize = 24;
const GUARD_WORD: u32 = 0xdead_beef;
/// What outputs hold before a launch; two patterns, so that an element left unwritten shows.
const POISON: [u32; 2] = [0x7fc0_1234, 0x4b1d_0bad];

/// An output of a launch.
pub enum Out {
    /// `n` f32 elements that the kernel writes.
    Floats(usize),
    /// `n` u32 elements that the kernel writes.
    Words(usize),
    /// f32 elements that the kernel updates, with their first content.
    Update(Vec<f32>),
    /// u32 elements that the kernel updates, with their first content.
    UpdateWords(Vec<u32>),
}

/// Most words of a case that runs under the address sanitizer, which is slow.
const SANITIZED_WORDS: usize = 20_000;

/// Most words of a case that runs on a Vulkan adapter which is a program.
#[cfg(feature = "wgpu")]
const SOFTWARE_WORDS: usize = 1 << 20;

/// The backends under test beside the reference: name and backend. None under the address sanitizer,
/// which is there for the CUDA kernels.
pub fn backends() -> &'static [(String, Box<dyn Backend>)] {
    static ALL: OnceLock<Vec<(String, Box<dyn Backend>)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let threads: &[usize] = if sanitized() { &[] } else { &[1, 2, 7] };
        let cpu = |&n: &usize| (format!("cpu with {n} threads"), Box::new(Cpu::new(n)) as Box<dyn Backend>);
        threads.iter().map(cpu).collect()
    })
}

/// The CUDA backends: the kernels' source on the host, for several chips, and the devices of this
/// machine. What is missing is said once; `CYTOGRAD_REQUIRE=cuda` makes a missing device a failure,
/// `CYTOGRAD_SKIP=cuda-host` leaves the host out.
#[cfg(feature = "cuda")]
fn cuda() -> &'static [(String, Box<dyn Backend>, Chip)] {
    static ALL: OnceLock<Vec<(String, Box<dyn Backend>, Chip)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all: Vec<(String, Box<dyn Backend>, Chip)> = Vec::new();
        match shim::backends() {
            Ok(shims) => all.extend(shims.into_iter().map(|(name, cuda)| {
                let chip = cuda.driver().chip();
                (name, Box::new(cuda) as Box<dyn Backend>, chip)
            })),
            Err(why) => eprintln!("skipped: CUDA kernels on the host: {why}"),
        }
        match Gpu::open(0) {
            _ if sanitized() => {}
            Ok(gpu) => {
                let chip = gpu.chip();
                all.insert(0, (gpu.name().to_string(), Box::new(Cuda::new(gpu)), chip));
            }
            Err(why) if shim::listed("CYTOGRAD_REQUIRE", "cuda") => panic!("{why}"),
            Err(why) => eprintln!("skipped: CUDA kernels on a device: {why}"),
        }
        all
    })
}

/// The CUDA backends on which this call is worth running: those with launches of their own.
#[cfg(feature = "cuda")]
fn cuda_for(call: &Call) -> Vec<(&'static str, &'static dyn Backend)> {
    let mut seen = Vec::new();
    let mut chosen = Vec::new();
    for (name, backend, chip) in cuda() {
        let plan = cytograd::cuda::plan(call, chip).unwrap_or_else(|| panic!("{}: no CUDA kernel", call.kernel.name));
        // A device runs everything; what runs on the host is the same for the same launches.
        if name.starts_with("cuda:") {
            chosen.push((name.as_str(), backend.as_ref()));
        } else if !seen.contains(&plan) {
            seen.push(plan);
            chosen.push((name.as_str(), backend.as_ref()));
        }
    }
    chosen
}

/// The wgpu backend on the first Vulkan adapter, often a program on the processor. `CYTOGRAD_REQUIRE=wgpu`
/// makes a missing one a failure.
#[cfg(feature = "wgpu")]
fn wgpu() -> Option<&'static Wgpu> {
    static ONE: OnceLock<Option<Wgpu>> = OnceLock::new();
    if sanitized() {
        return None;
    }
    let open = || match crate::adapter::wgpu() {
        Ok(wgpu) => Some(wgpu),
        Err(why) if crate::adapter::required() => panic!("{why}"),
        Err(why) => {
            eprintln!("skipped: kernels on a Vulkan adapter: {why}");
            None
        }
    };
    ONE.get_or_init(open).as_ref()
}

/// The wgpu backend if this call is worth running there: an adapter that is a program takes its time.
#[cfg(feature = "wgpu")]
fn wgpu_for(kernel: &'static Kernel, words: usize) -> Option<&'static dyn Backend> {
    let wgpu = wgpu()?;
    let small = !wgpu.gpu().adapter().software || words <= SOFTWARE_WORDS;
    (small && cytograd::wgpu::has(kernel)).then_some(wgpu as &dyn Backend)
}

#[cfg(not(feature = "wgpu"))]
fn wgpu_for(_: &'static Kernel, _: usize) -> Option<&'static dyn Backend> {
    None
}

/// Whether this process is the one that [`crate::sanitize`] started.
fn sanitized() -> bool {
    #[cfg(feature = "cuda")]
    return shim::sanitize();
    #[cfg(not(feature = "cuda"))]
    false
}

/// Says once that a kernel ran under the sanitizer.
#[cfg(feature = "cuda")]
fn say_sanitized(kernel: &'static str) {
    static SAID: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let mut said = SAID.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if sanitized() && !said.contains(&kernel) {
        said.push(kernel);
        // One write with a line of its own: the sanitizer writes to the same place as it likes.
        let line = format!("\nsanitized {kernel}\n");
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).expect("standard error");
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda_for(_: &Call) -> Vec<(&'static str, &'static dyn Backend)> {
    Vec::new()
}

/// Runs `kernel` on the reference and on every backend, and fails at the first word that differs
/// (any NaN equals any NaN in float outputs). Returns the reference's outputs.
pub fn check<P: Pod>(
    what: &str,
    kernel: &'static Kernel,
    params: &P,
    inputs: &[&[u32]],
    outputs: &[Out],
) -> Vec<Vec<u32>> {
    check_geometry(what, kernel, params, inputs, outputs, [1, 1, 1])
}

/// [`check`] with a geometry for backends that use it.
pub fn check_geometry<P: Pod>(
    what: &str,
    kernel: &'static Kernel,
    params: &P,
    inputs: &[&[u32]],
    outputs: &[Out],
    geometry: [u32; 3],
) -> Vec<Vec<u32>> {
    let run = |backend: &dyn Backend, poison| launch(backend, kernel, params, inputs, outputs, geometry, poison);
    let reference = Reference::new();
    let expected = run(&reference, POISON[0]);
    // A map or a copy costs what it writes, however large the buffer is that it reads a part of; sums
    // over pairs take the square of their words.
    let is = |family: &str| kernel.name.starts_with(family);
    let read = if is("elementwise") || is("gather") { 0 } else { inputs.iter().map(|input| input.len()).sum() };
    let words = read + expected.iter().map(Vec::len).sum::<usize>();
    if sanitized() && words > if is("mmd") { SANITIZED_WORDS / 10 } else { SANITIZED_WORDS } {
        return expected;
    }
    compare(what, kernel.name, "reference run twice", outputs, &run(&reference, POISON[1]), &expected);
    for (name, backend) in backends() {
        let found = run(backend.as_ref(), POISON[1]);
        compare(what, kernel.name, name, outputs, &found, &expected);
    }
    if let Some(backend) = wgpu_for(kernel, words) {
        compare(what, kernel.name, backend.name(), outputs, &run(backend, POISON[1]), &expected);
    }
    let call = Call { kernel, params: bytemuck::bytes_of(params), buffers: &[], geometry };
    for (name, backend) in cuda_for(&call) {
        compare(what, kernel.name, name, outputs, &run(backend, POISON[1]), &expected);
        #[cfg(feature = "cuda")]
        say_sanitized(kernel.name);
    }
    expected
}

fn launch<P: Pod>(
    backend: &dyn Backend,
    kernel: &'static Kernel,
    params: &P,
    inputs: &[&[u32]],
    outputs: &[Out],
    geometry: [u32; 3],
    poison: u32,
) -> Vec<Vec<u32>> {
    let upload = |words: &[u32]| {
        let buffer = backend.alloc(words.len() * 4).expect("alloc");
        backend.upload(&buffer, bytemuck::cast_slice(words)).expect("upload");
        buffer
    };
    let mut buffers: Vec<Buffer> = inputs.iter().map(|words| upload(words)).collect();
    // The same words given twice are one buffer bound twice.
    let of_input = |k: usize| inputs.iter().position(|words| std::ptr::eq(*words, inputs[k])).unwrap_or(k);
    for out in outputs {
        let mut words = match out {
            Out::Floats(n) | Out::Words(n) => vec![poison; *n],
            Out::Update(first) => bytemuck::cast_slice(first).to_vec(),
            Out::UpdateWords(first) => first.clone(),
        };
        words.extend([GUARD_WORD; GUARD]);
        buffers.push(upload(&words));
    }
    let refs: Vec<&Buffer> =
        (0..buffers.len()).map(|k| &buffers[if k < inputs.len() { of_input(k) } else { k }]).collect();
    let call = Call { kernel, params: bytemuck::bytes_of(params), buffers: &refs, geometry };
    backend.launch(&call).unwrap_or_else(|e| panic!("{}: {e}", backend.name()));
    buffers[inputs.len()..]
        .iter()
        .map(|buffer| {
            let mut words = vec![0u32; buffer.bytes() / 4];
            backend.download(buffer, bytemuck::cast_slice_mut(&mut words)).expect("download");
            words
        })
        .collect()
}

fn compare(what: &str, kernel: &str, backend: &str, outputs: &[Out], found: &[Vec<u32>], expected: &[Vec<u32>]) {
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        let n = found.len() - GUARD;
        assert!(
            found[n..].iter().all(|&w| w == GUARD_WORD),
            "{kernel}, {what}, {backend}: output {k} wrote past its end"
        );
        let float = matches!(outputs[k], Out::Floats(_) | Out::Update(_));
        let nan = |w: u32| w & 0x7fff_ffff > 0x7f80_0000;
        for i in 0..n {
            let (f, e) = (found[i], expected[i]);
            assert!(
                f == e || (float && nan(f) && nan(e)),
                "{kernel}, {what}, {backend}: output {k}[{i}] of {n} is {f:#010x} ({:e}), the reference says {e:#010x} ({:e})",
                f32::from_bits(f),
                f32::from_bits(e),
            );
        }
    }
}

/// Sizes at which loops, blocks and lanes break.
pub const SIZES: [usize; 14] = [0, 1, 2, 3, 7, 17, 31, 64, 65, 127, 255, 257, 1021, 4099];

/// The words of f32 values.
pub fn bits(values: &[f32]) -> &[u32] {
    bytemuck::cast_slice(values)
}

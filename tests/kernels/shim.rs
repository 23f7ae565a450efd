//! The CUDA kernels without a CUDA device: `kernels/*.cu` compiled by the host's C++ compiler through
//! `kernels/host`, loaded as a library, behind the same planners and the same backend as the real ones.
#![allow(dead_code)]

use cytograd::backend::Replay;
use cytograd::cuda::Cuda;
use cytograd::cuda::driver::{Driver, Memory};
use cytograd::cuda::plan::{Chip, Step};
use cytograd::{Error, Result};
use libloading::Library;
use std::alloc::Layout;
use std::collections::hash_map::DefaultHasher;
use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// A large chip; what the planners choose for others runs too (see [`CHIPS`]).
pub const CHIPS: [(&str, Chip); 2] = [
    ("cuda on the host, as sm_90", Chip { multiprocessors: 132, shared_per_block: 227 << 10, capability: (9, 0) }),
    ("cuda on the host, as sm_70", Chip { multiprocessors: 6, shared_per_block: 96 << 10, capability: (7, 0) }),
];

/// Whether an environment variable names this part; parts are separated by spaces.
pub fn listed(variable: &str, part: &str) -> bool {
    std::env::var(variable).is_ok_and(|parts| parts.split(' ').any(|p| p == part))
}

/// Why there is no shim here, or one backend for each of [`CHIPS`].
pub fn backends() -> std::result::Result<Vec<(String, Cuda<Shim>)>, String> {
    if listed("CYTOGRAD_SKIP", "cuda-host") {
        return Err("CYTOGRAD_SKIP=cuda-host".into());
    }
    let library = library()?;
    let make = |(name, chip): (&str, Chip)| (name.to_string(), Cuda::new(Shim::new(library.clone(), chip)));
    Ok(CHIPS.map(make).into_iter().collect())
}

/// The driver alone, for the first of [`CHIPS`].
pub fn driver() -> std::result::Result<Shim, String> {
    if listed("CYTOGRAD_SKIP", "cuda-host") {
        return Err("CYTOGRAD_SKIP=cuda-host".into());
    }
    Ok(Shim::new(library()?, CHIPS[0].1))
}

/// The kernels' folder: of the package, wherever it lies now.
pub fn sources() -> Option<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let places = [here, Some(".".into()), Some(env!("CARGO_MANIFEST_DIR").into())];
    places.into_iter().flatten().map(|p| p.join("kernels")).find(|p| p.join("common.cuh").exists())
}

/// The compiled sources, or why there are none.
pub fn library() -> std::result::Result<Arc<Library>, String> {
    static LIBRARY: OnceLock<std::result::Result<Arc<Library>, String>> = OnceLock::new();
    let load = || {
        let path = build(sanitize())?;
        // SAFETY: our own library, whose initialisers are those of plain C++ globals.
        unsafe { Library::new(&path) }.map(Arc::new).map_err(|e| format!("{}: {e}", path.display()))
    };
    LIBRARY.get_or_init(load).clone()
}

/// Files below the folder with this extension, in order.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()) {
        if path.is_dir() {
            files.extend(self::files(&path, extensions));
        } else if path.extension().and_then(OsStr::to_str).is_some_and(|e| extensions.contains(&e)) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Compiles what changed since the last time, and links. One object per file, named by the hash of all
/// that it depends on.
fn build(sanitize: bool) -> std::result::Result<PathBuf, String> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sources = sources().ok_or("the folder kernels/ is not here")?;
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    if Command::new(&compiler).arg("--version").env_remove("LD_PRELOAD").output().is_err() {
        return Err(format!("no C++ compiler: {compiler} cannot be run"));
    }
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cuda-host");
    let out = if fs::create_dir_all(&out).is_ok() { out } else { std::env::temp_dir().join("cytograd-cuda-host") };
    fs::create_dir_all(&out).map_err(|e| e.to_string())?;
    let mut flags = vec!["-std=c++17", "-O2", "-g", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"];
    flags.extend(["-fno-strict-aliasing", "-U_FORTIFY_SOURCE", "-Wno-unknown-pragmas", "-x", "c++"]);
    if cfg!(target_arch = "x86_64") {
        flags.push("-mfma");
    }
    if sanitize {
        flags.push("-fsanitize=address");
    }
    let mut common = DefaultHasher::new();
    (&compiler, &flags).hash(&mut common);
    for path in files(&sources, &["cuh", "h"]) {
        fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?.hash(&mut common);
    }
    let mut objects = Vec::new();
    let mut all = common.clone();
    for path in files(&sources, &["cu", "cpp"]) {
        let mut hash = common.clone();
        fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?.hash(&mut hash);
        hash.finish().hash(&mut all);
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or("kernel");
        objects.push((path.clone(), out.join(format!("{stem}-{:016x}.o", hash.finish()))));
    }
    let library = out.join(format!("kernels-{:016x}.so", all.finish()));
    if library.exists() {
        return Ok(library);
    }
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || -> std::result::Result<(), String> {
        while let Some((source, object)) = objects.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            if !object.exists() {
                let part = object.with_extension(format!("part{}", std::process::id()));
                run(Command::new(&compiler).args(&flags).arg("-c").arg(source).arg("-o").arg(&part))?;
                fs::rename(&part, object).map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|w| w.join().expect("a compiler thread"))
    })?;
    let part = library.with_extension(format!("part{}", std::process::id()));
    let sanitizer = sanitize.then_some("-fsanitize=address");
    run(Command::new(&compiler)
        .arg("-shared")
        .args(sanitizer)
        .args(objects.iter().map(|o| &o.1))
        .arg("-o")
        .arg(&part))?;
    fs::rename(&part, &library).map_err(|e| e.to_string())?;
    Ok(library)
}

fn run(command: &mut Command) -> std::result::Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    // A kernel that does not compile is a failure, not a machine without a compiler.
    assert!(output.status.success(), "{command:?} failed:\n{text}");
    Ok(())
}

/// Whether this process runs the kernels under the address sanitizer, whose library was loaded first.
pub fn sanitize() -> bool {
    std::env::var_os("CYTOGRAD_SANITIZE").is_some()
}

/// The sanitizer's library, once the kernels have been compiled for it; or why there is none.
pub fn sanitizer() -> std::result::Result<PathBuf, String> {
    if listed("CYTOGRAD_SKIP", "cuda-host") {
        return Err("CYTOGRAD_SKIP=cuda-host".into());
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let output = Command::new(&compiler).arg("-print-file-name=libasan.so").output();
    let output = output.map_err(|_| format!("no C++ compiler: {compiler} cannot be run"))?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !path.is_absolute() {
        return Err(format!("{compiler} has no libasan.so"));
    }
    build(true)?;
    Ok(path)
}

/// The driver: memory is the host's, a launch is a call.
pub struct Shim {
    library: Arc<Library>,
    chip: Chip,
    records: bool,
    recording: Mutex<Option<Vec<Kept>>>,
}

/// What was recorded: a launch with the values of its arguments, or bytes to copy to an address.
enum Kept {
    Launch(Box<Step>, Vec<Vec<u8>>),
    Upload(u64, Vec<u8>),
}

struct Tape {
    driver: Shim,
    kept: Vec<Kept>,
}

impl Replay for Tape {
    fn replay(&self) -> Result<()> {
        for kept in &self.kept {
            match kept {
                Kept::Launch(step, arguments) => {
                    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
                    self.driver.run(step, &arguments)?;
                }
                // SAFETY: the recording holds the memory.
                Kept::Upload(address, bytes) => unsafe { self.driver.upload(*address, bytes)? },
            }
        }
        Ok(())
    }
}

/// Host memory as a device gives it: aligned to 256 bytes, content undefined, ending where it ends.
struct Block {
    address: usize,
    layout: Layout,
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and dropped once.
        unsafe { std::alloc::dealloc(self.address as *mut u8, self.layout) };
    }
}

fn refuse(step: &Step, why: impl std::fmt::Display) -> Error {
    Error::Launch { kernel: step.function, why: why.to_string() }
}

impl Shim {
    pub fn new(library: Arc<Library>, chip: Chip) -> Self {
        Shim { library, chip, records: true, recording: Mutex::new(None) }
    }

    /// One that records nothing.
    pub fn eager(self) -> Self {
        Shim { records: false, ..self }
    }

    fn recording(&self) -> MutexGuard<'_, Option<Vec<Kept>>> {
        self.recording.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs a launch whose arguments fit its function.
    fn run(&self, step: &Step, arguments: &[&[u8]]) -> Result<()> {
        type Entry = unsafe extern "C" fn(*mut *mut c_void);
        type Launch = unsafe extern "C" fn(
            Entry,
            *mut *mut c_void,
            *const c_uint,
            *const c_uint,
            c_uint,
            *mut c_char,
            usize,
        ) -> c_int;
        let [x, y, z] = step.grid;
        if x == 0 || x > i32::MAX as u32 || !(1..=65535).contains(&y) || !(1..=65535).contains(&z) {
            return Err(refuse(step, format!("grid {:?} is not possible", step.grid)));
        }
        let threads: u64 = step.block.iter().map(|&n| u64::from(n)).product();
        if !(1..=1024).contains(&threads) || step.block[2] > 64 {
            return Err(refuse(step, format!("block {:?} is not possible", step.block)));
        }
        if step.shared > self.chip.shared_per_block {
            return Err(refuse(step, format!("{} bytes of shared memory are too many", step.shared)));
        }
        let mut pointers: Vec<*mut c_void> = arguments.iter().map(|a| a.as_ptr().cast_mut().cast()).collect();
        let mut message = [0u8; 256];
        // SAFETY: both symbols have these types (`ENTRY` in cuda_host.h, run.cpp).
        let failed = unsafe {
            let launch = self.library.get::<Launch>(b"shim_launch\0").map_err(|e| refuse(step, e))?;
            let name = format!("shim_{}\0", step.function);
            let entry = self.library.get::<Entry>(name.as_bytes()).map_err(|e| refuse(step, e))?;
            let (grid, block) = (step.grid.as_ptr(), step.block.as_ptr());
            let text = message.as_mut_ptr().cast();
            launch(*entry, pointers.as_mut_ptr(), grid, block, step.shared, text, message.len())
        };
        if failed != 0 {
            let text = CStr::from_bytes_until_nul(&message).map(CStr::to_string_lossy).unwrap_or_default();
            return Err(refuse(step, text));
        }
        Ok(())
    }
}

impl Driver for Shim {
    fn name(&self) -> &str {
        "cuda on the host"
    }

    fn chip(&self) -> Chip {
        self.chip
    }

    fn alloc(&self, bytes: usize) -> Result<Memory> {
        let layout = Layout::from_size_align(bytes.max(1), 256).expect("a size");
        // SAFETY: the size is not 0.
        let pointer = unsafe { std::alloc::alloc(layout) };
        assert!(!pointer.is_null(), "{bytes} bytes of host memory");
        // SAFETY: as large as asked for.
        unsafe { pointer.write_bytes(0xa5, bytes) };
        let address = pointer as usize;
        Ok(Memory::new(address as u64, Block { address, layout }))
    }

    unsafe fn upload(&self, address: u64, src: &[u8]) -> Result<()> {
        if let Some(kept) = self.recording().as_mut() {
            kept.push(Kept::Upload(address, src.to_vec()));
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { (address as *mut u8).copy_from(src.as_ptr(), src.len()) };
        Ok(())
    }

    unsafe fn download(&self, address: u64, dst: &mut [u8]) -> Result<()> {
        assert!(self.recording().is_none(), "a download while a step is recorded");
        // SAFETY: the caller's promise.
        unsafe { dst.as_mut_ptr().copy_from(address as *const u8, dst.len()) };
        Ok(())
    }

    unsafe fn launch(&self, _: &'static str, step: &Step, arguments: &[&[u8]]) -> Result<()> {
        if let Some(kept) = self.recording().as_mut() {
            kept.push(Kept::Launch(Box::new(*step), arguments.iter().map(|a| a.to_vec()).collect()));
            return Ok(());
        }
        self.run(step, arguments)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn begin_recording(&self) -> Result<bool> {
        if self.records {
            *self.recording() = Some(Vec::new());
        }
        Ok(self.records)
    }

    fn end_recording(&self) -> Result<Box<dyn Replay>> {
        let kept = self.recording().take().unwrap_or_default();
        Ok(Box::new(Tape { driver: Shim::new(self.library.clone(), self.chip), kept }))
    }
}

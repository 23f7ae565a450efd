//! Devices by name, and their memory: a backend with a pool that reuses its buffers.
//!
//! May use: `backend`, `reference`, `cpu`, `cuda`, `wgpu`. Nothing above knows which backend it runs on.
#![forbid(unsafe_code)]

mod check;
mod find;
mod rate;
mod record;

pub use check::{Check, self_check};
pub use find::{Accelerator, accelerators, verify};
pub use record::Recording;

use crate::backend::{Backend, Buffer, Call, Math};
use crate::cpu::Cpu;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::reference::Reference;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// Where tensors live. Cloning shares the device and its pool.
#[derive(Clone)]
pub struct Device {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Box<dyn Backend>,
    pool: Mutex<Pool>,
    /// One zero word; see [`Device::counter`].
    counter: OnceLock<Buffer>,
    /// Time per kernel while it is being measured.
    profile: Mutex<Option<Profile>>,
    /// Whether launches are being recorded, and the memory that they use.
    recording: AtomicBool,
    uses: Mutex<Option<record::Uses>>,
}

/// Launches and time of each kernel; see [`Device::profile`].
pub type Profile = BTreeMap<&'static str, (u64, Duration)>;

/// Free buffers by size class, and the account.
#[derive(Default)]
struct Pool {
    free: HashMap<usize, Vec<Buffer>>,
    stats: Memory,
    /// Most bytes that may be live and pooled together.
    limit: Option<usize>,
}

/// Memory of a device, in bytes; buffers count with the size of their class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Held by tensors now.
    pub live: usize,
    /// The most that was ever held by tensors at once (since [`Device::reset_peak`]).
    pub peak: usize,
    /// Kept for reuse.
    pub pooled: usize,
    /// How often the backend was asked for new memory.
    pub allocations: u64,
    /// How many kernels were launched.
    pub launches: u64,
    /// How often the host waited for values.
    pub downloads: u64,
}

impl Device {
    /// A device over any backend.
    pub fn new(backend: Box<dyn Backend>) -> Self {
        Device {
            inner: Arc::new(Inner {
                backend,
                pool: Mutex::new(Pool::default()),
                counter: OnceLock::new(),
                profile: Mutex::new(None),
                recording: AtomicBool::new(false),
                uses: Mutex::new(None),
            }),
        }
    }

    /// The CPU with `threads` worker threads.
    pub fn cpu(threads: usize) -> Self {
        Self::new(Box::new(Cpu::new(threads)))
    }

    /// The specification itself: slow, single-threaded.
    pub fn reference() -> Self {
        Self::new(Box::new(Reference::new()))
    }

    /// A device by name: `auto` (see [`Device::best`]), `cpu`, `reference`, `cuda` or
    /// `cuda:1`, `wgpu` or `wgpu:1`.
    ///
    /// # Errors
    /// `Error::Device` (exit code 3) for a device that this build or machine lacks.
    pub fn open(name: &str, threads: usize) -> Result<Self> {
        Self::open_with(name, threads, Math::Strict)
    }

    /// [`Device::open`] in another mode than strict, which a device without a faster way ignores.
    pub fn open_with(name: &str, threads: usize, math: Math) -> Result<Self> {
        match name {
            "auto" => Ok(Self::best(threads, math).0),
            "cpu" => Ok(Self::cpu(threads)),
            "reference" => Ok(Self::reference()),
            other => find::open(other, math),
        }
    }

    /// The best device of this machine, with one line that says what it is: the first CUDA device,
    /// else the first Vulkan device that is not a program on the processor, else the CPU.
    pub fn best(threads: usize, math: Math) -> (Self, String) {
        find::best(threads, math)
    }

    /// The backend's name.
    pub fn name(&self) -> &str {
        self.inner.backend.name()
    }

    /// What its user should know, in one line, if anything.
    pub fn note(&self) -> Option<&str> {
        self.inner.backend.note()
    }

    /// Whether both are the same device (not merely alike).
    pub fn same(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Memory for `words` 32-bit elements with undefined content; it returns to the pool when dropped.
    pub fn alloc(&self, words: usize) -> Result<Storage> {
        let class = size_class(words * 4);
        if let Some(storage) = self.reuse(class) {
            return Ok(storage);
        }
        let mut pool = self.pool();
        let buffer = match pool.free.get_mut(&class).and_then(Vec::pop) {
            Some(buffer) => {
                pool.stats.pooled -= class;
                buffer
            }
            None => {
                if pool.limit.is_some_and(|limit| pool.stats.live + pool.stats.pooled + class > limit) {
                    // What is only kept for reuse goes first.
                    pool.free.clear();
                    pool.stats.pooled = 0;
                    if pool.limit.is_some_and(|limit| pool.stats.live + class > limit) {
                        return Err(Error::OutOfMemory { device: self.name().into(), bytes: class });
                    }
                }
                pool.stats.allocations += 1;
                match self.inner.backend.alloc(class) {
                    // As for a limit.
                    Err(Error::OutOfMemory { .. }) if pool.stats.pooled > 0 => {
                        pool.free.clear();
                        pool.stats.pooled = 0;
                        self.inner.backend.alloc(class)?
                    }
                    other => other?,
                }
            }
        };
        pool.stats.live += class;
        pool.stats.peak = pool.stats.peak.max(pool.stats.live);
        drop(pool);
        let storage = Storage::new(self, buffer, true);
        self.hold(&storage);
        Ok(storage)
    }

    /// The word that random kernels add to their step: 0, but for launches that are recorded, which
    /// have one that [`Recording::replay`] writes.
    pub fn counter(&self) -> Result<Storage> {
        if let Some(counter) = self.recorded_counter() {
            return Ok(counter);
        }
        if self.inner.counter.get().is_none() {
            let buffer = self.inner.backend.alloc(4)?;
            self.inner.backend.upload(&buffer, &[0; 4])?;
            let _ = self.inner.counter.set(buffer);
        }
        let buffer = self.inner.counter.get().expect("just set").clone();
        Ok(Storage::new(self, buffer, false))
    }

    /// Copies words to the device.
    pub fn upload(&self, words: &[u32]) -> Result<Storage> {
        let storage = self.alloc(words.len())?;
        self.inner.backend.upload(&storage.lease.buffer, bytemuck::cast_slice(words))?;
        Ok(storage)
    }

    /// Overwrites the start of `storage`.
    pub fn write(&self, storage: &Storage, words: &[u32]) -> Result<()> {
        self.inner.backend.upload(&storage.lease.buffer, bytemuck::cast_slice(words))
    }

    /// Copies the first `n` words from the device; waits for what was launched before.
    pub fn download(&self, storage: &Storage, n: usize) -> Result<Vec<u32>> {
        self.pool().stats.downloads += 1;
        self.expect_running()?;
        let mut words = vec![0u32; n];
        self.inner.backend.download(&storage.lease.buffer, bytemuck::cast_slice_mut(&mut words))?;
        Ok(words)
    }

    /// Launches a kernel on buffers of this device (see [`Call`]).
    pub fn launch<P: bytemuck::Pod>(
        &self,
        kernel: &'static Kernel,
        params: &P,
        buffers: &[&Storage],
        geometry: [u32; 3],
    ) -> Result<()> {
        if let Some(other) = buffers.iter().find(|b| !b.device().same(self)) {
            let why = format!("a buffer lives on \"{}\", the launch is on \"{}\"", other.device().name(), self.name());
            return Err(Error::Launch { kernel: kernel.name, why });
        }
        self.pool().stats.launches += 1;
        let mut refs: [&Buffer; 12] = [&buffers[0].lease.buffer; 12];
        for (slot, storage) in refs.iter_mut().zip(buffers) {
            *slot = &storage.lease.buffer;
            self.hold(storage);
        }
        let call = Call { kernel, params: bytemuck::bytes_of(params), buffers: &refs[..buffers.len()], geometry };
        let measured = unpoisoned(&self.inner.profile).is_some() && !self.recording();
        let start = Instant::now();
        self.inner.backend.launch(&call)?;
        if measured {
            self.inner.backend.sync()?;
            if let Some(profile) = unpoisoned(&self.inner.profile).as_mut() {
                let entry = profile.entry(kernel.name).or_default();
                *entry = (entry.0 + 1, entry.1 + start.elapsed());
            }
        }
        Ok(())
    }

    /// Runs `f` and says how often each kernel was launched and how long it took. Every launch is
    /// waited for, so that a device that works ahead is slower than it would be.
    pub fn profile<R>(&self, f: impl FnOnce() -> R) -> (R, Profile) {
        *unpoisoned(&self.inner.profile) = Some(Profile::new());
        let result = f();
        (result, unpoisoned(&self.inner.profile).take().unwrap_or_default())
    }

    /// Waits for everything launched.
    pub fn sync(&self) -> Result<()> {
        self.expect_running()?;
        self.inner.backend.sync()
    }

    /// The account of this device's memory.
    pub fn memory(&self) -> Memory {
        self.pool().stats
    }

    /// The most bytes that tensors may take from now on, buffers kept for reuse included; more is
    /// `Error::OutOfMemory`.
    pub fn set_limit(&self, bytes: usize) {
        self.pool().limit = Some(bytes);
    }

    /// Starts a new peak measurement.
    pub fn reset_peak(&self) {
        let mut pool = self.pool();
        pool.stats.peak = pool.stats.live;
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        unpoisoned(&self.inner.pool)
    }
}

/// A lock that survives a panic elsewhere: what it guards is only counted and listed.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.name())
    }
}

/// Sizes are rounded up so that buffers are found again: to 64 bytes up to 4 KiB, above to an eighth
/// of the next power of two (at most 12.5 % more than asked for).
fn size_class(bytes: usize) -> usize {
    if bytes <= 4096 {
        return bytes.max(64).next_multiple_of(64);
    }
    bytes.next_multiple_of(bytes.next_power_of_two() / 16)
}

/// A buffer on loan from a device's pool.
pub struct Storage {
    lease: Arc<Lease>,
}

/// A loan: it ends when nobody holds it, neither a tensor nor a recorded step.
struct Lease {
    device: Device,
    buffer: Buffer,
    /// Whether the buffer goes back to the pool.
    pooled: bool,
}

impl Storage {
    fn new(device: &Device, buffer: Buffer, pooled: bool) -> Self {
        Storage { lease: Arc::new(Lease { device: device.clone(), buffer, pooled }) }
    }

    /// The device it lives on.
    pub fn device(&self) -> &Device {
        &self.lease.device
    }

    /// Its capacity in 32-bit words.
    pub fn words(&self) -> usize {
        self.lease.buffer.bytes() / 4
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Storage({:?}, {:?})", self.lease.device, self.lease.buffer)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.pooled {
            return;
        }
        let class = self.buffer.bytes();
        let mut pool = self.device.pool();
        pool.stats.live -= class;
        pool.stats.pooled += class;
        let buffer = self.buffer.clone();
        pool.free.entry(class).or_default().push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_frees_what_is_pooled_and_then_refuses() {
        let device = Device::cpu(1);
        device.set_limit(10_000);
        drop(device.alloc(1000).unwrap());
        let held = device.alloc(2000).unwrap();
        assert_eq!(device.memory().pooled, 0);
        assert_eq!(device.alloc(1000).unwrap_err().exit_code(), 3);
        drop(held);
        device.alloc(2000).unwrap();
    }

    #[test]
    fn pool_reuses_what_was_dropped() {
        let device = Device::cpu(1);
        drop(device.alloc(1000).unwrap());
        let before = device.memory();
        let again = device.alloc(1001).unwrap();
        assert_eq!(device.memory().allocations, before.allocations, "1000 and 1001 words share a class");
        assert_eq!((before.live, device.memory().live), (0, again.words() * 4));
        assert_eq!(device.memory().peak, again.words() * 4);
    }

    #[test]
    fn size_classes_waste_at_most_an_eighth() {
        for bytes in [1, 63, 64, 4096, 4097, 5000, 65_537, 1 << 20, (1 << 20) + 1, 123_456_789] {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(4));
            assert!(bytes < 4096 || class <= bytes + bytes / 8, "{bytes} -> {class}");
            assert_eq!(size_class(class), class);
        }
    }

    #[test]
    fn missing_devices_are_device_errors_and_unknown_names_usage_errors() {
        let error = |name: &str| Device::open(name, 1).expect_err("no such device here");
        for name in ["cuda:99", "wgpu:99"] {
            assert_eq!(error(name).exit_code(), 3);
            assert!(error(name).to_string().contains("--device cpu"), "{}", error(name));
        }
        for name in ["cuda:x", "tpu"] {
            assert_eq!(error(name).exit_code(), 2);
            assert!(error(name).to_string().contains("give auto, cpu, cuda[:N] or wgpu[:N]"), "{}", error(name));
        }
    }
}

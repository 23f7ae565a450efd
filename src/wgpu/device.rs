//! An adapter with its queue: memory, launches gathered into submissions, errors.
//!
//! May use: `error`, `plan`, `shader`. Nothing here waits for the adapter but `download` and `sync`.

mod pipelines;
mod probe;
mod submit;
mod verdict;

pub use probe::{Found, found};

use super::check::Verdict;
use super::plan::Step;
use super::shader::Forms;
use crate::backend::Replay;
use crate::error::{Error, Result};
use ::wgpu::*;
use pipelines::Pipelines;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use submit::{Batch, Recorded};

/// Features that are asked for where the adapter has them.
const WELCOME: Features = Features::SHADER_F64.union(Features::SHADER_INT64);

/// A Vulkan adapter.
pub struct Gpu {
    name: String,
    found: Found,
    device: Device,
    queue: Queue,
    /// What went wrong first; nothing works after that.
    trouble: Arc<Mutex<Option<String>>>,
    inner: Mutex<Inner>,
    /// Memory that was given back, by its number.
    dropped: Arc<Mutex<Vec<u64>>>,
    next: AtomicU64,
}

/// What launches share.
struct Inner {
    pipelines: Pipelines,
    batch: Batch,
    /// While a recording is made: the batches of it that are full.
    recording: Option<Vec<Batch>>,
    /// Where the blocks and small uploads of a submission lie.
    arena: Buffer,
    /// Where values are put to be read.
    outbox: Option<Buffer>,
}

/// A piece of the adapter's memory.
pub struct Memory {
    id: u64,
    buffer: Buffer,
    dropped: Arc<Mutex<Vec<u64>>>,
}

impl Memory {
    /// Its size.
    pub fn bytes(&self) -> usize {
        self.buffer.size() as usize
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        unpoisoned(&self.dropped).push(self.id);
    }
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Gpu {
    /// Adapter number `index`, the best one first.
    ///
    /// # Errors
    /// `Error::Device` if there is no such adapter or it cannot run the kernels.
    pub fn open(index: usize) -> Result<Self> {
        let name = format!("wgpu:{index}");
        let refuse = |why: String| Error::Device { device: name.clone(), why, fix: "use --device cpu".into() };
        let all = found().map_err(&refuse)?;
        let Some(found) = all.get(index).cloned() else {
            let range = if all.len() == 1 { "wgpu:0".into() } else { format!("wgpu:0 to wgpu:{}", all.len() - 1) };
            return Err(refuse(format!("no such device; there is {range}")));
        };
        if let Some(why) = found.unfit() {
            return Err(refuse(why));
        }
        let offered = found.adapter.limits();
        let required_limits = Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            max_storage_buffers_per_shader_stage: offered.max_storage_buffers_per_shader_stage,
            ..Limits::default()
        };
        let descriptor = DeviceDescriptor {
            label: None,
            required_features: Features::PASSTHROUGH_SHADERS | (found.adapter.features() & WELCOME),
            required_limits,
            ..DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(found.adapter.request_device(&descriptor))
            .map_err(|e| refuse(format!("{} cannot be opened: {}", found.name, line(&e.to_string()))))?;
        let trouble: Arc<Mutex<Option<String>>> = Arc::default();
        let note = trouble.clone();
        device.on_uncaptured_error(Arc::new(move |e: ::wgpu::Error| {
            unpoisoned(&note).get_or_insert_with(|| line(&e.to_string()));
        }));
        let note = trouble.clone();
        device.set_device_lost_callback(move |_, why| {
            unpoisoned(&note).get_or_insert_with(|| format!("the device was lost: {}", line(&why)));
        });
        let arena = device.create_buffer(&BufferDescriptor {
            label: Some("arena"),
            size: submit::ARENA,
            usage: BufferUsages::UNIFORM | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let inner =
            Inner { pipelines: Pipelines::default(), batch: Batch::default(), recording: None, arena, outbox: None };
        Ok(Gpu {
            name,
            found,
            device,
            queue,
            trouble,
            inner: Mutex::new(inner),
            dropped: Arc::default(),
            next: AtomicU64::new(0),
        })
    }

    /// `"wgpu:0"`
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The adapter.
    pub fn adapter(&self) -> &Found {
        &self.found
    }

    /// Whether it has binary64 and 64-bit integers.
    pub fn has_double(&self) -> bool {
        self.device.features().contains(WELCOME)
    }

    /// Bytes that a kernel sees of a buffer through one binding; larger buffers take several.
    pub fn largest_binding(&self) -> u64 {
        self.bank()
    }

    /// What a verdict on it holds for: the adapter, its driver.
    pub fn identity(&self) -> String {
        self.found.identity()
    }

    /// A verdict that was kept from an earlier run.
    pub fn kept_verdict(&self) -> Option<Verdict> {
        verdict::kept(&self.identity())
    }

    /// Keeps a verdict for later runs, if there is a place for it.
    pub fn keep_verdict(&self, verdict: &Verdict) {
        verdict::keep(&self.identity(), verdict);
    }

    /// Ends it as if the device had been lost: for tests.
    pub fn lose(&self) {
        self.device.destroy();
        let _ = self.device.poll(PollType::Poll);
    }

    fn refuse(&self, why: String) -> Error {
        Error::Device {
            device: self.name.clone(),
            why,
            fix: "run again, and if it fails again use --device cpu and report it".into(),
        }
    }

    /// Fails if anything went wrong so far.
    fn sound(&self) -> Result<()> {
        unpoisoned(&self.trouble).as_ref().map_or(Ok(()), |why| Err(self.refuse(why.clone())))
    }

    /// Bytes of the buffer that a binding shows at most.
    fn bank(&self) -> u64 {
        self.device.limits().max_storage_buffer_binding_size / 256 * 256
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        let mut inner = unpoisoned(&self.inner);
        for id in std::mem::take(&mut *unpoisoned(&self.dropped)) {
            inner.pipelines.forget(id);
        }
        inner
    }

    /// Memory of `bytes` bytes.
    pub fn alloc(&self, bytes: usize) -> Result<Memory> {
        self.sound()?;
        // Groups that hold memory which was given back.
        drop(self.inner());
        let full = || Error::OutOfMemory { device: self.name.clone(), bytes };
        let size = (bytes as u64).next_multiple_of(4).max(16);
        if size > self.device.limits().max_buffer_size {
            return Err(full());
        }
        let scope = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&BufferDescriptor {
            label: None,
            size,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if pollster::block_on(scope.pop()).is_some() {
            return Err(full());
        }
        self.sound()?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(Memory { id, buffer, dropped: self.dropped.clone() })
    }

    /// Runs a step of a family after everything before.
    ///
    /// # Errors
    /// `Error::Device` if something went wrong, now or before.
    pub fn launch(
        &self,
        module: &'static str,
        step: &Step,
        params: &[u8],
        buffers: &[&Memory],
        forms: Forms,
    ) -> Result<()> {
        self.sound()?;
        let mut inner = self.inner();
        let inner = &mut *inner;
        let (pipeline, group) = inner.pipelines.ready(self, module, step, buffers, &inner.arena, forms)?;
        inner.dispatch(self, pipeline, group, step, params)
    }

    /// Copies `src` to the start of `dst`, after everything before; `src` may be reused when this returns.
    pub fn upload(&self, dst: &Memory, src: &[u8]) -> Result<()> {
        self.sound()?;
        self.inner().upload(self, &dst.buffer, src)
    }

    /// Copies the start of `src`, after everything before.
    pub fn download(&self, src: &Memory, dst: &mut [u8]) -> Result<()> {
        self.inner().download(self, &src.buffer, dst)
    }

    /// Waits for everything launched.
    pub fn sync(&self) -> Result<()> {
        self.inner().flush(self)?;
        self.wait()
    }

    fn wait(&self) -> Result<()> {
        if let Err(e) = self.device.poll(PollType::wait_indefinitely()) {
            unpoisoned(&self.trouble).get_or_insert_with(|| line(&e.to_string()));
        }
        self.sound()
    }

    /// From here on launches and uploads are kept instead of run.
    pub fn begin_recording(&self) -> Result<()> {
        let mut inner = self.inner();
        inner.flush(self)?;
        inner.recording = Some(Vec::new());
        Ok(())
    }

    /// Ends it; what was recorded.
    pub fn end_recording(self: &Arc<Self>) -> Box<dyn Replay> {
        let mut inner = self.inner();
        let last = std::mem::take(&mut inner.batch);
        let mut parts = inner.recording.take().unwrap_or_default();
        parts.push(last);
        Box::new(Recorded::new(self.clone(), parts))
    }
}

/// What wgpu says over several lines, on one.
fn line(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim().trim_end_matches(['.', ':']));
    let said: Vec<&str> = lines.filter(|line| !line.is_empty() && *line != "Caused by").collect();
    if said.is_empty() { "no reason given".into() } else { said.join(": ") }
}

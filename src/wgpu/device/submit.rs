//! Launches and uploads gathered into submissions, and what is read back.

use super::pipelines::BLOCK;
use super::{Gpu, Inner, line, unpoisoned};
use crate::backend::Replay;
use crate::error::Result;
use crate::wgpu::plan::{Step, WORDS};
use ::wgpu::*;
use std::sync::{Arc, mpsc};

/// Bytes of the arena: what a submission can bring.
pub(super) const ARENA: u64 = 1 << 20;
/// Larger uploads do not go through the arena.
const LARGE: usize = (ARENA / 4) as usize;
/// Dispatches after which a submission goes off, so that the adapter can begin.
const DISPATCHES: usize = 256;
/// Bytes that are read back at a time.
const OUTBOX: u64 = 64 << 20;

/// What is to be submitted.
#[derive(Clone, Default)]
pub(super) struct Batch {
    commands: Vec<Command>,
    /// What the arena will hold.
    bytes: Vec<u8>,
}

#[derive(Clone)]
enum Command {
    Dispatch { pipeline: ComputePipeline, group: BindGroup, block: u32, grid: [u32; 3] },
    Copy { from: u64, to: Buffer, at: u64, bytes: u64 },
}

impl Batch {
    /// Where `n` more bytes go, if there is room.
    fn place(&mut self, n: usize) -> Option<usize> {
        let at = self.bytes.len().next_multiple_of(BLOCK as usize);
        (at + n <= ARENA as usize).then(|| {
            self.bytes.resize(at + n, 0);
            at
        })
    }

    /// Followed by what `other` holds; false, and nothing done, if there is no room.
    fn append(&mut self, other: &Batch) -> bool {
        let Some(base) = self.place(other.bytes.len()) else { return false };
        self.bytes[base..].copy_from_slice(&other.bytes);
        self.commands.extend(other.commands.iter().cloned().map(|mut command| {
            match &mut command {
                Command::Dispatch { block, .. } => *block += base as u32,
                Command::Copy { from, .. } => *from += base as u64,
            }
            command
        }));
        true
    }

    fn encode(&self, encoder: &mut CommandEncoder, arena: &Buffer) {
        let mut commands = self.commands.iter().peekable();
        while let Some(command) = commands.peek() {
            if let Command::Copy { from, to, at, bytes } = command {
                encoder.copy_buffer_to_buffer(arena, *from, to, *at, *bytes);
                commands.next();
                continue;
            }
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
            while let Some(Command::Dispatch { pipeline, group, block, grid: [x, y, z] }) =
                commands.next_if(|command| matches!(command, Command::Dispatch { .. }))
            {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, group, &[*block]);
                pass.dispatch_workgroups(*x, *y, *z);
            }
        }
    }
}

impl Inner {
    /// Room for `n` bytes of the arena; what is gathered goes off if there is none.
    fn place(&mut self, gpu: &Gpu, n: usize) -> Result<usize> {
        if let Some(at) = self.batch.place(n) {
            return Ok(at);
        }
        self.flush(gpu)?;
        Ok(self.batch.place(n).expect("the arena is empty"))
    }

    pub(super) fn dispatch(
        &mut self,
        gpu: &Gpu,
        pipeline: ComputePipeline,
        group: BindGroup,
        step: &Step,
        params: &[u8],
    ) -> Result<()> {
        let at = self.place(gpu, BLOCK as usize)?;
        let block = &mut self.batch.bytes[at..];
        let words = bytemuck::cast_slice(&step.words);
        block[4..4 + words.len()].copy_from_slice(words);
        block[4 * (1 + WORDS)..][..params.len()].copy_from_slice(params);
        self.batch.commands.push(Command::Dispatch { pipeline, group, block: at as u32, grid: step.grid });
        if self.batch.commands.len() >= DISPATCHES && self.recording.is_none() {
            self.flush(gpu)?;
        }
        Ok(())
    }

    pub(super) fn upload(&mut self, gpu: &Gpu, to: &Buffer, src: &[u8]) -> Result<()> {
        // Copies are of whole words; the buffer has them.
        let whole = src.len() / 4 * 4;
        let mut last = [0; 4];
        last[..src.len() - whole].copy_from_slice(&src[whole..]);
        if src.len() > LARGE && self.recording.is_none() {
            self.flush(gpu)?;
            gpu.queue.write_buffer(to, 0, &src[..whole]);
        } else {
            for (k, part) in src[..whole].chunks(LARGE).enumerate() {
                self.stage(gpu, to, (k * LARGE) as u64, part)?;
            }
        }
        if whole < src.len() { self.stage(gpu, to, whole as u64, &last) } else { Ok(()) }
    }

    fn stage(&mut self, gpu: &Gpu, to: &Buffer, at: u64, part: &[u8]) -> Result<()> {
        let from = self.place(gpu, part.len())?;
        self.batch.bytes[from..].copy_from_slice(part);
        let command = Command::Copy { from: from as u64, to: to.clone(), at, bytes: part.len() as u64 };
        self.batch.commands.push(command);
        Ok(())
    }

    /// Submits what is gathered; while a recording is made, keeps it.
    pub(super) fn flush(&mut self, gpu: &Gpu) -> Result<()> {
        if let Some(parts) = &mut self.recording {
            parts.push(std::mem::take(&mut self.batch));
            return Ok(());
        }
        if self.batch.commands.is_empty() {
            return gpu.sound();
        }
        let mut encoder = gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
        self.batch.encode(&mut encoder, &self.arena);
        self.submit(gpu, encoder)
    }

    fn submit(&mut self, gpu: &Gpu, encoder: CommandEncoder) -> Result<()> {
        if !self.batch.bytes.is_empty() {
            let whole = self.batch.bytes.len().next_multiple_of(4);
            self.batch.bytes.resize(whole, 0);
            gpu.queue.write_buffer(&self.arena, 0, &self.batch.bytes);
        }
        gpu.queue.submit([encoder.finish()]);
        self.batch.commands.clear();
        self.batch.bytes.clear();
        // Takes back what is done with; waits for nothing.
        let _ = gpu.device.poll(PollType::Poll);
        gpu.sound()
    }

    pub(super) fn download(&mut self, gpu: &Gpu, from: &Buffer, dst: &mut [u8]) -> Result<()> {
        for (k, part) in dst.chunks_mut(OUTBOX as usize).enumerate() {
            let bytes = (part.len() as u64).next_multiple_of(4);
            let outbox = self.outbox(gpu, bytes);
            let mut encoder = gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
            self.batch.encode(&mut encoder, &self.arena);
            encoder.copy_buffer_to_buffer(from, k as u64 * OUTBOX, &outbox, 0, bytes);
            self.submit(gpu, encoder)?;
            let (send, receive) = mpsc::channel();
            let shown = outbox.slice(..bytes);
            shown.map_async(MapMode::Read, move |done| {
                let _ = send.send(done);
            });
            gpu.wait()?;
            let failed = |why: String| {
                unpoisoned(&gpu.trouble).get_or_insert_with(|| line(&why));
                gpu.sound()
            };
            match receive.try_recv() {
                Ok(Ok(())) => {}
                Ok(Err(e)) => return failed(e.to_string()),
                Err(_) => return failed("reading values was not answered".into()),
            }
            match shown.get_mapped_range() {
                Ok(view) => part.copy_from_slice(&view[..part.len()]),
                Err(e) => return failed(e.to_string()),
            }
            outbox.unmap();
        }
        gpu.sound()
    }

    /// Memory of at least `bytes` that the host can read.
    fn outbox(&mut self, gpu: &Gpu, bytes: u64) -> Buffer {
        match &self.outbox {
            Some(outbox) if outbox.size() >= bytes => outbox.clone(),
            _ => {
                let outbox = gpu.device.create_buffer(&BufferDescriptor {
                    label: Some("outbox"),
                    size: bytes.next_power_of_two().max(4096),
                    usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                self.outbox.insert(outbox).clone()
            }
        }
    }
}

/// What was recorded, to be gathered again.
pub(super) struct Recorded {
    gpu: Arc<Gpu>,
    parts: Vec<Batch>,
}

impl Recorded {
    pub(super) fn new(gpu: Arc<Gpu>, parts: Vec<Batch>) -> Self {
        Recorded { gpu, parts }
    }
}

impl Replay for Recorded {
    fn replay(&self) -> Result<()> {
        let gpu = &self.gpu;
        gpu.sound()?;
        let mut inner = gpu.inner();
        for part in &self.parts {
            if !inner.batch.append(part) {
                inner.flush(gpu)?;
                inner.batch.append(part);
            }
        }
        // The adapter begins while the host goes on.
        inner.flush(gpu)
    }
}

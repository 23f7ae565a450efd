//! Backends whose buffers are host memory, `reference` and `cpu`: they add their kernels, the rest is here.
#![forbid(unsafe_code)]

use super::{Backend, Buffer, Call};
use crate::error::{Error, Result};
use crate::kernel::Access;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What a backend in host memory adds to the memory; it is a [`Backend`] by that.
pub trait Host: Send + Sync {
    /// The backend's name.
    const NAME: &'static str;

    /// Runs a kernel by its name on its parameters, the buffers it reads and those it writes or
    /// updates; `None` if there is no such kernel.
    fn run(&self, kernel: &str, params: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) -> Option<()>;
}

impl<H: Host> Backend for H {
    fn name(&self) -> &str {
        H::NAME
    }

    fn alloc(&self, bytes: usize) -> Result<Buffer> {
        let words: Words = RwLock::new(Memory::new(bytes.div_ceil(4)));
        Ok(Buffer::new(bytes, words))
    }

    fn upload(&self, dst: &Buffer, src: &[u8]) -> Result<()> {
        let mut guard = write(dst)?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(guard.as_mut_slice());
        let what = || format!("{} bytes into a buffer of {}", src.len(), dst.bytes());
        let part = bytes.get_mut(..src.len()).ok_or_else(|| Error::Argument { op: "upload", what: what() })?;
        part.copy_from_slice(src);
        Ok(())
    }

    fn download(&self, src: &Buffer, dst: &mut [u8]) -> Result<()> {
        let guard = read(src)?;
        let bytes: &[u8] = bytemuck::cast_slice(guard.as_slice());
        let what = || format!("{} bytes from a buffer of {}", dst.len(), src.bytes());
        let part = bytes.get(..dst.len()).ok_or_else(|| Error::Argument { op: "download", what: what() })?;
        dst.copy_from_slice(part);
        Ok(())
    }

    fn launch(&self, call: &Call) -> Result<()> {
        launch(call, |params, inputs, outputs| self.run(call.kernel.name, params, inputs, outputs))
    }

    /// Every launch has finished when it returns.
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// Words in a cache line.
const LINE: usize = 16;

/// Words of 0 at first, which begin where a cache line does: a vector that is one line is then never
/// part of two.
struct Memory {
    words: Vec<u32>,
    /// Of the first one that is used.
    start: usize,
    len: usize,
}

impl Memory {
    fn new(len: usize) -> Self {
        // Asked for with the alignment the memory would be cleared here; so the system does it.
        let words = vec![0; len + LINE - 1];
        let start = words.as_ptr().align_offset(4 * LINE).min(LINE - 1);
        Memory { words, start, len }
    }

    fn as_slice(&self) -> &[u32] {
        &self.words[self.start..][..self.len]
    }

    fn as_mut_slice(&mut self) -> &mut [u32] {
        &mut self.words[self.start..][..self.len]
    }
}

type Words = RwLock<Memory>;

fn words(buffer: &Buffer) -> Result<&Words> {
    buffer.memory::<Words>().ok_or_else(|| Error::Launch {
        kernel: "host",
        why: "a buffer of another device was given to a host backend".into(),
    })
}

fn read(buffer: &Buffer) -> Result<RwLockReadGuard<'_, Memory>> {
    Ok(words(buffer)?.read().unwrap_or_else(|p| p.into_inner()))
}

fn write(buffer: &Buffer) -> Result<RwLockWriteGuard<'_, Memory>> {
    Ok(words(buffer)?.write().unwrap_or_else(|p| p.into_inner()))
}

/// Runs `f` on the buffers of `call`, borrowed by role.
fn launch(call: &Call, f: impl FnOnce(&[u8], &[&[u32]], &mut [&mut [u32]]) -> Option<()>) -> Result<()> {
    let bindings = call.kernel.bindings;
    let fail = |why: String| Err(Error::Launch { kernel: call.kernel.name, why });
    if call.buffers.len() != bindings.len() {
        return fail(format!("takes {} buffers, was given {}", bindings.len(), call.buffers.len()));
    }
    let same = |a: &Buffer, b: &Buffer| match (words(a), words(b)) {
        (Ok(x), Ok(y)) => std::ptr::eq(x, y),
        _ => false,
    };
    for (i, access) in bindings.iter().enumerate() {
        if *access != Access::Read && (0..bindings.len()).any(|j| j != i && same(call.buffers[i], call.buffers[j])) {
            return fail(format!("buffer {i} is written and bound twice"));
        }
    }
    let reads = bindings.iter().take_while(|a| **a == Access::Read).count();
    let read_guards = call.buffers[..reads].iter().map(|b| read(b)).collect::<Result<Vec<_>>>()?;
    let mut write_guards = call.buffers[reads..].iter().map(|b| write(b)).collect::<Result<Vec<_>>>()?;
    let inputs: Vec<&[u32]> = read_guards.iter().map(|g| g.as_slice()).collect();
    let mut outputs: Vec<&mut [u32]> = write_guards.iter_mut().map(|g| g.as_mut_slice()).collect();
    match f(call.params, &inputs, &mut outputs) {
        Some(()) => Ok(()),
        None => fail("this backend has no such kernel".into()),
    }
}

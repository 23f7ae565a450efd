//! Buffers in host memory, shared by the `reference` and `cpu` backends.
#![forbid(unsafe_code)]

use super::{Buffer, Call};
use crate::error::{Error, Result};
use crate::kernel::Access;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A kernel as a host function: parameters, the buffers it reads, the buffers it writes or updates.
pub type HostKernel<'a> = &'a mut dyn FnMut(&[u8], &[&[u32]], &mut [&mut [u32]]) -> Result<()>;

type Words = RwLock<Vec<u32>>;

/// A buffer of host words.
pub fn alloc(bytes: usize) -> Buffer {
    let words: Words = RwLock::new(vec![0; bytes.div_ceil(4)]);
    Buffer::new(bytes, words)
}

fn words(buffer: &Buffer) -> Result<&Words> {
    buffer.memory::<Words>().ok_or_else(|| Error::Launch {
        kernel: "host",
        why: "a buffer of another device was given to a host backend".into(),
    })
}

fn read(buffer: &Buffer) -> Result<RwLockReadGuard<'_, Vec<u32>>> {
    Ok(words(buffer)?.read().unwrap_or_else(|p| p.into_inner()))
}

fn write(buffer: &Buffer) -> Result<RwLockWriteGuard<'_, Vec<u32>>> {
    Ok(words(buffer)?.write().unwrap_or_else(|p| p.into_inner()))
}

/// Copies bytes into a host buffer.
pub fn upload(dst: &Buffer, src: &[u8]) -> Result<()> {
    let mut guard = write(dst)?;
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(guard.as_mut_slice());
    let Some(part) = bytes.get_mut(..src.len()) else {
        return Err(Error::Argument {
            op: "upload",
            what: format!("{} bytes into a buffer of {}", src.len(), dst.bytes()),
        });
    };
    part.copy_from_slice(src);
    Ok(())
}

/// Copies bytes out of a host buffer.
pub fn download(src: &Buffer, dst: &mut [u8]) -> Result<()> {
    let guard = read(src)?;
    let bytes: &[u8] = bytemuck::cast_slice(guard.as_slice());
    let Some(part) = bytes.get(..dst.len()) else {
        return Err(Error::Argument {
            op: "download",
            what: format!("{} bytes from a buffer of {}", dst.len(), src.bytes()),
        });
    };
    dst.copy_from_slice(part);
    Ok(())
}

/// Runs `f` on the buffers of `call`, borrowed by role.
pub fn launch(call: &Call, f: HostKernel) -> Result<()> {
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
    f(call.params, &inputs, &mut outputs)
}

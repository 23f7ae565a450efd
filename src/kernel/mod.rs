//! What can be launched: one file per family with its entries, `Params` (plain old data), buffers,
//! geometry, summation order and agreement. Nothing here computes.
//!
//! May use: `error`. The arithmetic of every entry is defined by the file of the same name in
//! `reference`; `cpu` (and `cuda`, `wgpu`) must return the same bits.
#![forbid(unsafe_code)]

pub mod ceiling;
pub mod elementwise;
pub mod gather;
pub mod gemm;
pub mod layout;
pub mod mmd;
pub mod norm;
pub mod optim;
pub mod random;
pub mod reduce;
pub mod sgld;
pub mod softmax;
pub mod spmm;
pub mod zinb;

pub use layout::{Layout, MAX_RANK};

/// How a kernel uses a buffer. In `Kernel::bindings` all `Read`s come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only read; may be bound several times.
    Read,
    /// Every element that the params describe is overwritten; the rest is left alone.
    Write,
    /// Read and written in place.
    Update,
}

/// One entry of a family.
#[derive(Debug)]
pub struct Kernel {
    /// `family_entry`, the name of the function in CUDA and WGSL.
    pub name: &'static str,
    /// How each buffer is used, in order.
    pub bindings: &'static [Access],
}

/// Reads a `Params` value back from a call.
///
/// # Panics
/// If `bytes` is not exactly one `P`, which only a wrong caller inside the crate can cause.
pub fn params<P: bytemuck::AnyBitPattern>(bytes: &[u8]) -> P {
    bytemuck::pod_read_unaligned(bytes)
}

//! Tensors on a device and reverse-mode differentiation that can be differentiated again.
//!
//! May use: `device`, `kernel`, `math`, `error`. Start with [`op`] (the op table: what can be done,
//! with which shapes, by which kernel), then `vjp` (one derivative rule per op, written in tensor
//! methods) and [`grad`] (the walk over the tape).
#![forbid(unsafe_code)]

mod check;
mod core;
mod grad;
mod index;
mod linalg;
mod math;
pub mod op;
mod reduce;
pub mod shape;
mod vjp;

pub use check::check_grads;
pub use core::{Dtype, Tensor};
pub use grad::{grad, grad_with, no_grad};
pub use op::Op;

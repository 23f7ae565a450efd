//! Every kernel on every backend: hostile shapes and values, the reference's bits, guard words intact.

mod elementwise;
mod gemm;
mod harness;
mod random;
mod sgld;

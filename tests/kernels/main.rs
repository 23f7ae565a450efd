//! Every kernel on every backend: hostile shapes and values, the reference's bits, guard words intact.

#[cfg(feature = "wgpu")]
mod adapter;
mod elementwise;
#[cfg(feature = "cuda")]
mod faults;
mod gather;
mod gemm;
#[cfg(feature = "cuda")]
mod gemm_fast;
mod harness;
#[cfg(feature = "cuda")]
mod math;
mod mmd;
mod norm;
mod optim;
#[cfg(feature = "cuda")]
mod plans;
mod random;
mod reduce;
#[cfg(feature = "cuda")]
mod sanitize;
mod sgld;
#[cfg(feature = "cuda")]
mod shim;
mod softmax;
mod spmm;
mod values;
mod zinb;

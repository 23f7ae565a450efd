//! cytograd: label single cells, find the cells that no reference knows, correct batch effects.
//!
//! The house, floor by floor; a module may use only what stands on a lower floor:
//!
//! ```text
//! 8  cli           one file per subcommand
//! 7  experiments   the papers' protocols as code that prints their tables
//!    report        a run and its annotations as one HTML page
//! 6  models        ebm (clams, jem, vera, hdge, resnet), baselines, annotator (features to labels),
//!                  integration, run (folder, log)
//! 5  nn            layers, initialisers, losses, distributions, optimisers, schedules, sampler
//!    analysis      pca, tsne, neighbors, harmony, mapping, metrics, lisi, evaluation, conformal
//!    plots         charts from plain numbers, as SVG, PNG and CSV
//! 4  tensor        shapes and views, the op table, derivative rules, grad
//! 3  device        "cpu", "cuda:0", "reference" -> a backend and its memory pool
//! 2  reference     every kernel as a plain loop: the specification
//!    cpu           the same kernels, fast, the same bits
//!    cuda          the same kernels on NVIDIA devices, the same bits
//!    wgpu          the same kernels on Vulkan devices, the same bits
//! 1  kernel        what can be launched: parameters, buffers, summation order
//!    backend       the six methods of a device
//!    data          files to sparse matrices and tables
//! 0  error  math  rng  paths
//! ```
//!
//! # The numeric contract
//!
//! A kernel is the exact sequence of IEEE-754 binary32 operations that its loop in [`mod@reference`]
//! performs. Every other backend returns the same bits for every input (any NaN equals any NaN),
//! for any number of threads. See [`kernel`] for the summation orders.
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]
#![allow(clippy::too_many_arguments)]

pub mod analysis;
pub mod backend;
pub mod cli;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod data;
pub mod device;
pub mod error;
pub mod experiments;
pub mod kernel;
pub mod math;
pub mod models;
pub mod nn;
pub mod paths;
pub mod plots;
pub mod reference;
pub mod report;
pub mod rng;
pub mod tensor;
#[cfg(feature = "wgpu")]
pub mod wgpu;

pub use error::{Error, Result};

//! The models, and what they share.
//!
//! May use: everything up to `nn` and `analysis`. [`run`] is the run folder, progress and interruption.
#![forbid(unsafe_code)]

pub mod annotator;
pub mod baselines;
pub mod ebm;
pub mod integration;
pub mod run;

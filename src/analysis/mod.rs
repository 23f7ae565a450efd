//! What is computed about cells outside the networks: linear reductions ([`pca`]), neighbours
//! ([`neighbors`]), planes to look at ([`mod@tsne`], [`mod@embed`]), batch correction ([`harmony`]) and its reuse for new queries ([`mapping`]),
//! [`discriminant`] analysis, a whole file from counts to components ([`mod@preprocess`]), figures of merit ([`metrics`], [`mod@lisi`], [`evaluation`]) and
//! calibrated p-values ([`conformal`]).
//!
//! Plain binary64 code over row-major slices, the same bits for any number of threads. May use:
//! `data`, `cpu::dgemm`, `math`, `rng`, `error`.
#![forbid(unsafe_code)]

pub mod conformal;
pub mod discriminant;
pub mod embed;
pub mod evaluation;
pub mod harmony;
pub mod kmeans;
pub mod linalg;
pub mod lisi;
pub mod mapping;
pub mod metrics;
pub mod neighbors;
pub mod pca;
pub mod preprocess;
pub mod ridge;
pub mod tsne;

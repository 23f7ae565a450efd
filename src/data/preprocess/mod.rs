//! Counts to model input, one function per step: quality, filter, normalise, log, variable genes,
//! scale. Numerics follow scanpy 1.11 (doi:10.1186/s13059-017-1382-0) unless a function says
//! otherwise.
//!
//! May use: `error`, `math`, [`crate::data::Csr`]. Sums are f64 in a fixed order, so no step
//! depends on the number of threads; values are stored as f32.

mod filter;
mod hvg;
mod hvg_v3;
mod loess;
mod moments;
mod normalize;
mod scale;

pub use filter::{Qc, filter_cells, filter_genes, qc_metrics};
pub use hvg::{Cutoffs, Flavor, Hvg, HvgParams, Select, clams_genes, highly_variable_genes, variable_genes_of_blocks};
pub use loess::loess;
pub use moments::{Moments, column_moments, moments_of_blocks};
pub use normalize::{Target, log1p, median_total, normalize_total, scale_rows};
pub use scale::{ScaleParams, Scaling};

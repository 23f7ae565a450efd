//! analysis

pub mod conformal;
pub mod evaluation;
pub mod linalg;
pub mod lisi;
pub mod metrics;
pub mod pca;

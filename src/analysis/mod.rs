//! analysis

pub mod conformal;
pub mod evaluation;
pub mod harmony;
pub mod kmeans;
pub mod linalg;
pub mod lisi;
pub mod metrics;
pub mod pca;

//! analysis

pub mod conformal;
pub mod discriminant;
pub mod evaluation;
pub mod harmony;
pub mod kmeans;
pub mod linalg;
pub mod lisi;
pub mod mapping;
pub mod metrics;
pub mod neighbors;
pub mod pca;

//! analysis

pub mod conformal;
pub mod lisi;
pub mod metrics;

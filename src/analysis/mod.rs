//! analysis

pub mod conformal;
pub mod evaluation;
pub mod lisi;
pub mod metrics;

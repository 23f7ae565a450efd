//! Energy-based models on one residual network: the classifier alone (`resnet`), JEM (Grathwohl et
//! al. 2020) and CLAMS (its generative loss clipped and gated).
//!
//! The network's logits z are read twice: `softmax(z)` is p(y|x), `logsumexp(z)` is log p(x) up to a
//! constant. May use: `nn`, `tensor`, `analysis`, `data`, `models::run`.
#![forbid(unsafe_code)]

pub mod base;
pub mod cells;
pub mod clip;
pub mod config;
pub mod evaluate;
mod iteration;
pub mod log;
pub mod network;
pub mod resume;
pub mod sample;
pub mod train;

pub use cells::Cells;
pub use clip::Clip;
pub use config::{EbmConfig, Model};
pub use log::StepLog;
pub use network::Network;
pub use train::{Select, Trainer};

//! Energy-based models on one residual network: the classifier alone (`resnet`), JEM (Grathwohl et
//! al. 2020), CLAMS (its generative loss clipped and gated), HDGE (Liu & Abbeel 2020), HDGE and JEM
//! together, and VERA (Grathwohl et al. 2021).
//!
//! The network's logits z are read twice: `softmax(z)` is p(y|x), `logsumexp(z)` is log p(x) up to a
//! constant. A [`Trainer`] runs the iterations, an objective does them (`joint`, `vera`). May use: `nn`, `tensor`, `analysis`, `data`, `models::run`.
#![forbid(unsafe_code)]

pub mod base;
mod burst;
pub mod cells;
pub mod clip;
pub mod config;
pub mod correct;
pub mod evaluate;
pub mod generate;
pub mod hdge;
mod joint;
pub mod log;
pub mod model;
pub mod network;
mod objective;
mod restart;
pub mod resume;
pub mod sample;
pub mod train;
pub mod vera;

pub use burst::BURST;
pub use cells::Cells;
pub use clip::Clip;
pub use config::EbmConfig;
pub use log::StepLog;
pub use model::Model;
pub use network::Network;
pub use train::{Select, Trainer};

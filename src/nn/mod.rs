//! What models are built of: named parameters, layers, losses, optimisers, schedules, the sampler.
//!
//! May use: `tensor`, `device`, `rng`, `error`.
#![forbid(unsafe_code)]

pub mod chain;
pub mod distributions;
pub mod init;
pub mod layers;
pub mod loss;
pub mod mmd;
pub mod norm;
pub mod optim;
pub mod params;
pub mod sampler;
pub mod schedule;
pub mod step;

pub use chain::Chain;
pub use init::Init;
pub use layers::{Act, Dropout, Linear, Mode, ResBlock, SparseInput};
pub use norm::{BatchNorm, LayerNorm, SpectralNorm};
pub use optim::{Optimizer, OptimizerConfig};
pub use params::{Builder, Id, Params};
pub use sampler::{ReplayBuffer, Sgld};
pub use schedule::Schedule;
pub use step::Step;

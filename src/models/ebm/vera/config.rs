//! Settings of VERA's generator; defaults of the specification.

use serde::{Deserialize, Serialize};

/// The generator, its posterior and their part of the losses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VeraConfig {
    /// Dimensions of the generator's input.
    pub latent: usize,
    /// Units of its hidden layers.
    pub widths: Vec<usize>,
    /// Samples of the posterior behind each entropy gradient.
    pub samples: usize,
    /// Weight of the entropy: 0 leaves generator and posterior untrained.
    pub entropy: f32,
    /// Weight of half the squared gradient of s at real cells.
    pub penalty: f32,
    /// Initial learning rate of the generator.
    pub lr_generator: f64,
    /// Initial learning rate of the posterior.
    pub lr_posterior: f64,
    /// Least and largest standard deviation of the generator's noise; it starts at the least.
    pub sigma: (f32, f32),
    /// First standard deviation of the posterior.
    pub eta: f32,
}

impl Default for VeraConfig {
    fn default() -> Self {
        VeraConfig {
            latent: 128,
            widths: vec![500; 3],
            samples: 20,
            entropy: 1e-4,
            penalty: 0.1,
            lr_generator: 6e-5,
            lr_posterior: 3e-5,
            sigma: (0.01, 0.3),
            eta: 0.1,
        }
    }
}

impl VeraConfig {
    /// Whether every value is in its range.
    pub(in crate::models::ebm) fn fine(&self) -> bool {
        let sizes = self.latent > 0 && self.samples > 0 && self.widths.iter().all(|&w| w > 0);
        let weights = self.entropy >= 0.0 && self.penalty >= 0.0 && self.eta > 0.0;
        let rates = self.lr_generator > 0.0 && self.lr_posterior > 0.0;
        sizes && weights && rates && self.sigma.0 > 0.0 && self.sigma.0 <= self.sigma.1
    }
}

//! The models of this module by name, and what the specification gives each.

use super::clip::Clip;
use super::config::{EbmConfig, LossConfig, OptimConfig};
use super::hdge::HdgeConfig;
use super::vera::VeraConfig;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The models of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// ELU clipping and `p_on` 0.25.
    Clams,
    /// The unclipped energy-based model (Grathwohl et al. 2020).
    Jem,
    /// Cross-entropy and a contrastive density (Liu & Abbeel 2020).
    Hdge,
    /// Both densities.
    HdgeJem,
    /// A generator in place of Langevin chains (Grathwohl et al. 2021).
    Vera,
    /// Cross-entropy alone.
    Resnet,
}

impl Model {
    /// All of them.
    pub const ALL: [Model; 6] = [Model::Clams, Model::Jem, Model::Vera, Model::Hdge, Model::HdgeJem, Model::Resnet];

    /// By its name on the command line.
    ///
    /// # Errors
    /// `Error::Usage` that lists the names.
    pub fn from_name(name: &str) -> Result<Model> {
        let names = || Model::ALL.map(Model::name).join(", ");
        let found = Model::ALL.into_iter().find(|model| model.name() == name);
        found.ok_or_else(|| Error::usage(format!("unknown model \"{name}\""), format!("use one of {}", names())))
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Model::Clams => "clams",
            Model::Jem => "jem",
            Model::Hdge => "hdge",
            Model::HdgeJem => "hdge-jem",
            Model::Vera => "vera",
            Model::Resnet => "resnet",
        }
    }

    /// Its configuration in the paper.
    pub fn config(self) -> EbmConfig {
        let joint = |loss| EbmConfig { loss, ..EbmConfig::default() };
        let clams = LossConfig::default();
        let jem = LossConfig { clip: Clip::None, p_on: 1.0, ..clams.clone() };
        let resnet = LossConfig { clip: Clip::None, p_on: 0.0, sample_when_off: false, ..clams.clone() };
        // 200 epochs with decays at 160 and 180, brought to the length of the others.
        let hdge = |loss| EbmConfig {
            optim: OptimConfig { warmup: 1000, decay_epochs: vec![16, 18], ..OptimConfig::default() },
            hdge: Some(HdgeConfig::default()),
            ..joint(loss)
        };
        match self {
            Model::Clams => joint(clams),
            Model::Jem => joint(jem),
            Model::Hdge => hdge(resnet),
            Model::HdgeJem => hdge(jem),
            // As above, from decays at 150 and 175.
            Model::Vera => EbmConfig {
                optim: OptimConfig {
                    lr: 3e-5,
                    betas: (0.0, 0.9),
                    batch: 40,
                    warmup: 2500,
                    decay_epochs: vec![15, 18],
                    ..OptimConfig::default()
                },
                vera: Some(VeraConfig::default()),
                ..joint(LossConfig { w_y: 100.0, shared_batch: true, ..jem })
            },
            Model::Resnet => joint(resnet),
        }
    }
}

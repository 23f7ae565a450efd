//! What is tried when a run has diverged: back to the end of the last whole epoch, with a new seed,
//! chains twice as long and a lower learning rate (CLAMS specification, section 3).
//!
//! Every table counts divergence, so none of this happens unless it is asked for.

use super::config::EbmConfig;
use super::joint::Joint;
use super::objective::{Learner, Objective};
use super::train::Trainer;
use super::vera::Vera;
use crate::error::Result;
use crate::models::run::State;
use crate::rng::{Stream, stream};

/// The learning rate after a restart, as a share of the one before.
const SLOWER: f64 = 0.3;
/// What the names of the remembered state begin with in a checkpoint.
const PREFIX: &str = "restart.";

/// What a run began with, and what it goes back to.
pub(super) struct Beginning {
    pub config: EbmConfig,
    pub seed: u64,
    /// Training cells of each class.
    pub class_counts: Vec<usize>,
    /// The end of the last whole epoch, in runs that may restart.
    pub remembered: Option<State>,
}

/// The objective of a configuration.
pub(super) fn objective(learner: &Learner, class_counts: &[usize]) -> Result<Box<dyn Objective>> {
    Ok(match &learner.config.vera {
        Some(vera) => Box::new(Vera::new(vera, learner)?),
        None => Box::new(Joint::new(learner, class_counts)?),
    })
}

impl Trainer {
    /// Notes where a restart would go back to.
    pub(super) fn remember(&mut self) -> Result<()> {
        if self.learner.config.divergence.max_restarts > 0 {
            self.beginning.remembered = Some(self.bare_state()?);
        }
        Ok(())
    }

    /// After divergence: goes back and changes course, if that is allowed.
    pub(super) fn restart(&mut self) -> Result<()> {
        let allowed = self.beginning.config.divergence.max_restarts > self.divergence.restarts.len();
        let Some(at) = self.divergence.at.filter(|_| allowed) else { return Ok(()) };
        if let Some(back) = self.beginning.remembered.take() {
            let mut divergence = std::mem::take(&mut self.divergence);
            divergence.restarts.push(at);
            (divergence.at, divergence.values) = (None, None);
            self.change_course(divergence.restarts.len())?;
            self.restore_bare(&back)?;
            self.divergence = divergence;
            self.beginning.remembered = Some(back);
        }
        Ok(())
    }

    /// The settings after so many restarts.
    pub(super) fn change_course(&mut self, restarts: usize) -> Result<()> {
        let Beginning { config, seed, class_counts, .. } = &self.beginning;
        let mut config = config.clone();
        config.sgld.steps <<= restarts.min(16);
        config.optim.lr *= SLOWER.powi(restarts as i32);
        if let Some(vera) = &mut config.vera {
            vera.lr_generator *= SLOWER.powi(restarts as i32);
            vera.lr_posterior *= SLOWER.powi(restarts as i32);
        }
        self.learner.config = config;
        self.learner.seed = match restarts {
            0 => *seed,
            n => {
                let mut words = Stream::new(*seed, stream::RESTART).at(n as u32).rng();
                u64::from(words.word()) << 32 | u64::from(words.word())
            }
        };
        self.objective = objective(&self.learner, class_counts)?;
        Ok(())
    }

    /// Adds what is remembered to a checkpoint.
    pub(super) fn save_remembered(&self, state: &mut State) {
        let Some(back) = &self.beginning.remembered else { return };
        for (name, (shape, values)) in &back.tensors {
            state.set(format!("{PREFIX}{name}"), shape, values.clone());
        }
        state.json["restart"] = back.json.clone();
    }

    /// Puts back what [`Trainer::save_remembered`] added.
    pub(super) fn restore_remembered(&mut self, state: &State) {
        if state.json["restart"].is_null() {
            return;
        }
        let named = state.tensors.iter();
        let tensors = named.filter_map(|(name, v)| Some((name.strip_prefix(PREFIX)?.to_owned(), v.clone()))).collect();
        self.beginning.remembered = Some(State { tensors, json: state.json["restart"].clone(), ..State::default() });
    }
}

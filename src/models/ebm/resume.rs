//! A trainer's state, whole: what it takes to go on with the same bits.

use super::log::{Divergence, EpochLog};
use super::train::{Best, Named, Trainer};
use crate::data::batches::BatchPosition;
use crate::error::{Error, Result};
use crate::models::run::State;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Counters {
    t: u64,
    epoch: usize,
    on_iterations: u64,
    optimizer_steps: u64,
    stream_x: BatchPosition,
    stream_lab: BatchPosition,
    divergence: Divergence,
    best: Option<EpochLog>,
}

impl Trainer {
    /// Parameters, moments, what the objective keeps, best epoch and counters.
    pub fn state(&self) -> Result<State> {
        let mut state = self.bare_state()?;
        self.save_remembered(&mut state);
        Ok(state)
    }

    /// The same without what a restart would go back to.
    pub(super) fn bare_state(&self) -> Result<State> {
        let mut state = State::default();
        let mut all = |prefix: &str, named: Vec<Named>| {
            named.into_iter().for_each(|(name, shape, values)| state.set(format!("{prefix}{name}"), &shape, values));
        };
        all("network.", self.learner.network.export()?);
        all("generative.", self.objective.generative()?);
        if let Some(best) = &self.best {
            all("best.network.", best.network.clone());
            all("best.generative.", best.generative.clone());
        }
        for (i, values) in self.learner.optimizer.export()?.into_iter().enumerate() {
            state.set(format!("optimizer.{i}"), &[values.len()], values);
        }
        let counters = Counters {
            t: self.t,
            epoch: self.epoch,
            on_iterations: self.on_iterations,
            optimizer_steps: self.learner.optimizer.steps(),
            stream_x: self.stream_x.position(),
            stream_lab: self.stream_lab.position(),
            divergence: self.divergence.clone(),
            best: self.best.as_ref().map(|b| b.log),
        };
        state.json = serde_json::to_value(counters).map_err(unreadable)?;
        self.objective.save(&mut state)?;
        Ok(state)
    }

    /// Goes on from a state of a run with the same configuration, data and seed.
    ///
    /// # Errors
    /// `Error::Argument` if the state does not fit the run.
    pub fn restore(&mut self, state: &State) -> Result<()> {
        let counters: Counters = serde_json::from_value(state.json.clone()).map_err(unreadable)?;
        let restarts = counters.divergence.restarts.len();
        if restarts != self.divergence.restarts.len() {
            self.change_course(restarts)?;
        }
        self.restore_bare(state)?;
        self.restore_remembered(state);
        Ok(())
    }

    pub(super) fn restore_bare(&mut self, state: &State) -> Result<()> {
        let counters: Counters = serde_json::from_value(state.json.clone()).map_err(unreadable)?;
        self.learner.network.import(&state.under("network."))?;
        let moments = (0..)
            .map_while(|i| state.tensors.get(&format!("optimizer.{i}")).map(|(_, values)| values.clone()))
            .collect::<Vec<_>>();
        self.learner.optimizer.import(&moments, counters.optimizer_steps)?;
        self.objective.set_generative(&state.under("generative."))?;
        self.objective.restore(state)?;
        self.best = counters.best.map(|log| Best {
            log,
            network: state.under("best.network."),
            generative: state.under("best.generative."),
        });
        self.stream_x.restore(counters.stream_x);
        self.stream_lab.restore(counters.stream_lab);
        self.divergence = counters.divergence;
        (self.t, self.epoch, self.on_iterations) = (counters.t, counters.epoch, counters.on_iterations);
        Ok(())
    }
}

fn unreadable(e: serde_json::Error) -> Error {
    Error::Argument { op: "state", what: format!("the counters of a checkpoint cannot be read: {e}") }
}

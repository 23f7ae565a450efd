//! What iterations and epochs report, and what their figures mean (CLAMS specification, section 3).

use super::config::EbmConfig;
use super::hdge::ContrastLog;
use super::vera::GeneratorLog;
use serde::{Deserialize, Serialize};

/// What one iteration reports, a line of `log.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepLog {
    /// Iteration, from 0.
    pub t: u64,
    /// Epoch, from 0.
    pub epoch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Cross-entropy of the labelled batch.
    pub ce: f32,
    /// Raw generative loss L, if the sampler ran.
    pub generative: Option<f32>,
    /// `g(L)` as it entered the loss (0 while a gate is closed).
    pub clipped: f32,
    /// Whether both gates were open.
    pub gate: bool,
    /// Factor of the generative gradient, `w_x g'(L)`.
    pub c: f32,
    /// The minimised loss.
    pub loss: f32,
    /// Mean and standard deviation of s over real cells.
    pub s_real: Option<(f32, f32)>,
    /// Mean and standard deviation of s over sampled cells.
    pub s_fake: Option<(f32, f32)>,
    /// Largest absolute feature of the sampled cells.
    pub max_fake: Option<f32>,
    /// Chains that started afresh.
    pub fresh: usize,
    /// Length of the gradient.
    pub grad_norm: Option<f32>,
    /// The contrastive term, in models that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrast: Option<ContrastLog>,
    /// The generator, in models that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<GeneratorLog>,
}

/// When and how a run left the road.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// First iteration with `!(|loss| <= limit)`, or a non-finite L or sample.
    pub at: Option<u64>,
    /// First iteration with `!(|L| <= limit)` on the raw loss.
    pub strict_at: Option<u64>,
    /// First iteration with `|L| > warn`.
    pub unstable_at: Option<u64>,
    /// The values at divergence, in words (they may be NaN, which JSON has not).
    pub values: Option<String>,
    /// Iterations at which the run diverged and was restarted.
    #[serde(default)]
    pub restarts: Vec<u64>,
}

impl Divergence {
    /// Records what an iteration says.
    pub(super) fn note(&mut self, log: &StepLog, found: Verdict) {
        if found.unstable {
            self.unstable_at.get_or_insert(log.t);
        }
        if found.strict {
            self.strict_at.get_or_insert(log.t);
        }
        if found.diverged && self.at.is_none() {
            self.at = Some(log.t);
            self.values = Some(format!(
                "loss {:e}, L {:e}, largest sampled feature {:e}",
                log.loss,
                log.generative.unwrap_or(0.0),
                log.max_fake.unwrap_or(0.0)
            ));
        }
    }
}

/// Validation figures of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochLog {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Accuracy on the training cells.
    pub train_accuracy: f64,
    /// Accuracy on the validation cells (NaN without any).
    #[serde(deserialize_with = "or_nan")]
    pub valid_accuracy: f64,
    /// Cross-entropy on the validation cells.
    #[serde(deserialize_with = "or_nan")]
    pub valid_ce: f64,
    /// Calibration error on the validation cells (20 equal-width bins).
    #[serde(deserialize_with = "or_nan")]
    pub valid_ece: f64,
    /// Whether this epoch is the best so far.
    pub best: bool,
}

/// JSON has no NaN; it is written as null.
fn or_nan<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

/// What an iteration's figures mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `!(|loss| <= limit)`, or, where the generative term counts, a non-finite L or sample.
    pub diverged: bool,
    /// `!(|L| <= limit)`.
    pub strict: bool,
    /// `|L| > warn`.
    pub unstable: bool,
}

/// The divergence rule (specification, section 3), before the step is taken.
pub fn judge(log: &StepLog, config: &EbmConfig) -> Verdict {
    let within = |v: f32| f64::from(v).abs() <= config.divergence.limit;
    let generative = config.loss.w_x > 0.0 && config.loss.p_on > 0.0;
    let broken = log.generative.is_some_and(|l| !l.is_finite()) || log.max_fake.is_some_and(|m| !m.is_finite());
    Verdict {
        diverged: !within(log.loss) || (generative && broken),
        strict: log.generative.is_some_and(|l| !within(l)),
        unstable: log.generative.is_some_and(|l| f64::from(l).abs() > config.divergence.warn),
    }
}

pub(super) fn mean_std(values: &[f32]) -> (f32, f32) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let var = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    (mean as f32, var.sqrt() as f32)
}

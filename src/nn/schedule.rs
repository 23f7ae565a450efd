//! Learning rates over time, in f64 on the host.

use serde::{Deserialize, Serialize};

/// How the learning rate changes with the epoch (or whatever the caller counts).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
// Each variant's own line tells of its fields.
#[allow(missing_docs)]
pub enum Schedule {
    /// Always the initial rate.
    Constant,
    /// Times `factor` every `every` steps.
    Step { every: usize, factor: f64 },
    /// Times `factor` at each milestone.
    Milestones { at: Vec<usize>, factor: f64 },
    /// Times `factor` at every step.
    Exponential { factor: f64 },
    /// From `floor` times the initial rate... along a half cosine to `floor` after `steps`.
    Cosine { steps: usize, floor: f64 },
    /// [`Schedule::Cosine`] restarted: first period `first`, each `growth` times longer.
    CosineRestarts { first: usize, growth: usize, floor: f64 },
    /// Linearly from `start` times the initial rate to `end` times it over `steps`, then constant.
    Linear { start: f64, end: f64, steps: usize },
}

impl Schedule {
    /// The rate at step `t` for an initial rate `base`; `floor` is an absolute rate.
    pub fn rate(&self, base: f64, t: usize) -> f64 {
        let half_cosine =
            |floor: f64, t: f64, n: f64| floor + (base - floor) * (1.0 + (std::f64::consts::PI * t / n).cos()) / 2.0;
        match self {
            Schedule::Constant => base,
            Schedule::Step { every, factor } => base * factor.powi((t / (*every).max(1)) as i32),
            Schedule::Milestones { at, factor } => base * factor.powi(at.iter().filter(|&&m| m <= t).count() as i32),
            Schedule::Exponential { factor } => base * factor.powi(t as i32),
            Schedule::Cosine { steps, floor } => half_cosine(*floor, t as f64, (*steps).max(1) as f64),
            Schedule::CosineRestarts { first, growth, floor } => {
                let (mut start, mut period) = (0, (*first).max(1));
                while t >= start + period {
                    start += period;
                    period *= (*growth).max(1);
                }
                half_cosine(*floor, (t - start) as f64, period as f64)
            }
            Schedule::Linear { start, end, steps } => {
                let part = (t as f64 / (*steps).max(1) as f64).min(1.0);
                base * (start + (end - start) * part)
            }
        }
    }
}

/// Lowers the rate when a figure that should fall has stopped falling (PyTorch's
/// `ReduceLROnPlateau`, relative threshold).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// Multiplies the rate.
    pub factor: f64,
    /// Steps without improvement that are forgiven.
    pub patience: usize,
    /// Smallest relative improvement that counts.
    pub threshold: f64,
    rate: f64,
    best: f64,
    bad: usize,
}

impl Plateau {
    /// Starting at `rate`.
    pub fn new(rate: f64, factor: f64, patience: usize, threshold: f64) -> Self {
        Plateau { factor, patience, threshold, rate, best: f64::INFINITY, bad: 0 }
    }

    /// The rate in force.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Takes the figure of a step; returns the rate from then on.
    pub fn step(&mut self, figure: f64) -> f64 {
        if figure < self.best * (1.0 - self.threshold) {
            (self.best, self.bad) = (figure, 0);
        } else {
            self.bad += 1;
        }
        if self.bad > self.patience {
            self.rate *= self.factor;
            self.bad = 0;
        }
        self.rate
    }
}

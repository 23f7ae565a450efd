//! Readings of a trained network: logits, labels, confidence, log density, embedding.

use super::network::Network;
use crate::analysis::metrics::calibration::{Binning, ece};
use crate::device::Device;
use crate::error::Result;
use crate::math;
use crate::nn::Mode;
use crate::tensor::{Tensor, no_grad};

/// Cells per forward pass; each cell's result does not depend on it.
const BLOCK: usize = 1024;

/// Logits of many cells.
#[derive(Clone, Debug)]
pub struct Logits {
    /// `[n, classes]`, row-major.
    pub z: Vec<f32>,
    /// Number of classes.
    pub classes: usize,
}

/// What an annotator says of each cell.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// Most probable class, the lowest index among equals.
    pub label: Vec<u32>,
    /// Its probability.
    pub prob: Vec<f32>,
    /// `logsumexp z`: un-normalised log density.
    pub log_px: Vec<f32>,
    /// All class probabilities, `[n, classes]`.
    pub probs: Vec<f32>,
}

/// Accuracy, cross-entropy and calibration on labelled cells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Share of right labels.
    pub accuracy: f64,
    /// Mean `-ln p(label)`.
    pub cross_entropy: f64,
    /// 20 equal-width bins (specification, section 7).
    pub ece: f64,
}

/// What cells `x` `[n, features]` are read by ([`Network::readings`]).
pub fn logits(network: &Network, x: &[f32], device: &Device) -> Result<Logits> {
    let z = in_blocks(network, x, device, |x| network.readings(x))?;
    Ok(Logits { z, classes: network.classes() })
}

/// The last hidden layer of `x`, `[n, width]`.
pub fn embedding(network: &Network, x: &[f32], device: &Device) -> Result<Vec<f32>> {
    in_blocks(network, x, device, |x| network.hidden(x, &Mode::eval()))
}

fn in_blocks(network: &Network, x: &[f32], device: &Device, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<f32>> {
    let features = network.features();
    let mut out = Vec::new();
    for block in x.chunks(BLOCK * features.max(1)) {
        let x = Tensor::from_slice(block, &[block.len() / features.max(1), features], device)?;
        out.extend(no_grad(|| f(&x))?.to_vec()?);
    }
    Ok(out)
}

/// The readings of logits, on the host.
pub fn readings(logits: &Logits) -> Readings {
    let mut r = Readings::default();
    for z in logits.z.chunks(logits.classes.max(1)) {
        let max = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let label = z.iter().position(|&v| v == max).unwrap_or(0);
        let terms: Vec<f32> = z.iter().map(|&v| math::exp(v - max)).collect();
        let sum: f32 = terms.iter().sum();
        r.label.push(label as u32);
        r.prob.push(terms[label] / sum);
        r.log_px.push(max + math::ln(sum));
        r.probs.extend(terms.iter().map(|t| t / sum));
    }
    r
}

/// Accuracy, cross-entropy and ECE against `y`.
pub fn figures(logits: &Logits, y: &[u32]) -> Figures {
    if y.is_empty() {
        return Figures { accuracy: f64::NAN, cross_entropy: f64::NAN, ece: f64::NAN };
    }
    let r = readings(logits);
    let right: Vec<bool> = r.label.iter().zip(y).map(|(a, b)| a == b).collect();
    let cross_entropy: f64 = y
        .iter()
        .enumerate()
        .map(|(i, &y)| f64::from(r.log_px[i]) - f64::from(logits.z[i * logits.classes + y as usize]))
        .sum();
    let confidence: Vec<f64> = r.prob.iter().map(|&p| f64::from(p)).collect();
    Figures {
        accuracy: right.iter().filter(|&&b| b).count() as f64 / y.len() as f64,
        cross_entropy: cross_entropy / y.len() as f64,
        ece: ece(&confidence, &right, 20, Binning::WidthFloor).unwrap_or(f64::NAN),
    }
}

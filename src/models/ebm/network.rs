//! The backbone (CLAMS specification, section 2) and its two readings: classifier and density.

use super::base::Base;
use super::config::NetConfig;
use crate::device::Device;
use crate::error::Result;
use crate::models::run::State;
use crate::nn::{Builder, Linear, Mode, Params, ResBlock};
use crate::tensor::Tensor;
use crate::tensor::op::Activation;

/// Residual network `[rows, features] -> logits [rows, classes]`.
pub struct Network {
    params: Params,
    /// A linear layer and its residual blocks, per stage.
    stages: Vec<(Linear, Vec<ResBlock>)>,
    head: Linear,
    base: Option<Base>,
    features: usize,
    classes: usize,
}

impl Network {
    /// With first values from `seed`.
    pub fn new(config: &NetConfig, features: usize, classes: usize, seed: u64, device: &Device) -> Result<Network> {
        let mut builder = Builder::new();
        let mut stages = Vec::new();
        let mut width = features;
        for (s, (&units, &blocks)) in config.widths.iter().zip(&config.blocks).enumerate() {
            let linear = Linear::new(&mut builder, &format!("stage{s}.linear"), width, units);
            let block = |b| format!("stage{s}.block{b}");
            let blocks = (0..blocks)
                .map(|b| ResBlock::new(&mut builder, &block(b), units, config.act, config.dropout, config.norm))
                .collect();
            stages.push((linear, blocks));
            width = units;
        }
        let head = Linear::new(&mut builder, "head", width, classes);
        Ok(Network { params: builder.build(seed, device)?, stages, head, base: None, features, classes })
    }

    /// What the names of its tensors begin with in a model file.
    pub const PREFIX: &str = "network.";

    /// The network of a model file, base density and all.
    ///
    /// # Errors
    /// `Error::Argument` naming what is missing or has another shape; device errors.
    pub fn of(state: &State, config: &NetConfig, features: usize, classes: usize, device: &Device) -> Result<Network> {
        let mut network = Network::new(config, features, classes, 0, device)?;
        let named = state.under(Network::PREFIX);
        network.import(&named)?;
        network.set_base(Base::import(&named, features, classes, device)?);
        Ok(network)
    }

    /// Models the difference to a base density from now on.
    pub fn set_base(&mut self, base: Option<Base>) {
        self.base = base;
    }

    /// The base density, if there is one.
    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// Logits of `x` `[rows, features]`.
    pub fn logits(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let f = self.head.forward(&self.params, &self.hidden(x, mode)?, Activation::None)?;
        match &self.base {
            Some(base) => f.add(&base.score(x)?),
            None => Ok(f),
        }
    }

    /// What cells are read by, `[rows, classes]`: its `softmax` is p(y|x), its `logsumexp` log p(x). The
    /// logits, unless there is a base density ([`Base::beside`]).
    pub fn readings(&self, x: &Tensor) -> Result<Tensor> {
        let logits = self.logits(x, &Mode::eval())?;
        match &self.base {
            Some(base) => base.beside(x, &logits),
            None => Ok(logits),
        }
    }

    /// The last hidden layer, `[rows, width]`.
    pub fn hidden(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let mut h = x.clone();
        for (linear, blocks) in &self.stages {
            h = linear.forward(&self.params, &h, Activation::None)?;
            for block in blocks {
                h = block.forward(&self.params, &h, mode)?;
            }
        }
        Ok(h)
    }

    /// `s(x) = logsumexp_y z_y`: the un-normalised log density, `[rows]`.
    pub fn score(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.logits(x, mode)?.logsumexp()
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Input width.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Output width.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Parameters and running statistics by name, with shapes and values.
    pub fn export(&self) -> Result<Vec<(String, Vec<usize>, Vec<f32>)>> {
        let mut all = self.params.export()?;
        for norm in self.stages.iter().flat_map(|(_, blocks)| blocks).flat_map(ResBlock::norms) {
            all.extend(norm.export(&self.params)?);
        }
        if let Some(base) = &self.base {
            all.extend(base.export()?);
        }
        Ok(all)
    }

    /// Puts back what [`Network::export`] gave; the base density stays as it is.
    ///
    /// # Errors
    /// `Error::Argument` naming what is missing or has another shape.
    pub fn import(&self, named: &[(String, Vec<usize>, Vec<f32>)]) -> Result<()> {
        let find = |name: &str| named.iter().find(|(n, ..)| n == name).map(|(_, s, v)| (s.as_slice(), v.as_slice()));
        self.params.import(find)?;
        for norm in self.stages.iter().flat_map(|(_, blocks)| blocks).flat_map(ResBlock::norms) {
            norm.import(&self.params, find)?;
        }
        Ok(())
    }
}

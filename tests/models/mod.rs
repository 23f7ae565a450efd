//! Small models whose training is compared between devices.
#![allow(dead_code)]

use cytograd::Result;
use cytograd::device::Device;
use cytograd::models::ebm::config::{LossConfig, NetConfig, OptimConfig, SgldConfig};
use cytograd::models::ebm::hdge::HdgeConfig;
use cytograd::models::ebm::vera::VeraConfig;
use cytograd::models::ebm::{Cells, Clip, EbmConfig, Model, Select, Trainer};
use cytograd::nn::sampler::normal;
use cytograd::nn::{Act, Builder, Linear, Optimizer, OptimizerConfig, Params, Step};
use cytograd::rng::{Stream, stream};
use cytograd::tensor::op::Activation;
use cytograd::tensor::{Tensor, grad};

pub fn normals(n: usize, seed: u64) -> Vec<f32> {
    let draws = Stream::new(seed, stream::TEST);
    (0..n as u32).map(|i| draws.normal(i)).collect()
}

/// CLAMS on noise, with everything that draws numbers.
pub fn clams(device: &Device) -> Trainer {
    clams_with(device, |_| {})
}

/// The same, but for something.
pub fn clams_with(device: &Device, change: impl FnOnce(&mut EbmConfig)) -> Trainer {
    let (n, features, classes) = (300, 10, 4);
    let cells =
        |seed| Cells { x: normals(n * features, seed), y: (0..n as u32).map(|i| i % classes).collect(), features };
    let mut config = EbmConfig {
        net: NetConfig { widths: vec![24, 12], blocks: vec![1, 1], act: Act::Elu, norm: true, dropout: 0.2 },
        optim: OptimConfig { epochs: 1000, batch: 32, ..OptimConfig::default() },
        sgld: SgldConfig { steps: 4, buffer: 200, ..SgldConfig::default() },
        loss: LossConfig { clip: Clip::Elu, p_on: 1.0, input_noise: 0.1, ..LossConfig::default() },
        ..EbmConfig::default()
    };
    change(&mut config);
    Trainer::new(config, Select::Accuracy, cells(1), cells(2), classes as usize, 3, device).unwrap()
}

/// The smallest run of a model, but for something.
pub fn model_with(model: Model, device: &Device, change: impl FnOnce(&mut EbmConfig)) -> Trainer {
    clams_with(device, |config| {
        let EbmConfig { loss, hdge, vera, .. } = model.config();
        config.loss = LossConfig { input_noise: 0.1, ..loss };
        config.hdge = hdge.map(|hdge| HdgeConfig { memory: 96, ..hdge });
        config.vera = vera.map(|vera| VeraConfig { latent: 8, widths: vec![16; 3], samples: 5, ..vera });
        change(config);
    })
}

/// A WGAN-GP critic with its optimiser (Gulrajani et al. 2017), on noisy fake cells.
pub struct Critic {
    pub params: Params,
    layers: Vec<Linear>,
    optimizer: Optimizer,
    real: Tensor,
    fake: Tensor,
    step: Option<Step<()>>,
}

impl Critic {
    pub fn new(device: &Device) -> Result<Critic> {
        let dims = [20, 32, 16, 1];
        let mut builder = Builder::new();
        let layer = |(i, w): (usize, &[usize])| Linear::new(&mut builder, &format!("l{i}"), w[0], w[1]);
        let layers = dims.windows(2).enumerate().map(layer).collect();
        let params = builder.build(5, device)?;
        let optimizer = Optimizer::new(OptimizerConfig::adam(), params.numel(), device)?;
        let cells = |seed| Tensor::from_slice(&normals(16 * 20, seed), &[16, 20], device);
        Ok(Critic { params, layers, optimizer, real: cells(1)?, fake: cells(2)?, step: None })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let last = self.layers.len() - 1;
        self.layers.iter().enumerate().try_fold(x.clone(), |h, (i, layer)| {
            layer.forward(&self.params, &h, if i == last { Activation::None } else { Activation::Elu(1.0) })
        })
    }

    /// One step, with second-order gradients.
    pub fn step(&mut self, t: u32) -> Result<()> {
        let weight = Stream::new(9, stream::AUGMENT).at(t);
        let weight: Vec<f32> = (0..16).map(|i| weight.uniform(i)).collect();
        let weight = Tensor::from_slice(&weight, &[16, 1], self.real.device())?;
        self.optimizer.prepare(1e-3)?;
        let mut step = self.step.take().unwrap_or_else(|| Step::new(weight.device()));
        step.run(&[&weight], t, &|x, t| self.update(&x[0], t))?;
        self.step = Some(step);
        self.optimizer.advance();
        Ok(())
    }

    fn update(&self, weight: &Tensor, t: u32) -> Result<()> {
        let noise = normal(Stream::new(9, stream::TEST).at(t), 0.0, 0.1, self.fake.shape(), self.fake.device())?;
        let fake = self.fake.add(&noise)?;
        let x = self.real.lerp(&fake, weight)?.variable();
        let slope = grad(&[&self.forward(&x)?.sum_all()?], &[&x], true)?.remove(0);
        let penalty = slope.norm(&[1], false)?.add_scalar(-1.0)?.square()?.mean_all()?.mul_scalar(10.0)?;
        let gap = self.forward(&fake)?.mean_all()?.sub(&self.forward(&self.real)?.mean_all()?)?;
        let grads = grad(&[&gap.add(&penalty)?], &self.params.all(), false)?;
        self.optimizer.update(&self.params, &self.params.flatten(&grads)?)
    }
}

pub fn bits(params: &Params) -> Vec<u32> {
    params.arena().to_vec().unwrap().iter().map(|v| v.to_bits()).collect()
}

/// Parameters after some steps of a WGAN-GP critic.
pub fn critic_bits(device: &Device, steps: u32) -> Vec<u32> {
    let mut critic = Critic::new(device).unwrap();
    (0..steps).for_each(|t| critic.step(t).unwrap());
    bits(&critic.params)
}

/// Parameters and replay buffer after some iterations of CLAMS.
pub fn clams_bits(device: &Device, iterations: usize) -> (Vec<u32>, Vec<u32>) {
    let mut trainer = clams(device);
    for _ in 0..iterations {
        trainer.step().unwrap();
    }
    trained_bits(&trainer)
}

/// Parameters and replay buffer.
pub fn trained_bits(trainer: &Trainer) -> (Vec<u32>, Vec<u32>) {
    let slots = trainer.sampler().unwrap().buffer().slots().to_vec().unwrap();
    (bits(trainer.network().params()), slots.iter().map(|v| v.to_bits()).collect())
}

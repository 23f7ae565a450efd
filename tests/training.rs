//! Whole training runs: the same bits on every backend, and no new memory after warm-up.

#[cfg(feature = "cuda")]
#[path = "kernels/shim.rs"]
mod shim;

use cytograd::Result;
use cytograd::device::Device;
use cytograd::models::ebm::config::{LossConfig, NetConfig, OptimConfig, SgldConfig};
use cytograd::models::ebm::{Cells, Clip, EbmConfig, Select, Trainer};
use cytograd::nn::{Act, Builder, Linear, Optimizer, OptimizerConfig, Params};
use cytograd::rng::{Stream, stream};
use cytograd::tensor::op::Activation;
use cytograd::tensor::{Tensor, grad};

fn normals(n: usize, seed: u64) -> Vec<f32> {
    let draws = Stream::new(seed, stream::TEST);
    (0..n as u32).map(|i| draws.normal(i)).collect()
}

/// Every device whose bits must agree.
fn devices() -> Vec<(String, Device)> {
    let cpu = [1, 2, 7].map(|n| (format!("cpu with {n} threads"), Device::cpu(n)));
    cpu.into_iter().chain([("reference".to_string(), Device::reference())]).collect()
}

/// The CUDA device of this machine, if there is one.
#[cfg(feature = "cuda")]
fn cuda() -> Option<Device> {
    match Device::open("cuda", 1) {
        Ok(device) => Some(device),
        Err(why) if shim::listed("CYTOGRAD_REQUIRE", "cuda") => panic!("{why}"),
        Err(why) => {
            eprintln!("skipped: whole runs on a CUDA device: {why}");
            None
        }
    }
}

/// Devices that run the CUDA kernels' source on the host.
#[cfg(feature = "cuda")]
fn cuda_on_the_host() -> Vec<(String, Device)> {
    match shim::backends() {
        Ok(shims) => shims.into_iter().map(|(name, cuda)| (name, Device::new(Box::new(cuda)))).collect(),
        Err(why) => {
            eprintln!("skipped: whole runs of the CUDA kernels on the host: {why}");
            Vec::new()
        }
    }
}

fn clams(device: &Device) -> Trainer {
    let (n, features, classes) = (300, 10, 4);
    let cells =
        |seed| Cells { x: normals(n * features, seed), y: (0..n as u32).map(|i| i % classes).collect(), features };
    let config = EbmConfig {
        net: NetConfig { widths: vec![24, 12], blocks: vec![1, 1], act: Act::Elu, norm: true, dropout: 0.2 },
        optim: OptimConfig { epochs: 1000, batch: 32, ..OptimConfig::default() },
        sgld: SgldConfig { steps: 4, buffer: 200, ..SgldConfig::default() },
        loss: LossConfig { clip: Clip::Elu, p_on: 1.0, input_noise: 0.1, ..LossConfig::default() },
        ..EbmConfig::default()
    };
    Trainer::new(config, Select::Accuracy, cells(1), cells(2), classes as usize, 3, device).unwrap()
}

/// A WGAN-GP critic with its optimiser (Gulrajani et al. 2017).
struct Critic {
    params: Params,
    layers: Vec<Linear>,
    optimizer: Optimizer,
    real: Tensor,
    fake: Tensor,
}

impl Critic {
    fn new(device: &Device) -> Result<Critic> {
        let dims = [20, 32, 16, 1];
        let mut builder = Builder::new();
        let layer = |(i, w): (usize, &[usize])| Linear::new(&mut builder, &format!("l{i}"), w[0], w[1]);
        let layers = dims.windows(2).enumerate().map(layer).collect();
        let params = builder.build(5, device)?;
        let optimizer = Optimizer::new(OptimizerConfig::adam(), params.numel(), device)?;
        let cells = |seed| Tensor::from_slice(&normals(16 * 20, seed), &[16, 20], device);
        Ok(Critic { params, layers, optimizer, real: cells(1)?, fake: cells(2)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let last = self.layers.len() - 1;
        self.layers.iter().enumerate().try_fold(x.clone(), |h, (i, layer)| {
            layer.forward(&self.params, &h, if i == last { Activation::None } else { Activation::Elu(1.0) })
        })
    }

    fn step(&mut self, t: u64) -> Result<()> {
        let weight = Stream::new(9, stream::AUGMENT).at(t as u32);
        let weight: Vec<f32> = (0..16).map(|i| weight.uniform(i)).collect();
        let weight = Tensor::from_slice(&weight, &[16, 1], self.real.device())?;
        let x = self.real.lerp(&self.fake, &weight)?.variable();
        let slope = grad(&[&self.forward(&x)?.sum_all()?], &[&x], true)?.remove(0);
        let penalty = slope.norm(&[1], false)?.add_scalar(-1.0)?.square()?.mean_all()?.mul_scalar(10.0)?;
        let gap = self.forward(&self.fake)?.mean_all()?.sub(&self.forward(&self.real)?.mean_all()?)?;
        let grads = grad(&[&gap.add(&penalty)?], &self.params.all(), false)?;
        self.optimizer.step(&self.params, &self.params.flatten(&grads)?, 1e-3)
    }
}

fn bits(params: &Params) -> Vec<u32> {
    params.arena().to_vec().unwrap().iter().map(|v| v.to_bits()).collect()
}

/// Parameters after some steps of a WGAN-GP critic.
fn critic_bits(device: &Device, steps: u64) -> Vec<u32> {
    let mut critic = Critic::new(device).unwrap();
    (0..steps).for_each(|t| critic.step(t).unwrap());
    bits(&critic.params)
}

/// Parameters and replay buffer after some iterations of CLAMS.
fn clams_bits(device: &Device, iterations: usize) -> (Vec<u32>, Vec<u32>) {
    let mut trainer = clams(device);
    for _ in 0..iterations {
        trainer.step().unwrap();
    }
    let slots = trainer.sampler().unwrap().buffer().slots().to_vec().unwrap();
    (bits(trainer.network().params()), slots.iter().map(|v| v.to_bits()).collect())
}

#[test]
fn wgan_gp_critic_has_the_same_bits_on_every_backend() {
    let expected = critic_bits(&Device::reference(), 20);
    for (name, device) in devices() {
        assert!(critic_bits(&device, 20) == expected, "{name}");
    }
}

#[test]
fn clams_has_the_same_bits_on_every_backend() {
    let expected = clams_bits(&Device::reference(), 20);
    for (name, device) in devices() {
        assert!(clams_bits(&device, 20) == expected, "{name}");
    }
}

#[test]
#[cfg(feature = "cuda")]
fn whole_runs_have_the_same_bits_through_the_cuda_kernels_on_the_host() {
    let cpu = Device::cpu(2);
    let expected = (critic_bits(&cpu, 20), clams_bits(&cpu, 100));
    for (name, device) in cuda_on_the_host() {
        assert!(critic_bits(&device, 20) == expected.0, "{name}: 20 steps of the critic");
        assert!(clams_bits(&device, 100) == expected.1, "{name}: 100 iterations of CLAMS");
    }
}

#[test]
#[cfg(feature = "cuda")]
fn whole_runs_have_the_same_bits_on_a_cuda_device() {
    let Some(device) = cuda() else { return };
    let cpu = Device::cpu(4);
    assert!(critic_bits(&device, 100) == critic_bits(&cpu, 100), "100 steps of the critic");
    assert!(clams_bits(&device, 100) == clams_bits(&cpu, 100), "100 iterations of CLAMS");
}

#[test]
fn training_steps_allocate_nothing_after_warm_up() {
    let device = Device::cpu(1);
    let mut trainer = clams(&device);
    let mut critic = Critic::new(&device).unwrap();
    for t in 0..3 {
        trainer.step().unwrap();
        critic.step(t).unwrap();
    }
    let before = device.memory();
    for t in 3..23 {
        trainer.step().unwrap();
        critic.step(t).unwrap();
    }
    let after = device.memory();
    assert_eq!(after.allocations, before.allocations, "new memory in a training step");
    assert_eq!(after.live, before.live, "memory held after a step");
    assert!(after.peak > after.live && after.launches > before.launches);
}

#[test]
fn an_iteration_waits_for_the_device_twice() {
    let device = Device::cpu(1);
    let mut trainer = clams(&device);
    let before = device.memory().downloads;
    for _ in 0..5 {
        trainer.step().unwrap();
    }
    assert_eq!(device.memory().downloads - before, 10);
}

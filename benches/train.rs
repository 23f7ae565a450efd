//! One training iteration: JEM, VERA and HDGE on the specification's network, JEM on the orientation
//! shape, a WGAN-GP critic step; where the time goes, and the rate beside the operations that the
//! specification's cost model counts.
//!
//! Ceiling: the iteration's matrix products alone, through a bare `matrixmultiply` call each.

#[path = "measure.rs"]
mod measure;

use cytograd::device::Device;
use cytograd::models::ebm::config::{LossConfig, NetConfig, OptimConfig, SgldConfig};
use cytograd::models::ebm::{Cells, Clip, EbmConfig, Model, Select, Trainer};
use cytograd::nn::{Act, Builder, Linear, Optimizer, OptimizerConfig, Params};
use cytograd::rng::Stream;
use cytograd::tensor::op::Activation;
use cytograd::tensor::{Tensor, grad};
use std::time::Instant;

fn normals(n: usize, seed: u64) -> Vec<f32> {
    let draws = Stream::new(seed, 20);
    (0..n as u32).map(|i| draws.normal(i)).collect()
}

fn trainer(config: EbmConfig, features: usize, classes: usize, device: &Device) -> Trainer {
    let n = 512;
    let cells = |seed| Cells {
        x: normals(n * features, seed),
        y: (0..n as u32).map(|i| i % classes as u32).collect(),
        features,
    };
    Trainer::new(config, Select::Accuracy, cells(1), cells(2), classes, 1, device).expect("trainer")
}

fn jem(name: &str, net: NetConfig, features: usize, classes: usize, threads: usize) {
    // Sampling 2F per step and cell, the update 9F (specification, section 11).
    let flops = 64.0 * 2.0 * macs(&net, features, classes) as f64 * (2.0 * 20.0 + 9.0);
    let config = EbmConfig {
        net,
        optim: OptimConfig { epochs: 1 << 20, ..OptimConfig::default() },
        sgld: SgldConfig { alpha: 0.01, ..SgldConfig::default() },
        loss: LossConfig { clip: Clip::Elu, p_on: 1.0, ..LossConfig::default() },
        ..EbmConfig::default()
    };
    iteration(name, config, features, classes, flops, threads);
}

/// The other models on the specification's network, with its batches.
fn others(threads: usize) {
    let (features, classes) = (50, 10);
    let f = 2.0 * macs(&NetConfig::default(), features, classes) as f64;
    let generator = 2.0 * (500 * 128 + 2 * 500 * 500 + 500 * features) as f64;
    // VERA 16F and 25 of the generator's, HDGE 3F (specification, section 11).
    for (model, name, flops) in [
        (Model::Vera, "VERA 50-800x2-200x4-10, batch 40", 40.0 * (16.0 * f + 25.0 * generator)),
        (Model::Hdge, "HDGE 50-800x2-200x4-10, batch 64", 64.0 * 3.0 * f),
    ] {
        let mut config = model.config();
        config.optim.epochs = 1 << 20;
        iteration(name, config, features, classes, flops, threads);
    }
}

fn iteration(name: &str, config: EbmConfig, features: usize, classes: usize, flops: f64, threads: usize) {
    let device = Device::cpu(threads);
    let mut t = trainer(config, features, classes, &device);
    for _ in 0..3 {
        t.step().expect("step");
    }
    let before = device.memory();
    let rounds = 7;
    let mut seconds: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            t.step().expect("step");
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let after = device.memory();
    let start = Instant::now();
    let (_, profile) = device.profile(|| t.step().expect("step"));
    let wall = start.elapsed().as_secs_f64();
    let gemm = profile.get("gemm").map_or(0.0, |(_, time)| time.as_secs_f64());
    let median = seconds[rounds / 2];
    println!(
        "{name}, {threads} thread(s): {:.1} ms per iteration ({:.1} to {:.1}), {:.1} per second, {:.0} GFLOP/s; {:.0} % of the time inside GEMM (goal 75 %); {} launches, {} allocations per iteration",
        median * 1e3,
        seconds[0] * 1e3,
        seconds[rounds - 1] * 1e3,
        1.0 / median,
        flops / median / 1e9,
        100.0 * gemm / wall,
        (after.launches - before.launches) / rounds as u64,
        (after.allocations - before.allocations) / rounds as u64,
    );
    let mut rows: Vec<_> = profile.into_iter().collect();
    rows.sort_by_key(|(_, (_, time))| std::cmp::Reverse(*time));
    for (kernel, (count, time)) in rows.iter().take(6) {
        println!("    {kernel:<24} {count:>5} launches {:>8.2} ms", time.as_secs_f64() * 1e3);
    }
}

/// Multiply-adds of one cell's forward pass.
fn macs(net: &NetConfig, features: usize, classes: usize) -> usize {
    let (mut total, mut width) = (0, features);
    for (&units, &blocks) in net.widths.iter().zip(&net.blocks) {
        total += width * units + 2 * blocks * units * units;
        width = units;
    }
    total + width * classes
}

struct Critic {
    layers: Vec<Linear>,
}

impl Critic {
    fn new(builder: &mut Builder, dims: &[usize]) -> Self {
        let layer = |(i, w): (usize, &[usize])| Linear::new(builder, &format!("l{i}"), w[0], w[1]);
        Critic { layers: dims.windows(2).enumerate().map(layer).collect() }
    }

    fn forward(&self, p: &Params, x: &Tensor) -> cytograd::Result<Tensor> {
        let mut h = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            let last = i + 1 == self.layers.len();
            h = layer.forward(p, &h, if last { Activation::None } else { Activation::LeakyRelu(0.2) })?;
        }
        Ok(h)
    }
}

fn wgan_gp(threads: usize) -> cytograd::Result<()> {
    let device = Device::cpu(threads);
    let mut builder = Builder::new();
    let critic = Critic::new(&mut builder, &[1000, 512, 512, 512, 1]);
    let params = builder.build(1, &device)?;
    let mut optimizer = Optimizer::new(OptimizerConfig::adam(), params.numel(), &device)?;
    let cells = |seed| Tensor::from_slice(&normals(64 * 1000, seed), &[64, 1000], &device);
    let (real, fake) = (cells(1)?, cells(2)?);
    let mixed = real.lerp(&fake, &Tensor::full(0.3, &[64, 1], &device)?)?;
    let mut step = || -> cytograd::Result<()> {
        let x = mixed.variable();
        let slope = grad(&[&critic.forward(&params, &x)?.sum_all()?], &[&x], true)?.remove(0);
        let penalty = slope.norm(&[1], false)?.add_scalar(-1.0)?.square()?.mean_all()?.mul_scalar(10.0)?;
        let gap = critic.forward(&params, &fake)?.mean_all()?.sub(&critic.forward(&params, &real)?.mean_all()?)?;
        let grads = grad(&[&gap.add(&penalty)?], &params.all(), false)?;
        optimizer.step(&params, &params.flatten(&grads)?, 1e-4)
    };
    let stats = measure::compare(9, &mut [("critic", &mut || step().expect("step"))]);
    println!(
        "WGAN-GP critic step 1000-512-512-512-1, batch 64, {threads} thread(s): {:.1} ms (PyTorch, one core, for orientation: 17.1 ms)",
        stats[0].median * 1e3
    );
    Ok(())
}

fn main() -> cytograd::Result<()> {
    measure::title("training iterations");
    for threads in [1, 2] {
        jem("JEM 50-800x2-200x4-10, batch 64, 20 steps", NetConfig::default(), 50, 10, threads);
        let plain =
            NetConfig { widths: vec![512, 512, 512], blocks: vec![0, 0, 0], act: Act::Elu, norm: false, dropout: 0.0 };
        others(threads);
        jem("JEM 1000-512-512-512-14 (PyTorch, one core: 72.8 ms)", plain, 1000, 14, threads);
        wgan_gp(threads)?;
    }
    Ok(())
}

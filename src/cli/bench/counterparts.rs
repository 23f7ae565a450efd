//! The cases of `benches/torch_counterparts.py`, under the same names, for a table side by side.

use super::work::{product_named, values};
use super::{Amount, Bench};
use crate::error::Result;
use crate::models::ebm::config::{LossConfig, NetConfig, OptimConfig, SgldConfig};
use crate::models::ebm::{Cells, Clip, EbmConfig, Network, Select, Trainer};
use crate::nn::{Act, Chain, Mode, Sgld, mmd};
use crate::rng::{Stream, stream};
use crate::tensor::op::{MmdKernel, Similarity, Zinb};
use crate::tensor::{Tensor, grad};

/// m, k, n: the models' layers, then squares.
const PRODUCTS: [[usize; 3]; 12] = [
    [64, 50, 800],
    [64, 800, 800],
    [64, 200, 200],
    [128, 1000, 512],
    [256, 2000, 256],
    [256, 3000, 256],
    [1024, 800, 800],
    [1024, 5000, 1024],
    [512, 512, 512],
    [1024, 1024, 1024],
    [2048, 2048, 2048],
    [4096, 4096, 4096],
];

/// A network of the energy-based models.
struct Net {
    name: &'static str,
    features: usize,
    config: NetConfig,
    classes: usize,
}

fn nets(quick: bool) -> Vec<Net> {
    let net = |name, features, widths: &[usize], blocks: &[usize], classes| Net {
        name,
        features,
        config: NetConfig {
            widths: widths.to_vec(),
            blocks: blocks.to_vec(),
            act: Act::Elu,
            norm: false,
            dropout: 0.0,
        },
        classes,
    };
    if quick {
        return vec![net("10-16x1-8x1-3", 10, &[16, 8], &[1, 1], 3)];
    }
    vec![
        net("50-800x2-200x4-10", 50, &[800, 200], &[2, 4], 10),
        net("1000-512x1-512x1-14", 1000, &[512, 512], &[1, 1], 14),
    ]
}

fn normals(bench: &Bench, shape: &[usize], seed: u64) -> Result<Tensor> {
    let draws = Stream::new(seed, stream::TEST);
    let values: Vec<f32> = (0..shape.iter().product::<usize>() as u32).map(|i| draws.normal(i)).collect();
    Tensor::from_slice(&values, shape, bench.device)
}

/// All of them.
pub fn run(bench: &mut Bench) -> Result<()> {
    let quick = bench.quick;
    for [m, k, n] in if quick { vec![[64, 50, 80]] } else { PRODUCTS.to_vec() } {
        product_named(bench, format!("gemm {m}x{k}x{n}"), [m, k, n])?;
    }
    for net in nets(quick) {
        for batch in if quick { vec![4] } else { vec![64, 1024] } {
            langevin(bench, &net, batch)?;
        }
    }
    for n in if quick { vec![100] } else { vec![10_000, 50_000, 100_000] } {
        discrepancy(bench, n)?;
    }
    for (rows, genes) in if quick { vec![(8, 50)] } else { vec![(128, 2000), (1024, 4000), (4096, 4000)] } {
        counts(bench, rows, genes)?;
    }
    nets(quick).into_iter().try_for_each(|net| iteration(bench, net))
}

/// Weights of the linear layers.
fn weights(network: &Network) -> usize {
    network.params().all().iter().filter(|p| p.rank() == 2).map(|p| p.numel()).sum()
}

fn langevin(bench: &mut Bench, net: &Net, batch: usize) -> Result<()> {
    let network = Network::new(&net.config, net.features, net.classes, 1, bench.device)?;
    let sgld = Sgld { steps: 20, alpha: 1.0, sigma: 0.01, grad_clamp: None, range: None };
    let start = normals(bench, &[batch, net.features], 2)?;
    let score = |x: &Tensor| network.logits(x, &Mode::eval())?.logsumexp()?.sum_all();
    let mut chain = Chain::new(sgld, start.shape());
    let work = Amount::Flops((4 * sgld.steps * batch * weights(&network)) as f64);
    let mut t = 0;
    bench.time(format!("sgld {} batch {batch} 20 steps", net.name), work, || {
        t += 1;
        chain.run(&start, Stream::new(3, stream::SGLD).at(t), &score).map(|_| ())
    })
}

fn discrepancy(bench: &mut Bench, n: usize) -> Result<()> {
    let d = 50;
    let (x, y) = (normals(bench, &[n, d], 4)?.variable(), normals(bench, &[n, d], 5)?.variable());
    let kernel = MmdKernel::new(Similarity::Gaussian, &[1.0 / d as f32], bench.device)?;
    // Three sets of pairs: a subtraction and a fused multiply-add per coordinate for the value, a fused
    // multiply-add for each gradient (one of xx and yy, two of xy).
    let work = Amount::Flops(n as f64 * n as f64 * d as f64 * (3.0 * 3.0 + 2.0 * 4.0));
    bench.time(format!("mmd {n}+{n} d {d} value+gradients"), work, || {
        grad(&[&mmd::biased(&kernel, &x, &y)?], &[&x, &y], false).map(|_| ())
    })
}

fn counts(bench: &mut Bench, rows: usize, genes: usize) -> Result<()> {
    let shape = [rows, genes];
    let draw = Stream::new(6, stream::TEST);
    let count = |i| if draw.uniform(i) < 0.92 { 0.0 } else { (1.0 + 7.0 * draw.part(1).uniform(i)).floor() };
    let x: Vec<f32> = (0..(rows * genes) as u32).map(count).collect();
    let x = Tensor::from_slice(&x, &shape, bench.device)?;
    let (m, h) = (normals(bench, &shape, 7)?.variable(), normals(bench, &shape, 8)?.variable());
    let r = normals(bench, &[genes], 9)?.variable();
    let zinb = Zinb { inflated: true, segmented: false };
    // x, m and h are read, two gradients written.
    let work = Amount::Bytes(20.0 * (rows * genes) as f64);
    bench.time(format!("zinb {rows}x{genes} value+gradients"), work, || {
        grad(&[&x.zinb(zinb, &[&m, &r, &h])?.sum_all()?], &[&m, &r, &h], false).map(|_| ())
    })
}

fn iteration(bench: &mut Bench, net: Net) -> Result<()> {
    let (n, batch, steps) = (512usize, 64, 20);
    let cells = |seed| Cells {
        x: values(n * net.features).iter().map(|v| v * seed).collect(),
        y: (0..n as u32).map(|i| i % net.classes as u32).collect(),
        features: net.features,
    };
    let config = EbmConfig {
        net: net.config,
        optim: OptimConfig { batch, epochs: 1 << 20, ..OptimConfig::default() },
        sgld: SgldConfig { steps, alpha: 0.01, ..SgldConfig::default() },
        loss: LossConfig { clip: Clip::Elu, p_on: 1.0, ..LossConfig::default() },
        ..EbmConfig::default()
    };
    let mut trainer = Trainer::new(config, Select::Accuracy, cells(1.0), cells(0.5), net.classes, 1, bench.device)?;
    let work = Amount::Flops((batch * weights(trainer.network())) as f64 * (4 * steps + 18) as f64);
    let what = format!("train jem {} batch {batch} {steps} steps", net.name);
    bench.time(what, work, || trainer.step().map(|_| ()))
}

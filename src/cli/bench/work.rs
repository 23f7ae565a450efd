//! What `cytograd bench` measures: launches of single kernels, and a training iteration. Everything
//! goes through the device, so that any backend can be measured.

use super::{Amount, Bench};
use crate::device::Storage;
use crate::error::Result;
use crate::kernel::elementwise::{BINARY, Binary, BinaryParams, UNARY, Unary, UnaryParams};
use crate::kernel::gemm::{Epilogue, GEMM, GemmParams};
use crate::kernel::mmd::{APPLY, APPLY_BOTH, APPLY_GRAD, Kind, MmdParams, UNIT};
use crate::kernel::random::{NORMAL, RandomParams};
use crate::kernel::sgld::{STEP, SgldParams};
use crate::kernel::spmm::{SPMM, SpmmParams};
use crate::kernel::zinb::{ONE_SEGMENT, VALUE_GRAD, ZinbParams};
use crate::kernel::{Kernel, Layout};
use crate::models::ebm::config::{LossConfig, OptimConfig, SgldConfig};
use crate::models::ebm::{BURST, Cells, Clip, EbmConfig, Select, Trainer};
use crate::rng::Stream;
use bytemuck::Pod;

type Measure = fn(&mut Bench) -> Result<()>;

const ALL: [(&str, Measure); 9] = [
    ("gemm", gemm),
    ("spmm", spmm),
    ("zinb", zinb),
    ("mmd", mmd),
    ("sgld", sgld),
    ("normal", normal),
    ("add", add),
    ("exp", exp),
    ("train", train),
];

/// Every name, in the order of the table.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|(name, _)| *name).collect()
}

/// The measurement of that name.
pub fn find(name: &str) -> Option<Measure> {
    ALL.iter().find(|(n, _)| *n == name).map(|(_, measure)| *measure)
}

/// Values in [-1, 1).
pub fn values(n: usize) -> Vec<f32> {
    let draw = Stream::new(1, 0);
    (0..n as u32).map(|i| draw.uniform(i) * 2.0 - 1.0).collect()
}

impl Bench<'_> {
    /// Elements of a map.
    fn elements(&self) -> usize {
        if self.quick { 1 << 16 } else { 4 << 20 }
    }

    fn floats(&self, values: &[f32]) -> Result<Storage> {
        self.device.upload(bytemuck::cast_slice(values))
    }

    /// A launch; `buffers` in the order of the kernel's bindings.
    fn launch<P: Pod>(
        &mut self,
        what: String,
        amount: Amount,
        kernel: &'static Kernel,
        params: &P,
        buffers: &[Storage],
        geometry: [usize; 3],
    ) -> Result<()> {
        let refs: Vec<&Storage> = buffers.iter().collect();
        let device = self.device.clone();
        self.time(what, amount, || device.launch(kernel, params, &refs, geometry.map(|n| n as u32)))
    }
}

/// `[m, k] x [k, n]`.
pub fn product(bench: &mut Bench, [m, k, n]: [usize; 3]) -> Result<()> {
    product_named(bench, format!("gemm {m} x {k} x {n}"), [m, k, n])
}

/// The same under another name.
pub fn product_named(bench: &mut Bench, what: String, [m, k, n]: [usize; 3]) -> Result<()> {
    let unused = || bench.floats(&[0.0]);
    let buffers = [
        bench.floats(&values(m * k))?,
        bench.floats(&values(k * n))?,
        unused()?,
        unused()?,
        bench.device.alloc(m * n)?,
    ];
    let work = Amount::Flops(2.0 * (m * n * k) as f64);
    bench.launch(what, work, &GEMM, &GemmParams::plain(m, n, k), &buffers, [n, m, 1])
}

fn gemm(bench: &mut Bench) -> Result<()> {
    let small: &[[usize; 3]] = &[[64, 100, 100]];
    let sizes = if bench.quick { small } else { &[[512, 512, 512], [64, 800, 800], [256, 2000, 256], [2048; 3]] };
    sizes.iter().try_for_each(|&size| product(bench, size))
}

/// 7 % full, as normalised counts are.
fn spmm(bench: &mut Bench) -> Result<()> {
    let (m, k, n): (usize, usize, usize) = if bench.quick { (32, 500, 32) } else { (256, 3000, 256) };
    let draw = Stream::new(2, 0);
    let (mut indptr, mut indices) = (vec![0u32], Vec::new());
    for row in 0..m {
        indices.extend((0..k as u32).filter(|&column| draw.uniform((row * k) as u32 + column) < 0.07));
        indptr.push(indices.len() as u32);
    }
    let entries = indices.len();
    let buffers = [
        bench.device.upload(&indptr)?,
        bench.device.upload(&indices)?,
        bench.floats(&values(entries))?,
        bench.floats(&values(k * n))?,
        bench.floats(&[0.0])?,
        bench.device.alloc(m * n)?,
    ];
    let params = SpmmParams {
        m: m as u32,
        n: n as u32,
        k: k as u32,
        indptr_offset: 0,
        b_row: n as i32,
        b_col: 1,
        b_offset: 0,
        epilogue: Epilogue::NONE,
    };
    let work = Amount::Flops(2.0 * (entries * n) as f64);
    bench.launch(format!("spmm {m} x {k} x {n}, 7 % full"), work, &SPMM, &params, &buffers, [n, m, 1])
}

/// Value and gradients; counts are 0 in 92 of 100 entries.
fn zinb(bench: &mut Bench) -> Result<()> {
    let (rows, genes) = if bench.quick { (64, 200) } else { (1024, 2000) };
    let n = rows * genes;
    let draw = Stream::new(3, 0);
    let count = |i| {
        let u = draw.uniform(i);
        if u > 0.92 { (1.0 + 60.0 * ((u - 0.92) / 0.08).powi(6)).floor() } else { 0.0 }
    };
    let counts: Vec<f32> = (0..n as u32).map(count).collect();
    let logits: Vec<f32> = values(n).iter().map(|v| 4.0 * v - 2.0).collect();
    let dispersion: Vec<f32> = values(genes).iter().map(|v| 3.0 * v).collect();
    let empty = |n: usize| bench.device.alloc(n);
    let buffers = [
        bench.floats(&counts)?,
        bench.floats(&logits)?,
        bench.floats(&dispersion)?,
        empty(1)?,
        bench.floats(&logits)?,
        bench.floats(&vec![1.0; rows])?,
        empty(rows)?,
        empty(n)?,
        empty(n)?,
        empty(n)?,
    ];
    let params = ZinbParams {
        rows: rows as u32,
        genes: genes as u32,
        segments: 1,
        repeat: 1,
        flags: ONE_SEGMENT,
        ..ZinbParams::default()
    };
    let work = Amount::Bytes(24.0 * n as f64);
    bench.launch(format!("zinb with gradients, {rows} x {genes}"), work, &VALUE_GRAD, &params, &buffers, [rows, 1, 1])
}

/// All pairs of two sets: a fused multiply-add per pair and coordinate, and one more for the gradient of
/// either side.
fn mmd(bench: &mut Bench) -> Result<()> {
    let (points, d) = if bench.quick { (200, 16) } else { (4000, 32) };
    let params = MmdParams {
        kind: Kind::Gaussian as u32,
        m: points as u32,
        n: points as u32,
        d: d as u32,
        p: 1,
        gammas: 1,
        flags: UNIT,
        ..MmdParams::default()
    };
    let set = values(2 * points * d);
    let (a, b) = set.split_at(points * d);
    let input = |v: &[f32]| bench.floats(v);
    let [x, y, gamma, centre] = [input(a)?, input(b)?, input(&[1.0 / d as f32])?, input(&vec![0.0; d])?];
    let fresh = |n: usize| bench.device.alloc(n);
    let (out, grad, out_y, grad_y) = (fresh(points)?, fresh(points * d)?, fresh(points)?, fresh(points * d)?);
    let work = 2.0 * (points * points * d) as f64;
    let what = format!("mmd, Gaussian, {points} x {points} points of {d}");
    let device = bench.device.clone();
    let mut run = |what: String, products: f64, kernel, buffers: &[&Storage]| {
        let launch = || device.launch(kernel, &params, buffers, [points as u32, 1, 1]);
        bench.time(what, Amount::Flops(products * work), launch)
    };
    // Weights of ones are not read.
    run(what.clone(), 1.0, &APPLY, &[&x, &y, &gamma, &centre, &gamma, &out])?;
    let one_side = [&x, &y, &gamma, &centre, &gamma, &gamma, &out, &grad];
    run(format!("{what}, with gradient"), 2.0, &APPLY_GRAD, &one_side)?;
    let both = [&x, &y, &gamma, &centre, &gamma, &gamma, &out, &grad, &out_y, &grad_y];
    run(format!("{what}, with both gradients"), 3.0, &APPLY_BOTH, &both)
}

/// Step with noise, in place.
fn sgld(bench: &mut Bench) -> Result<()> {
    let n = bench.elements();
    let params = SgldParams {
        seed: [1, 0],
        stream: 0,
        step: 0,
        part: 0,
        n: n as u32,
        g_offset: 0,
        x_offset: 0,
        flags: 0,
        alpha: 1.0,
        sigma: 0.01,
        g_max: 0.0,
        low: 0.0,
        high: 0.0,
    };
    let buffers = [bench.floats(&values(n))?, bench.device.upload(&[0])?, bench.floats(&vec![0.0; n])?];
    let work = Amount::Bytes(12.0 * n as f64);
    bench.launch(format!("sgld, {n} elements"), work, &STEP, &params, &buffers, [n.div_ceil(4), 1, 1])
}

fn normal(bench: &mut Bench) -> Result<()> {
    let n = bench.elements();
    let draws =
        RandomParams { seed: [1, 0], stream: 0, step: 0, part: 0, offset: 0, n: n as u32, a: 0.0, b: 1.0, c: 0.0 };
    let buffers = [bench.device.upload(&[0])?, bench.device.alloc(n)?];
    let work = Amount::Bytes(4.0 * n as f64);
    bench.launch(format!("normal, {n} draws"), work, &NORMAL, &draws, &buffers, [n.div_ceil(4), 1, 1])
}

fn add(bench: &mut Bench) -> Result<()> {
    let n = bench.elements();
    let view = Layout::contiguous(&[n], 0);
    let params = BinaryParams { op: Binary::Add as u32, x: view, y: view };
    let buffers = [bench.floats(&values(n))?, bench.floats(&values(n))?, bench.device.alloc(n)?];
    bench.launch(format!("add, {n} elements"), Amount::Bytes(12.0 * n as f64), &BINARY, &params, &buffers, [n, 1, 1])
}

/// The map that moves memory and does next to nothing.
pub const COPY: Unary = Unary::Neg;

/// `f` of `n` elements.
pub fn map(bench: &mut Bench, name: &str, f: Unary, n: usize) -> Result<()> {
    let params = UnaryParams { op: f as u32, a: 0.0, b: 0.0, x: Layout::contiguous(&[n], 0) };
    let buffers = [bench.floats(&values(n))?, bench.device.alloc(n)?];
    bench.launch(format!("{name}, {n} elements"), Amount::Bytes(8.0 * n as f64), &UNARY, &params, &buffers, [n, 1, 1])
}

fn exp(bench: &mut Bench) -> Result<()> {
    let n = bench.elements();
    map(bench, "exp", Unary::Exp, n)
}

/// A JEM iteration on the default network: 20 Langevin steps and the update. Counted are the
/// products: per cell and parameter of a layer two operations forward, four with the gradient of
/// the inputs (a Langevin step), six with that of the parameters, for three batches.
fn train(bench: &mut Bench) -> Result<()> {
    // Enough cells for an epoch of all the iterations that are timed.
    let (n, features, classes) = (64 << 10, 50, 10);
    let cells = |seed| {
        let draws = Stream::new(seed, 20);
        Cells {
            x: (0..(n * features) as u32).map(|i| draws.normal(i)).collect(),
            y: (0..n as u32).map(|i| i % classes as u32).collect(),
            features,
        }
    };
    let mut config = EbmConfig {
        // It is stepped, not run to its end.
        optim: OptimConfig { epochs: 1 << 20, ..OptimConfig::default() },
        sgld: SgldConfig { alpha: 0.01, ..SgldConfig::default() },
        loss: LossConfig { clip: Clip::Elu, p_on: 1.0, ..LossConfig::default() },
        ..EbmConfig::default()
    };
    if bench.quick {
        (config.net.widths, config.sgld.steps, config.sgld.buffer) = (vec![40, 20], 2, 100);
    }
    let (batch, steps) = (config.optim.batch, config.sgld.steps);
    let mut trainer = Trainer::new(config, Select::Accuracy, cells(1), cells(2), classes, 1, bench.device)?;
    let weights: usize = trainer.network().params().all().iter().filter(|p| p.rank() == 2).map(|p| p.numel()).sum();
    let work = Amount::Flops((batch * weights) as f64 * (4 * steps + 18) as f64);
    let what = format!("train: JEM iteration, {batch} cells, {weights} weights, {steps} steps");
    let burst =
        |trainer: &mut Trainer| trainer.steps(u64::MAX, &|| false).map(|logs| assert_eq!(logs.len(), BURST as usize));
    bench.time_each(what, work, BURST as usize, || burst(&mut trainer))
}

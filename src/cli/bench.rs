//! `cytograd bench`: what the kernels reach on this machine, with the ceiling beside each.

use super::{Session, output};
use crate::cpu::ceiling;
use crate::device::{Device, Storage};
use crate::error::{Error, Result};
use crate::kernel::elementwise::{BINARY, Binary, BinaryParams, UNARY, Unary, UnaryParams};
use crate::kernel::gemm::{Epilogue, GEMM, GemmParams};
use crate::kernel::random::{NORMAL, RandomParams};
use crate::kernel::sgld::{STEP, SgldParams};
use crate::kernel::spmm::{SPMM, SpmmParams};
use crate::kernel::{Kernel, Layout};
use crate::models::run::interrupt;
use crate::rng::Stream;
use bytemuck::Pod;
use serde_json::{Value, json};
use std::time::Instant;

/// Measure kernels on this machine, beside what it can do at most
#[derive(clap::Args)]
pub struct Args {
    /// Kernels to measure: gemm, spmm, add, exp, normal, sgld [default: all]
    #[arg(value_name = "KERNEL")]
    kernels: Vec<String>,
}

const NAMES: [&str; 6] = ["gemm", "spmm", "add", "exp", "normal", "sgld"];

/// What a kernel's time is to be compared with.
#[derive(Clone, Copy)]
enum Bound {
    /// Floating-point operations.
    Flops(f64),
    /// Bytes read and written.
    Bytes(f64),
}

struct Bench<'a> {
    device: &'a Device,
    flops: f64,
    bytes: f64,
    rows: Vec<Value>,
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    if let Some(unknown) = args.kernels.iter().find(|k| !NAMES.contains(&k.as_str())) {
        return Err(Error::usage(format!("no kernel \"{unknown}\" to measure"), format!("use {}", NAMES.join(", "))));
    }
    let device = session.common.device()?;
    let threads = session.common.threads();
    let mut bench = Bench {
        device: &device,
        flops: ceiling::fma_rate(threads),
        bytes: ceiling::copy_rate(24 << 20, threads),
        rows: Vec::new(),
    };
    for name in NAMES.into_iter().filter(|n| args.kernels.is_empty() || args.kernels.iter().any(|k| k == n)) {
        interrupt::check("nothing was written")?;
        bench.measure(name)?;
    }
    if session.common.json {
        return output::print_json(&json!({
            "device": device.name(),
            "threads": threads,
            "ceiling": { "flops": bench.flops, "bytes_per_second": bench.bytes },
            "kernels": bench.rows,
        }));
    }
    let rows: Vec<Vec<String>> = bench.rows.iter().map(row_text).collect();
    let head = format!(
        "{}, {threads} threads; ceilings: {:.0} GFLOP/s in registers, {:.1} GB/s copied\n",
        device.name(),
        bench.flops / 1e9,
        bench.bytes / 1e9
    );
    output::print(&(head + &output::table(&["kernel", "time", "rate", "of the ceiling"], &rows)))
}

fn row_text(row: &Value) -> Vec<String> {
    let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
    let unit = row["unit"].as_str().unwrap_or_default();
    vec![
        row["kernel"].as_str().unwrap_or_default().to_owned(),
        format!("{:.3} ms", 1e3 * number("seconds")),
        format!("{:.1} {unit}", number("rate") / 1e9),
        format!("{:.0} %", 100.0 * number("share")),
    ]
}

impl Bench<'_> {
    fn measure(&mut self, name: &str) -> Result<()> {
        const N: usize = 4 << 20;
        let view = Layout::contiguous(&[N], 0);
        let seed = [1, 0];
        match name {
            "gemm" => {
                for (m, k, n) in [(512, 512, 512), (64, 800, 800), (256, 2000, 256)] {
                    let inputs = [values(m * k), values(k * n), vec![0.0], vec![0.0]];
                    let work = Bound::Flops(2.0 * (m * n * k) as f64);
                    let what = format!("gemm {m} x {k} x {n}");
                    self.launch(&what, &GEMM, &GemmParams::plain(m, n, k), &words(&inputs), m * n, work)?;
                }
                Ok(())
            }
            "spmm" => self.spmm(),
            "add" => {
                let params = BinaryParams { op: Binary::Add as u32, x: view, y: view };
                let inputs = words(&[values(N), values(N)]);
                self.launch("add, 4 Mi elements", &BINARY, &params, &inputs, N, Bound::Bytes(12.0 * N as f64))
            }
            "exp" => {
                let params = UnaryParams { op: Unary::Exp as u32, a: 0.0, b: 0.0, x: view };
                let inputs = words(&[values(N)]);
                self.launch("exp, 4 Mi elements", &UNARY, &params, &inputs, N, Bound::Bytes(8.0 * N as f64))
            }
            "normal" => {
                let n = N as u32;
                let params = RandomParams { seed, stream: 0, step: 0, part: 0, offset: 0, n, a: 0.0, b: 1.0, c: 0.0 };
                self.launch("normal, 4 Mi draws", &NORMAL, &params, &[vec![0]], N, Bound::Bytes(4.0 * N as f64))
            }
            _ => {
                let params = SgldParams {
                    seed,
                    stream: 0,
                    step: 0,
                    part: 0,
                    n: N as u32,
                    g_offset: 0,
                    x_offset: 0,
                    flags: 0,
                    alpha: 1.0,
                    sigma: 0.01,
                    g_max: 0.0,
                    low: 0.0,
                    high: 0.0,
                };
                let inputs = [words(&[values(N)]).remove(0), vec![0]];
                self.launch("sgld, 4 Mi elements", &STEP, &params, &inputs, N, Bound::Bytes(12.0 * N as f64))
            }
        }
    }

    /// 256 x 3000 at 7 % density times 3000 x 256.
    fn spmm(&mut self) -> Result<()> {
        const SIZE: (usize, usize, usize) = (256, 3000, 256);
        let (m, k, n) = SIZE;
        let draw = Stream::new(2, 0);
        let (mut indptr, mut indices) = (vec![0u32], Vec::new());
        for row in 0..m {
            indices.extend((0..k as u32).filter(|&column| draw.uniform((row * k) as u32 + column) < 0.07));
            indptr.push(indices.len() as u32);
        }
        let entries = indices.len();
        let floats = words(&[values(entries), values(k * n)]);
        let inputs = [indptr, indices, floats[0].clone(), floats[1].clone(), vec![0]];
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
        let what = format!("spmm {m} x {k} x {n}, 7 % full");
        self.launch(&what, &SPMM, &params, &inputs, m * n, Bound::Flops(2.0 * (entries * n) as f64))
    }

    /// Median time of a launch on `inputs` and an output of `n` words.
    fn launch<P: Pod>(
        &mut self,
        what: &str,
        kernel: &'static Kernel,
        params: &P,
        inputs: &[Vec<u32>],
        n: usize,
        work: Bound,
    ) -> Result<()> {
        let mut buffers: Vec<Storage> = inputs.iter().map(|x| self.device.upload(x)).collect::<Result<_>>()?;
        buffers.push(self.device.upload(&vec![0; n])?);
        let refs: Vec<&Storage> = buffers.iter().collect();
        let mut seconds = Vec::new();
        // The first launches warm up.
        for round in 0..14 {
            let start = Instant::now();
            self.device.launch(kernel, params, &refs, [n.div_ceil(4) as u32, 1, 1])?;
            self.device.sync()?;
            if round >= 3 {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        let (amount, unit, ceiling) = match work {
            Bound::Flops(n) => (n, "GFLOP/s", self.flops),
            Bound::Bytes(n) => (n, "GB/s", self.bytes),
        };
        let rate = amount / median;
        self.rows.push(json!({
            "kernel": what, "seconds": median, "rate": rate, "unit": unit, "share": rate / ceiling,
        }));
        Ok(())
    }
}

fn values(n: usize) -> Vec<f32> {
    let draw = Stream::new(1, 0);
    (0..n as u32).map(|i| draw.uniform(i) * 2.0 - 1.0).collect()
}

fn words(values: &[Vec<f32>]) -> Vec<Vec<u32>> {
    values.iter().map(|v| bytemuck::cast_slice(v).to_vec()).collect()
}

//! `cytograd bench`: what the kernels reach on a device, with the ceiling beside each.
//!
//! Here: timing, ceilings, the table. What is measured: `work`.

mod counterparts;
mod work;

use super::{Session, output};
use crate::cpu::ceiling;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::run::{interrupt, write_whole};
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Measure kernels and a training iteration, beside what the device can do at most
///
/// A time is the median over rounds of at least 5 ms on an accelerator, each waited for. Ceilings are measured in the same run:
/// fused multiply-adds in registers, and copying memory.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure: gemm, spmm, zinb, mmd, sgld, normal, add, exp, train [default: all]
    #[arg(value_name = "WHAT")]
    what: Vec<String>,
    /// Write the table to this file, too
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Small sizes and few rounds: to see that it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Measure the cases of benches/torch_counterparts.py instead, under the names that they have there
    #[arg(long, conflicts_with = "what")]
    counterparts: bool,
}

/// What a time is to be compared with.
#[derive(Clone, Copy)]
enum Amount {
    /// Floating-point operations.
    Flops(f64),
    /// Bytes read and written.
    Bytes(f64),
}

/// A line of the table.
#[derive(Serialize)]
struct Row {
    /// What was measured, with its size.
    what: String,
    /// Median time.
    seconds: f64,
    /// Amount per second, in `unit`.
    rate: f64,
    unit: &'static str,
    /// In `unit`.
    ceiling: f64,
    /// `rate / ceiling`
    share: f64,
    /// Kernel launches of one round.
    launches: u64,
    /// How often the host waited for values, per piece of work.
    waits: f64,
}

struct Bench<'a> {
    device: &'a Device,
    /// Operations and bytes per second.
    ceilings: (f64, f64),
    quick: bool,
    rows: Vec<Row>,
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    if let Some(unknown) = args.what.iter().find(|name| work::find(name).is_none()) {
        let fix = format!("use {}", work::names().join(", "));
        return Err(Error::usage(format!("nothing called \"{unknown}\" to measure"), fix));
    }
    let device = session.common.device()?;
    let threads = session.common.threads();
    let mut bench = Bench { device: &device, ceilings: (f64::NAN, f64::NAN), quick: args.quick, rows: Vec::new() };
    let how = bench.measure_ceilings(threads)?;
    if args.counterparts {
        counterparts::run(&mut bench)?;
    }
    let wanted = |n: &&str| !args.counterparts && (args.what.is_empty() || args.what.iter().any(|w| w == n));
    for name in work::names().into_iter().filter(wanted) {
        interrupt::check("nothing was written")?;
        if let Some(measure) = work::find(name) {
            measure(&mut bench)?;
        }
    }
    if let Some(path) = &args.csv {
        write_whole(path, csv(&bench.rows)?.as_slice())?;
    }
    let (flops, bytes) = bench.ceilings;
    if session.common.json {
        return output::print_json(&json!({
            "device": device.name(),
            "threads": threads,
            "ceiling": { "flops": flops, "bytes_per_second": bytes, "how": how },
            "rows": bench.rows,
        }));
    }
    let rows: Vec<Vec<String>> = bench.rows.iter().map(Row::text).collect();
    let head = format!(
        "{}, {threads} threads; ceilings: {:.0} GFLOP/s {}, {:.1} GB/s {}\n",
        device.name(),
        flops / 1e9,
        how.0,
        bytes / 1e9,
        how.1,
    );
    output::print(&(head + &output::table(&["", "time", "rate", "of the ceiling", "launches", "waits"], &rows)))
}

impl Row {
    fn text(&self) -> Vec<String> {
        vec![
            self.what.clone(),
            format!("{:.3} ms", 1e3 * self.seconds),
            format!("{:.1} {}", self.rate, self.unit),
            format!("{:.0} %", 100.0 * self.share),
            self.launches.to_string(),
            format!("{}", (self.waits * 1e3).round() / 1e3),
        ]
    }
}

fn csv(rows: &[Row]) -> Result<Vec<u8>> {
    let failed = |what: String| Error::Argument { op: "csv", what };
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(|e| failed(e.to_string()))?;
    }
    writer.into_inner().map_err(|e| failed(e.to_string()))
}

impl Bench<'_> {
    /// Measures both ceilings and says of what.
    fn measure_ceilings(&mut self, threads: usize) -> Result<(&'static str, &'static str)> {
        if matches!(self.device.name(), "cpu" | "reference") {
            self.ceilings = (ceiling::fma_rate(threads), ceiling::copy_rate(24 << 20, threads));
            return Ok(("in registers", "copied"));
        }
        let words = if self.quick { 1 << 20 } else { 64 << 20 };
        work::map(self, "copy", work::COPY, words)?;
        let copied: f64 = self.rows.drain(..).map(|row| 1e9 * row.rate).sum();
        self.ceilings = (self.device.fma_rate()?.unwrap_or(f64::NAN), copied);
        Ok(("in registers", "copied"))
    }

    /// Times `f`, which does `amount`, and adds a row.
    fn time(&mut self, what: String, amount: Amount, f: impl FnMut() -> Result<()>) -> Result<()> {
        self.time_each(what, amount, 1, f)
    }

    /// Times one of the `pieces` that `f` does, of `amount` each, and adds a row.
    fn time_each(
        &mut self,
        what: String,
        amount: Amount,
        pieces: usize,
        mut f: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let (warm, rounds) = if self.quick { (1, 3) } else { (3, 11) };
        for _ in 0..warm {
            f()?;
        }
        self.device.sync()?;
        let start = Instant::now();
        f()?;
        self.device.sync()?;
        // Where launches are queued, the wait at the end would be part of a short time.
        let queued = !matches!(self.device.name(), "cpu" | "reference") && !self.quick;
        let once = start.elapsed().as_secs_f64();
        let batch = if queued { (0.005 / once.max(1e-7)).ceil().clamp(1.0, 1e4) as usize } else { 1 };
        let before = self.device.memory();
        let mut seconds = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let start = Instant::now();
            (0..batch).try_for_each(|_| f())?;
            self.device.sync()?;
            seconds.push(start.elapsed().as_secs_f64() / (batch * pieces) as f64);
        }
        let after = self.device.memory();
        let done = (rounds * batch * pieces) as u64;
        seconds.sort_by(f64::total_cmp);
        let median = seconds[rounds / 2];
        let (amount, unit, ceiling) = match amount {
            Amount::Flops(n) => (n, "GFLOP/s", self.ceilings.0 / 1e9),
            Amount::Bytes(n) => (n, "GB/s", self.ceilings.1 / 1e9),
        };
        let rate = amount / median / 1e9;
        self.rows.push(Row {
            what,
            seconds: median,
            rate,
            unit,
            ceiling,
            share: rate / ceiling,
            launches: (after.launches - before.launches) / done,
            waits: (after.downloads - before.downloads) as f64 / done as f64,
        });
        Ok(())
    }
}

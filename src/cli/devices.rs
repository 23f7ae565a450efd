//! `cytograd devices`: what there is to compute on, and whether it keeps the numeric contract.

use super::{Session, output};
use crate::cpu::simd::{self, Level};
use crate::device::{Device, self_check};
use crate::error::{Error, Result};
use serde_json::json;

/// List the backends, check that they return exact bits, show memory
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_: &Args, session: &mut Session) -> Result<()> {
    let threads = session.common.threads();
    let device = Device::cpu(threads);
    let checks = self_check(&device)?;
    let wrong: Vec<_> = checks.iter().filter(|check| check.wrong > 0).collect();
    let elements: usize = checks.iter().map(|check| check.elements).sum();
    let memory = memory();
    let missing: Vec<(&str, String)> = ["cuda", "wgpu"]
        .into_iter()
        .filter_map(|name| Device::open(name, threads).err().map(|e| (name, why(&e))))
        .collect();
    if session.common.json {
        output::print_json(&json!({
            "devices": [{
                "name": "cpu",
                "threads": threads,
                "simd": simd_name(),
                "memory": memory.map(|(total, available)| json!({ "bytes": total, "available": available })),
                "strict": wrong.is_empty(),
                "checks": checks.iter().map(|c| json!({
                    "what": c.what, "elements": c.elements, "wrong": c.wrong, "first": c.first,
                })).collect::<Vec<_>>(),
            }],
            "absent": missing.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect::<Vec<_>>(),
        }))?;
    } else {
        let mut text = format!("cpu    {threads} threads, {}\n", simd_name());
        if let Some((total, available)) = memory {
            text += &format!("       memory {}, {} available\n", output::bytes(total), output::bytes(available));
        }
        let verdict = if wrong.is_empty() { "passed" } else { "FAILED" };
        text += &format!("       strict self-check {verdict}: {} kernels, {elements} elements\n", checks.len());
        for check in &wrong {
            let first = check.first.as_deref().unwrap_or_default();
            text += &format!("       {}: {} of {} wrong, {first}\n", check.what, check.wrong, check.elements);
        }
        for (name, why) in &missing {
            text += &format!("{name}   {why}\n");
        }
        output::print(&text)?;
    }
    match wrong.first() {
        None => Ok(()),
        Some(check) => Err(Error::Device {
            device: "cpu".into(),
            why: format!("kernel {} does not return the bits of the specification", check.what),
            fix: "report this with the output of `cytograd devices`".into(),
        }),
    }
}

fn simd_name() -> &'static str {
    match simd::level() {
        Level::V4 => "AVX-512",
        Level::V3 => "AVX2 and FMA",
        Level::Base if cfg!(target_arch = "aarch64") => "NEON",
        Level::Base => "no FMA instructions: exact but slow",
    }
}

fn why(error: &Error) -> String {
    match error {
        Error::Device { why, .. } => why.clone(),
        other => other.to_string(),
    }
}

/// Total and available bytes, where the system says.
fn memory() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some((field("MemTotal:")?, field("MemAvailable:")?))
}

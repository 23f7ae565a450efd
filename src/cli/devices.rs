//! `cytograd devices`: what there is to compute on, and whether it keeps the numeric contract.

use super::{Session, output};
use crate::cpu::simd::{self, Level};
use crate::device::{Check, Device, accelerators, self_check, verify};
use crate::error::{Error, Result};
use serde_json::{Value, json};

/// List the backends, check that they return exact bits, show memory
#[derive(clap::Args)]
pub struct Args {
    /// Check every basic operation anew, at length: 2^20 random values each, and all that tell
    #[arg(long)]
    verify: bool,
}

/// One device, checked.
struct Row {
    name: String,
    /// What it is, in words.
    what: String,
    /// Total bytes, and those that are free if known.
    memory: Option<(u64, Option<u64>)>,
    /// More fields of its JSON.
    more: Value,
    /// In which forms its operations are exact, if that was asked for and there is a choice.
    forms: Option<String>,
    /// The self-check, or why it could not be run.
    checks: std::result::Result<Vec<Check>, String>,
}

impl Row {
    fn strict(&self) -> bool {
        self.checks.as_ref().is_ok_and(|checks| checks.iter().all(|check| check.wrong == 0))
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "name": self.name,
            "memory": self.memory.map(|(total, available)| json!({ "bytes": total, "available": available })),
            "strict": self.strict(),
        });
        if let Some(forms) = &self.forms {
            value["forms"] = json!(forms);
        }
        for (key, field) in self.more.as_object().into_iter().flatten() {
            value[key] = field.clone();
        }
        match &self.checks {
            Ok(checks) => {
                let row =
                    |c: &Check| json!({ "what": c.what, "elements": c.elements, "wrong": c.wrong, "first": c.first });
                value["checks"] = checks.iter().map(row).collect();
            }
            Err(why) => value["failed"] = json!(why),
        }
        value
    }

    fn text(&self) -> String {
        let mut text = format!("{:6} {}\n", self.name, self.what);
        if let Some((total, available)) = self.memory {
            let available = available.map_or(String::new(), |bytes| format!(", {} available", output::bytes(bytes)));
            text += &format!("       memory {}{available}\n", output::bytes(total));
        }
        if let Some(forms) = &self.forms {
            text += &format!("       exact: {forms}\n");
        }
        match &self.checks {
            Ok(checks) => {
                let elements: usize = checks.iter().map(|check| check.elements).sum();
                let verdict = if self.strict() { "passed" } else { "FAILED" };
                text += &format!("       strict self-check {verdict}: {} kernels, {elements} elements\n", checks.len());
                for check in checks.iter().filter(|check| check.wrong > 0) {
                    let first = check.first.as_deref().unwrap_or_default();
                    text += &format!("       {}: {} of {} wrong, {first}\n", check.what, check.wrong, check.elements);
                }
            }
            Err(why) => text += &format!("       not usable: {why}\n"),
        }
        text
    }
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let threads = session.common.threads();
    let mut rows = vec![Row {
        name: "cpu".into(),
        what: format!("{threads} threads, {}", simd_name()),
        memory: memory().map(|(total, available)| (total, Some(available))),
        more: json!({ "threads": threads, "simd": simd_name() }),
        forms: None,
        checks: Ok(self_check(&Device::cpu(threads))?),
    }];
    let (present, absent) = accelerators();
    for found in present {
        let forms = if args.verify { verify(&found) } else { Ok(None) };
        let (forms, checks) = match forms {
            Ok(forms) => (forms, Device::open(&found.name, threads).and_then(|device| self_check(&device))),
            Err(e) => (None, Err(e)),
        };
        rows.push(Row {
            what: [found.model.as_str(), &found.detail, &format!("driver {}", found.driver)]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(", "),
            memory: found.memory.map(|bytes| (bytes, None)),
            more: json!({ "model": found.model, "detail": found.detail, "driver": found.driver }),
            forms,
            checks: checks.map_err(|e| why(&e)),
            name: found.name,
        });
    }
    if session.common.json {
        output::print_json(&json!({
            "devices": rows.iter().map(Row::json).collect::<Vec<_>>(),
            "absent": absent.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect::<Vec<_>>(),
        }))?;
    } else {
        let mut text: String = rows.iter().map(Row::text).collect();
        for (name, why) in &absent {
            text += &format!("{name:6} {why}\n");
        }
        output::print(&text)?;
    }
    match rows.iter().find(|row| row.checks.is_ok() && !row.strict()) {
        None => Ok(()),
        Some(row) => Err(Error::Device {
            device: row.name.clone(),
            why: "its kernels do not return the bits of the specification".into(),
            fix: "do not use it, and report this with the output of `cytograd devices`".into(),
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

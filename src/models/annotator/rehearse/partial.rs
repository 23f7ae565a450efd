//! What is kept of a rehearsal that was interrupted.

use super::plan::Plan;
use super::trial::Outcome;
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Finished trials, one a line, until the rehearsal is whole.
const PARTIAL: &str = "checkpoint/rehearsal.jsonl";

/// Outcomes between an interruption and the next start.
pub(super) struct Partial {
    path: PathBuf,
}

impl Partial {
    /// Of the run in this folder.
    pub fn of(run: &Path) -> Partial {
        Partial { path: run.join(PARTIAL) }
    }

    /// What is there of these trials; nothing if it belongs to another rehearsal.
    pub fn read(&self, key: &Value, plans: &[Plan]) -> Vec<Option<Outcome>> {
        let mut found = vec![None; plans.len()];
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if lines.next().as_ref() != Some(key) {
            return found;
        }
        for mut line in lines {
            let at = plans.iter().position(|plan| json!(plan.name()) == line["trial"]);
            if let (Some(at), Ok(outcome)) = (at, serde_json::from_value(line["outcome"].take())) {
                found[at] = Some(outcome);
            }
        }
        found
    }

    pub fn write(&self, key: &Value, plans: &[Plan], outcomes: &[Option<Outcome>]) -> Result<()> {
        let mut bytes = format!("{key}\n").into_bytes();
        for (plan, outcome) in plans.iter().zip(outcomes) {
            if let Some(outcome) = outcome {
                // Writing to memory does not fail.
                let _ = writeln!(bytes, "{}", json!({ "trial": plan.name(), "outcome": outcome }));
            }
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "creating", e))?;
        crate::models::run::write_whole(&self.path, &bytes)
    }

    pub fn remove(&self) {
        // What is left does no harm: it belongs to no later rehearsal.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(left_out: &str) -> Plan {
        Plan {
            left_out: 0,
            left_out_name: left_out.into(),
            query_name: "b1".into(),
            reference: vec![],
            query: None,
            by_batch: true,
            seed: 3,
            otherwise: false,
        }
    }

    #[test]
    fn kept_trials_are_found_again_by_the_same_rehearsal_only() {
        let folder = tempfile::tempdir().unwrap();
        let partial = Partial::of(folder.path());
        let plans = [plan("a"), plan("b"), plan("c")];
        let done = |name: &str| Some(Outcome::Impossible { left_out: name.into(), why: "too few".into() });
        let outcomes = [done("a"), None, done("c")];
        let key = json!({ "seed": 3 });
        assert_eq!(partial.read(&key, &plans), [None, None, None]);
        partial.write(&key, &plans, &outcomes).unwrap();
        assert_eq!(partial.read(&key, &plans), outcomes);
        assert_eq!(partial.read(&json!({ "seed": 4 }), &plans), [None, None, None]);
        let others = [plan("c"), plan("d")];
        assert_eq!(partial.read(&key, &others), [done("c"), None]);
        // A line that was cut short counts as not there.
        let text = std::fs::read_to_string(&partial.path).unwrap();
        std::fs::write(&partial.path, &text[..text.len() - 9]).unwrap();
        assert_eq!(partial.read(&key, &plans), [done("a"), None, None]);
        partial.remove();
        assert!(!partial.path.exists());
    }
}

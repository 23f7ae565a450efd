//! Runs and what they gave, one a line, so that nothing that is done is done again.

use super::Protocol;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::run::{Observer, together, write_whole};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file in an experiment's folder; its first line says of which experiment.
const FILE: &str = "results.jsonl";

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome<T> {
    /// Its figures.
    Done(T),
    /// Why these data cannot be learnt from.
    Impossible(String),
}

impl<T> Outcome<T> {
    /// The figures, if there are any.
    pub fn figures(&self) -> Option<&T> {
        match self {
            Outcome::Done(figures) => Some(figures),
            Outcome::Impossible(_) => None,
        }
    }
}

/// The results of an experiment, on disk.
pub struct Ledger {
    path: PathBuf,
    done: BTreeMap<String, Value>,
}

impl Ledger {
    /// Opens the folder of the experiment that `settings` tell apart from all others, or begins it.
    ///
    /// # Errors
    /// `Error::Usage` for a folder with other content, unless that may be overwritten; `Error::Io`.
    pub fn open(protocol: &Protocol, settings: &Value) -> Result<Ledger> {
        let folder = &protocol.out;
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "creating", e))?;
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut done = BTreeMap::new();
        match lines.next() {
            Some(found) if found == *settings => {
                for mut line in lines {
                    if let Some(run) = line["run"].as_str().map(str::to_owned) {
                        done.insert(run, line["outcome"].take());
                    }
                }
            }
            None if text.is_empty() && is_empty(folder)? => {}
            _ if protocol.overwrite => {}
            _ => {
                return Err(Error::usage(
                    format!("{} holds something else than this experiment", folder.display()),
                    "choose another --out, or replace what is there with --overwrite",
                ));
            }
        }
        // Written anew: a line that was cut short is gone.
        let mut bytes = format!("{settings}\n").into_bytes();
        done.iter().for_each(|(run, outcome)| bytes.extend(line(run, outcome)));
        write_whole(&path, &bytes)?;
        Ok(Ledger { path, done })
    }

    /// How many runs are done.
    pub fn len(&self) -> usize {
        self.done.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    fn get<T: DeserializeOwned>(&self, run: &str) -> Option<Outcome<T>> {
        serde_json::from_value(self.done.get(run)?.clone()).ok()
    }

    fn add<T: Serialize>(&mut self, run: &str, outcome: &Outcome<T>) -> Result<()> {
        let outcome =
            serde_json::to_value(outcome).map_err(|e| Error::Argument { op: "experiment", what: e.to_string() })?;
        let failed = |e| Error::io(&self.path, "writing", e);
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.path).map_err(failed)?;
        file.write_all(&line(run, &outcome)).and_then(|()| file.sync_data()).map_err(failed)?;
        self.done.insert(run.to_owned(), outcome);
        Ok(())
    }

    /// Does the runs that are not done yet and returns what each of `runs` gave, in their order.
    /// `all` is how many the experiment has, for progress.
    ///
    /// # Errors
    /// `Error::Interrupted` once someone asks to stop; those of `work`, but for data that cannot be learnt
    /// from, which are an outcome.
    pub fn run<T: Serialize + DeserializeOwned + Send>(
        &mut self,
        runs: &[String],
        all: usize,
        protocol: &Protocol,
        observer: &mut dyn Observer,
        work: &(dyn Fn(usize, &Device) -> Result<T> + Sync),
    ) -> Result<Vec<Outcome<T>>> {
        let open: Vec<usize> = (0..runs.len()).filter(|&i| self.get::<T>(&runs[i]).is_none()).collect();
        let work = |at: usize, device: &Device| match work(at, device) {
            Ok(figures) => Ok(Outcome::Done(figures)),
            Err(error @ (Error::Data { .. } | Error::Argument { .. })) => Ok(Outcome::Impossible(error.to_string())),
            Err(other) => Err(other),
        };
        let result = together(&open, protocol.threads, &protocol.device, &work, &mut |at, outcome: Outcome<T>| {
            self.add(&runs[at], &outcome)?;
            observer.step(self.len() as u64, format_args!("{}", runs[at]));
            Ok(())
        });
        if let Err(Error::Interrupted { .. }) = result {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            let kept = format!("{} of {all} runs are in {}; the same command goes on", self.len(), folder.display());
            return Err(Error::Interrupted { kept });
        }
        result?;
        let lost = || Error::Argument { op: "experiment", what: "a result is missing".into() };
        runs.iter().map(|run| self.get(run).ok_or_else(lost)).collect()
    }
}

fn line(run: &str, outcome: &Value) -> Vec<u8> {
    format!("{}\n", json!({ "run": run, "outcome": outcome })).into_bytes()
}

fn is_empty(folder: &Path) -> Result<bool> {
    Ok(std::fs::read_dir(folder).map_err(|e| Error::io(folder, "reading", e))?.next().is_none())
}

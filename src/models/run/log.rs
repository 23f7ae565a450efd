//! The run's log: one JSON object per line.

use crate::error::{Error, Result};
use serde_json::Value;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// `log.jsonl`, open for appending. Every line has a field `t`: the number of iterations done.
pub struct Log {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Log {
    /// A new, empty log (one that is there is emptied).
    ///
    /// # Errors
    /// `Error::Io`.
    pub fn create(path: &Path) -> Result<Log> {
        let file = File::create(path).map_err(|e| Error::io(path, "writing", e))?;
        Ok(Log { file, path: path.to_owned(), length: 0 })
    }

    /// The log of a run that goes on after iteration `t`: what came later, and a line that was cut
    /// short, is removed, so that the log reads as if the run had never stopped.
    ///
    /// # Errors
    /// `Error::Io`.
    pub fn resume(path: &Path, t: u64) -> Result<Log> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io(path, "reading", e)),
        };
        let kept: usize = text
            .split_inclusive(|&b| b == b'\n')
            .take_while(|line| {
                let value = serde_json::from_slice::<Value>(line).ok().filter(|_| line.ends_with(b"\n"));
                value.and_then(|v| v["t"].as_u64()).is_some_and(|at| at <= t)
            })
            .map(<[u8]>::len)
            .sum();
        let open = || {
            let mut file = File::options().create(true).truncate(false).write(true).open(path)?;
            file.set_len(kept as u64)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(|e| Error::io(path, "writing", e))?;
        Ok(Log { file, path: path.to_owned(), length: kept as u64 })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// `Error::Argument` if there is no `t`; `Error::Io`, for example of a full disk: the log then
    /// ends with the last whole line.
    pub fn append(&mut self, line: &Value) -> Result<()> {
        if line["t"].as_u64().is_none() {
            return Err(Error::Argument { op: "log", what: format!("a line without the iteration t: {line}") });
        }
        let text = format!("{line}\n");
        if let Err(e) = self.file.write_all(text.as_bytes()) {
            // Best effort: shortening needs no space, and a resume cuts half a line off anyway.
            let _ = self.file.set_len(self.length);
            return Err(Error::io(&self.path, "writing", e));
        }
        self.length += text.len() as u64;
        Ok(())
    }

    /// Brings all lines to disk.
    ///
    /// # Errors
    /// `Error::Io`.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, "writing", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resumed_log_reads_as_if_never_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = Log::create(&path).unwrap();
        for t in 1..=5 {
            log.append(&json!({ "t": t, "loss": 0.5 })).unwrap();
        }
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"t\":6,\"lo").unwrap();
        let mut log = Log::resume(&path, 3).unwrap();
        for t in 4..=5 {
            log.append(&json!({ "t": t, "loss": 0.5 })).unwrap();
        }
        drop(log);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        drop(Log::resume(&path, 0).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        drop(Log::resume(&folder.path().join("new.jsonl"), 9).unwrap());
    }

    #[test]
    fn a_line_without_iteration_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::create(&folder.path().join("log.jsonl")).unwrap();
        assert!(log.append(&json!({ "loss": 1 })).is_err());
    }
}

//! The run folder: created, filled, checked, opened, resumed.

use super::log::Log;
use super::manifest::{FileEntry, Manifest, Status};
use super::state::{State, hex};
use super::write::{folder_of, sync_folder, write_whole};
use crate::error::{Error, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const MANIFEST: &str = "manifest.json";
const MODEL: &str = "model.safetensors";
const LOG: &str = "log.jsonl";
const CHECKPOINT: &str = "checkpoint/state.safetensors";

/// A run's folder and its manifest.
pub struct RunFolder {
    path: PathBuf,
    manifest: Manifest,
}

impl RunFolder {
    /// Whether [`RunFolder::create`] would find the place free: ask before hours of work.
    ///
    /// # Errors
    /// `Error::Run` if `path` exists (with `overwrite`: if it is no run), `Error::Io` if the folder
    /// around it cannot be written.
    pub fn check_free(path: &Path, overwrite: bool) -> Result<()> {
        if let Ok(found) = std::fs::symlink_metadata(path) {
            let is_run = path.join(MANIFEST).is_file();
            if !(overwrite && is_run) {
                let (what, fix) = match (found.is_dir(), is_run) {
                    (true, true) => (
                        "already exists",
                        "add --resume to go on with it, --overwrite to replace it, or choose another --out",
                    ),
                    (true, false) => ("already exists and holds no run", "choose another --out"),
                    _ => ("exists and is not a folder", "choose another --out"),
                };
                return Err(Error::Run { path: path.to_owned(), what: what.into(), fix: fix.into() });
            }
        }
        // The parent may itself have to be created: find the nearest folder that is there.
        let mut parent = folder_of(path);
        while !parent.exists() {
            parent = folder_of(parent);
        }
        let probe = tempfile::Builder::new().prefix(".cytograd-probe").tempfile_in(parent);
        probe.map(drop).map_err(|e| Error::io(path, "creating", e))
    }

    /// A new folder with `manifest`, whose status is `training` until [`RunFolder::finish`]. An
    /// existing run is replaced if `overwrite` says so; nothing else is ever removed.
    ///
    /// # Errors
    /// As [`RunFolder::check_free`]; on any error the folder is not there (or as it was).
    pub fn create(path: &Path, overwrite: bool, mut manifest: Manifest) -> Result<RunFolder> {
        Self::check_free(path, overwrite)?;
        let failed = |e| Error::io(path, "creating", e);
        manifest.status = Status::Training;
        manifest.files.clear();
        // Built beside its place and renamed, so that the place never holds half a run.
        let parent = folder_of(path);
        std::fs::create_dir_all(parent).map_err(failed)?;
        let draft = Self::draft(path)?;
        std::fs::create_dir(draft.path().join("checkpoint")).map_err(failed)?;
        manifest.save(&draft.path().join(MANIFEST)).map_err(|e| named(e, path))?;
        Log::create(&draft.path().join(LOG)).map_err(|e| named(e, path))?;
        open_to_umask(draft.path(), &draft.path().join("checkpoint")).map_err(failed)?;
        Self::put(&draft.keep(), path)?;
        Ok(RunFolder { path: path.to_owned(), manifest })
    }

    /// A folder beside `path` that is gone when it is dropped.
    ///
    /// # Errors
    /// `Error::Io`.
    pub fn draft(path: &Path) -> Result<tempfile::TempDir> {
        let draft = tempfile::Builder::new().prefix(".cytograd-run").tempdir_in(folder_of(path));
        draft.map_err(|e| Error::io(path, "creating", e))
    }

    /// Moves the run in `draft` to `path`; the run that is there is gone then.
    ///
    /// # Errors
    /// `Error::Io`; whatever was at `path` is there or in a folder `.cytograd-old*` beside it.
    pub fn put(draft: &Path, path: &Path) -> Result<()> {
        let (parent, failed) = (folder_of(path), |e| Error::io(path, "creating", e));
        // Dropped, and with it the old run, once the new one is in place.
        let old = tempfile::Builder::new().prefix(".cytograd-old").tempdir_in(parent).map_err(failed)?;
        let replaced = path.exists();
        if replaced {
            std::fs::rename(path, old.path().join("run")).map_err(failed)?;
        }
        if let Err(error) = std::fs::rename(draft, path) {
            // The old run is put back; if that fails as well it stays where it is.
            if replaced && std::fs::rename(old.path().join("run"), path).is_err() {
                let _ = old.keep();
            }
            return Err(failed(error));
        }
        sync_folder(parent);
        Ok(())
    }

    /// A finished run, every file checked against the manifest.
    ///
    /// # Errors
    /// `Error::Run` if it is no run, of another version, unfinished, incomplete or damaged.
    pub fn open(path: &Path) -> Result<RunFolder> {
        let manifest = Self::manifest_of(path)?;
        let wrong = |what: String, fix: &str| Error::Run { path: path.to_owned(), what, fix: fix.into() };
        if manifest.status != Status::Done {
            return Err(wrong("training has not finished".into(), "finish it with `cytograd train ... --resume`"));
        }
        for (name, entry) in &manifest.files {
            const FIX: &str = "restore it from a copy or train again";
            match entry_of(&path.join(name)) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    return Err(wrong(format!("{name} is missing"), FIX));
                }
                Err(e) => return Err(Error::io(path.join(name), "reading", e)),
                Ok(found) if found != *entry => {
                    return Err(wrong(format!("{name} is damaged (its checksum does not fit)"), FIX));
                }
                Ok(_) => {}
            }
        }
        if !manifest.files.contains_key(MODEL) {
            return Err(wrong(format!("the manifest does not list {MODEL}"), "train again"));
        }
        Ok(RunFolder { path: path.to_owned(), manifest })
    }

    /// The manifest of a run, finished or not.
    ///
    /// # Errors
    /// `Error::Run` if it is no run or one of another version.
    pub fn manifest_of(path: &Path) -> Result<Manifest> {
        Manifest::load(path, &path.join(MANIFEST))
    }

    /// A run to go on with, and its last checkpoint (`None`: start from the beginning). A finished
    /// run is opened too; its status tells.
    ///
    /// # Errors
    /// `Error::Run` if it is no run, of another version, or its checkpoint is damaged.
    pub fn resume(path: &Path) -> Result<(RunFolder, Option<State>)> {
        let manifest = Self::manifest_of(path)?;
        remove_drafts(path);
        remove_drafts(&path.join("checkpoint"));
        let file = path.join(CHECKPOINT);
        let state = if file.exists() { Some(State::load(&file)?) } else { None };
        Ok((RunFolder { path: path.to_owned(), manifest }, state))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's manifest as it stands.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The parameters of a finished run.
    ///
    /// # Errors
    /// `Error::Io`, `Error::Run`.
    pub fn model(&self) -> Result<State> {
        State::load(&self.path.join(MODEL))
    }

    /// SHA-256 of the model file of a finished run.
    pub fn model_checksum(&self) -> Option<&str> {
        self.manifest.files.get(MODEL).map(|f| f.sha256.as_str())
    }

    /// Replaces the checkpoint; the previous one is there until the new one is whole.
    ///
    /// # Errors
    /// `Error::Io`, for example of a full disk; the previous checkpoint is then still there.
    pub fn checkpoint(&self, state: &State) -> Result<()> {
        let path = self.path.join(CHECKPOINT);
        std::fs::create_dir_all(folder_of(&path)).map_err(|e| Error::io(&path, "creating", e))?;
        state.save(&path)
    }

    /// The log, cut back to iteration `t` (0 for a new run).
    ///
    /// # Errors
    /// `Error::Io`.
    pub fn log(&self, t: u64) -> Result<Log> {
        Log::resume(&self.path.join(LOG), t)
    }

    /// Writes the model and, last, the manifest with checksums; the run is done.
    ///
    /// # Errors
    /// `Error::Io`; the run is then still unfinished and can be resumed.
    pub fn finish(&mut self, model: &State, metrics: Value) -> Result<()> {
        model.save(&self.path.join(MODEL))?;
        self.manifest.metrics = metrics;
        self.manifest.status = Status::Done;
        self.manifest.files.clear();
        for name in [MODEL, LOG, CHECKPOINT] {
            let path = self.path.join(name);
            if path.exists() {
                let entry = entry_of(&path).map_err(|e| Error::io(&path, "reading", e))?;
                self.manifest.files.insert(name.into(), entry);
            }
        }
        self.manifest.save(&self.path.join(MANIFEST))
    }

    /// Adds a file to a finished run and lets `change` edit the manifest, which lists it from now on.
    ///
    /// # Errors
    /// `Error::Io`; the run is then as it was, but for a file that its manifest does not know.
    pub fn attach(&mut self, name: &str, bytes: &[u8], change: impl FnOnce(&mut Manifest)) -> Result<()> {
        let path = self.path.join(name);
        write_whole(&path, bytes)?;
        let entry = entry_of(&path).map_err(|e| Error::io(&path, "reading", e))?;
        self.manifest.files.insert(name.into(), entry);
        change(&mut self.manifest);
        self.manifest.save(&self.path.join(MANIFEST))
    }

    /// Marks a finished run as training again, with a manifest that `change` has edited (more
    /// epochs, for example).
    ///
    /// # Errors
    /// `Error::Io`.
    pub fn reopen(&mut self, change: impl FnOnce(&mut Manifest)) -> Result<()> {
        change(&mut self.manifest);
        self.manifest.status = Status::Training;
        self.manifest.files.clear();
        self.manifest.save(&self.path.join(MANIFEST))
    }
}

fn entry_of(path: &Path) -> std::io::Result<FileEntry> {
    let mut hash = Sha256::new();
    let bytes = std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
    Ok(FileEntry { bytes, sha256: hex(&hash.finalize()) })
}

/// The error with the path that the user knows instead of a temporary one.
fn named(error: Error, path: &Path) -> Error {
    match error {
        Error::Io { action, source, .. } => Error::io(path, action, source),
        other => other,
    }
}

/// A temporary folder is for its owner only; the run gets what any new folder gets (`like`).
fn open_to_umask(folder: &Path, like: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(folder, std::fs::metadata(like)?.permissions())
}

/// Drafts that a killed run left (see `write`); failing to remove one does no harm.
fn remove_drafts(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(".part") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(value: f32) -> State {
        let mut state = State { json: json!({ "t": 3 }), ..State::default() };
        state.set("w", &[2], vec![value, 2.0]);
        state
    }

    fn finished(path: &Path) -> RunFolder {
        let mut run = RunFolder::create(path, false, Manifest::new("clams")).unwrap();
        run.log(0).unwrap().append(&json!({ "t": 1 })).unwrap();
        run.checkpoint(&state(1.0)).unwrap();
        run.finish(&state(1.5), json!({ "accuracy": 0.9 })).unwrap();
        run
    }

    #[test]
    fn a_finished_run_opens_and_a_damaged_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/run");
        finished(&path);
        let run = RunFolder::open(&path).unwrap();
        assert_eq!(run.model().unwrap(), state(1.5));
        assert_eq!(run.manifest().metrics["accuracy"], 0.9);
        for name in [MODEL, LOG, CHECKPOINT] {
            let file = path.join(name);
            let bytes = std::fs::read(&file).unwrap();
            let mut damaged = bytes.clone();
            *damaged.last_mut().unwrap() ^= 4;
            std::fs::write(&file, damaged).unwrap();
            let error = RunFolder::open(&path).err().unwrap().to_string();
            assert!(error.contains(&format!("{name} is damaged")), "{error}");
            std::fs::remove_file(&file).unwrap();
            let error = RunFolder::open(&path).err().unwrap().to_string();
            assert!(error.contains(&format!("{name} is missing")), "{error}");
            std::fs::write(&file, bytes).unwrap();
        }
        RunFolder::open(&path).unwrap();
    }

    #[test]
    fn an_existing_folder_is_never_overwritten_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        finished(&path);
        let before = std::fs::read(path.join(MANIFEST)).unwrap();
        let error = RunFolder::create(&path, false, Manifest::new("jem")).err().unwrap();
        assert!(error.to_string().contains("--resume") && error.exit_code() == 2, "{error}");
        assert_eq!(std::fs::read(path.join(MANIFEST)).unwrap(), before);
        let other = folder.path().join("mine");
        std::fs::create_dir(&other).unwrap();
        assert!(RunFolder::create(&other, true, Manifest::new("jem")).is_err(), "not a run");
        RunFolder::create(&path, true, Manifest::new("jem")).unwrap();
        assert!(!path.join(MODEL).exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no leftovers");
    }

    #[test]
    fn a_killed_run_resumes_from_its_last_whole_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let run = RunFolder::create(&path, false, Manifest::new("clams")).unwrap();
        assert!(RunFolder::open(&path).err().unwrap().to_string().contains("has not finished"));
        assert!(RunFolder::resume(&path).unwrap().1.is_none());
        run.checkpoint(&state(1.0)).unwrap();
        run.checkpoint(&state(2.0)).unwrap();
        std::fs::write(path.join("checkpoint/.state.safetensorsXX.part"), b"half").unwrap();
        let (run, found) = RunFolder::resume(&path).unwrap();
        assert_eq!((found.unwrap(), run.manifest().status), (state(2.0), Status::Training));
        assert_eq!(std::fs::read_dir(path.join("checkpoint")).unwrap().count(), 1);
    }

    #[test]
    fn an_unwritable_place_is_an_error_that_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        let error = RunFolder::create(&file.join("run"), false, Manifest::new("clams")).err().unwrap();
        assert_eq!(error.exit_code(), 1, "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

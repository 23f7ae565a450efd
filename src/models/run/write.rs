//! Files written whole or not at all: under another name in the same folder, brought to disk, renamed.

use crate::error::{Error, Result};
use std::fs::{File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Writes `bytes` to `path`, whole or not at all (see [`WholeFile`]).
///
/// # Errors
/// As [`WholeFile::create`] and [`WholeFile::finish`].
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(bytes).map_err(|e| Error::io(path, "writing", e))?;
    file.finish()
}

/// A file that gets its name when it is finished; dropped before that, it leaves no trace and the
/// file that had the name is as it was. A pipe or a device (`/dev/stdout`) is written directly.
pub struct WholeFile {
    sink: BufWriter<Sink>,
    target: PathBuf,
}

enum Sink {
    Draft(NamedTempFile),
    Direct(File),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Sink::Draft(file) => file.write(bytes),
            Sink::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Sink::Draft(file) => file.flush(),
            Sink::Direct(file) => file.flush(),
        }
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.sink.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}

impl WholeFile {
    /// Starts a file that will be at `path`.
    ///
    /// # Errors
    /// `Error::Usage` if `path` is a folder, `Error::Io` if its folder is missing or not writable.
    pub fn create(path: &Path) -> Result<WholeFile> {
        let failed = |e| Error::io(path, "writing", e);
        let existing = std::fs::metadata(path).ok();
        if existing.as_ref().is_some_and(|m| m.is_dir()) {
            return Err(Error::usage(format!("{} is a folder", path.display()), "give the path of a file to write"));
        }
        let special = existing.as_ref().is_some_and(|m| m.file_type().is_char_device() || m.file_type().is_fifo());
        let sink = if special {
            Sink::Direct(File::options().write(true).open(path).map_err(failed)?)
        } else {
            let permissions = existing.map_or_else(|| Permissions::from_mode(0o666), |m| m.permissions());
            let mut prefix = std::ffi::OsString::from(".");
            prefix.push(path.file_name().unwrap_or_default());
            let mut builder = tempfile::Builder::new();
            builder.prefix(&prefix).suffix(".part").permissions(permissions);
            Sink::Draft(builder.tempfile_in(folder_of(path)).map_err(failed)?)
        };
        Ok(WholeFile { sink: BufWriter::with_capacity(1 << 16, sink), target: path.to_owned() })
    }

    /// Brings the file to disk and gives it its name.
    ///
    /// # Errors
    /// `Error::Io`, for example of a full disk; then nothing has changed.
    pub fn finish(self) -> Result<()> {
        let WholeFile { sink, target } = self;
        let failed = |e| Error::io(&target, "writing", e);
        match sink.into_inner().map_err(|e| failed(e.into_error()))? {
            Sink::Direct(mut file) => file.flush().map_err(failed),
            Sink::Draft(file) => {
                file.as_file().sync_all().map_err(failed)?;
                file.persist(&target).map_err(|e| failed(e.error))?;
                sync_folder(folder_of(&target));
                Ok(())
            }
        }
    }
}

/// The folder that a path is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a rename survive a power cut. Some file systems refuse to sync a folder; then there is
/// nothing better to do.
pub(super) fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|f| f.sync_all());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        write_whole(&path, b"old").unwrap();
        let mut file = WholeFile::create(&path).unwrap();
        file.write_all(&[b'x'; 100_000]).unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        write_whole(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_full_device_is_an_error_and_stays_a_device() {
        let path = Path::new("/dev/full");
        let error = write_whole(path, b"x").unwrap_err();
        assert!(error.to_string().starts_with("/dev/full: writing failed: No space left"), "{error}");
        assert_eq!(error.exit_code(), 1);
        assert!(std::fs::metadata(path).unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_missing_folder_or_a_folder_as_target_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write_whole(&folder.path().join("no/out"), b"").unwrap_err().exit_code(), 1);
        assert_eq!(write_whole(folder.path(), b"").unwrap_err().exit_code(), 2);
    }
}

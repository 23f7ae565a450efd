//! The one error type. A variant carries operands; its text says what, where and, last, what to do.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// Shorthand used by the whole crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, grouped by who has to act.
// Each variant's own line tells of its fields.
#[allow(missing_docs)]
#[derive(Debug)]
pub enum Error {
    // ---- engine ----
    /// Shapes that an op cannot combine.
    Shape { op: &'static str, expected: String, found: String },
    /// An op was given the wrong element type.
    Dtype { op: &'static str, expected: &'static str, found: &'static str },
    /// A derivative that a fused kernel does not have.
    NotDifferentiable { op: &'static str, order: usize },
    /// A value outside what a function is defined for (`what` names the argument).
    Argument { op: &'static str, what: String },
    /// A kernel that a backend lacks, or a launch whose buffers do not fit it.
    Launch { kernel: &'static str, why: String },
    // ---- device ----
    /// No such device, or it failed.
    Device { device: String, why: String, fix: String },
    /// The device cannot hold another buffer.
    OutOfMemory { device: String, bytes: usize },
    // ---- input ----
    /// A file or folder that cannot be read or written.
    Io { path: PathBuf, action: &'static str, source: io::Error },
    /// A file that is not what it should be.
    Format { path: PathBuf, what: String, fix: String },
    /// Data that cannot be used as asked (`place` says where: a layer, a column, a cell).
    Data { place: String, what: String, fix: String },
    /// A value that is not a count where counts are needed.
    NotCounts { place: String, value: f32, cell: String, gene: String, fix: String },
    /// A wrong option or combination of options.
    Usage { what: String, fix: String },
    // ---- run ----
    /// A run folder of another version, damaged or incomplete.
    Run { path: PathBuf, what: String, fix: String },
    /// Stopped by the user; what was kept is in `kept`.
    Interrupted { kept: String },
}

impl Error {
    /// The program's exit code: 1 failed, 2 usage or input, 3 device or memory, 130 interrupted.
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Shape { .. }
            | Error::Dtype { .. }
            | Error::NotDifferentiable { .. }
            | Error::Argument { .. }
            | Error::Launch { .. } => 1,
            Error::Device { .. } | Error::OutOfMemory { .. } => 3,
            Error::Interrupted { .. } => 130,
            Error::Io { action, .. } if action.starts_with("writ") || action.starts_with("creat") => 1,
            _ => 2,
        }
    }

    /// An I/O error on `path` while doing `action` ("reading", "writing", "creating", ...).
    pub fn io(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        Error::Io { path: path.into(), action, source }
    }

    /// See [`Error::Data`].
    pub fn data(place: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Error::Data { place: place.into(), what: what.into(), fix: fix.into() }
    }

    /// See [`Error::Format`].
    pub fn format(path: impl Into<PathBuf>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Error::Format { path: path.into(), what: what.into(), fix: fix.into() }
    }

    /// See [`Error::Usage`].
    pub fn usage(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Error::Usage { what: what.into(), fix: fix.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Shape { op, expected, found } => write!(f, "{op}: expected {expected}, found {found}"),
            Error::Dtype { op, expected, found } => {
                write!(f, "{op}: expected elements of type {expected}, found {found}")
            }
            Error::NotDifferentiable { op, order } => {
                write!(f, "{op}: has no derivative of order {order}; compose it from unfused ops instead")
            }
            Error::Argument { op, what } => write!(f, "{op}: {what}"),
            Error::Launch { kernel, why } => write!(f, "kernel {kernel}: {why}"),
            Error::Device { device, why, fix } => write!(f, "device \"{device}\": {why}; {fix}"),
            Error::OutOfMemory { device, bytes } => {
                write!(
                    f,
                    "device \"{device}\": cannot hold another {bytes} bytes; use smaller batches, more --memory or another device"
                )
            }
            Error::Io { path, action, source } => write_io(f, path, action, source),
            Error::Format { path, what, fix } => write!(f, "{}: {what}; {fix}", path.display()),
            Error::Data { place, what, fix } => write!(f, "{place}: {what}; {fix}"),
            Error::NotCounts { place, value, cell, gene, fix } => {
                write!(f, "{place}: value {value} at cell {cell}, gene {gene} is not a count; {fix}")
            }
            Error::Usage { what, fix } => write!(f, "{what}; {fix}"),
            Error::Run { path, what, fix } => write!(f, "run {}: {what}; {fix}", path.display()),
            Error::Interrupted { kept } => write!(f, "interrupted; {kept}"),
        }
    }
}

/// The two mistakes that people make, with what to do; of anything else what the system says.
fn write_io(f: &mut fmt::Formatter<'_>, path: &Path, action: &str, source: &io::Error) -> fmt::Result {
    let shown = path.display();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let to_read = action.starts_with("read") || action.starts_with("open");
    match source.kind() {
        io::ErrorKind::NotFound if to_read => write!(f, "{shown}: there is no such file or folder; check the path"),
        io::ErrorKind::NotFound if !folder.exists() => {
            write!(f, "{shown}: the folder {} does not exist; make it first", folder.display())
        }
        io::ErrorKind::NotADirectory if folder.is_file() => {
            write!(f, "{shown}: {} is a file, not a folder; give another path", folder.display())
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem if !to_read => {
            write!(f, "{shown}: {action} is not allowed in the folder {}; give another path", folder.display())
        }
        _ => {
            // tempfile adds the name of the temporary file, which tells nobody anything.
            let said = source.to_string();
            let said = said.split(" at path \"").next().unwrap_or(&said);
            write!(f, "{shown}: {action} failed: {said}")
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_say_what_to_do_and_name_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no");
        let failed = tempfile::NamedTempFile::new_in(&missing).map(drop).unwrap_err();
        assert_eq!(
            Error::io(missing.join("x.h5ad"), "writing", failed).to_string(),
            format!("{0}/x.h5ad: the folder {0} does not exist; make it first", missing.display())
        );
        let failed = std::fs::read(missing.join("x")).unwrap_err();
        let said = Error::io("x", "reading", failed).to_string();
        assert_eq!(said, "x: there is no such file or folder; check the path");
        std::fs::write(&missing, "").unwrap();
        let failed = tempfile::NamedTempFile::new_in(&missing).map(drop).unwrap_err();
        let said = Error::io(missing.join("x.h5ad"), "writing", failed).to_string();
        assert!(said.ends_with("/no is a file, not a folder; give another path"), "{said}");
        let failed = io::Error::other("Disk quota exceeded at path \"/tmp/.x8v4hzY.part\"");
        assert_eq!(Error::io("x", "writing", failed).to_string(), "x: writing failed: Disk quota exceeded");
    }
}

//! The one error type. A variant carries operands; its text says what, where and, last, what to do.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::PathBuf;

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
    Io { path: PathBuf, action: &'static str, source: std::io::Error },
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
    pub fn io(path: impl Into<PathBuf>, action: &'static str, source: std::io::Error) -> Self {
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
            Error::Io { path, action, source } => write!(f, "{}: {action} failed: {source}", path.display()),
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

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

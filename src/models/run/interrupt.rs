//! The wish to stop, as a flag that long loops ask between steps.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Asks everything that polls to stop; true if it had been asked before.
pub fn request() -> bool {
    REQUESTED.swap(true, Ordering::SeqCst)
}

/// Whether someone asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// `Error::Interrupted` if someone asked to stop; `kept` says what is left, as in
/// `"no output was written"`.
pub fn check(kept: &str) -> Result<()> {
    if requested() { Err(Error::Interrupted { kept: kept.into() }) } else { Ok(()) }
}

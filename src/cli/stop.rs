//! Ctrl-C and termination: asked once, work stops at the next safe place; asked twice, at once.

use crate::error::{Error, Result};
use crate::models::run::interrupt;
use std::io::Write;

/// Exit code of an interrupted run.
const INTERRUPTED: i32 = 130;

/// Turns signals into [`interrupt::request`]; for commands that work long.
///
/// # Errors
/// `Error::Io` if the system does not let us.
pub fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if interrupt::request() {
            std::process::exit(INTERRUPTED);
        }
        let _ = writeln!(std::io::stderr(), "cytograd: stopping; once more to abort at once");
    })
    .map_err(|e| Error::io("signal handler", "installing", std::io::Error::other(e)))
}

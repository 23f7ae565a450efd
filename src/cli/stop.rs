//! Ctrl-C and termination: asked once, work stops at the next safe place; asked twice, at once.

use crate::error::{Error, Result};
use crate::models::run::interrupt;
use std::io::Write;
use std::time::{Duration, Instant};

/// Exit code of an interrupted run.
const INTERRUPTED: i32 = 130;
/// `timeout` and job managers send the same signal to a process and to its group at once; two
/// signals this close together are one wish.
const ECHO: Duration = Duration::from_millis(500);

/// Turns signals into [`interrupt::request`]; for commands that work long.
///
/// # Errors
/// `Error::Io` if the system does not let us.
pub fn listen() -> Result<()> {
    let mut first: Option<Instant> = None;
    ctrlc::set_handler(move || {
        if interrupt::request() {
            if first.is_some_and(|first| first.elapsed() > ECHO) {
                std::process::exit(INTERRUPTED);
            }
            return;
        }
        first = Some(Instant::now());
        let _ = writeln!(std::io::stderr(), "cytograd: stopping; once more to abort at once");
    })
    .map_err(|e| Error::io("signal handler", "installing", std::io::Error::other(e)))
}

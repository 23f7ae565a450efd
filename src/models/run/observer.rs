//! Progress of long work, told to whoever started it.

use std::fmt::Arguments;

/// Hears how long work goes on. Library functions call it; the program draws a bar or prints lines.
pub trait Observer {
    /// A stretch of work starts: `total` steps (0 if unknown), `what` as in `"training"`. A stretch
    /// that is going on ends.
    fn begin(&mut self, total: u64, what: &str);
    /// `done` steps of the stretch are done; `message` is short, as in `"epoch 3/20, loss 0.512"`.
    /// Cheap to call per step: the message is formatted only if it is shown.
    fn step(&mut self, done: u64, message: Arguments<'_>);
    /// The stretch is done.
    fn end(&mut self);
    /// Something worth a line.
    fn note(&mut self, line: &str);
    /// Something worth a line to those who asked for more (`-v`).
    fn detail(&mut self, line: &str);
    /// Something that may spoil the result.
    fn warn(&mut self, line: &str);
}

/// Hears and says nothing.
pub struct Silent;

impl Observer for Silent {
    fn begin(&mut self, _: u64, _: &str) {}
    fn step(&mut self, _: u64, _: Arguments<'_>) {}
    fn end(&mut self) {}
    fn note(&mut self, _: &str) {}
    fn detail(&mut self, _: &str) {}
    fn warn(&mut self, _: &str) {}
}

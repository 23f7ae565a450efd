//! Progress on stderr: a bar on a terminal, a line now and then elsewhere, nothing with `-q`.

use super::common::Common;
use crate::models::run::Observer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Arguments;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two drawings of the bar.
const DRAW: Duration = Duration::from_millis(100);
/// Work shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two plain lines.
const LINE: Duration = Duration::from_secs(5);

enum Mode {
    Quiet,
    Lines,
    Bar,
}

/// The [`Observer`] of the program.
pub struct Progress {
    mode: Mode,
    verbose: bool,
    work: Option<Work>,
}

struct Work {
    what: String,
    total: u64,
    started: Instant,
    shown: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn new(common: &Common) -> Progress {
        let mode = match (common.quiet, std::io::stderr().is_terminal()) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Bar,
            (false, false) => Mode::Lines,
        };
        Progress { mode, verbose: common.verbose, work: None }
    }

    /// Takes the bar away, before results or errors are printed.
    pub fn close(&mut self) {
        if let Some(bar) = self.work.take().and_then(|work| work.bar) {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        if matches!(self.mode, Mode::Quiet) {
            return;
        }
        match self.work.as_ref().and_then(|work| work.bar.as_ref()) {
            Some(bar) => bar.println(text),
            // Nobody is left to tell if stderr is closed.
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }
}

impl Observer for Progress {
    fn begin(&mut self, total: u64, what: &str) {
        self.close();
        let now = Instant::now();
        self.work = Some(Work { what: what.into(), total, started: now, shown: now, bar: None });
    }

    fn step(&mut self, done: u64, message: Arguments<'_>) {
        let Some(work) = &mut self.work else { return };
        let now = Instant::now();
        let (waited, run) = (now - work.shown, now - work.started);
        match self.mode {
            Mode::Bar if waited >= DRAW && run >= PATIENCE => {
                work.shown = now;
                let bar = work.bar.get_or_insert_with(|| bar(&work.what, work.total, run));
                bar.set_message(match left(done, work.total, run) {
                    Some(left) => format!("{} left, {message}", duration(left)),
                    None => message.to_string(),
                });
                bar.set_position(done);
            }
            Mode::Lines if waited >= LINE => {
                work.shown = now;
                let line = plain(&work.what, done, work.total, run, &message.to_string());
                self.line(&line);
            }
            _ => {}
        }
    }

    fn end(&mut self) {
        if let Some(work) = &self.work {
            let run = work.started.elapsed();
            let line = format!("{}: done in {}", work.what, duration(run));
            self.close();
            if run >= LINE || self.verbose {
                self.line(&line);
            }
        }
    }

    fn note(&mut self, line: &str) {
        self.line(line);
    }

    fn detail(&mut self, line: &str) {
        if self.verbose {
            self.line(line);
        }
    }

    fn warn(&mut self, line: &str) {
        self.line(&format!("cytograd: warning: {line}"));
    }
}

fn bar(what: &str, total: u64, run: Duration) -> ProgressBar {
    let (bar, template) = if total == 0 {
        (ProgressBar::new_spinner(), "{prefix} {spinner} {pos} {elapsed} {wide_msg}")
    } else {
        (ProgressBar::new(total), "{prefix} [{bar:30}] {percent:>3} %  {wide_msg}")
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(what.to_owned());
    bar.with_elapsed(run)
}

fn plain(what: &str, done: u64, total: u64, run: Duration, message: &str) -> String {
    match left(done, total, run) {
        None => format!("{what}: {done} done, {message}"),
        Some(left) => format!("{what}: {} %, {} left, {message}", 100 * done / total, duration(left)),
    }
}

/// What is left at the pace so far; nothing can be said without a total or a first step.
fn left(done: u64, total: u64, run: Duration) -> Option<Duration> {
    (total > 0 && done > 0).then(|| run.mul_f64(total.saturating_sub(done) as f64 / done as f64))
}

/// `42 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        s @ 10..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_tell_share_and_time_left() {
        let line = plain("training", 250, 1000, Duration::from_secs(20), "loss 0.5");
        assert_eq!(line, "training: 25 %, 60 s left, loss 0.5");
        assert_eq!(plain("reading", 7, 0, Duration::ZERO, "rows"), "reading: 7 done, rows");
        assert_eq!(duration(Duration::from_secs(7500)), "2 h 5 min");
    }
}

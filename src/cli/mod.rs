//! The program `cytograd`: one file per subcommand, results to files and stdout, the rest to stderr.
//!
//! May use: everything. A subcommand is an `Args` struct (the flag table: help, completion and man
//! page come from it) and a `run` function; both only translate between flags and the library.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or input, 3 device or memory, 130 interrupted. Every
//! error is one line on stderr: what, where, what to do. A reader of stdout that goes away is no
//! error.
#![forbid(unsafe_code)]

mod annotate;
mod bench;
mod common;
mod completions;
mod data;
mod demo;
mod devices;
mod embed;
mod evaluate;
mod experiment;
mod generate;
mod inspect;
mod integrate;
mod output;
mod preprocess;
mod progress;
mod rehearse;
mod report;
mod split;
mod stop;
mod train;

use crate::error::{Error, Result};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use common::Common;
use progress::Progress;
use std::process::ExitCode;

/// Label single cells and find the ones that no reference knows.
#[derive(Parser)]
#[command(name = "cytograd", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Start with `cytograd demo`. Exit codes: 0 done, 1 failed, 2 usage or input error, \
                        3 device or memory, 130 interrupted.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Inspect(inspect::Args),
    Preprocess(preprocess::Args),
    Integrate(integrate::Args),
    Split(split::Args),
    Train(train::Args),
    Annotate(annotate::Args),
    Rehearse(rehearse::Args),
    Generate(generate::Args),
    Evaluate(evaluate::Args),
    Embed(embed::Args),
    Report(report::Args),
    Experiment(experiment::Args),
    Devices(devices::Args),
    Bench(bench::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Man(completions::ManArgs),
}

impl Command {
    /// Whether it works long enough to be interrupted and to use threads.
    fn is_long(&self) -> bool {
        !matches!(self, Command::Completions(_) | Command::Man(_))
    }
}

/// Work on files runs on rayon's own pool; it gets as many threads as the device.
fn pool(threads: usize) {
    // Fails only if there is a pool already; then that one serves.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
}

/// What a subcommand gets beside its own flags.
struct Session {
    common: Common,
    progress: Progress,
}

/// Parses the arguments of the process, runs, reports.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(usage(&error)),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error.to_string());
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    if cli.command.is_long() {
        stop::listen()?;
        pool(cli.common.threads());
    }
    let mut session = Session { progress: Progress::new(&cli.common), common: cli.common };
    let result = match &cli.command {
        Command::Demo(args) => demo::run(args, &mut session),
        Command::Inspect(args) => inspect::run(args, &mut session),
        Command::Preprocess(args) => preprocess::run(args, &mut session),
        Command::Integrate(args) => integrate::run(args, &mut session),
        Command::Split(args) => split::run(args, &mut session),
        Command::Train(args) => train::run(args, &mut session),
        Command::Annotate(args) => annotate::run(args, &mut session),
        Command::Rehearse(args) => rehearse::run(args, &mut session),
        Command::Generate(args) => generate::run(args, &mut session),
        Command::Evaluate(args) => evaluate::run(args, &mut session),
        Command::Embed(args) => embed::run(args, &mut session),
        Command::Report(args) => report::run(args, &mut session),
        Command::Experiment(args) => experiment::run(args, &mut session),
        Command::Devices(args) => devices::run(args, &mut session),
        Command::Bench(args) => bench::run(args, &mut session),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => completions::man(args),
    };
    session.progress.close();
    match result {
        // The reader has what it wanted (`cytograd inspect x | head`).
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints what the parser has to say and returns the exit code; an error is put on one line.
fn usage(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            2
        }
        _ => {
            let text = error.to_string();
            let said = text.split("\n\nUsage:").next().unwrap_or(&text);
            let said = said.split("\n\nFor more information").next().unwrap_or(said);
            let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let line = lines.join(" ").trim_start_matches("error: ").to_owned();
            output::error(&format!("{line}; see `cytograd{} --help`", subcommand_of_arguments()));
            2
        }
    }
}

/// ` train` if the process was called as `cytograd train ...`.
fn subcommand_of_arguments() -> String {
    let known: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    std::env::args().skip(1).find(|a| known.contains(a)).map_or(String::new(), |name| format!(" {name}"))
}

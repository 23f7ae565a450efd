//! `cytograd completions` and `cytograd man`: both from the flag table.

use super::{Cli, output};
use crate::error::{Error, Result};
use clap::CommandFactory;

/// Print the completion script for a shell
///
/// As in `cytograd completions bash > ~/.local/share/bash-completion/completions/cytograd`.
#[derive(clap::Args)]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub fn run(args: &Args) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cytograd", &mut text);
    output::print(&String::from_utf8_lossy(&text))
}

/// Print the man page
#[derive(clap::Args)]
pub struct ManArgs {
    /// Of this subcommand, as in `cytograd man train | man -l -`
    subcommand: Option<String>,
}

pub fn man(args: &ManArgs) -> Result<()> {
    let mut command = Cli::command();
    command.build();
    if let Some(name) = &args.subcommand {
        let found = command.find_subcommand(name).cloned();
        let unknown = || Error::usage(format!("no subcommand \"{name}\""), "see `cytograd --help`");
        command = found.ok_or_else(unknown)?.display_name(format!("cytograd-{name}"));
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).map_err(|e| Error::io("man page", "writing", e))?;
    output::print(&String::from_utf8_lossy(&text))
}

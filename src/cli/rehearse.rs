//! `cytograd rehearse`: which unseen types would a run catch?

use super::{Session, output};
use crate::error::Result;
use crate::models::annotator::rehearse::{On, Rehearsal, RehearseOptions, TypeFigures, Verdict, rehearse};
use clap::ValueEnum;
use std::path::PathBuf;

/// Learn which unseen types a run would catch and which it would miss
///
/// Leaves out each type of the reference in turn, trains as the run was trained, and looks for the type
/// in cells that play the query: the query that was at hand in training, as the run labels it; else, of the
/// reference, one batch after the other where it has several, or a part of its cells. The best score flags
/// cells from now on; all is stored in the run folder. In a query at hand the other preparation is tried as
/// well. Ctrl-C keeps the trials that are done; the same command goes on.
#[derive(clap::Args)]
pub struct Args {
    /// Run folder that `cytograd train` wrote
    #[arg(value_name = "DIR")]
    run: PathBuf,
    /// The reference's file, if it is not where it was
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// The query's file, if it is not where it was
    #[arg(long, value_name = "FILE")]
    query: Option<PathBuf>,
    /// What plays the query [default: query if the run had one at hand, else reference]
    #[arg(long, value_name = "CELLS")]
    on: Option<Cells>,
    /// Column of the reference whose values play the query in turn, as donor [default: the run's batches]
    #[arg(long, value_name = "COL", conflicts_with = "query")]
    by: Option<String>,
    /// Leave out this type only; repeat for more
    #[arg(long = "type", value_name = "LABEL")]
    types: Vec<String>,
    /// Share of cells of known types that may be called unknown
    #[arg(long, value_name = "RATE", default_value_t = 0.05, value_parser = super::annotate::rate)]
    fpr: f64,
    /// Trainings of each trial, with seeds that follow each other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cells {
    /// The query at hand, by the labels that the run gives its cells
    Query,
    /// Cells of the reference, by their own labels
    Reference,
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let options = RehearseOptions {
        reference: args.reference.clone(),
        query: args.query.clone(),
        on: args.on.map(|cells| match cells {
            Cells::Query => On::Query,
            Cells::Reference => On::Reference,
        }),
        by: args.by.clone(),
        types: args.types.clone(),
        fpr: args.fpr,
        repeats: usize::from(args.repeats),
        ..RehearseOptions::new(&args.run)
    };
    let rehearsal = play(options, session)?;
    session.progress.close();
    if session.common.json {
        return output::print_json(&output::to_json(&rehearsal)?);
    }
    output::print(&text(&rehearsal))
}

/// Rehearses with the session's device and threads.
pub fn play(options: RehearseOptions, session: &mut Session) -> Result<Rehearsal> {
    let device = session.common.device()?;
    let options = RehearseOptions { threads: session.common.threads(), ..options };
    rehearse(&options, &device, &mut session.progress)
}

/// Per type and per score, and what follows from it.
pub fn text(r: &Rehearsal) -> String {
    let percent = |v: f64| format!("{:.0} %", 100.0 * v);
    let (of, measure) = match (r.on, &r.by) {
        (On::Query, _) => ("the query at hand, as the run labels it".into(), "agreement with these labels"),
        (_, Some(column)) => {
            (format!("one value of \"{column}\" after the other as the query"), "accuracy on known types")
        }
        _ => ("a fifth of the reference as the query".into(), "accuracy on known types"),
    };
    let mut text = format!(
        "rehearsal of {} ({}): {} trials, {of}; {measure} {:.3}\n\n",
        r.run.display(),
        r.model,
        r.trials.len(),
        r.accuracy
    );
    let at = format!("caught at {}", percent(r.fpr));
    let rows: Vec<Vec<String>> = r
        .types
        .iter()
        .map(|t| {
            vec![
                t.left_out.clone(),
                format!("{:.3}", t.auroc),
                percent(t.power),
                percent(t.false_alarms),
                t.verdict.name().into(),
                format!("{} {}", t.becomes.0, percent(t.becomes.1)),
            ]
        })
        .collect();
    text += &format!("with {}:\n", r.chosen.name());
    text += &output::table(&["left out", "AUROC", &at, "false alarms", "", "is called"], &rows);
    let rows: Vec<Vec<String>> = r
        .scores
        .iter()
        .map(|s| {
            vec![
                format!("{}{}", if s.score == r.chosen { "* " } else { "  " }, s.score.name()),
                format!("{:.3}", s.auroc),
                format!("{:.3}", s.worst),
                percent(s.power),
                percent(s.false_alarms),
            ]
        })
        .collect();
    text += "\nall scores, mean over types:\n";
    text += &output::table(&["  score", "AUROC", "worst type", "caught", "false alarms"], &rows);
    text.push('\n');
    for (name, why) in &r.skipped {
        text += &format!("not rehearsed: {name} ({why})\n");
    }
    text += &advice(r);
    if let Some(other) = &r.other {
        text += &format!(
            "with --preparation {}, this run's, AUROC {:.3} by {}; with {} {:.3} by {}{}\n",
            r.preparation.name(),
            r.auroc(),
            r.chosen.name(),
            other.preparation.name(),
            other.auroc(),
            other.chosen.name(),
            r.better().map_or("", |_| ": train with that to find more"),
        );
    }
    text
}

/// What a lab has to know.
fn advice(r: &Rehearsal) -> String {
    let names = |verdict: Verdict| {
        let all: Vec<&TypeFigures> = r.types.iter().filter(|t| t.verdict == verdict).collect();
        let called = |t: &TypeFigures| match verdict {
            Verdict::Caught => t.left_out.clone(),
            // Its cells are low in rank, though not low enough.
            _ if t.auroc >= 0.8 => format!("{} (called {}; a larger --fpr would flag more)", t.left_out, t.becomes.0),
            _ => format!("{} (called {})", t.left_out, t.becomes.0),
        };
        all.into_iter().map(called).collect::<Vec<_>>().join(", ")
    };
    let mut text = String::new();
    for (verdict, what) in [
        (Verdict::Caught, "unseen types like these would be caught"),
        (Verdict::InPart, "flags would tell of these in part, by too few of their cells or too many known ones"),
        (Verdict::Missed, "these would be MISSED, or not stand out from known cells that are flagged"),
    ] {
        let names = names(verdict);
        if !names.is_empty() {
            text += &format!("{what}: {names}\n");
        }
    }
    let alarms = r.types.iter().map(|t| t.false_alarms).sum::<f64>() / r.types.len().max(1) as f64;
    if alarms > 2.0 * r.fpr {
        text += &format!(
            "cells of known types are flagged at {:.0} %, not {:.0} %: a flag alone is weak evidence; look at the share \
             of flagged cells per label\n",
            100.0 * alarms,
            100.0 * r.fpr
        );
    }
    text + &format!("{} goes by {} from now on\n", r.run.display(), r.chosen.name())
}

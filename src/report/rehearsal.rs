//! What a rehearsal found: which unseen types a flag can be trusted to show.

use super::page::Section;
use super::percent;
use crate::models::annotator::rehearse::{On, Rehearsal};
use crate::models::run::RunFolder;
use crate::plots::Table;

/// Every type that was left out and looked for.
pub fn section(run: &RunFolder, missing: &mut Vec<String>) -> Option<Section> {
    const TITLE: &str = "Unseen types, rehearsed";
    let rehearsal = match Rehearsal::of(run) {
        Ok(Some(rehearsal)) => rehearsal,
        Ok(None) => {
            missing.push(format!("{TITLE}: no rehearsal was made (cytograd rehearse {}).", run.path().display()));
            return None;
        }
        Err(why) => {
            missing.push(format!("{TITLE}: {why}."));
            return None;
        }
    };
    let mut table = Table::new(&["left out", "AUROC", "flagged", "known cells flagged", "", "is called"]);
    for of in &rehearsal.types {
        table.push(vec![
            of.left_out.clone(),
            format!("{:.3}", of.auroc),
            percent(of.power),
            percent(of.false_alarms),
            of.verdict.name().into(),
            format!("{}, {}", of.becomes.0, percent(of.becomes.1)),
        ]);
    }
    let cells = match (rehearsal.on, &rehearsal.by) {
        (On::Query, _) => "the query, as the run labels it".into(),
        (On::Reference, Some(column)) => format!("the reference, one value of \"{column}\" after the other"),
        (On::Reference, None) => "a part of the reference".into(),
    };
    Some(Section {
        title: TITLE.into(),
        text: format!(
            "Each type in turn was left out of training and looked for in {cells}, by {} at {}: what a flag would show if the \
             reference lacked that type.",
            rehearsal.chosen.name(),
            percent(rehearsal.fpr),
        ),
        table: Some(table),
        figures: Vec::new(),
    })
}

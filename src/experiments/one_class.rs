//! Each type in turn is left out of training and looked for among all its cells and a tenth of the
//! others', held out (CLAMS specification, section 8, T3).
//!
//! Features are made once, without looking at labels: the class scores of small references, which learn
//! from them, are left out here.

use super::Protocol;
use super::annotation::{Views, data, diverged, notes, single};
use super::ledger::{Ledger, Outcome};
use super::table::{Cell, Column, Table};
use super::variants::Variant;
use crate::error::Result;
use crate::models::annotator::FeatureConfig;
use crate::models::annotator::study::{Figures, Study};
use crate::models::run::Observer;
use serde_json::json;

/// As [`super::annotation::run`]; a query takes no part.
///
/// # Errors
/// As there.
pub fn run(protocol: &Protocol, variants: &[Variant], observer: &mut dyn Observer) -> Result<Table> {
    let mut protocol = protocol.clone();
    (protocol.data.query, protocol.data.query_filter) = (None, Vec::new());
    let study = Study::read(&protocol.data, &protocol.changes, observer)?;
    variants.iter().try_for_each(|variant| study.settings(variant.method).map(drop))?;
    let mut ledger = Ledger::open(&protocol, &json!({ "experiment": "one-class", "data": data(&protocol, &study) }))?;
    let unsupervised = |config| FeatureConfig { class_scores: false, ..config };
    let views = Views::of(&study, variants, unsupervised, observer)?;
    let classes = 0..study.classes().len() as u32;
    let mut runs = Vec::new();
    for variant in variants {
        for class in classes.clone() {
            runs.extend((0..variant.repeats(protocol.seeds)).map(|i| (variant, class, protocol.data.seed + i)));
        }
    }
    let name = |(variant, class, seed): &(&Variant, u32, u64)| {
        format!("{} without {}, seed {seed}", variant.name, study.classes()[*class as usize])
    };
    let names: Vec<String> = runs.iter().map(name).collect();
    observer.begin(runs.len() as u64, "one-class");
    let outcomes = ledger.run(&names, runs.len(), &protocol, observer, &|at, device| {
        let (variant, class, seed) = runs[at];
        let learning = variant.learning(&study, seed)?;
        study.one_class(views.get(&learning.settings.features)?, class, &learning, device)
    });
    observer.end();
    let outcomes = outcomes?;
    let row = |variant: &Variant| {
        let mine = runs.iter().zip(&outcomes).filter(|((v, ..), _)| v.name == variant.name);
        let all: Vec<&Figures> = mine.filter_map(|(_, outcome)| Outcome::figures(outcome)).collect();
        let over = |of: &dyn Fn(&Figures) -> Option<f64>| Cell::over(all.iter().filter_map(|f| of(f)));
        vec![
            single(all.len() as f64),
            diverged(all.iter().map(|f| f.diverged.is_some())),
            over(&|f| f.log_px),
            over(&|f| f.max_p),
            over(&|f| f.own),
        ]
    };
    let columns = [("runs", 0), ("div %", 0), ("p(x)", 3), ("max p", 3), ("own score", 3)];
    let table = Table {
        title: format!(
            "One class left out: {} types x {} seeds; AUROC of held-out known cells against the class, mean ± sd over \
             classes and seeds.",
            study.classes().len(),
            protocol.seeds
        ),
        head: "method",
        columns: columns.map(|(name, digits)| Column { name, digits }).to_vec(),
        rows: variants.iter().map(|variant| (variant.name.clone(), row(variant))).collect(),
        notes: notes(&names, &outcomes),
    };
    table.write(&protocol.out)?;
    Ok(table)
}

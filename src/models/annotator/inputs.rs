//! What a training run reads: reference, query and settings, and the features made of them.

use super::cells::{Query, Reference, ReferenceRules, query_rows_beside};
use super::features::{self, FeatureReport, Prepared};
use super::input;
use super::method::Method;
use super::options::TrainOptions;
use super::profile::Settings;
use crate::data::Dataset;
use crate::data::batches::Split;
use crate::data::genes::{Aliases, GeneMatch};
use crate::data::label_map::LabelMap;
use crate::data::select;
use crate::error::{Error, Result};
use crate::models::ebm::Model;
use crate::models::run::Observer;
use crate::paths;

/// What was read.
pub(super) struct Inputs {
    pub reference: Reference,
    pub query: Option<Query>,
    pub settings: Settings,
}

impl Inputs {
    pub fn read(options: &TrainOptions, observer: &mut dyn Observer) -> Result<Inputs> {
        let layer = options.layer.as_deref();
        let batch_key = options.batch_key.as_deref();
        let mut dataset = input::read(&options.reference, layer, observer)?;
        if let Some(path) = &options.label_map {
            let place = format!("{}: obs", dataset.source);
            LabelMap::read(path)?.apply(&mut dataset.obs, &options.label_key, &place)?;
        }
        let rules = ReferenceRules {
            label_key: &options.label_key,
            batch_key,
            filter: &options.filter,
            hold_out: &options.hold_out,
            // read_matrix has put the layer in the place of X.
            layer: None,
        };
        let mut reference = Reference::new(&dataset, &rules)?;
        names_are_unique(&dataset, observer);
        let query = match &options.query {
            None if !options.query_filter.is_empty() => {
                return Err(Error::usage("--query-where without --query", "give the query file too"));
            }
            None => None,
            Some(path) if paths::same(path, &options.reference) => {
                let place = format!("{}: obs", dataset.source);
                let rows = query_rows_beside(&dataset.obs, &options.filter, &options.query_filter, &place)?;
                Some(Query::new(&dataset, &rows, None, batch_key)?)
            }
            Some(path) => {
                let dataset = input::read(path, layer, observer)?;
                names_are_unique(&dataset, observer);
                let rows = select::rows(&dataset.obs, &options.query_filter, &format!("{}: obs", dataset.source))?;
                Some(Query::new(&dataset, &rows, None, batch_key)?)
            }
        };
        if let (Some(key), Some(query)) = (batch_key, &query)
            && query.batch.is_none()
        {
            observer.warn(&format!("{}: no column \"{key}\"; the query counts as one batch", query.expression.place));
        }
        let empty = features::empty_cells(&reference);
        // A matrix without any gene is refused as a whole later.
        if !empty.is_empty() && reference.expression.x.n_cols() > 0 {
            let cell = &reference.expression.cells[empty[0]];
            observer.warn(&format!(
                "{}: {} reference cells without counts (the first is {cell}) are left out; remove them with cytograd preprocess",
                reference.expression.place,
                empty.len()
            ));
            let kept: Vec<usize> = (0..reference.y.len()).filter(|row| empty.binary_search(row).is_err()).collect();
            reference = reference.select(&kept);
            if (0..reference.classes.len() as u32).any(|c| !reference.y.contains(&c)) {
                return Err(Error::data(
                    &reference.expression.place,
                    "a label has only cells without counts",
                    "leave it out with --hold-out, or choose another --layer",
                ));
            }
        }
        if let (Method::Baseline(baseline), Some(_)) = (options.model, options.epochs) {
            let what = format!("--epochs with {}, which has none", baseline.name());
            return Err(Error::usage(what, "leave --epochs out"));
        }
        let has_chains = matches!(options.model, Method::Network(Model::Clams | Model::Jem | Model::HdgeJem));
        if options.conditional && !has_chains {
            let what = format!("--conditional with {}, which has no Langevin chains", options.model.name());
            return Err(Error::usage(what, "leave it out, or train clams, jem or hdge-jem"));
        }
        let settings = settings(options, reference.y.len());
        Ok(Inputs { reference, query, settings })
    }

    pub fn features(&self, split: &Split, min_overlap: f64, observer: &mut dyn Observer) -> Result<Prepared> {
        let n = self.reference.y.len();
        let n_query = self.query.as_ref().map_or(0, |q| q.expression.x.n_rows());
        observer.note(&format!(
            "reference: {n} cells, {} genes, {} labels; query: {}",
            self.reference.expression.var.n_rows(),
            self.reference.classes.len(),
            if self.query.is_some() { format!("{n_query} cells") } else { "none".into() },
        ));
        if let Some(Query { expression, .. }) = &self.query {
            let var = &self.reference.expression.var;
            let aliases = Aliases::of(var, &var.index);
            let found = GeneMatch::find_any(&var.index, &aliases, &expression.var, &expression.place)?;
            found.require_overlap(min_overlap)?;
        }
        observer.begin(0, "preparing features");
        let mut warnings = Vec::new();
        let (config, mut warn) = (&self.settings.features, |w: &str| warnings.push(w.to_owned()));
        let result = match &self.query {
            Some(query) => features::fit(&self.reference, Some(query), &split.train, config, &mut warn),
            None => features::fit_apart(&self.reference, &split.train, config, &mut warn),
        };
        observer.end();
        warnings.iter().for_each(|w| observer.warn(w));
        let prepared = result?;
        tell(&prepared.report, observer);
        Ok(prepared)
    }
}

/// The settings of a run on so many reference cells.
pub(super) fn settings(options: &TrainOptions, n_reference: usize) -> Settings {
    let n_train = n_reference * 8 / 10;
    let of_profile = || options.profile.settings(options.model, options.preparation, n_train);
    let mut settings = options.settings.clone().unwrap_or_else(of_profile);
    if let Some(epochs) = options.epochs {
        // The schedule keeps its proportions.
        let old = settings.ebm.optim.epochs.max(1);
        settings.ebm.optim.decay_epochs.iter_mut().for_each(|e| *e = *e * epochs / old);
        settings.ebm.optim.epochs = epochs;
    }
    if let Some(select) = options.select {
        settings.select = select;
    }
    if options.conditional {
        (settings.ebm.sgld.conditional, settings.ebm.sgld.balanced) = (true, options.balanced);
    }
    if options.restarts > 0 {
        settings.ebm.divergence.max_restarts = options.restarts;
    }
    settings
}

fn tell(report: &FeatureReport, observer: &mut dyn Observer) {
    report.notes.iter().for_each(|note| observer.note(note));
    if let Some(shared) = report.shared_genes {
        observer.note(&format!("{shared} of {} reference genes are in the query", report.reference_genes));
    }
    if report.empty_query_cells > 0 {
        observer.warn(&format!(
            "{} query cells have no counts in these genes; they stay without label",
            report.empty_query_cells
        ));
    }
    match report.batches.len() {
        0 => observer.detail("one batch: no batch correction"),
        n => observer.note(&format!("Harmony levelled {n} batches in {} rounds", report.harmony_rounds.len())),
    }
}

pub(super) fn names_are_unique(dataset: &Dataset, observer: &mut dyn Observer) {
    let mut seen = std::collections::HashSet::new();
    let repeated = dataset.obs.index.iter().filter(|name| !seen.insert(name.as_str())).count();
    if repeated > 0 {
        observer.warn(&format!(
            "{}: {repeated} cell names occur more than once; results go by position, make the names unique",
            dataset.source
        ));
    }
}

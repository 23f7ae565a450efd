//! Models learnt and judged in memory, many of them on the same features: what experiments are made of.
//!
//! The true types of the query are here, out of reach of everything that learns: [`Reference`] and
//! [`Query`] are all that [`features`] and models get, and [`Study::judge`] alone looks at the others.

use super::cells::{Query, Reference, query_rows_beside};
use super::features::{self, FeatureConfig};
use super::input;
use super::inputs::{self, Inputs};
use super::method::Method;
use super::options::TrainOptions;
use super::profile::Settings;
use super::score::Kind;
use super::trained::{Answers, Learnt};
use crate::analysis::metrics::calibration::{Binning, ece};
use crate::analysis::metrics::ranking::auroc;
use crate::data::batches::{Split, stratified_split};
use crate::data::label_map::LabelMap;
use crate::data::{Table, select};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::ebm::{Cells, EbmConfig, Trainer};
use crate::models::run::{Observer, interrupt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bins of the calibration error.
const BINS: usize = 20;

/// Labelled cells to learn from and, apart, cells to judge by.
pub struct Study {
    options: TrainOptions,
    reference: Reference,
    query: Option<Query>,
    /// True types of the query's cells.
    truth: Vec<Option<String>>,
}

/// All cells in the features of one configuration.
pub struct View {
    /// `[reference cells, width]`
    reference: Vec<f32>,
    /// `[query cells, width]`
    query: Vec<f32>,
    /// Query cells without counts.
    empty: Vec<bool>,
    width: usize,
    /// The reference's training, validation and test cells.
    split: Split,
}

/// What is learnt: a method with its settings, a seed.
#[derive(Clone, Debug)]
pub struct Learning {
    /// Which method.
    pub method: Method,
    /// With which settings.
    pub settings: Settings,
    /// Seed of the training.
    pub seed: u64,
}

/// How one model did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Iteration at which its training diverged; the best epoch before that is judged.
    pub diverged: Option<u64>,
    /// Share of the cells of known types with the right label.
    pub accuracy: f64,
    /// Calibration error of these labels, 20 bins of equal width.
    pub ece: f64,
    /// Known against unknown cells by log p(x), if the model has it and there are unknown cells.
    pub log_px: Option<f64>,
    /// The same by max p(y|x).
    pub max_p: Option<f64>,
    /// The same by the method's own score.
    pub own: Option<f64>,
}

/// How one training went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Iteration at which it diverged.
    pub diverged: Option<u64>,
    /// Highest validation accuracy of a whole epoch; 0 without any.
    pub accuracy: f64,
}

impl Study {
    /// Reads reference and query; `options.model` plays no part.
    ///
    /// # Errors
    /// Those of [`super::train`] on the same options; `Error::Data` if the query lacks the label column or
    /// has no label of the reference's.
    pub fn read(options: &TrainOptions, observer: &mut dyn Observer) -> Result<Study> {
        let Inputs { reference, query, .. } = Inputs::read(options, observer)?;
        let truth = match &options.query {
            Some(_) => truth(options, observer)?,
            None => Vec::new(),
        };
        if query.is_some() && !truth.iter().flatten().any(|label| reference.classes.contains(label)) {
            return Err(Error::data(
                format!("column \"{}\" of the query", options.label_key),
                "no cell has a label that the reference has too",
                "name its cells with --query-where, or bring its labels to the reference's with --label-map",
            ));
        }
        Ok(Study { options: options.clone(), reference, query, truth })
    }

    /// Names of the reference's types.
    pub fn classes(&self) -> &[String] {
        &self.reference.classes
    }

    /// SHA-256 over all cells with their types and batches.
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        let query = self.query.as_ref().map(|query| &query.expression);
        for expression in std::iter::once(&self.reference.expression).chain(query) {
            hash.update(expression.checksum());
        }
        hash.update(format!("{:?} {:?} {:?}", self.reference.y, self.reference.batch, self.truth));
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The settings of a method by the study's profile and number of epochs.
    pub fn settings(&self, method: Method) -> Settings {
        let options = TrainOptions { model: method, ..self.options.clone() };
        // Epochs are of networks alone.
        let epochs = options.epochs.filter(|_| matches!(method, Method::Network(_)));
        inputs::settings(&TrainOptions { epochs, ..options }, self.reference.y.len())
    }

    /// The cells in features of this kind.
    ///
    /// # Errors
    /// As [`features::fit`].
    pub fn view(&self, config: &FeatureConfig) -> Result<View> {
        let Settings { split, split_seed, .. } = Settings::default();
        let split = stratified_split(&self.reference.y, split, split_seed);
        let prepared = features::fit(&self.reference, self.query.as_ref(), &split.train, config, &mut |_| {})?;
        let (query, empty) = match (prepared.query, &self.query) {
            (Some(x), _) => (x, prepared.empty_query),
            (None, Some(query)) => {
                let projected = prepared.model.project(query, self.options.min_gene_overlap, &mut |_| {})?;
                (projected.x, projected.empty)
            }
            (None, None) => (Vec::new(), Vec::new()),
        };
        Ok(View { reference: prepared.reference, query, empty, width: prepared.width, split })
    }

    /// Learns from the reference and judges by the query.
    ///
    /// # Errors
    /// Those of the training and of the device.
    pub fn annotate(&self, view: &View, learning: &Learning, device: &Device) -> Result<Figures> {
        let cells = self.cells(view);
        let Learning { method, settings, seed } = learning;
        let learnt = Learnt::learn(*method, settings, &cells, &view.split, self.classes().len(), *seed, device)?;
        let known: Vec<&str> = self.classes().iter().map(String::as_str).collect();
        let truth: Vec<Option<&str>> = self.truth.iter().map(Option::as_deref).collect();
        self.judge(&learnt, *method, (&view.query, view.width), &view.empty, &known, &truth, device)
    }

    /// Learns from the reference without a class and judges by a tenth of the others' cells, held out,
    /// and all cells of the class (specification, section 8, T3). The split is the others' own.
    ///
    /// # Errors
    /// As [`Study::annotate`].
    pub fn one_class(&self, view: &View, left_out: u32, learning: &Learning, device: &Device) -> Result<Figures> {
        let Learning { method, settings, seed } = learning;
        let w = view.width;
        let rows: Vec<usize> = (0..self.reference.y.len()).filter(|&row| self.reference.y[row] != left_out).collect();
        let x = |rows: &[usize]| -> Vec<f32> {
            rows.iter().flat_map(|&row| &view.reference[row * w..(row + 1) * w]).copied().collect()
        };
        let rest = self.reference.only(&rows);
        let split = stratified_split(&rest.y, settings.split, settings.split_seed);
        let cells = Cells { x: x(&rows), y: rest.y.clone(), features: w };
        let learnt = Learnt::learn(*method, settings, &cells, &split, rest.classes.len(), *seed, device)?;
        let test = split.test.iter().map(|&at| rows[at]);
        let judged: Vec<usize> =
            test.chain((0..self.reference.y.len()).filter(|&row| self.reference.y[row] == left_out)).collect();
        let name = |row: usize| Some(self.reference.classes[self.reference.y[row] as usize].as_str());
        let truth: Vec<Option<&str>> = judged.iter().map(|&row| name(row)).collect();
        let known: Vec<&str> = rest.classes.iter().map(String::as_str).collect();
        self.judge(&learnt, *method, (&x(&judged), w), &vec![false; judged.len()], &known, &truth, device)
    }

    /// Trains a network and looks at nothing but validation cells.
    ///
    /// # Errors
    /// As [`Study::annotate`].
    pub fn fit(&self, view: &View, config: &EbmConfig, seed: u64, device: &Device) -> Result<Fit> {
        let cells = self.cells(view);
        let part = |rows: &[usize]| super::trained::select(&cells, rows);
        let (train, valid) = (part(&view.split.train), part(&view.split.valid));
        let mut trainer =
            Trainer::new(config.clone(), Default::default(), train, valid, self.classes().len(), seed, device)?;
        while !trainer.finished() {
            interrupt::check("the model under way is lost")?;
            trainer.steps(u64::MAX, &interrupt::requested)?;
            if trainer.divergence().at.is_none() && trainer.epoch_is_full() {
                trainer.end_epoch()?;
            }
        }
        let accuracy = trainer.best().map_or(0.0, |best| best.log.valid_accuracy);
        Ok(Fit { diverged: trainer.divergence().at, accuracy })
    }

    fn cells(&self, view: &View) -> Cells {
        Cells { x: view.reference.clone(), y: self.reference.y.clone(), features: view.width }
    }

    /// Cells `x` of true types `truth`, of which the model knows `known`.
    fn judge(
        &self,
        learnt: &Learnt,
        method: Method,
        (x, width): (&[f32], usize),
        empty: &[bool],
        known: &[&str],
        truth: &[Option<&str>],
        device: &Device,
    ) -> Result<Figures> {
        let (Answers { label, prob, .. }, scores) = learnt.judge(x, width, empty, device)?;
        let rows: Vec<usize> = (0..truth.len()).filter(|&row| !empty[row] && truth[row].is_some()).collect();
        let positive: Vec<bool> = rows.iter().map(|&row| truth[row].is_some_and(|t| known.contains(&t))).collect();
        let right = |row: usize| truth[row] == Some(known[label[row] as usize]);
        let of_known: Vec<usize> =
            rows.iter().zip(&positive).filter(|(_, known)| **known).map(|(&row, _)| row).collect();
        let correct: Vec<bool> = of_known.iter().map(|&row| right(row)).collect();
        let confidence: Vec<f64> = of_known.iter().map(|&row| f64::from(prob[row])).collect();
        let both = positive.contains(&true) && positive.contains(&false);
        let found = |score| {
            let values = scores.get(score).filter(|_| both)?;
            let values: Vec<f64> = rows.iter().map(|&row| f64::from(values[row])).collect();
            auroc(&positive, &values).ok()
        };
        Ok(Figures {
            diverged: learnt.diverged,
            accuracy: correct.iter().filter(|&&b| b).count() as f64 / correct.len() as f64,
            ece: ece(&confidence, &correct, BINS, Binning::WidthFloor).unwrap_or(f64::NAN),
            log_px: found(Kind::LogPx.plain()),
            max_p: found(Kind::MaxP.plain()),
            own: found(method.score()),
        })
    }
}

/// The query's true types.
fn truth(options: &TrainOptions, observer: &mut dyn Observer) -> Result<Vec<Option<String>>> {
    let Some(path) = &options.query else { return Ok(Vec::new()) };
    let source = input::open(path, Default::default(), observer)?;
    let mut obs: Table = source.obs().clone();
    let place = format!("{}: obs", source.name());
    if let Some(map) = &options.label_map {
        LabelMap::read(map)?.apply(&mut obs, &options.label_key, &place)?;
    }
    let rows = match inputs::same_file(path, &options.reference) {
        true => query_rows_beside(&obs, &options.filter, &options.query_filter, &place)?,
        false => select::rows(&obs, &options.query_filter, &place)?,
    };
    let column = obs.column(&place, &options.label_key)?;
    Ok(rows.iter().map(|&row| column.text(row).filter(|text| !text.is_empty())).collect())
}

//! Models learnt and judged in memory, many of them on the same features: what experiments are made of.
//!
//! The true types of the query are here, out of reach of everything that learns: [`Reference`] and
//! [`Query`] are all that [`features`] and models get, and what judges alone looks at the others.

use super::cells::{Query, Reference, query_rows_beside};
use super::change::Change;
use super::features::{self, FeatureConfig};
use super::input;
use super::inputs::{self, Inputs};
use super::method::Method;
use super::options::TrainOptions;
use super::profile::Settings;
use super::score::Kind;
use super::trained::{Answers, Lesson, driven};
use crate::analysis::metrics::calibration::{Binning, ece};
use crate::analysis::metrics::ranking::auroc;
use crate::data::batches::{Split, stratified_split};
use crate::data::label_map::LabelMap;
use crate::data::{Table, select};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::ebm::{Cells, EbmConfig, Select};
use crate::models::run::Observer;
use crate::paths;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bins of the calibration error.
const BINS: usize = 20;

/// Labelled cells to learn from and, apart, cells to judge by.
pub struct Study {
    options: TrainOptions,
    changes: Vec<Change>,
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
    /// Share of the cells of known types with the right label. This and all others are absent if no epoch
    /// was complete before the divergence, and where they are not defined.
    pub accuracy: Option<f64>,
    /// Calibration error of these labels, 20 bins of equal width.
    pub ece: Option<f64>,
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
    /// Highest validation accuracy of a whole epoch, if there is one.
    pub accuracy: Option<f64>,
}

impl Study {
    /// Reads reference and query; `options.model` plays no part. `changes` are of the networks' settings.
    ///
    /// # Errors
    /// Those of [`fn@super::train`] on the same options; `Error::Data` if the query lacks the label column or
    /// has no label of the reference's.
    pub fn read(options: &TrainOptions, changes: &[Change], observer: &mut dyn Observer) -> Result<Study> {
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
        Ok(Study { options: options.clone(), changes: changes.to_vec(), reference, query, truth })
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

    /// The settings of a method by the study's profile, number of epochs and changes.
    ///
    /// # Errors
    /// As [`Change::make`].
    pub fn settings(&self, method: Method) -> Result<Settings> {
        let options = TrainOptions { model: method, ..self.options.clone() };
        // Epochs and changes are of networks alone.
        let network = matches!(method, Method::Network(_));
        let epochs = options.epochs.filter(|_| network);
        let mut settings = inputs::settings(&TrainOptions { epochs, ..options }, self.reference.y.len());
        if network {
            Change::make(&self.changes, &mut settings)?;
        }
        Ok(settings)
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
        let lesson = Lesson::take(*method, settings, &cells, &view.split, self.classes().len(), *seed, device)?;
        let known: Vec<&str> = self.classes().iter().map(String::as_str).collect();
        let truth: Vec<Option<&str>> = self.truth.iter().map(Option::as_deref).collect();
        self.judge(&lesson, *method, (&view.query, view.width), &view.empty, &known, &truth, device)
    }

    /// Learns from the reference without a class and judges by a tenth of the others' cells, held out,
    /// and all cells of the class (specification, section 8, T3). The split is the others' own; no method,
    /// and nothing that its scores are calibrated by, sees the tenth.
    ///
    /// # Errors
    /// As [`Study::annotate`].
    pub fn one_class(&self, view: &View, left_out: u32, learning: &Learning, device: &Device) -> Result<Figures> {
        let Learning { method, settings, seed } = learning;
        let w = view.width;
        let Apart { seen, split, judged } = Apart::new(&self.reference.y, left_out, settings);
        let x = |rows: &[usize]| -> Vec<f32> {
            rows.iter().flat_map(|&row| &view.reference[row * w..(row + 1) * w]).copied().collect()
        };
        let y = seen.iter().map(|&row| without(self.reference.y[row], left_out)).collect();
        let cells = Cells { x: x(&seen), y, features: w };
        let all = self.classes();
        let known: Vec<&str> =
            (0..all.len()).filter(|&class| class != left_out as usize).map(|class| all[class].as_str()).collect();
        let lesson = Lesson::take(*method, settings, &cells, &split, known.len(), *seed, device)?;
        let truth: Vec<Option<&str>> =
            judged.iter().map(|&row| Some(all[self.reference.y[row] as usize].as_str())).collect();
        self.judge(&lesson, *method, (&x(&judged), w), &vec![false; judged.len()], &known, &truth, device)
    }

    /// Trains a network and looks at nothing but validation cells.
    ///
    /// # Errors
    /// As [`Study::annotate`].
    pub fn fit(&self, view: &View, config: &EbmConfig, seed: u64, device: &Device) -> Result<Fit> {
        let cells = self.cells(view);
        let classes = self.classes().len();
        let trainer = driven(config, Select::Accuracy, &cells, &view.split, classes, seed, device)?;
        let accuracy = trainer.best().map(|best| best.log.valid_accuracy).filter(|v| !v.is_nan());
        Ok(Fit { diverged: trainer.divergence().at, accuracy })
    }

    fn cells(&self, view: &View) -> Cells {
        Cells { x: view.reference.clone(), y: self.reference.y.clone(), features: view.width }
    }

    /// Cells `x` of true types `truth`, of which the model knows `known`.
    fn judge(
        &self,
        lesson: &Lesson,
        method: Method,
        (x, width): (&[f32], usize),
        empty: &[bool],
        known: &[&str],
        truth: &[Option<&str>],
        device: &Device,
    ) -> Result<Figures> {
        let Some(learnt) = &lesson.learnt else {
            return Ok(Figures { diverged: lesson.diverged, ..Figures::default() });
        };
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
            diverged: lesson.diverged,
            accuracy: share(&correct),
            ece: ece(&confidence, &correct, BINS, Binning::WidthFloor).ok().filter(|v| v.is_finite()),
            log_px: found(Kind::LogPx.plain()),
            max_p: found(Kind::MaxP.plain()),
            own: found(method.score()),
        })
    }
}

/// Reference cells when one class is left out.
struct Apart {
    /// To learn from.
    seen: Vec<usize>,
    /// Of those; nothing is held out for later.
    split: Split,
    /// To judge by: a tenth of the other classes' cells, then all cells of the class.
    judged: Vec<usize>,
}

impl Apart {
    fn new(y: &[u32], left_out: u32, settings: &Settings) -> Apart {
        let (class, rest): (Vec<usize>, Vec<usize>) = (0..y.len()).partition(|&row| y[row] == left_out);
        let labels: Vec<u32> = rest.iter().map(|&row| without(y[row], left_out)).collect();
        let whole = stratified_split(&labels, settings.split, settings.split_seed);
        let seen: Vec<usize> = (0..rest.len()).filter(|at| whole.test.binary_search(at).is_err()).collect();
        let place = |part: &[usize]| part.iter().map(|at| seen.partition_point(|s| s < at)).collect();
        let split = Split { train: place(&whole.train), valid: place(&whole.valid), test: Vec::new() };
        let judged = whole.test.iter().map(|&at| rest[at]).chain(class).collect();
        Apart { seen: seen.iter().map(|&at| rest[at]).collect(), split, judged }
    }
}

/// The index of a class once another one is gone.
fn without(class: u32, gone: u32) -> u32 {
    class - u32::from(class > gone)
}

/// The share that is true, of any.
fn share(of: &[bool]) -> Option<f64> {
    (!of.is_empty()).then(|| of.iter().filter(|&&b| b).count() as f64 / of.len() as f64)
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
    let rows = match paths::same(path, &options.reference) {
        true => query_rows_beside(&obs, &options.filter, &options.query_filter, &place)?,
        false => select::rows(&obs, &options.query_filter, &place)?,
    };
    let column = obs.column(&place, &options.label_key)?;
    Ok(rows.iter().map(|&row| column.text(row).filter(|text| !text.is_empty())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check 23 of the CLAMS specification, for the protocol itself.
    #[test]
    fn check_23_cells_that_judge_are_nowhere_in_training() {
        let y: Vec<u32> = (0..200).map(|i| i % 4).collect();
        for left_out in 0..4 {
            let Apart { seen, split, judged } = Apart::new(&y, left_out, &Settings::default());
            assert!(seen.iter().all(|row| y[*row] != left_out && !judged.contains(row)));
            let of_class = judged.iter().filter(|&&row| y[row] == left_out).count();
            assert_eq!((of_class, judged.len(), seen.len()), (50, 50 + 15, 135));
            let mut parts = [split.train.as_slice(), &split.valid].concat();
            parts.sort_unstable();
            assert_eq!((parts, split.train.len()), ((0..135).collect::<Vec<_>>(), 120));
            assert!(split.test.is_empty());
        }
    }
}

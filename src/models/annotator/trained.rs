//! Networks and baselines behind one face: learn, answer, save, load.

use super::familiarity::{Familiarity, complete};
use super::method::Method;
use super::profile::Settings;
use super::score::{Kind, Ladder, Score, Scores};
use crate::analysis::metrics::calibration::{Binning, ece};
use crate::data::batches::{Split, k_folds};
use crate::device::Device;
use crate::error::Result;
use crate::models::baselines::{self, Classifier};
use crate::models::ebm::{Cells, EbmConfig, Network, Select, Trainer, evaluate};
use crate::models::run::{State, interrupt};
use serde_json::{Value, json};

/// Parts of the reference whose cells are judged by a baseline that was fitted to the others.
const FOLDS: usize = 5;

/// What a model says of each cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// Most probable class, the lowest index among equals.
    pub label: Vec<u32>,
    /// Its probability.
    pub prob: Vec<f32>,
    /// All class probabilities, `[n, classes]`.
    pub probs: Vec<f32>,
    /// Log density up to a constant, of models that have one.
    pub log_px: Option<Vec<f32>>,
}

/// A trained model.
pub(super) enum Trained {
    Network(Network),
    Baseline(Box<dyn Classifier>),
}

/// A trained model and what is measured with it.
pub(super) struct Learnt {
    pub trained: Trained,
    pub familiarity: Familiarity,
    pub held_out: HeldOut,
}

/// A training and what came of it.
pub(super) struct Lesson {
    /// Iteration at which it diverged.
    pub diverged: Option<u64>,
    /// Of the best epoch before that; nothing if no epoch was complete.
    pub learnt: Option<Learnt>,
}

/// Reference cells that a model has not learnt from, and what it says of them.
pub(super) struct HeldOut {
    pub rows: Vec<usize>,
    pub answers: Answers,
    pub scores: Scores,
}

impl Trained {
    /// The model of a model file.
    pub fn load(
        method: Method,
        settings: &Settings,
        state: &State,
        width: usize,
        classes: usize,
        device: &Device,
    ) -> Result<Trained> {
        match method {
            Method::Network(_) => {
                let network = Network::of(state, &settings.ebm.net, width, classes, device)?;
                Ok(Trained::Network(network))
            }
            Method::Baseline(baseline) => Ok(Trained::Baseline(baseline.load(state, width, classes)?)),
        }
    }

    /// Adds it to what a model file holds.
    pub fn save(&self, state: &mut State) -> Result<()> {
        match self {
            Trained::Network(network) => {
                for (name, shape, values) in network.export()? {
                    state.set(format!("{}{name}", Network::PREFIX), &shape, values);
                }
            }
            Trained::Baseline(classifier) => classifier.save(state),
        }
        Ok(())
    }

    /// What it says of cells `[n, width]`.
    pub fn answers(&self, x: &[f32], device: &Device) -> Result<Answers> {
        match self {
            Trained::Network(network) => {
                let r = evaluate::readings(&evaluate::logits(network, x, device)?);
                Ok(Answers { label: r.label, prob: r.prob, probs: r.probs, log_px: Some(r.log_px) })
            }
            Trained::Baseline(classifier) => Answers::of(classifier.as_ref(), x),
        }
    }

    /// Coordinates of cells for plots: a network's last hidden layer, else the features themselves.
    pub fn embedding(&self, x: &[f32], device: &Device) -> Result<Vec<f32>> {
        match self {
            Trained::Network(network) => evaluate::embedding(network, x, device),
            Trained::Baseline(_) => Ok(x.to_vec()),
        }
    }
}

impl Learnt {
    /// A network trained on the training part of `cells`; validation and test part are held out.
    pub fn network(network: Network, cells: &Cells, split: &Split, device: &Device) -> Result<Learnt> {
        let classes = network.classes();
        let trained = Trained::Network(network);
        let familiarity = Familiarity::fit(&wide(&select(cells, &split.train), classes))?;
        let rows = [split.valid.as_slice(), &split.test].concat();
        let x = select(cells, &rows).x;
        let answers = trained.answers(&x, device)?;
        let basic = familiarity.basic(&x, &answers, &every_score())?;
        Ok(Learnt { trained, familiarity, held_out: HeldOut::new(rows, &x, cells.features, answers, basic)? })
    }

    /// A baseline learns from all cells; those of each of `parts` are held out once, from a fit to all others.
    pub fn baseline(
        baseline: baselines::Baseline,
        cells: &Cells,
        classes: usize,
        parts: &[Vec<usize>],
    ) -> Result<Learnt> {
        let all = wide(cells, classes);
        let mut rows = parts.concat();
        rows.sort_unstable();
        let n = rows.len();
        let mut basic = Scores::default();
        let mut answers =
            Answers { label: vec![0; n], prob: vec![0.0; n], probs: vec![0.0; n * classes], log_px: None };
        let without = |part: &[usize]| {
            let rest: Vec<usize> = (0..cells.len()).filter(|row| part.binary_search(row).is_err()).collect();
            all.select(&rest)
        };
        for held_out in parts {
            let rest = without(held_out);
            let x = select(cells, held_out).x;
            let part = Answers::of(baseline.fit(&rest)?.as_ref(), &x)?;
            let at: Vec<usize> = held_out.iter().map(|row| rows.partition_point(|r| r < row)).collect();
            basic.place(&Familiarity::fit(&rest)?.basic(&x, &part, &every_score())?, &at, n);
            answers.place(&part, &at, classes);
        }
        let x = select(cells, &rows).x;
        let held_out = HeldOut::new(rows, &x, cells.features, answers, basic)?;
        // A single part took no part in the preparation, and its cells lie closer together than those that did.
        let familiarity = Familiarity::fit(&without(if let [part] = parts { part } else { &[] }))?;
        let trained = Trained::Baseline(baseline.fit(&all)?);
        Ok(Learnt { trained, familiarity, held_out })
    }
}

/// Parts of the cells with labels `y` to hold out of a baseline one after the other: together all of them.
///
/// # Errors
/// As [`k_folds`].
pub(super) fn folds(y: &[u32], seed: u64) -> Result<Vec<Vec<usize>>> {
    k_folds(y, FOLDS.min(y.len()), seed)
}

/// A network from start to end, its best epoch in place; without any ([`Trainer::best`]) it is of no use.
///
/// # Errors
/// `Error::Interrupted` if someone asks to stop meanwhile.
pub(super) fn driven(
    ebm: &EbmConfig,
    choice: Select,
    cells: &Cells,
    split: &Split,
    classes: usize,
    seed: u64,
    device: &Device,
) -> Result<Trainer> {
    let (train, valid) = (select(cells, &split.train), select(cells, &split.valid));
    let mut trainer = Trainer::new(ebm.clone(), choice, train, valid, classes, seed, device)?;
    while !trainer.finished() {
        interrupt::check("the model under way is lost")?;
        trainer.steps(u64::MAX, &interrupt::requested)?;
        if trainer.divergence().at.is_none() && trainer.epoch_is_full() {
            trainer.end_epoch()?;
        }
    }
    trainer.restore_best()?;
    Ok(trainer)
}

impl Lesson {
    /// Trains in memory, from start to end.
    ///
    /// # Errors
    /// `Error::Interrupted` if someone asks to stop meanwhile.
    pub fn take(
        method: Method,
        settings: &Settings,
        cells: &Cells,
        split: &Split,
        classes: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Lesson> {
        let baseline = match method {
            Method::Baseline(baseline) => baseline,
            Method::Network(_) => {
                let trainer = driven(&settings.ebm, settings.select, cells, split, classes, seed, device)?;
                let diverged = trainer.divergence().at;
                let learnt = match trainer.best() {
                    Some(_) => Some(Learnt::network(trainer.into_network(), cells, split, device)?),
                    None => None,
                };
                return Ok(Lesson { diverged, learnt });
            }
        };
        let learnt = Learnt::baseline(baseline, cells, classes, &folds(&cells.y, settings.split_seed)?)?;
        Ok(Lesson { diverged: None, learnt: Some(learnt) })
    }
}

impl Learnt {
    /// What it says of cells `x` `[n, width]`, and all scores that it has; `empty` ones get none.
    pub fn judge(&self, x: &[f32], width: usize, empty: &[bool], device: &Device) -> Result<(Answers, Scores)> {
        let answers = self.trained.answers(x, device)?;
        let basic = self.familiarity.basic(x, &answers, &every_score())?;
        let ladders = ladders(|kind| self.held_out.scores.get(kind.plain()).map(Ladder::new));
        let scores = complete(basic, x, width, empty, &ladders, &every_score())?;
        Ok((answers, scores))
    }
}

impl HeldOut {
    fn new(rows: Vec<usize>, x: &[f32], width: usize, answers: Answers, basic: Scores) -> Result<HeldOut> {
        let ladders = ladders(|kind| basic.get(kind.plain()).map(Ladder::new));
        let scores = complete(basic, x, width, &vec![false; rows.len()], &ladders, &every_score())?;
        Ok(HeldOut { rows, answers, scores })
    }
}

/// The scales that combined scores need, as far as they can be had.
pub(super) fn ladders(of: impl Fn(Kind) -> Option<Ladder>) -> Vec<(Kind, Ladder)> {
    Kind::ALL.into_iter().filter_map(|kind| Some((kind, of(kind)?))).collect()
}

fn every_score() -> Vec<Score> {
    Score::all().collect()
}

/// Cells as baselines see them.
pub(super) fn wide(cells: &Cells, classes: usize) -> baselines::Cells {
    baselines::Cells {
        x: cells.x.iter().map(|&v| f64::from(v)).collect(),
        width: cells.features,
        y: cells.y.clone(),
        classes,
    }
}

pub(super) fn select(cells: &Cells, rows: &[usize]) -> Cells {
    let w = cells.features;
    Cells {
        x: rows.iter().flat_map(|&r| cells.x[r * w..(r + 1) * w].iter().copied()).collect(),
        y: rows.iter().map(|&r| cells.y[r]).collect(),
        features: w,
    }
}

impl Answers {
    fn of(classifier: &dyn Classifier, x: &[f32]) -> Result<Answers> {
        let x: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let said = classifier.predict(&x)?;
        let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let mut answers = Answers { probs: narrow(&said.probs), ..Answers::default() };
        for row in answers.probs.chunks_exact(said.classes) {
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            answers.label.push(row.iter().position(|&p| p == most).unwrap_or(0) as u32);
            answers.prob.push(most);
        }
        answers.log_px = said.log_px.as_deref().map(narrow);
        Ok(answers)
    }

    /// Puts what was said of some cells at their rows.
    fn place(&mut self, part: &Answers, rows: &[usize], classes: usize) {
        for (i, &row) in rows.iter().enumerate() {
            (self.label[row], self.prob[row]) = (part.label[i], part.prob[i]);
            self.probs[row * classes..(row + 1) * classes].copy_from_slice(&part.probs[i * classes..(i + 1) * classes]);
        }
    }

    /// Accuracy, cross-entropy and ECE of the answers at `at` against their labels; null for none.
    pub fn figures(&self, at: &[usize], y: &[u32]) -> Value {
        if at.is_empty() {
            return Value::Null;
        }
        let n = at.len() as f64;
        let classes = self.probs.len() / self.label.len().max(1);
        let right: Vec<bool> = at.iter().zip(y).map(|(&i, &y)| self.label[i] == y).collect();
        let of_label =
            |(&i, &y): (&usize, &u32)| f64::from(self.probs[i * classes + y as usize].max(f32::MIN_POSITIVE));
        let cross_entropy = at.iter().zip(y).map(|pair| -of_label(pair).ln()).sum::<f64>() / n;
        let confidence: Vec<f64> = at.iter().map(|&i| f64::from(self.prob[i])).collect();
        json!({
            "accuracy": right.iter().filter(|&&b| b).count() as f64 / n,
            "cross_entropy": cross_entropy,
            "ece": ece(&confidence, &right, 20, Binning::WidthFloor).unwrap_or(f64::NAN),
        })
    }
}

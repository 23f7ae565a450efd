//! How the training went: the run's log as curves.

use crate::error::{Error, Result};
use crate::models::ebm::clip::Clip;
use crate::plots::{BLUE, Colour, Figure, GREY, KNOWN, Lines, Reference, Series, Table, UNKNOWN, number};
use serde_json::Value;
use std::path::Path;

/// Iterations that the moving average looks back over (MA100 of the CLAMS paper).
const WINDOW: usize = 100;
/// Values of single iterations, behind their average.
const FAINT: Colour = [0xb8, 0xc7, 0xd6];

/// The log of a run; every column has one entry per iteration, NaN where the log is silent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Training {
    /// Number of iterations done.
    pub t: Vec<f64>,
    /// The minimised loss.
    pub loss: Vec<f64>,
    /// Cross-entropy of the labelled batch.
    pub ce: Vec<f64>,
    /// Raw generative loss L.
    pub generative: Vec<f64>,
    /// Mean energy of real cells, `-s(x)`.
    pub energy_real: Vec<f64>,
    /// Mean energy of sampled cells.
    pub energy_fake: Vec<f64>,
    /// Per epoch: iterations done, accuracy on training and on validation cells.
    pub epochs: Vec<[f64; 3]>,
}

impl Training {
    /// Reads `log.jsonl`; a run without one, or with other columns, gives empty ones.
    ///
    /// # Errors
    /// `Error::Io` if the log is there and cannot be read.
    pub fn read(log: &Path) -> Result<Training> {
        let text = match std::fs::read_to_string(log) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::io(log, "reading", e)),
        };
        Ok(Training::parse(&text))
    }

    fn parse(text: &str) -> Training {
        let mut found = Training::default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let number = |v: &Value| v.as_f64().unwrap_or(f64::NAN);
            let t = number(&line["t"]);
            if let Some(epoch) = line.get("end_of_epoch") {
                found.epochs.push([t, number(&epoch["train_accuracy"]), number(&epoch["valid_accuracy"])]);
                continue;
            }
            found.t.push(t);
            found.loss.push(number(&line["loss"]));
            found.ce.push(number(&line["ce"]));
            found.generative.push(number(&line["generative"]));
            // Mean and standard deviation of s, which is less the energy.
            found.energy_real.push(-number(&line["s_real"][0]));
            found.energy_fake.push(-number(&line["s_fake"][0]));
        }
        found
    }

    /// The curves that the log has values for. `best` is the epoch that was kept, `diverged` the
    /// iteration at which training stopped.
    pub fn figures(&self, best: Option<usize>, diverged: Option<f64>) -> Vec<Figure> {
        let mut references: Vec<Reference> = Vec::new();
        if let Some(epoch) = best.and_then(|epoch| self.epochs.get(epoch)) {
            references.push(Reference { at: epoch[0], name: "kept".into() });
        }
        if let Some(t) = diverged {
            references.push(Reference { at: t, name: "diverged".into() });
        }
        let mut figures = Vec::new();
        if has(&self.loss) {
            let mut curves = vec![("total", &self.loss, GREY)];
            if has(&self.ce) {
                curves.push(("classifier", &self.ce, BLUE));
            }
            figures.push(self.averaged(
                "training_loss",
                "Training loss",
                "nats",
                "Moving average over 100 iterations of the minimised loss and of its cross-entropy part.",
                &curves,
                false,
                &references,
            ));
        }
        if has(&self.generative) {
            figures.push(self.averaged(
                "generative_loss",
                "Generative loss",
                "L: mean s(sampled) − mean s(real)",
                "The raw generative loss of single iterations and its moving average over 100 (MA100). A loss that \
                 falls without end, far below zero, is how these models diverge.",
                &[("MA100", &self.generative, BLUE)],
                true,
                &references,
            ));
        }
        if has(&self.energy_real) {
            let mut curves = vec![("real cells", &self.energy_real, KNOWN)];
            if has(&self.energy_fake) {
                curves.push(("sampled cells", &self.energy_fake, UNKNOWN));
            }
            figures.push(self.averaged(
                "energies",
                "Energies",
                "mean energy, −log p(x) + constant",
                "Mean energy of real and of sampled cells, moving average over 100 iterations. A gap that \
                 grows without end is how these models diverge.",
                &curves,
                false,
                &references,
            ));
        }
        if self.epochs.len() > 1 && self.epochs.iter().any(|e| e[1].is_finite()) {
            figures.push(self.accuracy(&references));
        }
        figures
    }

    fn averaged(
        &self,
        name: &str,
        title: &str,
        y_name: &str,
        caption: &str,
        curves: &[(&str, &Vec<f64>, Colour)],
        with_single: bool,
        references: &[Reference],
    ) -> Figure {
        let points = |values: &[f64]| self.t.iter().zip(values).map(|(&t, &v)| [t, v]).collect::<Vec<_>>();
        let mut series = Vec::new();
        if with_single {
            let of = |(_, values, _): &(&str, &Vec<f64>, Colour)| Series {
                name: String::new(),
                start_name: String::new(),
                colour: FAINT,
                points: points(values),
                width: 0.7,
            };
            series.extend(curves.iter().map(of));
        }
        let averages: Vec<Vec<f64>> = curves.iter().map(|c| moving_average(c.1, WINDOW)).collect();
        for ((name, _, colour), average) in curves.iter().zip(&averages) {
            series.push(Series {
                name: (*name).into(),
                start_name: String::new(),
                colour: *colour,
                points: points(average),
                width: 2.0,
            });
        }
        let mut header = vec!["iteration".to_owned()];
        curves.iter().for_each(|c| header.extend([c.0.to_owned(), format!("{} (mean of {WINDOW})", c.0)]));
        let row = |i: usize| {
            let values = curves.iter().zip(&averages).flat_map(|(c, average)| [number(c.1[i]), number(average[i])]);
            std::iter::once(number(self.t[i])).chain(values).collect()
        };
        Figure {
            name: name.into(),
            title: title.into(),
            caption: caption.into(),
            drawing: Lines {
                title: title.into(),
                x_name: "iteration".into(),
                y_name: y_name.into(),
                series,
                references: references.to_vec(),
                y_range: None,
                size: [560.0, 330.0],
            }
            .draw(),
            table: Table { header, rows: (0..self.t.len()).map(row).collect() },
        }
    }

    fn accuracy(&self, references: &[Reference]) -> Figure {
        let curve = |name: &str, colour, c: usize| Series {
            name: name.into(),
            start_name: String::new(),
            colour,
            points: self.epochs.iter().map(|e| [e[0], e[c]]).collect(),
            width: 2.0,
        };
        let mut table = Table::new(&["iteration", "training", "validation"]);
        self.epochs.iter().for_each(|e| table.push(e.iter().map(|&v| number(v)).collect()));
        let title = "Accuracy on the reference";
        Figure {
            name: "accuracy".into(),
            title: title.into(),
            caption:
                "Share of right labels after each epoch, on the cells that the model learns from and on those held \
                      out for validation."
                    .into(),
            drawing: Lines {
                title: title.into(),
                x_name: "iteration".into(),
                y_name: "share of right labels".into(),
                series: vec![curve("training", GREY, 1), curve("validation", BLUE, 2)],
                references: references.to_vec(),
                y_range: None,
                size: [560.0, 330.0],
            }
            .draw(),
            table,
        }
    }
}

/// The clipping functions on -5 to 5, that of the run in colour (Figure 7 of the CLAMS paper).
pub fn clipping(of_run: Option<Clip>) -> Figure {
    const ALL: [(Clip, &str); 4] =
        [(Clip::None, "none"), (Clip::LeakyRelu, "LeakyReLU"), (Clip::Relu, "ReLU"), (Clip::Elu, "ELU")];
    let grid: Vec<f32> = (0..=200).map(|i| -5.0 + 0.05 * i as f32).collect();
    let mut table = Table::new(&["L", "none", "LeakyReLU", "ReLU", "ELU"]);
    for &l in &grid {
        let values = ALL.iter().map(|(clip, _)| clip.value(l));
        table.push(std::iter::once(l).chain(values).map(|v| format!("{v}")).collect());
    }
    // That of the run last, on top.
    let mut order: Vec<&(Clip, &str)> = ALL.iter().collect();
    order.sort_by_key(|(clip, _)| Some(*clip) == of_run);
    let greys: [Colour; 4] = [[0x9a, 0xa4, 0xae], [0x6e, 0x77, 0x81], [0x57, 0x60, 0x6a], [0x32, 0x38, 0x3f]];
    let series = order.iter().zip(greys).map(|((clip, name), grey)| {
        let mine = Some(*clip) == of_run;
        // Above 0 they are all one; there only one is named and drawn in full.
        let points = grid
            .iter()
            .filter(|&&l| l <= 0.0 || mine || of_run.is_none())
            .map(|&l| [f64::from(l), f64::from(clip.value(l))]);
        Series {
            name: if mine { format!("{name} (this run)") } else { String::new() },
            start_name: match clip {
                // Its end and that of ReLU are one at this size.
                Clip::LeakyRelu => String::new(),
                Clip::Relu => "LeakyReLU, ReLU".into(),
                _ if mine => String::new(),
                _ => (*name).into(),
            },
            colour: if mine { BLUE } else { grey },
            points: points.collect(),
            width: if mine { 2.5 } else { 1.2 },
        }
    });
    let title = "Clipping functions";
    Figure {
        name: "clipping".into(),
        title: title.into(),
        caption:
            "How the generative loss L enters training. Without clipping (the straight line) it has no lower bound; \
                  LeakyReLU falls slowly, ReLU stops at 0, ELU at −1."
                .into(),
        drawing: Lines {
            title: title.into(),
            x_name: "generative loss L".into(),
            y_name: "as it enters the loss".into(),
            series: series.collect(),
            references: Vec::new(),
            y_range: Some((-5.0, 5.0)),
            size: [560.0, 330.0],
        }
        .draw(),
        table,
    }
}

/// Mean of each value and those before it, up to `window` of them; values that are not finite are
/// left out.
fn moving_average(values: &[f64], window: usize) -> Vec<f64> {
    let mean = |i: usize| {
        let part = &values[(i + 1).saturating_sub(window)..=i];
        let finite = || part.iter().filter(|v| v.is_finite());
        finite().sum::<f64>() / finite().count() as f64
    };
    (0..values.len()).map(mean).collect()
}

fn has(values: &[f64]) -> bool {
    values.iter().any(|v| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_becomes_columns_and_what_is_missing_is_nan() {
        let log = "{\"t\":1,\"loss\":2.5,\"ce\":2.0,\"generative\":-1.0,\"s_real\":[3.0,1.0],\"s_fake\":[2.0,0.5]}\n\
                   {\"t\":2,\"loss\":1.5,\"ce\":1.5,\"generative\":null}\n\
                   {\"t\":2,\"end_of_epoch\":{\"train_accuracy\":0.9,\"valid_accuracy\":null}}\nnot json\n";
        let found = Training::parse(log);
        assert_eq!((found.t, found.loss), (vec![1.0, 2.0], vec![2.5, 1.5]));
        assert_eq!((found.generative[0], found.energy_real[0]), (-1.0, -3.0));
        assert!(found.generative[1].is_nan() && found.energy_fake[1].is_nan());
        assert!(found.epochs[0][1] == 0.9 && found.epochs[0][2].is_nan());
    }

    #[test]
    fn only_what_was_logged_is_drawn() {
        let names = |training: &Training| -> Vec<String> {
            training.figures(Some(0), None).into_iter().map(|f| f.name).collect()
        };
        assert_eq!(names(&Training::default()), Vec::<String>::new());
        let classifier = Training::parse("{\"t\":1,\"loss\":2.5,\"ce\":2.5}\n{\"t\":2,\"loss\":2.0,\"ce\":2.0}\n");
        assert_eq!(names(&classifier), ["training_loss"]);
        assert_eq!(classifier.figures(None, None)[0].table.rows[1], ["2", "2", "2.25", "2", "2.25"]);
    }

    #[test]
    fn the_average_looks_back_and_skips_gaps() {
        assert_eq!(moving_average(&[1.0, f64::NAN, 3.0, 5.0], 2)[..], [1.0, 1.0, 3.0, 4.0]);
        assert!(moving_average(&[f64::NAN], 100)[0].is_nan());
    }

    #[test]
    fn clipping_is_drawn_for_any_run() {
        for of_run in [None, Some(Clip::Elu), Some(Clip::None)] {
            let figure = clipping(of_run);
            assert_eq!(figure.table.rows.len(), 201);
            assert!(!figure.drawing.svg("t").contains("NaN"));
        }
    }
}

//! Figures of the annotated cells: labels, probabilities, scores of familiarity, and, with true types,
//! how right they are.

use super::cells::Cells;
use crate::analysis::evaluation::Evaluation;
use crate::analysis::metrics::calibration::Bin;
use crate::analysis::metrics::{Binning, Reliability};
use crate::models::annotator::{Kind, Score};
use crate::plots::{
    Bar, Bars, Cut, Figure, HeatmapChart, Histogram, KNOWN, Part, ReliabilityBin, ReliabilityChart, Spread, Spreads,
    Table, UNKNOWN, category, number,
};

const ECE_BINS: usize = 20;
const BINS: usize = 48;

/// How many cells got each label, and how many of those are called unknown.
pub fn labels(cells: &Cells) -> Figure {
    let mut table = Table::new(&["label", "like the reference", "unlike the reference"]);
    let mut bars: Vec<Bar> = Vec::new();
    for (code, label) in cells.labels.iter().enumerate() {
        let mine = |flagged: bool| {
            (0..cells.len()).filter(|&i| cells.given[i] == Some(code) && cells.flagged[i] == flagged).count()
        };
        let (known, unknown) = (mine(false), mine(true));
        table.push(vec![label.clone(), known.to_string(), unknown.to_string()]);
        bars.push(Bar { name: label.clone(), parts: vec![known as f64, unknown as f64] });
    }
    let without = cells.given.iter().filter(|g| g.is_none()).count();
    if without > 0 {
        table.push(vec!["(no label)".into(), "0".into(), without.to_string()]);
    }
    bars.retain(|bar| bar.parts.iter().sum::<f64>() > 0.0);
    bars.sort_by(|a, b| b.parts.iter().sum::<f64>().total_cmp(&a.parts.iter().sum()));
    let title = "Labels given";
    Figure {
        name: "labels".into(),
        title: title.into(),
        caption: "Cells by the label they were given. Cells unlike the reference have a label too: the nearest type \
                  that the model knows."
            .into(),
        drawing: Bars {
            title: title.into(),
            parts: vec![("like the reference".into(), KNOWN), ("unlike the reference".into(), UNKNOWN)],
            bars,
        }
        .draw(),
        table,
    }
}

/// The spread of the probability within each label.
pub fn confidence(cells: &Cells) -> Figure {
    let of = |code: usize| (0..cells.len()).filter(move |&i| cells.given[i] == Some(code)).map(|i| cells.prob[i]);
    let rows: Vec<Spread> = cells
        .labels
        .iter()
        .enumerate()
        .map(|(code, name)| Spread { name: name.clone(), colour: category(code), values: of(code).collect() })
        .filter(|row| !row.values.is_empty())
        .collect();
    let mut table = Table::new(&["label", "cells", "5 %", "25 %", "median", "75 %", "95 %"]);
    for row in &rows {
        let quantiles = row.quantiles().unwrap_or([f64::NAN; 5]);
        let mut entries = vec![row.name.clone(), row.values.len().to_string()];
        entries.extend(quantiles.map(number));
        table.push(entries);
    }
    let title = "Confidence by label";
    Figure {
        name: "confidence".into(),
        title: title.into(),
        caption:
            "Probability of the label, for the cells of each label: the line spans 5 to 95 % of them, the bar 25 to \
                  75 %, the mark is the median."
                .into(),
        drawing: Spreads { title: title.into(), x_name: "probability of the label".into(), rows }.draw(),
        table,
    }
}

/// How each score tells known from unknown types. Without true types the flagged cells stand for the
/// unknown; `held_out` gives a score of reference cells that the model did not learn from.
pub fn separation(cells: &Cells, held_out: &dyn Fn(Score) -> Vec<f64>, judged: Option<&Evaluation>) -> Vec<Figure> {
    let known_type = |i: usize| cells.true_type(i).is_some_and(|t| cells.labels.iter().any(|l| l == t));
    let split = |values: &[f64], known: bool| -> Vec<f64> {
        let mine = |i: &usize| match &cells.truth {
            Some(truth) => truth[*i].is_some() && known_type(*i) == known,
            None => cells.flagged[*i] != known,
        };
        (0..values.len()).filter(mine).map(|i| values[i]).collect()
    };
    let names = match cells.truth {
        Some(_) => ["known types", "unknown types"],
        None => ["called known", "called unknown"],
    };
    let figure = |(score, values): &(Score, Vec<f64>)| {
        let part = |name: &str, colour, values| Part { name: name.into(), colour, values };
        let parts = vec![
            part("held-out reference", [0x57, 0x60, 0x6a], held_out(*score)),
            part(names[0], KNOWN, split(values, true)),
            part(names[1], UNKNOWN, split(values, false)),
        ];
        let cut = cells.threshold.filter(|_| *score == cells.flagged_by);
        let (title, x_name, x_range) = words(*score);
        let mut caption = format!("Distribution of {x_name} within each group.");
        if cut.is_some() {
            caption += " Cells left of the dashed line are called unknown.";
        }
        let judged_as = match (score.kind, score.smooth) {
            (Kind::LogPx, false) => "log p(x)",
            (Kind::MaxP, false) => "max p(y|x)",
            _ => score.name(),
        };
        if let Some(found) = judged.and_then(|e| e.detection.iter().find(|d| d.score == judged_as)) {
            caption += &format!(" AUROC {:.3}.", found.auroc);
        }
        let cut = cut.map(|at| Cut { at, name: "called unknown below".into() });
        histogram(&format!("score_{}", score.name()), title, &x_name, caption, parts, cut, x_range)
    };
    cells.scores.iter().map(figure).collect()
}

/// Title, name of the axis and range of a score's figure.
fn words(score: Score) -> (&'static str, String, Option<(f64, f64)>) {
    let (title, x_name, x_range) = match score.kind {
        Kind::LogPx => ("How much a cell looks like the reference", "log p(x) + constant", None),
        Kind::MaxP => ("How sure the label is", "probability of the label", Some((0.0, 1.0))),
        Kind::Mahalanobis => ("Nearness to the types' means", "Mahalanobis distance, squared, negative", None),
        Kind::Knn => ("Nearness to reference cells", "mean distance to the nearest ones, negative", None),
        Kind::MahalanobisMaxP => ("Nearness and sureness", "mean rank of Mahalanobis distance and probability", None),
    };
    let around = if score.smooth { ", averaged over the cells around" } else { "" };
    (title, format!("{x_name}{around}"), x_range)
}

fn histogram(
    name: &str,
    title: &str,
    x_name: &str,
    caption: String,
    mut parts: Vec<Part>,
    cut: Option<Cut>,
    x_range: Option<(f64, f64)>,
) -> Figure {
    parts.retain(|part| part.values.iter().any(|v| v.is_finite()));
    let chart =
        Histogram { title: title.into(), x_name: x_name.into(), parts, cut, x_range, bins: BINS, size: [560.0, 360.0] };
    let (borders, shares) = chart.shares();
    let mut table = Table::new(&["from", "to"]);
    table.header.extend(chart.parts.iter().map(|part| part.name.clone()));
    for b in 0..BINS {
        let mut row = vec![number(borders[b]), number(borders[b + 1])];
        row.extend(shares.iter().map(|s| number(s[b])));
        table.push(row);
    }
    Figure { name: name.into(), title: title.into(), caption, drawing: chart.draw(), table }
}

/// Accuracy over confidence of the cells of known types; `None` if there are none.
pub fn reliability(cells: &Cells) -> Option<Figure> {
    let judged: Vec<(f64, bool)> = (0..cells.len())
        .filter_map(|i| {
            let truth = cells.true_type(i)?;
            let given = cells.given[i]?;
            let known = cells.labels.iter().any(|l| l == truth);
            (known && cells.prob[i].is_finite()).then(|| (cells.prob[i], cells.labels[given] == truth))
        })
        .collect();
    let (confidence, correct): (Vec<f64>, Vec<bool>) = judged.into_iter().unzip();
    let found = Reliability::new(&confidence, &correct, ECE_BINS, Binning::WidthFloor).ok()?;
    let mut table = Table::new(&["from", "to", "cells", "mean confidence", "accuracy"]);
    for (b, bin) in found.bins.iter().enumerate() {
        let border = |b: usize| number(b as f64 / ECE_BINS as f64);
        let of = |v: f64| if bin.cells > 0 { number(v) } else { String::new() };
        table.push(vec![border(b), border(b + 1), bin.cells.to_string(), of(bin.confidence), of(bin.accuracy)]);
    }
    let title = "Calibration";
    let bin = |b: &Bin| ReliabilityBin { cells: b.cells, confidence: b.confidence, accuracy: b.accuracy };
    Some(Figure {
        name: "calibration".into(),
        title: title.into(),
        caption: "Is a probability of 0.8 right in eight of ten? Share of right labels among cells of known types, in 20 \
                  bins of the probability; bars that end at the diagonal are honest. Below: how many cells are in each bin."
            .into(),
        drawing: ReliabilityChart {
            title: title.into(),
            bins: found.bins.iter().map(bin).collect(),
            note: format!("ECE {:.1} %", 100.0 * found.ece()),
        }
        .draw(),
        table,
    })
}

/// Labels given to each true type, each column a share of its cells (Figure 3 of the CLAMS paper).
pub fn heatmap(judged: &Evaluation) -> Figure {
    let confusion = &judged.confusion;
    let n_labels = confusion.labels.len();
    // Columns in the order of the rows, then the types that the model does not know.
    let place = |t: &str| confusion.labels.iter().position(|l| l == t).unwrap_or(n_labels);
    let mut order: Vec<usize> = (0..confusion.types.len()).collect();
    order.sort_by_key(|&c| (!confusion.known[c], place(&confusion.types[c])));
    let mut rows = confusion.labels.clone();
    rows.push("called unknown".into());
    let totals: Vec<u64> = (0..confusion.types.len()).map(|c| confusion.counts.iter().map(|r| r[c]).sum()).collect();
    let columns: Vec<String> = order.iter().map(|&c| format!("{} ({})", confusion.types[c], totals[c])).collect();
    let values: Vec<Vec<f64>> = confusion.fractions.iter().map(|row| order.iter().map(|&c| row[c]).collect()).collect();
    let mut table = Table::new(&["label given"]);
    table.header.extend(order.iter().map(|&c| confusion.types[c].clone()));
    for (name, row) in rows.iter().zip(&values) {
        let mut entries = vec![name.clone()];
        entries.extend(row.iter().map(|&v| number(v)));
        table.push(entries);
    }
    let title = "Labels given to each true type";
    Figure {
        name: "heatmap".into(),
        title: title.into(),
        caption:
            "Each column is a true type (and its number of cells) and sums to 1; types that the model does not know \
                  stand apart on the right. Cells called unknown count in the last row, whatever their label."
                .into(),
        drawing: HeatmapChart {
            title: title.into(),
            row_name: "label given".into(),
            column_name: "true type".into(),
            rows,
            columns,
            values,
            second_rows: n_labels,
            second_columns: order.iter().filter(|&&c| confusion.known[c]).count(),
        }
        .draw(),
        table,
    }
}

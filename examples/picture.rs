//! The picture of the README: an annotated file as SVG.
//!
//! `cargo run --release --example picture -- annotated.h5ad TRUTH_COLUMN out.svg`
//!
//! Left the true types, in the middle what `cytograd annotate` said, both on the first two principal
//! components of its embedding; right log p(x) of known and unknown types with the cut between.

use cytograd::analysis::pca::{DenseRows, Pca};
use cytograd::data::{Column, Entry, Table, Value, h5ad};
use cytograd::{Error, Result};
use std::fmt::Write;

const SIZE: f64 = 250.0;
const GAP: f64 = 40.0;
const TOP: f64 = 30.0;
/// Told apart by people who do not see all colours (Okabe and Ito 2008); the first is for unknown.
const COLOURS: [&str; 8] = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#b08d00", "#8250df", "#8d6e63"];
/// Types with fewer cells are not in the legend.
const NAMED: usize = 8;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, truth, out] = arguments.as_slice() else {
        return Err(Error::usage("three arguments are needed", "give FILE, TRUTH_COLUMN and the picture's name"));
    };
    let data = h5ad::read(std::path::Path::new(file))?;
    let place = format!("{file}: obs");
    let known = match data.uns.iter().find(|(name, _)| name == "cytograd").and_then(|(_, v)| v.get("labels")) {
        Some(Value::Strs { data, .. }) => data.clone(),
        _ => return Err(Error::data(file.as_str(), "holds no annotation", "run cytograd annotate")),
    };
    let embedding = match data.obsm.iter().find(|(name, _)| name == "X_cytograd") {
        Some((_, Entry::Matrix(x))) => Pca::fit(&DenseRows { values: x.values(), n_cols: x.n_cols() }, 2, 0)?.scores,
        _ => return Err(Error::data(file.as_str(), "holds no X_cytograd", "run cytograd annotate")),
    };
    let flagged: Vec<bool> = texts(&data.obs, &place, "cytograd_ood")?.iter().map(|t| t != "known").collect();
    let truth = texts(&data.obs, &place, truth)?;
    let mut said = texts(&data.obs, &place, "cytograd_label")?;
    for (label, &flagged) in said.iter_mut().zip(&flagged) {
        if flagged {
            *label = "unknown".into();
        }
    }
    let log_px = numbers(&data.obs, &place, "cytograd_logpx")?;

    let width = 3.0 * SIZE + 2.0 * GAP + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <style>text{{fill:#7d8590}}.f{{fill:none;stroke:#8b949e}}circle{{fill-opacity:.7}}</style>\n",
        TOP + SIZE + 30.0
    );
    let panel = |k: usize| 10.0 + k as f64 * (SIZE + GAP);
    scatter(&mut svg, panel(0), "true types", &embedding, &truth, &known);
    scatter(&mut svg, panel(1), "cytograd annotate", &embedding, &said, &known);
    histogram(&mut svg, panel(2), &log_px, &truth, &known, &flagged);
    svg += "</svg>\n";
    std::fs::write(out, svg).map_err(|e| Error::io(out, "writing", e))
}

fn texts(obs: &Table, place: &str, name: &str) -> Result<Vec<String>> {
    let column = obs.column(place, name)?;
    Ok((0..column.len()).map(|row| column.text(row).unwrap_or_default()).collect())
}

fn numbers(obs: &Table, place: &str, name: &str) -> Result<Vec<f64>> {
    let column: &Column = obs.column(place, name)?;
    column.numbers().ok_or_else(|| Error::data(place, format!("\"{name}\" holds no numbers"), "annotate again"))
}

/// Of a label; 0 if the model does not know it.
fn colour(label: &str, known: &[String]) -> &'static str {
    let place = known.iter().position(|k| k == label).map_or(0, |k| 1 + k % (COLOURS.len() - 1));
    COLOURS[place]
}

fn frame(svg: &mut String, left: f64, title: &str, below: &str) {
    let middle = left + SIZE / 2.0;
    let _ = writeln!(
        svg,
        "<rect class=\"f\" x=\"{left}\" y=\"{TOP}\" width=\"{SIZE}\" height=\"{SIZE}\"/>\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-size=\"14\">{title}</text>\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{below}</text>",
        TOP - 10.0,
        TOP + SIZE + 20.0
    );
}

/// From the range of `values` to `0..SIZE` with a margin.
fn scale(values: impl Iterator<Item = f64> + Clone) -> impl Fn(f64) -> f64 {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    move |v| 12.0 + (v - low) / (high - low).max(1e-12) * (SIZE - 24.0)
}

fn scatter(svg: &mut String, left: f64, title: &str, points: &[f64], labels: &[String], known: &[String]) {
    frame(svg, left, title, "principal components of the embedding");
    let x = scale(points.iter().copied().step_by(2));
    let y = scale(points.iter().copied().skip(1).step_by(2));
    let place = |i: usize| (left + x(points[2 * i]), TOP + SIZE - y(points[2 * i + 1]));
    let mut names: Vec<&String> = labels.iter().collect();
    names.sort();
    names.dedup();
    for name in &names {
        let _ = writeln!(svg, "<g fill=\"{}\">", colour(name, known));
        for i in (0..labels.len()).filter(|&i| labels[i] == **name) {
            let (x, y) = place(i);
            let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
        }
        *svg += "\n</g>\n";
    }
    let frequent = |name: &&&String| labels.iter().filter(|label| label == &**name).count() >= NAMED;
    for (row, name) in names.iter().filter(frequent).enumerate() {
        let left_out = !known.contains(name) && *name != "unknown";
        let text = if left_out { format!("{name} (left out)") } else { name.to_string() };
        legend(svg, left + SIZE - 90.0, row, colour(name, known), &text);
    }
}

fn legend(svg: &mut String, left: f64, row: usize, colour: &str, text: &str) {
    let y = TOP + 18.0 + 16.0 * row as f64;
    let _ = writeln!(
        svg,
        "<rect x=\"{left}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
         <text x=\"{}\" y=\"{y}\">{text}</text>",
        y - 9.0,
        left + 16.0
    );
}

fn histogram(svg: &mut String, left: f64, values: &[f64], truth: &[String], known: &[String], flagged: &[bool]) {
    frame(svg, left, "log p(x)", "how much a cell looks like the reference");
    const BINS: usize = 30;
    let x = scale(values.iter().copied());
    let mut counts = [[0usize; BINS]; 2];
    for (v, label) in values.iter().zip(truth) {
        let bin = ((x(*v) / SIZE * BINS as f64) as usize).min(BINS - 1);
        counts[usize::from(known.contains(label))][bin] += 1;
    }
    let most = counts.iter().flatten().copied().max().unwrap_or(1).max(1) as f64;
    let bar = SIZE / BINS as f64;
    for (kind, colour, name, row) in [(1, COLOURS[1], "types of the reference", 0), (0, COLOURS[0], "other types", 1)] {
        for (b, &n) in counts[kind].iter().enumerate().filter(|(_, n)| **n > 0) {
            let height = n as f64 / most * (SIZE - 60.0);
            let _ = write!(
                svg,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{bar:.1}\" height=\"{height:.1}\" fill=\"{colour}\" fill-opacity=\".7\"/>",
                left + b as f64 * bar,
                TOP + SIZE - height
            );
        }
        legend(svg, left + 10.0, row, colour, name);
    }
    let cut = values.iter().zip(flagged).filter(|(_, f)| **f).map(|(v, _)| *v).fold(f64::NEG_INFINITY, f64::max);
    if cut.is_finite() {
        let at = left + x(cut);
        let _ = writeln!(
            svg,
            "<path class=\"f\" stroke-dasharray=\"4 3\" d=\"M{at:.1} {:.1}V{:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">unknown</text>",
            TOP + 42.0,
            TOP + SIZE,
            at - 5.0,
            TOP + 54.0
        );
    }
}

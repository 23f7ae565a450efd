//! A run, and what was annotated with it, as one HTML page; each figure as SVG, PNG and CSV too.
//!
//! May use: `plots`, `models`, `analysis`, `data`. What a run or a file does not hold is left out of the
//! page, which says so. In the order of the page: [`cells`] (what a file says of its cells), `scores`
//! (figures of them), `unknown` (likely new populations), `rehearsal` (which of them a flag shows), `planes`
//! (t-SNE), `training` (the log as curves), `facts`; then `page` (HTML), [`pipeline`] (MultiQC, versions).
#![forbid(unsafe_code)]

pub mod cells;
mod facts;
mod page;
pub mod pipeline;
mod planes;
mod rehearsal;
mod sampled;
mod scores;
mod training;
pub mod unknown;

use crate::data::Memory;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::annotator::Score;
use crate::models::run::{Observer, RunFolder, State, WholeFile, write_whole};
use crate::plots::{Figure, Table};
use cells::Cells;
use page::{Page, Section, Tile};
use planes::Plane;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use training::Training;

/// What to report on.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// Folder of a finished run.
    pub run: PathBuf,
    /// h5ad file that was annotated with it.
    pub annotated: Option<PathBuf>,
    /// Column of that file with true types.
    pub truth: Option<String>,
    /// CSV with new names for them.
    pub label_map: Option<PathBuf>,
    /// HTML file to write.
    pub output: PathBuf,
    /// Folder for the single figures.
    pub figures: Option<PathBuf>,
    /// The most cells that t-SNE lays out; 0 for no t-SNE.
    pub most_cells: usize,
    /// How much of the annotated file's expression may be in memory.
    pub memory: Memory,
}

impl ReportOptions {
    /// Everything else at its default.
    pub fn new(run: impl Into<PathBuf>, output: impl Into<PathBuf>) -> ReportOptions {
        ReportOptions {
            run: run.into(),
            annotated: None,
            truth: None,
            label_map: None,
            output: output.into(),
            figures: None,
            most_cells: 5000,
            memory: Memory::default(),
        }
    }
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct ReportSummary {
    /// The page.
    pub output: PathBuf,
    /// Folder of the single figures, if they were asked for.
    pub figures_in: Option<PathBuf>,
    /// Names of the figures.
    pub figures: Vec<String>,
    /// What is not there, and why.
    pub missing: Vec<String>,
    /// Sizes of the likely unknown populations.
    pub populations: Vec<usize>,
}

/// Scores of held-out reference cells, in the model file.
const HELD_OUT: &str = "calibration.";

/// Writes the page, and the figures if a folder is given for them.
///
/// # Errors
/// `Error::Run` if the run cannot be used; as [`Cells::read`] for the annotated file; `Error::Usage`
/// for a truth without a file; `Error::Io` if an output cannot be written.
pub fn report(options: &ReportOptions, device: &Device, observer: &mut dyn Observer) -> Result<ReportSummary> {
    if options.annotated.is_none() && options.truth.is_some() {
        return Err(Error::usage("--truth without a file", "name the file with these cells by --annotated FILE.h5ad"));
    }
    let run = RunFolder::open(&options.run)?;
    // A place that cannot be written is found before the work.
    let file = WholeFile::create(&options.output)?;
    let state = run.model()?;
    let mut missing = Vec::new();
    let mut sections = Vec::new();
    let mut tiles = tiles_of_run(&run);
    let mut found = Vec::new();
    let mut last = None;
    if let Some(file) = &options.annotated {
        let cells = Cells::read(file, options.truth.as_deref(), options.label_map.as_deref())?;
        check_same_model(&run, &cells, observer);
        let seed = run.manifest().seed;
        found = unknown::populations(&cells)?;
        unknown::name_markers(&mut found, file, cells.layer.as_deref(), options.memory)?;
        tiles.extend(tiles_of_cells(&cells, found.len()));
        sections.extend(annotation(&cells, &state, &mut missing));
        sections.push(new_populations(&found));
        sections.extend(rehearsal::section(&run, &mut missing));
        match &cells.embedding {
            _ if options.most_cells == 0 => {}
            Some((x, width)) => {
                let plane = Plane::new(x, *width, options.most_cells, seed, observer)?;
                sections.push(Section {
                    title: "Map of the cells".into(),
                    text: if plane.rows.len() < cells.len() {
                        format!("{} of {} cells, drawn at random.", plane.rows.len(), cells.len())
                    } else {
                        String::new()
                    },
                    figures: plane.of_cells(&cells),
                    table: None,
                });
            }
            None => missing.push("Map of the cells: the file has no obsm X_cytograd.".into()),
        }
        last = Some(facts::of_annotation(&cells));
    } else {
        missing.push("Labels, scores and maps of cells: no annotated file was given (--annotated FILE.h5ad).".into());
    }
    let about_run = [
        training(&run, &mut missing)?,
        sampled::section(&run, &state, options.most_cells, device, observer, &mut missing)?,
        Section { title: "Annotation".into(), table: last, ..Section::default() },
        Section { title: "Run".into(), table: Some(facts::of_run(&run)), ..Section::default() },
    ];
    sections.extend(about_run);
    let manifest = run.manifest();
    let page = Page {
        title: format!("cytograd: {}", options.annotated.as_deref().map_or_else(|| named(&options.run), named)),
        subtitle: format!(
            "Model {} with {} labels, trained {} UTC by {}.",
            manifest.model,
            manifest.labels.len(),
            manifest.created.replace('T', " ").trim_end_matches('Z'),
            manifest.program
        ),
        tiles,
        sections,
        missing,
        footer: format!("Written by cytograd {}. The page holds everything that it shows.", env!("CARGO_PKG_VERSION")),
    };
    write(options, file, &page, found.iter().map(|p| p.cells.len()).collect(), &unknown::table(&found))
}

fn write(
    options: &ReportOptions,
    mut file: WholeFile,
    page: &Page,
    populations: Vec<usize>,
    unknown: &Table,
) -> Result<ReportSummary> {
    let figures: Vec<&Figure> = page.sections.iter().flat_map(|section| &section.figures).collect();
    if let Some(folder) = &options.figures {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "creating", e))?;
        for figure in &figures {
            let file = |ending: &str| folder.join(format!("{}.{ending}", figure.name));
            write_whole(&file("svg"), figure.drawing.svg(&figure.title).as_bytes())?;
            write_whole(&file("png"), &figure.drawing.png(2.0)?)?;
            write_whole(&file("csv"), &figure.table.csv()?)?;
        }
        if !unknown.rows.is_empty() {
            write_whole(&folder.join("unknown_populations.csv"), &unknown.csv()?)?;
        }
    }
    // The page last: where it is, all is.
    file.write_all(page.html().as_bytes()).map_err(|e| Error::io(&options.output, "writing", e))?;
    file.finish()?;
    Ok(ReportSummary {
        output: options.output.clone(),
        figures_in: options.figures.clone(),
        figures: figures.iter().map(|figure| figure.name.clone()).collect(),
        missing: page.missing.clone(),
        populations,
    })
}

fn named(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// Says so if the file was annotated with another model.
fn check_same_model(run: &RunFolder, cells: &Cells, observer: &mut dyn Observer) {
    let of_file = cells.provenance.iter().find(|(name, _)| name == "model sha256").map(|(_, value)| value.as_str());
    if of_file.is_some() && of_file != run.model_checksum() {
        observer.warn(&format!(
            "{} was annotated with another model than that of {}",
            cells.source,
            run.path().display()
        ));
    }
}

fn tiles_of_run(run: &RunFolder) -> Vec<Tile> {
    let manifest = run.manifest();
    let accuracy = manifest.metrics["test"]["accuracy"].as_f64();
    accuracy.map(|v| Tile { value: percent(v), name: "right on held-out reference".into() }).into_iter().collect()
}

fn tiles_of_cells(cells: &Cells, populations: usize) -> Vec<Tile> {
    let tile = |value: String, name: &str| Tile { value, name: name.into() };
    let unknown = cells.flagged.iter().zip(&cells.given).filter(|(f, g)| **f && g.is_some()).count();
    let mut kinds: Vec<usize> = cells.given.iter().flatten().copied().collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut tiles = vec![
        tile(cells.len().to_string(), "annotated cells"),
        tile(kinds.len().to_string(), "labels given"),
        tile(percent(unknown as f64 / cells.len().max(1) as f64), "unlike the reference"),
        tile(populations.to_string(), "likely unknown populations"),
    ];
    if let Ok(judged) = cells.evaluation()
        && judged.accuracy.is_finite()
    {
        tiles.push(tile(percent(judged.accuracy), "right among known types"));
    }
    tiles
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// What the annotated cells show.
fn annotation(cells: &Cells, state: &State, missing: &mut Vec<String>) -> Vec<Section> {
    let held_out = |score: Score| -> Vec<f64> {
        let found = state.tensors.get(&format!("{HELD_OUT}{}", score.name()));
        found.iter().flat_map(|(_, values)| values).map(|&v| f64::from(v)).collect()
    };
    let judged = cells.evaluation();
    let mut labels = vec![scores::labels(cells), scores::confidence(cells)];
    match &judged {
        Ok(judged) => {
            labels.push(scores::heatmap(judged));
            labels.extend(scores::reliability(cells));
        }
        Err(why) => missing.push(format!("Heatmap of true types, calibration: {why}.")),
    }
    if cells.score(cells.flagged_by).is_none() {
        let name = cells.flagged_by.name();
        missing.push(format!("Score by which cells are called unknown ({name}): annotate with --scores."));
    }
    vec![
        Section {
            title: "Labels".into(),
            text: "Every cell gets the label of the nearest type that the model knows, with a probability.".into(),
            table: None,
            figures: labels,
        },
        Section {
            title: "Known and unknown".into(),
            text:
                "Cells that look less like the reference than nearly all of its own held-out cells are called unknown."
                    .into(),
            table: None,
            figures: scores::separation(cells, &held_out, judged.as_ref().ok()),
        },
    ]
}

fn new_populations(found: &[unknown::Population]) -> Section {
    let mut table = unknown::table(found);
    if table.rows.is_empty() {
        table = Table::new(&["", ""]);
        table.push(vec!["none".into(), "no ten cells called unknown lie close together".into()]);
    }
    Section {
        title: "Likely unknown populations".into(),
        text:
            "Groups of cells called unknown that lie together. Marker genes are higher in the group than in all other \
               cells (Welch t, the largest first)."
                .into(),
        table: Some(table),
        figures: Vec::new(),
    }
}

fn training(run: &RunFolder, missing: &mut Vec<String>) -> Result<Section> {
    let manifest = run.manifest();
    let log = Training::read(&run.path().join("log.jsonl"))?;
    let best = manifest.metrics["best_epoch"].as_u64().map(|epoch| epoch as usize);
    let diverged = manifest.metrics["divergence"]["at"].as_u64().map(|t| t as f64);
    let mut figures = log.figures(best, diverged);
    if figures.is_empty() {
        missing.push("Training curves: the run has no log of iterations.".into());
    }
    if figures.iter().any(|figure| figure.name == "generative_loss") {
        let clip = serde_json::from_value(manifest.configuration["settings"]["ebm"]["loss"]["clip"].clone());
        figures.push(training::clipping(clip.ok()));
    }
    Ok(Section { title: "Training".into(), text: String::new(), table: None, figures })
}

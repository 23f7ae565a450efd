//! `cytograd report`: a run, and what was annotated with it, as one HTML page.

use super::{Session, output};
use crate::error::{Error, Result};
use crate::models::run::{Observer, write_whole};
use crate::paths::{self, Named};
use crate::report::pipeline::{self, Figures};
use crate::report::{ReportOptions, cells::Cells, report};
use std::path::{Path, PathBuf};

/// Show a run and the cells annotated with it as one HTML page
///
/// The page needs no network and holds all of its figures: labels, confidence, known and unknown cells,
/// likely new populations with marker genes, maps of the cells (t-SNE), training curves, and how it
/// was all made. Every figure is written as SVG, PNG and CSV too.
#[derive(clap::Args)]
pub struct Args {
    /// Run folder that `cytograd train` wrote
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// File that `cytograd annotate` wrote with this run
    #[arg(long, value_name = "FILE.h5ad")]
    annotated: Option<PathBuf>,
    /// Column of its obs with true types, for accuracy, calibration and the heatmap
    #[arg(long, value_name = "COL", requires = "annotated")]
    truth: Option<String>,
    /// CSV with new names for the true types, from,to per line
    #[arg(long, value_name = "FILE", requires = "truth")]
    label_map: Option<PathBuf>,
    /// HTML file to write
    #[arg(short, long, value_name = "FILE.html", default_value = "report.html")]
    output: PathBuf,
    /// Folder for the single figures [default: named as the page, with _figures]
    #[arg(long, value_name = "DIR", conflicts_with = "no_figures")]
    figures: Option<PathBuf>,
    /// Write the page only
    #[arg(long)]
    no_figures: bool,
    /// The most cells on a map; more are drawn at random. 0: no maps
    #[arg(long, value_name = "N", default_value_t = 5000)]
    map_cells: usize,
    #[command(flatten)]
    pipeline: Pipeline,
}

/// What workflow managers collect.
#[derive(clap::Args, Clone, Debug)]
pub struct Pipeline {
    /// Write figures of the annotation for MultiQC to this file; its name must end in _mqc.json
    #[arg(long, value_name = "FILE_mqc.json", value_parser = custom_content)]
    multiqc: Option<PathBuf>,
    /// Write versions of software to this file, as workflow managers merge them
    #[arg(long, value_name = "FILE.yml")]
    versions: Option<PathBuf>,
}

fn custom_content(text: &str) -> std::result::Result<PathBuf, &'static str> {
    match text.ends_with("_mqc.json") {
        true => Ok(text.into()),
        false => Err("MultiQC finds files by their name, end it in _mqc.json, as in cytograd_mqc.json"),
    }
}

impl Pipeline {
    /// The files that were asked for.
    pub fn outputs(&self) -> impl Iterator<Item = Named<'_>> {
        let multiqc = self.multiqc.as_deref().map(|path| ("--multiqc", path));
        multiqc.into_iter().chain(self.versions.as_deref().map(|path| ("--versions", path)))
    }

    /// Writes what was asked for; the sample is named by `file`.
    pub fn write(&self, file: &Path, figures: &Figures) -> Result<()> {
        if let Some(path) = &self.multiqc {
            let content = pipeline::multiqc(&pipeline::sample(file), figures);
            write_whole(path, format!("{content:#}\n").as_bytes())?;
        }
        self.write_versions()
    }

    fn write_versions(&self) -> Result<()> {
        match &self.versions {
            Some(path) => write_whole(path, pipeline::versions().as_bytes()),
            None => Ok(()),
        }
    }
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    if args.pipeline.multiqc.is_some() && args.annotated.is_none() {
        return Err(Error::usage("--multiqc without a file", "name the annotated file by --annotated FILE.h5ad"));
    }
    let figures = match &args.figures {
        _ if args.no_figures => None,
        Some(folder) => Some(folder.clone()),
        None => Some(beside(&args.output)),
    };
    check_outputs(args, figures.as_deref())?;
    let device = session.common.device()?;
    let options = ReportOptions {
        annotated: args.annotated.clone(),
        truth: args.truth.clone(),
        label_map: args.label_map.clone(),
        figures,
        most_cells: args.map_cells,
        memory: session.common.memory(),
        ..ReportOptions::new(&args.run, &args.output)
    };
    let summary = report(&options, &device, &mut session.progress)?;
    match (&args.annotated, &args.pipeline.multiqc) {
        (Some(file), Some(_)) => args.pipeline.write(file, &Figures::from(&Cells::read(file, None, None)?))?,
        _ => args.pipeline.write_versions()?,
    }
    session.progress.close();
    if session.common.json {
        return output::print_json(&output::to_json(&summary)?);
    }
    let single = summary.figures_in.map_or(String::new(), |folder| format!(", singly in {}", folder.display()));
    session.progress.note(&format!("{}: {} figures{single}", summary.output.display(), summary.figures.len()));
    Ok(())
}

/// A page may stand in the run folder, but not in the place of a file of the run.
fn check_outputs(args: &Args, figures: Option<&Path>) -> Result<()> {
    let of_run = ["manifest.json", "model.safetensors", "log.jsonl", "rehearsal.json"].map(|name| args.run.join(name));
    let mut inputs: Vec<Named> = of_run.iter().map(|path| ("a file of the run", path.as_path())).collect();
    inputs.extend(args.annotated.as_deref().map(|path| ("the annotated file", path)));
    let outputs: Vec<Named> = std::iter::once(("-o", args.output.as_path())).chain(args.pipeline.outputs()).collect();
    paths::check_outputs(&outputs, &inputs, None)?;
    figures.map_or(Ok(()), paths::check_folder)
}

/// `report.html` to `report_figures`.
fn beside(page: &Path) -> PathBuf {
    let stem = page.file_stem().map_or_else(|| "report".into(), |stem| stem.to_string_lossy().into_owned());
    page.with_file_name(format!("{stem}_figures"))
}

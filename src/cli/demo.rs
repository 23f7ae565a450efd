//! `cytograd demo`: the main job on simulated cells, from nothing to a judged annotation and its report.

use super::{Session, annotate as annotate_command, evaluate, output, train as train_command};
use crate::data::h5ad;
use crate::data::select::Condition;
use crate::data::simulate::{SimulateParams, simulate};
use crate::error::{Error, Result};
use crate::models::annotator::{AnnotateOptions, TrainOptions, annotate, train};
use crate::models::ebm::Model;
use crate::models::run::Observer;
use crate::report::{ReportOptions, report};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Simulate, train, annotate, evaluate: the main job in under a minute, without any input
///
/// Nine cell types in two batches; the last type occurs in the second batch only. A model is trained
/// on the first batch and annotates the second: are the labels right, and is the new type found? With
/// --out the report is written too.
#[derive(clap::Args)]
pub struct Args {
    /// Keep all files in this folder [default: a temporary folder that is removed]
    #[arg(short, long, value_name = "DIR", visible_alias = "output")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, session: &mut Session) -> Result<()> {
    let Some(out) = &args.out else {
        let folder = tempfile::tempdir().map_err(|e| Error::io(std::env::temp_dir(), "creating", e))?;
        return work(folder.path(), false, session);
    };
    if out.exists() {
        return Err(Error::usage(format!("{} already exists", out.display()), "choose another --out"));
    }
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, "creating", e))?;
    work(out, true, session)
}

fn work(folder: &Path, keep: bool, session: &mut Session) -> Result<()> {
    let device = session.common.device()?;
    let (data, run, annotated) = (folder.join("cells.h5ad"), folder.join("run"), folder.join("annotated.h5ad"));
    // The commands are shown with names that work from inside the folder.
    let show = |session: &mut Session, line: &str| session.progress.note(&format!("\n$ cytograd {line}"));

    let params = SimulateParams { n_cells: 3000, seed: session.common.seed, ..SimulateParams::default() };
    session.progress.note(&format!(
        "simulating {} cells x {} genes, {} types, {} batches",
        params.n_cells, params.n_genes, params.n_types, params.n_batches
    ));
    h5ad::write(&data, &simulate(&params)?)?;
    let batch = |value: &str| Condition { column: "batch".into(), value: value.into(), negated: false };

    show(
        session,
        "train clams --reference cells.h5ad --where batch=batch0 --label-key cell_type --query cells.h5ad --out run",
    );
    let trained = train(
        &TrainOptions {
            filter: vec![batch("batch0")],
            query: Some(data.clone()),
            seed: session.common.seed,
            math: session.common.math.name().into(),
            ..TrainOptions::new(Model::Clams, &data, "cell_type", &run)
        },
        &device,
        &mut session.progress,
    )?;
    session.progress.close();
    session.progress.note(&train_command::text(&trained));

    show(session, "annotate --model run cells.h5ad --where batch=batch1 -o annotated.h5ad");
    let summary = annotate(
        &AnnotateOptions {
            filter: vec![batch("batch1")],
            math: session.common.math.name().into(),
            ..AnnotateOptions::new(&run, &data, &annotated)
        },
        &device,
        &mut session.progress,
    )?;
    session.progress.close();
    session.progress.note(&annotate_command::text(&summary));

    show(session, "evaluate annotated.h5ad --truth cell_type");
    let evaluation = evaluate::evaluate(&annotated, "cell_type", None, &[])?;
    if session.common.json {
        return output::print_json(&json!({
            "train": output::to_json(&trained)?,
            "annotate": output::to_json(&summary)?,
            "evaluate": output::to_json(&evaluation)?,
        }));
    }
    output::print(&evaluation.to_string())?;
    if keep {
        show(session, "report run --annotated annotated.h5ad --truth cell_type");
        let options = ReportOptions {
            annotated: Some(annotated),
            truth: Some("cell_type".into()),
            figures: Some(folder.join("report_figures")),
            ..ReportOptions::new(&run, folder.join("report.html"))
        };
        report(&options, &device, &mut session.progress)?;
        session.progress.close();
    }
    match keep {
        true => session.progress.note(&format!("\nall files are in {}", folder.display())),
        false => session.progress.note("\nall files are removed; keep them with `cytograd demo --out DIR`"),
    }
    Ok(())
}

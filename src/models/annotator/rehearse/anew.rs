//! The run once more, with the features that a rehearsal has found to be better.

use super::super::options::{TrainOptions, TrainSummary};
use super::super::train::train;
use super::{Rehearsal, store};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::run::{Observer, RunFolder};
use serde_json::json;

/// Where the other way to make features finds more ([`Rehearsal::better`]) and `options` leave the choice
/// open, trains again with it; the run takes the place of the old one once it is whole. Returns what the
/// training reports, if there was one, and the rehearsal of the run that is there now.
///
/// # Errors
/// Those of [`fn@train`]; the run is then as it was.
pub fn anew(
    options: &TrainOptions,
    rehearsal: Rehearsal,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<(Option<TrainSummary>, Rehearsal)> {
    let Some(better) = rehearsal.better().filter(|_| options.preparation.is_none() && options.settings.is_none())
    else {
        return Ok((None, rehearsal));
    };
    observer.note(&format!(
        "--preparation {} finds more: AUROC {:.3} in place of {:.3}; training again with it",
        better.preparation.name(),
        better.auroc(),
        rehearsal.auroc()
    ));
    let draft = RunFolder::draft(&options.out)?;
    let again = TrainOptions {
        out: draft.path().join("run"),
        preparation: Some(better.preparation),
        resume: false,
        overwrite: false,
        ..options.clone()
    };
    let trained = train(&again, device, observer).map_err(|error| match error {
        Error::Interrupted { .. } => Error::Interrupted {
            kept: format!(
                "{} has the run with --preparation {}; --resume --rehearse goes on",
                options.out.display(),
                rehearsal.preparation.name()
            ),
        },
        other => other,
    });
    let mut summary = trained?;
    let chosen = better.clone();
    let old = Rehearsal { other: None, ..rehearsal };
    let rehearsal = Rehearsal { other: Some(Box::new(old)), ..chosen };
    store(&rehearsal, &mut RunFolder::open(&again.out)?, |manifest| {
        manifest.configuration["preparation"] = json!(rehearsal.preparation);
    })?;
    RunFolder::put(&again.out, &options.out)?;
    summary.run = options.out.clone();
    Ok((Some(summary), rehearsal))
}

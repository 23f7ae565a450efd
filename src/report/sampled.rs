//! Real and sampled cells beside each other, from what the model file keeps of both.

use super::page::Section;
use super::planes::Plane;
use crate::device::Device;
use crate::error::Result;
use crate::models::annotator::Settings;
use crate::models::ebm::Network;
use crate::models::ebm::evaluate;
use crate::models::run::{Observer, RunFolder, State};

/// The query's features, `[n, width]`, and the sampler's cells, `[slots, width]`, in the model file.
const QUERY: &str = "query.features";
const BUFFER: &str = "buffer";

/// The plane of both, coloured by source and by type; a run without samples, or without cells that were
/// at hand in training, has none.
pub fn section(
    run: &RunFolder,
    state: &State,
    most: usize,
    device: &Device,
    observer: &mut dyn Observer,
    missing: &mut Vec<String>,
) -> Result<Section> {
    let mut section = Section { title: "Samples of the model".into(), ..Section::default() };
    let (Some((_, real)), Some((shape, slots))) = (state.tensors.get(QUERY), state.tensors.get(BUFFER)) else {
        let what = if state.tensors.contains_key(BUFFER) {
            "no query was at hand in training"
        } else {
            "the model does not sample"
        };
        missing.push(format!("Real and sampled cells: {what}."));
        return Ok(section);
    };
    let Some(&width) = shape.get(1).filter(|&&width| width > 0 && most > 0) else { return Ok(section) };
    // As many of both, all that fit.
    let (n_real, n_slots) = (real.len() / width, slots.len() / width);
    let each = (most / 2).min(n_real.max(1)).min(n_slots.max(1));
    let values = [thinned(real, width, each), thinned(slots, width, each)];
    let n_real = values[0].len() / width;
    let x = values.concat();
    let labels = &run.manifest().labels;
    let types = match network(run, state, width, device) {
        Some(network) => {
            let readings = evaluate::readings(&evaluate::logits(&network, &x, device)?);
            readings.label.iter().map(|&l| l as usize).collect()
        }
        None => Vec::new(),
    };
    let plane = Plane::new(&x, width, 2 * each, run.manifest().seed, observer)?;
    section.figures = plane.of_generated(n_real, &types, labels);
    if types.is_empty() {
        missing.push("Types of sampled cells: the network could not be read.".into());
        section.figures.truncate(1);
    }
    section.text = "The query's cells as the network sees them, and as many cells of the sampler's buffer.".into();
    Ok(section)
}

/// `most` rows, evenly over all.
fn thinned(x: &[f32], width: usize, most: usize) -> Vec<f32> {
    let n = x.len() / width;
    let kept = n.min(most);
    (0..kept).map(|k| k * n / kept).flat_map(|row| x[row * width..(row + 1) * width].iter().copied()).collect()
}

/// The classifier of the model file, if it is of the kind known here.
fn network(run: &RunFolder, state: &State, width: usize, device: &Device) -> Option<Network> {
    let settings: Settings = serde_json::from_value(run.manifest().configuration["settings"].clone()).ok()?;
    let classes = run.manifest().labels.len();
    Network::of(state, &settings.ebm.net, width, classes, device).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_thinned_evenly() {
        let x: Vec<f32> = (0..20).map(|v| v as f32).collect();
        assert_eq!(thinned(&x, 2, 5), [0.0, 1.0, 4.0, 5.0, 8.0, 9.0, 12.0, 13.0, 16.0, 17.0]);
        assert_eq!(thinned(&x, 2, 50), x);
        assert!(thinned(&[], 2, 5).is_empty());
    }
}

//! A finished run, read back: its model with everything that turns a cell into an answer.

use super::method::Method;
use super::model::FeatureModel;
use super::profile::Settings;
use super::trained::Trained;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::run::{RunFolder, State};
use std::path::Path;

/// A run whose files are all there and as they were written.
pub(super) struct Opened {
    pub folder: RunFolder,
    pub settings: Settings,
    pub state: State,
    pub features: FeatureModel,
    pub method: Method,
    pub trained: Trained,
}

impl Opened {
    /// # Errors
    /// Those of [`RunFolder::open`]; `Error::Run` if what it holds is not of this version.
    pub fn open(path: &Path, device: &Device) -> Result<Opened> {
        let folder = RunFolder::open(path)?;
        let manifest = folder.manifest();
        let settings: Settings = serde_json::from_value(manifest.configuration["settings"].clone())
            .map_err(|e| unusable(path, Error::Argument { op: "settings", what: e.to_string() }))?;
        let state = folder.model()?;
        let unusable = |e: Error| unusable(path, e);
        let features = FeatureModel::load(&state, &manifest.genes).map_err(unusable)?;
        let method = Method::from_name(&manifest.model).map_err(unusable)?;
        let (width, classes) = (features.width(), manifest.labels.len());
        let trained = Trained::load(method, &settings, &state, width, classes, device).map_err(unusable)?;
        Ok(Opened { folder, settings, state, features, method, trained })
    }
}

/// The run is whole, but this program can't use it; what the device lacks is not the run's fault.
pub(super) fn unusable(path: &Path, why: Error) -> Error {
    if matches!(why, Error::OutOfMemory { .. } | Error::Device { .. } | Error::Interrupted { .. }) {
        return why;
    }
    Error::Run {
        path: path.to_owned(),
        what: format!("cannot be used ({why})"),
        fix: "train again with this version".into(),
    }
}

//! `manifest.json`: what the model is, and checksums of everything else in the folder.

use super::state::hex;
use super::write::write_whole;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// The version of the run folder that this program writes and reads.
pub const FORMAT: u32 = 1;

/// Whether the model is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Training has not finished: there may be a checkpoint, there is no model.
    Training,
    /// The model is there.
    Done,
}

/// A file of the run and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its size.
    pub bytes: u64,
    /// Its checksum, in hexadecimal digits.
    pub sha256: String,
}

/// The manifest. Numbers that must survive to the bit belong into the model file, not here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The program that wrote it, as in `cytograd 0.1.0`.
    pub program: String,
    /// `clams`, `jem`, `resnet`, ...
    pub model: String,
    /// Whether the run has ended.
    pub status: Status,
    /// When the run was started, UTC.
    pub created: String,
    /// Seed of all random numbers.
    pub seed: u64,
    /// The mode of the device: `strict`, `fast` or `bf16`.
    pub math: String,
    /// The device's name.
    pub device: String,
    /// Class names, in the order of the model's outputs.
    pub labels: Vec<String>,
    /// How raw features became inputs.
    pub preprocessing: Value,
    /// All settings of the model and its training.
    pub configuration: Value,
    /// What was measured on the reference's own validation and test parts.
    pub metrics: Value,
    /// Gene names, in the order of the model's features.
    pub genes: Vec<String>,
    /// All other files, by path inside the folder.
    pub files: BTreeMap<String, FileEntry>,
}

/// The manifest's own checksum: SHA-256 of its text with this field's digits all zero.
const CHECKSUM: &str = "\n  \"checksum\": \"";
const DIGITS: usize = 64;

impl Manifest {
    /// The manifest of a run that starts now; the caller fills in the rest.
    pub fn new(model: &str) -> Manifest {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Manifest {
            format: FORMAT,
            program: format!("cytograd {}", env!("CARGO_PKG_VERSION")),
            model: model.into(),
            status: Status::Training,
            created: utc(now.as_secs()),
            seed: 0,
            math: "strict".into(),
            device: "cpu".into(),
            labels: Vec::new(),
            preprocessing: Value::Null,
            configuration: Value::Null,
            metrics: Value::Null,
            genes: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    /// Writes it whole or not at all.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        write_whole(path, self.to_text().as_bytes())
    }

    fn to_text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a manifest holds nothing that JSON cannot");
        let body = text.strip_suffix("\n}").expect("a pretty object ends so");
        let zero = format!("{body},{CHECKSUM}{}\"\n}}\n", "0".repeat(DIGITS));
        let sum = hex(&Sha256::digest(zero.as_bytes()));
        format!("{body},{CHECKSUM}{sum}\"\n}}\n")
    }

    /// Reads and checks it; `folder` is for messages.
    pub(super) fn load(folder: &Path, path: &Path) -> Result<Manifest> {
        let wrong = |what: String, fix: &str| Error::Run { path: folder.to_owned(), what, fix: fix.into() };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                let what = if folder.is_dir() { "holds no manifest.json" } else { "no such folder" };
                return Err(wrong(what.into(), "give the folder that `cytograd train --out` wrote"));
            }
            Err(e) => return Err(Error::io(path, "reading", e)),
        };
        const DAMAGED: &str = "restore it from a copy or train again";
        let value: Value =
            serde_json::from_slice(&text).map_err(|e| wrong(format!("manifest.json is damaged ({e})"), DAMAGED))?;
        // The version first: another version may have other fields and another checksum.
        let program = value["program"].as_str().unwrap_or("another program");
        match value["format"].as_u64() {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                let what = format!("has format {format}, written by {program}; this program reads format {FORMAT}");
                return Err(wrong(what, "use that version, or train again with this one"));
            }
            None => return Err(wrong("manifest.json names no format".into(), DAMAGED)),
        }
        if !checksum_fits(&text) {
            return Err(wrong("manifest.json is damaged (its checksum does not fit)".into(), DAMAGED));
        }
        serde_json::from_value(value).map_err(|e| wrong(format!("manifest.json is damaged ({e})"), DAMAGED))
    }
}

fn checksum_fits(text: &[u8]) -> bool {
    let Some(at) = text.windows(CHECKSUM.len()).rposition(|w| w == CHECKSUM.as_bytes()) else { return false };
    let digits = at + CHECKSUM.len()..at + CHECKSUM.len() + DIGITS;
    let Some(found) = text.get(digits.clone()).map(<[u8]>::to_vec) else { return false };
    let mut zero = text.to_vec();
    zero[digits].fill(b'0');
    hex(&Sha256::digest(&zero)).as_bytes() == found
}

/// Seconds since 1970 as `2026-11-20T20:15:00Z` (days to date: the civil calendar in eras of 400 years).
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (date, month, late) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1, u64::from(month >= 10));
    let (h, m, s) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{:04}-{month:02}-{date:02}T{h:02}:{m:02}:{s:02}Z", year + era * 400 + late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_manifest_survives_and_damage_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        let mut manifest = Manifest::new("clams");
        manifest.genes = vec!["CD3D".into(), "a\"b".into()];
        manifest.configuration = json!({ "lr": 1e-4, "x": 0.1 });
        manifest.save(&path).unwrap();
        assert_eq!(Manifest::load(folder.path(), &path).unwrap(), manifest);
        let text = std::fs::read(&path).unwrap();
        for i in 0..text.len() {
            let mut damaged = text.clone();
            damaged[i] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert!(Manifest::load(folder.path(), &path).is_err(), "byte {i} can change unnoticed");
        }
    }

    #[test]
    fn another_version_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        std::fs::write(&path, r#"{"format": 9, "program": "cytograd 7.0.0"}"#).unwrap();
        let error = Manifest::load(folder.path(), &path).unwrap_err();
        assert!(error.to_string().contains("has format 9, written by cytograd 7.0.0; this program reads format 1"));
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn dates_are_right() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(utc(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(utc(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}

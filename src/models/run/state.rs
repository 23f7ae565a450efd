//! Named numbers to safetensors bytes and back, with a checksum.

use super::write::write_whole;
use crate::error::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Parameters, optimiser moments, buffers and counters, by name. The same content gives the same
/// bytes, always: names are ordered, and nothing else goes into the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Shape and values, row-major.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// Integers: indices, random counters.
    pub words: BTreeMap<String, Vec<u32>>,
    /// Everything else: counters, settings, texts. Stored in the file's header.
    pub json: Value,
}

/// The one key of the file's metadata (one, because a map of several has no fixed order).
const KEY: &str = "cytograd";

impl State {
    /// The tensor of that name, whose shape must be `shape`.
    ///
    /// # Errors
    /// `Error::Argument` if it is missing or has another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let wrong = |what| Error::Argument { op: "state", what };
        match self.tensors.get(name) {
            None => Err(wrong(format!("has no tensor \"{name}\""))),
            Some((found, _)) if found != shape => {
                Err(wrong(format!("tensor \"{name}\" has shape {found:?}, expected {shape:?}")))
            }
            Some((_, values)) => Ok(values),
        }
    }

    /// Names, shapes and values of the tensors whose names start with `prefix`, without it.
    pub fn under(&self, prefix: &str) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let named = self.tensors.iter();
        let own = named.filter_map(|(name, (shape, values))| Some((name.strip_prefix(prefix)?, shape, values)));
        own.map(|(name, shape, values)| (name.to_owned(), shape.clone(), values.clone())).collect()
    }

    /// Adds a tensor.
    pub fn set(&mut self, name: impl Into<String>, shape: &[usize], values: Vec<f32>) {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        self.tensors.insert(name.into(), (shape.to_vec(), values));
    }

    /// As a safetensors file.
    ///
    /// # Errors
    /// `Error::Argument` if a shape and its values disagree, or a name is used for both kinds.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let wrong = |what: String| Error::Argument { op: "state", what };
        let mut views: Vec<(&str, TensorView)> = Vec::new();
        for (name, (shape, values)) in &self.tensors {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
            views.push((name, view.map_err(|e| wrong(format!("tensor \"{name}\": {e}")))?));
        }
        for (name, values) in &self.words {
            if self.tensors.contains_key(name) {
                return Err(wrong(format!("\"{name}\" names both floats and words")));
            }
            let view = TensorView::new(Dtype::U32, vec![values.len()], bytemuck::cast_slice(values));
            views.push((name, view.map_err(|e| wrong(format!("words \"{name}\": {e}")))?));
        }
        let text = json!({ "content": self.json, "sha256": self.digest() }).to_string();
        let metadata = Some(HashMap::from([(KEY.to_owned(), text)]));
        safetensors::serialize(views, &metadata).map_err(|e| wrong(e.to_string()))
    }

    /// From a file's bytes; says in words what is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<State, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format!("is not a safetensors file ({e})"))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| format!("is not a safetensors file ({e})"))?;
        let text = header.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or("was not written by cytograd")?;
        let mut meta: Value = serde_json::from_str(text).map_err(|e| format!("has a damaged header ({e})"))?;
        let mut state = State { json: meta["content"].take(), ..State::default() };
        for (name, view) in file.tensors() {
            let words = view.data().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            match view.dtype() {
                Dtype::F32 => {
                    let values = words.map(f32::from_bits).collect();
                    state.tensors.insert(name, (view.shape().to_vec(), values));
                }
                Dtype::U32 => {
                    state.words.insert(name, words.collect());
                }
                other => return Err(format!("holds \"{name}\" of type {other:?}")),
            }
        }
        if meta["sha256"].as_str() != Some(&state.digest()) {
            return Err("is damaged (its checksum does not fit)".into());
        }
        Ok(state)
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// `Error::Io`, for example of a full disk; the file that had the name is then as it was.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_whole(path, &self.to_bytes()?)
    }

    /// Reads a file that [`State::save`] wrote.
    ///
    /// # Errors
    /// `Error::Io` if it cannot be read, `Error::Run` if it is damaged.
    pub fn load(path: &Path) -> Result<State> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "reading", e))?;
        State::from_bytes(&bytes).map_err(|what| Error::Run {
            path: path.to_owned(),
            what,
            fix: "restore it from a copy or train again".into(),
        })
    }

    /// SHA-256 of names, shapes, values and the JSON text.
    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(self.json.to_string().as_bytes());
        for (name, (shape, values)) in &self.tensors {
            part(name.as_bytes());
            part(format!("{shape:?}").as_bytes());
            part(bytemuck::cast_slice(values));
        }
        for (name, values) in &self.words {
            part(name.as_bytes());
            part(bytemuck::cast_slice(values));
        }
        hex(&hash.finalize())
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> State {
        let mut state = State { json: json!({ "t": u64::MAX, "x": 0.1, "names": ["ä"] }), ..State::default() };
        state.set("w", &[2, 3], vec![1.0, -0.0, f32::NAN, f32::INFINITY, 1e-45, 0.5]);
        state.set("empty", &[0, 4], vec![]);
        state.set("scalar", &[], vec![7.0]);
        state.words.insert("idx".into(), vec![0, u32::MAX, 3]);
        state
    }

    #[test]
    fn what_is_saved_is_loaded_bit_for_bit() {
        let state = example();
        let back = State::from_bytes(&state.to_bytes().unwrap()).unwrap();
        let bits = |s: &State| -> Vec<Vec<u32>> {
            s.tensors.values().map(|(_, v)| v.iter().map(|x| x.to_bits()).collect()).collect()
        };
        assert_eq!(bits(&back), bits(&state));
        assert_eq!((back.words, back.json), (state.words, state.json));
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        assert_eq!(example().to_bytes().unwrap(), example().to_bytes().unwrap());
    }

    #[test]
    fn any_damaged_byte_is_noticed() {
        let bytes = example().to_bytes().unwrap();
        let padding = |i: usize| bytes[i] == b' ';
        for i in (0..bytes.len()).filter(|&i| !padding(i)) {
            let mut damaged = bytes.clone();
            damaged[i] ^= 1;
            assert!(State::from_bytes(&damaged).is_err(), "byte {i} of {} can change unnoticed", bytes.len());
        }
        for n in 0..bytes.len() {
            assert!(State::from_bytes(&bytes[..n]).is_err(), "{n} of {} bytes pass", bytes.len());
        }
    }

    #[test]
    fn a_tensor_of_another_shape_is_an_error() {
        let state = example();
        assert_eq!(state.tensor("w", &[2, 3]).unwrap().len(), 6);
        assert!(state.tensor("w", &[3, 2]).is_err());
        assert!(state.tensor("v", &[1]).is_err());
    }
}

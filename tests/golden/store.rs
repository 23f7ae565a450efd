//! Reads the golden files: a JSON manifest and an HDF5 file of arrays per topic.
#![allow(dead_code)]

use serde_json::Value;
use std::path::PathBuf;

/// The folder of shared inputs, if it is there; says so if it is not.
pub fn shared(sub: &str) -> Option<PathBuf> {
    let root = std::env::var("CYTOGRAD_SHARED").unwrap_or_else(|_| "../shared".into());
    let path = PathBuf::from(root).join(sub);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there (CYTOGRAD_SHARED names the folder)", path.display());
    None
}

/// One manifest with its arrays.
pub struct Topic {
    manifest: Value,
    file: Option<hdf5::File>,
}

/// Row-major values; a scalar has an empty shape.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Array {
    pub fn f32(&self) -> Vec<f32> {
        self.data.iter().map(|&v| v as f32).collect()
    }

    pub fn usize(&self) -> Vec<usize> {
        self.data.iter().map(|&v| v as usize).collect()
    }

    pub fn u32(&self) -> Vec<u32> {
        self.data.iter().map(|&v| v as u32).collect()
    }

    pub fn scalar(&self) -> f64 {
        assert_eq!(self.data.len(), 1, "not a scalar: {:?}", self.shape);
        self.data[0]
    }
}

impl Topic {
    pub fn open(name: &str) -> Option<Topic> {
        let folder = shared("golden")?;
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).expect("manifest");
        let manifest: Value = serde_json::from_str(&text).expect("manifest is JSON");
        let arrays = folder.join(format!("{name}.h5"));
        let file = arrays.exists().then(|| hdf5::File::open(&arrays).expect("arrays"));
        Some(Topic { manifest, file })
    }

    pub fn cases(&self) -> Vec<Case<'_>> {
        let cases = self.manifest["cases"].as_array().expect("cases");
        cases.iter().map(|json| Case { topic: self, json }).collect()
    }

    /// An array by its path `case/section/name`.
    pub fn read(&self, path: &str) -> Array {
        let (case, rest) = path.split_once('/').expect("case/section/name");
        let (section, name) = rest.split_once('/').expect("section/name");
        let cases = self.manifest["cases"].as_array().expect("cases");
        let json = cases.iter().find(|c| c["name"] == case).unwrap_or_else(|| panic!("no case {case}"));
        let shape = json[section][name]["shape"].as_array().unwrap_or_else(|| panic!("no array {path}"));
        let shape = shape.iter().map(|n| n.as_u64().expect("size") as usize).collect();
        let file = self.file.as_ref().expect("topic has arrays");
        let data = file.dataset(path).unwrap_or_else(|e| panic!("{path}: {e}")).read_raw::<f64>().expect("numbers");
        Array { shape, data }
    }
}

/// One case of a topic.
pub struct Case<'a> {
    topic: &'a Topic,
    pub json: &'a Value,
}

impl Case<'_> {
    pub fn name(&self) -> &str {
        self.json["name"].as_str().expect("name")
    }

    pub fn op(&self) -> &str {
        self.json["op"].as_str().expect("op")
    }

    pub fn has(&self, path: &str) -> bool {
        let (section, name) = path.split_once('/').expect("section/name");
        !self.json[section][name].is_null() || (section == "in" && !self.json["ref"][name].is_null())
    }

    /// An array by `section/name`; an input may live in another case (`ref`).
    pub fn array(&self, path: &str) -> Array {
        let (section, name) = path.split_once('/').expect("section/name");
        if section == "in" && self.json[section][name].is_null() {
            let other = self.json["ref"][name].as_str().unwrap_or_else(|| panic!("{}: no array {path}", self.name()));
            return self.topic.read(other);
        }
        self.topic.read(&format!("{}/{path}", self.name()))
    }

    /// Names of the arrays in a section, in file order.
    pub fn names(&self, section: &str) -> Vec<String> {
        self.json[section].as_object().map(|m| m.keys().cloned().collect()).unwrap_or_default()
    }

    /// Every array of the case as (`section/name`, values).
    pub fn arrays(&self) -> impl Iterator<Item = (String, Array)> + '_ {
        ["in", "out", "grad", "ct"].into_iter().flat_map(move |section| {
            self.names(section).into_iter().map(move |name| {
                let path = format!("{section}/{name}");
                let array = self.array(&path);
                (path, array)
            })
        })
    }

    /// A number among the params ("inf", "-inf", "nan" stand for those).
    pub fn number(&self, name: &str) -> Option<f64> {
        match &self.json["params"][name] {
            Value::Number(n) => n.as_f64(),
            Value::Bool(b) => Some(f64::from(u8::from(*b))),
            Value::String(s) => s.parse().ok(),
            _ => None,
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.json["params"][name].as_str()
    }

    pub fn param(&self, name: &str) -> &Value {
        &self.json["params"][name]
    }

    /// The case's own relative tolerance (for float64), if it carries one.
    pub fn rtol(&self) -> Option<f64> {
        self.json["rtol"].as_f64()
    }
}

/// Fails unless `|found - expected| <= atol + rtol |expected|` everywhere; NaN matches NaN.
pub fn assert_close(what: &str, found: &[f64], expected: &[f64], rtol: f64, atol: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    let mut faults = Vec::new();
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        let fine = f == e || (f.is_nan() && e.is_nan()) || (f - e).abs() <= atol + rtol * e.abs();
        if !fine {
            faults.push(format!("[{i}] found {f:e}, expected {e:e}"));
        }
    }
    assert!(
        faults.is_empty(),
        "{what}: {} of {} values differ: {}",
        faults.len(),
        found.len(),
        faults[..faults.len().min(8)].join("; ")
    );
}

pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

//! A data set as an h5ad file holds it: a matrix, what is known of its rows and columns, the rest.
//!
//! May use: `error`, [`Matrix`], [`Table`].
#![forbid(unsafe_code)]

use super::csr::Csr;
use super::matrix::Matrix;
use super::table::{Column, Table, list_names};
use crate::error::{Error, Result};

/// Something aligned to cells or genes: `obsm`, `varm`.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// Numbers, one row per cell or gene.
    Matrix(Matrix),
    /// A table with the same rows.
    Table(Table),
}

impl Entry {
    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Entry::Matrix(m) => [m.n_rows(), m.n_cols()],
            Entry::Table(t) => [t.n_rows(), t.columns.len()],
        }
    }

    fn select_rows(&self, rows: &[usize]) -> Entry {
        match self {
            Entry::Matrix(m) => Entry::Matrix(m.select_rows(rows)),
            Entry::Table(t) => Entry::Table(t.select_rows(rows)),
        }
    }
}

/// Unstructured content (`uns`): a tree of dictionaries, numbers, text and arrays.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Entries by name, in the file's order.
    Dict(Vec<(String, Value)>),
    /// A text.
    Str(String),
    /// An integer.
    Int(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Texts in row-major order.
    Strs {
        /// Size along each axis.
        shape: Vec<usize>,
        /// The texts.
        data: Vec<String>,
    },
    /// Integers in row-major order.
    Ints {
        /// Size along each axis.
        shape: Vec<usize>,
        /// The integers.
        data: Vec<i64>,
    },
    /// Numbers in row-major order.
    Floats {
        /// Size along each axis.
        shape: Vec<usize>,
        /// The numbers.
        data: Vec<f64>,
    },
    /// Truth values in row-major order.
    Bools {
        /// Size along each axis.
        shape: Vec<usize>,
        /// The truth values.
        data: Vec<bool>,
    },
    /// A sparse matrix.
    Sparse(Csr),
    /// A table.
    Table(Table),
    /// A column outside of a table: a categorical or a nullable array.
    Column(Column),
}

impl Value {
    /// An empty dictionary, for [`Value::with`].
    pub fn dict() -> Value {
        Value::Dict(Vec::new())
    }

    /// Adds a key to a dictionary (no effect on anything else).
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Value {
        if let Value::Dict(entries) = &mut self {
            entries.push((key.into(), value.into()));
        }
        self
    }

    /// The value under a key, if this is a dictionary that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Dict(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Str(text)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Float(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Bool(truth)
    }
}

impl From<Vec<String>> for Value {
    fn from(data: Vec<String>) -> Value {
        Value::Strs { shape: vec![data.len()], data }
    }
}

impl From<Vec<f64>> for Value {
    fn from(data: Vec<f64>) -> Value {
        Value::Floats { shape: vec![data.len()], data }
    }
}

/// The matrix before genes were selected, as scanpy keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    /// `[n_obs, genes of raw]`
    pub x: Matrix,
    /// Its genes.
    pub var: Table,
    /// Arrays per gene of raw.
    pub varm: Vec<(String, Entry)>,
}

/// Cells in rows, genes in columns, and all that belongs to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// `[n_obs, n_vars]`
    pub x: Matrix,
    /// Other matrices of the shape of `x`, by name.
    pub layers: Vec<(String, Matrix)>,
    /// The cells.
    pub obs: Table,
    /// The genes.
    pub var: Table,
    /// Arrays per cell.
    pub obsm: Vec<(String, Entry)>,
    /// Arrays per gene.
    pub varm: Vec<(String, Entry)>,
    /// Matrices of cells by cells.
    pub obsp: Vec<(String, Matrix)>,
    /// Matrices of genes by genes.
    pub varp: Vec<(String, Matrix)>,
    /// Everything else.
    pub uns: Vec<(String, Value)>,
    /// The matrix before genes were chosen.
    pub raw: Option<Raw>,
    /// What the file held in an encoding that is not known here, as paths inside the file.
    pub skipped: Vec<String>,
    /// Where it came from, for messages: the file's name, or `"memory"`.
    pub source: String,
}

impl Dataset {
    /// A data set of a matrix with named rows and columns.
    ///
    /// # Errors
    /// `Error::Shape` if names and matrix disagree.
    pub fn new(x: Matrix, obs: Table, var: Table) -> Result<Dataset> {
        if x.n_rows() != obs.n_rows() || x.n_cols() != var.n_rows() {
            return Err(Error::Shape {
                op: "data set",
                expected: format!("{} cells x {} genes", obs.n_rows(), var.n_rows()),
                found: format!("a {} x {} matrix", x.n_rows(), x.n_cols()),
            });
        }
        Ok(Dataset {
            x,
            layers: Vec::new(),
            obs,
            var,
            obsm: Vec::new(),
            varm: Vec::new(),
            obsp: Vec::new(),
            varp: Vec::new(),
            uns: Vec::new(),
            raw: None,
            skipped: Vec::new(),
            source: "memory".into(),
        })
    }

    /// Number of cells.
    pub fn n_obs(&self) -> usize {
        self.obs.n_rows()
    }

    /// Number of genes.
    pub fn n_vars(&self) -> usize {
        self.var.n_rows()
    }

    /// `X`, or the layer of that name.
    ///
    /// # Errors
    /// `Error::Data` that lists the layers there are.
    pub fn matrix(&self, layer: Option<&str>) -> Result<&Matrix> {
        let Some(name) = layer else { return Ok(&self.x) };
        self.layers.iter().find(|(n, _)| n == name).map(|(_, m)| m).ok_or_else(|| {
            let names: Vec<&str> = self.layers.iter().map(|(n, _)| n.as_str()).collect();
            missing_layer(&self.source, name, &names)
        })
    }

    /// The given cells in the given order, in every part that is aligned to cells.
    pub fn select_obs(&self, rows: &[usize]) -> Dataset {
        let pairs = |list: &[(String, Matrix)], columns_too: bool| -> Vec<(String, Matrix)> {
            let pick = |m: &Matrix| {
                let m = m.select_rows(rows);
                if columns_too { m.select_cols(rows) } else { m }
            };
            list.iter().map(|(name, m)| (name.clone(), pick(m))).collect()
        };
        Dataset {
            x: self.x.select_rows(rows),
            layers: pairs(&self.layers, false),
            obs: self.obs.select_rows(rows),
            obsm: self.obsm.iter().map(|(name, e)| (name.clone(), e.select_rows(rows))).collect(),
            obsp: pairs(&self.obsp, true),
            raw: self.raw.as_ref().map(|raw| Raw {
                x: raw.x.select_rows(rows),
                var: raw.var.clone(),
                varm: raw.varm.clone(),
            }),
            var: self.var.clone(),
            varm: self.varm.clone(),
            varp: self.varp.clone(),
            uns: self.uns.clone(),
            skipped: self.skipped.clone(),
            source: self.source.clone(),
        }
    }

    /// The given genes in the given order, in every part that is aligned to genes (not `raw`).
    pub fn select_vars(&self, columns: &[usize]) -> Dataset {
        Dataset {
            x: self.x.select_cols(columns),
            layers: self.layers.iter().map(|(n, m)| (n.clone(), m.select_cols(columns))).collect(),
            var: self.var.select_rows(columns),
            varm: self.varm.iter().map(|(n, e)| (n.clone(), e.select_rows(columns))).collect(),
            varp: self.varp.iter().map(|(n, m)| (n.clone(), m.select_rows(columns).select_cols(columns))).collect(),
            obs: self.obs.clone(),
            obsm: self.obsm.clone(),
            obsp: self.obsp.clone(),
            uns: self.uns.clone(),
            raw: self.raw.clone(),
            skipped: self.skipped.clone(),
            source: self.source.clone(),
        }
    }
}

/// The error for a layer that is not there.
pub(crate) fn missing_layer(source: &str, name: &str, existing: &[&str]) -> Error {
    let fix = if existing.is_empty() {
        "the file has no layers, leave --layer out to use X".to_owned()
    } else {
        format!("it has {}, or leave --layer out to use X", list_names(existing))
    };
    Error::data(format!("{source}: layers"), format!("no layer \"{name}\""), fix)
}

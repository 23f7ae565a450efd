//! Files for the tests.

use cytograd::data::{Categorical, Column, Csr, Dataset, Matrix, Table};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock};

/// One test at a time: a python started by another test would inherit our open, locked files.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs a script with anndata; false (and a note) without an interpreter.
pub fn python(script: &str, arguments: &[&str]) -> bool {
    let Ok(interpreter) = std::env::var("CYTOGRAD_PYTHON") else {
        eprintln!("skipped: CYTOGRAD_PYTHON does not name a python with anndata");
        return false;
    };
    let output = Command::new(interpreter).args(["-c", script]).args(arguments).output().expect("python starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "python {arguments:?} said: {said}");
    true
}

/// A folder with the data set of `write_files.py` in every encoding, written once; `None` without
/// python.
pub fn every_encoding() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let write = || {
        let folder = Path::new(option_env!("CARGO_TARGET_TMPDIR").unwrap_or("target")).join("every_encoding");
        let _ = std::fs::remove_dir_all(&folder); // of an earlier run
        std::fs::create_dir_all(&folder).expect("a folder");
        python(include_str!("write_files.py"), &[folder.to_str().expect("text")]).then_some(folder)
    };
    FOLDER.get_or_init(write).as_deref()
}

pub fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| (*v).to_string()).collect()
}

/// Symbols that are genes to everybody, then others.
pub fn symbols(n: usize) -> Vec<String> {
    let known = ["ACTB", "CD3D", "MS4A1", "LYZ", "NKG7", "MT-CO1", "RPL3", "GAPDH", "B2M", "CD8A"];
    (0..n).map(|i| known.get(i).map_or_else(|| format!("ZNF{i}"), |k| (*k).to_string())).collect()
}

pub fn ensembl(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("ENSG{i:011}")).collect()
}

/// Counts of `n` cells x `m` genes in which every fourth entry or so is not 0.
pub fn counts(n: usize, m: usize) -> Csr {
    let value = |i: usize| {
        let h = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        if h.is_multiple_of(4) { (h / 4 % 9 + 1) as f32 } else { 0.0 }
    };
    Csr::from_dense(n, m, &(0..n * m).map(value).collect::<Vec<_>>()).expect("sizes fit")
}

/// [`counts`] with names, a `cell_type` of three kinds and a `batch` of two.
pub fn dataset(n: usize, genes: Vec<String>) -> Dataset {
    let mut obs = Table::new((0..n).map(|i| format!("cell{i}")).collect());
    let pick = |kinds: &[&str]| (0..n).map(|i| kinds[i % kinds.len()].to_string()).collect::<Vec<_>>();
    obs.set("cell_type", Column::Categorical(Categorical::from_strings(&pick(&["B", "T", "mono"])))).expect("fits");
    obs.set("batch", Column::Categorical(Categorical::from_strings(&pick(&["one", "two"])))).expect("fits");
    let x = counts(n, genes.len());
    Dataset::new(Matrix::Csr(x), obs, Table::new(genes)).expect("sizes fit")
}

/// The error of opening or reading a file, which must be one line with a fix.
pub fn refused(path: &Path) -> String {
    let error = match cytograd::data::open(path) {
        Err(error) => error,
        Ok(source) => match source.dataset() {
            Err(error) => error,
            Ok(_) => panic!("{} was read", path.display()),
        },
    };
    assert_eq!(error.exit_code(), 2, "{error}");
    let text = error.to_string();
    assert!(!text.contains('\n'), "one line: {text}");
    text
}

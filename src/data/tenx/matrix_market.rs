//! MatrixMarket folders: `matrix.mtx`, `features.tsv` or `genes.tsv`, `barcodes.tsv`, each plain or
//! gzip-compressed, with any prefix that they share.

use super::{Features, Parts, genomes_note};
use crate::data::annotated::Dataset;
use crate::data::csr::Csr;
use crate::data::lines::Lines;
use crate::data::matrix::Matrix;
use crate::data::source::{Loaded, Stored, Which};
use crate::data::table::{Table, list_names};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The three files.
struct Files {
    matrix: PathBuf,
    features: PathBuf,
    barcodes: PathBuf,
}

/// Reads a folder, or the one matrix in a folder that `path` names.
///
/// # Errors
/// `Error::Io` if a file cannot be read; `Error::Format` if one is missing or they do not fit
/// together.
pub(in crate::data) fn open(path: &Path) -> Result<Loaded> {
    let files = find(path)?;
    let features = features(&files.features)?;
    let barcodes = barcodes(&files.barcodes)?;
    let mut notes = Vec::new();
    let read = matrix(&files.matrix, features.1.len(), barcodes.len(), &mut notes)?;
    let (version, features) = features;
    let obs = Table::new(barcodes);
    let parts = Parts::new(&features);
    let genomes = features.more.iter().find(|(name, _)| name == "genome");
    notes.extend(genomes.and_then(|(_, g)| genomes_note(g)));
    notes.extend(parts.notes.iter().cloned());
    let var = features.table(&parts.genes)?;
    let genes = if parts.is_all(&features) { read.x.clone() } else { read.x.select_cols(&parts.genes) };
    let entries = parts.is_all(&features).then_some(genes.nnz());
    let mut dataset = Dataset::new(Matrix::Csr(genes), obs, var)?;
    parts.set_apart(&mut dataset, &read.x, &features);
    dataset.source = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    let stored = vec![Stored {
        which: Which::X,
        n_rows: dataset.n_obs(),
        n_cols: dataset.n_vars(),
        storage: "coordinates",
        dtype: read.dtype.into(),
        entries,
    }];
    Ok(Loaded { format: format!("MatrixMarket folder (10x {version})"), dataset, notes, stored })
}

/// Names of the entries of a folder, sorted.
///
/// # Errors
/// `Error::Io` if it cannot be read.
pub(crate) fn file_names(folder: &Path) -> Result<Vec<String>> {
    let io = |e| Error::io(folder, "reading", e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        names.push(entry.map_err(io)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// `name` without `.gz`, if it ends in `ending`: what stands before that.
fn prefix<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    name.strip_suffix(".gz").unwrap_or(name).strip_suffix(ending)
}

fn find(path: &Path) -> Result<Files> {
    let io = |e| Error::io(path, "reading", e);
    let is_folder = std::fs::metadata(path).map_err(io)?.is_dir();
    let folder =
        if is_folder { path } else { path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")) };
    let names = file_names(folder)?;
    let matrix = if is_folder {
        let found: Vec<&String> = names.iter().filter(|n| prefix(n, ".mtx").is_some()).collect();
        match found[..] {
            [one] => one.clone(),
            [] => return below(path, &names),
            // The same file packed and unpacked is one.
            [plain, packed] if *packed == format!("{plain}.gz") => plain.clone(),
            _ => {
                let what = format!("the folder holds several matrices: {}", list_names(&found));
                return Err(Error::format(path, what, "give the path of one of them"));
            }
        }
    } else {
        path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    };
    // The prefix that the three files share: `GSM1_` of `GSM1_matrix.mtx.gz`.
    let stem = prefix(&matrix, ".mtx").unwrap_or(&matrix);
    let start = stem.strip_suffix("matrix").unwrap_or(stem);
    let look = |what: &str, endings: &[&str]| -> Result<PathBuf> {
        let matches = |strict: bool| {
            names.iter().find(|name| {
                endings.iter().any(|e| prefix(name, e).is_some_and(|p| if strict { p == start } else { p.is_empty() }))
            })
        };
        let only: Vec<&String> = names.iter().filter(|n| endings.iter().any(|e| prefix(n, e).is_some())).collect();
        let found =
            matches(true).or_else(|| matches(false)).or_else(|| if only.len() == 1 { Some(only[0]) } else { None });
        found.map(|name| folder.join(name)).ok_or_else(|| {
            let what = format!("beside {matrix} there is no list of {what} (the folder holds {})", list_names(&names));
            let fix = format!("put {start}{} beside it", endings[0]);
            Error::format(path, what, fix)
        })
    };
    Ok(Files {
        features: look("genes", &["features.tsv", "genes.tsv", "features.txt", "genes.txt"])?,
        barcodes: look("cells", &["barcodes.tsv", "barcodes.txt"])?,
        matrix: folder.join(&matrix),
    })
}

/// A folder without a matrix: the one subfolder that has one, up to two levels down.
fn below(path: &Path, names: &[String]) -> Result<Files> {
    let mut found = Vec::new();
    let holds = |folder: &Path| file_names(folder).is_ok_and(|n| n.iter().any(|n| prefix(n, ".mtx").is_some()));
    for name in names {
        let folder = path.join(name);
        if !folder.is_dir() {
            continue;
        }
        if holds(&folder) {
            found.push(folder.clone());
        }
        let inner = file_names(&folder).unwrap_or_default();
        found.extend(inner.iter().map(|n| folder.join(n)).filter(|f| f.is_dir() && holds(f)));
    }
    let filtered = |f: &&PathBuf| f.strip_prefix(path).is_ok_and(|p| p.to_string_lossy().starts_with("filtered"));
    let best: Vec<&PathBuf> = found.iter().filter(filtered).collect();
    match (&best[..], &found[..]) {
        ([one], _) => find(one),
        ([], [one]) => find(one),
        (_, []) => {
            let what = format!("a folder without matrix.mtx (it holds {})", list_names(names));
            Err(Error::format(path, what, "give an h5ad file or the folder of a 10x matrix"))
        }
        _ => {
            let shown: Vec<String> = found.iter().map(|f| f.display().to_string()).collect();
            Err(Error::format(
                path,
                "several matrices lie below this folder",
                format!("give one of {}", list_names(&shown)),
            ))
        }
    }
}

/// Columns of a list without header.
fn columns(path: &Path) -> Result<Vec<Vec<String>>> {
    let mut lines = Lines::open(path)?;
    let mut rows = Vec::new();
    while let Some(line) = lines.next()? {
        if !line.trim().is_empty() {
            rows.push(line.split('\t').map(|t| t.trim().trim_matches('"').to_owned()).collect());
        }
    }
    Ok(rows)
}

/// The version that the names tell, and the features.
fn features(path: &Path) -> Result<(&'static str, Features)> {
    let rows = columns(path)?;
    let mut found = Features::default();
    let v3 = rows.iter().all(|row| row.len() >= 3);
    for row in rows {
        let id = row.first().cloned().unwrap_or_default();
        found.names.push(row.get(1).filter(|name| !name.is_empty()).unwrap_or(&id).clone());
        found.ids.push(id);
        if v3 {
            found.types.push(row.get(2).cloned().unwrap_or_default());
        }
    }
    Ok((if v3 { "v3" } else { "v2" }, found))
}

fn barcodes(path: &Path) -> Result<Vec<String>> {
    Ok(columns(path)?.into_iter().map(|mut row| row.swap_remove(0)).collect())
}

struct Read {
    /// Cells x features.
    x: Csr,
    dtype: &'static str,
}

/// Reads the coordinates. Sizes are compared with the lists before anything is allocated.
fn matrix(path: &Path, n_features: usize, n_cells: usize, notes: &mut Vec<String>) -> Result<Read> {
    let mut lines = Lines::open(path)?;
    let wrong = |at: u64, what: String| {
        Error::format(path, format!("line {at}: {what}"), "the file may be damaged, copy or write it again")
    };
    let banner = lines.next()?.unwrap_or_default().to_ascii_lowercase();
    let words: Vec<&str> = banner.split_whitespace().collect();
    let (pattern, dtype) = match words[..] {
        ["%%matrixmarket", "matrix", "coordinate", "pattern", "general"] => (true, "int64"),
        ["%%matrixmarket", "matrix", "coordinate", "integer", "general"] => (false, "int64"),
        ["%%matrixmarket", "matrix", "coordinate", "real" | "double", "general"] => (false, "float64"),
        _ => {
            let what = format!("a MatrixMarket file of the kind \"{}\"", words.get(1..).unwrap_or_default().join(" "));
            return Err(Error::format(path, what, "write it as \"matrix coordinate integer general\""));
        }
    };
    let size = loop {
        match lines.next()? {
            None => return Err(wrong(lines.number(), "the file ends before the sizes of the matrix".into())),
            Some(line) if line.starts_with('%') || line.trim().is_empty() => {}
            Some(line) => break line.to_owned(),
        }
    };
    let numbers: Vec<u64> = size.split_whitespace().map_while(|t| t.parse().ok()).collect();
    let [rows, columns, entries] = numbers[..] else {
        return Err(wrong(lines.number(), format!("expected the sizes of the matrix, found \"{}\"", short(&size))));
    };
    let (features, cells) = (n_features as u64, n_cells as u64);
    let by_cell = (rows, columns) != (features, cells);
    if by_cell && (rows, columns) != (cells, features) {
        let what = format!("the matrix is {rows} x {columns}, but there are {features} genes and {cells} cells");
        return Err(Error::format(path, what, "give the lists that belong to this matrix (without a header line)"));
    }
    if by_cell {
        notes.push("the matrix has cells in its rows, not genes".into());
    }
    let (mut cell_of, mut feature_of, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut count = vec![0usize; n_cells + 1];
    while let Some(line) = lines.next()? {
        let mut parts = line.split_ascii_whitespace();
        let Some(first) = parts.next() else { continue };
        if first.starts_with('%') {
            continue;
        }
        let second = parts.next().unwrap_or_default();
        let value = if pattern { Some(1.0) } else { parts.next().and_then(|v| v.parse::<f32>().ok()) };
        let (Ok(row), Ok(column), Some(value)) = (first.parse::<u64>(), second.parse::<u64>(), value) else {
            let what = format!("expected row, column and value, found \"{}\"", short(line));
            return Err(wrong(lines.number(), what));
        };
        let (cell, feature) = if by_cell { (row, column) } else { (column, row) };
        if cell == 0 || cell > cells || feature == 0 || feature > features {
            return Err(wrong(lines.number(), format!("entry ({row}, {column}) of a {rows} x {columns} matrix")));
        }
        cell_of.push((cell - 1) as u32);
        feature_of.push((feature - 1) as u32);
        values.push(value);
        count[cell as usize] += 1;
    }
    if values.len() as u64 != entries {
        let what = format!("{entries} entries are announced, {} are there", values.len());
        return Err(Error::format(path, what, "the file is cut short or damaged, copy it again"));
    }
    for cell in 0..n_cells {
        count[cell + 1] += count[cell];
    }
    let indptr = count.clone();
    let mut next = count;
    let (mut indices, mut sorted) = (vec![0u32; values.len()], vec![0f32; values.len()]);
    for ((&cell, &feature), &value) in cell_of.iter().zip(&feature_of).zip(&values) {
        let at = next[cell as usize];
        next[cell as usize] += 1;
        (indices[at], sorted[at]) = (feature, value);
    }
    Ok(Read { x: Csr::from_unsorted(n_cells, n_features, indptr, indices, sorted)?, dtype })
}

/// The start of a line, for a message.
fn short(line: &str) -> String {
    let line = line.trim();
    let end = line.char_indices().nth(40).map_or(line.len(), |(at, _)| at);
    if end < line.len() { format!("{}...", &line[..end]) } else { line.to_owned() }
}

//! What a file is, by its content.
//!
//! May use: `error`, `hdf`. Names of files play no part, but a folder's file names do: a 10x folder
//! is known by its `matrix.mtx`.
#![forbid(unsafe_code)]

use super::hdf::{Place, is_group, members};
use super::table::list_names;
use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use hdf5::File;
use std::io::Read;
use std::path::Path;

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// AnnData in HDF5.
    H5ad,
    /// 10x Genomics, version 2 or 3.
    TenxHdf5,
    /// loompy.
    Loom,
    /// A folder with `matrix.mtx`.
    MatrixMarket,
    /// CSV, TSV and the like.
    Delimited,
}

/// The same with the file, where it was opened to find out.
pub(super) enum Found {
    H5ad(File),
    TenxHdf5(File),
    Loom(File),
    MatrixMarket,
    Delimited,
}

impl Found {
    fn format(&self) -> Format {
        match self {
            Found::H5ad(_) => Format::H5ad,
            Found::TenxHdf5(_) => Format::TenxHdf5,
            Found::Loom(_) => Format::Loom,
            Found::MatrixMarket => Format::MatrixMarket,
            Found::Delimited => Format::Delimited,
        }
    }
}

const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Says what the file or folder at `path` is.
///
/// # Errors
/// `Error::Io` if it is not there; `Error::Format` that says what it is instead, and what to do.
pub fn detect(path: &Path) -> Result<Format> {
    find(path).map(|found| found.format())
}

/// Finds out what [`detect`] says.
pub(super) fn find(path: &Path) -> Result<Found> {
    let io = |e| Error::io(path, "reading", e);
    let meta = std::fs::metadata(path).map_err(io)?;
    if meta.is_dir() {
        return folder(path);
    }
    let mut head = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(8192).read_to_end(&mut head).map_err(io)?;
    if head.is_empty() {
        return Err(Error::format(path, "the file is empty", "copy or download it again"));
    }
    // HDF5's signature stands at byte 0, or at 512, 1024, ... after a user block.
    if [0, 512, 1024, 2048, 4096].iter().any(|&at| head[at.min(head.len())..].starts_with(SIGNATURE)) {
        return hdf5(path);
    }
    if head.starts_with(&[0x1f, 0x8b]) {
        let mut text = Vec::new();
        // A cut end shows later, where the rest is read.
        let _ = MultiGzDecoder::new(&head[..]).take(65536).read_to_end(&mut text);
        if text.starts_with(SIGNATURE) {
            return Err(Error::format(path, "a gzip-compressed HDF5 file", "unpack it with gunzip first"));
        }
        head = text;
    }
    text(path, &head)
}

fn text(path: &Path, head: &[u8]) -> Result<Found> {
    let refuse = |what: &str, fix: &str| Err(Error::format(path, what, fix));
    let lower = head[..head.len().min(256)].to_ascii_lowercase();
    match head {
        [b'P', b'K', 3 | 5, ..] => return refuse("a zip archive", "unpack it first"),
        [b'B', b'Z', b'h', ..] => return refuse("compressed with bzip2", "unpack it with bunzip2 first"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => return refuse("compressed with xz", "unpack it with unxz first"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return refuse("compressed with zstd", "unpack it with unzstd first"),
        [b'R', b'D', b'X' | b'A', b'2' | b'3', b'\n', ..] | [b'X' | b'A', b'\n', ..] => {
            return refuse("an R data file", "in R, write the counts with DropletUtils::write10xCounts or as h5ad");
        }
        _ => {}
    }
    if head.get(257..262) == Some(b"ustar") {
        return refuse("a tar archive", "unpack it with tar -xf and give the folder");
    }
    if lower.starts_with(b"<!doctype") || lower.starts_with(b"<html") || lower.starts_with(b"<?xml") {
        return refuse("a web page", "download the file itself");
    }
    if lower.starts_with(b"%%matrixmarket") {
        return Ok(Found::MatrixMarket);
    }
    if head.is_empty() || head.contains(&0) {
        return refuse(
            "not an HDF5 file, and no text either",
            "give an h5ad, 10x, loom, MatrixMarket, CSV or TSV file",
        );
    }
    Ok(Found::Delimited)
}

fn folder(path: &Path) -> Result<Found> {
    let names = super::tenx::matrix_market::file_names(path)?;
    let has = |name: &str| names.iter().any(|n| n == name);
    if has(".zgroup") || has("zarr.json") || has(".zattrs") {
        return Err(Error::format(path, "a Zarr store", "in Python: anndata.read_zarr(...).write_h5ad(...)"));
    }
    Ok(Found::MatrixMarket) // whose reader says what is missing
}

fn hdf5(path: &Path) -> Result<Found> {
    let file = Place::new(path).open()?;
    let has = |name: &str| file.link_exists(name);
    let found = members(&file);
    if has("obs") && has("var") {
        return Ok(Found::H5ad(file));
    }
    if has("matrix") && !is_group(&file, "matrix") && (has("row_attrs") || has("col_attrs")) {
        return Ok(Found::Loom(file));
    }
    let tenx = |name: &String| {
        file.group(name).is_ok_and(|g| g.link_exists("barcodes") && g.link_exists("indptr") && g.link_exists("data"))
    };
    if found.iter().any(tenx) {
        return Ok(Found::TenxHdf5(file));
    }
    let refuse = |what: &str, fix: &str| Err(Error::format(path, what, fix));
    if has("mod") {
        return refuse("a MuData file (h5mu)", "in Python: mudata.read(...).mod[\"rna\"].write_h5ad(...)");
    }
    if has("assays") && has("cell.names") {
        return refuse("a Seurat file (h5Seurat)", "in R: SeuratDisk::Convert(..., dest = \"h5ad\")");
    }
    if has("barcode_info") || has("barcode_idx") {
        return refuse("a 10x molecule_info file", "give filtered_feature_bc_matrix.h5, which lies beside it");
    }
    let what = format!("an HDF5 file of no known kind: no obs and var tables (it holds {})", list_names(&found));
    Err(Error::format(path, what, "give an h5ad, 10x or loom file"))
}

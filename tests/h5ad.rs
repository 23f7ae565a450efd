//! Real and hostile h5ad files through the public reader and writer.

use cytograd::data::{Matrix, h5ad};
use std::path::PathBuf;

fn shared_data() -> Option<PathBuf> {
    let root = std::env::var("CYTOGRAD_SHARED").unwrap_or_else(|_| "../shared".into());
    let path = PathBuf::from(root).join("data");
    if !path.is_dir() {
        eprintln!("skipped: {} is not there (CYTOGRAD_SHARED names the folder)", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn every_shared_file_reads_as_sparse_counts_with_names() {
    let Some(folder) = shared_data() else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "h5ad") {
            continue;
        }
        let data = h5ad::read(&path).unwrap();
        assert!(matches!(data.x, Matrix::Csr(_)), "{} is sparse", path.display());
        assert!(data.n_obs() > 0 && data.n_vars() > 0);
        assert!(data.skipped.is_empty(), "{}: {:?}", path.display(), data.skipped);
        assert!(data.uns.iter().any(|(name, _)| name == "source"));
    }
}

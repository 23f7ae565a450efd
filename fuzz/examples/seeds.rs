//! Writes the seed corpus, with the writers that the tests use: `cargo run --example seeds` in `fuzz/`.

#[path = "../../../tests/readers/files.rs"]
#[allow(dead_code)]
mod files;
#[path = "../../../tests/readers/write.rs"]
mod write;

use cytograd::models::run::{Manifest, State};
use std::path::{Path, PathBuf};

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let at = |target: &str, name: &str| -> PathBuf {
        std::fs::create_dir_all(corpus.join(target)).expect("a folder");
        corpus.join(target).join(name)
    };
    write::current(&at("h5ad", "current"));
    write::legacy(&at("h5ad", "legacy"));
    write::tenx_v2(&at("tenx_hdf5", "v2"));
    write::tenx_v3(&at("tenx_hdf5", "v3"));
    write::loom(&at("loom", "loom"));
    write::csv(&at("delimited", "csv"));
    let table = std::fs::read_to_string(at("delimited", "csv")).expect("written");
    std::fs::write(at("delimited", "tsv"), table.replace(',', "\t")).expect("written");
    std::fs::write(at("delimited", "semicolons"), table.replace(',', ";")).expect("written");
    let scratch = tempfile::tempdir().expect("a folder");
    let cells: Vec<String> = (1..=6).map(|i| format!("c{i}")).collect();
    write::folder(scratch.path(), &files::symbols(5), &cells);
    for (which, name) in [(0u8, "matrix.mtx"), (1, "genes.tsv"), (2, "barcodes.tsv")] {
        let mut bytes = vec![which];
        bytes.extend(std::fs::read(scratch.path().join(name)).expect("written"));
        std::fs::write(at("matrix_market", name), bytes).expect("written");
    }
    let mut state = State::default();
    state.set("weight", &[2, 3], vec![0.5; 6]);
    std::fs::write(at("checkpoint", "small"), state.to_bytes().expect("bytes")).expect("written");
    let scratch = tempfile::tempdir().expect("a folder");
    let run = scratch.path().join("run");
    cytograd::models::run::RunFolder::create(&run, false, Manifest::new("resnet")).expect("a run folder");
    std::fs::copy(run.join("manifest.json"), at("manifest", "new")).expect("copied");
}

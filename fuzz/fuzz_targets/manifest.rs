//! A run folder whose manifest is anything.
#![no_main]

use cytograd::models::run::RunFolder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = cytograd_fuzz::file("manifest.json", bytes);
    // Any manifest is either refused or can be asked for its parts.
    if let Ok(folder) = RunFolder::open(path.parent().expect("a folder")) {
        let _ = (folder.model().is_ok(), folder.manifest().genes.len());
    }
});

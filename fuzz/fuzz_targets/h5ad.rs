//! An h5ad file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cytograd_fuzz::read(&cytograd_fuzz::file("h5ad", bytes)));

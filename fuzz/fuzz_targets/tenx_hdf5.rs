//! A 10x HDF5 file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cytograd_fuzz::read(&cytograd_fuzz::file("tenx_hdf5", bytes)));

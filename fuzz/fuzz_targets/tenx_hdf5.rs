//! A 10x HDF5 file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cytograd_fuzz::read(&cytograd_fuzz::file("tenx_hdf5", bytes)));
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    cytograd_fuzz::damage(data, size, most, seed)
});

//! The file of a model or a checkpoint: what is read is written as the same again.
#![no_main]

use cytograd::models::run::State;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(state) = State::from_bytes(bytes) {
        let written = state.to_bytes().expect("what was read can be written");
        let again = State::from_bytes(&written).expect("what was written can be read");
        assert_eq!(state.tensors.len(), again.tensors.len());
    }
});

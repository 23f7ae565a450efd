//! What a training run leaves behind and how it talks while it goes: the run folder with its
//! manifest, parameters, log and checkpoint; progress; the wish to stop.
//!
//! May use: `error`, `device`. Knows no tensors: parameters travel as named lists of numbers ([`State`]),
//! so every model can use it. The pieces: `write` (files whole or not at all), [`State`] (numbers to
//! safetensors and back), [`Manifest`], [`Log`], [`RunFolder`] (all of them together),
//! [`interrupt`] (Ctrl-C as a question), [`Observer`] (progress as a trait), [`fn@together`] (several runs
//! at a time).
//!
//! ```text
//! RUN/
//!   manifest.json             what the model is, and checksums of the other files; written last
//!   model.safetensors         the parameters; opens in Python
//!   log.jsonl                 one line per logged step
//!   rehearsal.json            what a rehearsal found, if there was one
//!   checkpoint/state.safetensors   all that is needed to go on with the same bits
//! ```
//!
//! A run that was killed at any moment leaves a manifest that says `training` and either no
//! checkpoint or a whole one: every file is written under another name, brought to disk and
//! renamed. The log may be longer than the checkpoint; [`Log::resume`] cuts it back.
#![forbid(unsafe_code)]

mod folder;
pub mod interrupt;
mod log;
mod manifest;
mod observer;
mod state;
mod together;
mod write;

pub use folder::RunFolder;
pub use log::Log;
pub use manifest::{FORMAT, FileEntry, Manifest, Status};
pub use observer::{Observer, Silent};
pub use state::State;
pub use together::together;
pub use write::{WholeFile, write_whole};

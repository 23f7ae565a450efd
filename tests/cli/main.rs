//! The program from outside: the built binary, files in a temporary folder, exit codes and texts.
//!
//! `place` runs the binary in a folder of its own; `cells` makes the files.

mod bad_input;
mod bench;
mod cells;
mod experiment;
mod formats;
mod outputs;
mod place;
mod preprocess;
mod split;
mod usage;
mod whole;

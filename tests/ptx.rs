//! What the program embeds is what the kernel files compile to, and assembles without spills for every
//! target. Needs a Python with the packages of tests/requirements.txt (`CYTOGRAD_PYTHON`, else python3).
#![cfg(feature = "cuda")]

use cytograd::cuda::FAMILIES;
use std::path::Path;
use std::process::Command;

fn kernels() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/kernels"))
}

fn python() -> String {
    std::env::var("CYTOGRAD_PYTHON").unwrap_or_else(|_| "python3".into())
}

#[test]
fn ptx_is_what_the_kernels_compile_to_and_assembles_for_every_target() {
    let script = kernels().join("build.py");
    if !script.exists() {
        return eprintln!("skipped: {} is not there", script.display());
    }
    let output = match Command::new(python()).arg(&script).arg("--check").output() {
        Ok(output) => output,
        Err(e) => return eprintln!("skipped: PTX not checked: {}: {e}", python()),
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if err.contains("no NVRTC here") {
        let required = std::env::var("CYTOGRAD_REQUIRE").is_ok_and(|v| v.split(' ').any(|part| part == "ptx"));
        assert!(!required, "{err}");
        return eprintln!("skipped: PTX not checked: {} has no NVRTC", python());
    }
    println!("{out}");
    assert!(output.status.success(), "{out}\n{err}");
}

/// The embedded targets are those that the kernel file names.
#[test]
fn the_embedded_targets_are_those_of_the_kernel_files() {
    if !kernels().exists() {
        return eprintln!("skipped: {} is not there", kernels().display());
    }
    for family in FAMILIES {
        let path = kernels().join(format!("{}.cu", family.module));
        let source = std::fs::read_to_string(&path).expect("a kernel file");
        let named = source.lines().find_map(|line| line.strip_prefix("// targets: "));
        let embedded: Vec<&str> = family.images.iter().map(|image| image.target).collect();
        assert_eq!(embedded.join(" "), named.unwrap_or("70"), "{}", family.module);
    }
}

/// Every function that a host test can call is a function of the PTX.
#[test]
fn every_entry_of_a_kernel_file_is_in_its_ptx() {
    if !kernels().exists() {
        return eprintln!("skipped: {} is not there", kernels().display());
    }
    for family in FAMILIES {
        let path = kernels().join(format!("{}.cu", family.module));
        let source = std::fs::read_to_string(&path).expect("a kernel file");
        for entry in source.lines().filter_map(|line| line.strip_prefix("ENTRY(")?.strip_suffix(")")) {
            for image in family.images {
                let there = image.text().contains(&format!(".entry {entry}("));
                assert!(there, "{entry} is not in {}.sm_{}", family.module, image.target);
            }
        }
    }
}

//! The kernels' sources under the address sanitizer, which sees every access of theirs: this program runs
//! itself again on the small cases of all tests, with the sanitizer's library loaded before all others.

use crate::{faults, shim};
use cytograd::cuda::FAMILIES;
use std::process::{Command, Output};

/// Runs this program under the sanitizer; says and returns nothing where there is none.
fn sanitized(arguments: &[&str]) -> Option<Output> {
    if shim::sanitize() {
        return None;
    }
    let library = match shim::sanitizer() {
        Ok(library) => library,
        Err(why) => {
            eprintln!("skipped: CUDA kernels under the address sanitizer: {why}");
            return None;
        }
    };
    let program = std::env::current_exe().expect("this program's path");
    let output = Command::new(program)
        .args(arguments)
        .env("CYTOGRAD_SANITIZE", "1")
        .env("LD_PRELOAD", library)
        .env("ASAN_OPTIONS", "detect_leaks=0:detect_stack_use_after_return=0")
        .output();
    Some(output.expect("this program runs"))
}

#[test]
fn every_kernel_stays_within_its_memory_under_the_address_sanitizer() {
    let mut arguments = vec!["--nocapture", "--test-threads", "2"];
    // The last two: large products in every possible way, minutes of them.
    for part in ["sanitize", "faults", "math", "many_tiles", "every_tile"] {
        arguments.extend(["--skip", part]);
    }
    let Some(output) = sanitized(&arguments) else { return };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    // The ceilings are measured, not compared.
    let families = FAMILIES.iter().filter(|family| family.module != "ceiling");
    for family in families {
        let ran = |name: &str| err.lines().any(|line| line == format!("sanitized {name}"));
        let some = family.kernels.iter().any(|(kernel, _)| ran(kernel.name));
        assert!(some, "no case of {} is small enough to run under the sanitizer", family.module);
    }
}

#[test]
fn an_access_past_an_end_is_reported() {
    for (function, what) in [
        ("fault_writes_past_the_end", "WRITE of size 4"),
        ("fault_reads_past_the_end", "READ of size 4"),
        ("fault_reads_past_the_shared_memory", "READ of size 4"),
    ] {
        let Some(output) = sanitized(&["--ignored", "--exact", &format!("sanitize::{function}")]) else { return };
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{function} passed");
        assert!(err.contains("AddressSanitizer") && err.contains(what) && err.contains(function), "{function}: {err}");
    }
}

/// What [`an_access_past_an_end_is_reported`] runs: each ends this process.
fn faulty(function: &'static str) {
    assert!(shim::sanitize(), "only under the sanitizer");
    let driver = faults::driver().expect("the shim");
    let _ = faults::run(&driver, function);
}

#[test]
#[ignore = "ends the process"]
fn fault_writes_past_the_end() {
    faulty("fault_writes_past_the_end");
}

#[test]
#[ignore = "ends the process"]
fn fault_reads_past_the_end() {
    faulty("fault_reads_past_the_end");
}

#[test]
#[ignore = "ends the process"]
fn fault_reads_past_the_shared_memory() {
    faulty("fault_reads_past_the_shared_memory");
}

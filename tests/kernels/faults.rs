//! The shim reports what it promises to: wrong kernels (`kernels/host/faults.cpp`) do not pass.

use crate::shim::{self, Shim};
use cytograd::Result;
use cytograd::cuda::driver::Driver;
use cytograd::cuda::plan::Step;

/// Threads of the launch: more than a warp, and shared memory that ends inside an aligned piece.
const N: u32 = 77;

/// What the words 1 to [`N`] become, or what the shim says.
pub fn run(driver: &Shim, function: &'static str) -> Result<Vec<u32>> {
    let n = N as usize;
    let words: Vec<u32> = (1..=N).collect();
    let mut found = vec![0u32; n];
    let memory = driver.alloc(n * 4)?;
    let address = memory.address().to_le_bytes();
    let step = Step::new(function, 0, 2).shaped([1, 1, 1], [N, 1, 1]).shared(N * 4);
    // SAFETY: memory of n words; the arguments are those of the functions. What a function does wrong
    // within its memory stays there; those that leave it run under the address sanitizer alone.
    unsafe {
        driver.upload(memory.address(), bytemuck::cast_slice(&words))?;
        driver.launch("faults", &step, &[&address, &N.to_le_bytes()])?;
        driver.download(memory.address(), bytemuck::cast_slice_mut(&mut found))?;
    }
    Ok(found)
}

/// The shim, unless it is left out here.
pub fn driver() -> Option<Shim> {
    shim::driver().map_err(|why| eprintln!("skipped: CUDA kernels on the host: {why}")).ok()
}

#[test]
fn a_right_kernel_passes_and_one_without_its_barrier_returns_other_words() {
    let Some(driver) = driver() else { return };
    let reversed: Vec<u32> = (1..=N).rev().collect();
    assert_eq!(run(&driver, "fault_none").unwrap(), reversed);
    assert_ne!(run(&driver, "fault_missing_barrier").unwrap(), reversed);
}

#[test]
fn barriers_and_shuffles_that_diverge_are_reported_and_the_next_launch_is_well() {
    let Some(driver) = driver() else { return };
    let reversed: Vec<u32> = (1..=N).rev().collect();
    for (function, words) in [
        ("fault_divergent_barrier", "divergent barrier"),
        ("fault_barrier_in_a_branch", "divergent barrier"),
        ("fault_shuffle_outside_the_mask", "a shuffle reads a lane that is not in its mask"),
    ] {
        let error = run(&driver, function).expect_err(function).to_string();
        assert!(error.contains(words) && error.contains("at line"), "{function}: {error}");
        assert_eq!(run(&driver, "fault_none").unwrap(), reversed, "after {function}");
    }
}

#[test]
fn launches_that_no_device_takes_are_refused() {
    let Some(driver) = driver() else { return };
    let good = Step::new("fault_none", 0, 1).shaped([1, 1, 1], [N, 1, 1]);
    let wrong = [
        ("shared memory", good.shared(driver.chip().shared_per_block + 4)),
        ("block", good.shaped([1, 1, 1], [1025, 1, 1])),
        ("grid", good.shaped([0, 1, 1], [N, 1, 1])),
        ("grid", good.shaped([1, 65_536, 1], [N, 1, 1])),
    ];
    for (what, step) in wrong {
        // SAFETY: nothing is launched.
        let error = unsafe { driver.launch("faults", &step, &[]) }.expect_err(what).to_string();
        assert!(error.contains(what), "{error}");
    }
}

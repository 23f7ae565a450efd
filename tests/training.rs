//! Whole training runs: the same bits on every backend, and no new memory after warm-up.

mod models;
#[cfg(feature = "cuda")]
#[path = "kernels/shim.rs"]
mod shim;

#[cfg(feature = "wgpu")]
#[path = "kernels/adapter.rs"]
mod adapter;

use cytograd::device::Device;
use cytograd::models::ebm::BURST;
use models::{Critic, clams, clams_bits, critic_bits, trained_bits};

/// Every device whose bits must agree.
fn devices() -> Vec<(String, Device)> {
    let cpu = [1, 2, 7].map(|n| (format!("cpu with {n} threads"), Device::cpu(n)));
    cpu.into_iter().chain([("reference".to_string(), Device::reference())]).collect()
}

/// The CUDA device of this machine, if there is one.
#[cfg(feature = "cuda")]
fn cuda() -> Option<Device> {
    match Device::open("cuda", 1) {
        Ok(device) => Some(device),
        Err(why) if shim::listed("CYTOGRAD_REQUIRE", "cuda") => panic!("{why}"),
        Err(why) => {
            eprintln!("skipped: whole runs on a CUDA device: {why}");
            None
        }
    }
}

/// Devices that run the CUDA kernels' source on the host.
#[cfg(feature = "cuda")]
fn cuda_on_the_host() -> Vec<(String, Device)> {
    match shim::backends() {
        Ok(shims) => shims.into_iter().map(|(name, cuda)| (name, Device::new(Box::new(cuda)))).collect(),
        Err(why) => {
            eprintln!("skipped: whole runs of the CUDA kernels on the host: {why}");
            Vec::new()
        }
    }
}

#[test]
fn wgan_gp_critic_has_the_same_bits_on_every_backend() {
    let expected = critic_bits(&Device::reference(), 20);
    for (name, device) in devices() {
        assert!(critic_bits(&device, 20) == expected, "{name}");
    }
}

#[test]
fn clams_has_the_same_bits_on_every_backend() {
    let expected = clams_bits(&Device::reference(), 20);
    for (name, device) in devices() {
        assert!(clams_bits(&device, 20) == expected, "{name}");
    }
}

#[test]
#[cfg(feature = "cuda")]
fn whole_runs_have_the_same_bits_through_the_cuda_kernels_on_the_host() {
    let cpu = Device::cpu(2);
    let expected = (critic_bits(&cpu, 20), clams_bits(&cpu, 100));
    for (name, device) in cuda_on_the_host() {
        assert!(critic_bits(&device, 20) == expected.0, "{name}: 20 steps of the critic");
        assert!(clams_bits(&device, 100) == expected.1, "{name}: 100 iterations of CLAMS");
    }
}

#[test]
#[cfg(feature = "cuda")]
fn whole_runs_have_the_same_bits_on_a_cuda_device() {
    let Some(device) = cuda() else { return };
    let cpu = Device::cpu(4);
    assert!(critic_bits(&device, 100) == critic_bits(&cpu, 100), "100 steps of the critic");
    assert!(clams_bits(&device, 100) == clams_bits(&cpu, 100), "100 iterations of CLAMS");
}

#[test]
#[cfg(feature = "wgpu")]
fn whole_runs_have_the_same_bits_on_a_vulkan_adapter() {
    let Some(device) = adapter::device() else { return };
    let cpu = Device::cpu(2);
    assert!(critic_bits(&device, 20) == critic_bits(&cpu, 20), "20 steps of the critic");
    assert!(clams_bits(&device, 100) == clams_bits(&cpu, 100), "100 iterations of CLAMS");
}

#[test]
fn training_steps_allocate_nothing_after_warm_up() {
    let device = Device::cpu(1);
    let mut trainer = clams(&device);
    let mut critic = Critic::new(&device).unwrap();
    for t in 0..3 {
        trainer.step().unwrap();
        critic.step(t).unwrap();
    }
    let before = device.memory();
    for t in 3..23 {
        trainer.step().unwrap();
        critic.step(t).unwrap();
    }
    let after = device.memory();
    assert_eq!(after.allocations, before.allocations, "new memory in a training step");
    assert_eq!(after.live, before.live, "memory held after a step");
    assert!(after.peak > after.live && after.launches > before.launches);
}

#[test]
fn a_burst_of_iterations_waits_for_the_device_once() {
    let device = Device::cpu(1);
    let mut trainer = clams(&device);
    let before = device.memory().downloads;
    let logs = trainer.steps(u64::MAX, &|| false).unwrap();
    assert!(logs.len() > 2, "{} iterations", logs.len());
    assert_eq!(device.memory().downloads - before, 1);
}

#[test]
fn iterations_have_the_same_bits_alone_and_in_bursts() {
    let device = Device::cpu(1);
    let (mut alone, mut together) = (clams(&device), clams(&device));
    let logs: Vec<_> = (0..2 * BURST + 3).map(|_| alone.step().unwrap()).collect();
    let mut told = Vec::new();
    while (told.len() as u64) < 2 * BURST + 3 {
        told.extend(together.steps(2 * BURST + 3, &|| false).unwrap());
    }
    assert_eq!(told, logs);
    assert!(trained_bits(&alone) == trained_bits(&together));
}

#[test]
fn no_iteration_is_begun_after_a_stop() {
    let device = Device::cpu(1);
    let mut trainer = clams(&device);
    assert_eq!(trainer.steps(u64::MAX, &|| true).unwrap().len(), 1, "the first is what was asked for");
    let asked = std::cell::Cell::new(0);
    let stop = || asked.replace(asked.get() + 1) == 1;
    assert_eq!(trainer.steps(u64::MAX, &stop).unwrap().len(), 2);
    assert_eq!(trainer.iteration(), 3);
}

//! Steps that are recorded once and replayed, on CUDA: the bits of running them, and no memory of
//! theirs in other hands. On the kernels' source on the host, and on a device if there is one.
#![cfg(feature = "cuda")]

#[path = "kernels/shim.rs"]
mod shim;

use cytograd::device::Device;
use cytograd::nn::{Chain, Sgld};
use cytograd::rng::{Stream, stream};
use cytograd::tensor::Tensor;

fn devices() -> Vec<Device> {
    let mut all = Vec::new();
    match shim::backends() {
        Ok(shims) => all.extend(shims.into_iter().take(1).map(|(_, cuda)| Device::new(Box::new(cuda)))),
        Err(why) => eprintln!("skipped: CUDA kernels on the host: {why}"),
    }
    match Device::open("cuda", 1) {
        Ok(device) => all.push(device),
        Err(why) if shim::listed("CYTOGRAD_REQUIRE", "cuda") => panic!("{why}"),
        Err(why) => eprintln!("skipped: CUDA kernels on a device: {why}"),
    }
    all
}

fn values(n: usize, seed: u64) -> Vec<f32> {
    let draws = Stream::new(seed, stream::TEST);
    (0..n as u32).map(|i| draws.normal(i)).collect()
}

fn tensor(n: usize, seed: u64, device: &Device) -> Tensor {
    Tensor::from_slice(&values(n, seed), &[n], device).unwrap()
}

#[test]
fn a_recorded_step_runs_only_when_it_is_replayed() {
    for device in devices() {
        let (x, y) = (tensor(1000, 1, &device), tensor(1000, 2, &device));
        let step = || x.mul(&y)?.add(&x)?.narrow(0, 10, 500)?.contiguous();
        let expected = step().unwrap().to_vec().unwrap();
        let (recording, out) = device.record(step).unwrap().expect("CUDA records");
        recording.replay().unwrap();
        assert_eq!(out.to_vec().unwrap(), expected);
        // New values in the same memory.
        x.overwrite(&values(1000, 3)).unwrap();
        recording.replay().unwrap();
        assert_eq!(out.to_vec().unwrap(), step().unwrap().to_vec().unwrap());
    }
}

#[test]
fn memory_of_a_recorded_step_is_not_given_to_others() {
    for device in devices() {
        let x = tensor(5000, 1, &device);
        let step = || x.exp()?.mul(&x)?.sum_all();
        let expected = step().unwrap().to_vec().unwrap();
        let (recording, out) = device.record(step).unwrap().expect("CUDA records");
        let mut others: Vec<Tensor> = Vec::new();
        for round in 0..3 {
            others.extend((0..6).map(|i| tensor(5000, 10 + i, &device)));
            recording.replay().unwrap();
            assert_eq!(out.to_vec().unwrap(), expected, "replay {round}");
            for (i, other) in others.iter().enumerate() {
                assert_eq!(other.to_vec().unwrap(), values(5000, 10 + i as u64 % 6), "tensor {i} after replay {round}");
            }
        }
        let before = device.memory();
        drop((recording, out));
        assert!(device.memory().live < before.live, "a dropped recording gives its memory back");
    }
}

#[test]
fn a_value_read_while_recording_is_an_error_that_leaves_the_device_usable() {
    for device in devices() {
        let x = tensor(10, 1, &device);
        let error = device.record(|| x.sum_all()?.item()).err().expect("no value is there yet");
        assert!(error.to_string().contains("recorded"), "{error}");
        assert_eq!(x.to_vec().unwrap(), values(10, 1));
    }
}

#[test]
fn recorded_chains_have_the_bits_of_chains_that_run() {
    for device in devices() {
        let sgld = Sgld { steps: 4, alpha: 0.3, sigma: 0.1, grad_clamp: Some(2.0), range: Some((-3.0, 3.0)) };
        let (n, d) = (7, 5);
        let w = Tensor::from_slice(&values(d * d, 9), &[d, d], &device).unwrap();
        let score = |x: &Tensor| x.matmul(&w)?.mul(x)?.mul_scalar(-0.5)?.sum_all();
        let mut chain = Chain::new(sgld, &[n, d]);
        for t in 0..5 {
            let start = Tensor::from_slice(&values(n * d, 20 + t), &[n, d], &device).unwrap();
            let draws = Stream::new(4, stream::SGLD).at(t as u32);
            let expected = sgld.run(&start, draws, &score).unwrap().to_vec().unwrap();
            let found = chain.run(&start, draws, &score).unwrap().to_vec().unwrap();
            assert_eq!(found, expected, "run {t}");
        }
    }
}

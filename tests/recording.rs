//! Steps that are recorded once and replayed: the bits of running them, and no memory of
//! theirs in other hands. On the CUDA kernels' source on the host, on a CUDA
//! device if there is one, and on a Vulkan adapter.
#![cfg(feature = "cuda")]

#[cfg(feature = "wgpu")]
#[path = "kernels/adapter.rs"]
mod adapter;
mod models;
#[path = "kernels/shim.rs"]
mod shim;

use cytograd::cuda::Cuda;
use cytograd::device::Device;
use cytograd::models::ebm::{Model, Trainer};
use cytograd::nn::{Chain, Sgld, Step};
use cytograd::rng::{Stream, stream};
use cytograd::tensor::{Tensor, grad};
use models::{Critic, bits, clams_with, model_with, trained_bits};

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
    #[cfg(feature = "wgpu")]
    all.extend(adapter::device());
    all
}

fn values(n: usize, seed: u64) -> Vec<f32> {
    let draws = Stream::new(seed, stream::TEST);
    (0..n as u32).map(|i| draws.normal(i)).collect()
}

fn tensor(n: usize, seed: u64, device: &Device) -> Tensor {
    Tensor::from_slice(&values(n, seed), &[n], device).unwrap()
}

/// The kernels' source on the host, launched one by one; on a machine without a compiler the CPU.
fn eager() -> Device {
    match shim::driver() {
        Ok(driver) => Device::new(Box::new(Cuda::new(driver.eager()))),
        Err(_) => Device::cpu(1),
    }
}

fn iterate(trainer: &mut Trainer, iterations: usize) {
    for _ in 0..iterations {
        trainer.step().unwrap();
    }
}

/// Runs `step` for t = `from`, ... `to`, and says how many launches each took at most.
fn most_launches(device: &Device, from: u32, to: u32, mut step: impl FnMut(u32)) -> u64 {
    let launched = |t| {
        let before = device.memory().launches;
        step(t);
        device.memory().launches - before
    };
    (from..to).map(launched).max().unwrap_or(0)
}

#[test]
fn a_recorded_step_runs_only_when_it_is_replayed() {
    for device in devices() {
        let (x, y) = (tensor(1000, 1, &device), tensor(1000, 2, &device));
        let step = || x.mul(&y)?.add(&x)?.narrow(0, 10, 500)?.contiguous();
        let expected = step().unwrap().to_vec().unwrap();
        let (recording, out) = device.record(step).unwrap().expect("the device records");
        recording.replay(0).unwrap();
        assert_eq!(out.to_vec().unwrap(), expected);
        // New values in the same memory.
        x.overwrite(&values(1000, 3)).unwrap();
        recording.replay(0).unwrap();
        assert_eq!(out.to_vec().unwrap(), step().unwrap().to_vec().unwrap());
    }
}

#[test]
fn memory_of_a_recorded_step_is_not_given_to_others() {
    for device in devices() {
        let x = tensor(5000, 1, &device);
        let step = || x.exp()?.mul(&x)?.sum_all();
        let expected = step().unwrap().to_vec().unwrap();
        let (recording, out) = device.record(step).unwrap().expect("the device records");
        let mut others: Vec<Tensor> = Vec::new();
        for round in 0..3 {
            others.extend((0..6).map(|i| tensor(5000, 10 + i, &device)));
            recording.replay(0).unwrap();
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

#[test]
fn a_step_is_run_recorded_and_replayed_with_new_inputs_and_new_draws() {
    for device in devices() {
        let draws = Stream::new(6, stream::TEST);
        let weight = tensor(12, 5, &device).variable();
        let work = |x: &[Tensor], t| {
            let noise = cytograd::nn::sampler::normal(draws.at(t), 0.0, 1.0, &[12], &device)?;
            let product = x[0].index_select(&x[1])?.mul(&weight)?.add(&noise)?;
            let slope = grad(&[&product.square()?.sum_all()?], &[&weight], false)?.remove(0);
            Ok((product, slope))
        };
        let mut step = Step::new(&device);
        for t in 0..6 {
            // In the fifth run another shape.
            let rows = if t == 4 { 30 } else { 20 };
            let x = tensor(rows, 10 + u64::from(t), &device);
            let idx: Vec<u32> = (0..12).map(|i| (i * 7 + t) % rows as u32).collect();
            let idx = Tensor::from_u32(&idx, &[12], &device).unwrap();
            let (product, slope) = work(&[x.clone(), idx.clone()], t).unwrap();
            let expected = (product.to_vec().unwrap(), slope.to_vec().unwrap());
            let (product, slope) = step.run(&[&x, &idx], t, &work).unwrap();
            assert_eq!((product.to_vec().unwrap(), slope.to_vec().unwrap()), expected, "run {t}");
            assert_eq!(step.replayed(), t > 0 && t != 4, "run {t}");
        }
    }
}

#[test]
fn recorded_iterations_of_clams_have_the_bits_of_iterations_that_run() {
    // Open and closed gates, chains per class, nothing sampled while the gate is closed.
    let kinds: [(&str, bool, bool); 3] =
        [("chains of all", false, true), ("chains per class", true, true), ("no idle chains", false, false)];
    for (kind, conditional, idle) in kinds {
        let make = |device: &Device| {
            clams_with(device, |config| {
                config.loss.p_on = 0.5;
                config.loss.sample_when_off = idle;
                config.sgld.conditional = conditional;
                config.optim.warmup = 10;
            })
        };
        let run = |device: &Device| {
            let mut trainer = make(device);
            let logs: Vec<_> = (0..25).map(|_| trainer.step().unwrap()).collect();
            (trained_bits(&trainer), logs)
        };
        let expected = run(&Device::cpu(2));
        assert!(run(&eager()) == expected, "{kind}: one by one");
        for device in devices() {
            assert!(run(&device) == expected, "{kind}: recorded");
        }
    }
}

#[test]
fn recorded_iterations_of_every_model_have_the_bits_of_iterations_that_run() {
    for model in Model::ALL {
        let run = |device: &Device| {
            let mut trainer = model_with(model, device, |_| {});
            let logs: Vec<_> = (0..12).map(|_| trainer.step().unwrap()).collect();
            (trainer.state().unwrap(), logs)
        };
        let expected = run(&Device::cpu(2));
        for device in devices() {
            let before = device.memory().launches;
            assert!(run(&device) == expected, "{}", model.name());
            assert!(device.memory().launches > before);
        }
    }
}

#[test]
fn a_recorded_run_goes_on_with_the_same_bits_from_a_checkpoint() {
    for device in devices() {
        let make = || clams_with(&device, |config| config.loss.p_on = 0.5);
        let mut trainer = make();
        iterate(&mut trainer, 8);
        let state = trainer.state().unwrap();
        iterate(&mut trainer, 8);
        let expected = trained_bits(&trainer);
        // Into a run of the same kind, and back into one whose steps are recorded.
        let mut other = make();
        for resumed in [&mut other, &mut trainer] {
            resumed.restore(&state).unwrap();
            iterate(resumed, 8);
            assert!(trained_bits(resumed) == expected);
        }
    }
}

#[test]
fn a_recorded_critic_has_the_bits_of_one_that_runs() {
    let run = |device: &Device| {
        let mut critic = Critic::new(device).unwrap();
        (0..20).for_each(|t| critic.step(t).unwrap());
        bits(&critic.params)
    };
    let expected = run(&Device::cpu(2));
    assert!(run(&eager()) == expected, "one by one");
    for device in devices() {
        assert!(run(&device) == expected, "recorded");
    }
}

#[test]
fn a_recorded_iteration_is_a_few_launches_and_no_new_memory() {
    for device in devices() {
        let mut trainer = clams_with(&device, |_| {});
        let mut critic = Critic::new(&device).unwrap();
        let first = most_launches(&device, 0, 1, |_| iterate(&mut trainer, 1));
        assert!(first > 200, "{first} launches of an iteration that runs");
        most_launches(&device, 0, 3, |t| critic.step(t).unwrap());
        // An epoch has nine iterations: a burst of nine, as the one that is counted.
        let burst = |trainer: &mut Trainer| {
            let told = trainer.steps(u64::MAX, &|| false).unwrap().len();
            trainer.epoch_is_full().then(|| trainer.end_epoch().unwrap());
            told
        };
        (0..5).for_each(|_| assert!(burst(&mut trainer) > 0));
        let before = device.memory();
        let mut told = 0;
        let of_burst = most_launches(&device, 0, 1, |_| told += trainer.steps(u64::MAX, &|| false).unwrap().len());
        let of_clams = of_burst as f64 / told as f64;
        let of_critic = most_launches(&device, 3, 10, |t| critic.step(t).unwrap());
        assert!(of_clams <= 12.25, "{of_clams} launches of an iteration");
        assert!(of_critic <= 2, "{of_critic} launches of a step of the critic");
        let after = device.memory();
        assert_eq!((after.allocations, after.live), (before.allocations, before.live), "memory");
        assert!(told >= 4, "{told} iterations");
        assert_eq!(after.downloads - before.downloads, 1, "one per burst of CLAMS, none of the critic");
    }
}

//! The checks of the CLAMS specification, section 10, that concern HDGE and VERA, under their numbers,
//! and what every model's training promises.

mod models;

use cytograd::device::Device;
use cytograd::models::ebm::config::NetConfig;
use cytograd::models::ebm::hdge::{Contrast, HdgeConfig, Memory};
use cytograd::models::ebm::vera::{entropy, penalty};
use cytograd::models::ebm::{Model, Network, StepLog, Trainer};
use cytograd::nn::{Act, Mode};
use cytograd::rng::{Stream, stream};
use cytograd::tensor::{Tensor, grad};
use models::{model_with, normals};

fn memory(contrast: Contrast, size: usize, classes: usize, device: &Device) -> Memory {
    let config = HdgeConfig { memory: size, tau: 0.1, contrast };
    Memory::new(&config, 1, classes, 3, device).unwrap()
}

/// Everything a run holds, to the bit.
fn state(trainer: &Trainer) -> Vec<u8> {
    trainer.state().unwrap().to_bytes().unwrap()
}

#[test]
fn check_20_equal_scores_cost_ln_of_their_number() {
    let device = Device::cpu(1);
    for contrast in [Contrast::Class, Contrast::Cell, Contrast::Logit] {
        let memory = memory(contrast, 12, 3, &device);
        let z = normals(3, 1);
        let all = Tensor::from_slice(&z.repeat(12), &[12, 3], &device).unwrap();
        let rows: Vec<u32> = (0..12).collect();
        memory.write(&Tensor::from_u32(&rows, &[12], &device).unwrap(), &all).unwrap();
        let z = Tensor::from_slice(&z, &[1, 3], &device).unwrap();
        let y = Tensor::from_u32(&[2], &[1], &device).unwrap();
        let loss = memory.contrast(&z, &y).unwrap().loss.item().unwrap();
        assert!((f64::from(loss) - 13f64.ln()).abs() < 1e-5, "{contrast:?}: {loss}");
    }
}

#[test]
fn check_20_one_number_per_class_is_the_softmax_over_all_remembered_cells() {
    let device = Device::cpu(1);
    let (n, classes, size) = (7, 4, 50);
    let y: Vec<u32> = (0..n as u32).map(|i| i % classes as u32).collect();
    for contrast in [Contrast::Class, Contrast::Cell, Contrast::Logit] {
        let memory = memory(contrast, size, classes, &device);
        let z = normals(n * classes, 2);
        let x = Tensor::from_slice(&z, &[n, classes], &device).unwrap().variable();
        let found = memory.contrast(&x, &Tensor::from_u32(&y, &[n], &device).unwrap()).unwrap();
        // Directly, in binary64: every cell's score under the query's class.
        let score = |row: &[f32], y: usize| -> f64 {
            let row: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
            let length = row.iter().map(|v| v * v).sum::<f64>().sqrt() + 1e-12;
            let v: Vec<f64> = row.iter().map(|v| v / length).collect();
            match contrast {
                Contrast::Class => (classes as f64 - 1.0 + v[y].exp()).ln(),
                Contrast::Cell => v.iter().map(|v| v.exp()).sum::<f64>().ln(),
                Contrast::Logit => row[y],
            }
        };
        let remembered = memory.slots().to_vec().unwrap();
        let (mut loss, mut top1) = (0.0, 0.0);
        for (row, &y) in z.chunks(classes).zip(&y) {
            let own = score(row, y as usize) / 0.1;
            let others: Vec<f64> = remembered.chunks(classes).map(|m| score(m, y as usize) / 0.1).collect();
            let total: f64 = others.iter().map(|o| (o - own).exp()).sum::<f64>() + 1.0;
            loss += total.ln() / n as f64;
            top1 += f64::from(u8::from(others.iter().all(|&o| own > o))) / n as f64;
        }
        let found = (f64::from(found.loss.item().unwrap()), f64::from(found.top1.item().unwrap()), found.loss);
        assert!((found.0 - loss).abs() < 1e-5 * loss, "{contrast:?}: {} against {loss}", found.0);
        assert!((found.1 - top1).abs() < 1e-6, "{contrast:?}: top-1 {} against {top1}", found.1);
        // The query learns, the memory does not.
        let slots = memory.slots().variable();
        let slopes = grad(&[&found.2], &[&x, &slots], false).unwrap();
        assert!(slopes[0].to_vec().unwrap().iter().any(|v| *v != 0.0));
        assert!(slopes[1].to_vec().unwrap().iter().all(|v| *v == 0.0));
    }
}

#[test]
fn check_20_the_memory_forgets_the_oldest_first() {
    let device = Device::cpu(1);
    let mut memory = memory(Contrast::Class, 5, 2, &device);
    for batch in 0..4 {
        let next = memory.next(2);
        let z = Tensor::full(batch as f32, &[2, 2], &device).unwrap();
        memory.write(&Tensor::from_u32(&next, &[2], &device).unwrap(), &z).unwrap();
        memory.advance(2);
    }
    let slots = memory.slots().to_vec().unwrap();
    // Eight written into five: 0 1 2 3 4 0 1 2.
    assert_eq!(slots, [2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 2.0, 2.0]);
    assert_eq!((memory.written(), memory.random_left()), (8, 0));
    assert!(Memory::new(&HdgeConfig { memory: 4, ..HdgeConfig::default() }, 5, 2, 0, &device).is_err());
}

#[test]
fn check_18_the_generators_score_is_that_of_the_exact_gaussian() {
    // q(x) = N(b, W W' + sigma^2 I) for G(h) = W h + b.
    let (device, sigma, n) = (Device::cpu(1), 0.5f32, 64);
    let w = Tensor::from_slice(&normals(8, 4), &[4, 2], &device).unwrap();
    let b = Tensor::from_slice(&[0.5, -1.0, 2.0, 0.0], &[4], &device).unwrap();
    let decode = |h: &Tensor| h.matmul(&w.t()?)?.add(&b);
    let h = Tensor::from_slice(&normals(n * 2, 5), &[n, 2], &device).unwrap();
    let noise = Tensor::from_slice(&normals(n * 4, 6), &[n, 4], &device).unwrap().mul_scalar(sigma).unwrap();
    let x = decode(&h).unwrap().add(&noise).unwrap();
    let eta = Tensor::ones(&[2], &device).unwrap();
    let sigma_g = Tensor::full(sigma, &[1], &device).unwrap();
    let pull = entropy::pull(&decode, &x, &h, &eta, &sigma_g, 4096, Stream::new(7, stream::VERA)).unwrap();
    let effective = pull.effective.item().unwrap();
    assert!((1.0..4096.0).contains(&effective), "{effective}");
    let wide = |t: &Tensor| t.to_vec().unwrap().iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let (w, b, x, found) = (wide(&w), wide(&b), wide(&x), wide(&pull.c));
    let variance = f64::from(sigma).powi(2);
    // (W W' + v I)^-1 r = (r - W (v I + W' W)^-1 W' r) / v.
    let product = |i: usize, j: usize| (0..4).map(|r| w[2 * r + i] * w[2 * r + j]).sum::<f64>();
    let (a, d, off) = (product(0, 0) + variance, product(1, 1) + variance, product(0, 1));
    let (mut error, mut size) = (0.0, 0.0);
    for (x, found) in x.chunks(4).zip(found.chunks(4)) {
        let r: Vec<f64> = x.iter().zip(&b).map(|(x, b)| x - b).collect();
        let u: Vec<f64> = (0..2).map(|i| (0..4).map(|j| w[2 * j + i] * r[j]).sum()).collect();
        let det = a * d - off * off;
        let u = [(d * u[0] - off * u[1]) / det, (a * u[1] - off * u[0]) / det];
        for j in 0..4 {
            let exact = (r[j] - w[2 * j] * u[0] - w[2 * j + 1] * u[1]) / variance;
            error += (found[j] - exact).powi(2);
            size += exact.powi(2);
        }
    }
    let relative = (error / size).sqrt();
    println!("relative error {relative:.4}, {effective:.0} effective samples");
    assert!(relative < 0.05, "{relative}");
}

#[test]
fn check_18_sigma_stays_in_its_range_and_the_posterior_step_moves_eta_alone() {
    let device = Device::cpu(1);
    let mut wild = model_with(Model::Vera, &device, |config| {
        config.vera.iter_mut().for_each(|vera| (vera.lr_generator, vera.sigma) = (0.5, (0.01, 0.02)));
    });
    let sigmas: Vec<f32> = (0..30).map(|_| wild.step().unwrap().generator.unwrap().sigma).collect();
    assert!(sigmas.iter().all(|s| (0.0099999..=0.0200001).contains(s)), "{sigmas:?}");
    assert!(sigmas.iter().any(|s| *s > 0.015), "it moves: {sigmas:?}");
    let after_one = |lr| {
        let mut trainer = model_with(Model::Vera, &device, |config| {
            config.vera.iter_mut().for_each(|vera| vera.lr_posterior = lr);
        });
        trainer.step().unwrap();
        trainer.state().unwrap().tensors
    };
    let (slow, fast) = (after_one(1e-12), after_one(1e-2));
    let moved: Vec<&String> = slow.keys().filter(|name| slow[*name] != fast[*name]).collect();
    assert_eq!(moved, ["posterior.log_eta"]);
}

/// A value and its derivatives by each feature, in binary64.
type Dual = Vec<f64>;

/// `s(x)` of a residual network of one block per stage with ELU, and its derivatives by x.
fn score_in_binary64(parameters: &[(String, Vec<usize>, Vec<f64>)], stages: usize, x: &[f64]) -> Dual {
    let linear = |name: &str, x: &[Dual]| -> Vec<Dual> {
        let find = |part: &str| &parameters.iter().find(|(n, ..)| *n == format!("{name}.{part}")).unwrap().2;
        let rows = find("weight").chunks(x.len()).zip(find("bias"));
        let row = |(w, b): (&[f64], &f64)| {
            let mut sum: Dual = (0..x[0].len()).map(|k| w.iter().zip(x).map(|(w, x)| w * x[k]).sum()).collect();
            sum[0] += b;
            sum
        };
        rows.map(row).collect()
    };
    let elu = |x: Vec<Dual>| -> Vec<Dual> {
        let one = |x: Dual| {
            let (value, slope) = if x[0] > 0.0 { (x[0], 1.0) } else { (x[0].exp_m1(), x[0].exp()) };
            std::iter::once(value).chain(x[1..].iter().map(|d| slope * d)).collect()
        };
        x.into_iter().map(one).collect()
    };
    let unit = |j: usize| (0..x.len()).map(move |k| f64::from(u8::from(j == k)));
    let mut h: Vec<Dual> = x.iter().enumerate().map(|(j, &v)| std::iter::once(v).chain(unit(j)).collect()).collect();
    for s in 0..stages {
        h = linear(&format!("stage{s}.linear"), &h);
        let inner = elu(linear(&format!("stage{s}.block0.1"), &h));
        let inner = linear(&format!("stage{s}.block0.2"), &inner);
        h = elu(h.iter().zip(&inner).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect());
    }
    let z = linear("head", &h);
    let max = z.iter().map(|z| z[0]).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = z.iter().map(|z| (z[0] - max).exp()).sum();
    let mut s: Dual = (0..=x.len()).map(|k| z.iter().map(|z| (z[0] - max).exp() / total * z[k]).sum()).collect();
    s[0] = max + total.ln();
    s
}

#[test]
fn check_19_the_penaltys_gradient_matches_central_differences() {
    let (device, features, n) = (Device::cpu(1), 6, 10);
    let config = NetConfig { widths: vec![16, 8], blocks: vec![1, 1], act: Act::Elu, norm: false, dropout: 0.0 };
    let network = Network::new(&config, features, 3, 7, &device).unwrap();
    let cells = normals(n * features, 8);
    let x = Tensor::from_slice(&cells, &[n, features], &device).unwrap().variable();
    let value = penalty(&network.score(&x, &Mode::eval()).unwrap(), &x).unwrap();
    let params = network.params();
    let slope = params.flatten(&grad(&[&value], &params.all(), false).unwrap()).unwrap().to_vec().unwrap();
    let length = slope.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    // Along the gradient: any part of it that is wrong makes the derivative shorter than its length.
    let at = |step: f64| {
        let mut i = 0;
        let moved: Vec<(String, Vec<usize>, Vec<f64>)> = params
            .export()
            .unwrap()
            .into_iter()
            .map(|(name, shape, values)| {
                let values = values.iter().map(|&v| {
                    i += 1;
                    f64::from(v) + step * f64::from(slope[i - 1]) / length
                });
                (name, shape, values.collect())
            })
            .collect();
        let one = |row: &[f32]| {
            let row: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
            score_in_binary64(&moved, 2, &row)[1..].iter().map(|d| d * d).sum::<f64>() / 2.0
        };
        cells.chunks(features).map(one).sum::<f64>() / n as f64
    };
    assert!((f64::from(value.item().unwrap()) / at(0.0) - 1.0).abs() < 1e-5);
    let numeric = (at(1e-4) - at(-1e-4)) / 2e-4;
    println!("{numeric} against {length}");
    assert!((numeric / length - 1.0).abs() < 1e-4, "{numeric} against {length}");
}

#[test]
fn every_model_stops_where_the_loss_is_beyond_the_limit() {
    let device = Device::cpu(1);
    for model in Model::ALL {
        let mut run = model_with(model, &device, |config| config.divergence.limit = 0.0);
        let before = run.network().params().arena().to_vec().unwrap();
        run.step().unwrap();
        assert!(run.finished() && run.divergence().at == Some(0), "{}", model.name());
        assert_eq!(run.network().params().arena().to_vec().unwrap(), before, "{}: no step is taken", model.name());
    }
}

#[test]
fn every_model_goes_on_from_a_checkpoint_with_the_same_bits() {
    let device = Device::cpu(1);
    for model in Model::ALL {
        let mut whole = model_with(model, &device, |_| {});
        let before: Vec<StepLog> = (0..12).map(|_| whole.step().unwrap()).collect();
        whole.end_epoch().unwrap();
        let kept = whole.state().unwrap();
        let after: Vec<StepLog> = (0..8).map(|_| whole.step().unwrap()).collect();
        let mut resumed = model_with(model, &device, |_| {});
        resumed.restore(&kept).unwrap();
        assert_eq!(after, (0..8).map(|_| resumed.step().unwrap()).collect::<Vec<_>>(), "{}", model.name());
        assert!(state(&whole) == state(&resumed), "{}", model.name());
        assert!(before.iter().all(|log| log.loss.is_finite() && log.grad_norm.is_some()));
    }
}

#[test]
fn every_model_has_the_same_bits_for_any_number_of_threads() {
    let run = |model, device: Device| {
        let mut trainer = model_with(model, &device, |_| {});
        let logs: Vec<StepLog> = (0..15).map(|_| trainer.step().unwrap()).collect();
        (logs, state(&trainer))
    };
    for model in Model::ALL {
        let expected = run(model, Device::reference());
        for threads in [1, 2, 7] {
            assert!(run(model, Device::cpu(threads)) == expected, "{} on {threads} threads", model.name());
        }
    }
}

#[test]
fn iterations_of_every_model_take_no_new_memory() {
    for model in Model::ALL {
        let device = Device::cpu(1);
        let mut trainer = model_with(model, &device, |_| {});
        (0..8).for_each(|_| assert!(trainer.step().is_ok()));
        let before = device.memory();
        (0..20).for_each(|_| assert!(trainer.step().is_ok()));
        let after = device.memory();
        assert_eq!((after.allocations, after.live), (before.allocations, before.live), "{}", model.name());
        assert_eq!(after.downloads - before.downloads, 20, "{}: a wait per burst", model.name());
    }
}

//! The checks of the CLAMS specification, section 10, that concern the network, the sampler and the
//! training loop, under their numbers.

use cytograd::Result;
use cytograd::data::batches::BatchStream;
use cytograd::device::Device;
use cytograd::models::ebm::config::{LossConfig, NetConfig, OptimConfig, SgldConfig};
use cytograd::models::ebm::log::judge;
use cytograd::models::ebm::{Cells, Clip, EbmConfig, Network, Select, StepLog, Trainer, clip, evaluate};
use cytograd::nn::sampler::segments;
use cytograd::nn::{Act, Mode, ReplayBuffer, Sgld, loss};
use cytograd::rng::{Stream, stream};
use cytograd::tensor::{Tensor, grad};

fn normals(n: usize, seed: u64) -> Vec<f32> {
    let draws = Stream::new(seed, stream::TEST);
    (0..n as u32).map(|i| draws.normal(i)).collect()
}

fn net(widths: &[usize], blocks: &[usize], act: Act) -> NetConfig {
    NetConfig { widths: widths.to_vec(), blocks: blocks.to_vec(), act, norm: false, dropout: 0.0 }
}

/// A standard normal number (Box-Muller).
fn normal(rng: &mut cytograd::rng::Rng) -> f64 {
    let (u, v) = (1.0 - rng.uniform53(), rng.uniform53());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// The data set of the specification's head: `n` cells, 9 classes with centres `N(0, 9) e^(-j/8)` in
/// 12 of 50 dimensions, noise `0.4 + 0.6 e^(-j/20)`, z-scored; class 8 is left out. Train and valid.
fn reference_data(n: usize, seed: u64) -> (Cells, Cells) {
    let (classes, d) = (9usize, 50usize);
    let mut rng = Stream::new(seed, stream::SIMULATE).rng();
    // Dirichlet(1.5) from gamma(1.5) = gamma(1/2) + gamma(1).
    let mut weights: Vec<f64> =
        (0..classes).map(|_| 0.5 * normal(&mut rng).powi(2) - (1.0 - rng.uniform53()).ln()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w = (*w / total).max(0.03));
    let total: f64 = weights.iter().sum();
    let centres: Vec<f64> = (0..classes * d)
        .map(|i| if i % d < 12 { 3.0 * normal(&mut rng) * (-((i % d) as f64) / 8.0).exp() } else { 0.0 })
        .collect();
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let mut u = rng.uniform53() * total;
        let class = (0..classes).position(|c| {
            u -= weights[c];
            u < 0.0
        });
        let class = class.unwrap_or(classes - 1);
        for j in 0..d {
            x.push(centres[class * d + j] + (0.4 + 0.6 * (-(j as f64) / 20.0).exp()) * normal(&mut rng));
        }
        y.push(class as u32);
    }
    for j in 0..d {
        let mean = (0..n).map(|i| x[i * d + j]).sum::<f64>() / n as f64;
        let std = ((0..n).map(|i| (x[i * d + j] - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        (0..n).for_each(|i| x[i * d + j] = (x[i * d + j] - mean) / std);
    }
    let empty = Cells { x: Vec::new(), y: Vec::new(), features: d };
    let (mut train, mut valid) = (empty.clone(), empty);
    for i in 0..n {
        if y[i] == 8 {
            continue;
        }
        let part = if i % 20 < 17 { &mut train } else { &mut valid };
        part.x.extend(x[i * d..(i + 1) * d].iter().map(|&v| v as f32));
        part.y.push(y[i]);
    }
    (train, valid)
}

fn prototype(clip: Clip, p_on: f64, alpha: f32) -> EbmConfig {
    EbmConfig {
        net: net(&[64, 32], &[1, 1], Act::Elu),
        optim: OptimConfig { lr: 1e-3, epochs: 12, decay_epochs: vec![6, 10], ..OptimConfig::default() },
        sgld: SgldConfig { alpha, buffer: 4000, ..SgldConfig::default() },
        loss: LossConfig { clip, p_on, ..LossConfig::default() },
        ..EbmConfig::default()
    }
}

fn run_epochs(trainer: &mut Trainer) -> Result<()> {
    while !trainer.finished() {
        while !trainer.epoch_is_full() && trainer.divergence().at.is_none() {
            trainer.step()?;
        }
        if trainer.divergence().at.is_none() {
            trainer.end_epoch()?;
        }
    }
    Ok(())
}

fn params_bits(trainer: &Trainer) -> Vec<u32> {
    trainer.network().params().arena().to_vec().unwrap().iter().map(|v| v.to_bits()).collect()
}

#[test]
fn check_01_energy_gradient_matches_central_differences() {
    for (d, rows, act) in [(2, 1, Act::Elu), (50, 64, Act::Elu), (2, 64, Act::Relu), (50, 1, Act::Relu)] {
        let device = Device::cpu(1);
        let network = Network::new(&net(&[32, 16], &[1, 1], act), d, 5, 7, &device).unwrap();
        let x = Tensor::from_slice(&normals(rows * d, 1), &[rows, d], &device).unwrap().variable();
        let objectives: [&dyn Fn(&Tensor) -> Result<Tensor>; 2] =
            [&|x| network.score(x, &Mode::eval())?.sum_all(), &|x| {
                network.logits(x, &Mode::eval())?.narrow(1, 2, 1)?.sum_all()
            }];
        for f in objectives {
            let g = grad(&[&f(&x).unwrap()], &[&x], false).unwrap().remove(0).to_vec().unwrap();
            // Along the gradient, where the directional derivative is largest.
            let length = g.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let direction: Vec<f32> = g.iter().map(|v| (f64::from(*v) / length) as f32).collect();
            let direction = Tensor::from_slice(&direction, &[rows, d], &device).unwrap();
            let at = |h: f32| f64::from(f(&x.add(&direction.mul_scalar(h).unwrap()).unwrap()).unwrap().item().unwrap());
            let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((numeric - length).abs() < 1e-2 * length, "{act:?}, d = {d}: {numeric} against {length}");
        }
    }
}

#[test]
fn check_02_logit_space_gradient_equals_autodiff() {
    let device = Device::cpu(1);
    let network = Network::new(&net(&[32, 16], &[1, 1], Act::Elu), 6, 4, 3, &device).unwrap();
    let batch = 8;
    let cells = |seed| Tensor::from_slice(&normals(batch * 6, seed), &[batch, 6], &device).unwrap();
    let (fake, real, lab) = (cells(1).mul_scalar(3.0).unwrap(), cells(2), cells(3));
    let y = Tensor::from_u32(&[0, 1, 2, 3, 0, 1, 2, 3], &[batch], &device).unwrap();
    let params = network.params().all();
    for clip in [Clip::None, Clip::Elu, Clip::Relu, Clip::LeakyRelu] {
        let logits = |x: &Tensor| network.logits(x, &Mode::eval()).unwrap();
        let (z_fake, z_real, z_lab) = (logits(&fake), logits(&real), logits(&lab));
        let mean_score = |z: &Tensor| z.logsumexp().unwrap().mean_all().unwrap();
        let l = mean_score(&z_fake).sub(&mean_score(&z_real)).unwrap();
        let objective = loss::cross_entropy(&z_lab, &y).unwrap().add(&clip.apply(&l).unwrap()).unwrap();
        let generic = grad(&[&objective], &params, false).unwrap();
        let c = clip.slope(l.item().unwrap());
        let r = |z: &Tensor, factor: f32| z.detach().softmax().unwrap().mul_scalar(factor / batch as f32).unwrap();
        let seed_lab = r(&z_lab, 1.0).sub(&y.one_hot(4).unwrap().mul_scalar(1.0 / batch as f32).unwrap()).unwrap();
        let seeds = [&r(&z_fake, c), &r(&z_real, -c), &seed_lab];
        let by_logits = cytograd::tensor::grad_with(&[&z_fake, &z_real, &z_lab], &seeds, &params, false).unwrap();
        for (a, b) in generic.iter().zip(&by_logits) {
            let (a, b) = (a.to_vec().unwrap(), b.to_vec().unwrap());
            let scale = a.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
            for (a, b) in a.iter().zip(&b) {
                assert!((a - b).abs() <= 1e-5 * scale, "{clip:?}: {a} against {b}");
            }
        }
    }
}

#[test]
fn check_03_logsumexp_at_extreme_logits() {
    let device = Device::cpu(1);
    let z = Tensor::from_slice(&[1e4, 1e4 - 1.0, -1e4, -1e4], &[2, 2], &device).unwrap();
    let s = z.logsumexp().unwrap().to_vec().unwrap();
    assert!((s[0] - 10000.3133).abs() < 1e-3, "{}", s[0]);
    assert!(s[1].is_finite() && (s[1] + 1e4).abs() < 1.0);
    for row in z.softmax().unwrap().to_vec().unwrap().chunks(2) {
        assert!((row[0] + row[1] - 1.0).abs() <= 1e-6);
    }
}

#[test]
fn check_04_clipping_functions() {
    let near = |a: f32, b: f32| (a - b).abs() <= 1e-6;
    assert_eq!(Clip::Elu.value(f32::NEG_INFINITY), -1.0);
    assert!(near(Clip::Elu.value(-1.0), -0.632_121) && near(Clip::Elu.slope(-1.0), 0.367_879));
    assert_eq!((Clip::Elu.value(2.0), Clip::Elu.slope(0.0)), (2.0, 1.0));
    assert_eq!(Clip::Elu.value(-1e-8), -1e-8);
    assert_eq!((Clip::LeakyRelu.value(-100.0), Clip::Relu.slope(0.0)), (-1.0, 0.0));
    assert_eq!((Clip::None.value(-7.0), Clip::None.slope(-7.0)), (-7.0, 1.0));
}

#[test]
fn check_05_threshold_is_on_the_raw_loss() {
    assert!(!clip::passes(-3.0, Some(-1.0)));
    assert!(!clip::passes(-1.0, Some(-1.0)));
    assert!(clip::passes(-0.99, Some(-1.0)));
    assert!(clip::passes(f32::NAN, None), "without a threshold nothing is gated away");
}

#[test]
fn check_06_closed_gate_equals_cross_entropy_alone() {
    let (train, valid) = reference_data(600, 1);
    let bits = |sample_when_off: bool, w_x: f32| {
        let mut config = prototype(Clip::Elu, 0.0, 1.0);
        config.net = net(&[16, 8], &[1, 1], Act::Elu);
        config.sgld.steps = 3;
        config.optim.epochs = 1000;
        config.loss.sample_when_off = sample_when_off;
        config.loss.w_x = w_x;
        let mut t =
            Trainer::new(config, Select::Accuracy, train.clone(), valid.clone(), 8, 5, &Device::cpu(1)).unwrap();
        for _ in 0..200 {
            t.step().unwrap();
        }
        let state = t.state().unwrap();
        (params_bits(&t), state.tensors["optimizer.0"].clone(), state.tensors["optimizer.1"].clone())
    };
    let alone = bits(false, 0.0);
    assert_eq!(bits(true, 1.0), alone, "sampling while the gate is closed changes nothing");
    assert_eq!(bits(false, 1.0), alone);
}

#[test]
fn check_07_gate_rate_and_off_iterations() {
    let on = (0..100_000).filter(|&t| clip::gate(11, t, 0.25)).count() as f64 / 1e5;
    assert!((on - 0.25).abs() <= 0.005, "{on}");
    // An OFF iteration's step is the step of a run without a generative term.
    let (train, valid) = reference_data(600, 1);
    let off = (0..).find(|&seed| !clip::gate(seed, 0, 0.25)).unwrap();
    let after_one = |p_on: f64| {
        let mut config = prototype(Clip::Elu, p_on, 1.0);
        config.sgld.steps = 2;
        let mut t =
            Trainer::new(config, Select::Accuracy, train.clone(), valid.clone(), 8, off, &Device::cpu(1)).unwrap();
        let log = t.step().unwrap();
        assert!(!log.gate && log.generative.is_some(), "sampled and logged, not back-propagated");
        params_bits(&t)
    };
    assert_eq!(after_one(0.25), after_one(0.0));
}

#[test]
fn check_08_sgld_reaches_its_stationary_variance() {
    // 20,000 chains: the variance's standard error is 1 %, the bound 3 standard errors and a bit.
    let device = Device::cpu(2);
    for (alpha, v, sigma, steps) in [(0.1, 1.0, 0.1, 60), (1.0, 2.0, 0.01, 20), (0.01, 1.0, 0.02f32.sqrt(), 500)] {
        let start = Tensor::zeros(&[20_000, 1], &device).unwrap();
        let sgld = Sgld { steps, alpha, sigma, grad_clamp: None, range: None };
        let x = sgld
            .run(&start, Stream::new(3, stream::SGLD), &|x| x.square()?.sum_all()?.mul_scalar(-0.5 / v))
            .unwrap()
            .to_vec()
            .unwrap();
        let variance = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / x.len() as f64;
        let expected = f64::from(sigma).powi(2) / (1.0 - (1.0 - f64::from(alpha / v)).powi(2));
        assert!((variance / expected - 1.0).abs() < 0.035, "alpha {alpha}: {variance} against {expected}");
    }
}

#[test]
fn check_09_sampling_leaves_the_network_alone() {
    let (train, valid) = reference_data(400, 2);
    let mut config = prototype(Clip::Elu, 1.0, 1.0);
    config.net = NetConfig { norm: true, dropout: 0.5, ..net(&[16, 8], &[1, 1], Act::Elu) };
    let device = Device::cpu(1);
    let trainer = Trainer::new(config.clone(), Select::Accuracy, train, valid, 8, 5, &device).unwrap();
    let before = trainer.network().export().unwrap();
    let mut sampler = cytograd::models::ebm::sample::Sampler::new(&config.sgld, 50, &[50; 8], 9, &device).unwrap();
    let (a, _) = sampler.sample(trainer.network(), 32, 1).unwrap();
    assert_eq!(trainer.network().export().unwrap(), before, "parameters and running statistics");
    // Dropout is off: the same draws give the same cells.
    let mut again = cytograd::models::ebm::sample::Sampler::new(&config.sgld, 50, &[50; 8], 9, &device).unwrap();
    let (b, _) = again.sample(trainer.network(), 32, 1).unwrap();
    assert_eq!(a.to_vec().unwrap(), b.to_vec().unwrap());
}

#[test]
fn check_10_buffer_bookkeeping() {
    let (train, valid) = reference_data(400, 2);
    let config = EbmConfig { net: net(&[8], &[1], Act::Elu), ..prototype(Clip::Elu, 1.0, 1.0) };
    let device = Device::cpu(1);
    let new = || Trainer::new(config.clone(), Select::Accuracy, train.clone(), valid.clone(), 8, 5, &device).unwrap();
    let mut trainer = new();
    let slots = |t: &Trainer| t.sampler().unwrap().buffer().slots().to_vec().unwrap();
    let before = slots(&trainer);
    trainer.step().unwrap();
    let after = slots(&trainer);
    let changed = before.chunks(50).zip(after.chunks(50)).filter(|(a, b)| a != b).count();
    assert_eq!(changed, 64, "exactly the drawn slots change");
    // Save, load, go on: identical.
    let mut other = new();
    other.restore(&trainer.state().unwrap()).unwrap();
    assert_eq!(trainer.step().unwrap(), other.step().unwrap());
    assert_eq!((params_bits(&trainer), slots(&trainer)), (params_bits(&other), slots(&other)));
    // No duplicates within a batch; the fresh share.
    let buffer = ReplayBuffer::new(Tensor::zeros(&[1000, 1], &device).unwrap());
    for t in 0..50 {
        let mut idx = buffer.draw(64, Stream::new(1, stream::BUFFER).at(t).part(1));
        idx.sort_unstable();
        idx.dedup();
        assert_eq!(idx.len(), 64);
    }
    let draws = Stream::new(1, stream::BUFFER).part(3);
    let fresh = (0..40_000).filter(|&i| draws.at(i / 64).uniform(i % 64) < 0.05).count() as f64 / 40_000.0;
    assert!((fresh - 0.05).abs() <= 0.005, "{fresh}");
}

#[test]
fn check_11_buffer_segments_follow_the_classes() {
    let n = [700, 200, 90, 10];
    assert_eq!(segments(1000, &n, true).unwrap(), [250; 4]);
    assert_eq!(segments(1000, &n, false).unwrap(), [700, 200, 90, 10]);
    let rare = segments(100, &[997, 1, 1, 1], false).unwrap();
    assert!(rare.iter().all(|&s| s >= 1) && rare.iter().sum::<usize>() == 100, "{rare:?}");
    // Classes of chains: chi-squared with 3 degrees of freedom, p > 0.001 below 16.27.
    let device = Device::cpu(1);
    for (balanced, shares) in [(true, [0.25; 4]), (false, [0.7, 0.2, 0.09, 0.01])] {
        let config = SgldConfig { buffer: 1000, conditional: true, balanced, ..SgldConfig::default() };
        let sampler = cytograd::models::ebm::sample::Sampler::new(&config, 2, &n, 3, &device).unwrap();
        let mut counts = [0.0f64; 4];
        for t in 0..200 {
            sampler.draw_classes(50, t).into_iter().for_each(|c| counts[c as usize] += 1.0);
        }
        let chi2: f64 = counts.iter().zip(shares).map(|(o, s)| (o - 1e4 * s).powi(2) / (1e4 * s)).sum();
        assert!(chi2 < 16.27, "{counts:?}");
    }
}

#[test]
fn check_12_divergence_by_clipping_function() {
    let run = |clip, p_on, seed| {
        let (train, valid) = reference_data(5000, seed);
        let device = Device::cpu(2);
        let mut t =
            Trainer::new(prototype(clip, p_on, 10.0), Select::Accuracy, train, valid, 8, seed, &device).unwrap();
        run_epochs(&mut t).unwrap();
        t
    };
    let unclipped: Vec<Trainer> = (0..3).map(|seed| run(Clip::None, 1.0, seed)).collect();
    let diverged = unclipped.iter().filter(|t| t.divergence().at.is_some()).count();
    println!("unclipped: {:?}", unclipped.iter().map(|t| t.divergence().at).collect::<Vec<_>>());
    assert!(diverged >= 2, "{diverged} of 3 unclipped runs diverged");
    assert!(
        unclipped.iter().filter(|t| t.divergence().at.is_some()).all(|t| t.best().is_some()),
        "no checkpoint before"
    );
    for (clip, p_on) in [(Clip::Elu, 1.0), (Clip::Elu, 0.25)] {
        let t = run(clip, p_on, 0);
        let accuracy = t.best().unwrap().log.valid_accuracy;
        assert!(t.divergence().at.is_none() && accuracy >= 0.97, "{clip:?} {p_on}: accuracy {accuracy}");
    }
}

#[test]
fn check_12_divergence_rule() {
    let config = prototype(Clip::LeakyRelu, 1.0, 1.0);
    let verdict = |loss: f32, generative: f32| {
        judge(&StepLog { loss, generative: Some(generative), max_fake: Some(1.0), ..StepLog::default() }, &config)
    };
    assert!(verdict(f32::NAN, 0.0).diverged && verdict(f32::INFINITY, 0.0).diverged);
    assert!(!verdict(1e8, 0.0).diverged && verdict(1.0001e8, 0.0).diverged);
    let hidden = verdict(Clip::LeakyRelu.value(-1e9), -1e9);
    assert!(hidden.strict && !hidden.diverged);
    assert!(verdict(0.0, f32::NAN).diverged, "a non-finite L");
}

#[test]
fn check_13_two_dimensional_mixture() {
    let mut rng = Stream::new(4, stream::SIMULATE).rng();
    let mut cells = |n: usize| {
        let mut cells = Cells { x: Vec::new(), y: Vec::new(), features: 2 };
        for i in 0..n {
            let centre = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)][i % 4];
            cells.x.push((centre.0 + 0.15 * normal(&mut rng)) as f32);
            cells.x.push((centre.1 + 0.15 * normal(&mut rng)) as f32);
            cells.y.push((i % 4) as u32);
        }
        cells
    };
    let (train, valid) = (cells(4000), cells(800));
    let far: Vec<f32> = {
        let mut points = Vec::new();
        while points.len() < 1600 {
            let p = [8.0 * rng.uniform53() - 4.0, 8.0 * rng.uniform53() - 4.0];
            if (p[0].abs() - 1.0).hypot(p[1].abs() - 1.0) > 1.0 {
                points.extend(p.map(|v| v as f32));
            }
        }
        points
    };
    let origin: Vec<f32> = (0..1600).map(|_| (0.2 * normal(&mut rng)) as f32).collect();
    let auroc = |p_on: f64| {
        let config = EbmConfig {
            net: net(&[64, 32], &[1, 1], Act::Elu),
            optim: OptimConfig { lr: 1e-3, epochs: 15, decay_epochs: vec![], ..OptimConfig::default() },
            sgld: SgldConfig { alpha: 0.01, sigma: 0.1414, buffer: 4000, ..SgldConfig::default() },
            loss: LossConfig { clip: Clip::Elu, p_on, sample_when_off: p_on > 0.0, ..LossConfig::default() },
            ..EbmConfig::default()
        };
        let device = Device::cpu(2);
        let mut t = Trainer::new(config, Select::Accuracy, train.clone(), valid.clone(), 4, 1, &device).unwrap();
        run_epochs(&mut t).unwrap();
        let score = |x: &[f32]| evaluate::readings(&evaluate::logits(t.network(), x, &device).unwrap()).log_px;
        let inside = score(&valid.x);
        [&far, &origin].map(|outside| {
            let outside = score(outside);
            let positive: Vec<bool> = (0..inside.len() + outside.len()).map(|i| i < inside.len()).collect();
            let scores: Vec<f64> = inside.iter().chain(&outside).map(|&s| f64::from(s)).collect();
            cytograd::analysis::metrics::auroc(&positive, &scores).unwrap()
        })
    };
    let energy = auroc(1.0);
    let classifier = auroc(0.0);
    println!("log p(x): far {:.3}, origin {:.3}; cross-entropy alone: far {:.3}", energy[0], energy[1], classifier[0]);
    assert!(energy[0] >= 0.95 && energy[1] >= 0.95, "{energy:?}");
    assert!(classifier[0] < 0.5, "{classifier:?}");
}

#[test]
fn check_24_and_26_same_bits_for_any_number_of_threads() {
    let (train, valid) = reference_data(800, 3);
    let run = |device: Device| {
        let mut config = prototype(Clip::Elu, 0.25, 1.0);
        config.sgld.steps = 5;
        let mut t = Trainer::new(config, Select::Accuracy, train.clone(), valid.clone(), 8, 5, &device).unwrap();
        let logs: Vec<StepLog> = (0..30).map(|_| t.step().unwrap()).collect();
        (logs, params_bits(&t))
    };
    let one = run(Device::cpu(1));
    for threads in [1, 2, 7] {
        assert!(run(Device::cpu(threads)) == one, "{threads} threads");
    }
}

#[test]
fn streams_restore_to_the_same_batches() {
    let mut a = BatchStream::new(103, 10, Stream::new(1, stream::ORDER_X)).unwrap();
    (0..17).for_each(|_| drop(a.next_batch().to_vec()));
    let mut b = BatchStream::new(103, 10, Stream::new(1, stream::ORDER_X)).unwrap();
    b.restore(a.position());
    (0..17).for_each(|_| assert_eq!(a.next_batch(), b.next_batch()));
}

#[test]
fn a_base_density_labels_from_the_start_and_tells_far_cells() {
    let device = Device::cpu(1);
    let (train, valid) = reference_data(400, 4);
    let untrained = |base: bool, x: &[f32]| {
        let config = EbmConfig { base, ..prototype(Clip::Elu, 0.25, 0.1) };
        let t =
            Trainer::new(config, Select::Accuracy, train.clone(), Cells { y: vec![], ..valid.clone() }, 8, 5, &device)
                .unwrap();
        evaluate::logits(t.network(), x, &device).unwrap()
    };
    let accuracy = |base: bool| evaluate::figures(&untrained(base, &valid.x), &valid.y).accuracy;
    assert!(accuracy(true) > 0.9 && accuracy(false) < 0.5, "{} {}", accuracy(true), accuracy(false));
    let log_px = |x: &[f32]| evaluate::readings(&untrained(true, x)).log_px;
    let lowest = log_px(&valid.x).iter().copied().fold(f32::INFINITY, f32::min);
    let far: Vec<f32> = valid.x.iter().map(|v| 3.0 * v).collect();
    let low = log_px(&far).iter().filter(|&&s| s < lowest).count();
    assert!(low * 20 >= valid.len() * 19, "{low} of {} far cells", valid.len());
}

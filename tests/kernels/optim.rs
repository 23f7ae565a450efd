use crate::harness::*;
use cytograd::kernel::Kernel;
use cytograd::kernel::optim::*;

const ALL: [&Kernel; 9] = [&SGD, &MOMENTUM, &ADAM, &AMSGRAD, &ADADELTA, &RMSPROP, &ADAGRAD, &ADAMAX, &EMA];

fn constants(n: usize) -> OptimParams {
    OptimParams {
        n: n as u32,
        beta1: 0.9,
        rest1: (1.0f64 - 0.9) as f32,
        beta2: 0.999,
        rest2: (1.0f64 - 0.999) as f32,
        eps: 1e-8,
        l2: 0.01,
        decay: 0.1,
        ..OptimParams::default()
    }
}

/// Parameters and state, `len` elements each.
fn arenas(kernel: &Kernel, len: usize, values: fn(usize, u32) -> Vec<f32>) -> Vec<Out> {
    (2..kernel.bindings.len()).map(|k| Out::Update(values(len, k as u32))).collect()
}

#[test]
fn every_rule_matches_reference_bits() {
    let step = [0.1f32, 0.19, 0.02, 1.5, 1e-8];
    for kernel in ALL {
        for n in SIZES.into_iter().chain([70_001]) {
            for flags in [0, NESTEROV] {
                for values in [hostile, ordinary] {
                    let params = OptimParams { flags, ..constants(n) };
                    let what = format!("n {n} flags {flags}");
                    check(&what, kernel, &params, &[bits(&values(n, 9)), bits(&step)], &arenas(kernel, n, values));
                }
            }
        }
    }
}

#[test]
fn every_rule_keeps_to_its_range() {
    let step = [f32::NAN, f32::NAN, 0.1, 0.19, 0.02, 1.5, 1e-8];
    for kernel in ALL {
        let params = OptimParams { g_at: 3, w_at: 11, state_at: 5, step_at: 2, ..constants(257) };
        let out =
            check("range", kernel, &params, &[bits(&ordinary(300, 9)), bits(&step)], &arenas(kernel, 300, ordinary));
        let first = ordinary(300, 2);
        for i in (0..11).chain(11 + 257..300) {
            assert_eq!(out[0][i], first[i].to_bits(), "{}: parameter {i} is outside the range", kernel.name);
        }
    }
}

/// Feeds `gradients` one after the other to one parameter that starts at 1; `step(t)` for t = 1, 2, ...
fn trajectory(
    kernel: &'static Kernel,
    params: OptimParams,
    gradients: &[f32],
    step: impl Fn(i32) -> Vec<f32>,
) -> Vec<f32> {
    let mut state: Vec<f32> = vec![0.0; kernel.bindings.len() - 2];
    state[0] = 1.0;
    let mut path = Vec::new();
    for (t, &g) in gradients.iter().enumerate() {
        let outs: Vec<Out> = state.iter().map(|&v| Out::Update(vec![v])).collect();
        let out = check("trajectory", kernel, &params, &[bits(&[g]), bits(&step(t as i32 + 1))], &outs);
        state = out.iter().map(|words| f32::from_bits(words[0])).collect();
        path.push(state[0]);
    }
    path
}

fn assert_near(found: &[f32], expected: &[f64]) {
    for (f, e) in found.iter().zip(expected) {
        assert!((f64::from(*f) - e).abs() <= 2e-7 * e.abs(), "found {found:?}, expected {expected:?}");
    }
}

fn adam_step(lr: f64, eps: f64, t: i32) -> Vec<f32> {
    let (c1, c2) = (1.0 - 0.9f64.powi(t), 1.0 - 0.999f64.powi(t));
    [lr, lr / c1, 0.0, 1.0 / c2.sqrt(), eps].map(|v| v as f32).to_vec()
}

#[test]
fn adam_follows_its_definition() {
    let plain = OptimParams { l2: 0.0, decay: 0.0, ..constants(1) };
    let gradients = [0.5, 0.5, -0.2];
    let path = trajectory(&ADAM, plain, &gradients, |t| adam_step(1e-3, 0.01, t));
    assert_near(&path, &[0.9990196078, 0.9980392157, 0.9974825420]);
    let path = trajectory(&ADAM, plain, &gradients, |t| adam_step(1e-3, 1e-8, t));
    assert_near(&path, &[0.9990000000, 0.9980000000, 0.9974302029]);
    // The largest average of squares so far is the last one here, up to the third step.
    let path = trajectory(&AMSGRAD, plain, &[0.5, 0.5], |t| adam_step(1e-3, 0.01, t));
    assert_near(&path, &[0.9990196078, 0.9980392157]);
}

#[test]
fn weight_decay_is_coupled_or_not() {
    let zero = [0.0; 3];
    let decoupled = OptimParams { l2: 0.0, decay: 0.1, ..constants(1) };
    let path = trajectory(&ADAM, decoupled, &zero, |t| adam_step(0.01, 1e-8, t));
    assert_near(&path, &[0.999, 0.999f64.powi(2), 0.999f64.powi(3)]);
    // Coupled decay alone makes Adam move by its learning rate.
    let coupled = OptimParams { l2: 0.1, decay: 0.0, ..constants(1) };
    let path = trajectory(&ADAM, coupled, &zero[..1], |t| adam_step(0.01, 1e-8, t));
    assert_near(&path, &[1.0 - 0.01 * (0.1 / (0.1 + 1e-8))]);
}

#[test]
fn momentum_and_nesterov_follow_their_definition() {
    let params = OptimParams { l2: 0.0, ..constants(1) };
    let step = |t| vec![0.1, if t == 1 { 0.0 } else { 0.9 }, if t == 1 { 1.0 } else { 0.5 }];
    // b: 1, 0.9 + 0.5, 1.26 - 1
    let path = trajectory(&MOMENTUM, params, &[1.0, 1.0, -2.0], step);
    assert_near(&path, &[0.9, 0.9 - 0.14, 0.76 - 0.026]);
    let nesterov = OptimParams { flags: NESTEROV, ..params };
    let path = trajectory(&MOMENTUM, nesterov, &[1.0, 1.0, -2.0], step);
    assert_near(&path, &[0.81, 0.81 - 0.226, 0.584 + 0.1766]);
}

#[test]
fn the_other_rules_follow_their_definition() {
    let params = OptimParams { l2: 0.0, beta1: 0.5, rest1: 0.5, beta2: 0.5, rest2: 0.5, eps: 1e-2, ..constants(1) };
    let g = [2.0f64, -1.0];
    let fed = g.map(|v| v as f32);
    let (mut w, mut q, mut a, mut path) = (1.0, 0.0f64, 0.0f64, vec![]);
    for g in g {
        q = 0.5 * q + 0.5 * g * g;
        let u = ((a + 1e-2) / (q + 1e-2)).sqrt() * g;
        a = 0.5 * a + 0.5 * u * u;
        w -= 0.3 * u;
        path.push(w);
    }
    assert_near(&trajectory(&ADADELTA, params, &fed, |_| vec![0.3]), &path);
    let rms = [1.0 - 0.3 * 2.0 / (2f64.sqrt() + 1e-2)];
    assert_near(&trajectory(&RMSPROP, params, &fed[..1], |_| vec![0.3]), &rms);
    let first = 1.0 - 0.3 * 2.0 / 2.01;
    let ada = [first, first + 0.3 / (5f64.sqrt() + 1e-2)];
    assert_near(&trajectory(&ADAGRAD, params, &fed, |_| vec![0.3]), &ada);
    // m: 1, 0; u: 2.01, max(1.005, 1.01)
    assert_near(&trajectory(&ADAMAX, params, &fed, |_| vec![0.3]), &[1.0 - 0.3 / 2.01, 1.0 - 0.3 / 2.01]);
    assert_near(&trajectory(&SGD, params, &fed, |_| vec![0.25]), &[0.5, 0.75]);
    assert_near(&trajectory(&EMA, params, &fed, |_| vec![0.25]), &[1.25, 0.6875]);
}

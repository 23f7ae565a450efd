use crate::harness::*;
use cytograd::backend::{Backend, Call};
use cytograd::cpu::Cpu;
use cytograd::kernel::sgld::*;

fn base(n: usize) -> SgldParams {
    SgldParams {
        seed: [7, 1],
        stream: 6,
        step: 11,
        part: 0,
        n: n as u32,
        g_offset: 0,
        x_offset: 0,
        flags: 0,
        alpha: 0.7,
        sigma: 0.01,
        g_max: 0.5,
        low: -0.25,
        high: 1.5,
    }
}

#[test]
fn step_matches_reference_bits() {
    for n in SIZES.into_iter().chain([70_001]) {
        let (g, x) = (hostile(n, 1), hostile(n, 2));
        for flags in 0..4 {
            for counter in [0, u32::MAX] {
                let params = SgldParams { flags, ..base(n) };
                let what = format!("n {n} flags {flags} counter {counter}");
                check(&what, &STEP, &params, &[bits(&g), &[counter]], &[Out::Update(x.clone())]);
            }
        }
    }
}

#[test]
fn step_with_offsets_and_odd_scalars_matches_reference_bits() {
    let n = 1021;
    let (g, x) = (hostile(n + 40, 3), hostile(n + 40, 4));
    for alpha in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-42] {
        for sigma in [0.0, 1.0, f32::MAX] {
            let params = SgldParams { alpha, sigma, g_offset: 3, x_offset: 17, flags: 3, ..base(n) };
            check(&format!("{alpha} {sigma}"), &STEP, &params, &[bits(&g), &[5]], &[Out::Update(x.clone())]);
        }
    }
}

#[test]
fn step_without_noise_and_gradient_changes_nothing() {
    let x = ordinary(257, 5);
    let params = SgldParams { sigma: 0.0, ..base(257) };
    let out = check("still", &STEP, &params, &[bits(&vec![0.0; 257]), &[0]], &[Out::Update(x.clone())]);
    assert_eq!(&out[0][..257], bits(&x));
}

/// Chains on the energy `x^2 / 2v` have variance `sigma^2 / (1 - (1 - alpha/v)^2)` in the long run.
#[test]
fn chains_reach_their_stationary_variance() {
    let cpu = Cpu::new(2);
    // 20k chains for as many steps as forget the start; the estimate's standard error is 1 %.
    let (n, counter) = (20_000usize, cpu.alloc(4).unwrap());
    cpu.upload(&counter, &[0; 4]).unwrap();
    for (alpha, v, sigma, steps) in
        [(0.1f32, 1.0f32, 0.1f32, 60), (1.0, 2.0, 0.01, 40), (0.01, 1.0, 0.02f32.sqrt(), 500)]
    {
        let (g, x) = (cpu.alloc(4 * n).unwrap(), cpu.alloc(4 * n).unwrap());
        let mut state = vec![0.0f32; n];
        cpu.upload(&x, bytemuck::cast_slice(&state)).unwrap();
        for step in 0..steps {
            cpu.download(&x, bytemuck::cast_slice_mut(&mut state)).unwrap();
            let slope: Vec<f32> = state.iter().map(|x| -x / v).collect();
            cpu.upload(&g, bytemuck::cast_slice(&slope)).unwrap();
            let params = SgldParams { alpha, sigma, step, ..base(n) };
            let call = Call {
                kernel: &STEP,
                params: bytemuck::bytes_of(&params),
                buffers: &[&g, &counter, &x],
                geometry: [n as u32 / 4, 1, 1],
            };
            cpu.launch(&call).unwrap();
        }
        cpu.download(&x, bytemuck::cast_slice_mut(&mut state)).unwrap();
        let found = state.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n as f64;
        let shrink = 1.0 - f64::from(alpha) / f64::from(v);
        let expected = f64::from(sigma).powi(2) / (1.0 - shrink * shrink);
        assert!((found / expected - 1.0).abs() < 0.04, "alpha {alpha}: variance {found:e}, expected {expected:e}");
    }
}

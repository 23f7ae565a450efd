use crate::harness::*;
use cytograd::kernel::random::*;

fn base(n: usize, offset: u32) -> RandomParams {
    let seed = [0x1234_5678, 0x9abc_def0];
    RandomParams { seed, stream: 6, step: 3, part: 2, offset, n: n as u32, a: 0.3, b: 1.7, c: -2.0 }
}

/// Outputs with room for the offset; words outside the params' range must stay as they were.
fn room(n: usize, offset: u32) -> Vec<Out> {
    vec![Out::Update(vec![0.5; n + offset as usize])]
}

#[test]
fn draws_match_reference_bits() {
    for kernel in [&UNIFORM, &NORMAL, &MASK] {
        for n in SIZES.into_iter().chain([70_001]) {
            for offset in [0, 5] {
                for counter in [0, 1, u32::MAX] {
                    let what = format!("n {n} offset {offset} counter {counter}");
                    check(&what, kernel, &base(n, offset), &[&[counter]], &room(n, offset));
                }
            }
        }
    }
}

#[test]
fn draws_with_odd_scalars_match_reference_bits() {
    for kernel in [&UNIFORM, &NORMAL, &MASK] {
        for (a, b) in [(f32::NAN, 1.0), (0.0, f32::INFINITY), (1e-45, 1e-40), (-f32::MAX, f32::MAX), (0.0, 0.0)] {
            check(&format!("{a:e} {b:e}"), kernel, &RandomParams { a, b, ..base(257, 0) }, &[&[9]], &room(257, 0));
        }
    }
}

#[test]
fn below_matches_reference_bits_and_stays_below() {
    for bound in [1, 2, 7, 10_000, u32::MAX] {
        for n in SIZES {
            let params = RandomParams { a: f32::from_bits(bound), ..base(n, 0) };
            let out = check(&format!("bound {bound} n {n}"), &BELOW, &params, &[&[4]], &[Out::Words(n)]);
            assert!(out[0][..n].iter().all(|&w| w < bound));
        }
    }
}

#[test]
fn advance_moves_the_counter_and_wraps() {
    for (start, by, end) in [(0, 1, 1), (u32::MAX, 1, 0), (7, 0, 7)] {
        let out = check("advance", &ADVANCE, &AdvanceParams { by }, &[], &[Out::UpdateWords(vec![start])]);
        assert_eq!(out[0][0], end);
    }
}

#[test]
fn counter_stands_for_the_step() {
    let n = 257;
    let run = |step, counter: u32| {
        check("step", &NORMAL, &RandomParams { step, ..base(n, 0) }, &[&[counter]], &[Out::Floats(n)])
    };
    assert_eq!(run(5, 0), run(2, 3));
    assert_ne!(run(5, 0), run(5, 1));
}

#[test]
fn draws_have_their_distributions() {
    let n = 1_000_000;
    let draw = |kernel, a, b, c| {
        let out = check("large", kernel, &RandomParams { a, b, c, ..base(n, 0) }, &[&[0]], &[Out::Floats(n)]);
        out[0][..n].iter().map(|&w| f64::from(f32::from_bits(w))).collect::<Vec<f64>>()
    };
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    // Four standard errors each.
    let u = draw(&UNIFORM, -1.0, 1.0, 0.0);
    assert!(mean(&u).abs() < 4.0 * (1.0f64 / 3.0 / n as f64).sqrt());
    let z = draw(&NORMAL, 0.0, 1.0, 0.0);
    assert!(mean(&z).abs() < 4.0 / (n as f64).sqrt());
    let squares: Vec<f64> = z.iter().map(|v| v * v).collect();
    assert!((mean(&squares) - 1.0).abs() < 4.0 * (2.0 / n as f64).sqrt());
    let kept = draw(&MASK, 0.25, 0.0, 1.0);
    assert!((mean(&kept) - 0.75).abs() < 4.0 * (0.25 * 0.75 / n as f64).sqrt());
}

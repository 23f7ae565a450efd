//! Elementary functions and normal draws, one thread, data in cache: our loops against the same
//! loops over the platform's scalar functions.

#[path = "measure.rs"]
mod measure;

use cytograd::math;
use cytograd::rng::{Stream, stream};
use std::hint::black_box;

const N: usize = 4096;

type Case = (&'static str, fn(&[f32], &mut [f32]), fn(f32) -> f32, f32, f32);

macro_rules! case {
    ($function:ident, $theirs:expr, $low:expr, $high:expr) => {{
        cytograd::simd_fn! {
            fn ours(x: &[f32], y: &mut [f32]) {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = math::$function(x);
                }
            }
        }
        (stringify!($function), ours as fn(&[f32], &mut [f32]), $theirs as fn(f32) -> f32, $low, $high)
    }};
}

cytograd::simd_fn! {
    fn normals(stream: Stream, out: &mut [f32]) {
        for (block, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *out = stream.normal4(block as u32);
        }
    }
}

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let rounds = if quick { 1 } else { 11 };
    let cases: Vec<Case> = vec![
        case!(exp, f32::exp, -20.0, 20.0),
        case!(exp2, f32::exp2, -20.0, 20.0),
        case!(expm1, f32::exp_m1, -20.0, 20.0),
        case!(ln, f32::ln, 1e-3, 1e3),
        case!(log1p, f32::ln_1p, 0.0, 100.0),
        case!(tanh, f32::tanh, -5.0, 5.0),
        case!(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -20.0, 20.0),
        case!(softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), -20.0, 20.0),
        case!(sin, f32::sin, -100.0, 100.0),
        case!(erf, libm::erff, -3.0, 3.0),
        case!(ndtr, |x| 0.5 * libm::erfcf(-x * std::f32::consts::FRAC_1_SQRT_2), -5.0, 5.0),
        case!(lgamma, libm::lgammaf, 0.01, 50.0),
        case!(lgamma_positive, libm::lgammaf, 0.01, 50.0),
        case!(digamma, libm::lgammaf, 0.01, 50.0),
        case!(digamma_positive, libm::lgammaf, 0.01, 50.0),
        case!(trigamma, libm::lgammaf, 0.01, 50.0),
    ];
    measure::title("nanoseconds per value, one thread (digamma, trigamma: against libm's lgamma)");
    for (name, ours, theirs, low, high) in cases.into_iter().filter(|c| c.0.contains(&filter)) {
        let x: Vec<f32> = measure::values(N, 7).iter().map(|v| low + (high - low) * (0.5 * v + 0.5)).collect();
        let (mut a, mut b) = (vec![0f32; N], vec![0f32; N]);
        let stats = measure::compare(
            rounds,
            &mut [
                ("ours", &mut || ours(black_box(&x), black_box(&mut a))),
                ("platform", &mut || {
                    for (b, &x) in black_box(&mut b).iter_mut().zip(&x) {
                        *b = theirs(x);
                    }
                }),
            ],
        );
        for (x, (a, b)) in x.iter().zip(a.iter().zip(&b)) {
            let same = (a - b).abs() <= 1e-5 * b.abs().max(0.1);
            assert!(same || name.contains("digamma") || name == "trigamma", "{name}({x}) = {a}, not {b}");
        }
        let per = |s: &measure::Stats| 1e9 * s.median / N as f64;
        println!("  {name:<18} {:7.3} ns   platform {:7.3} ns", per(&stats[0]), per(&stats[1]));
        measure::verdict(name, measure::ratio(&stats[1], &stats[0]), 1.0);
    }
    let mut out = vec![0f32; N];
    let draws = Stream::new(1, stream::TEST);
    let stats = measure::compare(rounds, &mut [("normal", &mut || normals(draws, black_box(&mut out)))]);
    println!("  {:<18} {:7.3} ns", "normal4", 1e9 * stats[0].median / N as f64);
}

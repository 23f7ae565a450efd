use crate::harness::*;
use cytograd::kernel::mmd::*;

const GAMMAS: [f32; 8] = [0.5, 2.0, 0.125, 8.0, 0.03125, 1.0, 0.01, 4.0];

fn params(kind: Kind, m: usize, n: usize, d: usize) -> MmdParams {
    let scale = 1.0 / d.max(1) as f32;
    let [kind, m, n, d] = [kind as usize, m, n, d].map(|v| v as u32);
    MmdParams { kind, m, n, d, p: 1, gammas: 1, scale, shift: 1.0, ..MmdParams::default() }
}

const SHAPES: [(usize, usize, usize); 11] = [
    (0, 3, 2),
    (3, 0, 2),
    (2, 3, 0),
    (1, 1, 1),
    (15, 7, 3),
    (16, 8, 8),
    (17, 255, 5),
    (17, 256, 9),
    (5, 257, 17),
    (9, 600, 7),
    (18, 40, 33),
];

/// Runs all entries on points of `values`, `p` columns (0: unit weights).
fn run_all(kind: Kind, (m, n, d): (usize, usize, usize), p: usize, gammas: usize, values: fn(usize, u32) -> Vec<f32>) {
    let columns = p.max(1);
    let (x, y) = (values(m * d + 3, 1), values(n * d + 2, 2));
    let (u, v) = (values(m * columns + 1, 3), values(n * columns + 5, 4));
    let unit = if p == 0 { UNIT } else { 0 };
    for (flags, first) in [(unit, 0), (unit | EXCLUDE_SELF, 0), (unit | EXCLUDE_SELF, 2)] {
        let params = MmdParams {
            p: columns as u32,
            gammas: gammas as u32,
            flags,
            first,
            x_at: 3,
            y_at: 2,
            u_at: 1,
            v_at: 5,
            ..params(kind, m, n, d)
        };
        let what = format!("{kind:?} {m} x {n} x {d} p {p} gammas {gammas} flags {flags} first {first}");
        let (x, y, gamma, u, v) = (bits(&x), bits(&y), bits(&GAMMAS), bits(&u), bits(&v));
        check(&what, &ROWS, &params, &[x, y, gamma], &[Out::Floats(m * n)]);
        let apply = check(&what, &APPLY, &params, &[x, y, gamma, v], &[Out::Floats(m * columns)]);
        let outs = [Out::Floats(m * columns), Out::Floats(m * d)];
        let both = check(&what, &APPLY_GRAD, &params, &[x, y, gamma, u, v], &outs);
        let nan = |w: &u32| w & 0x7fff_ffff > 0x7f80_0000;
        assert!(apply[0].iter().zip(&both[0]).all(|(a, b)| a == b || (nan(a) && nan(b))), "{what}");
    }
}

#[test]
fn sums_match_reference_bits() {
    for kind in Kind::ALL {
        for (k, shape) in SHAPES.into_iter().enumerate() {
            run_all(kind, shape, k % 5, 1 + k % 8, ordinary);
            run_all(kind, shape, (k + 2) % 5, 1 + (k + 5) % 8, hostile);
        }
    }
}

#[test]
fn many_rows_match_reference_bits() {
    for kind in [Kind::Gaussian, Kind::Laplacian, Kind::Cubic] {
        run_all(kind, (130, 300, 17), 2, 3, ordinary);
    }
}

/// K and its gradient in binary64.
fn oracle(kind: Kind, x: &[f64], y: &[f64], gamma: &[f64]) -> (f64, Vec<f64>) {
    let dot: f64 = x.iter().zip(y).map(|(a, b)| a * b).sum();
    let e: Vec<f64> = x.iter().zip(y).map(|(a, b)| a - b).collect();
    let square: f64 = e.iter().map(|e| e * e).sum();
    let city: f64 = e.iter().map(|e| e.abs()).sum();
    let q = dot / x.len() as f64 + 1.0;
    let sum = |f: &dyn Fn(f64) -> f64| gamma.iter().map(|&g| f(g)).sum::<f64>();
    match kind {
        Kind::Linear => (dot, y.to_vec()),
        Kind::Cubic => (q.powi(3), y.iter().map(|y| 3.0 * q * q * y / x.len() as f64).collect()),
        Kind::Gaussian => {
            let c = sum(&|g| -2.0 * g * (-g * square).exp());
            (sum(&|g| (-g * square).exp()), e.iter().map(|e| c * e).collect())
        }
        Kind::Laplacian => {
            let c = sum(&|g| -g * (-g * city).exp());
            (sum(&|g| (-g * city).exp()), e.iter().map(|e| c * e.signum()).collect())
        }
        Kind::Distance => (square, e.iter().map(|e| 2.0 * e).collect()),
        Kind::GaussianScale => {
            let c = sum(&|g| 2.0 * g * (g * square - 1.0) * (-g * square).exp());
            (sum(&|g| -g * square * (-g * square).exp()), e.iter().map(|e| c * e).collect())
        }
    }
}

#[test]
fn sums_and_gradients_match_their_definition() {
    let (m, n, d, p) = (19, 300, 6, 2);
    let (x, y, u, v) = (ordinary(m * d, 1), ordinary(n * d, 2), ordinary(m * p, 3), ordinary(n * p, 4));
    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let (wx, wy, wu, wv, gamma) = (wide(&x), wide(&y), wide(&u), wide(&v), wide(&GAMMAS[..3]));
    for kind in Kind::ALL {
        for flags in [0, EXCLUDE_SELF] {
            let params = MmdParams { p: p as u32, gammas: 3, flags, ..params(kind, m, n, d) };
            let inputs = [bits(&x), bits(&y), bits(&GAMMAS), bits(&u), bits(&v)];
            let found = check("oracle", &APPLY_GRAD, &params, &inputs, &[Out::Floats(m * p), Out::Floats(m * d)]);
            for i in 0..m {
                // Sums of terms of both signs: the error is measured by the sum of their sizes.
                let (mut out, mut out_size) = (vec![0.0; p], vec![0.0; p]);
                let (mut grad, mut grad_size) = (vec![0.0; d], vec![0.0; d]);
                for j in (0..n).filter(|&j| flags == 0 || i != j) {
                    let (k, slope) = oracle(kind, &wx[i * d..(i + 1) * d], &wy[j * d..(j + 1) * d], &gamma);
                    let w: f64 = (0..p).map(|c| wu[i * p + c] * wv[j * p + c]).sum();
                    for c in 0..p {
                        out[c] += k * wv[j * p + c];
                        out_size[c] += (k * wv[j * p + c]).abs();
                    }
                    for t in 0..d {
                        grad[t] += w * slope[t];
                        grad_size[t] += (w * slope[t]).abs();
                    }
                }
                let near = |found: u32, expected: f64, size: f64, what: &str| {
                    let error = (f64::from(f32::from_bits(found)) - expected).abs();
                    assert!(
                        error <= 2e-6 * size,
                        "{kind:?} {what} of row {i}: error {error:e}, terms add up to {size:e}"
                    );
                };
                for c in 0..p {
                    near(found[0][i * p + c], out[c], out_size[c], "sum");
                }
                for t in 0..d {
                    near(found[1][i * d + t], grad[t], grad_size[t], "gradient");
                }
            }
        }
    }
}

#[test]
fn a_point_is_left_out_of_its_own_sum() {
    let x = ordinary(40 * 3, 1);
    let run = |flags| {
        let params = MmdParams { flags: flags | UNIT, ..params(Kind::Gaussian, 40, 40, 3) };
        let out = check("self", &APPLY, &params, &[bits(&x), bits(&x), bits(&[0.5]), &[]], &[Out::Floats(40)]);
        out[0][..40].iter().map(|&w| f32::from_bits(w)).collect::<Vec<f32>>()
    };
    for (with, without) in run(0).iter().zip(run(EXCLUDE_SELF)) {
        assert!((with - without - 1.0).abs() < 1e-5, "{with} and {without}");
    }
}

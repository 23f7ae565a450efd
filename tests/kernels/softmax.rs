use crate::harness::*;
use bytemuck::cast_slice;
use cytograd::kernel::Kernel;
use cytograd::kernel::softmax::*;

/// Logits of several kinds: [rows, n] with three words before them.
fn logits(len: usize) -> [(&'static str, Vec<f32>); 5] {
    let far = |v: &f32| 1e4 * v;
    let masked = |(i, v): (usize, &f32)| if i % 3 == 1 { f32::NEG_INFINITY } else { *v };
    [
        ("ordinary", ordinary(len, 30)),
        ("hostile", hostile(len, 31)),
        ("far apart", ordinary(len, 32).iter().map(far).collect()),
        ("masked", ordinary(len, 33).iter().enumerate().map(masked).collect()),
        ("-inf", vec![f32::NEG_INFINITY; len]),
    ]
}

fn shapes() -> Vec<(usize, usize)> {
    let mut shapes: Vec<(usize, usize)> = SIZES.into_iter().map(|n| (3, n)).collect();
    shapes.extend([(0, 10), (1, 10), (1000, 10), (257, 14), (9, 16), (5, 33), (40, 100), (7, 256), (3, 512), (3, 513)]);
    shapes
}

#[test]
fn softmax_matches_reference_bits() {
    for (rows, n) in shapes() {
        for (kind, x) in logits(rows * n + 3) {
            let p = SoftmaxParams { offset: 3, rows: rows as u32, n: n as u32 };
            let what = format!("{rows}x{n} {kind}");
            check(&what, &SOFTMAX, &p, &[bits(&x)], &[Out::Floats(rows * n)]);
            check(&what, &LOG, &p, &[bits(&x)], &[Out::Floats(rows * n)]);
            check(&what, &LSE, &p, &[bits(&x)], &[Out::Floats(rows)]);
        }
    }
}

#[test]
fn cross_entropy_matches_reference_bits() {
    for (rows, n) in shapes() {
        for (kind, x) in logits(rows * n + 3) {
            for (targets, t) in [("hostile", hostile(rows * n, 34)), ("ordinary", ordinary(rows * n, 35))] {
                let t: Vec<f32> = t.iter().enumerate().map(|(i, v)| if i % 4 == 0 { 0.0 } else { *v }).collect();
                let p = CrossEntropyParams {
                    logits_offset: 3,
                    targets_offset: 0,
                    upstream_offset: 1,
                    rows: rows as u32,
                    n: n as u32,
                };
                let what = format!("{rows}x{n} {kind}, targets {targets}");
                check(&what, &CROSS_ENTROPY, &p, &[bits(&x), bits(&t)], &[Out::Floats(rows)]);
                let upstream = ordinary(rows + 1, 36);
                let inputs = [bits(&x), bits(&t), bits(&upstream)];
                check(&what, &CROSS_ENTROPY_GRAD, &p, &inputs, &[Out::Floats(rows * n)]);
            }
        }
    }
}

fn one_row(kernel: &'static Kernel, x: &[f32], outputs: usize) -> Vec<f32> {
    let p = SoftmaxParams { offset: 0, rows: 1, n: x.len() as u32 };
    let found = check("one row", kernel, &p, &[bits(x)], &[Out::Floats(outputs)]);
    cast_slice(&found[0][..outputs]).to_vec()
}

/// Check 3 of the CLAMS specification.
#[test]
fn logsumexp_is_right_for_large_logits() {
    let found = one_row(&LSE, &[1e4, 1e4 - 1.0], 1)[0];
    assert!((f64::from(found) - 10000.31326168752).abs() <= 0.0005, "{found}");
    let found = one_row(&LSE, &[-1e4, -1e4], 1)[0];
    assert!((f64::from(found) + 9999.30685281944).abs() <= 0.0005, "{found}");
}

#[test]
fn logsumexp_of_infinities_follows_torch() {
    const INF: f32 = f32::INFINITY;
    assert_eq!(one_row(&LSE, &[-INF, -INF], 1), [-INF]);
    assert_eq!(one_row(&LSE, &[], 1), [-INF]);
    assert_eq!(one_row(&LSE, &[1.0, INF, -INF], 1), [INF]);
    assert_eq!(one_row(&LSE, &[2.5, -INF], 1), [2.5]);
    assert!(one_row(&LSE, &[1.0, f32::NAN, INF], 1)[0].is_nan());
    assert!(one_row(&SOFTMAX, &[-INF, -INF], 2).iter().all(|v| v.is_nan()));
    assert!(one_row(&SOFTMAX, &[1.0, INF], 2).iter().all(|v| v.is_nan()));
    assert_eq!(one_row(&SOFTMAX, &[-INF, 3.0], 2), [0.0, 1.0]);
    assert_eq!(one_row(&LOG, &[-INF, 3.0], 2), [-INF, 0.0]);
}

#[test]
fn softmax_rows_sum_to_one_and_match_float64() {
    for (rows, n) in [(50, 10), (20, 300), (3, 4099)] {
        for scale in [1.0, 30.0, 1e4] {
            let x: Vec<f32> = ordinary(rows * n, 37).iter().map(|v| v * scale).collect();
            let p = SoftmaxParams { offset: 0, rows: rows as u32, n: n as u32 };
            let y = check("softmax", &SOFTMAX, &p, &[bits(&x)], &[Out::Floats(rows * n)]);
            let log = check("log", &LOG, &p, &[bits(&x)], &[Out::Floats(rows * n)]);
            let lse = check("lse", &LSE, &p, &[bits(&x)], &[Out::Floats(rows)]);
            let (y, log, lse): (&[f32], &[f32], &[f32]) = (cast_slice(&y[0]), cast_slice(&log[0]), cast_slice(&lse[0]));
            for r in 0..rows {
                let x: Vec<f64> = x[r * n..][..n].iter().map(|&v| f64::from(v)).collect();
                let m = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let expected = x.iter().map(|v| (v - m).exp()).sum::<f64>().ln() + m;
                assert!(
                    (f64::from(lse[r]) - expected).abs() <= 2e-7 * expected.abs().max(10.0),
                    "{} {expected}",
                    lse[r]
                );
                let y = &y[r * n..][..n];
                let sum: f64 = y.iter().map(|&v| f64::from(v)).sum();
                assert!((sum - 1.0).abs() <= 1e-6, "row sums to {sum}");
                for j in 0..n {
                    let logp = x[j] - expected;
                    assert!((f64::from(y[j]) - logp.exp()).abs() <= 1e-6);
                    let tolerance = 2e-6 * logp.abs().max(expected.abs() * 1e-1).max(1.0);
                    assert!((f64::from(log[r * n + j]) - logp).abs() <= tolerance, "{} {logp}", log[r * n + j]);
                }
            }
        }
    }
}

#[test]
fn cross_entropy_and_gradient_match_float64() {
    let (rows, n) = (40, 14);
    let x: Vec<f32> = ordinary(rows * n, 38).iter().map(|v| v * 5.0).collect();
    let t: Vec<f32> = ordinary(rows * n, 39).iter().map(|v| v.abs()).collect();
    let upstream = ordinary(rows, 40);
    let p =
        CrossEntropyParams { logits_offset: 0, targets_offset: 0, upstream_offset: 0, rows: rows as u32, n: n as u32 };
    let loss = check("loss", &CROSS_ENTROPY, &p, &[bits(&x), bits(&t)], &[Out::Floats(rows)]);
    let inputs = [bits(&x), bits(&t), bits(&upstream)];
    let grad = check("grad", &CROSS_ENTROPY_GRAD, &p, &inputs, &[Out::Floats(rows * n)]);
    let (loss, grad): (&[f32], &[f32]) = (cast_slice(&loss[0]), cast_slice(&grad[0]));
    for r in 0..rows {
        let row = |v: &[f32]| v[r * n..][..n].iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let (x, t) = (row(&x), row(&t));
        let lse = x.iter().map(|v| v.exp()).sum::<f64>().ln();
        let total: f64 = t.iter().sum();
        let expected = lse * total - x.iter().zip(&t).map(|(x, t)| x * t).sum::<f64>();
        assert!((f64::from(loss[r]) - expected).abs() <= 2e-6 * expected.abs().max(1.0), "{} {expected}", loss[r]);
        for j in 0..n {
            let expected = f64::from(upstream[r]) * ((x[j] - lse).exp() * total - t[j]);
            assert!((f64::from(grad[r * n + j]) - expected).abs() <= 5e-6, "{} {expected}", grad[r * n + j]);
        }
    }
}

#[test]
fn cross_entropy_ignores_impossible_classes_without_target() {
    let (x, t) = ([0.0, f32::NEG_INFINITY, 0.0], [0.5, 0.0, 0.5]);
    let p = CrossEntropyParams { logits_offset: 0, targets_offset: 0, upstream_offset: 0, rows: 1, n: 3 };
    let loss = check("masked", &CROSS_ENTROPY, &p, &[bits(&x), bits(&t)], &[Out::Floats(1)]);
    assert!((f32::from_bits(loss[0][0]) - 2.0f32.ln()).abs() < 1e-6);
}

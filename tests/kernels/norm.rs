use crate::harness::*;
use bytemuck::cast_slice;
use cytograd::kernel::norm::*;

/// (rows, features)
const SHAPES: [(usize, usize); 13] = [
    (0, 5),
    (5, 0),
    (1, 1),
    (2, 3),
    (64, 800),
    (65, 17),
    (129, 33),
    (3, 257),
    (7, 256),
    (200, 129),
    (1000, 10),
    (33, 1021),
    (4099, 3),
];

fn kinds(len: usize, seed: u32) -> [(&'static str, Vec<f32>); 4] {
    [
        ("ordinary", ordinary(len, seed)),
        ("hostile", hostile(len, seed + 1)),
        ("finite", finite(len, seed + 2)),
        ("constant", vec![3.7; len]),
    ]
}

#[test]
fn batch_norm_matches_reference_bits() {
    for (rows, features) in SHAPES {
        for (kind, x) in kinds(rows * features + 3, 50) {
            for (weighted, affine) in [(0, 0), (0, 1), (1, 1), (1, 0)] {
                let what = format!("{rows}x{features} {kind}, weighted {weighted}, affine {affine}");
                let v: Vec<f32> = ordinary(rows + 1, 55).iter().map(|v| v.abs()).collect();
                let p = BatchStatsParams {
                    x_offset: 3,
                    row_weights_offset: 1,
                    weighted,
                    rows: rows as u32,
                    features: features as u32,
                };
                // Without weights any buffer may stand in.
                let weights = if weighted == 1 { bits(&v) } else { bits(&x) };
                let outputs = [Out::Floats(features), Out::Floats(features)];
                let stats = check(&what, &BATCH_STATS, &p, &[bits(&x), weights], &outputs);
                let (w, b, dy) =
                    (hostile(features + 2, 56), hostile(features + 4, 57), ordinary(rows * features + 1, 58));
                let p = BatchApplyParams {
                    x_offset: 3,
                    mean_offset: 0,
                    var_offset: 0,
                    w_offset: 2,
                    b_offset: 4,
                    affine,
                    rows: rows as u32,
                    features: features as u32,
                    eps: 1e-5,
                };
                let inputs = [bits(&x), &stats[0], &stats[1], bits(&w), bits(&b)];
                check(&what, &BATCH_APPLY, &p, &inputs, &[Out::Floats(rows * features)]);
                let p = BatchGradParams {
                    dy_offset: 1,
                    x_offset: 3,
                    mean_offset: 0,
                    var_offset: 0,
                    w_offset: 2,
                    row_weights_offset: 1,
                    affine,
                    weighted,
                    rows: rows as u32,
                    features: features as u32,
                    eps: 1e-5,
                };
                let inputs = [bits(&dy), bits(&x), &stats[0], &stats[1], bits(&w), weights];
                let outputs = [Out::Floats(rows * features), Out::Floats(features), Out::Floats(features)];
                check(&what, &BATCH_GRAD, &p, &inputs, &outputs);
            }
        }
    }
}

#[test]
fn running_statistics_match_reference_bits() {
    for features in SIZES {
        let (mean, var) = (hostile(features + 2, 60), hostile(features + 1, 61));
        for (momentum, count) in [(0.1, 64.0), (0.01, 1.0), (1.0, 2.5)] {
            let p = BatchRunningParams { mean_offset: 2, var_offset: 1, features: features as u32, momentum, count };
            let outputs = [Out::Update(hostile(features, 62)), Out::Update(ordinary(features, 63))];
            check(&format!("{features}"), &BATCH_RUNNING, &p, &[bits(&mean), bits(&var)], &outputs);
        }
    }
    let p = BatchRunningParams { mean_offset: 0, var_offset: 0, features: 1, momentum: 0.5, count: 3.0 };
    let outputs = [Out::Update(vec![1.0]), Out::Update(vec![2.0])];
    let found = check("one", &BATCH_RUNNING, &p, &[bits(&[3.0]), bits(&[4.0])], &outputs);
    assert_eq!((f32::from_bits(found[0][0]), f32::from_bits(found[1][0])), (2.0, 4.0));
}

#[test]
fn layer_norm_matches_reference_bits() {
    for (rows, n) in SHAPES.into_iter().chain([(3, 16), (3, 15), (2, 4099), (40, 50)]) {
        for (kind, x) in kinds(rows * n + 3, 70) {
            for affine in [0, 1] {
                let what = format!("{rows}x{n} {kind}, affine {affine}");
                let (w, b, dy) = (hostile(n + 2, 74), hostile(n + 4, 75), ordinary(rows * n + 1, 76));
                let p = LayerParams {
                    x_offset: 3,
                    w_offset: 2,
                    b_offset: 4,
                    dy_offset: 1,
                    affine,
                    rows: rows as u32,
                    n: n as u32,
                    eps: 1e-5,
                };
                check(&what, &LAYER, &p, &[bits(&x), bits(&w), bits(&b)], &[Out::Floats(rows * n)]);
                let outputs = [Out::Floats(rows * n), Out::Floats(n), Out::Floats(n)];
                check(&what, &LAYER_GRAD, &p, &[bits(&x), bits(&w), bits(&dy)], &outputs);
            }
        }
    }
}

fn wide(v: &[f32]) -> Vec<f64> {
    v.iter().map(|&v| f64::from(v)).collect()
}

fn near(what: &str, found: &[u32], expected: &[f64], tolerance: f64) {
    let found: &[f32] = cast_slice(found);
    let scale = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(f) - e).abs() <= tolerance * scale, "{what}[{i}]: {f} against {e}");
    }
}

/// Weighted batch normalisation in float64: mean, var, y, loss = sum dy y.
fn batch64(
    x: &[f64],
    v: &[f64],
    w: &[f64],
    b: &[f64],
    dy: &[f64],
    features: usize,
) -> (Vec<f64>, Vec<f64>, Vec<f64>, f64) {
    let rows = v.len();
    let total: f64 = v.iter().sum();
    let column = |f: usize| (0..rows).map(move |r| r * features + f);
    let mean: Vec<f64> = (0..features).map(|f| column(f).zip(v).map(|(i, v)| v * x[i]).sum::<f64>() / total).collect();
    let var: Vec<f64> = (0..features)
        .map(|f| column(f).zip(v).map(|(i, v)| v * (x[i] - mean[f]).powi(2)).sum::<f64>() / total)
        .collect();
    let y: Vec<f64> = (0..rows * features)
        .map(|i| {
            let f = i % features;
            (x[i] - mean[f]) / (var[f] + 1e-3).sqrt() * w[f] + b[f]
        })
        .collect();
    let loss = y.iter().zip(dy).map(|(y, d)| y * d).sum();
    (mean, var, y, loss)
}

#[test]
fn batch_norm_and_gradient_match_float64() {
    let (rows, features) = (150, 7);
    let x: Vec<f32> = ordinary(rows * features, 80).iter().map(|v| 5.0 + 2.0 * v).collect();
    let (w, b, dy) = (ordinary(features, 81), ordinary(features, 82), ordinary(rows * features, 83));
    for weighted in [0, 1] {
        let v: Vec<f32> = ordinary(rows, 84).iter().map(|v| if weighted == 1 { v.abs() } else { 1.0 }).collect();
        let [x64, v64, w64, b64, dy64] = [&x, &v, &w, &b, &dy].map(|v| wide(v));
        let (mean, var, y, _) = batch64(&x64, &v64, &w64, &b64, &dy64, features);
        let (r, f) = (rows as u32, features as u32);
        let p = BatchStatsParams { x_offset: 0, row_weights_offset: 0, weighted, rows: r, features: f };
        let outputs = [Out::Floats(features), Out::Floats(features)];
        let stats = check("stats", &BATCH_STATS, &p, &[bits(&x), bits(&v)], &outputs);
        near("mean", &stats[0][..features], &mean, 1e-6);
        near("var", &stats[1][..features], &var, 1e-6);
        let p = BatchApplyParams {
            x_offset: 0,
            mean_offset: 0,
            var_offset: 0,
            w_offset: 0,
            b_offset: 0,
            affine: 1,
            rows: r,
            features: f,
            eps: 1e-3,
        };
        let inputs = [bits(&x), &stats[0], &stats[1], bits(&w), bits(&b)];
        let found = check("apply", &BATCH_APPLY, &p, &inputs, &[Out::Floats(rows * features)]);
        near("y", &found[0][..rows * features], &y, 2e-6);
        let p = BatchGradParams {
            dy_offset: 0,
            x_offset: 0,
            mean_offset: 0,
            var_offset: 0,
            w_offset: 0,
            row_weights_offset: 0,
            affine: 1,
            weighted,
            rows: r,
            features: f,
            eps: 1e-3,
        };
        let inputs = [bits(&dy), bits(&x), &stats[0], &stats[1], bits(&w), bits(&v)];
        let outputs = [Out::Floats(rows * features), Out::Floats(features), Out::Floats(features)];
        let found = check("grad", &BATCH_GRAD, &p, &inputs, &outputs);
        // Central differences of the float64 loss.
        let slope = |values: &[f64], loss: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
            (0..values.len())
                .map(|i| {
                    let at = |h: f64| {
                        let mut moved = values.to_vec();
                        moved[i] += h;
                        loss(&moved)
                    };
                    (at(1e-5) - at(-1e-5)) / 2e-5
                })
                .collect()
        };
        let dx = slope(&x64, &|x| batch64(x, &v64, &w64, &b64, &dy64, features).3);
        let dw = slope(&w64, &|w| batch64(&x64, &v64, w, &b64, &dy64, features).3);
        let db = slope(&b64, &|b| batch64(&x64, &v64, &w64, b, &dy64, features).3);
        near("dx", &found[0][..rows * features], &dx, 3e-6);
        near("dw", &found[1][..features], &dw, 3e-6);
        near("db", &found[2][..features], &db, 3e-6);
    }
}

/// Enumerated rows whose weights are one-hot give the statistics of the rows that count.
#[test]
fn one_hot_weights_give_the_statistics_of_the_chosen_rows() {
    let (cells, classes, features) = (40, 3, 5);
    let x = ordinary(cells * classes * features, 90);
    let chosen = |cell: usize| (cell * 7) % classes;
    let v: Vec<f32> =
        (0..cells * classes).map(|r| if chosen(r / classes) == r % classes { 1.0 } else { 0.0 }).collect();
    let rows: Vec<f32> =
        (0..cells).flat_map(|cell| x[(cell * classes + chosen(cell)) * features..][..features].to_vec()).collect();
    let stats = |x: &[f32], weighted: u32, rows: usize| {
        let p = BatchStatsParams {
            x_offset: 0,
            row_weights_offset: 0,
            weighted,
            rows: rows as u32,
            features: features as u32,
        };
        let outputs = [Out::Floats(features), Out::Floats(features)];
        check("stats", &BATCH_STATS, &p, &[bits(x), bits(&v)], &outputs)
    };
    let (a, b) = (stats(&x, 1, cells * classes), stats(&rows, 0, cells));
    for k in 0..2 {
        near("weighted", &a[k][..features], &wide(cast_slice(&b[k][..features])), 1e-6);
    }
}

#[test]
fn layer_norm_and_gradient_match_float64() {
    let (rows, n) = (9, 21);
    let x: Vec<f32> = ordinary(rows * n, 91).iter().map(|v| 3.0 + v).collect();
    let (w, b, dy) = (ordinary(n, 92), ordinary(n, 93), ordinary(rows * n, 94));
    let p = LayerParams {
        x_offset: 0,
        w_offset: 0,
        b_offset: 0,
        dy_offset: 0,
        affine: 1,
        rows: rows as u32,
        n: n as u32,
        eps: 1e-5,
    };
    let y = check("layer", &LAYER, &p, &[bits(&x), bits(&w), bits(&b)], &[Out::Floats(rows * n)]);
    let outputs = [Out::Floats(rows * n), Out::Floats(n), Out::Floats(n)];
    let grad = check("grad", &LAYER_GRAD, &p, &[bits(&x), bits(&w), bits(&dy)], &outputs);
    let (w64, b64, dy64) = (wide(&w), wide(&b), wide(&dy));
    let forward = |x: &[f64]| -> Vec<f64> {
        x.chunks(n)
            .flat_map(|x| {
                let mean = x.iter().sum::<f64>() / n as f64;
                let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
                let normal = |(j, v): (usize, &f64)| (v - mean) / (var + 1e-5).sqrt() * w64[j] + b64[j];
                x.iter().enumerate().map(normal).collect::<Vec<f64>>()
            })
            .collect()
    };
    let x64 = wide(&x);
    let y64 = forward(&x64);
    near("y", &y[0][..rows * n], &y64, 2e-6);
    let loss = |x: &[f64]| forward(x).iter().zip(&dy64).map(|(y, d)| y * d).sum::<f64>();
    let dx: Vec<f64> = (0..rows * n)
        .map(|i| {
            let at = |h: f64| {
                let mut moved = x64.clone();
                moved[i] += h;
                loss(&moved)
            };
            (at(1e-5) - at(-1e-5)) / 2e-5
        })
        .collect();
    near("dx", &grad[0][..rows * n], &dx, 3e-6);
    let dw: Vec<f64> =
        (0..n).map(|j| (0..rows).map(|r| dy64[r * n + j] * (y64[r * n + j] - b64[j]) / w64[j]).sum()).collect();
    let db: Vec<f64> = (0..n).map(|j| (0..rows).map(|r| dy64[r * n + j]).sum()).collect();
    near("dw", &grad[1][..n], &dw, 5e-6);
    near("db", &grad[2][..n], &db, 5e-6);
}

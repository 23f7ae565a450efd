use crate::harness::*;
use cytograd::kernel::mmd::*;

const GAMMAS: [f32; 8] = [0.5, 2.0, 0.125, 8.0, 0.03125, 1.0, 0.01, 4.0];

fn params(kind: Kind, m: usize, n: usize, d: usize) -> MmdParams {
    let scale = 1.0 / d.max(1) as f32;
    let [kind, m, n, d] = [kind as usize, m, n, d].map(|v| v as u32);
    MmdParams { kind, m, n, d, p: 1, gammas: 1, scale, shift: 1.0, ..MmdParams::default() }
}

const SHAPES: [(usize, usize, usize); 17] = [
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
    (0, 3, 20),
    (3, 0, 20),
    (1, 2, 16),
    (29, 31, 17),
    (7, 257, 32),
    (5, 20, 515),
];

/// Runs all entries on points of `values`, `p` columns (0: unit weights), about a centre amid them.
fn run_all(kind: Kind, (m, n, d): (usize, usize, usize), p: usize, gammas: usize, values: fn(usize, u32) -> Vec<f32>) {
    let columns = p.max(1);
    let (x, y) = (values(m * d + 3, 1), values(n * d + 2, 2));
    let (u, v) = (values(m * columns + 1, 3), values(n * columns + 5, 4));
    let centre = ordinary(d + 7, 5);
    let unit = if p == 0 { UNIT } else { 0 };
    for (flags, first) in [(unit, 0), (unit | EXCLUDE_SELF, 0), (unit | EXCLUDE_SELF, 2)] {
        let params = MmdParams {
            p: columns as u32,
            gammas: gammas as u32,
            flags,
            first,
            x_at: 3,
            y_at: 2,
            centre_at: 7,
            u_at: 1,
            v_at: 5,
            ..params(kind, m, n, d)
        };
        let what = format!("{kind:?} {m} x {n} x {d} p {p} gammas {gammas} flags {flags} first {first}");
        run_launches(&what, &params, [&x, &y, &GAMMAS, &centre, &u, &v]);
    }
}

/// Runs all entries on x, y, gamma, centre, u, v.
fn run_launches(what: &str, params: &MmdParams, buffers: [&[f32]; 6]) {
    let [x, y, gamma, centre, u, v] = buffers.map(bits);
    let [m, n, d, p] = [params.m, params.n, params.d, params.p].map(|n| n as usize);
    check(what, &ROWS, params, &[x, y, gamma, centre], &[Out::Floats(m * n)]);
    let apply = check(what, &APPLY, params, &[x, y, gamma, centre, v], &[Out::Floats(m * p)]);
    let of_x = || [Out::Floats(m * p), Out::Floats(m * d)];
    let of_y = [Out::Floats(n * p), Out::Floats(n * d)];
    let grad = check(what, &APPLY_GRAD, params, &[x, y, gamma, centre, u, v], &of_x());
    let outs: Vec<Out> = of_x().into_iter().chain(of_y).collect();
    let both = check(what, &APPLY_BOTH, params, &[x, y, gamma, centre, u, v], &outs);
    assert!(same(&apply[0], &grad[0]) && same(&grad[0], &both[0]) && same(&grad[1], &both[1]), "{what}");
    if params.first == 0 {
        let exchanged = MmdParams {
            m: params.n,
            n: params.m,
            x_at: params.y_at,
            y_at: params.x_at,
            u_at: params.v_at,
            v_at: params.u_at,
            ..*params
        };
        let outs = [Out::Floats(n * p), Out::Floats(n * d)];
        let other = check(what, &APPLY_GRAD, &exchanged, &[y, x, gamma, centre, v, u], &outs);
        assert!(same(&other[0], &both[2]) && same(&other[1], &both[3]), "{what}, the other side");
    }
}

/// Equal words, any NaN being any other.
fn same(a: &[u32], b: &[u32]) -> bool {
    let nan = |w: &u32| w & 0x7fff_ffff > 0x7f80_0000;
    a.iter().zip(b).all(|(a, b)| a == b || (nan(a) && nan(b)))
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

/// Several tiles for either side; a set with itself, whose tiles stand for their mirror images.
#[test]
fn many_tiles_match_reference_bits() {
    let d = 16;
    for (kind, gammas, p) in [(Kind::Gaussian, 1, 0), (Kind::Distance, 1, 2), (Kind::Linear, 1, 1)] {
        let (columns, unit) = if p == 0 { (1, UNIT) } else { (p, 0) };
        let (x, y, centre) = (ordinary(800 * d, 1), ordinary(800 * d, 2), ordinary(d, 4));
        let (u, v) = (ordinary(800 * columns, 3), ordinary(800 * columns, 4));
        let unit_or = |flags| MmdParams { p: columns as u32, gammas, flags: unit | flags, ..params(kind, 0, 0, d) };
        let check_sums = |what: &str, params: MmdParams, y: &[f32], v: &[f32]| {
            let what = format!("{kind:?} {what}");
            let [m, n] = [params.m, params.n].map(|n| n as usize);
            let inputs = [&x[..], y, &GAMMAS, &centre, &u, v].map(bits);
            let sizes = [m * columns, m * d, n * columns, n * d];
            check(&what, &APPLY_BOTH, &params, &inputs, &sizes.map(Out::Floats));
            check(&what, &APPLY_GRAD, &params, &inputs, &sizes.map(Out::Floats)[..2]);
            let [x, y, gamma, centre, _, v] = inputs;
            check(&what, &APPLY, &params, &[x, y, gamma, centre, v], &[Out::Floats(sizes[0])]);
        };
        check_sums("300 x 780", MmdParams { m: 300, n: 780, ..unit_or(0) }, &y, &v);
        check_sums("785 x 770", MmdParams { m: 785, n: 770, ..unit_or(0) }, &y, &v);
        check_sums("770 with itself", MmdParams { m: 770, n: 770, ..unit_or(0) }, &x, &u);
        check_sums("770 with others", MmdParams { m: 770, n: 770, ..unit_or(EXCLUDE_SELF) }, &x, &u);
        if p > 0 {
            check_sums("770 with itself, other weights", MmdParams { m: 770, n: 770, ..unit_or(0) }, &x, &v);
        }
    }
}

/// Points in tight clusters, some of them equal: pairs for which differences are needed.
#[test]
fn near_pairs_match_reference_bits() {
    let (n, d) = (290, 17);
    let mut x = ordinary(n * d, 1);
    for (i, x) in x.iter_mut().enumerate() {
        let (point, cluster) = (i / d, i / d % 3);
        *x = if point % 10 == 7 { 0.0 } else { *x * 1e-3 } + [-4.0, 1.0, 3.0][cluster];
    }
    let (centre, w) = (ordinary(d, 4), ordinary(n, 5));
    for (kind, gammas) in [(Kind::Gaussian, 1), (Kind::Gaussian, 2), (Kind::GaussianScale, 1), (Kind::Distance, 1)] {
        for flags in [0, UNIT | EXCLUDE_SELF] {
            let params = MmdParams { gammas, flags, ..params(kind, n, n, d) };
            let buffers = [&x[..], &x, &GAMMAS, &centre, &w, &w];
            run_launches(&format!("{kind:?} clusters, flags {flags}"), &params, buffers);
            let params = MmdParams { m: 200, n: 90, y_at: 200 * d as u32, ..params };
            run_launches(&format!("{kind:?} two parts, flags {flags}"), &params, buffers);
        }
    }
}

/// The numbers of coordinates that tiles are made for, chunks that several blocks share, and many
/// points, where a block goes over all chunks.
#[test]
fn tiles_of_every_size_match_reference_bits() {
    let shapes = [(70, 400, 1, 31), (140, 300, 0, 50), (90, 530, 0, 56), (130, 140, 1, 61), (2310, 300, 0, 16)];
    for (m, n, p, d) in shapes {
        let unit = if p == 0 { UNIT } else { 0 };
        for kind in [Kind::Gaussian, Kind::Cubic] {
            let params = MmdParams { flags: unit, ..params(kind, m, n, d) };
            let (x, y, centre) = (ordinary(m * d, 1), ordinary(n * d, 2), ordinary(d, 4));
            let (u, v) = (ordinary(m, 3), ordinary(n, 5));
            let inputs = [&x[..], &y, &GAMMAS[4..], &centre, &u, &v].map(bits);
            let sizes = [m, m * d, n, n * d].map(Out::Floats);
            check(&format!("{kind:?} {m} x {n} x {d} p {p}"), &APPLY_BOTH, &params, &inputs, &sizes);
        }
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

/// Compares sums and gradients with binary64. Sums of terms of both signs: the error is measured by the
/// sum of their sizes. A term of a gradient is as large as the coordinates that it is computed from:
/// differences, or, of expanded squares, the points seen from the centre.
fn compare_with_oracle(
    what: &str,
    kinds: &[Kind],
    (m, n, d): (usize, usize, usize),
    [x, y, centre]: [&[f32]; 3],
    gamma: &[f32],
) {
    let p = 2;
    let (u, v) = (ordinary(m * p, 3), ordinary(n * p, 4));
    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let (wx, wy, wu, wv, wide_gamma) = (wide(x), wide(y), wide(&u), wide(&v), wide(gamma));
    for &kind in kinds {
        for flags in [0, EXCLUDE_SELF] {
            let params = MmdParams { p: p as u32, gammas: gamma.len() as u32, flags, ..params(kind, m, n, d) };
            let inputs = [bits(x), bits(y), bits(gamma), bits(centre), bits(&u), bits(&v)];
            let found = check(what, &APPLY_GRAD, &params, &inputs, &[Out::Floats(m * p), Out::Floats(m * d)]);
            for i in 0..m {
                let (mut out, mut out_size) = (vec![0.0; p], vec![0.0; p]);
                let (mut grad, mut grad_size) = (vec![0.0; d], 0.0);
                for j in (0..n).filter(|&j| flags == 0 || i != j) {
                    let (k, slope) = oracle(kind, &wx[i * d..(i + 1) * d], &wy[j * d..(j + 1) * d], &wide_gamma);
                    let w: f64 = (0..p).map(|c| wu[i * p + c] * wv[j * p + c]).sum();
                    for c in 0..p {
                        out[c] += k * wv[j * p + c];
                        out_size[c] += (k * wv[j * p + c]).abs();
                    }
                    for t in 0..d {
                        grad[t] += w * slope[t];
                    }
                    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
                    let (x, y) = (&wx[i * d..(i + 1) * d], &wy[j * d..(j + 1) * d]);
                    let mut size = norm(&mut slope.into_iter());
                    if kind.is_expanded(d) {
                        let from_centre = |x: &[f64]| norm(&mut x.iter().zip(centre).map(|(x, c)| x - f64::from(*c)));
                        size *= (from_centre(x) + from_centre(y)) / norm(&mut x.iter().zip(y).map(|(x, y)| x - y));
                    }
                    grad_size += w.abs() * size;
                }
                let near = |found: u32, expected: f64, size: f64, part: &str| {
                    let error = (f64::from(f32::from_bits(found)) - expected).abs();
                    assert!(
                        error <= 2e-6 * size,
                        "{what}: {kind:?} {part} of row {i}: error {error:e}, terms add up to {size:e}"
                    );
                };
                for c in 0..p {
                    near(found[0][i * p + c], out[c], out_size[c], "sum");
                }
                for t in 0..d {
                    near(found[1][i * d + t], grad[t], grad_size, "gradient");
                }
            }
        }
    }
}

#[test]
fn sums_and_gradients_match_their_definition() {
    for d in [6, 32] {
        let (m, n) = (19, 300);
        let (x, y, centre) = (ordinary(m * d, 1), ordinary(n * d, 2), vec![0.0; d]);
        let gamma = GAMMAS[..3].iter().map(|g| g / d as f32).collect::<Vec<f32>>();
        compare_with_oracle(&format!("d {d}"), &Kind::ALL, (m, n, d), [&x, &y, &centre], &gamma);
    }
}

#[test]
fn expanded_squares_are_accurate_far_from_the_origin_and_close_together() {
    let (m, n, d) = (19, 300, 32);
    let (mut x, mut y) = (ordinary(m * d, 1), ordinary(n * d, 2));
    // Every third y lies next to an x.
    for (j, y) in y.chunks_mut(d).enumerate().filter(|(j, _)| j % 3 == 0) {
        for (t, y) in y.iter_mut().enumerate() {
            *y = x[j % m * d + t] + 0.02 * *y;
        }
    }
    for v in x.iter_mut().chain(&mut y) {
        *v += 100.0;
    }
    // The scales that tell neighbours apart, and those of the whole.
    let gamma = [0.01, 1.0, 30.0];
    let squares: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.is_square()).collect();
    compare_with_oracle("centre amid the points", &squares, (m, n, d), [&x, &y, &vec![100.0; d]], &gamma);
    compare_with_oracle("centre at some point", &squares, (m, n, d), [&x, &y, &y[..d]], &gamma);
}

#[test]
fn a_point_is_left_out_of_its_own_sum() {
    let x = ordinary(40 * 3, 1);
    let run = |flags| {
        let params = MmdParams { flags: flags | UNIT, ..params(Kind::Gaussian, 40, 40, 3) };
        let out = check("self", &APPLY, &params, &[bits(&x), bits(&x), bits(&[0.5]), &[], &[]], &[Out::Floats(40)]);
        out[0][..40].iter().map(|&w| f32::from_bits(w)).collect::<Vec<f32>>()
    };
    for (with, without) in run(0).iter().zip(run(EXCLUDE_SELF)) {
        assert!((with - without - 1.0).abs() < 1e-5, "{with} and {without}");
    }
}

use crate::harness::*;
use cytograd::kernel::Kernel;
use cytograd::kernel::zinb::*;

/// One problem: counts of `cells`, `repeat` rows each.
struct Problem {
    params: ZinbParams,
    x: Vec<f32>,
    m: Vec<f32>,
    r: Vec<f32>,
    segment: Vec<u32>,
    h: Vec<f32>,
    weight: Vec<f32>,
}

impl Problem {
    fn new(cells: usize, genes: usize, segments: usize, repeat: usize, values: fn(usize, u32) -> Vec<f32>) -> Self {
        let rows = cells * repeat;
        let counts = ordinary(cells * genes, 1).into_iter();
        let mut x: Vec<f32> = counts.map(|v| if v > 1.0 { (v * v * v * 9.0).floor() } else { 0.0 }).collect();
        for (i, v) in x.iter_mut().enumerate() {
            match i % 97 {
                13 => *v = 16.0,
                14 => *v = 17.0,
                15 => *v = 20_000.0,
                16 => *v = -0.0,
                _ => {}
            }
        }
        Problem {
            params: ZinbParams {
                rows: rows as u32,
                genes: genes as u32,
                segments: segments as u32,
                repeat: repeat as u32,
                ..ZinbParams::default()
            },
            x,
            m: values(rows * genes, 2),
            r: values(segments * genes, 3),
            segment: (0..cells).map(|c| ((c * 7 + c / 3) % segments) as u32).collect(),
            h: values(rows * genes, 4),
            weight: values(rows, 5),
        }
    }

    fn csr(&self) -> [Vec<u32>; 3] {
        let genes = self.params.genes as usize;
        let (mut indptr, mut indices, mut values) = (vec![0], vec![], vec![]);
        for row in 0..self.segment.len() {
            for g in 0..genes {
                let v = self.x[row * genes + g];
                // Every tenth zero is stored.
                if v != 0.0 || g % 10 == 0 {
                    indices.push(g as u32);
                    values.push(v.to_bits());
                }
            }
            indptr.push(indices.len() as u32);
        }
        [indptr, indices, values]
    }

    fn outputs(&self, flags: u32, gradients: bool) -> Vec<Out> {
        let (rows, n) = (self.params.rows as usize, (self.params.rows * self.params.genes) as usize);
        if !gradients {
            return vec![Out::Floats(rows)];
        }
        let blocks = rows.div_ceil(BLOCK) * (self.params.segments * self.params.genes) as usize;
        vec![
            Out::Floats(if flags & NO_VALUE != 0 { 0 } else { rows }),
            Out::Floats(n),
            Out::Floats(if flags & R_BLOCKS != 0 { blocks } else { n }),
            Out::Floats(if flags & NO_INFLATION != 0 { 0 } else { n }),
        ]
    }

    fn run(&self, what: &str, flags: u32, sparse: bool, gradients: bool) -> Vec<Vec<u32>> {
        let params = ZinbParams { flags, ..self.params };
        let csr = self.csr();
        let mut inputs: Vec<&[u32]> =
            if sparse { csr.iter().map(Vec::as_slice).collect() } else { vec![bits(&self.x)] };
        inputs.extend([bits(&self.m), bits(&self.r), &self.segment, bits(&self.h)]);
        if gradients {
            inputs.push(bits(&self.weight));
        }
        let kernel: &'static Kernel = match (sparse, gradients) {
            (false, false) => &VALUE,
            (false, true) => &VALUE_GRAD,
            (true, false) => &CSR_VALUE,
            (true, true) => &CSR_VALUE_GRAD,
        };
        let what = format!("{what} flags {flags} sparse {sparse}");
        check(&what, kernel, &params, &inputs, &self.outputs(flags, gradients))
    }
}

#[test]
fn every_variant_matches_reference_bits() {
    for (cells, genes, segments, repeat) in [
        (0, 5, 1, 1),
        (1, 0, 1, 1),
        (1, 1, 1, 1),
        (3, 17, 2, 1),
        (5, 128, 3, 2),
        (2, 129, 1, 3),
        (70, 257, 2, 2),
        (9, 1021, 4, 1),
    ] {
        for values in [ordinary, hostile] {
            let problem = Problem::new(cells, genes, segments, repeat, values);
            for flags in [0, NO_INFLATION, R_BLOCKS, NO_INFLATION | R_BLOCKS | ONE_SEGMENT, ONE_SEGMENT, NO_VALUE] {
                let what = format!("{cells} cells {genes} genes {segments} segments x{repeat}");
                let dense = problem.run(&what, flags, false, true);
                let sparse = problem.run(&what, flags, true, true);
                let value = problem.run(&what, flags, false, false);
                problem.run(&what, flags, true, false);
                if values(1, 1) == ordinary(1, 1) {
                    assert_eq!(dense, sparse, "sparse and dense counts");
                    if flags & NO_VALUE == 0 {
                        assert_eq!(dense[0], value[0], "with and without gradients");
                    }
                }
            }
        }
    }
}

#[test]
fn hostile_counts_match_reference_bits() {
    for values in [ordinary, hostile] {
        let mut problem = Problem::new(7, 300, 1, 1, values);
        problem.x = hostile(7 * 300, 6);
        for flags in [0, NO_INFLATION, R_BLOCKS] {
            problem.run("hostile counts", flags, false, true);
        }
    }
}

mod oracle {
    //! The textbook formulas in binary64.

    fn softplus(a: f64) -> f64 {
        a.max(0.0) + (-a.abs()).exp().ln_1p()
    }

    fn sigmoid(a: f64) -> f64 {
        if a >= 0.0 { 1.0 / (1.0 + (-a).exp()) } else { a.exp() / (1.0 + a.exp()) }
    }

    pub fn lgamma(z: f64) -> f64 {
        let (mut z, mut shift) = (z, 0.0);
        while z < 20.0 {
            shift += z.ln();
            z += 1.0;
        }
        let w = 1.0 / (z * z);
        let series = (1.0 / 12.0 - w * (1.0 / 360.0 - w * (1.0 / 1260.0 - w / 1680.0))) / z;
        (z - 0.5) * z.ln() - z + 0.918_938_533_204_672_8 + series - shift
    }

    pub fn digamma(z: f64) -> f64 {
        let (mut z, mut shift) = (z, 0.0);
        while z < 20.0 {
            shift += 1.0 / z;
            z += 1.0;
        }
        let w = 1.0 / (z * z);
        z.ln() - 0.5 / z - w * (1.0 / 12.0 - w * (1.0 / 120.0 - w * (1.0 / 252.0 - w / 240.0))) - shift
    }

    /// `[ln p, d/dm, d/dr, d/dh]`; `h = None`: no inflation.
    pub fn zinb(x: f64, m: f64, r: f64, h: Option<f64>) -> [f64; 4] {
        let (theta, mu, d) = (r.exp(), m.exp(), m - r);
        let k = sigmoid(-d);
        if x > 0.0 {
            let nb = -theta * softplus(d) - x * softplus(-d) + lgamma(x + theta) - lgamma(theta) - lgamma(x + 1.0);
            let dr = theta * (digamma(x + theta) - digamma(theta) - softplus(d)) + k * (mu - x);
            let (off, dh) = h.map_or((0.0, 0.0), |h| (softplus(h), -sigmoid(h)));
            return [nb - off, k * (x - mu), dr, dh];
        }
        let (y, q) = (theta * softplus(d), theta * sigmoid(d));
        let Some(h) = h else { return [-y, -q, q - y, 0.0] };
        let value = if y < 1.0 {
            (sigmoid(-h) * (-y).exp_m1()).ln_1p()
        } else {
            let (a, b) = (-softplus(-h), -softplus(h) - y);
            a.max(b) + (-(a - b).abs()).exp().ln_1p()
        };
        let t = (-softplus(h) - y - value).exp();
        [value, -t * q, t * (q - y), -sigmoid(h) * sigmoid(-h) * (-y).exp_m1() * (-value).exp()]
    }
}

/// `[ln p, d/dm, d/dr, d/dh]` of single entries from the kernel: one gene, one segment per entry.
fn entries(cases: &[[f32; 4]], inflated: bool) -> Vec<[f32; 4]> {
    let n = cases.len();
    let column = |k: usize| cases.iter().map(|c| c[k]).collect::<Vec<f32>>();
    let problem = Problem {
        params: ZinbParams { rows: n as u32, genes: 1, segments: n as u32, repeat: 1, ..ZinbParams::default() },
        x: column(0),
        m: column(1),
        r: column(2),
        segment: (0..n as u32).collect(),
        h: column(3),
        weight: vec![1.0; n],
    };
    let out = problem.run("entries", if inflated { 0 } else { NO_INFLATION }, false, true);
    let at = |k: usize, i: usize| if k == 3 && !inflated { 0.0 } else { f32::from_bits(out[k][i]) };
    (0..n).map(|i| std::array::from_fn(|k| at(k, i))).collect()
}

/// The largest error of each result, measured by `scale(expected, case)`.
fn worst(cases: &[[f32; 4]], inflated: bool, scale: impl Fn(&[f64; 4], &[f64; 4]) -> [f64; 4]) -> [f64; 4] {
    let found = entries(cases, inflated);
    let mut worst = [0.0f64; 4];
    for (case, found) in cases.iter().zip(&found) {
        let case = case.map(f64::from);
        let expected = oracle::zinb(case[0], case[1], case[2], inflated.then_some(case[3]));
        let scale = scale(&expected, &case);
        for k in 0..4 {
            let error = (f64::from(found[k]) - expected[k]).abs() / scale[k];
            assert!(error.is_finite(), "{case:?}: {found:?}, expected {expected:?}");
            worst[k] = worst[k].max(error);
        }
    }
    worst
}

fn steps(from: f32, to: f32, n: usize) -> impl Iterator<Item = f32> + Clone {
    (0..n).map(move |i| from + (to - from) * i as f32 / (n - 1) as f32)
}

#[test]
fn entries_match_known_values() {
    let (m, r) = (1.5f32.ln(), 2f32.ln());
    let cases = [[0.0, m, r, -1.0], [3.0, m, r, -1.0], [100.0, 80f32.ln(), 5f32.ln(), -3.0]];
    let expected = [
        [-0.6779543254, -0.4030520304, -0.1232412886, 0.2608312099],
        [-2.5880924834, 0.8571428571, 0.1902922337, -0.2689414214],
        [-4.9359568663, f64::NAN, f64::NAN, f64::NAN],
    ];
    for (found, expected) in entries(&cases, true).iter().zip(expected) {
        for (f, e) in found.iter().zip(expected).filter(|(_, e)| !e.is_nan()) {
            assert!((f64::from(*f) - e).abs() < 1e-6 * e.abs().max(1.0), "found {found:?}, expected {expected:?}");
        }
    }
    // theta = 1e8 is all but Poisson
    let nearly = entries(&[[3.0, m, 1e8f32.ln(), 0.0], [0.0, m, r, 0.0], [3.0, m, r, 0.0]], false);
    for (found, expected) in nearly.iter().zip([-2.0753638527f64, -1.1192315759, -2.2748307959]) {
        assert!((f64::from(found[0]) - expected).abs() < 1e-6, "found {}, expected {expected}", found[0]);
    }
}

#[test]
fn counts_are_accurate_over_the_whole_range() {
    let xs = (1..=40).map(|x| x as f32).chain([63.0, 64.0, 100.0, 257.0, 1000.0, 4999.0, 20_000.0, 100_000.0]);
    let mut cases = Vec::new();
    for x in xs {
        for r in steps(-8.0, 14.0, 67) {
            for shift in steps(-3.0, 3.0, 13) {
                cases.push([x, x.ln() + shift, r, 0.7]);
            }
        }
    }
    let scale = |e: &[f64; 4], c: &[f64; 4]| {
        let k = 1.0 / (1.0 + (c[1] - c[2]).exp());
        // Derivatives are differences: of x and mu (times k), and of x and its two estimates.
        [e[0].abs().max(1.0), k * c[0].max(c[1].exp()), c[0].max(1.0), e[3].abs().max(1e-30)]
    };
    for inflated in [false, true] {
        let worst = worst(&cases, inflated, scale);
        println!("counts, inflated {inflated}: {worst:?}");
        assert!(worst[0] < 4e-6 && worst[1] < 2e-6 && worst[2] < 4e-6 && worst[3] < 1e-6, "{worst:?}");
    }
}

#[test]
fn zeros_are_accurate_over_the_whole_range() {
    let mut cases = Vec::new();
    for m in steps(-18.0, 9.0, 28) {
        for r in steps(-8.0, 14.0, 34) {
            for h in steps(-40.0, 40.0, 81) {
                cases.push([0.0, m, r, h]);
            }
        }
    }
    let scale = |e: &[f64; 4], c: &[f64; 4]| {
        // d/dr is a difference of d/dm and about the same.
        [
            e[0].abs().max(1e-37),
            e[1].abs().max(1e-37),
            e[1].abs().max(e[2].abs()).max(1e-37),
            e[3].abs().max(1e-37 / (1.0 + c[3].abs())),
        ]
    };
    let worst = worst(&cases, true, scale);
    println!("zeros: {worst:?}");
    assert!(worst[0] < 4e-6 && worst[1] < 1e-5 && worst[2] < 1e-5 && worst[3] < 1e-5, "{worst:?}");
}

#[test]
fn probabilities_sum_to_one() {
    for theta in [0.5f32, 5.0] {
        let cases: Vec<[f32; 4]> = (0..20_000).map(|x| [x as f32, 80f32.ln(), theta.ln(), -1.0]).collect();
        let p: Vec<f64> = entries(&cases, true).iter().map(|e| f64::from(e[0]).exp()).collect();
        let total: f64 = p.iter().sum();
        let mean: f64 = p.iter().enumerate().map(|(x, p)| x as f64 * p).sum();
        let expected = 80.0 / (1.0 + (-1f64).exp());
        assert!((total - 1.0).abs() < 1e-6, "theta {theta}: total {total}");
        assert!((mean / expected - 1.0).abs() < 1e-5, "theta {theta}: mean {mean}, expected {expected}");
    }
}

#[test]
fn inflation_vanishes_and_takes_over() {
    for (x, nb) in [(0.0, -1.1192315759f64), (3.0, -2.2748307959)] {
        let found = entries(&[[x, 1.5f32.ln(), 2f32.ln(), -40.0], [x, 1.5f32.ln(), 2f32.ln(), 40.0]], true);
        assert!((f64::from(found[0][0]) - nb).abs() < 1e-6);
        let expected = if x == 0.0 { 0.0 } else { -40.0 + nb };
        assert!((f64::from(found[1][0]) - expected).abs() < 1e-5);
    }
}

#[test]
fn rows_are_sums_of_entries() {
    let problem = Problem::new(4, 300, 2, 2, ordinary);
    let out = problem.run("sum", 0, false, true);
    for row in 0..8 {
        let (cell, mut sum) = (row / 2, 0.0);
        for g in 0..300 {
            let at = row * 300 + g;
            let r = problem.r[problem.segment[cell] as usize * 300 + g];
            let v = |v: f32| f64::from(v);
            let e = oracle::zinb(v(problem.x[cell * 300 + g]), v(problem.m[at]), v(r), Some(v(problem.h[at])));
            sum += e[0];
            for k in 1..4 {
                let (found, expected) = (v(f32::from_bits(out[k][at])), v(problem.weight[row]) * e[k]);
                assert!(
                    (found - expected).abs() <= 1e-5 * expected.abs().max(e[0].abs()).max(1.0),
                    "output {k}, row {row}, gene {g}"
                );
            }
        }
        assert!((f64::from(f32::from_bits(out[0][row])) / sum - 1.0).abs() < 2e-6);
    }
}

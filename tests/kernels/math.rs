//! `math.cuh` and `rng.cuh` return the bits of `math` and `rng`: over all exponents, both signs, and
//! grids of hostile pairs; any NaN equals any NaN.

use crate::shim;
use cytograd::math::*;
use cytograd::rng::{Stream, philox};

/// `shim_math` of `kernels/host/math_probe.cpp`: code, arguments, results, points.
type Probe = unsafe extern "C" fn(i32, *const f32, *mut f32, usize);

/// Compares `shim_math` for a code with `want`; `None` where there is no C++ compiler.
fn check(name: &str, code: i32, points: &[[f32; 4]], want: impl Fn([f32; 4]) -> [f32; 4]) -> Option<()> {
    let library = shim::library().map_err(|why| eprintln!("CUDA functions not checked on the host: {why}")).ok()?;
    let mut found = vec![[0f32; 4]; points.len()];
    // SAFETY: the symbol has this type, and both arrays hold four values for each point.
    unsafe {
        let probe = library.get::<Probe>(b"shim_math\0").expect("kernels/host/math_probe.cpp is linked");
        probe(code, points.as_ptr().cast(), found.as_mut_ptr().cast(), points.len());
    }
    let nan = |w: u32| w & 0x7fff_ffff > 0x7f80_0000;
    for (&point, found) in points.iter().zip(&found) {
        for (k, (f, e)) in found.iter().zip(want(point)).enumerate() {
            let (f, e) = (f.to_bits(), e.to_bits());
            assert!(
                f == e || (nan(f) && nan(e)),
                "{name}{point:?}, result {k}: {f:#010x} ({:e}), not {e:#010x} ({:e})",
                f32::from_bits(f),
                f32::from_bits(e)
            );
        }
    }
    Some(())
}

/// Every 4093rd bit pattern.
fn patterns() -> Vec<[f32; 4]> {
    (0..u32::MAX / 4093).map(|i| [f32::from_bits(i * 4093), 0.0, 0.0, 0.0]).collect()
}

struct Words(u32);

impl Words {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Between -16 and 16.
    fn moderate(&mut self) -> f32 {
        (self.next() >> 8) as f32 * 1.9e-6 - 16.0
    }
}

/// Special values, and two of every exponent.
fn hostile() -> Vec<f32> {
    let odd = [1.0, 2.0, 3.0, 0.5, 1.5, 33_554_432.0, 16_777_217.0, 16_777_215.0, 1e-45, 88.7, 103.9, 0.999_999_94];
    let mut values: Vec<f32> = odd.iter().flat_map(|&v| [v, -v]).collect();
    values.extend((0..1024u32).map(|i| f32::from_bits(((i >> 1) << 23) | ((i & 1) * 0x2a_5a5a))));
    values.push(f32::NAN);
    values
}

#[test]
fn functions_of_one_value_have_the_bits_of_math() {
    type Function = fn(f32) -> f32;
    let functions: [(&str, Function); 23] = [
        ("exp", exp),
        ("exp2", exp2),
        ("expm1", expm1),
        ("ln", ln),
        ("log2", log2),
        ("log1p", log1p),
        ("tanh", tanh),
        ("sigmoid", sigmoid),
        ("softplus", softplus),
        ("log_sigmoid", log_sigmoid),
        ("relu", relu),
        ("erf", erf),
        ("erfc", erfc),
        ("ndtr", ndtr),
        ("lgamma", lgamma),
        ("lgamma_positive", lgamma_positive),
        ("digamma", digamma),
        ("digamma_positive", digamma_positive),
        ("trigamma", trigamma),
        ("stirling_error", stirling_error),
        ("inflation", |h| inflation(h)[1]),
        ("sin", sin),
        ("cos", cos),
    ];
    let mut points = patterns();
    points.extend((-200_000..200_000).map(|i| [i as f32 * 5e-4, 0.0, 0.0, 0.0]));
    for (code, (name, f)) in functions.into_iter().enumerate() {
        check(name, code as i32, &points, |[x, ..]| [f(x), 0.0, 0.0, 0.0]);
    }
    let pair = |(s, c)| [s, c, 0.0, 0.0];
    check("sincos_2pi", 23, &points, |[x, ..]| pair(sincos_2pi(x.to_bits())));
    check("sincos", 24, &points, |[x, ..]| pair(sincos(x)));
}

#[test]
fn functions_of_two_values_have_the_bits_of_math() {
    let grid = hostile();
    let mut points: Vec<[f32; 4]> = grid.iter().flat_map(|&x| grid.iter().map(move |&y| [x, y, 0.0, 0.0])).collect();
    let mut words = Words(1);
    points.extend((0..500_000).map(|_| [f32::from_bits(words.next()), words.moderate(), 0.0, 0.0]));
    points.extend((0..500_000).map(|_| [words.moderate().abs(), words.moderate(), 0.0, 0.0]));
    type Function = fn(f32, f32) -> f32;
    for (code, name, f) in [(30, "pow", pow as Function), (31, "leaky_relu", leaky_relu), (32, "elu", elu)] {
        check(name, code, &points, |[x, y, ..]| [f(x, y), 0.0, 0.0, 0.0]);
    }
}

#[test]
fn log_probabilities_of_counts_have_the_bits_of_math() {
    let odd = hostile();
    let mut words = Words(2);
    let mut points = Vec::new();
    for i in 0..1_000_000 {
        let mut value = || match i % 4 {
            0 => odd[words.next() as usize % odd.len()],
            1 => f32::from_bits(words.next()),
            _ => words.moderate(),
        };
        points.push([value(), value(), value(), value()]);
    }
    let three = |[a, b, c]: [f32; 3]| [a, b, c, 0.0];
    let counts: Vec<[f32; 4]> = points
        .iter()
        .enumerate()
        .map(|(i, p)| if i % 3 != 0 { [(i * 7919 % 3000 + 1) as f32, p[1], p[2], p[3]] } else { *p })
        .collect();
    let mean = |m: f32, r: f32| Mean::new(m, r, Dispersion::new(r).inverse);
    check("nb_zero", 40, &points, |[_, m, r, _]| three(nb_zero(mean(m, r), exp(r))));
    check("zinb_zero", 41, &points, |[_, m, r, h]| zinb_zero(mean(m, r), exp(r), h));
    check("nb_count", 42, &counts, |[x, m, r, _]| three(nb_count(x, mean(m, r), Dispersion::new(r))));
    check("zinb_count", 43, &counts, |[x, m, r, h]| zinb_count(x, mean(m, r), Dispersion::new(r), h));
}

#[test]
fn random_numbers_have_the_bits_of_rng() {
    let mut words = Words(3);
    let points: Vec<[f32; 4]> = (0..1_000_000).map(|_| std::array::from_fn(|_| f32::from_bits(words.next()))).collect();
    let bits = |p: [f32; 4]| p.map(f32::to_bits);
    let stream = |p| {
        let [_, low, high, step] = bits(p);
        Stream { seed: u64::from(low) | (u64::from(high) << 32), stream: 1, step, part: 5 }
    };
    check("philox", 50, &points, |p| philox(bits(p), [p[3].to_bits(), p[0].to_bits()]).map(f32::from_bits));
    check("normal", 51, &points, |p| stream(p).normal4(p[0].to_bits()));
    check("uniform", 52, &points, |p| stream(p).uniform4(p[0].to_bits()));
}

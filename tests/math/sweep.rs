//! Walks over bit patterns and measures errors.

use rayon::prelude::*;

/// What a function promises: so many ulp, or so much relatively or absolutely, whichever is largest.
#[derive(Clone, Copy)]
pub struct Bound {
    pub ulp: f64,
    pub relative: f64,
    pub absolute: f64,
}

impl Bound {
    pub fn ulp(ulp: f64) -> Self {
        Bound { ulp, relative: 0.0, absolute: 0.0 }
    }

    /// What the gamma family promises.
    pub fn special(absolute: f64) -> Self {
        Bound { ulp: 4.0, relative: 1e-6, absolute }
    }
}

pub type Batch = fn(&[f32], &mut [f32]);

/// A loop over `$function` for the best instruction set of this machine.
macro_rules! batch {
    ($function:path) => {{
        cytograd::simd_fn! {
            fn run(x: &[f32], y: &mut [f32]) {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = $function(x);
                }
            }
        }
        run as crate::sweep::Batch
    }};
}
pub(crate) use batch;

/// Arguments that no sweep may miss, with both signs.
const SPECIAL: [f32; 19] = [
    0.0,
    1e-45,
    1.175_494_2e-38,
    f32::MIN_POSITIVE,
    0.5,
    1.0,
    1.461_632_1,
    1.5,
    2.0,
    2.5,
    3.0,
    10.0,
    88.722_84,
    103.972_08,
    8_388_608.0,
    16_777_216.0,
    f32::MAX,
    f32::INFINITY,
    f32::NAN,
];

/// Spacing of binary32 numbers at `v`.
fn spacing(v: f64) -> f64 {
    let a = v.abs().clamp(2f64.powi(-126), 2f64.powi(127));
    let exponent = ((a.to_bits() >> 52) as i32) - 1023;
    2f64.powi(exponent - 23)
}

/// The distance of `y` from `want` in spacings there.
pub fn ulps(y: f32, want: f64) -> f64 {
    (f64::from(y) - want).abs() / spacing(want)
}

#[derive(Clone, Copy, Default)]
struct Worst {
    ulp: f64,
    at: u32,
    /// Largest error of a value below 1 whose bound is absolute; such values have no ulp count.
    absolute: f64,
    sum: f64,
    count: u64,
    /// Arguments whose error exceeds the bound, and the first of them.
    beyond: u64,
    first: u32,
}

impl Worst {
    fn join(self, o: Worst) -> Worst {
        let (ulp, at) = if o.ulp > self.ulp { (o.ulp, o.at) } else { (self.ulp, self.at) };
        let first = if self.beyond > 0 { self.first } else { o.first };
        let absolute = self.absolute.max(o.absolute);
        Worst {
            ulp,
            at,
            absolute,
            sum: self.sum + o.sum,
            count: self.count + o.count,
            beyond: self.beyond + o.beyond,
            first,
        }
    }
}

fn judge(x: f32, y: f32, want: f64, bound: Bound) -> (f64, bool) {
    if want.is_nan() || y.is_nan() {
        return if want.is_nan() && y.is_nan() { (0.0, true) } else { (f64::INFINITY, false) };
    }
    if want == 0.0 && want.is_sign_negative() != y.is_sign_negative() && x == 0.0 {
        return (f64::INFINITY, false);
    }
    // Infinity stands one spacing above the largest number, so that overflow may come one ulp early.
    let top = |v: f64| v.clamp(-(2f64.powi(128)), 2f64.powi(128));
    let error = (top(f64::from(y)) - top(want)).abs();
    let ulp = error / spacing(want);
    let limit = (bound.ulp * spacing(want)).max(bound.relative * want.abs()).max(bound.absolute);
    (ulp, error <= limit)
}

/// Measures `f` on every `stride`-th bit pattern, prints the errors and fails beyond `bound`.
pub fn sweep(name: &str, f: Batch, oracle: fn(f64) -> f64, stride: u64, bound: Bound) {
    sweep_where(name, f, oracle, stride, bound, |_| true);
}

/// As [`sweep`], on the arguments that `keep` admits.
pub fn sweep_where(
    name: &str,
    f: Batch,
    oracle: fn(f64) -> f64,
    stride: u64,
    bound: Bound,
    keep: impl Fn(f32) -> bool + Sync,
) {
    const CHUNK: u64 = 1 << 12;
    let total = (1u64 << 32).div_ceil(stride);
    let worst = (0..total.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let range = chunk * CHUNK..((chunk + 1) * CHUNK).min(total);
            let mut x: Vec<f32> = range.map(|i| f32::from_bits((i * stride) as u32)).filter(|&x| keep(x)).collect();
            if chunk == 0 {
                x.extend(SPECIAL.iter().flat_map(|&x| [x, -x]).filter(|&x| keep(x)));
            }
            let mut y = vec![0f32; x.len()];
            f(&x, &mut y);
            let mut worst = Worst::default();
            for (&x, &y) in x.iter().zip(&y) {
                let want = oracle(f64::from(x));
                let (ulp, fine) = judge(x, y, want, bound);
                let small = bound.absolute > 0.0 && want.abs() < 1.0;
                if small {
                    worst.absolute = worst.absolute.max((f64::from(y) - want).abs());
                }
                let ulp = if small && fine { 0.0 } else { ulp };
                worst.sum += ulp;
                worst.count += 1;
                if ulp > worst.ulp {
                    (worst.ulp, worst.at) = (ulp, x.to_bits());
                }
                if !fine {
                    if worst.beyond == 0 {
                        worst.first = x.to_bits();
                    }
                    worst.beyond += 1;
                }
            }
            worst
        })
        .reduce(Worst::default, Worst::join);
    let show = |bits: u32| format!("{:e} ({bits:#010x})", f32::from_bits(bits));
    println!(
        "{name:<22} max {:.3} ulp at {}, mean {:.4} ulp, {} arguments{}",
        worst.ulp,
        show(worst.at),
        worst.sum / worst.count as f64,
        worst.count,
        if bound.absolute > 0.0 { format!(", {:.2e} below 1", worst.absolute) } else { String::new() }
    );
    assert!(worst.beyond == 0, "{name}: {} arguments beyond the bound, first {}", worst.beyond, show(worst.first));
}

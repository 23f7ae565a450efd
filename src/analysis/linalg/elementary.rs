//! `exp` and `ln` in binary64 from IEEE basics: the same bits on every machine, which the platform's
//! libm does not promise. Error below 2 ulp (the tests measure it against the standard library).
//!
//! `math::wide` has both for occasional use. Harmony evaluates them n x K times per iteration; these
//! forms have no division in the series, which leaves the processor free to overlap them.

const LN2_HI: f64 = 6.931_471_803_691_238e-1;
const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
/// Adding this rounds to an integer.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// `e^x`. Below -708 the result is 0, above 709 infinity; NaN stays NaN.
#[inline]
pub fn exp(x: f64) -> f64 {
    if !(-708.0..=709.0).contains(&x) {
        return if x.is_nan() {
            x
        } else if x < 0.0 {
            0.0
        } else {
            f64::INFINITY
        };
    }
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * LN2_HI) - k * LN2_LO;
    // Taylor to degree 13: the rest is below 5e-18 for |r| <= ln(2)/2.
    let mut p = 1.0 / 6_227_020_800.0;
    for c in [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
    ] {
        p = p * r + c;
    }
    let value = 1.0 + (r + r * r * p);
    // 2^k in two factors, so that k = 1024 does not overflow early.
    let half = (k as i64) / 2;
    let power = |n: i64| f64::from_bits(((n + 1023) as u64) << 52);
    value * power(half) * power(k as i64 - half)
}

/// The natural logarithm. 0 gives minus infinity, negative numbers NaN.
#[inline]
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    let (x, shift) = if x < f64::MIN_POSITIVE { (x * 18_014_398_509_481_984.0, 54) } else { (x, 0) };
    let bits = x.to_bits();
    let mut e = (bits >> 52) as i64 - 1023 - shift;
    let mut m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        e += 1;
    }
    // ln m = 2 atanh(s); the series to s^21 leaves less than 1e-17.
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let mut p = 1.0 / 21.0;
    for c in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        p = p * s2 + 1.0 / c;
    }
    let e = e as f64;
    // 2 s = f - s f with f = m - 1 keeps full precision near m = 1.
    let f = m - 1.0;
    e * LN2_HI + (f - (s * (f - 2.0 * s2 * p) - e * LN2_LO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(a: f64, b: f64) -> u64 {
        a.to_bits().abs_diff(b.to_bits())
    }

    #[test]
    fn exp_and_ln_are_within_2_ulp() {
        let mut worst = (0, 0);
        for i in 0..200_001 {
            let x = (f64::from(i) - 100_000.0) * 7.05e-3 + 1e-4;
            worst.0 = worst.0.max(ulps(exp(x), x.exp()));
            for y in [exp(x), 1.0 + f64::from(i) * 1e-6, 1.0 - f64::from(i) * 4e-6] {
                if y > 0.0 && y != 1.0 {
                    worst.1 = worst.1.max(ulps(ln(y), y.ln()));
                }
            }
        }
        assert!(worst.0 <= 2 && worst.1 <= 2, "exp {} ulp, ln {} ulp", worst.0, worst.1);
    }

    #[test]
    fn special_values() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(exp(-1e9), 0.0);
        assert_eq!(exp(1e9), f64::INFINITY);
        assert!(exp(f64::NAN).is_nan() && ln(-1.0).is_nan());
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert!(ulps(ln(5e-324), 5e-324f64.ln()) <= 2);
    }
}

//! Binary64 elementary functions for host code that must give the same bits on every machine
//! (simulation, initial values): `+ - * /` only, right to about 1e-15 relatively. Kernels never
//! use them.

const LN2_HI: f64 = 0.693_147_180_369_123_8; // 33 significant bits
const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// `e^x`.
pub fn exp(x: f64) -> f64 {
    if x.is_nan() || x > 709.8 {
        return if x.is_nan() { x } else { f64::INFINITY };
    }
    if x < -745.2 {
        return 0.0;
    }
    let n = (x * std::f64::consts::LOG2_E + ROUND) - ROUND;
    let r = (x - n * LN2_HI) - n * LN2_LO;
    // Taylor's series; the first term left out is 5e-18 at r = ln(2)/2.
    let mut p = 1.0;
    for k in (1..=13).rev() {
        p = 1.0 + p * r / f64::from(k);
    }
    let n = n as i64;
    let power = |n: i64| f64::from_bits(((n + 1023) as u64) << 52);
    p * power(n >> 1) * power(n - (n >> 1))
}

/// Natural logarithm; `-inf` at 0, NaN below.
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 || x == f64::INFINITY {
        return if x == 0.0 { f64::NEG_INFINITY } else { x };
    }
    let (x, shift) = if x < f64::MIN_POSITIVE { (x * 18_014_398_509_481_984.0, -54.0) } else { (x, 0.0) };
    // x = 2^e (1 + f), 1 + f in [0.707, 1.414)
    let bits = x.to_bits();
    let e = ((bits.wrapping_sub(0x3fe6_a09e_667f_3bcd) as i64) >> 52) << 52;
    let f = f64::from_bits(bits.wrapping_sub(e as u64)) - 1.0;
    let e = (e >> 52) as f64 + shift;
    // ln(1 + f) = 2 atanh(s)
    let s = f / (2.0 + f);
    let v = s * s;
    let mut p = 0.0;
    for k in (1..=11).rev() {
        p = v * (1.0 / f64::from(2 * k + 1) + p);
    }
    // 2s (1 + p) = f - s f + 2 s p: f is exact.
    e * LN2_HI + (f - (s * (f - 2.0 * p) - e * LN2_LO))
}

/// `(sin 2 pi u, cos 2 pi u)` for |u| < 2^50.
pub fn sincos_2pi(u: f64) -> (f64, f64) {
    let q = (4.0 * u + ROUND) - ROUND;
    let t = std::f64::consts::TAU * (u - 0.25 * q);
    let v = t * t;
    let (mut s, mut c) = (1.0, 1.0);
    for k in (1..=9).rev() {
        let k = f64::from(2 * k);
        s = 1.0 - s * v / (k * (k + 1.0));
        c = 1.0 - c * v / (k * (k - 1.0));
    }
    let s = s * t;
    match (q as i64).rem_euclid(4) {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    }
}

/// `ln Gamma(x)` for x > 0, to 4e-14 absolutely or 4e-15 relatively.
pub fn lgamma(x: f64) -> f64 {
    let (mut z, mut product) = (x, 1.0);
    while z < 12.0 {
        product *= z;
        z += 1.0;
    }
    let v = 1.0 / (z * z);
    let rest = (1.0 / 12.0 - v * (1.0 / 360.0 - v * (1.0 / 1260.0 - v * (1.0 / 1680.0 - v / 1188.0)))) / z;
    (z - 0.5) * ln(z) - z + 0.918_938_533_204_672_8 + rest - ln(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, want: f64, scale: f64) {
        assert!((found - want).abs() <= 4e-15 * scale.max(want.abs()), "{found:e}, not {want:e}");
    }

    #[test]
    fn wide_functions_agree_with_the_platform() {
        for i in -7000..7000 {
            let x = f64::from(i) * 0.1 + 0.037;
            close(exp(x), x.exp(), 0.0);
            let y = x.exp();
            close(ln(y), y.ln(), 0.0);
            let near = 1.0 + x * 1e-4;
            close(ln(near), near.ln(), 0.0);
            let (s, c) = sincos_2pi(x * 0.001);
            close(s, (x * 0.001 * std::f64::consts::TAU).sin(), 1.0);
            close(c, (x * 0.001 * std::f64::consts::TAU).cos(), 1.0);
        }
        let mut factorial = 0.0;
        for n in 1..60 {
            close(lgamma(f64::from(n)), factorial, 10.0);
            factorial += f64::from(n).ln();
        }
        close(lgamma(0.5), 0.5 * std::f64::consts::PI.ln(), 10.0);
    }

    #[test]
    fn wide_functions_at_the_ends() {
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp(1000.0), f64::INFINITY);
        assert!(exp(f64::NAN).is_nan());
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert!(ln(-1.0).is_nan());
        close(ln(5e-324), 5e-324f64.ln(), 0.0);
        close(exp(-744.0), (-744.0f64).exp(), 1e-300);
    }
}

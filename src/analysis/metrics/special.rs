//! The few special functions that tests of hypotheses need, in float64. May use: nothing.

const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// `ln Gamma(x)` for x > 0: Stirling's series after shifting x to 12 or more.
pub fn ln_gamma(x: f64) -> f64 {
    let (mut y, mut below) = (x, 1.0);
    while y < 12.0 {
        below *= y;
        y += 1.0;
    }
    (y - 0.5) * y.ln() - y + HALF_LN_TWO_PI + stirling(y) - f64::ln(below)
}

/// `ln Gamma(x) - ((x - 1/2) ln x - x + ln sqrt(2 pi))` for x >= 12.
fn stirling(x: f64) -> f64 {
    // Bernoulli terms B_2n / (2n (2n - 1)); at 12 the first one left out is below 1e-17.
    const TERMS: [f64; 8] = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
        -3617.0 / 122_400.0,
    ];
    let inverse_square = 1.0 / (x * x);
    TERMS.iter().rev().fold(0.0, |sum, term| sum * inverse_square + term) / x
}

/// `x^a e^-x / Gamma(a)`.
fn gamma_density(a: f64, x: f64) -> f64 {
    if a < 12.0 {
        return (a * x.ln() - x - ln_gamma(a)).exp();
    }
    // Near x = a the large terms cancel before they are rounded.
    let away = (x - a) / a;
    (a * (away.ln_1p() - away) + 0.5 * a.ln() - HALF_LN_TWO_PI - stirling(a)).exp()
}

/// Regularised upper incomplete gamma function `Q(a, x) = Gamma(a, x) / Gamma(a)`, a > 0.
///
/// The series of `P` below `a + 1`, the continued fraction of `Q` (evaluated by the method of Lentz)
/// above. 1 for x <= 0, NaN for NaN.
pub fn gamma_q(a: f64, x: f64) -> f64 {
    if x.is_nan() || a.is_nan() || a <= 0.0 {
        return f64::NAN;
    }
    if x <= 0.0 {
        return 1.0;
    }
    if x == f64::INFINITY {
        return 0.0;
    }
    let factor = gamma_density(a, x);
    // Both converge within a few times sqrt(a) steps; the bound only guards against a stall.
    let bound = 1000 + 20 * a.sqrt() as usize;
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..bound {
            term *= x / (a + n as f64);
            sum += term;
            if term < sum * (f64::EPSILON / 4.0) {
                break;
            }
        }
        return 1.0 - factor * sum;
    }
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (f64::INFINITY, 1.0 / b);
    let mut fraction = d;
    for n in 1..bound {
        let n = n as f64;
        let numerator = -n * (n - a);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        let step = c * d;
        fraction *= step;
        if (step - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    factor * fraction
}

/// Probability that a chi-square variable with `df` degrees of freedom exceeds `x`.
pub fn chi2_sf(x: f64, df: f64) -> f64 {
    gamma_q(df / 2.0, x / 2.0)
}

/// Standard normal distribution function, accurate in both tails.
pub fn ndtr(x: f64) -> f64 {
    // P(|Z| > |x|) is the tail of a chi-square variable with one degree of freedom.
    let both_tails = chi2_sf(x * x, 1.0);
    if x > 0.0 { 1.0 - both_tails / 2.0 } else { both_tails / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_gamma_is_right_at_known_points() {
        for (x, value) in [(1.0, 0.0), (2.0, 0.0), (0.5, 0.5 * std::f64::consts::PI.ln()), (11.0, 3_628_800f64.ln())] {
            assert!((ln_gamma(x) - value).abs() < 4e-15 * (1.0f64).max(value), "{x}: {}", ln_gamma(x));
        }
    }

    #[test]
    fn two_degrees_of_freedom_are_an_exponential() {
        for x in [0.0, 1e-9, 0.3, 1.0, 5.0, 80.0, 1400.0] {
            let expected = f64::exp(-x / 2.0);
            assert!((chi2_sf(x, 2.0) - expected).abs() <= 1e-12 * expected, "{x}");
        }
        assert!(chi2_sf(f64::NAN, 2.0).is_nan());
        assert_eq!((chi2_sf(-1.0, 3.0), chi2_sf(f64::INFINITY, 3.0)), (1.0, 0.0));
    }

    #[test]
    fn both_branches_meet() {
        // Gamma(a + 1, x) = a Gamma(a, x) + x^a e^-x ties the series and the fraction together.
        for a in [0.5f64, 1.5, 4.0, 60.0, 1000.0] {
            for x in [a * 0.9, a + 0.5, a + 1.0, a + 1.5, a + 5.0] {
                let link = (a * f64::ln(x) - x - ln_gamma(a + 1.0)).exp();
                let gap = gamma_q(a + 1.0, x) - gamma_q(a, x) - link;
                assert!(gap.abs() < 3e-13, "a {a} x {x}: {gap:e}");
            }
        }
    }
}

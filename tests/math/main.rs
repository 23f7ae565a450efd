//! Accuracy of `cytograd::math` against binary64 oracles: maximum and mean error in units in the
//! last place, over bit patterns spread through the whole range.

mod oracle;
mod pow;
mod sweep;

use cytograd::math;
use sweep::{Bound, sweep, sweep_where};

/// Every 419th bit pattern is 10.25 million arguments.
const STRIDE: u64 = 419;

macro_rules! accuracy {
    ($($test:ident: $function:path, $oracle:expr, $bound:expr;)*) => {
        $(
            #[test]
            fn $test() {
                sweep(stringify!($function), sweep::batch!($function), $oracle, STRIDE, $bound);
            }
        )*
        /// All arguments between 2^-14 and 2^8 in magnitude, where no function is trivial yet.
        #[test]
        #[ignore = "minutes"]
        fn every_moderate_argument() {
            let keep = |x: f32| (6.103_515_6e-5..256.0).contains(&x.abs());
            $(sweep_where(stringify!($function), sweep::batch!($function), $oracle, 1, $bound, keep);)*
        }
        /// All 2^32 arguments of one function: minutes of a core each.
        mod every_argument {
            use super::*;
            $(
                #[test]
                #[ignore = "minutes"]
                fn $test() {
                    sweep(stringify!($function), sweep::batch!($function), $oracle, 1, $bound);
                }
            )*
        }
    };
}

accuracy! {
    exp_within_2_ulp: math::exp, f64::exp, Bound::ulp(2.0);
    exp2_within_2_ulp: math::exp2, f64::exp2, Bound::ulp(2.0);
    expm1_within_2_ulp: math::expm1, f64::exp_m1, Bound::ulp(2.0);
    ln_within_2_ulp: math::ln, f64::ln, Bound::ulp(2.0);
    log2_within_2_ulp: math::log2, f64::log2, Bound::ulp(2.0);
    log1p_within_2_ulp: math::log1p, f64::ln_1p, Bound::ulp(2.0);
    tanh_within_2_ulp: math::tanh, f64::tanh, Bound::ulp(2.0);
    sigmoid_within_2_ulp: math::sigmoid, oracle::sigmoid, Bound::ulp(2.0);
    softplus_within_2_ulp: math::softplus, oracle::softplus, Bound::ulp(2.0);
    log_sigmoid_within_2_ulp: math::log_sigmoid, oracle::log_sigmoid, Bound::ulp(2.0);
    sin_within_2_ulp: math::sin, f64::sin, Bound::ulp(2.0);
    cos_within_2_ulp: math::cos, f64::cos, Bound::ulp(2.0);
    erf_within_2_ulp: math::erf, libm::erf, Bound::ulp(2.0);
    erfc_within_2_ulp: math::erfc, libm::erfc, Bound::ulp(2.0);
    ndtr_within_2_ulp: math::ndtr, oracle::ndtr, Bound::ulp(2.0);
    lgamma_within_its_bound: math::lgamma, libm::lgamma, Bound::special(1e-6);
    digamma_within_its_bound: math::digamma, oracle::digamma, Bound::special(1e-6);
    trigamma_within_its_bound: math::trigamma, oracle::trigamma, Bound::special(0.0);
}

#[test]
fn lgamma_positive_keeps_its_digits_at_its_zeros() {
    let f = sweep::batch!(math::lgamma_positive);
    sweep_where("math::lgamma_positive", f, libm::lgamma, STRIDE, Bound::special(0.0), |x| x >= 0.0);
}

#[test]
fn digamma_positive_keeps_its_digits_at_its_zero() {
    let f = sweep::batch!(math::digamma_positive);
    let bound = Bound::special(1e-14);
    sweep_where("math::digamma_positive", f, oracle::digamma, STRIDE, bound, |x| x >= 0.0 && x.to_bits() != 1 << 31);
}

#[test]
fn positive_forms_return_the_bits_of_the_general_ones() {
    for bits in (0..0x7f80_0000u32).step_by(997) {
        let x = f32::from_bits(bits);
        assert_eq!(math::lgamma_positive(x).to_bits(), math::lgamma(x).to_bits(), "lgamma({x:e})");
        assert_eq!(math::digamma_positive(x).to_bits(), math::digamma(x).to_bits(), "digamma({x:e})");
    }
}

#[test]
fn sincos_2pi_within_2_ulp_for_every_24_bit_turn() {
    let mut worst = 0.0f64;
    for turn in 0..1u32 << 24 {
        let (s, c) = math::sincos_2pi(turn << 8);
        // The octant by integers, so that the oracle is exact at the zeros.
        let quarter = (turn + (1 << 21)) >> 22;
        let rest = f64::from(turn as i32 - (quarter << 22) as i32) * (std::f64::consts::TAU / 16_777_216.0);
        let (a, b) = rest.sin_cos();
        let (sin, cos) = match quarter % 4 {
            0 => (a, b),
            1 => (b, -a),
            2 => (-a, -b),
            _ => (-b, a),
        };
        worst = worst.max(sweep::ulps(s, sin)).max(sweep::ulps(c, cos));
    }
    println!("math::sincos_2pi       max {worst:.3} ulp, 16777216 arguments");
    assert!(worst <= 2.0);
}

/// Scalar code without `fma` and the vector form must agree to the bit: the software `mul_add`, the
/// selects and the conversions mean the same thing everywhere.
macro_rules! same_bits {
    ($($function:path),* $(,)?) => {
        #[test]
        fn vector_and_scalar_forms_return_the_same_bits() {
            let x: Vec<f32> = (0..1u64 << 32).step_by(65_521).map(|b| f32::from_bits(b as u32)).collect();
            let mut y = vec![0f32; x.len()];
            $(
                sweep::batch!($function)(&x, &mut y);
                for (&x, &y) in x.iter().zip(&y) {
                    let alone = $function(std::hint::black_box(x));
                    let same = alone.to_bits() == y.to_bits() || (alone.is_nan() && y.is_nan());
                    assert!(same, "{}({x:e}): {y:e} in a vector, {alone:e} alone", stringify!($function));
                }
            )*
        }
    };
}

same_bits!(
    math::exp,
    math::exp2,
    math::expm1,
    math::ln,
    math::log2,
    math::log1p,
    math::tanh,
    math::sigmoid,
    math::softplus,
    math::log_sigmoid,
    math::sin,
    math::cos,
    math::erf,
    math::erfc,
    math::ndtr,
    math::lgamma,
    math::digamma,
    math::trigamma,
);

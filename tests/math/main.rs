//! Accuracy of `cytograd::math` against binary64 oracles: maximum and mean error in units in the
//! last place, over bit patterns spread through the whole range.

mod oracle;
mod pow;
mod sweep;

use cytograd::math;
use sweep::{Bound, sweep};

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
        /// All 2^32 arguments of every function.
        #[test]
        #[ignore = "half an hour"]
        fn every_argument() {
            $(sweep(stringify!($function), sweep::batch!($function), $oracle, 1, $bound);)*
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

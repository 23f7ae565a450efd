//! Elementary functions in binary32, the same bits on every machine.
//!
//! Each function is one fixed sequence of IEEE-754 binary32 operations (`+ - * /`, `sqrt`,
//! `f32::mul_add`, comparisons with selects) and 32-bit integer operations. Nothing here calls the
//! platform's libm, nothing branches on data, and no wider type is used, so that
//!
//! - every backend can mirror the sequence line by line and return the same bits;
//! - a loop over one of these functions vectorises when it is inlined into a function that enables
//!   `avx2,fma` or AVX-512. Without `fma` the results are the same and slow: `mul_add` then goes
//!   through a software routine.
//!
//! (Products of two words, in [`sincos`] and in the random numbers, are written in 64-bit integers.)
//!
//! # Accuracy
//! Errors in units in the last place of the result against binary64, both signs, subnormal
//! arguments and results included (`tests/math`). The mean is over bit patterns, so it counts the
//! many arguments with trivial results.
//!
//! | function | max | mean | measured on |
//! |---|---|---|---|
//! | `exp` | 1.031 | 0.034 | all 2^32 |
//! | `exp2` | 0.837 | 0.034 | all 2^32 |
//! | `expm1` | 1.439 | 0.036 | all 2^32 |
//! | `ln` | 0.951 | 0.125 | all 2^32 |
//! | `log2` | 1.783 | 0.125 | all 2^32 |
//! | `log1p` | 1.268 | 0.089 | all 2^32 |
//! | `tanh` | 1.463 | 0.016 | all 2^32 |
//! | `sigmoid` | 1.497 | 0.035 | all 2^32 |
//! | `softplus`, `log_sigmoid` | 1.671 | 0.051 | all 2^32 |
//! | `sin`, `cos` | 1.495 | 0.161 | all 2^32 |
//! | `sincos_2pi` | 1.128 | | all 2^24 turns |
//! | `erf` | 1.075 | 0.126 | all 2^32 |
//! | `erfc` | 1.838 | 0.033 | all 2^32 |
//! | `ndtr` | 1.903 | 0.033 | all 2^32 |
//! | `pow` | 0.935 | 0.237 | 3 million pairs |
//! | `lgamma` | 2.652 | 0.222 | all 2^32; results below 1: 3.1e-7 absolute |
//! | `digamma` | 2.487 | 0.221 | all 2^32; results below 1: 2.6e-7 absolute |
//! | `trigamma` | 6.037 | 0.291 | all 2^32; at most 1e-6 relative |
//!
//! For `x >= 0`, `lgamma` stays within 5.5 ulp around its zeros and `digamma` within 2.1.
//!
//! Rounding to an integer adds and subtracts 1.5*2^23 instead of calling `round`. Special values
//! (NaN, infinities, zeros and their signs, poles) follow C99 unless a function says otherwise.
#![forbid(unsafe_code)]

mod activation;
mod counts;
mod erf;
pub(crate) mod exp;
mod gamma;
mod log;
mod pow;
mod trig;
pub mod wide;

pub use activation::{elu, leaky_relu, log_sigmoid, relu, sigmoid, softplus, tanh};
pub use counts::{
    Dispersion, Mean, ZeroMixture, count_slopes, count_value, inflation, nb_count, nb_zero, stirling_error, zinb_count,
    zinb_zero,
};
pub use erf::{erf, erfc, ndtr};
pub use exp::{exp, exp2, expm1};
pub use gamma::{digamma, digamma_positive, lgamma, lgamma_positive, trigamma};
pub use log::{ln, log1p, log2};
pub use pow::pow;
pub use trig::{cos, sin, sincos, sincos_2pi};

/// Adding this rounds a float below 2^22 in magnitude to an integer, which then sits in the low bits.
pub(crate) const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23

/// `yes` where `condition` holds, else `no`; both are computed. A plain `if` lets the compiler move
/// the computation of one side into a branch, which then neither vectorises nor keeps its pace.
#[inline(always)]
fn select<T>(condition: bool, yes: T, no: T) -> T {
    std::hint::select_unpredictable(condition, yes, no)
}

/// The value of `magnitude` with the sign bit of `sign`.
#[inline(always)]
fn with_sign(magnitude: f32, sign: f32) -> f32 {
    f32::from_bits((magnitude.to_bits() & 0x7fff_ffff) | (sign.to_bits() & 0x8000_0000))
}

/// `2^n` for `-126 <= n <= 127`.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

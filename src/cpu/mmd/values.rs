//! From `s` to K and h, element by element.

use super::Pairs;
use crate::kernel::mmd::{Kind, LANES};
use crate::math::exp;

/// Values of sixteen pairs.
pub type Row = [f32; LANES];

/// Sum over the gammas of `term(g, s)`, for each lane.
#[inline(always)]
fn over_gammas(gamma: &[f32], s: &Row, term: impl Fn(f32, f32) -> f32) -> Row {
    let mut sum = [0.0f32; LANES];
    for (k, &g) in gamma.iter().enumerate() {
        for l in 0..LANES {
            let value = term(g, s[l]);
            let next = sum[l] + value;
            sum[l] = if k == 0 { value } else { next };
        }
    }
    sum
}

/// From `s` to K, in place.
#[inline(always)]
pub fn values(pairs: &Pairs, s: &mut [Row]) {
    let gamma = pairs.gamma;
    match pairs.kind {
        Kind::Linear | Kind::Distance => {}
        Kind::Cubic => {
            for s in s.as_flattened_mut() {
                let q = s.mul_add(pairs.scale, pairs.shift);
                *s = (q * q) * q;
            }
        }
        Kind::Gaussian | Kind::Laplacian => {
            if let [g] = *gamma {
                for s in s {
                    for s in s {
                        *s = exp(-(g * *s));
                    }
                }
            } else {
                for s in s {
                    *s = over_gammas(gamma, s, |g, s| exp(-(g * s)));
                }
            }
        }
        Kind::GaussianScale => {
            for s in s {
                *s = over_gammas(gamma, s, |g, s| (g * s) * exp(-(g * s))).map(|v| -v);
            }
        }
    }
}

/// From `s` to K, in place, and to h.
#[inline(always)]
pub fn values_slopes(pairs: &Pairs, s: &mut [Row], h: &mut [Row]) {
    let gamma = pairs.gamma;
    for (s, h) in s.iter_mut().zip(h) {
        match pairs.kind {
            Kind::Linear | Kind::Distance => *h = [1.0; LANES],
            Kind::Cubic => {
                for (s, h) in s.iter_mut().zip(h) {
                    let q = s.mul_add(pairs.scale, pairs.shift);
                    *s = (q * q) * q;
                    *h = q * q;
                }
            }
            Kind::Gaussian | Kind::Laplacian => {
                let slope = over_gammas(gamma, s, |g, s| g * exp(-(g * s)));
                *s = over_gammas(gamma, s, |g, s| exp(-(g * s)));
                *h = if gamma.len() == 1 { *s } else { slope };
            }
            Kind::GaussianScale => {
                *h = over_gammas(gamma, s, |g, s| (g * s - 1.0) * (g * exp(-(g * s))));
                *s = over_gammas(gamma, s, |g, s| (g * s) * exp(-(g * s))).map(|v| -v);
            }
        }
    }
}

/// Combines the lanes of a sum by halving.
#[inline(always)]
pub fn halved(lanes: Row) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|l| lanes[l] + lanes[l + 8]);
    let four: [f32; 4] = std::array::from_fn(|l| eight[l] + eight[l + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// The same for sixteen sums side by side.
#[inline(always)]
pub fn halved_rows(mut lanes: [Row; LANES]) -> Row {
    for half in [8, 4, 2, 1] {
        for low in 0..half {
            for l in 0..LANES {
                lanes[low][l] += lanes[low + half][l];
            }
        }
    }
    lanes[0]
}

/// Adds a chunk's total; the first one is taken as it is.
#[inline(always)]
pub fn add_total(total: f32, first: bool, sum: &mut f32) {
    *sum = if first { total } else { *sum + total };
}

//! From `s` to K and h, element by element.

use super::Pairs;
use crate::cpu::lanes::{Four, Lanes, dispatch};
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
        // SAFETY: no slopes are asked for.
        Kind::Gaussian | Kind::Laplacian => unsafe { scales(gamma, s.as_flattened_mut(), &mut []) },
        Kind::GaussianScale => {
            for s in s {
                *s = over_gammas(gamma, s, |g, s| (g * s) * exp(-(g * s))).map(|v| -v);
            }
        }
    }
}

/// From `s` to K, in place, and to h, which is as long.
#[inline(always)]
pub fn values_slopes(pairs: &Pairs, s: &mut [Row], h: &mut [Row]) {
    let gamma = pairs.gamma;
    match pairs.kind {
        Kind::Linear | Kind::Distance => h.fill([1.0; LANES]),
        Kind::Cubic => {
            for (s, h) in s.as_flattened_mut().iter_mut().zip(h.as_flattened_mut()) {
                let q = s.mul_add(pairs.scale, pairs.shift);
                *s = (q * q) * q;
                *h = q * q;
            }
        }
        Kind::Gaussian | Kind::Laplacian if gamma.len() == 1 => {
            values(pairs, s);
            h.copy_from_slice(s);
        }
        Kind::Gaussian | Kind::Laplacian => {
            assert_eq!(s.len(), h.len());
            // SAFETY: as many slopes as values.
            unsafe { scales(gamma, s.as_flattened_mut(), h.as_flattened_mut()) }
        }
        Kind::GaussianScale => {
            for (s, h) in s.iter_mut().zip(h) {
                *h = over_gammas(gamma, s, |g, s| (g * s - 1.0) * (g * exp(-(g * s))));
                *s = over_gammas(gamma, s, |g, s| (g * s) * exp(-(g * s))).map(|v| -v);
            }
        }
    }
}

dispatch! {
    /// From `s`, whole groups of 16, to the sum of `exp(-g s)` over the scales, in place, and in `h`, which is as
    /// long or empty, to the sum of `g exp(-g s)`: one exponential for both.
    ///
    /// # Safety
    /// The lengths are as said.
    unsafe fn scales(gamma: &[f32], s: &mut [f32], h: &mut [f32]) via
        scales_with::<std::arch::x86_64::__m512>,
        scales_with::<std::arch::x86_64::__m256>,
        scales_with::<Four>
}

/// # Safety
/// As `scales`; the processor has the instructions of `V`.
#[inline(always)]
unsafe fn scales_with<V: Lanes>(gamma: &[f32], s: &mut [f32], h: &mut [f32]) {
    // Neither squares nor city distances are below 0.
    let below = gamma.iter().all(|&g| g > 0.0);
    // SAFETY: the caller's.
    unsafe {
        match (below, h.is_empty()) {
            (true, true) => each_scale::<V, true, false>(gamma, s, h),
            (true, false) => each_scale::<V, true, true>(gamma, s, h),
            (false, true) => each_scale::<V, false, false>(gamma, s, h),
            (false, false) => each_scale::<V, false, true>(gamma, s, h),
        }
    }
}

/// [`scales`]. If `BELOW`, all g are above 0 and no s is below.
///
/// # Safety
/// As `scales_with`; `h` is empty unless `SLOPES`.
#[inline(always)]
unsafe fn each_scale<V: Lanes, const BELOW: bool, const SLOPES: bool>(gamma: &[f32], s: &mut [f32], h: &mut [f32]) {
    let (values, slopes) = (s.as_mut_ptr(), h.as_mut_ptr());
    let mut at = 0;
    // SAFETY: the caller's.
    unsafe {
        while at + 4 * V::LEN <= s.len() {
            some_scales::<V, 4, BELOW, SLOPES>(gamma, values.add(at), slopes.wrapping_add(at));
            at += 4 * V::LEN;
        }
        while at < s.len() {
            some_scales::<V, 1, BELOW, SLOPES>(gamma, values.add(at), slopes.wrapping_add(at));
            at += V::LEN;
        }
    }
}

/// [`scales`] of `M` registers.
///
/// # Safety
/// There are as many values at `s`, and at `h` if `SLOPES`; else as `scales_with`.
#[inline(always)]
unsafe fn some_scales<V: Lanes, const M: usize, const BELOW: bool, const SLOPES: bool>(
    gamma: &[f32],
    s: *mut f32,
    h: *mut f32,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut base = [V::splat(0.0); M];
        for (i, base) in base.iter_mut().enumerate() {
            *base = V::load(s.add(i * V::LEN));
        }
        let (mut sum, mut slope) = ([V::splat(0.0); M], [V::splat(0.0); M]);
        for (k, &g) in gamma.iter().enumerate() {
            let (minus, plus) = (V::splat(-g), V::splat(g));
            let mut e = base;
            for e in &mut e {
                *e = minus.mul(*e);
            }
            let e = V::exps::<M, BELOW>(e);
            for i in 0..M {
                sum[i] = if k == 0 { e[i] } else { sum[i].add(e[i]) };
                if SLOPES {
                    let term = plus.mul(e[i]);
                    slope[i] = if k == 0 { term } else { slope[i].add(term) };
                }
            }
        }
        for i in 0..M {
            sum[i].store(s.add(i * V::LEN));
            if SLOPES {
                slope[i].store(h.add(i * V::LEN));
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

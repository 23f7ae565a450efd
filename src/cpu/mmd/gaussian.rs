//! Strips of a Gaussian of one scale with weights of one, the common case: K is f, and both its sums
//! come from one pass.

use super::strip::{Marks, STRIDE, Strip, in_lanes, row_sums};
use super::values::{add_total, halved};
use crate::cpu::lanes::{Four, Lanes, dispatch};
use crate::kernel::mmd::*;

dispatch! {
    /// `strip::to_sums` of a plain strip.
    ///
    /// # Safety
    /// The strip is plain and its points exist; `rows` are whole rows, with an `out` for each.
    pub unsafe fn to_sums(strip: &mut Strip, first: usize, rows: &mut [f32], out: &mut [f32], sum_f: &mut [f32]) via
        with::<std::arch::x86_64::__m512, 1>,
        with::<std::arch::x86_64::__m256, 2>,
        with::<Four, 4>
}

/// `N` registers hold the lanes of a sum.
///
/// # Safety
/// As `to_sums`; the processor has the instructions of `V`.
#[inline(always)]
unsafe fn with<V: Lanes, const N: usize>(
    strip: &mut Strip,
    first: usize,
    rows: &mut [f32],
    out: &mut [f32],
    sum_f: &mut [f32],
) {
    let columns = strip.columns.len();
    let begins = strip.columns.start == 0;
    let largest = strip.y.norms[strip.columns.start..][..columns].iter().fold(0.0, |a: f32, &b| a.max(b));
    for (r, row) in rows.chunks_exact_mut(STRIDE).enumerate() {
        let i = strip.row + first + r;
        let row = &mut row[..columns];
        let norms = &strip.y.norms[strip.columns.start..][..columns];
        // SAFETY: a row of whole vectors and as many norms.
        let far = unsafe {
            let norm = strip.x.norms[i];
            squares::<V>(row, norm, norms, NEAR * (norm + largest)) || all_far::<V>(row, norm, norms)
        };
        let mut zeros = !far && strip.near_pairs(i, row);
        let g = strip.pairs.gamma[0];
        if let Some(j) = strip.pairs.skipped(i, strip.columns.start).filter(|&j| j < columns) {
            if !(g > 0.0) {
                row_sums(strip, first + r, row.as_chunks_mut().0, zeros, &mut out[r..=r], sum_f.get_mut(r));
                continue;
            }
            // K = f = +0 without further ado.
            row[j] = f32::INFINITY;
            strip.zero[j / LANES] &= !(1 << (j % LANES));
            zeros &= strip.zero != Marks::default();
        }
        let slot = (first + r) % LANES;
        // SAFETY: whole vectors, and a slot for each column where there are slots.
        let total = unsafe {
            let slots = match strip.slots.is_empty() {
                true => std::ptr::null_mut(),
                false => strip.slots[slot * CHUNK..][..columns].as_mut_ptr(),
            };
            // No square is below 0.
            match (slots.is_null(), g > 0.0) {
                (true, true) => values::<V, N, false, true>(row, g, slots),
                (true, false) => values::<V, N, false, false>(row, g, slots),
                (false, true) => values::<V, N, true, true>(row, g, slots),
                (false, false) => values::<V, N, true, false>(row, g, slots),
            }
        };
        add_total(total, begins, &mut out[r]);
        let Some(sum_f) = sum_f.get_mut(r) else { continue };
        let total = if zeros {
            strip.clear_shared(row.as_chunks_mut().0);
            in_lanes(row, &[])
        } else {
            total
        };
        add_total(total, begins, sum_f);
    }
}

/// From products of points to s. Returns whether each is above `limit`, no less than any pair's own:
/// then no pair is near.
///
/// # Safety
/// As many norms as values, whole vectors of them; the processor has the instructions of `V`.
#[inline(always)]
unsafe fn squares<V: Lanes>(row: &mut [f32], norm: f32, norms: &[f32], limit: f32) -> bool {
    let all = u16::MAX >> (16 - V::LEN);
    let mut far = all;
    // SAFETY: the caller's.
    unsafe {
        let (norm, limit, twice) = (V::splat(norm), V::splat(limit), V::splat(-2.0));
        for at in (0..row.len()).step_by(V::LEN) {
            let s = row.as_mut_ptr().add(at);
            let square = twice.fma(V::load(s), norm.add(V::load(norms.as_ptr().add(at))));
            far = square.greater(limit, far);
            square.store(s);
        }
    }
    far == all
}

/// Whether no pair is near, by each pair's own limit.
///
/// # Safety
/// As `squares`.
#[inline(always)]
unsafe fn all_far<V: Lanes>(row: &[f32], norm: f32, norms: &[f32]) -> bool {
    let all = u16::MAX >> (16 - V::LEN);
    let mut far = all;
    // SAFETY: the caller's.
    unsafe {
        let (norm, near) = (V::splat(norm), V::splat(NEAR));
        for at in (0..row.len()).step_by(V::LEN) {
            let both = norm.add(V::load(norms.as_ptr().add(at)));
            far = V::load(row.as_ptr().add(at)).greater(near.mul(both), far);
        }
    }
    far == all
}

/// From s to K. Returns the sum over the row by lanes, and adds to the slots if `BOTH`. If
/// `BELOW`, g is above 0 and no s below.
///
/// # Safety
/// The row has whole groups of 16, and so have the slots if `BOTH`; the processor has the instructions
/// of `V`.
#[inline(always)]
unsafe fn values<V: Lanes, const N: usize, const BOTH: bool, const BELOW: bool>(
    row: &mut [f32],
    g: f32,
    slots: *mut f32,
) -> f32 {
    // SAFETY: the caller's.
    unsafe {
        let mut lanes = [V::splat(0.0); N];
        let mut at = 0;
        while at + 4 * V::LEN <= row.len() {
            some_values::<V, N, 4, BOTH, BELOW>(row, at, g, slots, &mut lanes);
            at += 4 * V::LEN;
        }
        while at < row.len() {
            some_values::<V, N, 1, BOTH, BELOW>(row, at, g, slots, &mut lanes);
            at += V::LEN;
        }
        let mut sums = [0.0f32; LANES];
        for (n, lane) in lanes.iter().enumerate() {
            lane.store(sums.as_mut_ptr().add(n * V::LEN));
        }
        halved(sums)
    }
}

/// [`values`] of `M` registers from `at` on.
///
/// # Safety
/// As `values`.
#[inline(always)]
unsafe fn some_values<V: Lanes, const N: usize, const M: usize, const BOTH: bool, const BELOW: bool>(
    row: &mut [f32],
    at: usize,
    g: f32,
    slots: *mut f32,
    lanes: &mut [V; N],
) {
    // SAFETY: the caller's.
    unsafe {
        let minus = V::splat(-g);
        let row = row.as_mut_ptr().add(at);
        // Whole groups of four begin with the first lanes: told so, the sums stay in registers.
        let first = if M == 4 { 0 } else { at / V::LEN };
        let mut k = [minus; M];
        for (i, k) in k.iter_mut().enumerate() {
            *k = minus.mul(V::load(row.add(i * V::LEN)));
        }
        let k = V::exps::<M, BELOW>(k);
        for (i, &k) in k.iter().enumerate() {
            k.store(row.add(i * V::LEN));
            let lane = &mut lanes[(first + i) % N];
            *lane = lane.add(k);
            if BOTH {
                let slot = slots.add(at + i * V::LEN);
                V::load(slot).add(k).store(slot);
            }
        }
    }
}

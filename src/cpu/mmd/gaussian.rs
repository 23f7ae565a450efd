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
    for (r, row) in rows.chunks_exact_mut(STRIDE).enumerate() {
        let i = strip.row + first + r;
        let row = &mut row[..columns];
        let norms = &strip.y.norms[strip.columns.start..][..columns];
        // SAFETY: a row of whole vectors and as many norms.
        let far = unsafe { squares::<V>(row, strip.x.norms[i], norms) };
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
            if strip.slots.is_empty() {
                values::<V, N, false>(row, g, std::ptr::null_mut())
            } else {
                values::<V, N, true>(row, g, strip.slots[slot * CHUNK..][..columns].as_mut_ptr())
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

/// From products of points to s. Returns whether no pair is near.
///
/// # Safety
/// As many norms as values, whole vectors of them; the processor has the instructions of `V`.
#[inline(always)]
unsafe fn squares<V: Lanes>(row: &mut [f32], norm: f32, norms: &[f32]) -> bool {
    let all = u16::MAX >> (16 - V::LEN);
    let mut far = all;
    // SAFETY: the caller's.
    unsafe {
        let (norm, near, twice) = (V::splat(norm), V::splat(NEAR), V::splat(-2.0));
        for at in (0..row.len()).step_by(V::LEN) {
            let s = row.as_mut_ptr().add(at);
            let both = norm.add(V::load(norms.as_ptr().add(at)));
            let square = twice.fma(V::load(s), both);
            far = square.greater(near.mul(both), far);
            square.store(s);
        }
    }
    far == all
}

/// From s to K. Returns the sum over the row by lanes, and adds to the slots if `BOTH`.
///
/// # Safety
/// The row has whole groups of 16, and so have the slots if `BOTH`; the processor has the instructions
/// of `V`.
#[inline(always)]
unsafe fn values<V: Lanes, const N: usize, const BOTH: bool>(row: &mut [f32], g: f32, slots: *mut f32) -> f32 {
    // SAFETY: the caller's.
    unsafe {
        let minus = V::splat(-g);
        let mut lanes = [V::splat(0.0); N];
        for at in (0..row.len()).step_by(LANES) {
            for (n, lane) in lanes.iter_mut().enumerate() {
                let s = row.as_mut_ptr().add(at + n * V::LEN);
                let k = minus.mul(V::load(s)).exp();
                k.store(s);
                *lane = lane.add(k);
                if BOTH {
                    let slot = slots.add(at + n * V::LEN);
                    V::load(slot).add(k).store(slot);
                }
            }
        }
        let mut sums = [0.0f32; LANES];
        for (n, lane) in lanes.iter().enumerate() {
            lane.store(sums.as_mut_ptr().add(n * V::LEN));
        }
        halved(sums)
    }
}

//! Some rows of a tile: from products of points to K and f, and their sums for the rows and columns.

use super::points::{Points, turn};
use super::values::{Row, add_total, halved, halved_rows, values, values_slopes};
use super::{Pairs, gaussian};
use crate::kernel::mmd::*;
use crate::simd_fn;
use std::ops::Range;

/// Distance of a tile's rows: no power of two, so that a column's lines spread over the cache.
pub const STRIDE: usize = CHUNK + 16;

/// A bit for each column of a chunk.
pub type Marks = [u16; CHUNK / LANES];

/// What the strips of a tile share.
pub struct Strip<'a> {
    pub pairs: &'a Pairs<'a>,
    pub x: &'a Points,
    pub y: &'a Points,
    /// The tile's first row.
    pub row: usize,
    pub columns: Range<usize>,
    /// Whether f is wanted.
    pub gradients: bool,
    /// K of a row, where f is something else.
    pub k: &'a mut [f32],
    /// Lanes of the columns' sums `[columns + 1, LANES, CHUNK]`, the last ones of f; empty if they are
    /// not wanted.
    pub slots: &'a mut [f32],
    /// The columns' points as they are, `[d, CHUNK]`, once `across_made`.
    pub across: &'a mut [f32],
    pub across_made: bool,
    /// Near pairs of the current row at distance 0.
    pub zero: Marks,
    /// Columns that had any, where f is K elsewhere.
    pub zero_columns: Marks,
}

impl Strip<'_> {
    /// From products of points to s, in place. Returns whether near pairs at distance 0 are among them.
    #[inline(always)]
    fn bases(&mut self, row: usize, s: &mut [Row]) -> bool {
        if self.pairs.centre.is_empty() {
            return false;
        }
        let norm = self.x.norms[row];
        let norms = self.y.norms[self.columns.start..][..CHUNK].as_chunks::<LANES>().0;
        let mut near = [0u32; LANES];
        for (s, norms) in s.iter_mut().zip(norms) {
            for l in 0..LANES {
                let both = norm + norms[l];
                let square = (-2.0f32).mul_add(s[l], both);
                near[l] |= u32::from(!(square > NEAR * both));
                s[l] = square;
            }
        }
        near != [0; LANES] && self.near_pairs(row, s.as_flattened_mut())
    }

    /// Whether f is K, a Gaussian of one scale, and the columns fill whole vectors.
    fn is_plain(&self) -> bool {
        let weighted = !(self.x.weights.is_empty() && self.y.weights.is_empty());
        self.pairs.kind == Kind::Gaussian
            && self.pairs.gamma.len() == 1
            && !weighted
            && self.columns.len().is_multiple_of(LANES)
    }

    /// Differences for the near pairs of a row. Returns whether any of them is at distance 0.
    #[cold]
    pub fn near_pairs(&mut self, row: usize, s: &mut [f32]) -> bool {
        let d = self.pairs.d;
        if !self.across_made {
            turn(&self.pairs.y[self.columns.start * d..self.columns.end * d], d, self.across);
            self.across_made = true;
        }
        let x = &self.pairs.x[row * d..(row + 1) * d];
        let norms = &self.y.norms[self.columns.start..][..CHUNK];
        self.zero = near_squares(x, self.x.norms[row], norms, self.across, s);
        self.zero != [0; CHUNK / LANES]
    }

    /// The pairs of the current row at distance 0 have f = +0, unlike K.
    #[cold]
    pub fn clear_shared(&mut self, f: &mut [Row]) {
        clear(&self.zero, f);
        for (column, zero) in self.zero_columns.iter_mut().zip(&self.zero) {
            *column |= zero;
        }
    }

    /// Leaves the pair out that is to be left out.
    #[inline(always)]
    fn exclude(&self, row: usize, pairs: &mut [Row]) {
        if let Some(pair) =
            self.pairs.skipped(row, self.columns.start).and_then(|j| pairs.as_flattened_mut().get_mut(j))
        {
            *pair = 0.0;
        }
    }
}

simd_fn! {
    /// Squares from differences where pairs are near. Marks those that are 0.
    fn near_squares(x: &[f32], norm: f32, norms: &[f32], across: &[f32], s: &mut [f32]) -> Marks {
        let mut zero = [0; CHUNK / LANES];
        let groups = s.as_chunks_mut::<LANES>().0.iter_mut().zip(norms.as_chunks::<LANES>().0);
        for (group, (s, norms)) in groups.enumerate() {
            let mut near = [false; LANES];
            for l in 0..LANES {
                near[l] = !(s[l] > NEAR * (norm + norms[l]));
            }
            if near == [false; LANES] {
                continue;
            }
            let mut squares = [0.0f32; LANES];
            for (&x, y) in x.iter().zip(across.chunks_exact(CHUNK)) {
                let y = &y[group * LANES..][..LANES];
                for l in 0..LANES {
                    let e = x - y[l];
                    squares[l] = e.mul_add(e, squares[l]);
                }
            }
            for l in (0..LANES).filter(|&l| near[l]) {
                s[l] = squares[l];
                zero[group] |= u16::from(squares[l] == 0.0) << l;
            }
        }
        zero
    }
}

/// A sum by lanes of `fma(k, v, lane)` over some columns; `v` empty: ones.
#[inline(always)]
pub fn in_lanes(k: &[f32], v: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (whole, rest) = k.as_chunks::<LANES>();
    if v.is_empty() {
        for k in whole {
            for l in 0..LANES {
                lanes[l] += k[l];
            }
        }
        for (lane, k) in lanes.iter_mut().zip(rest) {
            *lane += k;
        }
    } else {
        let (whole_v, rest_v) = v.as_chunks::<LANES>();
        for (k, v) in whole.iter().zip(whole_v) {
            for l in 0..LANES {
                lanes[l] = k[l].mul_add(v[l], lanes[l]);
            }
        }
        let rest_v = if whole_v.len() > whole.len() { &whole_v[whole.len()][..] } else { rest_v };
        for ((lane, k), v) in lanes.iter_mut().zip(rest).zip(rest_v) {
            *lane = k.mul_add(*v, *lane);
        }
    }
    halved(lanes)
}

simd_fn! {
    /// From products of points to K for the rows from `first` of the tile on, in place.
    pub fn to_values(strip: &mut Strip, first: usize, rows: &mut [f32]) {
        let groups = strip.columns.len().div_ceil(LANES);
        for (r, row) in (first..).zip(rows.chunks_exact_mut(STRIDE)) {
            let row = &mut row.as_chunks_mut::<LANES>().0[..groups];
            strip.bases(strip.row + r, row);
            values(strip.pairs, row);
            strip.exclude(strip.row + r, row);
        }
    }
}

/// From products of points to f (without gradients: K) for the rows from `first` of the tile on, in
/// place. Adds sums of K v and of f to the rows' `out` and `sum_f`, and puts those of K u and of f
/// into the columns' slots.
pub fn to_sums(strip: &mut Strip, first: usize, rows: &mut [f32], out: &mut [f32], sum_f: &mut [f32]) {
    if strip.is_plain() {
        // SAFETY: the rows are whole, and the tile's points exist.
        unsafe { gaussian::to_sums(strip, first, rows, out, sum_f) }
    } else {
        any_to_sums(strip, first, rows, out, sum_f);
    }
}

simd_fn! {
    /// [`to_sums`] of any kind.
    fn any_to_sums(strip: &mut Strip, first: usize, rows: &mut [f32], out: &mut [f32], sum_f: &mut [f32]) {
        let groups = strip.columns.len().div_ceil(LANES);
        let p = strip.pairs.columns;
        for (r, row) in rows.chunks_exact_mut(STRIDE).enumerate() {
            let f = &mut row.as_chunks_mut::<LANES>().0[..groups];
            let zeros = strip.bases(strip.row + first + r, f);
            row_sums(strip, first + r, f, zeros, &mut out[r * p..(r + 1) * p], sum_f.get_mut(r));
        }
    }
}

/// From s to f and its sums, for one row of the tile; `zeros` as `Strip::bases` has said.
#[inline(always)]
pub fn row_sums(strip: &mut Strip, row: usize, f: &mut [Row], zeros: bool, out: &mut [f32], sum_f: Option<&mut f32>) {
    let pairs = strip.pairs;
    let (p, columns, groups) = (pairs.columns, strip.columns.len(), f.len());
    let (shares, begins) = (pairs.shares() || !strip.gradients, strip.columns.start == 0);
    let (i, slot) = (strip.row + row, row % LANES);
    if shares {
        values(pairs, f);
        strip.exclude(i, f);
    } else {
        let mut k = [[0.0f32; LANES]; CHUNK / LANES];
        let k = &mut k[..groups];
        k.copy_from_slice(f);
        values_slopes(pairs, k, f);
        if zeros {
            clear(&strip.zero, f);
        }
        strip.exclude(i, k);
        strip.exclude(i, f);
        strip.k[..groups * LANES].copy_from_slice(k.as_flattened());
    }
    for (c, out) in out.iter_mut().enumerate() {
        let k = if shares { f.as_flattened() } else { &*strip.k };
        let v = strip.y.weights_from(c, p, strip.columns.start);
        add_total(in_lanes(&k[..columns], v), begins, out);
        if !strip.slots.is_empty() {
            let u = strip.x.weights_from(c, p, i).first().copied();
            add_to_slots(k, u, &mut strip.slots[(c * LANES + slot) * CHUNK..][..groups * LANES]);
        }
    }
    let Some(sum_f) = sum_f else { return };
    if shares && zeros {
        strip.clear_shared(f);
    }
    if !strip.x.weights.is_empty() {
        weigh(strip, i, f);
    }
    let f = f.as_flattened();
    add_total(in_lanes(&f[..columns], &[]), begins, sum_f);
    if !shares && !strip.slots.is_empty() {
        add_to_slots(f, None, &mut strip.slots[(p * LANES + slot) * CHUNK..][..groups * LANES]);
    }
}

/// f = +0 where told.
#[cold]
fn clear(zero: &Marks, f: &mut [Row]) {
    for (f, zero) in f.iter_mut().zip(zero).filter(|(_, zero)| **zero != 0) {
        for l in (0..LANES).filter(|l| zero >> l & 1 == 1) {
            f[l] = 0.0;
        }
    }
}

/// `slot = fma(k, u, slot)`, or `slot + k`.
#[inline(always)]
fn add_to_slots(k: &[f32], u: Option<f32>, slots: &mut [f32]) {
    match u {
        None => {
            for (slot, k) in slots.iter_mut().zip(k) {
                *slot += k;
            }
        }
        Some(u) => {
            for (slot, k) in slots.iter_mut().zip(k) {
                *slot = k.mul_add(u, *slot);
            }
        }
    }
}

/// `f *= w` for the pairs of a row.
#[inline(always)]
fn weigh(strip: &Strip, i: usize, f: &mut [Row]) {
    let p = strip.pairs.columns;
    for (group, f) in f.iter_mut().enumerate() {
        let mut w = [0.0f32; LANES];
        for c in 0..p {
            let u = strip.x.weights_from(c, p, i)[0];
            let v = &strip.y.weights_from(c, p, strip.columns.start + group * LANES)[..LANES];
            for l in 0..LANES {
                w[l] = if c == 0 { u * v[l] } else { u.mul_add(v[l], w[l]) };
            }
        }
        for l in 0..LANES {
            f[l] *= w[l];
        }
    }
}

/// What the slots of column `c` of the weights add up to, for 16 columns of the tile.
#[inline(always)]
fn slot_totals(strip: &Strip, c: usize, from: usize) -> Row {
    let slots = &strip.slots[c * LANES * CHUNK..][..LANES * CHUNK];
    let mut lanes: [Row; LANES] = [[0.0; LANES]; LANES];
    for (lane, slots) in lanes.iter_mut().zip(slots.chunks_exact(CHUNK)) {
        lane.copy_from_slice(&slots[from..from + LANES]);
    }
    halved_rows(lanes)
}

simd_fn! {
    /// Adds the sums that the slots hold to the columns' `out` and `sum_f`. `f` is the whole tile.
    pub fn column_sums(strip: &Strip, f: &[f32], first: bool, out: &mut [f32], sum_f: &mut [f32]) {
        let (p, columns) = (strip.pairs.columns, strip.columns.len());
        let shares = strip.pairs.shares();
        for group in 0..columns.div_ceil(LANES) {
            let from = group * LANES;
            for c in 0..p {
                let of_k = slot_totals(strip, c, from);
                for (j, &total) in (from..columns).zip(&of_k) {
                    add_total(total, first, &mut out[j * p + c]);
                }
            }
            if sum_f.is_empty() {
                continue;
            }
            let of_f = slot_totals(strip, if shares { 0 } else { p }, from);
            for (j, &total) in (from..columns).zip(&of_f) {
                let by_column = || {
                    let mut lanes = [0.0f32; LANES];
                    for (i, row) in f.chunks_exact(STRIDE).enumerate() {
                        lanes[i % LANES] += row[j];
                    }
                    halved(lanes)
                };
                let total = if shares && strip.zero_columns[group] >> (j % LANES) & 1 == 1 { by_column() } else { total };
                add_total(total, first, &mut sum_f[j]);
            }
        }
    }
}

simd_fn! {
    /// `grad = a sums`
    pub fn scale(a: f32, sums: &[f32], grad: &mut [f32]) {
        for (grad, sum) in grad.iter_mut().zip(sums) {
            *grad = a * sum;
        }
    }
}

simd_fn! {
    /// `grad = a fma(x, sum_f, -sums)`
    pub fn slope(a: f32, sum_f: f32, x: &[f32], sums: &[f32], grad: &mut [f32]) {
        for ((grad, sum), x) in grad.iter_mut().zip(sums).zip(x) {
            *grad = a * x.mul_add(sum_f, -sum);
        }
    }
}

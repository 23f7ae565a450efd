//! The summation orders of `kernel::reduce`, vectorised: groups of 16 lanes, tiles of columns.
//!
//! A group is padded with the identity where a row ends inside it. That changes no bit: a lane is
//! never -0 (it starts from +0), so joining an identity to it leaves it alone.

use super::wide::{WIDTH, Wide, load};
use crate::kernel::reduce::{BLOCK, LANES};
use crate::wide_fn;

/// What is joined, as a type, so that its loops are compiled for it.
pub trait Fold: Copy + Send + Sync {
    /// What joining changes nothing.
    const IDENTITY: f32;
    /// Both in one; as the reference's, bit for bit.
    fn join(a: f32, b: f32) -> f32;
    /// # Safety
    /// The processor has the instructions of `V`.
    unsafe fn wide<V: Wide>(a: V, b: V) -> V;
}

/// `a + b`
#[derive(Clone, Copy)]
pub struct Sum;
/// The larger, NaN if either is.
#[derive(Clone, Copy)]
pub struct Max;
/// The smaller, NaN if either is.
#[derive(Clone, Copy)]
pub struct Min;

impl Fold for Sum {
    const IDENTITY: f32 = 0.0;
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    unsafe fn wide<V: Wide>(a: V, b: V) -> V {
        // SAFETY: passed on to the caller.
        unsafe { a.add(b) }
    }
}

impl Fold for Max {
    const IDENTITY: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        if b > a || b.is_nan() { b } else { a }
    }
    #[inline(always)]
    unsafe fn wide<V: Wide>(a: V, b: V) -> V {
        // SAFETY: passed on to the caller.
        unsafe { a.max(b) }
    }
}

impl Fold for Min {
    const IDENTITY: f32 = f32::INFINITY;
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        if b < a || b.is_nan() { b } else { a }
    }
    #[inline(always)]
    unsafe fn wide<V: Wide>(a: V, b: V) -> V {
        // SAFETY: passed on to the caller.
        unsafe { a.min(b) }
    }
}

/// Values side by side that are joined.
pub trait Groups {
    /// The values from `start` on, padded with the identity where there are only `count < 16`.
    ///
    /// # Safety
    /// The processor has the instructions of `V`.
    unsafe fn group<V: Wide>(&self, start: usize, count: usize) -> V;
}

/// A row as it is, padded with `pad`.
pub struct Row<'a> {
    /// The values, side by side.
    pub x: &'a [f32],
    /// What stands for missing values.
    pub pad: f32,
}

impl Groups for Row<'_> {
    #[inline(always)]
    unsafe fn group<V: Wide>(&self, start: usize, count: usize) -> V {
        // SAFETY: passed on to the caller.
        unsafe { load(self.x, start, count, self.pad) }
    }
}

/// `n` values side by side joined by lanes.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
pub unsafe fn by_lanes<F: Fold, V: Wide>(n: usize, values: &impl Groups) -> f32 {
    // SAFETY: passed on to the caller.
    unsafe {
        let identity = V::splat(F::IDENTITY);
        if n == 0 {
            return F::IDENTITY;
        }
        if n <= WIDTH {
            return halve::<F, V>(F::wide(identity, values.group(0, n)));
        }
        const GROUPS: usize = LANES / WIDTH;
        let mut registers = [identity; GROUPS];
        let mut start = 0;
        while start + LANES <= n {
            for (i, lane) in registers.iter_mut().enumerate() {
                *lane = F::wide(*lane, values.group(start + i * WIDTH, WIDTH));
            }
            start += LANES;
        }
        // A copy, because an array that is indexed by a variable cannot stay in registers.
        let mut lanes = registers;
        for lane in &mut lanes {
            if start >= n {
                break;
            }
            *lane = F::wide(*lane, values.group(start, n - start));
            start += WIDTH;
        }
        let mut s = n.div_ceil(WIDTH).next_power_of_two().min(GROUPS) / 2;
        while s > 0 {
            for i in 0..s {
                lanes[i] = F::wide(lanes[i], lanes[i + s]);
            }
            s /= 2;
        }
        halve::<F, V>(lanes[0])
    }
}

/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn halve<F: Fold, V: Wide>(v: V) -> f32 {
    // SAFETY: passed on to the caller.
    unsafe {
        let v = F::wide(v, v.down::<8>());
        let v = F::wide(v, v.down::<4>());
        let v = F::wide(v, v.down::<2>());
        F::wide(v, v.down::<1>()).first()
    }
}

wide_fn! {
    /// `out[r]` = row `r` of `x` (rows of `n`) joined by lanes.
    pub fn rows<V, F: Fold>(x: &[f32], n: usize, out: &mut [f32]) {
        for (r, o) in out.iter_mut().enumerate() {
            *o = by_lanes::<F, V>(n, &Row { x: &x[r * n..][..n], pad: F::IDENTITY });
        }
    }
}

/// Rows whose columns are joined.
pub trait Columns: Sync {
    /// `acc[i] = join(acc[i], value of row r in column c + i)`.
    fn add(&self, r: usize, c: usize, acc: &mut [f32]);
}

/// Columns of a tile.
const TILE: usize = 128;

/// `out[i]` = column `c + i` of `rows` rows joined by blocks.
#[inline(always)]
pub fn by_blocks<F: Fold>(columns: &impl Columns, rows: usize, c: usize, out: &mut [f32]) {
    for (t, total) in out.chunks_mut(TILE).enumerate() {
        total.fill(F::IDENTITY);
        let c = c + t * TILE;
        let mut first = 0;
        while first < rows {
            let mut acc = [F::IDENTITY; TILE];
            let acc = &mut acc[..total.len()];
            for r in first..(first + BLOCK).min(rows) {
                columns.add(r, c, acc);
            }
            if first == 0 {
                total.copy_from_slice(acc);
            } else {
                for (t, a) in total.iter_mut().zip(acc.iter()) {
                    *t = F::join(*t, *a);
                }
            }
            first += BLOCK;
        }
    }
}

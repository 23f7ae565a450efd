//! The summation orders of `kernel::reduce`, vectorised: groups of 16 lanes, tiles of columns.
//!
//! A group is padded with the identity where a row ends inside it. That changes no bit: a lane is
//! never -0 (it starts from +0), so joining an identity to it leaves it alone.

use crate::kernel::reduce::{BLOCK, LANES};

/// Lanes that are handled at once.
pub const WIDTH: usize = 16;
pub type Group = [f32; WIDTH];

/// What is joined, as a type, so that its loops are compiled for it.
pub trait Fold: Copy + Send + Sync {
    const IDENTITY: f32;
    fn join(a: f32, b: f32) -> f32;
}

#[derive(Clone, Copy)]
pub struct Sum;
#[derive(Clone, Copy)]
pub struct Max;
#[derive(Clone, Copy)]
pub struct Min;

impl Fold for Sum {
    const IDENTITY: f32 = 0.0;
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        a + b
    }
}

impl Fold for Max {
    const IDENTITY: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        if b > a || b.is_nan() { b } else { a }
    }
}

impl Fold for Min {
    const IDENTITY: f32 = f32::INFINITY;
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        if b < a || b.is_nan() { b } else { a }
    }
}

/// `x[start..start + count]` padded with `pad`; reads past `count` where `x` goes on.
#[inline(always)]
pub fn load(x: &[f32], start: usize, count: usize, pad: f32) -> Group {
    let mut group = [pad; WIDTH];
    if let Some(window) = x.get(start..start + WIDTH) {
        let window: &Group = window.try_into().expect("its length");
        if count >= WIDTH {
            return *window;
        }
        for i in 0..WIDTH {
            group[i] = if (i as u32) < count as u32 { window[i] } else { pad };
        }
    } else {
        for (g, v) in group.iter_mut().zip(&x[start..start + count]) {
            *g = *v;
        }
    }
    group
}

/// Writes the first `count` values to `out[start..]`; may write past them where `out` goes on.
#[inline(always)]
pub fn store(out: &mut [f32], start: usize, count: usize, group: &Group) {
    if let Some(window) = out.get_mut(start..start + WIDTH) {
        window.copy_from_slice(group);
    } else {
        for (o, v) in out[start..start + count].iter_mut().zip(group) {
            *o = *v;
        }
    }
}

/// The first `count` values, then zeros.
#[inline(always)]
pub fn keep(mut x: Group, count: usize) -> Group {
    if count < WIDTH {
        for (i, v) in x.iter_mut().enumerate() {
            *v = if (i as u32) < count as u32 { *v } else { 0.0 };
        }
    }
    x
}

/// `f` of each value.
#[inline(always)]
pub fn map(mut x: Group, f: impl Fn(f32) -> f32) -> Group {
    for v in &mut x {
        *v = f(*v);
    }
    x
}

/// `f` of each pair.
#[inline(always)]
pub fn zip(mut x: Group, y: Group, f: impl Fn(f32, f32) -> f32) -> Group {
    for (v, w) in x.iter_mut().zip(&y) {
        *v = f(*v, *w);
    }
    x
}

#[inline(always)]
fn join<F: Fold>(a: &mut Group, b: &Group) {
    for i in 0..WIDTH {
        a[i] = F::join(a[i], b[i]);
    }
}

#[inline(always)]
fn halve<F: Fold>(mut a: Group) -> f32 {
    let mut b = [0.0; 8];
    for i in 0..8 {
        b[i] = F::join(a[i], a[i + 8]);
    }
    for i in 0..4 {
        a[i] = F::join(b[i], b[i + 4]);
    }
    let (x, y) = (F::join(a[0], a[2]), F::join(a[1], a[3]));
    F::join(x, y)
}

/// `n` values side by side, joined by lanes. `group(start, count)` gives the values from `start`,
/// padded with the identity from `count` on.
#[inline(always)]
pub fn by_lanes<F: Fold>(n: usize, mut group: impl FnMut(usize, usize) -> Group) -> f32 {
    let mut first = [F::IDENTITY; WIDTH];
    if n <= WIDTH {
        if n > 0 {
            join::<F>(&mut first, &group(0, n));
        }
        return halve::<F>(first);
    }
    const GROUPS: usize = LANES / WIDTH;
    let mut lanes = [first; GROUPS];
    let mut start = 0;
    while start < n {
        for lane in &mut lanes {
            if start >= n {
                break;
            }
            join::<F>(lane, &group(start, n - start));
            start += WIDTH;
        }
    }
    let mut s = n.div_ceil(WIDTH).next_power_of_two().min(GROUPS) / 2;
    while s > 0 {
        let (low, high) = lanes.split_at_mut(s);
        for (a, b) in low.iter_mut().zip(high.iter()) {
            join::<F>(a, b);
        }
        s /= 2;
    }
    halve::<F>(lanes[0])
}

/// The first `n` values of `x` joined by lanes; `x` may go on.
#[inline(always)]
pub fn row<F: Fold>(x: &[f32], n: usize) -> f32 {
    by_lanes::<F>(n, |start, count| load(x, start, count, F::IDENTITY))
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

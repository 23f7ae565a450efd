//! Sums over pairs by differences of coordinates: sixteen rows of x side by side, so that every
//! vector lane holds another output and the order over j costs nothing; chunks of columns, whose
//! pair values stay in the cache.

use super::Pairs;
use super::values::{Row, halved_rows, values, values_slopes};
use crate::cpu::Threads;
use crate::kernel::mmd::*;
use crate::simd_fn;

/// Columns, and coordinates, whose chains run side by side.
const WIDE: usize = 8;

/// A function of (x_t, y_t, s), as a type.
trait Step: Copy {
    fn at(self, x: f32, y: f32, s: f32) -> f32;
}

impl<F: Fn(f32, f32, f32) -> f32 + Copy> Step for F {
    #[inline(always)]
    fn at(self, x: f32, y: f32, s: f32) -> f32 {
        self(x, y, s)
    }
}

simd_fn! {
    /// `s` for the tile's rows `x` (`[d][LANES]`) and the columns `y` (`[columns][d]`).
    fn bases<F: Step>(step: F, x: &[Row], y: &[f32], s: &mut [Row]) {
        let d = x.len();
        let columns = s.len();
        let mut j = 0;
        while j + WIDE <= columns {
            let y: [&[f32]; WIDE] = std::array::from_fn(|w| &y[(j + w) * d..(j + w + 1) * d]);
            let mut acc = [[0.0f32; LANES]; WIDE];
            for t in 0..d {
                for w in 0..WIDE {
                    for l in 0..LANES {
                        acc[w][l] = step.at(x[t][l], y[w][t], acc[w][l]);
                    }
                }
            }
            s[j..j + WIDE].copy_from_slice(&acc);
            j += WIDE;
        }
        for j in j..columns {
            let mut acc = [0.0f32; LANES];
            for t in 0..d {
                for l in 0..LANES {
                    acc[l] = step.at(x[t][l], y[j * d + t], acc[l]);
                }
            }
            s[j] = acc;
        }
    }
}

/// Adds a chunk's totals to the sums; the first ones are taken as they are.
#[inline(always)]
fn add_totals(totals: &Row, first: bool, sum: &mut Row) {
    for l in 0..LANES {
        let both = sum[l] + totals[l];
        sum[l] = if first { totals[l] } else { both };
    }
}

simd_fn! {
    /// Adds the chunk's chains of `fma(f, b_t, sum)` to `sums` (`[d][LANES]`). The columns come as
    /// `[d][columns]`: side by side, the compiler would take the coordinates for its lanes.
    fn gradients<F: Step>(direction: F, x: &[Row], y: &[f32], f: &[Row], first: bool, sums: &mut [Row]) {
        let d = x.len();
        let columns = f.len();
        let mut t = 0;
        while t + WIDE <= d {
            let x: [Row; WIDE] = std::array::from_fn(|w| x[t + w]);
            let y: [&[f32]; WIDE] = std::array::from_fn(|w| &y[(t + w) * columns..(t + w + 1) * columns]);
            let mut acc = [[0.0f32; LANES]; WIDE];
            for j in 0..columns {
                for w in 0..WIDE {
                    for l in 0..LANES {
                        acc[w][l] = f[j][l].mul_add(direction.at(x[w][l], y[w][j], 0.0), acc[w][l]);
                    }
                }
            }
            for w in 0..WIDE {
                add_totals(&acc[w], first, &mut sums[t + w]);
            }
            t += WIDE;
        }
        for t in t..d {
            let mut acc = [0.0f32; LANES];
            for j in 0..columns {
                for l in 0..LANES {
                    acc[l] = f[j][l].mul_add(direction.at(x[t][l], y[t * columns + j], 0.0), acc[l]);
                }
            }
            add_totals(&acc, first, &mut sums[t]);
        }
    }
}

simd_fn! {
    /// Adds the chunk's sums of `fma(K, v, lane)` to `sums` (`[p][LANES]`); `v` is `[columns][p]`. What
    /// the definition calls lanes are the rows of `lanes` here.
    fn products(k: &[Row], v: &[f32], first: bool, sums: &mut [Row]) {
        let p = sums.len();
        for (c, sum) in sums.iter_mut().enumerate() {
            let mut lanes = [[0.0f32; LANES]; LANES];
            for (block, k) in k.chunks(LANES).enumerate() {
                for (j, (k, lane)) in k.iter().zip(&mut lanes).enumerate() {
                    let v = if v.is_empty() { 1.0 } else { v[(block * LANES + j) * p + c] };
                    for l in 0..LANES {
                        lane[l] = k[l].mul_add(v, lane[l]);
                    }
                }
            }
            add_totals(&halved_rows(lanes), first, sum);
        }
    }
}

simd_fn! {
    fn to_values(pairs: &Pairs, s: &mut [Row]) {
        values(pairs, s);
    }
}

simd_fn! {
    fn to_values_slopes(pairs: &Pairs, s: &mut [Row], h: &mut [Row]) {
        values_slopes(pairs, s, h);
    }
}

simd_fn! {
    /// `h *= w`, `w` the product of the rows' `u` (`[p][LANES]`) and the columns' `v` (`[columns][p]`).
    fn weigh(u: &[Row], v: &[f32], h: &mut [Row]) {
        let p = u.len();
        for (h, v) in h.iter_mut().zip(v.chunks_exact(p)) {
            let mut w = [0.0f32; LANES];
            for l in 0..LANES {
                w[l] = u[0][l] * v[0];
            }
            for k in 1..p {
                for l in 0..LANES {
                    w[l] = u[k][l].mul_add(v[k], w[l]);
                }
            }
            for l in 0..LANES {
                h[l] *= w[l];
            }
        }
    }
}

/// The y of each chunk as `[d][columns]`.
fn across(y: &[f32], d: usize) -> Vec<f32> {
    let mut across = vec![0.0; y.len()];
    if d > 0 {
        for (y, across) in y.chunks(CHUNK * d).zip(across.chunks_mut(CHUNK * d)) {
            let columns = y.len() / d;
            for (j, y) in y.chunks_exact(d).enumerate() {
                for (t, &y) in y.iter().enumerate() {
                    across[t * columns + j] = y;
                }
            }
        }
    }
    across
}

/// Columns of row-major `[m, width]` for rows `from ..`, one [`Row`] each; rows past the end are 0.
fn side_by_side(from: usize, width: usize, values: &[f32]) -> Vec<Row> {
    let mut tile = vec![[0.0; LANES]; width];
    for (l, row) in values[from * width..].chunks_exact(width.max(1)).take(LANES).enumerate() {
        for (t, &v) in row.iter().enumerate() {
            tile[t][l] = v;
        }
    }
    tile
}

impl Pairs<'_> {
    fn bases(&self, x: &[Row], y: &[f32], s: &mut [Row]) {
        match self.kind {
            Kind::Laplacian => bases(|x: f32, y: f32, s: f32| s + (x - y).abs(), x, y, s),
            _ => bases(
                |x: f32, y: f32, s: f32| {
                    let e = x - y;
                    e.mul_add(e, s)
                },
                x,
                y,
                s,
            ),
        }
    }

    fn gradients(&self, x: &[Row], y: &[f32], f: &[Row], first: bool, sums: &mut [Row]) {
        match self.kind {
            Kind::Laplacian => {
                let sign = |x: f32, y: f32, _| {
                    let e = x - y;
                    (if e > 0.0 { 1.0 } else { 0.0 }) - (if e < 0.0 { 1.0 } else { 0.0 })
                };
                gradients(sign, x, y, f, first, sums);
            }
            _ => gradients(|x, y, _| x - y, x, y, f, first, sums),
        }
    }

    /// Clears the pairs that are left out among rows `row ..` and columns `column ..`.
    fn exclude(&self, row: usize, column: usize, pairs: &mut [Row]) {
        for l in 0..LANES {
            if let Some(pair) = self.skipped(row + l, column).and_then(|j| pairs.get_mut(j)) {
                pair[l] = 0.0;
            }
        }
    }

    /// Rows `from ..`, as many as `out` has: products and, if there is `across`, gradients.
    fn some_rows(&self, from: usize, out: &mut [f32], grad: &mut [f32], across: Option<&[f32]>) {
        let (n, d, p) = (self.n, self.d, self.columns);
        let mut k = vec![[0.0; LANES]; CHUNK.min(n)];
        let mut h = vec![[0.0; LANES]; if across.is_some() { k.len() } else { 0 }];
        let factor = self.factor();
        for (tile, out) in out.chunks_mut(LANES * p).enumerate() {
            let row = from + tile * LANES;
            let x = side_by_side(row, d, self.x);
            let u = if self.u.is_empty() { Vec::new() } else { side_by_side(row, p, self.u) };
            let mut sums = vec![[0.0; LANES]; p];
            let mut slopes = vec![[0.0; LANES]; if across.is_some() { d } else { 0 }];
            for j in (0..n).step_by(CHUNK) {
                let columns = CHUNK.min(n - j);
                let y = &self.y[j * d..(j + columns) * d];
                let v = if self.v.is_empty() { self.v } else { &self.v[j * p..(j + columns) * p] };
                let k = &mut k[..columns];
                self.bases(&x, y, k);
                if let Some(across) = across {
                    let h = &mut h[..columns];
                    to_values_slopes(self, k, h);
                    self.exclude(row, j, h);
                    if !v.is_empty() {
                        weigh(&u, v, h);
                    }
                    self.gradients(&x, &across[j * d..(j + columns) * d], h, j == 0, &mut slopes);
                } else {
                    to_values(self, k);
                }
                self.exclude(row, j, k);
                products(k, v, j == 0, &mut sums);
            }
            for (l, out) in out.chunks_mut(p).enumerate() {
                for (c, out) in out.iter_mut().enumerate() {
                    *out = sums[c][l];
                }
            }
            if across.is_some() && d > 0 {
                for (l, grad) in grad[tile * LANES * d..].chunks_mut(d).take(LANES).enumerate() {
                    for (t, grad) in grad.iter_mut().enumerate() {
                        *grad = factor * slopes[t][l];
                    }
                }
            }
        }
    }
}

pub fn rows(pairs: &Pairs, out: &mut [f32], threads: &Threads) {
    let (n, d) = (pairs.n, pairs.d);
    threads.rows(out, n, pairs.work(false), LANES, |from, out| {
        let mut k = vec![[0.0; LANES]; CHUNK.min(n)];
        for (tile, out) in out.chunks_mut(LANES * n).enumerate() {
            let row = from + tile * LANES;
            let x = side_by_side(row, d, pairs.x);
            for j in (0..n).step_by(CHUNK) {
                let columns = CHUNK.min(n - j);
                let k = &mut k[..columns];
                pairs.bases(&x, &pairs.y[j * d..(j + columns) * d], k);
                to_values(pairs, k);
                pairs.exclude(row, j, k);
                for (l, out) in out.chunks_mut(n).enumerate() {
                    for (o, k) in out[j..j + columns].iter_mut().zip(k.iter()) {
                        *o = k[l];
                    }
                }
            }
        }
    });
}

pub fn apply(pairs: &Pairs, out: &mut [f32], grad: Option<&mut [f32]>, threads: &Threads) {
    let Some(grad) = grad else {
        let work = pairs.work(false);
        return threads.rows(out, pairs.columns, work, LANES, |from, out| pairs.some_rows(from, out, &mut [], None));
    };
    let across = across(pairs.y, pairs.d);
    let lens = [pairs.columns, pairs.d];
    threads.rows_of([out, grad], lens, pairs.work(true), LANES, |from, [out, grad]| {
        pairs.some_rows(from, out, grad, Some(&across));
    });
}

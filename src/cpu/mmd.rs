//! Fast form of `kernel::mmd`: sixteen rows of x side by side, so that every lane holds one output
//! and the order over j costs nothing; chunks of 256 columns, whose pair values stay in the cache.

use super::{Function, Threads};
use crate::kernel::mmd::*;
use crate::kernel::{Kernel, params};
use crate::math::exp;
use crate::simd_fn;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 3] = [(&ROWS, rows), (&APPLY, apply), (&APPLY_GRAD, apply_grad)];

/// Rows of x handled together.
const LANES: usize = 16;
/// Columns, and coordinates, whose chains run side by side.
const WIDE: usize = 8;
type Row = [f32; LANES];

/// A function of (x_t, y_t, s) or (x_t, y_t), as a type.
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

/// Adds a chunk's chain to the total; the first one is taken as it is.
#[inline(always)]
fn add_chain(chain: &Row, first: bool, total: &mut Row) {
    for l in 0..LANES {
        let both = total[l] + chain[l];
        total[l] = if first { chain[l] } else { both };
    }
}

simd_fn! {
    /// Adds the chunk's chains of `fma(f, b_t, sum)` to `total` (`[d][LANES]`). The columns come as
    /// `[d][columns]`: side by side, the compiler would take the coordinates for its lanes.
    fn gradients<F: Step>(direction: F, x: &[Row], y: &[f32], f: &[Row], first: bool, total: &mut [Row]) {
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
                add_chain(&acc[w], first, &mut total[t + w]);
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
            add_chain(&acc, first, &mut total[t]);
        }
    }
}

simd_fn! {
    /// Adds the chunk's chains of `fma(K, v, sum)` to `total` (`[p][LANES]`); `v` is `[columns][p]`.
    fn products(k: &[Row], v: &[f32], first: bool, total: &mut [Row]) {
        let p = total.len();
        for (c, total) in total.iter_mut().enumerate() {
            let mut sum = [0.0f32; LANES];
            for (j, k) in k.iter().enumerate() {
                let v = if v.is_empty() { 1.0 } else { v[j * p + c] };
                for l in 0..LANES {
                    sum[l] = k[l].mul_add(v, sum[l]);
                }
            }
            add_chain(&sum, first, total);
        }
    }
}

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

simd_fn! {
    /// From `s` to K, in place.
    fn values(kind: Kind, p: &MmdParams, gamma: &[f32], s: &mut [Row]) {
        for s in s {
            match kind {
                Kind::Linear | Kind::Distance => {}
                Kind::Cubic => {
                    for s in s {
                        let q = s.mul_add(p.scale, p.shift);
                        *s = (q * q) * q;
                    }
                }
                Kind::Gaussian | Kind::Laplacian => *s = over_gammas(gamma, s, |g, s| exp(-(g * s))),
                Kind::GaussianScale => {
                    *s = over_gammas(gamma, s, |g, s| (g * s) * exp(-(g * s))).map(|v| -v);
                }
            }
        }
    }
}

simd_fn! {
    /// From `s` to K, in place, and to c.
    fn values_slopes(kind: Kind, p: &MmdParams, gamma: &[f32], s: &mut [Row], c: &mut [Row]) {
        for (s, c) in s.iter_mut().zip(c) {
            match kind {
                Kind::Linear => *c = [1.0; LANES],
                Kind::Distance => *c = [2.0; LANES],
                Kind::Cubic => {
                    for (s, c) in s.iter_mut().zip(c) {
                        let q = s.mul_add(p.scale, p.shift);
                        *s = (q * q) * q;
                        *c = (3.0 * p.scale) * (q * q);
                    }
                }
                Kind::Gaussian | Kind::Laplacian => {
                    let slope = over_gammas(gamma, s, |g, s| g * exp(-(g * s)));
                    *s = over_gammas(gamma, s, |g, s| exp(-(g * s)));
                    let factor = if kind == Kind::Gaussian { -2.0 } else { -1.0 };
                    *c = slope.map(|v| factor * v);
                }
                Kind::GaussianScale => {
                    let slope = over_gammas(gamma, s, |g, s| (g * s - 1.0) * (g * exp(-(g * s))));
                    *s = over_gammas(gamma, s, |g, s| (g * s) * exp(-(g * s))).map(|v| -v);
                    *c = slope.map(|v| 2.0 * v);
                }
            }
        }
    }
}

simd_fn! {
    /// `c *= w`, `w` the product of the rows' `u` (`[p][LANES]`) and the columns' `v` (`[columns][p]`).
    fn weigh(u: &[Row], v: &[f32], c: &mut [Row]) {
        let p = u.len();
        for (c, v) in c.iter_mut().zip(v.chunks_exact(p)) {
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
                c[l] *= w[l];
            }
        }
    }
}

/// Everything that a launch reads.
struct Pairs<'a> {
    p: MmdParams,
    kind: Kind,
    x: &'a [f32],
    y: &'a [f32],
    gamma: &'a [f32],
    /// Empty: ones.
    u: &'a [f32],
    v: &'a [f32],
    columns: usize,
    /// The y of each chunk as `[d][columns]`, for gradients; else empty.
    across: Vec<f32>,
}

impl<'a> Pairs<'a> {
    fn new(p: MmdParams, inputs: &[&'a [u32]], u: Option<&'a [u32]>, v: Option<&'a [u32]>) -> Self {
        let (m, n, d) = (p.m as usize, p.n as usize, p.d as usize);
        let floats =
            |words: &'a [u32], at: u32, len: usize| -> &'a [f32] { &bytemuck::cast_slice(words)[at as usize..][..len] };
        let unit = p.flags & UNIT != 0;
        let columns = if unit { 1 } else { p.p as usize };
        Pairs {
            p,
            kind: Kind::from_code(p.kind).expect("known kind"),
            x: floats(inputs[0], p.x_at, m * d),
            y: floats(inputs[1], p.y_at, n * d),
            gamma: floats(inputs[2], p.gamma_at, p.gammas as usize),
            u: u.filter(|_| !unit).map_or(&[], |u| floats(u, p.u_at, m * columns)),
            v: v.filter(|_| !unit).map_or(&[], |v| floats(v, p.v_at, n * columns)),
            columns,
            across: Vec::new(),
        }
    }

    /// Lays y out for gradients.
    fn with_gradients(mut self) -> Self {
        let d = self.p.d as usize;
        self.across = vec![0.0; self.y.len()];
        if d > 0 {
            for (y, across) in self.y.chunks(CHUNK * d).zip(self.across.chunks_mut(CHUNK * d)) {
                let columns = y.len() / d;
                for (j, y) in y.chunks_exact(d).enumerate() {
                    for (t, &y) in y.iter().enumerate() {
                        across[t * columns + j] = y;
                    }
                }
            }
        }
        self
    }

    /// Scalar operations per row of x, for dealing rows to threads.
    fn work(&self, gradients: bool) -> usize {
        let pair = self.p.d as usize * if gradients { 2 } else { 1 } + 8 * self.gamma.len();
        (self.p.n as usize * pair / 8).max(1)
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

    fn bases(&self, x: &[Row], y: &[f32], s: &mut [Row]) {
        match self.kind {
            Kind::Linear | Kind::Cubic => bases(|x: f32, y: f32, s: f32| x.mul_add(y, s), x, y, s),
            Kind::Laplacian => bases(|x: f32, y: f32, s: f32| s + (x - y).abs(), x, y, s),
            Kind::Gaussian | Kind::Distance | Kind::GaussianScale => bases(
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

    fn gradients(&self, x: &[Row], y: &[f32], f: &[Row], first: bool, total: &mut [Row]) {
        match self.kind {
            Kind::Linear | Kind::Cubic => gradients(|_, y, _| y, x, y, f, first, total),
            Kind::Laplacian => {
                let sign = |x: f32, y: f32, _| {
                    let e = x - y;
                    (if e > 0.0 { 1.0 } else { 0.0 }) - (if e < 0.0 { 1.0 } else { 0.0 })
                };
                gradients(sign, x, y, f, first, total);
            }
            Kind::Gaussian | Kind::Distance | Kind::GaussianScale => {
                gradients(|x, y, _| x - y, x, y, f, first, total);
            }
        }
    }

    /// Clears the pairs of points with themselves among rows `row ..` and columns `column ..`.
    fn exclude(&self, row: usize, column: usize, pairs: &mut [Row]) {
        if self.p.flags & EXCLUDE_SELF != 0 {
            for l in 0..LANES {
                let j = (self.p.first as usize + row + l).wrapping_sub(column);
                if let Some(pair) = pairs.get_mut(j) {
                    pair[l] = 0.0;
                }
            }
        }
    }

    /// Rows `from ..`, as many as `out` has: products and, where `grad` is not empty, gradients.
    fn apply(&self, from: usize, out: &mut [f32], grad: &mut [f32], with_gradients: bool) {
        let (n, d, p) = (self.p.n as usize, self.p.d as usize, self.columns);
        let mut k = vec![[0.0; LANES]; CHUNK.min(n)];
        let mut f = vec![[0.0; LANES]; if with_gradients { k.len() } else { 0 }];
        for (tile, out) in out.chunks_mut(LANES * p).enumerate() {
            let row = from + tile * LANES;
            let x = Self::side_by_side(row, d, self.x);
            let u = if self.u.is_empty() { Vec::new() } else { Self::side_by_side(row, p, self.u) };
            let mut sums = vec![[0.0; LANES]; p];
            let mut slopes = vec![[0.0; LANES]; if with_gradients { d } else { 0 }];
            for j in (0..n).step_by(CHUNK) {
                let columns = CHUNK.min(n - j);
                let y = &self.y[j * d..(j + columns) * d];
                let v = if self.v.is_empty() { self.v } else { &self.v[j * p..(j + columns) * p] };
                let k = &mut k[..columns];
                self.bases(&x, y, k);
                if with_gradients {
                    let f = &mut f[..columns];
                    values_slopes(self.kind, &self.p, self.gamma, k, f);
                    self.exclude(row, j, f);
                    if !v.is_empty() {
                        weigh(&u, v, f);
                    }
                    self.gradients(&x, &self.across[j * d..(j + columns) * d], f, j == 0, &mut slopes);
                } else {
                    values(self.kind, &self.p, self.gamma, k);
                }
                self.exclude(row, j, k);
                products(k, v, j == 0, &mut sums);
            }
            for (l, out) in out.chunks_mut(p).enumerate() {
                for (c, out) in out.iter_mut().enumerate() {
                    *out = sums[c][l];
                }
            }
            if with_gradients && d > 0 {
                for (l, grad) in grad[tile * LANES * d..].chunks_mut(d).take(LANES).enumerate() {
                    for (t, grad) in grad.iter_mut().enumerate() {
                        *grad = slopes[t][l];
                    }
                }
            }
        }
    }
}

fn rows(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let pairs = Pairs::new(params(bytes), inputs, None, None);
    let (m, n, d) = (pairs.p.m as usize, pairs.p.n as usize, pairs.p.d as usize);
    let out: &mut [f32] = &mut bytemuck::cast_slice_mut(outputs[0])[..m * n];
    threads.rows(out, n, pairs.work(false), LANES, |from, out| {
        let mut k = vec![[0.0; LANES]; CHUNK.min(n)];
        for (tile, out) in out.chunks_mut(LANES * n).enumerate() {
            let row = from + tile * LANES;
            let x = Pairs::side_by_side(row, d, pairs.x);
            for j in (0..n).step_by(CHUNK) {
                let columns = CHUNK.min(n - j);
                let k = &mut k[..columns];
                pairs.bases(&x, &pairs.y[j * d..(j + columns) * d], k);
                values(pairs.kind, &pairs.p, pairs.gamma, k);
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

fn apply(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let pairs = Pairs::new(params(bytes), inputs, None, Some(inputs[3]));
    let out: &mut [f32] = &mut bytemuck::cast_slice_mut(outputs[0])[..pairs.p.m as usize * pairs.columns];
    threads.rows(out, pairs.columns, pairs.work(false), LANES, |from, out| pairs.apply(from, out, &mut [], false));
}

fn apply_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let pairs = Pairs::new(params(bytes), inputs, Some(inputs[3]), Some(inputs[4])).with_gradients();
    let (m, d) = (pairs.p.m as usize, pairs.p.d as usize);
    let [out, grad] = outputs else { return };
    let out: &mut [f32] = &mut bytemuck::cast_slice_mut(out)[..m * pairs.columns];
    let grad: &mut [f32] = &mut bytemuck::cast_slice_mut(grad)[..m * d];
    threads.rows_of([out, grad], [pairs.columns, d], pairs.work(true), LANES, |from, [out, grad]| {
        pairs.apply(from, out, grad, true);
    });
}

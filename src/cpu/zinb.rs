//! Fast form of `kernel::zinb`: the zero formula for every entry, then the counts, gathered.

use super::{Function, Threads};
use crate::kernel::zinb::*;
use crate::kernel::{Kernel, params};
use crate::{math, simd_fn};

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 4] =
    [(&VALUE, value), (&VALUE_GRAD, value_grad), (&CSR_VALUE, csr_value), (&CSR_VALUE_GRAD, csr_value_grad)];

/// Entries handled together; also the number of lanes of a row's sum.
const TILE: usize = 256;
/// Counts handled together.
const LANES: usize = 16;

fn floats(words: &[u32]) -> &[f32] {
    bytemuck::cast_slice(words)
}

/// Where the counts are.
enum Counts<'a> {
    Dense(&'a [f32]),
    Csr { indptr: &'a [u32], indices: &'a [u32], values: &'a [f32] },
}

/// `exp(r)` and its Stirling error, once per segment and gene.
struct Dispersion {
    theta: Vec<f32>,
    error: Vec<f32>,
}

simd_fn! {
    fn disperse(r: &[f32], theta: &mut [f32], error: &mut [f32]) {
        for ((t, e), &r) in theta.iter_mut().zip(error).zip(r) {
            *t = math::exp(r);
            *e = math::stirling_error(*t);
        }
    }
}

/// The inputs of one row of entries, or of a tile of it.
#[derive(Clone, Copy)]
struct Entries<'a> {
    m: &'a [f32],
    r: &'a [f32],
    theta: &'a [f32],
    error: &'a [f32],
    /// Empty without inflation.
    h: &'a [f32],
}

impl<'a> Entries<'a> {
    #[inline(always)]
    fn slice(self, from: usize, to: usize) -> Self {
        Entries {
            m: &self.m[from..to],
            r: &self.r[from..to],
            theta: &self.theta[from..to],
            error: &self.error[from..to],
            h: if self.h.is_empty() { self.h } else { &self.h[from..to] },
        }
    }
}

/// `ln p` and its derivatives for a tile.
struct Tile {
    value: [f32; TILE],
    dm: [f32; TILE],
    dr: [f32; TILE],
    dh: [f32; TILE],
}

simd_fn! {
    fn zeros_inflated(at: Entries<'_>, gradients: bool, tile: &mut Tile) {
        let n = at.m.len();
        let (r, theta, h) = (&at.r[..n], &at.theta[..n], &at.h[..n]);
        if gradients {
            for g in 0..n.min(TILE) {
                let [value, dm, dr, dh] = math::zinb_zero(at.m[g], r[g], theta[g], h[g]);
                tile.value[g] = value;
                tile.dm[g] = dm;
                tile.dr[g] = dr;
                tile.dh[g] = dh;
            }
        } else {
            for g in 0..n.min(TILE) {
                tile.value[g] = math::zinb_zero(at.m[g], r[g], theta[g], h[g])[0];
            }
        }
    }
}

simd_fn! {
    fn zeros(at: Entries<'_>, tile: &mut Tile) {
        let n = at.m.len();
        let (r, theta) = (&at.r[..n], &at.theta[..n]);
        for g in 0..n.min(TILE) {
            let [value, dm, dr] = math::nb_zero(at.m[g], r[g], theta[g]);
            tile.value[g] = value;
            tile.dm[g] = dm;
            tile.dr[g] = dr;
        }
    }
}

simd_fn! {
    /// Up to [`LANES`] counts `x` at positions `places` of the tile.
    fn counts(at: Entries<'_>, gradients: bool, places: &[u32], x: &[f32; LANES], tile: &mut Tile) {
        let inflated = !at.h.is_empty();
        let mut input = [[1.0f32; LANES]; 5];
        for (l, &g) in places.iter().enumerate() {
            let g = g as usize;
            input[0][l] = at.m[g];
            input[1][l] = at.r[g];
            input[2][l] = at.theta[g];
            input[3][l] = at.error[g];
            input[4][l] = if inflated { at.h[g] } else { 0.0 };
        }
        let [m, r, theta, error, h] = &input;
        let mut out = [[0.0f32; LANES]; 4];
        if gradients {
            for l in 0..LANES {
                let [value, dm, dr] = math::nb_count(x[l], m[l], r[l], theta[l], error[l]);
                out[0][l] = value;
                out[1][l] = dm;
                out[2][l] = dr;
            }
        } else {
            for l in 0..LANES {
                out[0][l] = math::nb_count(x[l], m[l], r[l], theta[l], error[l])[0];
            }
        }
        if inflated {
            for l in 0..LANES {
                out[0][l] -= math::softplus(h[l]);
                out[3][l] = -math::sigmoid(h[l]);
            }
        }
        for (l, &g) in places.iter().enumerate() {
            let g = g as usize;
            tile.value[g] = out[0][l];
            tile.dm[g] = out[1][l];
            tile.dr[g] = out[2][l];
            tile.dh[g] = out[3][l];
        }
    }
}

simd_fn! {
    fn scaled(out: &mut [f32], x: &[f32], weight: f32) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = weight * x;
        }
    }
}

simd_fn! {
    fn add_scaled(out: &mut [f32], x: &[f32], weight: f32) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o += weight * x;
        }
    }
}

simd_fn! {
    fn add(out: &mut [f32], x: &[f32]) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o += x;
        }
    }
}

/// Everything that a launch reads.
struct Job<'a> {
    p: ZinbParams,
    x: Counts<'a>,
    m: &'a [f32],
    r: &'a [f32],
    segment: &'a [u32],
    h: &'a [f32],
    /// Empty when no gradients are asked for.
    weight: &'a [f32],
    dispersion: Dispersion,
}

impl<'a> Job<'a> {
    /// Inputs from `m` on: m, r, segment, h and, for gradients, weight.
    fn new(p: ZinbParams, x: Counts<'a>, inputs: &[&'a [u32]], threads: &Threads) -> Self {
        let table = p.segments as usize * p.genes as usize;
        let entries = p.rows as usize * p.genes as usize;
        let r = &floats(inputs[1])[p.r_at as usize..][..table];
        let mut dispersion = Dispersion { theta: vec![0.0; table], error: vec![0.0; table] };
        let halves = [dispersion.theta.as_mut_slice(), dispersion.error.as_mut_slice()];
        threads.rows_of(halves, [1, 1], 32, 16, |first, [theta, error]| {
            disperse(&r[first..first + theta.len()], theta, error);
        });
        let inflated = p.flags & NO_INFLATION == 0;
        Job {
            p,
            x,
            m: &floats(inputs[0])[p.m_at as usize..][..entries],
            r,
            segment: inputs[2].get(p.segment_at as usize..).unwrap_or(&[]),
            h: if inflated { &floats(inputs[3])[p.h_at as usize..][..entries] } else { &[] },
            weight: inputs.get(4).map_or(&[], |w| &floats(w)[p.weight_at as usize..]),
            dispersion,
        }
    }

    fn segment(&self, row: usize) -> usize {
        if self.p.flags & ONE_SEGMENT != 0 { 0 } else { self.segment[row / self.p.repeat as usize] as usize }
    }

    fn entries(&self, row: usize) -> Entries<'_> {
        let genes = self.p.genes as usize;
        let of_row = row * genes..(row + 1) * genes;
        let of_segment = self.segment(row) * genes..(self.segment(row) + 1) * genes;
        Entries {
            m: &self.m[of_row.clone()],
            r: &self.r[of_segment.clone()],
            theta: &self.dispersion.theta[of_segment.clone()],
            error: &self.dispersion.error[of_segment],
            h: if self.h.is_empty() { &[] } else { &self.h[of_row] },
        }
    }

    /// Writes the genes and values of a row's entries that are not 0, ascending.
    fn nonzeros(&self, row: usize, genes: &mut Vec<u32>, values: &mut Vec<f32>) {
        let cell = row / self.p.repeat as usize;
        genes.clear();
        values.clear();
        match self.x {
            Counts::Dense(x) => {
                let n = self.p.genes as usize;
                for (g, &v) in x[cell * n..(cell + 1) * n].iter().enumerate() {
                    if v != 0.0 {
                        genes.push(g as u32);
                        values.push(v);
                    }
                }
            }
            Counts::Csr { indptr, indices, values: stored } => {
                let run = indptr[cell] as usize..indptr[cell + 1] as usize;
                for (&g, &v) in indices[run.clone()].iter().zip(&stored[run]) {
                    if v != 0.0 {
                        genes.push(g);
                        values.push(v);
                    }
                }
                if !genes.is_sorted() {
                    let mut both: Vec<(u32, f32)> = genes.iter().copied().zip(values.iter().copied()).collect();
                    both.sort_unstable_by_key(|e| e.0);
                    for (k, (g, v)) in both.into_iter().enumerate() {
                        (genes[k], values[k]) = (g, v);
                    }
                }
            }
        }
    }

    /// Rows `first ..`, as many as `ll` has. Gradient slices start at row `first`; `dr` takes the rows'
    /// own values or, with `R_BLOCKS`, the sums of a block.
    fn rows(&self, first: usize, ll: &mut [f32], dm: &mut [f32], dr: &mut [f32], dh: &mut [f32]) {
        let n = self.p.genes as usize;
        let gradients = !self.weight.is_empty();
        let blocks = self.p.flags & R_BLOCKS != 0;
        let mut tile = Tile { value: [0.0; TILE], dm: [0.0; TILE], dr: [0.0; TILE], dh: [0.0; TILE] };
        let (mut genes, mut values) = (Vec::new(), Vec::new());
        if gradients && blocks {
            dr.fill(0.0);
        }
        for (k, ll) in ll.iter_mut().enumerate() {
            let row = first + k;
            let all = self.entries(row);
            // Entries between tiles belong to one row, so nonzeros are cut at the tiles' borders.
            self.nonzeros(row, &mut genes, &mut values);
            let mut next = 0;
            let mut lanes = [0.0f32; TILE];
            for from in (0..n).step_by(TILE) {
                let len = TILE.min(n - from);
                let at = all.slice(from, from + len);
                if at.h.is_empty() {
                    zeros(at, &mut tile);
                } else {
                    zeros_inflated(at, gradients, &mut tile);
                }
                let end = next + genes[next..].partition_point(|&g| (g as usize) < from + len);
                while next < end {
                    let take = LANES.min(end - next);
                    let (mut places, mut x) = ([0u32; LANES], [1.0f32; LANES]);
                    for l in 0..take {
                        places[l] = genes[next + l] - from as u32;
                        x[l] = values[next + l];
                    }
                    counts(at, gradients, &places[..take], &x, &mut tile);
                    next += take;
                }
                add(&mut lanes[..len], &tile.value);
                if gradients {
                    let weight = self.weight[row];
                    let out = k * n + from..k * n + from + len;
                    scaled(&mut dm[out.clone()], &tile.dm, weight);
                    if blocks {
                        let sums = self.segment(row) * n + from;
                        add_scaled(&mut dr[sums..sums + len], &tile.dr, weight);
                    } else {
                        scaled(&mut dr[out.clone()], &tile.dr, weight);
                    }
                    if !self.h.is_empty() {
                        scaled(&mut dh[out], &tile.dh, weight);
                    }
                }
            }
            *ll = halve(&mut lanes[..n.next_power_of_two().min(TILE)]);
        }
    }

    fn run(&self, outputs: &mut [&mut [u32]], threads: &Threads) {
        let (rows, n) = (self.p.rows as usize, self.p.genes as usize);
        let work = n * 16;
        let mut outputs = outputs.iter_mut().map(|words| bytemuck::cast_slice_mut::<u32, f32>(words));
        let mut take = |len: usize| outputs.next().and_then(|o| o.get_mut(..len)).unwrap_or(&mut []);
        let ll = take(rows);
        if self.weight.is_empty() {
            threads.rows(ll, 1, work, 1, |first, ll| self.rows(first, ll, &mut [], &mut [], &mut []));
            return;
        }
        let dm = take(rows * n);
        let blocks = self.p.flags & R_BLOCKS != 0;
        let block = self.p.segments as usize * n;
        let dr = take(if blocks { rows.div_ceil(BLOCK) * block } else { rows * n });
        let h_len = if self.h.is_empty() { 0 } else { n };
        let dh = take(rows * h_len);
        if blocks && n > 0 {
            let lens = [block, BLOCK, BLOCK * n, BLOCK * h_len];
            threads.rows_of([dr, ll, dm, dh], lens, work * BLOCK, 1, |first, [dr, ll, dm, dh]| {
                for (b, dr) in dr.chunks_mut(block).enumerate() {
                    let from = b * BLOCK;
                    let to = (from + BLOCK).min(ll.len());
                    let dh = if h_len == 0 { &mut [][..] } else { &mut dh[from * n..to * n] };
                    self.rows((first + b) * BLOCK, &mut ll[from..to], &mut dm[from * n..to * n], dr, dh);
                }
            });
        } else {
            threads.rows_of([ll, dm, dr, dh], [1, n, n, h_len], work, 1, |first, [ll, dm, dr, dh]| {
                self.rows(first, ll, dm, dr, dh);
            });
        }
    }
}

/// Combines lanes by halving.
fn halve(lanes: &mut [f32]) -> f32 {
    let mut s = lanes.len() / 2;
    while s > 0 {
        for l in 0..s {
            lanes[l] += lanes[l + s];
        }
        s /= 2;
    }
    lanes[0]
}

fn dense(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: ZinbParams = params(bytes);
    let x = Counts::Dense(&floats(inputs[0])[p.x_at as usize..]);
    Job::new(p, x, &inputs[1..], threads).run(outputs, threads);
}

fn csr(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: ZinbParams = params(bytes);
    let x = Counts::Csr { indptr: inputs[0], indices: inputs[1], values: floats(inputs[2]) };
    Job::new(p, x, &inputs[3..], threads).run(outputs, threads);
}

fn value(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    dense(bytes, inputs, outputs, threads);
}

fn value_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    dense(bytes, inputs, outputs, threads);
}

fn csr_value(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    csr(bytes, inputs, outputs, threads);
}

fn csr_value_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    csr(bytes, inputs, outputs, threads);
}

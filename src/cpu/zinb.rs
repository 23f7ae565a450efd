//! Fast form of `kernel::zinb`: the zero formula for every entry, and the counts, gathered.

mod tile;

use super::wide::WIDTH;
use super::{Function, Threads};
use crate::kernel::zinb::*;
use crate::kernel::{Kernel, params};
use tile::{
    Dispersions, Entries, TILE, Tile, Wanted, add, add_scaled, compact, counts, disperse, halve, scaled, zeros,
};

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 4] =
    [(&VALUE, value), (&VALUE_GRAD, value_grad), (&CSR_VALUE, csr_value), (&CSR_VALUE_GRAD, csr_value_grad)];

fn floats(words: &[u32]) -> &[f32] {
    bytemuck::cast_slice(words)
}

/// Where the counts are.
enum Counts<'a> {
    Dense(&'a [f32]),
    Csr { indptr: &'a [u32], indices: &'a [u32], values: &'a [f32] },
}

/// The counts of a row that are not 0, ascending, with what the formulas give for them.
#[derive(Default)]
struct Nonzeros {
    genes: Vec<u32>,
    x: Vec<f32>,
    value: Vec<f32>,
    dm: Vec<f32>,
    dr: Vec<f32>,
    dh: Vec<f32>,
    /// Where genes and x of a whole row have room.
    room_genes: Vec<u32>,
    room_x: Vec<f32>,
}

impl Nonzeros {
    fn evaluate(&mut self, row: Entries<'_>, wanted: Wanted, tile: &mut Tile) {
        for out in [&mut self.value, &mut self.dm, &mut self.dr, &mut self.dh] {
            out.clear();
        }
        for (genes, x) in self.genes.chunks(TILE).zip(self.x.chunks(TILE)) {
            counts(row, wanted, genes, x, tile);
            if wanted.value {
                self.value.extend_from_slice(&tile.value[..x.len()]);
            }
            if !wanted.gradients {
                continue;
            }
            self.dm.extend_from_slice(&tile.dm[..x.len()]);
            self.dr.extend_from_slice(&tile.dr[..x.len()]);
            self.dh.extend_from_slice(&tile.dh[..x.len()]);
        }
    }

    /// Puts entries `range` into a tile that begins at gene `from`.
    fn place(&self, range: std::ops::Range<usize>, from: usize, tile: &mut Tile) {
        // A gene's place, known to be in the tile.
        let at = |g: u32| (g as usize - from) % TILE;
        let genes = &self.genes[range.clone()];
        // Nothing where these values were not asked for.
        if let Some(values) = self.value.get(range.clone()) {
            for (&g, &value) in genes.iter().zip(values) {
                tile.value[at(g)] = value;
            }
        }
        if let (Some(dm), Some(dr), Some(dh)) =
            (self.dm.get(range.clone()), self.dr.get(range.clone()), self.dh.get(range))
        {
            for (((&g, &dm), &dr), &dh) in genes.iter().zip(dm).zip(dr).zip(dh) {
                (tile.dm[at(g)], tile.dr[at(g)], tile.dh[at(g)]) = (dm, dr, dh);
            }
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
    /// Tables by segment and gene, in the order of the fields of `Dispersions`.
    dispersion: [Vec<f32>; 5],
    /// 0, 1, .. as many as genes.
    numbers: Vec<u32>,
}

impl<'a> Job<'a> {
    /// Inputs from `m` on: m, r, segment, h and, for gradients, weight.
    fn new(p: ZinbParams, x: Counts<'a>, inputs: &[&'a [u32]], threads: &Threads) -> Self {
        let table = p.segments as usize * p.genes as usize;
        let entries = p.rows as usize * p.genes as usize;
        let r = &floats(inputs[1])[p.r_at as usize..][..table];
        let mut dispersion: [Vec<f32>; 5] = std::array::from_fn(|_| vec![0.0; table]);
        threads.rows_of(dispersion.each_mut().map(Vec::as_mut_slice), [1; 5], 32, 16, |first, tables| {
            disperse(&r[first..first + tables[0].len()], tables);
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
            numbers: (0..p.genes).collect(),
        }
    }

    fn segment(&self, row: usize) -> usize {
        if self.p.flags & ONE_SEGMENT != 0 { 0 } else { self.segment[row / self.p.repeat as usize] as usize }
    }

    fn entries(&self, row: usize) -> Entries<'_> {
        let genes = self.p.genes as usize;
        let of_row = row * genes..(row + 1) * genes;
        let of_segment = self.segment(row) * genes;
        let [theta, inverse, error, inverse_next, digamma_next] = self.dispersion.each_ref().map(Vec::as_slice);
        Entries {
            m: &self.m[of_row.clone()],
            r: &self.r[of_segment..][..genes],
            t: Dispersions { theta, inverse, error, inverse_next, digamma_next }.slice(of_segment, genes),
            h: if self.h.is_empty() { &[] } else { &self.h[of_row] },
        }
    }

    /// Finds the entries of a row that are not 0, ascending.
    fn nonzeros(&self, row: usize, found: &mut Nonzeros) {
        let cell = row / self.p.repeat as usize;
        let (genes, values) = (&mut found.genes, &mut found.x);
        match self.x {
            Counts::Dense(x) => {
                let n = self.p.genes as usize;
                let room = n + WIDTH;
                found.room_genes.resize(room, 0);
                found.room_x.resize(room, 0.0);
                let (room_genes, room_x) = (&mut found.room_genes, &mut found.room_x);
                let count = compact(&x[cell * n..(cell + 1) * n], &self.numbers, room_genes, room_x);
                genes.clear();
                genes.extend_from_slice(&room_genes[..count]);
                values.clear();
                values.extend_from_slice(&room_x[..count]);
            }
            Counts::Csr { indptr, indices, values: stored } => {
                genes.clear();
                values.clear();
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
        let wanted = Wanted { value: !gradients || self.p.flags & NO_VALUE == 0, gradients };
        let blocks = self.p.flags & R_BLOCKS != 0;
        let mut tile = Tile::new();
        let mut nonzeros = Nonzeros::default();
        if gradients && blocks {
            dr.fill(0.0);
        }
        for (k, ll) in ll.iter_mut().enumerate() {
            let row = first + k;
            let all = self.entries(row);
            self.nonzeros(row, &mut nonzeros);
            nonzeros.evaluate(all, wanted, &mut tile);
            let mut next = 0;
            let mut lanes = [0.0f32; TILE];
            for from in (0..n).step_by(TILE) {
                let len = TILE.min(n - from);
                zeros(all.slice(from, len), wanted, &mut tile);
                let end = next + nonzeros.genes[next..].partition_point(|&g| (g as usize) < from + len);
                nonzeros.place(next..end, from, &mut tile);
                next = end;
                if wanted.value {
                    add(&mut lanes[..len], &tile.value);
                }
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
            if wanted.value {
                *ll = halve(&mut lanes[..n.next_power_of_two().min(TILE)]);
            }
        }
    }

    fn run(&self, outputs: &mut [&mut [u32]], threads: &Threads) {
        let (rows, n) = (self.p.rows as usize, self.p.genes as usize);
        let work = n * 16;
        let mut outputs = outputs.iter_mut().map(|words| bytemuck::cast_slice_mut::<u32, f32>(words));
        let mut take = |len: usize| outputs.next().and_then(|o| o.get_mut(..len)).unwrap_or(&mut []);
        let mut unwritten = Vec::new();
        let ll = match !self.weight.is_empty() && self.p.flags & NO_VALUE != 0 {
            true => {
                take(0);
                unwritten.resize(rows, 0.0);
                &mut unwritten[..]
            }
            false => take(rows),
        };
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

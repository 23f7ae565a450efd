//! Sums over pairs by products of points, tile by tile: the tile's products of points, from them K
//! and h, and the gradients as products of the tile with the points of either side.

use super::Pairs;
use super::points::Points;
use super::strip::{self, Marks, STRIDE, Strip};
use crate::cpu::Threads;
use crate::cpu::gemm::Shared;
use crate::cpu::gemm::micro::{Ahead, Table, table};
use crate::cpu::lanes::with_scratch;
use crate::cpu::team::wait_until;
use crate::kernel::gemm::K_CHUNK;
use crate::kernel::mmd::*;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a launch sums up for the points of one side, each row by one task at a time.
#[derive(Clone, Copy)]
struct Sums {
    /// `[rows, columns]`.
    out: Shared<f32>,
    slopes: Option<Slopes>,
}

/// Sums of f `[rows]` and of f times coordinates `[rows, width]`.
#[derive(Clone, Copy)]
struct Slopes {
    f: Shared<f32>,
    points: Shared<f32>,
}

/// A launch.
struct Job<'a> {
    pairs: &'a Pairs<'a>,
    x: &'a Points,
    y: &'a Points,
    table: &'static Table,
    to: Target,
}

/// What becomes of the pairs.
#[derive(Clone, Copy)]
enum Target {
    /// The matrix `[m, n]`.
    Matrix(Shared<f32>),
    /// Sums for the rows.
    Rows(Sums),
    /// Sums for the rows and the columns.
    Both(Sums, Sums),
}

impl Job<'_> {
    /// Words of scratch of a tile.
    fn scratch(&self) -> usize {
        CHUNK * STRIDE + STRIDE + self.slots() + self.pairs.d * CHUNK
    }

    /// Words for the columns' lanes: for each column of weights, and for f where it is not K.
    fn slots(&self) -> usize {
        match self.to {
            Target::Both(..) => (self.pairs.columns + usize::from(!self.pairs.shares())) * LANES * CHUNK,
            _ => 0,
        }
    }

    /// Adds the pairs of up to 256 rows with a chunk of columns to the sums of the rows and, if `both`
    /// and there are any, of the columns.
    ///
    /// # Safety
    /// No other task uses the sums of these rows, nor, if `both`, those of these columns; the scratch
    /// is as large as [`Job::scratch`] says, and is initialised.
    unsafe fn tile(&self, rows: Range<usize>, columns: Range<usize>, both: bool, scratch: *mut f32) {
        let pairs = self.pairs;
        let width = self.x.width;
        let of_x = match self.to {
            Target::Rows(sums) | Target::Both(sums, _) => Some(sums),
            Target::Matrix(_) => None,
        };
        let of_y = if let Target::Both(_, sums) = self.to { Some(sums).filter(|_| both) } else { None };
        let gradients = of_x.is_some_and(|sums| sums.slopes.is_some());
        let mut free = scratch.wrapping_add(CHUNK * STRIDE);
        let mut take = |n: usize| {
            let part = free;
            free = free.wrapping_add(n);
            // SAFETY: a part of the scratch that nothing else uses.
            unsafe { std::slice::from_raw_parts_mut(part, n) }
        };
        let slots = if of_y.is_some() { self.slots() } else { 0 };
        let mut strip = Strip {
            pairs,
            x: self.x,
            y: self.y,
            row: rows.start,
            columns: columns.clone(),
            gradients,
            k: take(STRIDE),
            slots: take(slots),
            across: take(pairs.d * CHUNK),
            across_made: false,
            zero: Marks::default(),
            zero_columns: Marks::default(),
        };
        strip.slots.fill(0.0);
        let blocks = rows.len().div_ceil(self.table.max_rows(2));
        for block in 0..blocks {
            let part = rows.len() * block / blocks..rows.len() * (block + 1) / blocks;
            let row = rows.start + part.start;
            // SAFETY: the tile has room for 256 rows of 256 columns, the points lie in their arrays,
            // and the sums belong to this task.
            unsafe {
                let at = scratch.add(part.start * STRIDE);
                self.dots(row, part.len(), columns.clone(), at);
                let values = std::slice::from_raw_parts_mut(at, part.len() * STRIDE);
                let Some(of_x) = of_x else {
                    strip::to_values(&mut strip, part.start, values);
                    if let Target::Matrix(matrix) = self.to {
                        for (i, values) in (row..).zip(values.chunks(STRIDE)) {
                            let out = matrix.slice(i * pairs.n + columns.start, columns.len());
                            out.copy_from_slice(&values[..columns.len()]);
                        }
                    }
                    continue;
                };
                let out = of_x.out.slice(row * pairs.columns, part.len() * pairs.columns);
                let f = of_x.slopes.map_or(&mut [][..], |slopes| slopes.f.slice(row, part.len()));
                strip::to_sums(&mut strip, part.start, values, out, f);
                if let Some(slopes) = of_x.slopes {
                    let points = self.y.rows[columns.start * width..].as_ptr();
                    let sums = slopes.points.at(row * width);
                    self.gradients(true, part.len(), columns.len(), at, points, sums, columns.start == 0);
                }
            }
        }
        let Some(of_y) = of_y else { return };
        // SAFETY: as above; the columns' sums belong to this task.
        unsafe {
            let first = rows.start == 0;
            let out = of_y.out.slice(columns.start * pairs.columns, columns.len() * pairs.columns);
            let f = of_y.slopes.map_or(&mut [][..], |slopes| slopes.f.slice(columns.start, columns.len()));
            let values = std::slice::from_raw_parts(scratch, rows.len() * STRIDE);
            strip::column_sums(&strip, values, first, out, f);
            let Some(slopes) = of_y.slopes else { return };
            let points = self.x.rows[rows.start * width..].as_ptr();
            let blocks = columns.len().div_ceil(self.table.max_rows(2));
            for block in 0..blocks {
                let (from, to) = (columns.len() * block / blocks, columns.len() * (block + 1) / blocks);
                let sums = slopes.points.at((columns.start + from) * width);
                self.gradients(false, to - from, rows.len(), scratch.add(from), points, sums, first);
            }
        }
    }

    /// Products of some rows of x with a chunk of the y, `STRIDE` apart.
    ///
    /// # Safety
    /// The points exist, and there is room at `to`.
    unsafe fn dots(&self, row: usize, rows: usize, columns: Range<usize>, to: *mut f32) {
        let (d, width) = (self.pairs.d, self.x.width);
        let step = 2 * self.table.lanes;
        let micro = self.table.get(true, 2, rows);
        let across = self.y.chunk_across(columns.start / CHUNK, d);
        for t in (0..d.max(1)).step_by(K_CHUNK) {
            let depth = K_CHUNK.min(d - t);
            for c in (0..columns.len()).step_by(step) {
                // SAFETY: the caller's; the chunk has all 256 columns, some of them filled up with zeros.
                unsafe {
                    let x = self.x.rows.as_ptr().add(row * width + t);
                    let y = across.as_ptr().add(t * CHUNK + c);
                    micro(
                        depth,
                        x,
                        width as isize,
                        y,
                        CHUNK as isize,
                        to.add(c),
                        STRIDE,
                        t == 0,
                        Ahead { at: x, step: 0 },
                    );
                }
            }
        }
    }

    /// Adds a block of f times points to sums of `rows` rows: the tile's rows if `by_row`, else columns.
    ///
    /// # Safety
    /// All of it exists, and nobody else uses the sums.
    #[allow(clippy::too_many_arguments)]
    unsafe fn gradients(
        &self,
        by_row: bool,
        rows: usize,
        depth: usize,
        f: *const f32,
        points: *const f32,
        sums: *mut f32,
        first: bool,
    ) {
        let (width, lanes) = (self.x.width, self.table.lanes);
        let mut t = 0;
        while t < width {
            let registers = if width - t >= 2 * lanes { 2 } else { 1 };
            let micro = self.table.get(by_row, registers, rows);
            // SAFETY: the caller's.
            unsafe {
                micro(
                    depth,
                    f,
                    STRIDE as isize,
                    points.add(t),
                    width as isize,
                    sums.add(t),
                    width,
                    first,
                    Ahead { at: points, step: 0 },
                );
            }
            t += registers * lanes;
        }
    }

    /// Some rows with all columns.
    ///
    /// # Safety
    /// No other task has these rows.
    unsafe fn some_rows(&self, rows: Range<usize>) {
        with_scratch(self.scratch(), |scratch| {
            for j in (0..self.pairs.n).step_by(CHUNK) {
                // SAFETY: the caller's.
                unsafe { self.tile(rows.clone(), j..self.pairs.n.min(j + CHUNK), false, scratch) };
            }
        });
    }

    /// All rows, each with all columns, for the rows alone.
    fn one_sided(&self, threads: &Threads) {
        // Pieces of a chunk where there are few chunks.
        let per = self.pairs.m.div_ceil(threads.count() * 4).next_multiple_of(LANES).clamp(LANES, CHUNK);
        let work = self.pairs.work(true).saturating_mul(per);
        threads.each(self.pairs.m.div_ceil(per), work, |task| {
            // SAFETY: tasks have different rows.
            unsafe { self.some_rows(task * per..self.pairs.m.min((task + 1) * per)) };
        });
    }

    /// All tiles, each for both its sides; with `triangle`, x and y are the same points and a tile
    /// stands for its mirror image.
    ///
    /// A side's totals are to be added in order: tile (I, J) comes after (I, J - 1), which the same
    /// task has done before, and after (I - 1, J), which it waits for. Tasks take the rows of tiles in
    /// order, so whoever is waited for is at work.
    fn two_sided(&self, triangle: bool, threads: &Threads) {
        let (m, n) = (self.pairs.m, self.pairs.n);
        let (rows, columns) = (m.div_ceil(CHUNK), n.div_ceil(CHUNK));
        let next = AtomicUsize::new(0);
        let done: Vec<AtomicUsize> = (0..rows).map(|_| AtomicUsize::new(0)).collect();
        let work = self.pairs.work(true).saturating_mul(m) / threads.count();
        threads.each(threads.count().min(rows), work, |_| {
            with_scratch(self.scratch(), |scratch| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= rows {
                        return;
                    }
                    for j in if triangle { i } else { 0 }..columns {
                        if i > 0 {
                            wait_until(|| done[i - 1].load(Ordering::Acquire) > j);
                        }
                        let part = |k: usize, all: usize| k * CHUNK..all.min((k + 1) * CHUNK);
                        // SAFETY: the sums of rows I are used by this task alone, those of columns J by
                        // the task of row I - 1 before and by that of row I + 1 later; in a triangle, by
                        // that of row J after all of them.
                        unsafe { self.tile(part(i, m), part(j, n), !(triangle && i == j), scratch) };
                        done[i].store(j + 1, Ordering::Release);
                    }
                }
            });
        });
    }
}

/// The kernel matrix.
pub fn rows(pairs: &Pairs, out: &mut [f32], threads: &Threads) {
    let (x, y) = (Points::of_x(pairs), Points::of_y(pairs));
    let to = Target::Matrix(Shared::new(out));
    Job { pairs, x: &x, y: &y, table: table(), to }.one_sided(threads);
}

/// Whether tiles that serve both sides are enough for the threads.
pub fn pays(pairs: &Pairs, threads: &Threads) -> bool {
    let tiles = pairs.m.min(pairs.n).div_ceil(CHUNK);
    threads.count() == 1 || tiles >= 2 * threads.count()
}

pub fn apply(pairs: &Pairs, out: &mut [f32], threads: &Threads) {
    out.fill(0.0);
    let sums = Sums { out: Shared::new(out), slopes: None };
    // The columns' weights are the rows' too, each time.
    let x = Points::of_x(&Pairs { u: if same(pairs) { pairs.v } else { pairs.u }, ..*pairs });
    run(pairs, &x, same(pairs), sums, threads);
}

pub fn apply_grad(pairs: &Pairs, out: &mut [f32], grad: &mut [f32], threads: &Threads) {
    out.fill(0.0);
    let x = Points::of_x(pairs);
    let mut slopes = Gradient::new(pairs.m, x.width);
    let sums = Sums { out: Shared::new(out), slopes: Some(slopes.shared()) };
    let weights = std::ptr::eq(pairs.u, pairs.v) || (pairs.u.is_empty() && pairs.v.is_empty());
    run(pairs, &x, same(pairs) && weights, sums, threads);
    slopes.finish(pairs, &x, grad, threads);
}

pub fn apply_both(pairs: &Pairs, outs: [&mut [f32]; 2], grads: [&mut [f32]; 2], threads: &Threads) {
    let points = [Points::of_x(pairs), Points::of_y(pairs)];
    let [x, y] = &points;
    let mut slopes = [Gradient::new(pairs.m, x.width), Gradient::new(pairs.n, x.width)];
    let [of_x, of_y] = &mut slopes;
    let [out_x, out_y] = outs.map(|out| {
        out.fill(0.0);
        Shared::new(out)
    });
    let of_x = Sums { out: out_x, slopes: Some(of_x.shared()) };
    let of_y = Sums { out: out_y, slopes: Some(of_y.shared()) };
    Job { pairs, x, y, table: table(), to: Target::Both(of_x, of_y) }.two_sided(false, threads);
    for ((slopes, points), grad) in slopes.iter().zip(&points).zip(grads) {
        slopes.finish(pairs, points, grad, threads);
    }
}

/// Whether x and y are the same points, seen alike from both sides.
fn same(pairs: &Pairs) -> bool {
    std::ptr::eq(pairs.x, pairs.y) && pairs.skip.is_none_or(|first| first == 0)
}

/// One side's sums, the other side being the same points, or of no interest.
fn run(pairs: &Pairs, x: &Points, same: bool, sums: Sums, threads: &Threads) {
    if same && pays(pairs, threads) {
        let to = Target::Both(sums, sums);
        return Job { pairs, x, y: x, table: table(), to }.two_sided(true, threads);
    }
    let y = Points::of_y(pairs);
    Job { pairs, x, y: &y, table: table(), to: Target::Rows(sums) }.one_sided(threads);
}

/// Where the gradient of one side adds up.
struct Gradient {
    f: Vec<f32>,
    points: Vec<f32>,
}

impl Gradient {
    fn new(rows: usize, width: usize) -> Self {
        Gradient { f: vec![0.0; rows], points: vec![0.0; rows * width] }
    }

    fn shared(&mut self) -> Slopes {
        Slopes { f: Shared::new(&mut self.f), points: Shared::new(&mut self.points) }
    }

    /// The gradient from the sums.
    fn finish(&self, pairs: &Pairs, points: &Points, grad: &mut [f32], threads: &Threads) {
        let (d, width, a) = (pairs.d, points.width, pairs.factor());
        threads.rows(grad, d, d, 1, |from, grad| {
            for (i, grad) in (from..).zip(grad.chunks_mut(d)) {
                let sums = &self.points[i * width..][..d];
                if pairs.centre.is_empty() {
                    strip::scale(a, sums, grad);
                } else {
                    strip::slope(a, self.f[i], &points.rows[i * width..][..d], sums, grad);
                }
            }
        });
    }
}

//! The points of one side, laid out for the loops.

use super::Pairs;
use crate::kernel::gemm::K_CHUNK;
use crate::kernel::mmd::*;
use crate::simd_fn;

/// The points of one side, seen from the centre if there is one.
pub struct Points {
    /// `[n, width]`, coordinates past d being 0.
    pub rows: Vec<f32>,
    /// d, rounded up to whole vectors.
    pub width: usize,
    /// For each chunk of points `[d, CHUNK]`, points past n being 0.
    across: Vec<f32>,
    /// Products of each point with itself, rounded up to chunks; empty without a centre.
    pub norms: Vec<f32>,
    /// `[columns, n]`, n rounded up to chunks; empty: ones.
    pub weights: Vec<f32>,
}

impl Points {
    pub fn of_x(pairs: &Pairs) -> Self {
        Self::new(pairs, pairs.x, pairs.m, pairs.u)
    }

    pub fn of_y(pairs: &Pairs) -> Self {
        Self::new(pairs, pairs.y, pairs.n, pairs.v)
    }

    fn new(pairs: &Pairs, points: &[f32], n: usize, weights: &[f32]) -> Self {
        let (d, p) = (pairs.d, pairs.columns);
        let width = d.next_multiple_of(LANES);
        let padded = n.next_multiple_of(CHUNK);
        let mut rows = vec![0.0; n * width];
        let mut across = vec![0.0; padded * d];
        let mut norms = vec![0.0; if pairs.centre.is_empty() { 0 } else { padded }];
        if d > 0 {
            let chunks = points.chunks(CHUNK * d).zip(rows.chunks_mut(CHUNK * width)).zip(across.chunks_mut(CHUNK * d));
            for (c, ((points, rows), across)) in chunks.enumerate() {
                for (point, row) in points.chunks(d).zip(rows.chunks_mut(width)) {
                    centred(point, pairs.centre, &mut row[..d]);
                }
                turn(rows, width, across);
                if !norms.is_empty() {
                    squares(across, &mut norms[c * CHUNK..(c + 1) * CHUNK]);
                }
            }
        }
        let mut turned = vec![0.0; if weights.is_empty() { 0 } else { padded * p }];
        for (i, weights) in weights.chunks(p).enumerate() {
            for (c, &w) in weights.iter().enumerate() {
                turned[c * padded + i] = w;
            }
        }
        Points { rows, width, across, norms, weights: turned }
    }

    /// A chunk of points as `[d, CHUNK]`.
    pub fn chunk_across(&self, chunk: usize, d: usize) -> &[f32] {
        &self.across[chunk * CHUNK * d..(chunk + 1) * CHUNK * d]
    }

    /// Weights of column `c` for the points from `first` on; empty: ones.
    pub fn weights_from(&self, c: usize, columns: usize, first: usize) -> &[f32] {
        if self.weights.is_empty() { &[] } else { &self.weights[c * self.weights.len() / columns..][first..] }
    }
}

/// A point seen from a centre, or as it is without one.
fn centred(point: &[f32], centre: &[f32], to: &mut [f32]) {
    if centre.is_empty() {
        return to.copy_from_slice(point);
    }
    for ((to, x), c) in to.iter_mut().zip(point).zip(centre) {
        *to = x - c;
    }
}

/// Up to a chunk of rows of `width` to `[d, CHUNK]`.
pub fn turn(rows: &[f32], width: usize, across: &mut [f32]) {
    for (j, row) in rows.chunks(width).enumerate() {
        for (t, &v) in row.iter().enumerate().take(across.len() / CHUNK) {
            across[t * CHUNK + j] = v;
        }
    }
}

simd_fn! {
    /// Products of points with themselves.
    fn squares(across: &[f32], norms: &mut [f32]) {
        for (part, across) in across.chunks(K_CHUNK * CHUNK).enumerate() {
            let mut chains = [0.0f32; CHUNK];
            for points in across.chunks_exact(CHUNK) {
                for (chain, &x) in chains.iter_mut().zip(points) {
                    *chain = x.mul_add(x, *chain);
                }
            }
            for (norm, &chain) in norms.iter_mut().zip(&chains) {
                *norm = if part == 0 { chain } else { *norm + chain };
            }
        }
    }
}

//! Fast form of `kernel::gather`: whole runs are copied, transposes go through small tiles, and
//! every thread owns the rows it writes.

use super::elementwise::Runs;
use super::{Function, Threads};
use crate::kernel::gather::*;
use crate::kernel::{Kernel, MAX_RANK, params};
use crate::reference::{floats, floats_mut};

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 7] = [
    (&COPY, copy),
    (&ROWS, rows),
    (&SCATTER_ROWS, scatter_rows),
    (&ADD_ROWS, add_rows),
    (&ALONG, along),
    (&ADD_ALONG, add_along),
    (&ONE_HOT, one_hot),
];

fn copy(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: CopyParams = params(bytes);
    if p.src.is_empty() {
        return;
    }
    let x = inputs[0];
    let out = &mut *outputs[0];
    let runs = Runs::new([&p.dst, &p.src]);
    let count: usize = runs.outer.iter().product();
    if count == 1 && runs.step[0] == 1 {
        let (to, from) = (runs.offset[0], runs.offset[1]);
        threads.rows(&mut out[to..to + runs.len], 1, 1, 16, |first, piece| {
            copy_run(piece, x, (from as isize + first as isize * runs.step[1]) as usize, runs.step[1]);
        });
        return;
    }
    // The outermost axis whose slabs of `out` follow each other without touching can be dealt.
    let lead = runs.outer.iter().position(|&n| n > 1).unwrap_or(MAX_RANK - 1);
    let slab = runs.strides[0][lead];
    let inside = (lead + 1..MAX_RANK).map(|d| (runs.outer[d], runs.strides[0][d])).chain([(runs.len, runs.step[0])]);
    let (mut span, mut forward) = (1, true);
    for (n, stride) in inside {
        span += (n - 1) as isize * stride;
        forward &= stride >= 0;
    }
    if count > 1 && forward && slab >= span {
        let start = runs.offset[0];
        let slabs = runs.outer[lead];
        let end = start + (slabs - 1) * slab as usize + span as usize;
        let per_slab = count / slabs;
        let work = per_slab * runs.len * if runs.step == [1, 1] { 1 } else { 2 };
        let covered = end - start;
        // `rows` deals whole slabs and counts the last, shorter one only if it is whole.
        debug_assert!(covered.div_ceil(slab as usize) == slabs);
        threads.rows(&mut out[start..end], slab as usize, work, 1, |first, piece| {
            let n = piece.len().div_ceil(slab as usize);
            let base = start + first * slab as usize;
            copy_runs(&runs, first * per_slab..(first + n) * per_slab, base, piece, x);
        });
    } else {
        copy_runs(&runs, 0..count, 0, out, x);
    }
}

/// Copies some runs; word 0 of `out` is word `base` of the buffer.
fn copy_runs(runs: &Runs<2>, which: std::ops::Range<usize>, base: usize, out: &mut [u32], x: &[u32]) {
    // Runs that lie side by side in `x` (a transpose) are read in tiles, so that each cache line of
    // `x` is read once and whole.
    const SIDE: usize = 64;
    const DEPTH: usize = 16;
    let mut tile = [[0u32; SIDE]; DEPTH];
    let last = MAX_RANK - 1;
    let transposed = runs.step[0] == 1 && runs.step[1] != 1 && runs.strides[1][last] == 1 && runs.outer[last] > 1;
    let mut row = which.start;
    while row < which.end {
        let [to, from] = runs.start(row);
        if transposed {
            let side = (runs.outer[last] - row % runs.outer[last]).min(SIDE).min(which.end - row);
            for first in (0..runs.len).step_by(DEPTH) {
                let depth = (runs.len - first).min(DEPTH);
                for (i, line) in tile[..depth].iter_mut().enumerate() {
                    let at = (from as isize + (first + i) as isize * runs.step[1]) as usize;
                    line[..side].copy_from_slice(&x[at..at + side]);
                }
                for t in 0..side {
                    let to = (to as isize + t as isize * runs.strides[0][last]) as usize - base + first;
                    for (o, line) in out[to..to + depth].iter_mut().zip(&tile) {
                        *o = line[t];
                    }
                }
            }
            row += side;
            continue;
        }
        if runs.step[0] == 1 {
            copy_run(&mut out[to - base..to - base + runs.len], x, from, runs.step[1]);
        } else {
            for i in 0..runs.len as isize {
                out[(to as isize + i * runs.step[0]) as usize - base] = x[(from as isize + i * runs.step[1]) as usize];
            }
        }
        row += 1;
    }
}

fn copy_run(out: &mut [u32], x: &[u32], from: usize, step: isize) {
    match step {
        1 => out.copy_from_slice(&x[from..from + out.len()]),
        0 => out.fill(x[from]),
        _ => {
            for (i, o) in out.iter_mut().enumerate() {
                *o = x[(from as isize + i as isize * step) as usize];
            }
        }
    }
}

fn rows(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: RowsParams = params(bytes);
    let (m, width) = (p.m as usize, p.width as usize);
    let (x, index) = (&inputs[0][p.x_offset as usize..], &inputs[1][p.index_offset as usize..][..m]);
    threads.rows(&mut outputs[0][..m * width], width, width, 1, |first, piece| {
        for (out, &j) in piece.chunks_mut(width).zip(&index[first..]) {
            if j < p.n_rows {
                out.copy_from_slice(&x[j as usize * width..][..width]);
            } else {
                out.fill(0);
            }
        }
    });
}

/// Calls `f(i, row of out)` in ascending `i` for the indices that name a row of `out`; each thread
/// looks for the rows that it owns.
fn each_named_row<T: Send>(
    out: &mut [T],
    width: usize,
    index: &[u32],
    threads: &Threads,
    prepare: impl Fn(&mut [T]) + Sync,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    if width == 0 || out.is_empty() {
        return;
    }
    let n_rows = out.len() / width;
    let work = (index.len() * width).div_ceil(n_rows) + index.len().div_ceil(n_rows);
    // One piece per thread at most: every piece reads all indices.
    let align = n_rows.div_ceil(threads.count());
    threads.rows(out, width, work, align, |first, piece| {
        prepare(piece);
        let mine = piece.len() / width;
        for (i, &j) in index.iter().enumerate() {
            let r = (j as usize).wrapping_sub(first);
            if r < mine {
                f(i, &mut piece[r * width..][..width]);
            }
        }
    });
}

fn scatter_rows(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: RowsParams = params(bytes);
    let (n_rows, m, width) = (p.n_rows as usize, p.m as usize, p.width as usize);
    let (x, index) = (&inputs[0][p.x_offset as usize..], &inputs[1][p.index_offset as usize..][..m]);
    let out = &mut outputs[0][..n_rows * width];
    each_named_row(out, width, index, threads, |_| (), |i, row| row.copy_from_slice(&x[i * width..][..width]));
}

fn add_rows(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: RowsParams = params(bytes);
    let (n_rows, m, width) = (p.n_rows as usize, p.m as usize, p.width as usize);
    let (x, index) = (&floats(inputs[0])[p.x_offset as usize..], &inputs[1][p.index_offset as usize..][..m]);
    let out = &mut floats_mut(outputs[0])[..n_rows * width];
    each_named_row(
        out,
        width,
        index,
        threads,
        |piece| piece.fill(0.0),
        |i, row| {
            for (o, v) in row.iter_mut().zip(&x[i * width..][..width]) {
                *o += v;
            }
        },
    );
}

fn along(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: AlongParams = params(bytes);
    let (outer, n, m, inner) = (p.outer as usize, p.n as usize, p.m as usize, p.inner as usize);
    let (x, index) = (&inputs[0][p.x_offset as usize..], &inputs[1][p.index_offset as usize..]);
    threads.rows(&mut outputs[0][..outer * m * inner], inner, 2 * inner, 1, |first, piece| {
        for (r, out) in piece.chunks_mut(inner).enumerate() {
            let source = &x[(first + r) / m * n * inner..];
            let index = &index[(first + r) * inner..];
            for (k, (o, &j)) in out.iter_mut().zip(index).enumerate() {
                *o = if (j as usize) < n { source[j as usize * inner + k] } else { 0 };
            }
        }
    });
}

fn add_along(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: AlongParams = params(bytes);
    let (outer, n, m, inner) = (p.outer as usize, p.n as usize, p.m as usize, p.inner as usize);
    let (x, index) = (&floats(inputs[0])[p.x_offset as usize..], &inputs[1][p.index_offset as usize..]);
    let out = &mut floats_mut(outputs[0])[..outer * n * inner];
    threads.rows(out, n * inner, (n + 2 * m) * inner, 1, |first, piece| {
        piece.fill(0.0);
        for (o, out) in piece.chunks_mut(n * inner).enumerate() {
            let start = (first + o) * m * inner;
            for (i, (v, &j)) in x[start..].iter().zip(&index[start..]).take(m * inner).enumerate() {
                if (j as usize) < n {
                    out[j as usize * inner + i % inner] += v;
                }
            }
        }
    });
}

fn one_hot(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: OneHotParams = params(bytes);
    let (m, classes) = (p.m as usize, p.classes as usize);
    let index = &inputs[0][p.index_offset as usize..];
    threads.rows(&mut floats_mut(outputs[0])[..m * classes], classes, classes, 1, |first, piece| {
        piece.fill(0.0);
        for (out, &j) in piece.chunks_mut(classes).zip(&index[first..]) {
            if let Some(o) = out.get_mut(j as usize) {
                *o = 1.0;
            }
        }
    });
}

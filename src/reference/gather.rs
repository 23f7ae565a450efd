//! Definition of `kernel::gather`.

use super::{Function, floats, floats_mut};
use crate::kernel::gather::*;
use crate::kernel::{Kernel, params};

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

fn copy(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: CopyParams = params(bytes);
    for i in 0..p.src.len() {
        outputs[0][p.dst.index(i)] = inputs[0][p.src.index(i)];
    }
}

fn rows(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: RowsParams = params(bytes);
    let (x, index) = (&inputs[0][p.x_offset as usize..], &inputs[1][p.index_offset as usize..]);
    let width = p.width as usize;
    for i in 0..p.m as usize {
        for k in 0..width {
            let known = index[i] < p.n_rows;
            outputs[0][i * width + k] = if known { x[index[i] as usize * width + k] } else { 0 };
        }
    }
}

fn scatter_rows(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: RowsParams = params(bytes);
    let (x, index) = (&inputs[0][p.x_offset as usize..], &inputs[1][p.index_offset as usize..]);
    let width = p.width as usize;
    for i in 0..p.m as usize {
        for k in 0..width {
            if index[i] < p.n_rows {
                outputs[0][index[i] as usize * width + k] = x[i * width + k];
            }
        }
    }
}

fn add_rows(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: RowsParams = params(bytes);
    let (x, index) = (&floats(inputs[0])[p.x_offset as usize..], &inputs[1][p.index_offset as usize..]);
    let out = floats_mut(outputs[0]);
    let width = p.width as usize;
    out[..p.n_rows as usize * width].fill(0.0);
    for i in 0..p.m as usize {
        for k in 0..width {
            if index[i] < p.n_rows {
                out[index[i] as usize * width + k] += x[i * width + k];
            }
        }
    }
}

fn along(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: AlongParams = params(bytes);
    let (x, index) = (&inputs[0][p.x_offset as usize..], &inputs[1][p.index_offset as usize..]);
    let (n, m, inner) = (p.n as usize, p.m as usize, p.inner as usize);
    for o in 0..p.outer as usize {
        for i in 0..m {
            for k in 0..inner {
                let at = (o * m + i) * inner + k;
                let j = index[at] as usize;
                outputs[0][at] = if j < n { x[(o * n + j) * inner + k] } else { 0 };
            }
        }
    }
}

fn add_along(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: AlongParams = params(bytes);
    let (x, index) = (&floats(inputs[0])[p.x_offset as usize..], &inputs[1][p.index_offset as usize..]);
    let out = floats_mut(outputs[0]);
    let (n, m, inner) = (p.n as usize, p.m as usize, p.inner as usize);
    out[..p.outer as usize * n * inner].fill(0.0);
    for o in 0..p.outer as usize {
        for i in 0..m {
            for k in 0..inner {
                let at = (o * m + i) * inner + k;
                let j = index[at] as usize;
                if j < n {
                    out[(o * n + j) * inner + k] += x[at];
                }
            }
        }
    }
}

fn one_hot(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: OneHotParams = params(bytes);
    let index = &inputs[0][p.index_offset as usize..];
    let out = floats_mut(outputs[0]);
    for i in 0..p.m as usize {
        for j in 0..p.classes {
            out[i * p.classes as usize + j as usize] = if index[i] == j { 1.0 } else { 0.0 };
        }
    }
}

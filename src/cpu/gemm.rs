//! Fast form of `kernel::gemm`: `matrixmultiply` on tiles of the output, one or more per thread.
//!
//! On a processor with FMA `matrixmultiply` computes exactly the contract's sums (its k blocks are
//! 256 long for every f32 kernel with FMA); without FMA it rounds twice, so there the plain loop runs.

use super::simd::{Level, level};
use super::{Function, Threads};
use crate::kernel::gemm::*;
use crate::kernel::{Kernel, params};
use crate::reference::gemm::chained;
use crate::reference::{floats, floats_mut};
use crate::{math, simd_fn};
use std::ops::Range;

pub static KERNELS: [(&Kernel, Function); 1] = [(&GEMM, gemm)];

/// The output of a launch, of which every task writes another part.
pub(super) struct Shared(*mut f32);

// SAFETY: whoever writes through `at` or `slice` promises that the parts are disjoint.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new(out: &mut [f32]) -> Self {
        Shared(out.as_mut_ptr())
    }

    /// Where element `i` lies.
    #[inline(always)]
    pub(super) fn at(&self, i: usize) -> *mut f32 {
        self.0.wrapping_add(i)
    }

    /// # Safety
    /// The elements exist, and nobody else uses them while the slice lives.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn slice<'a>(&self, first: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.at(first), len) }
    }
}

/// A matrix of an operand, read only.
#[derive(Clone, Copy)]
struct View<'a> {
    data: &'a [f32],
    start: isize,
    row: isize,
    col: isize,
}

impl View<'_> {
    fn at(&self, i: usize, j: usize) -> f32 {
        self.data[(self.start + i as isize * self.row + j as isize * self.col) as usize]
    }

    /// Whether all of a `rows` x `cols` matrix lies in the buffer. Neither size is 0.
    fn fits(&self, rows: usize, cols: usize) -> bool {
        let corner = |i: usize, j: usize| self.start + i as isize * self.row + j as isize * self.col;
        let corners = [corner(0, 0), corner(rows - 1, 0), corner(0, cols - 1), corner(rows - 1, cols - 1)];
        corners.iter().all(|&c| c >= 0 && (c as usize) < self.data.len())
    }
}

fn gemm(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: GemmParams = params(bytes);
    let (m, n, k, products) = (p.m as usize, p.n as usize, p.k as usize, p.products());
    if m * n * products == 0 {
        return;
    }
    let (a, b) = (floats(inputs[0]), floats(inputs[1]));
    let bias = match p.epilogue.bias {
        0 => &[][..],
        _ => &floats(inputs[2])[p.epilogue.bias_offset as usize..][..n],
    };
    let residual = match p.residual {
        0 => &[][..],
        _ => &floats(inputs[3])[p.residual_offset as usize..][..products * m * n],
    };
    let out = Shared::new(floats_mut(&mut outputs[0][..products * m * n]));
    // Enough tiles for every thread, cut along the longer side.
    let parts = threads.count().div_ceil(products);
    let (row_step, col_step) = match m >= n {
        true => (m.div_ceil(parts).next_multiple_of(16), n),
        false => (m, n.div_ceil(parts).next_multiple_of(32)),
    };
    let (row_parts, col_parts) = (m.div_ceil(row_step), n.div_ceil(col_step));
    let tiles = row_parts * col_parts;
    let work = row_step.min(m) * col_step.min(n) * (k / 16 + 1);
    threads.each(products * tiles, work, |task| {
        let (product, tile) = (task / tiles, task % tiles);
        let (row, col) = (tile / col_parts * row_step, tile % col_parts * col_step);
        let (rows, cols) = (row..m.min(row + row_step), col..n.min(col + col_step));
        let view = |data, o: &Operand| View {
            data,
            start: o.start(&p.batch, product),
            row: o.row as isize,
            col: o.col as isize,
        };
        let (a, b) = (view(a, &p.a), view(b, &p.b));
        assert!(k == 0 || (a.fits(m, k) && b.fits(k, n)), "gemm: an operand lies outside of its buffer");
        let first = product * m * n;
        // SAFETY: `out` has `products * m * n` elements and lives as long as this call; the tile's
        // rows and columns are written by no other task.
        let row_of = |i: usize| unsafe { out.slice(first + i * n + cols.start, cols.len()) };
        if level() >= Level::V3 {
            let at = |v: &View, i: usize, j: usize| {
                v.data.as_ptr().wrapping_offset(v.start + i as isize * v.row + j as isize * v.col)
            };
            // SAFETY: both operands lie in their buffers as just checked, the tile in the output.
            unsafe {
                matrixmultiply::sgemm(
                    rows.len(),
                    k,
                    cols.len(),
                    1.0,
                    at(&a, rows.start, 0),
                    a.row,
                    a.col,
                    at(&b, 0, cols.start),
                    b.row,
                    b.col,
                    0.0,
                    out.at(first + rows.start * n + cols.start),
                    n as isize,
                    1,
                );
            }
        } else {
            for i in rows.clone() {
                for (o, j) in row_of(i).iter_mut().zip(cols.clone()) {
                    *o = chained(k, |l| (a.at(i, l), b.at(l, j)));
                }
            }
        }
        let bias = if bias.is_empty() { bias } else { &bias[cols.clone()] };
        finish(&p.epilogue, rows, bias, |i| match residual.is_empty() {
            true => (row_of(i), residual),
            false => (row_of(i), &residual[first + i * n..][cols.clone()]),
        });
    });
}

/// Applies bias, residual and activation to rows of sums; `row` gives a row and its residual (empty:
/// none).
pub(super) fn finish<'a>(
    epilogue: &Epilogue,
    rows: Range<usize>,
    bias: &[f32],
    row: impl Fn(usize) -> (&'a mut [f32], &'a [f32]),
) {
    let a = epilogue.a;
    macro_rules! run {
        ($f:expr) => {{
            for i in rows {
                let (out, residual) = row(i);
                finish_row($f, out, bias, residual);
            }
        }};
    }
    match Activation::from_code(epilogue.activation).expect("known activation") {
        Activation::None if bias.is_empty() => {
            for i in rows {
                let (out, residual) = row(i);
                out.iter_mut().zip(residual).for_each(|(y, r)| *y += r);
            }
        }
        Activation::None => run!(|x: f32| x),
        Activation::Relu => run!(math::relu),
        Activation::LeakyRelu => run!(move |x: f32| math::leaky_relu(x, a)),
        Activation::Elu => run!(move |x: f32| math::elu(x, a)),
        Activation::Tanh => run!(math::tanh),
        Activation::Sigmoid => run!(math::sigmoid),
        Activation::Softplus => run!(math::softplus),
    }
}

simd_fn! {
    fn finish_row<F: Fn(f32) -> f32>(f: F, out: &mut [f32], bias: &[f32], residual: &[f32]) {
        match (bias.is_empty(), residual.is_empty()) {
            (true, true) => {
                for y in out.iter_mut() {
                    *y = f(*y);
                }
            }
            (false, true) => {
                for (y, &b) in out.iter_mut().zip(bias) {
                    *y = f(*y + b);
                }
            }
            (true, false) => {
                for (y, &r) in out.iter_mut().zip(residual) {
                    *y = f(*y + r);
                }
            }
            (false, false) => {
                for ((y, &b), &r) in out.iter_mut().zip(bias).zip(residual) {
                    *y = f((*y + b) + r);
                }
            }
        }
    }
}

//! Fast form of `kernel::gemm`: one tile of the output per thread, by the loops of `tile`.

pub(super) mod micro;
pub(super) mod pack;
mod tile;

use super::{Function, Threads};
use crate::kernel::gemm::*;
use crate::kernel::{Kernel, params};
use crate::reference::{floats, floats_mut};
use crate::{math, simd_fn};

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 1] = [(&GEMM, gemm)];

/// The output of a launch, of which every task writes another part.
pub(super) struct Shared<T>(*mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

// SAFETY: whoever writes through `at` or `slice` promises that the parts are disjoint.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(super) fn new(out: &mut [T]) -> Self {
        Shared(out.as_mut_ptr())
    }

    /// Where element `i` lies.
    #[inline(always)]
    pub(super) fn at(&self, i: usize) -> *mut T {
        self.0.wrapping_add(i)
    }

    /// # Safety
    /// The elements exist, and nobody else uses them while the slice lives.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn slice<'a>(&self, first: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.at(first), len) }
    }
}

/// A matrix of an operand, read only.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub data: &'a [f32],
    /// Index of element 0, 0.
    pub start: isize,
    pub row: isize,
    pub col: isize,
}

impl View<'_> {
    /// Where an element lies.
    #[inline(always)]
    pub fn pointer(&self, i: usize, j: usize) -> *const f32 {
        self.data.as_ptr().wrapping_offset(self.start + i as isize * self.row + j as isize * self.col)
    }

    /// The transpose.
    fn turned(self) -> Self {
        View { row: self.col, col: self.row, ..self }
    }

    /// The part that begins at an element.
    fn from(self, i: usize, j: usize) -> Self {
        View { start: self.start + i as isize * self.row + j as isize * self.col, ..self }
    }

    /// Whether all of a `rows` x `cols` matrix lies in the buffer.
    pub fn fits(&self, rows: usize, cols: usize) -> bool {
        let corner = |i: usize, j: usize| self.start + i as isize * self.row + j as isize * self.col;
        rows * cols == 0
            || [corner(0, 0), corner(rows - 1, 0), corner(0, cols - 1), corner(rows - 1, cols - 1)]
                .iter()
                .all(|&c| c >= 0 && (c as usize) < self.data.len())
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
    // Enough tiles for every thread. Cut between columns: the left matrix is not copied.
    let parts = threads.count().div_ceil(products);
    let (row_step, col_step) = match n >= 32 * parts || n >= m {
        true => (m, n.div_ceil(parts).next_multiple_of(32)),
        false => (m.div_ceil(parts).next_multiple_of(16), n),
    };
    let (row_parts, col_parts) = (m.div_ceil(row_step), n.div_ceil(col_step));
    let tiles = row_parts * col_parts;
    let work = row_step.min(m) * col_step.min(n) * (k / 16 + 1);
    threads.each(products * tiles, work, |task| {
        let (product, part) = (task / tiles, task % tiles);
        let (row, col) = (part / col_parts * row_step, part % col_parts * col_step);
        let (rows, cols) = (row_step.min(m - row), col_step.min(n - col));
        let view = |data, o: &Operand| View {
            data,
            start: o.start(&p.batch, product),
            row: o.row as isize,
            col: o.col as isize,
        };
        let (a, b) = (view(a, &p.a), view(b, &p.b));
        assert!(a.fits(m, k) && b.fits(k, n), "gemm: an operand lies outside of its buffer");
        let first = product * m * n;
        let finish = |c: usize, cols: usize| {
            let block = Block { first: first + row * n + c, step: n, rows, cols };
            let bias = if bias.is_empty() { bias } else { &bias[c..c + cols] };
            // SAFETY: the block is part of this task's tile.
            unsafe { finish(&p.epilogue, &out, &block, bias, residual) };
        };
        // SAFETY: the operands lie in their buffers as just checked; the tile lies in the output and
        // is written by no other task.
        unsafe {
            let to = out.at(first + row * n + col);
            tile::multiply(&a.from(row, 0), &b.from(0, col), rows, cols, k, to, n, &|c, cols| finish(col + c, cols));
        }
    });
}

/// Part of an output matrix: index of its first element, distance of its rows, its size.
pub(super) struct Block {
    pub first: usize,
    pub step: usize,
    pub rows: usize,
    pub cols: usize,
}

/// Applies bias (one value per column of the block, or empty), residual (shaped like the whole
/// output, or empty) and activation to a block of sums.
///
/// # Safety
/// The block lies in the output, and nobody else uses it.
pub(super) unsafe fn finish(epilogue: &Epilogue, out: &Shared<f32>, block: &Block, bias: &[f32], residual: &[f32]) {
    let a = epilogue.a;
    match Activation::from_code(epilogue.activation).expect("known activation") {
        Activation::None if bias.is_empty() && residual.is_empty() => {}
        Activation::None => finish_block(|x| x, out, block, bias, residual),
        Activation::Relu => finish_block(math::relu, out, block, bias, residual),
        Activation::LeakyRelu => finish_block(move |x| math::leaky_relu(x, a), out, block, bias, residual),
        Activation::Elu => finish_block(move |x| math::elu(x, a), out, block, bias, residual),
        Activation::Tanh => finish_block(math::tanh, out, block, bias, residual),
        Activation::Sigmoid => finish_block(math::sigmoid, out, block, bias, residual),
        Activation::Softplus => finish_block(math::softplus, out, block, bias, residual),
    }
}

simd_fn! {
    fn finish_block<F: Fn(f32) -> f32>(f: F, out: &Shared<f32>, block: &Block, bias: &[f32], residual: &[f32]) {
        for i in 0..block.rows {
            let first = block.first + i * block.step;
            // SAFETY: only called by `finish`, whose caller vouches for the block.
            let out = unsafe { out.slice(first, block.cols) };
            let residual = if residual.is_empty() { residual } else { &residual[first..first + block.cols] };
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
}

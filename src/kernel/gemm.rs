//! Dense products: `out = activation(a b + bias + residual)`, batched, any strides.
//!
//! Entry: `gemm`. Both operands are read through row and column strides, so the four transpose
//! forms, slices and flipped views are the same kernel; batch strides may be 0 (broadcast). The
//! output is contiguous from element 0.
//!
//! Geometry: x = n, y = m, z = number of products. Agreement: bits.
//! Summation order: k is cut into chunks of [`K_CHUNK`]. Within a chunk each output element is one
//! fma chain from +0 in ascending k; the chunks' totals are added in ascending order, the first one
//! taken as it is. k = 0 gives +0. Bias, residual and activation follow, each with a rounding of
//! its own.
//! Cost: `2 m n k` floating-point operations per product.

use super::{Access::*, Kernel};
use bytemuck::{Pod, Zeroable};

/// Length of the fma chains.
pub const K_CHUNK: usize = 256;

/// `out[b,i,j] = activation((sum_k a[b,i,k] b[b,k,j] + bias[j]) + residual[b,i,j])`; params
/// [`GemmParams`]; buffers `a`, `b`, `bias`, `residual`, `out`. A buffer whose flag is off is never
/// read: bind `a` again.
pub static GEMM: Kernel = Kernel { name: "gemm", bindings: &[Read, Read, Read, Read, Write] };

/// What happens to a sum before it is written. `a` is [`Epilogue::a`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x`
    None,
    /// `x > 0 ? x : 0`
    Relu,
    /// `x > 0 ? x : a x`
    LeakyRelu,
    /// `x > 0 ? x : a expm1(x)`
    Elu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1/(1 + e^-x)`
    Sigmoid,
    /// `ln(1 + e^x)`
    Softplus,
}

impl Activation {
    /// In the order of their codes.
    pub const ALL: [Activation; 7] = [
        Activation::None,
        Activation::Relu,
        Activation::LeakyRelu,
        Activation::Elu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Softplus,
    ];

    /// Back from a params word.
    pub fn from_code(code: u32) -> Option<Activation> {
        Self::ALL.get(code as usize).copied()
    }
}

/// Bias and activation; shared with `spmm`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Epilogue {
    /// 1: the bias buffer holds one value per column, contiguous from `bias_offset`.
    pub bias: u32,
    /// First word of the bias.
    pub bias_offset: u32,
    /// An [`Activation`].
    pub activation: u32,
    /// The activation's scalar.
    pub a: f32,
}

impl Epilogue {
    /// Leaves the sum as it is.
    pub const NONE: Epilogue = Epilogue { bias: 0, bias_offset: 0, activation: 0, a: 0.0 };
}

/// How an operand lies in its buffer, in elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Operand {
    /// Strides of the batch axes.
    pub batch: [i32; 4],
    /// Words from a row to the next.
    pub row: i32,
    /// Words from a column to the next.
    pub col: i32,
    /// Index of element 0, 0 of product 0.
    pub offset: u32,
}

impl Operand {
    /// One matrix in row-major order with `cols` columns.
    pub fn row_major(cols: usize) -> Self {
        Operand { batch: [0; 4], row: cols as i32, col: 1, offset: 0 }
    }

    /// The transpose of this matrix, of every product.
    pub fn transposed(self) -> Self {
        Operand { row: self.col, col: self.row, ..self }
    }

    /// Index of element 0, 0 of product `b` (row-major over `shape`).
    pub fn start(&self, shape: &[u32; 4], b: usize) -> isize {
        let mut rest = b;
        let mut at = self.offset as isize;
        for (&n, &stride) in shape.iter().zip(&self.batch).rev() {
            at += (rest % n as usize) as isize * stride as isize;
            rest /= n as usize;
        }
        at
    }
}

/// Parameters of [`GEMM`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct GemmParams {
    /// Sizes of the batch axes, right-aligned; unused ones are 1.
    pub batch: [u32; 4],
    /// Rows of the result.
    pub m: u32,
    /// Columns of the result.
    pub n: u32,
    /// Length of the sums.
    pub k: u32,
    /// `[m, k]`
    pub a: Operand,
    /// `[k, n]`
    pub b: Operand,
    /// 1: the residual buffer holds a value per output element, contiguous from `residual_offset`.
    pub residual: u32,
    /// First word of the residual.
    pub residual_offset: u32,
    /// What follows the product.
    pub epilogue: Epilogue,
}

impl GemmParams {
    /// One product of row-major matrices from element 0, nothing added.
    pub fn plain(m: usize, n: usize, k: usize) -> Self {
        GemmParams {
            batch: [1; 4],
            m: m as u32,
            n: n as u32,
            k: k as u32,
            a: Operand::row_major(k),
            b: Operand::row_major(n),
            residual: 0,
            residual_offset: 0,
            epilogue: Epilogue::NONE,
        }
    }

    /// Number of products.
    pub fn products(&self) -> usize {
        self.batch.iter().map(|&n| n as usize).product()
    }
}

//! Sparse times dense: `out = activation(a b + bias)` with `a` in compressed sparse rows (CSR).
//!
//! A CSR matrix is three buffers: `indptr` (u32, rows + 1), `indices` (u32, ascending within a
//! row), `values` (f32). Row `i` has the entries `indptr[i]..indptr[i + 1]`; `indptr[0]` need not be
//! 0, so a run of rows of a larger matrix is the same three buffers seen from another start.
//!
//! Entries: `spmm`, and `spmm_transpose`, which makes the CSR form of the transpose: the weight
//! gradient of `x w` is `spmm` with the transpose of `x`.
//!
//! Geometry: `spmm` x = n, y = m; `spmm_transpose` x = rows. Agreement: bits.
//! Summation order: that of the dense product of `kernel::gemm` with the terms of absent entries
//! left out of the chains. Chunk borders stay at multiples of 256 of the **column index**; every
//! chunk's total is added, also that of a chunk without entries (+0). Since fma(0, b, s) = s for
//! finite b, sparse and dense products of finite values have the same bits, with one exception: a
//! chain that has underflowed to -0 may be turned into +0 by the dense form's zero terms.
//! Cost: `2 n` floating-point operations per entry.

use super::gemm::Epilogue;
use super::{Access::*, Kernel};
use bytemuck::{Pod, Zeroable};

/// `out[i,j] = activation(sum_e values[e] b[indices[e], j] + bias[j])` over the entries of row i;
/// params [`SpmmParams`]; buffers `indptr`, `indices`, `values`, `b`, `bias` (bind `b` again if
/// there is none), `out` (contiguous from element 0).
pub static SPMM: Kernel = Kernel { name: "spmm", bindings: &[Read, Read, Read, Read, Read, Write] };

/// CSR form of the transpose, rows ascending within a column; params [`TransposeParams`]; buffers
/// `indptr`, `indices`, `values`, `indptr_t` (cols + 1, from 0), `indices_t`, `values_t`.
pub static TRANSPOSE: Kernel = Kernel { name: "spmm_transpose", bindings: &[Read, Read, Read, Write, Write, Write] };

/// Parameters of [`SPMM`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct SpmmParams {
    /// Rows of the sparse matrix.
    pub m: u32,
    /// Columns of the dense matrix.
    pub n: u32,
    /// Columns of the sparse matrix.
    pub k: u32,
    /// Where in `indptr` row 0 stands.
    pub indptr_offset: u32,
    /// Strides of the dense matrix `[k, n]` in elements, and the index of its element 0, 0.
    pub b_row: i32,
    /// Words from a column of b to the next.
    pub b_col: i32,
    /// First word of b.
    pub b_offset: u32,
    /// What follows the product.
    pub epilogue: Epilogue,
}

/// Parameters of [`TRANSPOSE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct TransposeParams {
    /// Rows of the matrix.
    pub rows: u32,
    /// Columns of the matrix.
    pub cols: u32,
    /// Where in `indptr` row 0 stands.
    pub indptr_offset: u32,
}

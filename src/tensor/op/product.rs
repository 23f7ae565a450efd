//! Forward of products, and the sparse operand.

use super::view::dense;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::kernel::gemm::{self, Epilogue, GEMM, GemmParams, Operand};
use crate::kernel::spmm::{SPMM, SpmmParams, TRANSPOSE, TransposeParams};
use crate::tensor::{Dtype, Tensor, shape};
use std::sync::{Arc, OnceLock};

/// What follows a product, in the same kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(x, 0)`
    Relu,
    /// `x > 0 ? x : slope x`, slope > 0
    LeakyRelu(f32),
    /// `x > 0 ? x : alpha (e^x - 1)`
    Elu(f32),
    /// Hyperbolic tangent.
    Tanh,
    /// `1/(1 + e^-x)`
    Sigmoid,
    /// `ln(1 + e^x)`
    Softplus,
}

impl Activation {
    fn code(self) -> (gemm::Activation, f32) {
        match self {
            Activation::None => (gemm::Activation::None, 0.0),
            Activation::Relu => (gemm::Activation::Relu, 0.0),
            Activation::LeakyRelu(a) => (gemm::Activation::LeakyRelu, a),
            Activation::Elu(a) => (gemm::Activation::Elu, a),
            Activation::Tanh => (gemm::Activation::Tanh, 0.0),
            Activation::Sigmoid => (gemm::Activation::Sigmoid, 0.0),
            Activation::Softplus => (gemm::Activation::Softplus, 0.0),
        }
    }
}

/// A sparse matrix in CSR form on a device. Its values take no gradient (they are data).
#[derive(Debug)]
pub struct Sparse {
    rows: usize,
    cols: usize,
    indptr: Tensor,
    indices: Tensor,
    values: Tensor,
    transposed: OnceLock<Arc<Sparse>>,
}

impl Sparse {
    /// From CSR arrays: `indptr` of `rows + 1` positions, `indices` ascending within a row.
    ///
    /// # Errors
    /// `Error::Shape` if the arrays do not describe a `rows x cols` matrix.
    pub fn new(
        rows: usize,
        cols: usize,
        indptr: &[u32],
        indices: &[u32],
        values: &[f32],
        device: &Device,
    ) -> Result<Arc<Self>> {
        let fits = indptr.len() == rows + 1
            && indptr.first() == Some(&0)
            && indptr.windows(2).all(|w| w[0] <= w[1])
            && indptr.last().map(|&n| n as usize) == Some(indices.len())
            && indices.len() == values.len()
            && indptr.windows(2).all(|w| {
                let row = &indices[w[0] as usize..w[1] as usize];
                row.windows(2).all(|p| p[0] < p[1]) && row.last().is_none_or(|&c| (c as usize) < cols)
            });
        if !fits {
            return Err(Error::Shape {
                op: "sparse",
                expected: format!("CSR arrays of a {rows} x {cols} matrix with ascending columns in each row"),
                found: format!("{} positions, {} indices, {} values", indptr.len(), indices.len(), values.len()),
            });
        }
        Ok(Arc::new(Sparse {
            rows,
            cols,
            indptr: Tensor::from_u32(indptr, &[rows + 1], device)?,
            indices: Tensor::from_u32(indices, &[indices.len()], device)?,
            values: Tensor::from_slice(values, &[values.len()], device)?,
            transposed: OnceLock::new(),
        }))
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// Number of stored values.
    pub fn nnz(&self) -> usize {
        self.values.numel()
    }

    /// The device it lives on.
    pub fn device(&self) -> &Device {
        self.values.device()
    }

    /// The transpose, made on the device at the first call and kept.
    pub fn transposed(&self) -> Result<Arc<Sparse>> {
        if let Some(done) = self.transposed.get() {
            return Ok(done.clone());
        }
        let device = self.device();
        let nnz = self.nnz();
        let indptr = Tensor::uninit("sparse", &[self.cols + 1], Dtype::U32, device)?;
        let indices = Tensor::uninit("sparse", &[nnz], Dtype::U32, device)?;
        let values = Tensor::uninit("sparse", &[nnz], Dtype::F32, device)?;
        let params = TransposeParams { rows: self.rows as u32, cols: self.cols as u32, indptr_offset: 0 };
        let buffers = [&self.indptr, &self.indices, &self.values, &indptr, &indices, &values].map(Tensor::storage);
        device.launch(&TRANSPOSE, &params, &buffers, [self.rows as u32, 1, 1])?;
        let made = Sparse { rows: self.cols, cols: self.rows, indptr, indices, values, transposed: OnceLock::new() };
        Ok(self.transposed.get_or_init(|| Arc::new(made)).clone())
    }
}

pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.expect("matmul", Dtype::F32)?;
    b.expect("matmul", Dtype::F32)?;
    let (ra, rb) = (a.rank(), b.rank());
    let wrong = || Error::Shape {
        op: "matmul",
        expected: "[.., m, k] and [.., k, n] with leading axes that broadcast (at most 4)".into(),
        found: format!("{:?} and {:?}", a.shape(), b.shape()),
    };
    if ra < 2 || rb < 2 || ra > 6 || rb > 6 || a.size(ra - 1) != b.size(rb - 2) {
        return Err(wrong());
    }
    let batch = shape::broadcast("matmul", &a.shape()[..ra - 2], &b.shape()[..rb - 2]).map_err(|_| wrong())?;
    let (m, k, n) = (a.size(ra - 2), a.size(ra - 1), b.size(rb - 1));
    let mut full = batch.clone();
    full.extend([m, n]);
    let out = Tensor::uninit("matmul", &full, Dtype::F32, a.device())?;
    let mut params = GemmParams::plain(m, n, k);
    for (i, &size) in batch.iter().enumerate() {
        params.batch[4 - batch.len() + i] = size as u32;
    }
    params.a = operand(a, &batch);
    params.b = operand(b, &batch);
    let buffers = [a, b, a, a, &out].map(Tensor::storage);
    let products = shape::numel(&batch) as u32;
    a.device().launch(&GEMM, &params, &buffers, [n as u32, m as u32, products])?;
    Ok(out)
}

/// How the last two axes lie in memory, and the leading ones stretched to `batch`.
fn operand(t: &Tensor, batch: &[usize]) -> Operand {
    let r = t.rank();
    let lead = shape::expand_strides(&t.shape()[..r - 2], &t.strides()[..r - 2], batch);
    let mut strides = [0; 4];
    for (slot, s) in strides[4 - batch.len()..].iter_mut().zip(lead) {
        *slot = s as i32;
    }
    Operand {
        batch: strides,
        row: t.strides()[r - 2] as i32,
        col: t.strides()[r - 1] as i32,
        offset: t.offset() as u32,
    }
}

fn epilogue(bias: Option<&Tensor>, act: Activation) -> Epilogue {
    let (code, a) = act.code();
    Epilogue {
        bias: u32::from(bias.is_some()),
        bias_offset: bias.map_or(0, |b| b.offset() as u32),
        activation: code as u32,
        a,
    }
}

pub fn linear(
    op: &'static str,
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    residual: Option<&Tensor>,
    act: Activation,
) -> Result<Tensor> {
    let r = x.rank();
    if r == 0 || w.rank() != 2 || x.size(r - 1) != w.size(1) {
        return Err(Error::Shape {
            op,
            expected: "x [.., k] and w [n, k]".into(),
            found: format!("{:?} and {:?}", x.shape(), w.shape()),
        });
    }
    if let Activation::LeakyRelu(a) | Activation::Elu(a) = act
        && a <= 0.0
    {
        return Err(Error::Argument { op, what: format!("the activation's scalar must be above 0, not {a}") });
    }
    w.expect(op, Dtype::F32)?;
    let (n, k) = (w.size(0), w.size(1));
    let mut full = x.shape().to_vec();
    full[r - 1] = n;
    // One axis of rows, read through strides if there is only one already.
    let x = if r == 2 { x.detach() } else { dense(op, x)? };
    x.expect(op, Dtype::F32)?;
    let m = shape::numel(&full[..r - 1]);
    let (row, col) = if r == 2 { (x.strides()[0], x.strides()[1]) } else { (k as isize, 1) };
    let bias = bias.map(|b| dense(op, b)).transpose()?;
    let residual = residual.map(|r| dense(op, r)).transpose()?;
    if let Some(b) = &bias {
        b.expect_shape(op, &[n])?;
    }
    if let Some(r) = &residual {
        r.expect_shape(op, &full)?;
    }
    let out = Tensor::uninit(op, &full, Dtype::F32, x.device())?;
    let mut params = GemmParams::plain(m, n, k);
    params.a = Operand { batch: [0; 4], row: row as i32, col: col as i32, offset: x.offset() as u32 };
    params.b =
        Operand { batch: [0; 4], row: w.strides()[1] as i32, col: w.strides()[0] as i32, offset: w.offset() as u32 };
    params.epilogue = epilogue(bias.as_ref(), act);
    params.residual = u32::from(residual.is_some());
    params.residual_offset = residual.as_ref().map_or(0, |r| r.offset() as u32);
    let buffers = [&x, w, bias.as_ref().unwrap_or(&x), residual.as_ref().unwrap_or(&x), &out].map(Tensor::storage);
    x.device().launch(&GEMM, &params, &buffers, [n as u32, m as u32, 1])?;
    Ok(out)
}

/// `act(s b + bias)` for dense b `[k, n]`.
pub fn sparse(op: &'static str, s: &Sparse, b: &Tensor, bias: Option<&Tensor>, act: Activation) -> Result<Tensor> {
    if b.rank() != 2 || b.size(0) != s.cols {
        return Err(Error::Shape {
            op,
            expected: format!("a dense [{}, n] for a sparse {} x {}", s.cols, s.rows, s.cols),
            found: format!("{:?}", b.shape()),
        });
    }
    b.expect(op, Dtype::F32)?;
    let n = b.size(1);
    let bias = bias.map(|t| dense(op, t)).transpose()?;
    if let Some(t) = &bias {
        t.expect_shape(op, &[n])?;
    }
    let out = Tensor::uninit(op, &[s.rows, n], Dtype::F32, b.device())?;
    let params = SpmmParams {
        m: s.rows as u32,
        n: n as u32,
        k: s.cols as u32,
        indptr_offset: 0,
        b_row: b.strides()[0] as i32,
        b_col: b.strides()[1] as i32,
        b_offset: b.offset() as u32,
        epilogue: epilogue(bias.as_ref(), act),
    };
    let buffers = [&s.indptr, &s.indices, &s.values, b, bias.as_ref().unwrap_or(b), &out].map(Tensor::storage);
    b.device().launch(&SPMM, &params, &buffers, [n as u32, s.rows as u32, 1])?;
    Ok(out)
}

//! Definition of `kernel::spmm`.

use super::gemm::activate;
use super::{Function, floats, floats_mut};
use crate::kernel::gemm::{Activation, K_CHUNK};
use crate::kernel::spmm::*;
use crate::kernel::{Kernel, params};

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 2] = [(&SPMM, spmm), (&TRANSPOSE, transpose)];

fn spmm(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: SpmmParams = params(bytes);
    let (indptr, indices) = (&inputs[0][p.indptr_offset as usize..], inputs[1]);
    let (values, b, bias) = (floats(inputs[2]), floats(inputs[3]), floats(inputs[4]));
    let out = floats_mut(outputs[0]);
    let (n, chunks) = (p.n as usize, (p.k as usize).div_ceil(K_CHUNK));
    for i in 0..p.m as usize {
        for j in 0..n {
            let mut e = indptr[i] as usize;
            let mut sum = 0.0;
            for chunk in 0..chunks {
                let mut chain = 0.0f32;
                while e < indptr[i + 1] as usize && (indices[e] as usize) < (chunk + 1) * K_CHUNK {
                    let at = i64::from(p.b_offset)
                        + i64::from(indices[e]) * i64::from(p.b_row)
                        + j as i64 * i64::from(p.b_col);
                    chain = values[e].mul_add(b[at as usize], chain);
                    e += 1;
                }
                sum = if chunk == 0 { chain } else { sum + chain };
            }
            if p.epilogue.bias != 0 {
                sum += bias[p.epilogue.bias_offset as usize + j];
            }
            let activation = Activation::from_code(p.epilogue.activation).expect("known activation");
            out[i * n + j] = activate(activation, sum, p.epilogue.a);
        }
    }
}

fn transpose(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: TransposeParams = params(bytes);
    let (indptr, indices, values) = (&inputs[0][p.indptr_offset as usize..], inputs[1], inputs[2]);
    let [indptr_t, indices_t, values_t] = outputs else { panic!("three outputs") };
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let entries = indptr[0] as usize..indptr[rows] as usize;
    // Where the next entry of each column goes; afterwards where the column ends.
    let mut next = vec![0; cols + 1];
    for &column in &indices[entries] {
        next[column as usize + 1] += 1;
    }
    for column in 0..cols {
        next[column + 1] += next[column];
    }
    indptr_t[..=cols].copy_from_slice(&next);
    for i in 0..rows {
        for e in indptr[i] as usize..indptr[i + 1] as usize {
            let slot = &mut next[indices[e] as usize];
            indices_t[*slot as usize] = i as u32;
            values_t[*slot as usize] = values[e];
            *slot += 1;
        }
    }
}

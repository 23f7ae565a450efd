//! Whether a device's warp-group products can be trusted.
//!
//! May use: `driver`, `plan`, the planners of products. `kernels/gemm_wgmma.cu` hands tiles to the tensor
//! cores by descriptors of shared memory, which no compiler checks. Before its first use on a device,
//! products of it are compared there with those of `kernels/gemm_fast.cu`, which rounds inputs alike.

use super::gemm_fast::{self, choices};
use super::{Cuda, Driver, gemm_wgmma};
use crate::backend::{Backend, Buffer, Call, Math};
use crate::error::Result;
use crate::kernel::gemm::{GEMM, GemmParams, Operand};

/// Runs small products both ways on every tile, k cut and not, and both orders of both operands. In words
/// what is wrong, if anything.
pub(super) fn doubt<D: Driver>(cuda: &Cuda<D>, math: Math) -> Option<String> {
    let (tiles, known) = match math {
        Math::Bf16 => (&gemm_wgmma::BF16_TILES, &gemm_fast::BF16_TILES),
        _ => (&gemm_wgmma::TF32_TILES, &gemm_fast::TF32_TILES),
    };
    let (m, n, k) = (70, 132, 300);
    for p in [GemmParams::plain(m, n, k), transposed(m, n, k)] {
        let inputs = [values(m * k, 1), values(k * n, 2)];
        let allowed = allowed(&p, &inputs);
        let expected = choices(&known[1..], &p, &cuda.chip).next().map(|choice| run(cuda, &p, &inputs, &choice));
        let expected = match expected? {
            Ok(expected) => expected,
            Err(e) => return Some(e.to_string()),
        };
        for choice in choices(tiles, &p, &cuda.chip) {
            let found = match run(cuda, &p, &inputs, &choice) {
                Ok(found) => found,
                Err(e) => return Some(e.to_string()),
            };
            let far = |(f, (e, a)): (&f32, (&f32, &f32))| !((f - e).abs() <= *a);
            if let Some(i) = found.iter().zip(expected.iter().zip(&allowed)).position(far) {
                let (f, e, a) = (found[i], expected[i], allowed[i]);
                return Some(format!("{}: element {i} is {f:e}, must be {e:e} within {a:e}", choice.function()));
            }
        }
    }
    None
}

/// `a` and `b` stored the other way round.
fn transposed(m: usize, n: usize, k: usize) -> GemmParams {
    let plain = GemmParams::plain(m, n, k);
    let a = Operand { row: 1, col: m as i32, ..plain.a };
    GemmParams { a, b: Operand { row: 1, col: k as i32, ..plain.b }, ..plain }
}

/// Numbers between -1 and 1.
fn values(n: usize, seed: u32) -> Vec<f32> {
    let value = |i: u32| ((i ^ seed << 20).wrapping_mul(0x9e37_79b9) >> 8) as f32 / 8_388_608.0 - 1.0;
    (0..n as u32).map(value).collect()
}

/// How far two sums of the same rounded products may be apart, for every output: each is within
/// `(k + 8) 2^-23 sum |a| |b|` of the exact one.
fn allowed(p: &GemmParams, [a, b]: &[Vec<f32>; 2]) -> Vec<f32> {
    let at = |o: &Operand, i: u32, j: u32| (i * o.row as u32 + j * o.col as u32) as usize;
    let size = |i, j| (0..p.k).map(|l| (a[at(&p.a, i, l)] * b[at(&p.b, l, j)]).abs()).sum::<f32>();
    let unit = 2.0 * (p.k + 8) as f32 / 8_388_608.0;
    (0..p.m).flat_map(|i| (0..p.n).map(move |j| (i, j))).map(|(i, j)| 1.01 * unit * size(i, j)).collect()
}

fn run<D: Driver>(
    cuda: &Cuda<D>,
    p: &GemmParams,
    inputs: &[Vec<f32>; 2],
    choice: &gemm_fast::Choice,
) -> Result<Vec<f32>> {
    let upload = |values: &[f32]| {
        let buffer = cuda.alloc(values.len() * 4)?;
        cuda.upload(&buffer, bytemuck::cast_slice(values))?;
        Ok(buffer)
    };
    let mut out = vec![f32::NAN; (p.m * p.n) as usize];
    let buffers = [upload(&inputs[0])?, upload(&inputs[1])?, upload(&[0.0])?, upload(&[0.0])?, upload(&out)?];
    let buffers: Vec<&Buffer> = buffers.iter().collect();
    let call = Call { kernel: &GEMM, params: bytemuck::bytes_of(p), buffers: &buffers, geometry: [1; 3] };
    // SAFETY: a choice of this family's for this call.
    unsafe { cuda.launch_as(&call, &choice.plan(p))? };
    cuda.download(buffers[4], bytemuck::cast_slice_mut(&mut out))?;
    Ok(out)
}

//! Definition of `kernel::gemm`.

use super::{Function, floats, floats_mut};
use crate::kernel::gemm::*;
use crate::kernel::{Kernel, params};
use crate::math;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 1] = [(&GEMM, gemm)];

fn gemm(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: GemmParams = params(bytes);
    let (a, b, bias, residual) = (floats(inputs[0]), floats(inputs[1]), floats(inputs[2]), floats(inputs[3]));
    let out = floats_mut(outputs[0]);
    let (m, n, k) = (p.m as usize, p.n as usize, p.k as usize);
    let element = |x: &[f32], o: &Operand, start: isize, i: usize, j: usize| {
        x[(start + i as isize * o.row as isize + j as isize * o.col as isize) as usize]
    };
    for product in 0..p.products() {
        let (a0, b0) = (p.a.start(&p.batch, product), p.b.start(&p.batch, product));
        for i in 0..m {
            for j in 0..n {
                let at = (product * m + i) * n + j;
                let mut y = chained(k, |l| (element(a, &p.a, a0, i, l), element(b, &p.b, b0, l, j)));
                if p.epilogue.bias != 0 {
                    y += bias[p.epilogue.bias_offset as usize + j];
                }
                if p.residual != 0 {
                    y += residual[p.residual_offset as usize + at];
                }
                out[at] = activate(Activation::from_code(p.epilogue.activation).expect("known"), y, p.epilogue.a);
            }
        }
    }
}

/// The contract's sum of `k` products: fma chains over chunks of [`K_CHUNK`], their totals in order.
pub fn chained(k: usize, pair: impl Fn(usize) -> (f32, f32)) -> f32 {
    let mut sum = 0.0;
    for first in (0..k).step_by(K_CHUNK) {
        let mut chain = 0.0f32;
        for l in first..k.min(first + K_CHUNK) {
            let (x, y) = pair(l);
            chain = x.mul_add(y, chain);
        }
        sum = if first == 0 { chain } else { sum + chain };
    }
    sum
}

/// What each [`Activation`] computes.
pub fn activate(activation: Activation, x: f32, a: f32) -> f32 {
    match activation {
        Activation::None => x,
        Activation::Relu => math::relu(x),
        Activation::LeakyRelu => math::leaky_relu(x, a),
        Activation::Elu => math::elu(x, a),
        Activation::Tanh => math::tanh(x),
        Activation::Sigmoid => math::sigmoid(x),
        Activation::Softplus => math::softplus(x),
    }
}

//! Definition of `kernel::elementwise`.

use super::{Function, floats, floats_mut};
use crate::kernel::elementwise::*;
use crate::kernel::{Kernel, params};
use crate::math;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 4] = [(&UNARY, unary), (&BINARY, binary), (&SELECT, select), (&FILL, fill)];

fn unary(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: UnaryParams = params(bytes);
    let x = floats(inputs[0]);
    let out = floats_mut(outputs[0]);
    for i in 0..p.x.len() {
        out[i] = unary_value(Unary::from_code(p.op).expect("known op"), x[p.x.index(i)], p.a, p.b);
    }
}

/// What each [`Unary`] computes.
pub fn unary_value(op: Unary, x: f32, a: f32, b: f32) -> f32 {
    match op {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign => {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        }
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Recip => 1.0 / x,
        Unary::Square => x * x,
        Unary::Exp => math::exp(x),
        Unary::Expm1 => math::expm1(x),
        Unary::Ln => math::ln(x),
        Unary::Log1p => math::log1p(x),
        Unary::Sin => math::sin(x),
        Unary::Cos => math::cos(x),
        Unary::Tanh => math::tanh(x),
        Unary::Sigmoid => math::sigmoid(x),
        Unary::LogSigmoid => math::log_sigmoid(x),
        Unary::Softplus => math::softplus(x),
        Unary::Erf => math::erf(x),
        Unary::Lgamma => math::lgamma(x),
        Unary::Digamma => math::digamma(x),
        Unary::Trigamma => math::trigamma(x),
        Unary::Relu => math::relu(x),
        Unary::LeakyRelu => math::leaky_relu(x, a),
        Unary::Elu => math::elu(x, a),
        Unary::AddScalar => x + a,
        Unary::MulScalar => x * a,
        Unary::PowScalar => math::pow(x, a),
        Unary::Clamp => {
            if x < a {
                a
            } else if x > b {
                b
            } else {
                x
            }
        }
        Unary::Step => {
            if x > 0.0 {
                1.0
            } else {
                a
            }
        }
        Unary::EluSlope => {
            if x > 0.0 {
                1.0
            } else {
                x + a
            }
        }
        Unary::InRange => {
            if a <= x && x <= b {
                1.0
            } else {
                0.0
            }
        }
        Unary::FromU32 => x.to_bits() as f32,
    }
}

fn binary(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: BinaryParams = params(bytes);
    let (x, y) = (floats(inputs[0]), floats(inputs[1]));
    let out = floats_mut(outputs[0]);
    for i in 0..p.x.len() {
        out[i] = binary_value(Binary::from_code(p.op).expect("known op"), x[p.x.index(i)], y[p.y.index(i)]);
    }
}

/// What each [`Binary`] computes.
pub fn binary_value(op: Binary, x: f32, y: f32) -> f32 {
    let flag = |b: bool| if b { 1.0 } else { 0.0 };
    match op {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Max => {
            if x > y || x.is_nan() {
                x
            } else {
                y
            }
        }
        Binary::Min => {
            if x < y || x.is_nan() {
                x
            } else {
                y
            }
        }
        Binary::Pow => math::pow(x, y),
        Binary::Gt => flag(x > y),
        Binary::Ge => flag(x >= y),
        Binary::Lt => flag(x < y),
        Binary::Le => flag(x <= y),
        Binary::Eq => flag(x == y),
        Binary::Ne => flag(x != y),
    }
}

fn select(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: SelectParams = params(bytes);
    let cond = floats(inputs[0]);
    for i in 0..p.x.len() {
        let chosen = cond[p.cond.index(i)] != 0.0;
        outputs[0][i] = if chosen { inputs[1][p.x.index(i)] } else { inputs[2][p.y.index(i)] };
    }
}

fn fill(bytes: &[u8], _: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: FillParams = params(bytes);
    outputs[0][..p.n as usize].fill(p.bits);
}

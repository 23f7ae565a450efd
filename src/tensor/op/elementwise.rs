//! Forward of the elementwise rows.

use crate::error::Result;
use crate::kernel::elementwise::{BINARY, BinaryParams, SELECT, SelectParams, UNARY, UnaryParams};
pub use crate::kernel::elementwise::{Binary, Unary};
use crate::tensor::{Dtype, Tensor, shape};

pub fn unary(op: &'static str, f: Unary, a: f32, b: f32, x: &Tensor) -> Result<Tensor> {
    x.expect(op, if f == Unary::FromU32 { Dtype::U32 } else { Dtype::F32 })?;
    let out = Tensor::uninit(op, x.shape(), Dtype::F32, x.device())?;
    let params = UnaryParams { op: f as u32, a, b, x: x.layout() };
    x.device().launch(&UNARY, &params, &[x.storage(), out.storage()], [out.numel() as u32, 1, 1])?;
    Ok(out)
}

pub fn binary(op: &'static str, f: Binary, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    x.expect(op, Dtype::F32)?;
    y.expect(op, Dtype::F32)?;
    let shape = shape::broadcast(op, x.shape(), y.shape())?;
    let out = Tensor::uninit(op, &shape, Dtype::F32, x.device())?;
    let params = BinaryParams { op: f as u32, x: x.layout_as(&shape), y: y.layout_as(&shape) };
    x.device().launch(&BINARY, &params, &[x.storage(), y.storage(), out.storage()], [out.numel() as u32, 1, 1])?;
    Ok(out)
}

pub fn select(cond: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    for t in [cond, x, y] {
        t.expect("where", Dtype::F32)?;
    }
    let shape = shape::broadcast("where", x.shape(), y.shape())?;
    let shape = shape::broadcast("where", &shape, cond.shape())?;
    let out = Tensor::uninit("where", &shape, Dtype::F32, x.device())?;
    let params = SelectParams { cond: cond.layout_as(&shape), x: x.layout_as(&shape), y: y.layout_as(&shape) };
    let buffers = [cond.storage(), x.storage(), y.storage(), out.storage()];
    x.device().launch(&SELECT, &params, &buffers, [out.numel() as u32, 1, 1])?;
    Ok(out)
}

pub fn unary_name(f: Unary) -> &'static str {
    match f {
        Unary::Neg => "neg",
        Unary::Abs => "abs",
        Unary::Sign => "sign",
        Unary::Sqrt => "sqrt",
        Unary::Rsqrt => "rsqrt",
        Unary::Recip => "recip",
        Unary::Square => "square",
        Unary::Exp => "exp",
        Unary::Expm1 => "expm1",
        Unary::Ln => "ln",
        Unary::Log1p => "log1p",
        Unary::Sin => "sin",
        Unary::Cos => "cos",
        Unary::Tanh => "tanh",
        Unary::Sigmoid => "sigmoid",
        Unary::LogSigmoid => "log_sigmoid",
        Unary::Softplus => "softplus",
        Unary::Erf => "erf",
        Unary::Lgamma => "lgamma",
        Unary::Digamma => "digamma",
        Unary::Trigamma => "trigamma",
        Unary::Relu => "relu",
        Unary::LeakyRelu => "leaky_relu",
        Unary::Elu => "elu",
        Unary::AddScalar => "add_scalar",
        Unary::MulScalar => "mul_scalar",
        Unary::PowScalar => "pow_scalar",
        Unary::Clamp => "clamp",
        Unary::Step => "step",
        Unary::EluSlope => "elu_slope",
        Unary::InRange => "in_range",
        Unary::FromU32 => "from_u32",
    }
}

pub fn binary_name(f: Binary) -> &'static str {
    match f {
        Binary::Add => "add",
        Binary::Sub => "sub",
        Binary::Mul => "mul",
        Binary::Div => "div",
        Binary::Max => "maximum",
        Binary::Min => "minimum",
        Binary::Pow => "pow",
        Binary::Gt => "gt",
        Binary::Ge => "ge",
        Binary::Lt => "lt",
        Binary::Le => "le",
        Binary::Eq => "eq",
        Binary::Ne => "ne",
    }
}

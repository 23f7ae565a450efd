//! Derivatives of the elementwise rows. `x` inputs, `y` result, `g` its gradient.

use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::op::{Binary, Unary};

pub fn unary(f: Unary, a: f32, b: f32, x: &Tensor, y: &Tensor, g: &Tensor) -> Result<Tensor> {
    match f {
        Unary::Neg => g.neg(),
        Unary::Abs => g.mul(&x.sign()?),
        Unary::Sqrt => g.div(&y.mul_scalar(2.0)?),
        Unary::Rsqrt => g.mul(&y.mul(&y.square()?)?.mul_scalar(-0.5)?),
        Unary::Recip => g.mul(&y.square()?.neg()?),
        Unary::Square => g.mul(&x.mul_scalar(2.0)?),
        Unary::Exp => g.mul(y),
        Unary::Expm1 => g.mul(&y.add_scalar(1.0)?),
        Unary::Ln => g.div(x),
        Unary::Log1p => g.div(&x.add_scalar(1.0)?),
        Unary::Sin => g.mul(&x.cos()?),
        Unary::Cos => g.mul(&x.sin()?.neg()?),
        Unary::Tanh => g.mul(&y.square()?.neg()?.add_scalar(1.0)?),
        Unary::Sigmoid => g.mul(&y.mul(&y.neg()?.add_scalar(1.0)?)?),
        Unary::LogSigmoid => g.mul(&x.neg()?.sigmoid()?),
        Unary::Softplus => g.mul(&x.sigmoid()?),
        Unary::Erf => g.mul(&x.square()?.neg()?.exp()?.mul_scalar(std::f32::consts::FRAC_2_SQRT_PI)?),
        Unary::Lgamma => g.mul(&x.digamma()?),
        Unary::Digamma => g.mul(&x.trigamma()?),
        Unary::Trigamma => Err(Error::NotDifferentiable { op: "trigamma", order: 1 }),
        Unary::Relu => g.mul(&x.unary(Unary::Step, 0.0, 0.0)?),
        Unary::LeakyRelu => g.mul(&x.unary(Unary::Step, a, 0.0)?),
        Unary::Elu => g.mul(&y.unary(Unary::EluSlope, a, 0.0)?),
        // The slope from the output grows with slope 1 where y <= 0 and is flat above.
        Unary::EluSlope => g.mul(&x.unary(Unary::Step, -1.0, 0.0)?.unary(Unary::InRange, -1.0, -1.0)?),
        Unary::AddScalar => Ok(g.clone()),
        Unary::MulScalar => g.mul_scalar(a),
        Unary::PowScalar => g.mul(&x.pow_scalar(a - 1.0)?.mul_scalar(a)?),
        Unary::Clamp => g.mul(&x.unary(Unary::InRange, a, b)?),
        // Flat almost everywhere.
        Unary::Sign | Unary::Step | Unary::InRange | Unary::FromU32 => Tensor::zeros(x.shape(), x.device()),
    }
}

pub fn binary(
    f: Binary,
    x: &Tensor,
    y: &Tensor,
    out: &Tensor,
    g: &Tensor,
    need: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    let to_x = |t: Result<Tensor>| t?.sum_to(x.shape()).map(Some);
    let to_y = |t: Result<Tensor>| t?.sum_to(y.shape()).map(Some);
    let (mut gx, mut gy) = (None, None);
    match f {
        Binary::Add => {
            gx = if need[0] { to_x(Ok(g.clone()))? } else { None };
            gy = if need[1] { to_y(Ok(g.clone()))? } else { None };
        }
        Binary::Sub => {
            gx = if need[0] { to_x(Ok(g.clone()))? } else { None };
            gy = if need[1] { to_y(g.neg())? } else { None };
        }
        Binary::Mul => {
            gx = if need[0] { to_x(g.mul(y))? } else { None };
            gy = if need[1] { to_y(g.mul(x))? } else { None };
        }
        Binary::Div => {
            gx = if need[0] { to_x(g.div(y))? } else { None };
            gy = if need[1] { to_y(g.mul(&out.div(y)?.neg()?))? } else { None };
        }
        Binary::Max | Binary::Min => {
            // The winner takes it; a tie is shared.
            let (a, b) = (x.detach(), y.detach());
            let half = a.eq(&b)?.mul_scalar(0.5)?;
            let (wins_x, wins_y) = match f {
                Binary::Max => (a.gt(&b)?, a.lt(&b)?),
                _ => (a.lt(&b)?, a.gt(&b)?),
            };
            gx = if need[0] { to_x(g.mul(&wins_x.add(&half)?))? } else { None };
            gy = if need[1] { to_y(g.mul(&wins_y.add(&half)?))? } else { None };
        }
        Binary::Pow => {
            if need[0] {
                let slope = y.mul(&x.pow(&y.add_scalar(-1.0)?)?)?;
                gx = to_x(g.mul(&slope))?;
            }
            if need[1] {
                // x^y ln x is 0 at x = 0.
                let zero = Tensor::scalar(0.0, g.device())?;
                let one = Tensor::scalar(1.0, g.device())?;
                let nonzero = x.detach().ne(&zero)?;
                let log = nonzero.select(x, &one)?.ln()?;
                gy = to_y(g.mul(&out.mul(&log)?))?;
            }
        }
        Binary::Gt | Binary::Ge | Binary::Lt | Binary::Le | Binary::Eq | Binary::Ne => {
            gx = if need[0] { Some(Tensor::zeros(x.shape(), x.device())?) } else { None };
            gy = if need[1] { Some(Tensor::zeros(y.shape(), y.device())?) } else { None };
        }
    }
    Ok(vec![gx, gy])
}

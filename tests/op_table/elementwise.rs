//! Rows that map elements.

use crate::case::Case;
use cytograd::Result;
use cytograd::tensor::op::{Binary, Unary};
use cytograd::tensor::{Tensor, grad_with};

type One = fn(&Tensor) -> Result<Tensor>;
type Two = fn(&Tensor, &Tensor) -> Result<Tensor>;

const MAPS: &[&[&[usize]]] = &[&[&[]], &[&[0]], &[&[2, 0, 3]], &[&[1]], &[&[3, 5]], &[&[17]]];
const PAIRS: &[&[&[usize]]] =
    &[&[&[], &[]], &[&[0, 3], &[3]], &[&[3, 4], &[4]], &[&[3, 1], &[1, 5]], &[&[], &[2, 3]], &[&[2, 1, 3], &[4, 1]]];

fn unary(f: Unary) -> Case {
    // Rows that only derivative rules make: the slope times an upstream gradient.
    let slope = |f: One| move |x: &[Tensor]| vjp(f, &x[0]);
    let method: One = match f {
        Unary::Neg => Tensor::neg,
        Unary::Abs => Tensor::abs,
        Unary::Sign => Tensor::sign,
        Unary::Sqrt => Tensor::sqrt,
        Unary::Rsqrt => Tensor::rsqrt,
        Unary::Recip => Tensor::recip,
        Unary::Square => Tensor::square,
        Unary::Exp => Tensor::exp,
        Unary::Expm1 => Tensor::expm1,
        Unary::Ln => Tensor::ln,
        Unary::Log1p => Tensor::log1p,
        Unary::Sin => Tensor::sin,
        Unary::Cos => Tensor::cos,
        Unary::Tanh => Tensor::tanh,
        Unary::Sigmoid => Tensor::sigmoid,
        Unary::LogSigmoid => Tensor::log_sigmoid,
        Unary::Softplus => Tensor::softplus,
        Unary::Erf => Tensor::erf,
        Unary::Lgamma => Tensor::lgamma,
        Unary::Digamma => Tensor::digamma,
        Unary::Trigamma => Tensor::trigamma,
        Unary::Relu => Tensor::relu,
        Unary::LeakyRelu => |x| x.leaky_relu(0.2),
        Unary::Elu => |x| x.elu(0.7),
        Unary::AddScalar => |x| x.add_scalar(0.3),
        Unary::MulScalar => |x| x.mul_scalar(-1.7),
        Unary::PowScalar => |x| x.pow_scalar(2.5),
        Unary::Clamp => |x| x.clamp(-0.55, 0.63),
        Unary::Step => return Case::new("Unary Step", MAPS, slope(Tensor::relu)),
        Unary::EluSlope => return Case::new("Unary EluSlope", MAPS, slope(|x| x.elu(0.7))),
        Unary::InRange => return Case::new("Unary InRange", MAPS, slope(|x| x.clamp(-0.55, 0.63))),
        Unary::FromU32 => {
            return Case::new("Unary FromU32", &[&[&[]]], |x| {
                let words = [0, 1, 16_777_217, u32::MAX];
                Tensor::from_u32(&words, &[2, 2], x[0].device())?.t()?.to_f32()
            })
            .integers();
        }
    };
    let case = Case::new(format!("Unary {f:?}"), MAPS, move |x| method(&x[0]));
    match f {
        Unary::Sqrt | Unary::Rsqrt | Unary::Recip | Unary::Ln | Unary::Log1p | Unary::PowScalar => case.positive(),
        Unary::Lgamma | Unary::Digamma | Unary::Trigamma => case.positive(),
        _ => case,
    }
}

/// The gradient of the sum of `f`, on the tape.
fn vjp(f: One, x: &Tensor) -> Result<Tensor> {
    let x = if x.tracked() { x.clone() } else { x.variable() };
    let y = f(&x)?;
    let ct = Tensor::full(0.75, y.shape(), y.device())?;
    Ok(grad_with(&[&y], &[&ct], &[&x], true)?.remove(0))
}

fn binary(f: Binary) -> Case {
    let method: Two = match f {
        Binary::Add => Tensor::add,
        Binary::Sub => Tensor::sub,
        Binary::Mul => Tensor::mul,
        Binary::Div => Tensor::div,
        Binary::Max => Tensor::maximum,
        Binary::Min => Tensor::minimum,
        Binary::Pow => Tensor::pow,
        Binary::Gt => Tensor::gt,
        Binary::Ge => Tensor::ge,
        Binary::Lt => Tensor::lt,
        Binary::Le => Tensor::le,
        Binary::Eq => Tensor::eq,
        Binary::Ne => Tensor::ne,
    };
    let case = Case::new(format!("Binary {f:?}"), PAIRS, move |x| method(&x[0], &x[1]));
    if matches!(f, Binary::Div | Binary::Pow) { case.positive() } else { case }
}

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Unary::ALL.into_iter().map(unary).collect();
    cases.extend(Binary::ALL.into_iter().map(binary));
    cases.push(Case::new("Select", PAIRS, |x| {
        let like = x[0].add(&x[1])?;
        let values: Vec<f32> = [1.0, 0.0, f32::NAN].into_iter().cycle().take(like.numel()).collect();
        let mask = Tensor::from_slice(&values, like.shape(), like.device())?;
        mask.select(&x[0].square()?, &x[1].square()?)
    }));
    // Twice reversed is forward again.
    cases.push(Case::new("GradReverse", MAPS, |x| x[0].square()?.grad_reverse(2.0)?.grad_reverse(0.5)));
    cases
}

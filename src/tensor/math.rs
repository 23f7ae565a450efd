//! Elementwise methods. All broadcast like NumPy; all return a new tensor.

use super::op::{Binary, Op, Unary, apply};
use super::{Dtype, Tensor};
use crate::error::{Error, Result};

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident => $f:ident;)*) => { impl Tensor { $(
        $(#[$doc])*
        pub fn $name(&self) -> Result<Tensor> {
            apply(Op::Unary { f: Unary::$f, a: 0.0, b: 0.0 }, &[self])
        }
    )* } };
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident => $f:ident;)*) => { impl Tensor { $(
        $(#[$doc])*
        pub fn $name(&self, other: &Tensor) -> Result<Tensor> {
            apply(Op::Binary(Binary::$f), &[self, other])
        }
    )* } };
}

unary! {
    /// `-x`
    neg => Neg;
    /// `|x|`; slope 0 at 0
    abs => Abs;
    /// -1, 0, 1
    sign => Sign;
    /// `√x`
    sqrt => Sqrt;
    /// `1/√x`
    rsqrt => Rsqrt;
    /// `1/x`
    recip => Recip;
    /// `x²`
    square => Square;
    /// `e^x`
    exp => Exp;
    /// `e^x - 1`
    expm1 => Expm1;
    /// natural logarithm
    ln => Ln;
    /// `ln(1 + x)`
    log1p => Log1p;
    /// sine of radians
    sin => Sin;
    /// cosine of radians
    cos => Cos;
    /// hyperbolic tangent
    tanh => Tanh;
    /// `1/(1 + e^-x)`
    sigmoid => Sigmoid;
    /// `ln sigmoid(x)`
    log_sigmoid => LogSigmoid;
    /// `ln(1 + e^x)`
    softplus => Softplus;
    /// error function
    erf => Erf;
    /// `ln |Γ(x)|`
    lgamma => Lgamma;
    /// derivative of lgamma
    digamma => Digamma;
    /// derivative of digamma; not differentiable itself
    trigamma => Trigamma;
    /// `max(x, 0)`; slope 0 at 0
    relu => Relu;
}

binary! {
    /// `x + y`
    add => Add;
    /// `x - y`
    sub => Sub;
    /// `x y`
    mul => Mul;
    /// `x / y`
    div => Div;
    /// larger of both; where equal, each gets half the gradient
    maximum => Max;
    /// smaller of both; where equal, each gets half the gradient
    minimum => Min;
    /// `x^y`
    pow => Pow;
    /// 1 where `x > y`, else 0
    gt => Gt;
    /// 1 where `x >= y`, else 0
    ge => Ge;
    /// 1 where `x < y`, else 0
    lt => Lt;
    /// 1 where `x <= y`, else 0
    le => Le;
    /// 1 where `x = y`, else 0
    eq => Eq;
    /// 1 where `x != y`, else 0
    ne => Ne;
}

impl Tensor {
    pub(super) fn unary(&self, f: Unary, a: f32, b: f32) -> Result<Tensor> {
        apply(Op::Unary { f, a, b }, &[self])
    }

    /// `x + c`
    pub fn add_scalar(&self, c: f32) -> Result<Tensor> {
        self.unary(Unary::AddScalar, c, 0.0)
    }

    /// `c x`
    pub fn mul_scalar(&self, c: f32) -> Result<Tensor> {
        self.unary(Unary::MulScalar, c, 0.0)
    }

    /// `x^c`
    pub fn pow_scalar(&self, c: f32) -> Result<Tensor> {
        self.unary(Unary::PowScalar, c, 0.0)
    }

    /// `x` held within `[low, high]`; the gradient is 0 outside.
    pub fn clamp(&self, low: f32, high: f32) -> Result<Tensor> {
        self.unary(Unary::Clamp, low, high)
    }

    /// `x > 0 ? x : slope x`
    pub fn leaky_relu(&self, slope: f32) -> Result<Tensor> {
        self.unary(Unary::LeakyRelu, slope, 0.0)
    }

    /// `x > 0 ? x : alpha (e^x - 1)`
    pub fn elu(&self, alpha: f32) -> Result<Tensor> {
        self.unary(Unary::Elu, alpha, 0.0)
    }

    /// Klambauer et al. 2017: `scale elu(x, 1.673...)`, scale 1.0507...
    pub fn selu(&self) -> Result<Tensor> {
        self.elu(1.673_263_2)?.mul_scalar(1.050_701)
    }

    /// `min(max(x, 0), 6)`
    pub fn relu6(&self) -> Result<Tensor> {
        self.relu()?.sub(&self.add_scalar(-6.0)?.relu()?)
    }

    /// `x sigmoid(x)`
    pub fn silu(&self) -> Result<Tensor> {
        self.mul(&self.sigmoid()?)
    }

    /// `x tanh(softplus(x))`
    pub fn mish(&self) -> Result<Tensor> {
        self.mul(&self.softplus()?.tanh()?)
    }

    /// `x Φ(x)` with the normal distribution function.
    pub fn gelu(&self) -> Result<Tensor> {
        let phi = self.mul_scalar(std::f32::consts::FRAC_1_SQRT_2)?.erf()?.add_scalar(1.0)?.mul_scalar(0.5)?;
        self.mul(&phi)
    }

    /// The tanh approximation of [`Tensor::gelu`].
    pub fn gelu_tanh(&self) -> Result<Tensor> {
        let cubic = self.mul(&self.square()?)?.mul_scalar(0.044_715)?;
        let inner = self.add(&cubic)?.mul_scalar(0.797_884_6)?.tanh()?;
        self.mul(&inner.add_scalar(1.0)?)?.mul_scalar(0.5)
    }

    /// `ln(1 + e^(beta x)) / beta`
    pub fn softplus_beta(&self, beta: f32) -> Result<Tensor> {
        self.mul_scalar(beta)?.softplus()?.mul_scalar(1.0 / beta)
    }

    /// `self != 0 ? x : y`; `self` gets no gradient.
    pub fn select(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        apply(Op::Select, &[self, x, y])
    }

    /// `value` where `mask != 0`, else `self`.
    pub fn masked_fill(&self, mask: &Tensor, value: f32) -> Result<Tensor> {
        mask.select(&Tensor::scalar(value, self.device())?, self)
    }

    /// Forward the identity, backward `-weight` times the gradient.
    pub fn grad_reverse(&self, weight: f32) -> Result<Tensor> {
        apply(Op::GradReverse { weight }, &[self])
    }

    /// Unsigned integers as f32.
    pub fn to_f32(&self) -> Result<Tensor> {
        match self.dtype() {
            Dtype::F32 => Ok(self.clone()),
            Dtype::U32 => self.unary(Unary::FromU32, 0.0, 0.0),
        }
    }

    /// `self + weight (end - self)` with `weight` broadcast: 0 gives `self`, 1 gives `end` (MixUp).
    pub fn lerp(&self, end: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.add(&end.sub(self)?.mul(weight)?)
    }

    /// Fails unless both have the same shape.
    pub(crate) fn expect_shape(&self, op: &'static str, shape: &[usize]) -> Result<()> {
        if self.shape() == shape {
            return Ok(());
        }
        Err(Error::Shape { op, expected: format!("{shape:?}"), found: format!("{:?}", self.shape()) })
    }
}

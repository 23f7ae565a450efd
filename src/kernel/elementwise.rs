//! Maps over strided views: one output element depends on one element of each input.
//!
//! Entries: `unary`, `binary`, `select`, `fill`. The output is always contiguous from element 0;
//! inputs are read through a [`Layout`], so transposes, slices and broadcasts cost no copy.
//!
//! Geometry: x = number of output elements. Summation order: none. Agreement: bits.
//! Cost: 4 bytes per input and output element.

use super::{Access, Access::*, Kernel, Layout};
use bytemuck::{Pod, Zeroable};

const fn entry(name: &'static str, bindings: &'static [Access]) -> Kernel {
    Kernel { name, bindings }
}

/// `out[i] = f(x[i])`; params [`UnaryParams`]; buffers `x`, `out`.
pub static UNARY: Kernel = entry("elementwise_unary", &[Read, Write]);
/// `out[i] = f(x[i], y[i])`; params [`BinaryParams`]; buffers `x`, `y`, `out`.
pub static BINARY: Kernel = entry("elementwise_binary", &[Read, Read, Write]);
/// `out[i] = cond[i] != 0 ? x[i] : y[i]` (NaN counts as true); params [`SelectParams`]; buffers
/// `cond`, `x`, `y`, `out`.
pub static SELECT: Kernel = entry("elementwise_select", &[Read, Read, Read, Write]);
/// `out[i] = value`; params [`FillParams`]; buffer `out`.
pub static FILL: Kernel = entry("elementwise_fill", &[Write]);

/// Functions of one value. `a`, `b` are the params' scalars.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// `-x`
    Neg,
    /// `|x|`
    Abs,
    /// -1, 0 or 1; 0 for NaN.
    Sign,
    /// `√x`
    Sqrt,
    /// `1 / sqrt(x)`, two roundings.
    Rsqrt,
    /// `1/x`
    Recip,
    /// `x²`
    Square,
    /// `e^x`
    Exp,
    /// `e^x - 1`
    Expm1,
    /// `ln x`
    Ln,
    /// `ln(1 + x)`
    Log1p,
    /// Sine of radians.
    Sin,
    /// Cosine of radians.
    Cos,
    /// Hyperbolic tangent.
    Tanh,
    /// `1/(1 + e^-x)`
    Sigmoid,
    /// `-ln(1 + e^-x)`
    LogSigmoid,
    /// `ln(1 + e^x)`
    Softplus,
    /// Error function.
    Erf,
    /// `ln |Γ(x)|`
    Lgamma,
    /// Derivative of lgamma.
    Digamma,
    /// Derivative of digamma.
    Trigamma,
    /// `x > 0 ? x : 0`
    Relu,
    /// `x > 0 ? x : a x`
    LeakyRelu,
    /// `x > 0 ? x : a expm1(x)`
    Elu,
    /// `x + a`
    AddScalar,
    /// `x a`
    MulScalar,
    /// `x ^ a`
    PowScalar,
    /// `x < a ? a : (x > b ? b : x)`; NaN stays
    Clamp,
    /// `x > 0 ? 1 : a`: slope of relu (a = 0) and leaky relu
    Step,
    /// slope of elu from its *output*: `y > 0 ? 1 : y + a`
    EluSlope,
    /// `a <= x <= b ? 1 : 0`
    InRange,
    /// An unsigned integer's bits to the nearest f32.
    FromU32,
}

impl Unary {
    /// In the order of their codes.
    pub const ALL: [Unary; 32] = [
        Unary::Neg,
        Unary::Abs,
        Unary::Sign,
        Unary::Sqrt,
        Unary::Rsqrt,
        Unary::Recip,
        Unary::Square,
        Unary::Exp,
        Unary::Expm1,
        Unary::Ln,
        Unary::Log1p,
        Unary::Sin,
        Unary::Cos,
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::LogSigmoid,
        Unary::Softplus,
        Unary::Erf,
        Unary::Lgamma,
        Unary::Digamma,
        Unary::Trigamma,
        Unary::Relu,
        Unary::LeakyRelu,
        Unary::Elu,
        Unary::AddScalar,
        Unary::MulScalar,
        Unary::PowScalar,
        Unary::Clamp,
        Unary::Step,
        Unary::EluSlope,
        Unary::InRange,
        Unary::FromU32,
    ];

    /// Back from a params word.
    pub fn from_code(code: u32) -> Option<Unary> {
        Self::ALL.get(code as usize).copied()
    }
}

/// Functions of two values.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// `x + y`
    Add,
    /// `x - y`
    Sub,
    /// `x y`
    Mul,
    /// `x / y`
    Div,
    /// `x > y ? x : y`, NaN if either is
    Max,
    /// `x < y ? x : y`, NaN if either is
    Min,
    /// `x^y`
    Pow,
    /// 1 where `x > y`, else 0; so for all comparisons.
    Gt,
    /// 1 where `x >= y`.
    Ge,
    /// 1 where `x < y`.
    Lt,
    /// 1 where `x <= y`.
    Le,
    /// 1 where `x = y`.
    Eq,
    /// 1 where `x != y`.
    Ne,
}

impl Binary {
    /// In the order of their codes.
    pub const ALL: [Binary; 13] = [
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Max,
        Binary::Min,
        Binary::Pow,
        Binary::Gt,
        Binary::Ge,
        Binary::Lt,
        Binary::Le,
        Binary::Eq,
        Binary::Ne,
    ];

    /// Back from a params word.
    pub fn from_code(code: u32) -> Option<Binary> {
        Self::ALL.get(code as usize).copied()
    }
}

/// Parameters of [`UNARY`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct UnaryParams {
    /// A [`Unary`].
    pub op: u32,
    /// First scalar of the function.
    pub a: f32,
    /// Second scalar of the function.
    pub b: f32,
    /// How x lies in memory.
    pub x: Layout,
}

/// `x` and `y` have the same (broadcast) shape.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BinaryParams {
    /// A [`Binary`].
    pub op: u32,
    /// How x lies in memory.
    pub x: Layout,
    /// How y lies in memory.
    pub y: Layout,
}

/// All layouts have the same shape.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct SelectParams {
    /// How the condition lies in memory.
    pub cond: Layout,
    /// How x lies in memory.
    pub x: Layout,
    /// How y lies in memory.
    pub y: Layout,
}

/// Parameters of [`FILL`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct FillParams {
    /// The word to write.
    pub bits: u32,
    /// Number of elements, from element 0.
    pub n: u32,
}

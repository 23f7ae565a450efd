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
    Neg,
    Abs,
    /// -1, 0 or 1; 0 for NaN.
    Sign,
    Sqrt,
    /// `1 / sqrt(x)`, two roundings.
    Rsqrt,
    Recip,
    Square,
    Exp,
    Expm1,
    Ln,
    Log1p,
    Sin,
    Cos,
    Tanh,
    Sigmoid,
    LogSigmoid,
    Softplus,
    Erf,
    Lgamma,
    Digamma,
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
    Add,
    Sub,
    Mul,
    Div,
    /// `x > y ? x : y`, NaN if either is
    Max,
    /// `x < y ? x : y`, NaN if either is
    Min,
    Pow,
    /// comparisons give 1 or 0
    Gt,
    Ge,
    Lt,
    Le,
    Eq,
    Ne,
}

impl Binary {
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

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct UnaryParams {
    /// A [`Unary`].
    pub op: u32,
    pub a: f32,
    pub b: f32,
    pub x: Layout,
}

/// `x` and `y` have the same (broadcast) shape.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BinaryParams {
    /// A [`Binary`].
    pub op: u32,
    pub x: Layout,
    pub y: Layout,
}

/// All layouts have the same shape.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct SelectParams {
    pub cond: Layout,
    pub x: Layout,
    pub y: Layout,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct FillParams {
    /// The word to write.
    pub bits: u32,
    /// Number of elements, from element 0.
    pub n: u32,
}

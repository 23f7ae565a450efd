//! What a case is, and the inputs it is given.

use crate::values;
use cytograd::Result;
use cytograd::device::Device;
use cytograd::tensor::op::Activation;
use cytograd::tensor::{Op, Tensor};
use std::sync::OnceLock;

/// One row of the table, or one of the functions it stands for.
pub struct Case {
    /// See [`key`].
    pub key: String,
    /// Uses the row on f32 inputs.
    pub f: Box<dyn Fn(&[Tensor]) -> Result<Tensor>>,
    /// Sets of input shapes. Where nothing is empty, derivatives are checked too.
    pub shapes: Vec<Vec<Vec<usize>>>,
    /// Whether smooth inputs lie between 0.5 and 2.5, as logarithms need it.
    pub positive: bool,
    /// Whether the row maps unsigned integers, the f32 inputs saying no more than the device.
    pub integers: bool,
}

impl Case {
    pub fn new(
        key: impl Into<String>,
        shapes: &[&[&[usize]]],
        f: impl Fn(&[Tensor]) -> Result<Tensor> + 'static,
    ) -> Case {
        let shapes = shapes.iter().map(|set| set.iter().map(|s| s.to_vec()).collect()).collect();
        Case { key: key.into(), f: Box::new(f), shapes, positive: false, integers: false }
    }

    pub fn positive(mut self) -> Case {
        self.positive = true;
        self
    }

    pub fn integers(mut self) -> Case {
        self.integers = true;
        self
    }

    pub fn inputs(&self, shapes: &[Vec<usize>], values: Values, view: View, device: &Device) -> Vec<Tensor> {
        let make = |(i, shape): (usize, &Vec<usize>)| {
            let n = shape.iter().product();
            let x = match (values, self.positive) {
                (Values::Hostile, _) => values::hostile(n, 11 + i as u32),
                (Values::Smooth, true) => (0..n).map(|j| 0.5 + 2.0 * spread(j, n, i) / n as f32).collect(),
                (Values::Smooth, false) => (0..n).map(|j| apart(spread(j, n, i) - (n as f32 - 1.0) / 2.0)).collect(),
            };
            view.of(&x, shape, device)
        };
        shapes.iter().enumerate().map(make).collect()
    }
}

/// Neither two results nor a result and 0 lie within the steps of finite differences.
fn apart(v: f32) -> f32 {
    let v = 0.15 * v + 0.04;
    v + 0.4f32.copysign(v)
}

/// A permutation of `0..n`, with a fraction of its own for each input so that inputs do not tie.
fn spread(j: usize, n: usize, input: usize) -> f32 {
    let step = (1..).map(|k| 7 + 2 * k).find(|s| gcd(*s, n) == 1).expect("a step prime to n");
    ((j + input) * step % n) as f32 + 0.25 * input as f32
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// Away from kinks and ties.
    Smooth,
    /// NaN, infinities, zeros, subnormals and extremes among ordinary values.
    Hostile,
}

/// How the elements of an input lie in memory.
#[derive(Clone, Copy, Debug)]
pub enum View {
    Plain,
    /// The last two axes swapped.
    Transposed,
    /// Every second element of the last axis, from the second, NaN between.
    Strided,
    /// The first axis backwards.
    Flipped,
}

impl View {
    pub const ALL: [View; 4] = [View::Plain, View::Transposed, View::Strided, View::Flipped];

    fn of(self, values: &[f32], shape: &[usize], device: &Device) -> Tensor {
        let make = || {
            let plain = Tensor::from_slice(values, shape, device)?;
            match self {
                View::Transposed if shape.len() > 1 => plain.t()?.contiguous()?.t(),
                View::Flipped if !shape.is_empty() => plain.flip(0)?.contiguous()?.flip(0),
                View::Strided if !shape.is_empty() => {
                    let (axis, n) = (shape.len() - 1, shape[shape.len() - 1]);
                    let mut wide = shape.to_vec();
                    wide[axis] = 2 * n + 1;
                    let mut padded = vec![f32::NAN; wide.iter().product()];
                    for (i, &v) in values.iter().enumerate() {
                        padded[i / n * (2 * n + 1) + 1 + 2 * (i % n)] = v;
                    }
                    Tensor::from_slice(&padded, &wide, device)?.slice(axis, 1, 2, n)
                }
                _ => Ok(plain),
            }
        };
        make().expect("a view")
    }
}

/// The devices that must agree, the reference itself (on views) among them.
pub fn devices() -> &'static [Device] {
    static ALL: OnceLock<Vec<Device>> = OnceLock::new();
    ALL.get_or_init(|| vec![Device::reference(), Device::cpu(1), Device::cpu(3)])
}

/// The row and the function it stands for there.
pub fn key(op: &Op) -> String {
    let row = op.row();
    let activation = |act: &Activation| {
        let text = format!("{act:?}");
        format!("{row} {}", text.split('(').next().unwrap_or_default())
    };
    let flag = |on: bool, text: &'static str| if on { text } else { "" };
    match op {
        Op::Unary { f, .. } => format!("{row} {f:?}"),
        Op::Binary(f) => format!("{row} {f:?}"),
        Op::Reduce { f, .. } | Op::ReduceAll(f) => format!("{row} {f:?}"),
        Op::Linear { act } | Op::LinearResidual { act } | Op::SparseLinear { act, .. } => activation(act),
        Op::Mmd { similarity, skip_diagonal }
        | Op::MmdSum { similarity, skip_diagonal }
        | Op::MmdGrad { similarity, skip_diagonal } => {
            format!("{row} {similarity:?}{}", flag(*skip_diagonal, " skip"))
        }
        Op::Zinb(zinb) | Op::ZinbSum(zinb) => {
            format!("{row} {}{}", flag(zinb.inflated, " inflated"), flag(zinb.segmented, " segmented"))
        }
        Op::ZinbGrad { of, .. } => format!("{row} of {of}"),
        _ => row.to_string(),
    }
}

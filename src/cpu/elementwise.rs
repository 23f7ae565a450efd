//! Fast form of `kernel::elementwise`: runs of the innermost axis, one compiled loop per function.

use super::stream::{STREAM, stream};
use super::{Function, Threads};
use crate::kernel::elementwise::*;
use crate::kernel::{Kernel, Layout, MAX_RANK, params};
use crate::{math, simd_fn};
use bytemuck::Pod;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 4] = [(&UNARY, unary), (&BINARY, binary), (&SELECT, select), (&FILL, fill)];

fn floats(words: &[u32]) -> &[f32] {
    bytemuck::cast_slice(words)
}

fn floats_mut(words: &mut [u32]) -> &mut [f32] {
    bytemuck::cast_slice_mut(words)
}

/// Layouts of one shape with neighbouring axes merged where all of them allow it: the innermost
/// axis becomes as long as possible.
pub(super) struct Runs<const N: usize> {
    /// Sizes of the outer axes.
    pub outer: [usize; MAX_RANK],
    pub strides: [[isize; MAX_RANK]; N],
    pub offset: [usize; N],
    /// Length of a run and each input's stride along it.
    pub len: usize,
    pub step: [isize; N],
}

impl<const N: usize> Runs<N> {
    pub fn new(layouts: [&Layout; N]) -> Self {
        let mut shape: Vec<usize> = Vec::with_capacity(MAX_RANK);
        let mut strides: [Vec<isize>; N] = std::array::from_fn(|_| Vec::with_capacity(MAX_RANK));
        for d in 0..MAX_RANK {
            let n = layouts[0].shape[d] as usize;
            if n == 1 {
                continue;
            }
            let merges = !shape.is_empty()
                && (0..N).all(|i| strides[i][shape.len() - 1] == layouts[i].strides[d] as isize * n as isize);
            if merges {
                *shape.last_mut().expect("not empty") *= n;
                for i in 0..N {
                    *strides[i].last_mut().expect("not empty") = layouts[i].strides[d] as isize;
                }
            } else {
                shape.push(n);
                for i in 0..N {
                    strides[i].push(layouts[i].strides[d] as isize);
                }
            }
        }
        let len = shape.pop().unwrap_or(1);
        let step = std::array::from_fn(|i| strides[i].pop().unwrap_or(1));
        let mut outer = [1; MAX_RANK];
        let mut outer_strides = [[0; MAX_RANK]; N];
        let lead = MAX_RANK - shape.len();
        outer[lead..].copy_from_slice(&shape);
        for i in 0..N {
            outer_strides[i][lead..].copy_from_slice(&strides[i]);
        }
        Runs { outer, strides: outer_strides, offset: layouts.map(|l| l.offset as usize), len, step }
    }

    /// Where run `row` starts in each input.
    pub fn start(&self, row: usize) -> [usize; N] {
        let mut rest = row;
        let mut at = self.offset.map(|o| o as isize);
        for d in (0..MAX_RANK).rev() {
            let c = (rest % self.outer[d]) as isize;
            rest /= self.outer[d];
            for (a, s) in at.iter_mut().zip(&self.strides) {
                *a += c * s[d];
            }
        }
        at.map(|a| a as usize)
    }

    /// Deals the output out: calls `f(starts, out)` for pieces of runs.
    fn for_each<T: Pod + Send>(
        &self,
        out: &mut [T],
        work: usize,
        threads: &Threads,
        f: impl Fn([usize; N], &mut [T]) + Sync,
    ) {
        let large = out.len() >= STREAM;
        // A part of a run, from its element `first` on.
        let part = |start: [usize; N], first: usize, out: &mut [T]| {
            let at =
                |first: usize| std::array::from_fn(|i| (start[i] as isize + first as isize * self.step[i]) as usize);
            if large && out.len() >= 1024 {
                stream(out, |offset, chunk| f(at(first + offset), chunk));
            } else {
                f(at(first), out);
            }
        };
        let rows: usize = self.outer.iter().product();
        if rows == 1 {
            let start = self.start(0);
            threads.rows(out, 1, work, 16, |first, piece| part(start, first, piece));
        } else {
            threads.rows(out, self.len, work * self.len, 1, |first, piece| {
                for (r, run) in piece.chunks_mut(self.len).enumerate() {
                    part(self.start(first + r), 0, run);
                }
            });
        }
    }
}

/// A function of one value, as a type, so that its loop is compiled for it. Not a closure: only a
/// method that is always inlined is sure to be compiled with the loop's instructions.
trait Map1: Copy + Sync {
    fn at(self, x: f32) -> f32;
}

trait Map2: Copy + Sync {
    fn at(self, x: f32, y: f32) -> f32;
}

simd_fn! {
    fn map1<F: Map1>(f: F, x: &[f32], start: usize, step: isize, out: &mut [f32]) {
        if step == 1 {
            let x = &x[start..start + out.len()];
            for (o, &v) in out.iter_mut().zip(x) {
                *o = f.at(v);
            }
            return;
        }
        let mut at = start as isize;
        for out in out.chunks_mut(1024) {
            for o in &mut *out {
                *o = x[at as usize];
                at += step;
            }
            for o in out {
                *o = f.at(*o);
            }
        }
    }
}

simd_fn! {
    fn map2<F: Map2>(f: F, x: &[f32], y: &[f32], start: [usize; 2], step: [isize; 2], out: &mut [f32]) {
        let n = out.len();
        match step {
            [1, 1] => {
                let (x, y) = (&x[start[0]..start[0] + n], &y[start[1]..start[1] + n]);
                for ((o, &a), &b) in out.iter_mut().zip(x).zip(y) {
                    *o = f.at(a, b);
                }
            }
            [1, 0] => {
                let b = y[start[1]];
                for (o, &a) in out.iter_mut().zip(&x[start[0]..start[0] + n]) {
                    *o = f.at(a, b);
                }
            }
            [0, 1] => {
                let a = x[start[0]];
                for (o, &b) in out.iter_mut().zip(&y[start[1]..start[1] + n]) {
                    *o = f.at(a, b);
                }
            }
            _ => {
                for (i, o) in out.iter_mut().enumerate() {
                    let i = i as isize;
                    let a = x[(start[0] as isize + i * step[0]) as usize];
                    let b = y[(start[1] as isize + i * step[1]) as usize];
                    *o = f.at(a, b);
                }
            }
        }
    }
}

fn unary(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: UnaryParams = params(bytes);
    let n = p.x.len();
    if n == 0 {
        return;
    }
    let x = floats(inputs[0]);
    let out = &mut floats_mut(outputs[0])[..n];
    let runs = Runs::new([&p.x]);
    let (a, b) = (p.a, p.b);
    macro_rules! run {
        ($work:expr, |$x:ident| $value:expr) => {
            run!($work, |$x, _a, _b| $value)
        };
        ($work:expr, |$x:ident, $a:ident, $b:ident| $value:expr) => {{
            #[derive(Clone, Copy)]
            struct Op(f32, f32);
            impl Map1 for Op {
                #[inline(always)]
                fn at(self, $x: f32) -> f32 {
                    let Op($a, $b) = self;
                    $value
                }
            }
            let f = Op(a, b);
            runs.for_each(out, $work, threads, |[start], piece| map1(f, x, start, runs.step[0], piece))
        }};
    }
    match Unary::from_code(p.op).expect("known op") {
        Unary::Neg => run!(1, |x| -x),
        Unary::Abs => run!(1, |x| x.abs()),
        Unary::Sign => run!(1, |x| f32::from(u8::from(x > 0.0)) - f32::from(u8::from(x < 0.0))),
        Unary::Sqrt => run!(4, |x| x.sqrt()),
        Unary::Rsqrt => run!(8, |x| 1.0 / x.sqrt()),
        Unary::Recip => run!(4, |x| 1.0 / x),
        Unary::Square => run!(1, |x| x * x),
        Unary::Exp => run!(8, |x| math::exp(x)),
        Unary::Expm1 => run!(8, |x| math::expm1(x)),
        Unary::Ln => run!(8, |x| math::ln(x)),
        Unary::Log1p => run!(8, |x| math::log1p(x)),
        Unary::Sin => run!(16, |x| math::sin(x)),
        Unary::Cos => run!(16, |x| math::cos(x)),
        Unary::Tanh => run!(16, |x| math::tanh(x)),
        Unary::Sigmoid => run!(8, |x| math::sigmoid(x)),
        Unary::LogSigmoid => run!(16, |x| math::log_sigmoid(x)),
        Unary::Softplus => run!(16, |x| math::softplus(x)),
        Unary::Erf => run!(16, |x| math::erf(x)),
        Unary::Lgamma => run!(32, |x| math::lgamma(x)),
        Unary::Digamma => run!(32, |x| math::digamma(x)),
        Unary::Trigamma => run!(32, |x| math::trigamma(x)),
        Unary::Relu => run!(1, |x| math::relu(x)),
        Unary::LeakyRelu => run!(1, |x, a, _b| math::leaky_relu(x, a)),
        Unary::Elu => run!(8, |x, a, _b| math::elu(x, a)),
        Unary::AddScalar => run!(1, |x, a, _b| x + a),
        Unary::MulScalar => run!(1, |x, a, _b| x * a),
        Unary::PowScalar => run!(32, |x, a, _b| math::pow(x, a)),
        Unary::Clamp => run!(1, |x, a, b| {
            let low = if x < a { a } else { x };
            if x > b && !(x < a) { b } else { low }
        }),
        Unary::Step => run!(1, |x, a, _b| if x > 0.0 { 1.0 } else { a }),
        Unary::EluSlope => run!(1, |x, a, _b| if x > 0.0 { 1.0 } else { x + a }),
        Unary::InRange => run!(1, |x, a, b| if a <= x && x <= b { 1.0 } else { 0.0 }),
        Unary::FromU32 => run!(1, |x| x.to_bits() as f32),
    }
}

fn binary(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: BinaryParams = params(bytes);
    let n = p.x.len();
    if n == 0 {
        return;
    }
    let (x, y) = (floats(inputs[0]), floats(inputs[1]));
    let out = &mut floats_mut(outputs[0])[..n];
    let runs = Runs::new([&p.x, &p.y]);
    macro_rules! run {
        ($work:expr, |$x:ident, $y:ident| $value:expr) => {{
            #[derive(Clone, Copy)]
            struct Op;
            impl Map2 for Op {
                #[inline(always)]
                fn at(self, $x: f32, $y: f32) -> f32 {
                    $value
                }
            }
            runs.for_each(out, $work, threads, |start, piece| map2(Op, x, y, start, runs.step, piece))
        }};
    }
    macro_rules! flag {
        ($op:tt) => { run!(1, |x, y| if x $op y { 1.0 } else { 0.0 }) };
    }
    match Binary::from_code(p.op).expect("known op") {
        Binary::Add => run!(1, |x, y| x + y),
        Binary::Sub => run!(1, |x, y| x - y),
        Binary::Mul => run!(1, |x, y| x * y),
        Binary::Div => run!(4, |x, y| x / y),
        Binary::Max => run!(1, |x, y| if x > y || x.is_nan() { x } else { y }),
        Binary::Min => run!(1, |x, y| if x < y || x.is_nan() { x } else { y }),
        Binary::Pow => run!(32, |x, y| math::pow(x, y)),
        Binary::Gt => flag!(>),
        Binary::Ge => flag!(>=),
        Binary::Lt => flag!(<),
        Binary::Le => flag!(<=),
        Binary::Eq => flag!(==),
        Binary::Ne => flag!(!=),
    }
}

fn select(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: SelectParams = params(bytes);
    let n = p.x.len();
    if n == 0 {
        return;
    }
    let cond = floats(inputs[0]);
    let runs = Runs::new([&p.cond, &p.x, &p.y]);
    runs.for_each(&mut outputs[0][..n], 1, threads, |start, piece| {
        for (i, o) in piece.iter_mut().enumerate() {
            let at = |k: usize| (start[k] as isize + i as isize * runs.step[k]) as usize;
            *o = if cond[at(0)] != 0.0 { inputs[1][at(1)] } else { inputs[2][at(2)] };
        }
    });
}

fn fill(bytes: &[u8], _: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let p: FillParams = params(bytes);
    threads.rows(&mut outputs[0][..p.n as usize], 1, 1, 16, |_, piece| piece.fill(p.bits));
}

//! Fast form of `kernel::mmd`. Products of points (`Linear`, `Cubic`, expanded squares) go tile by
//! tile through the inner loops of the dense product, a tile serving both of its sides; differences
//! (`Laplacian`, few coordinates) go with the rows of one side next to each other.

mod differences;
mod gaussian;
mod points;
mod products;
mod strip;
mod values;

use super::{Function, Threads};
use crate::kernel::mmd::*;
use crate::kernel::{Kernel, params};
use crate::reference::{floats, floats_mut};

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 4] =
    [(&ROWS, rows), (&APPLY, apply), (&APPLY_GRAD, apply_grad), (&APPLY_BOTH, apply_both)];

/// Everything that a launch reads, seen from one side.
#[derive(Clone, Copy)]
struct Pairs<'a> {
    kind: Kind,
    m: usize,
    n: usize,
    d: usize,
    /// Columns of u and v.
    columns: usize,
    x: &'a [f32],
    y: &'a [f32],
    gamma: &'a [f32],
    /// Of expanded squares; else empty.
    centre: &'a [f32],
    /// Empty: ones.
    u: &'a [f32],
    v: &'a [f32],
    /// Index j of a pair that is left out less its i.
    skip: Option<i64>,
    scale: f32,
    shift: f32,
}

impl<'a> Pairs<'a> {
    fn new(bytes: &[u8], inputs: &[&'a [u32]], u: Option<usize>, v: Option<usize>) -> Self {
        let p: MmdParams = params(bytes);
        let (m, n, d) = (p.m as usize, p.n as usize, p.d as usize);
        let part = |input: usize, at: u32, len: usize| &floats(inputs[input])[at as usize..][..len];
        let unit = p.flags & UNIT != 0;
        let columns = if unit { 1 } else { p.p as usize };
        let weights = |input: Option<usize>, at, rows: usize| match input {
            Some(input) if !unit => part(input, at, rows * columns),
            _ => &[],
        };
        let kind = Kind::from_code(p.kind).expect("known kind");
        Pairs {
            kind,
            m,
            n,
            d,
            columns,
            x: part(0, p.x_at, m * d),
            y: part(1, p.y_at, n * d),
            gamma: part(2, p.gamma_at, p.gammas as usize),
            centre: if kind.is_expanded(d) { part(3, p.centre_at, d) } else { &[] },
            u: weights(u, p.u_at, m),
            v: weights(v, p.v_at, n),
            skip: (p.flags & EXCLUDE_SELF != 0).then_some(i64::from(p.first)),
            scale: p.scale,
            shift: p.shift,
        }
    }

    /// With x and y, u and v exchanged.
    fn exchanged(self) -> Self {
        let skip = self.skip.map(|first| -first);
        Pairs { m: self.n, n: self.m, x: self.y, y: self.x, u: self.v, v: self.u, skip, ..self }
    }

    /// Whether s is a product of points.
    fn by_products(&self) -> bool {
        matches!(self.kind, Kind::Linear | Kind::Cubic) || self.kind.is_expanded(self.d)
    }

    /// Whether h is K and the weights are ones, so that f is K.
    fn shares(&self) -> bool {
        self.kind == Kind::Gaussian && self.gamma.len() == 1 && self.u.is_empty() && self.v.is_empty()
    }

    /// `a` of the definition's table.
    fn factor(&self) -> f32 {
        let per_gamma = |a: f32| if self.gamma.len() == 1 { a * self.gamma[0] } else { a };
        match self.kind {
            Kind::Linear => 1.0,
            Kind::Cubic => 3.0 * self.scale,
            Kind::Gaussian => per_gamma(-2.0),
            Kind::Laplacian => per_gamma(-1.0),
            Kind::Distance | Kind::GaussianScale => 2.0,
        }
    }

    /// The j of the row's pair that is left out, counted from `column`.
    fn skipped(&self, row: usize, column: usize) -> Option<usize> {
        self.skip.and_then(|first| usize::try_from(row as i64 + first - column as i64).ok())
    }

    /// Scalar operations per row of x, for dealing rows to threads.
    fn work(&self, gradients: bool) -> usize {
        let pair = self.d * if gradients { 2 } else { 1 } + 8 * self.gamma.len();
        (self.n * pair / 8).max(1)
    }
}

fn rows(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let pairs = Pairs::new(bytes, inputs, None, None);
    let out = &mut floats_mut(outputs[0])[..pairs.m * pairs.n];
    match pairs.by_products() {
        true => products::rows(&pairs, out, threads),
        false => differences::rows(&pairs, out, threads),
    }
}

fn apply(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let pairs = Pairs::new(bytes, inputs, None, Some(4));
    let out = &mut floats_mut(outputs[0])[..pairs.m * pairs.columns];
    match pairs.by_products() {
        true => products::apply(&pairs, out, threads),
        false => differences::apply(&pairs, out, None, threads),
    }
}

fn apply_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let pairs = Pairs::new(bytes, inputs, Some(4), Some(5));
    let [out, grad] = outputs else { return };
    side(&pairs, out, grad, threads);
}

/// `apply_grad` for one side.
fn side(pairs: &Pairs, out: &mut [u32], grad: &mut [u32], threads: &Threads) {
    let out = &mut floats_mut(out)[..pairs.m * pairs.columns];
    let grad = &mut floats_mut(grad)[..pairs.m * pairs.d];
    match pairs.by_products() {
        true => products::apply_grad(pairs, out, grad, threads),
        false => differences::apply(pairs, out, Some(grad), threads),
    }
}

fn apply_both(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]], threads: &Threads) {
    let pairs = Pairs::new(bytes, inputs, Some(4), Some(5));
    let [out, grad, out_y, grad_y] = outputs else { return };
    if pairs.by_products() && products::pays(&pairs, threads) {
        let outs = [&mut floats_mut(out)[..pairs.m * pairs.columns], &mut floats_mut(out_y)[..pairs.n * pairs.columns]];
        let grads = [&mut floats_mut(grad)[..pairs.m * pairs.d], &mut floats_mut(grad_y)[..pairs.n * pairs.d]];
        return products::apply_both(&pairs, outs, grads, threads);
    }
    side(&pairs, out, grad, threads);
    side(&pairs.exchanged(), out_y, grad_y, threads);
}

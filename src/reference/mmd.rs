//! Definition of `kernel::mmd`.

use super::{Function, floats, floats_mut};
use crate::kernel::mmd::*;
use crate::kernel::{Kernel, params};
use crate::math::exp;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 3] = [(&ROWS, rows), (&APPLY, apply), (&APPLY_GRAD, apply_grad)];

/// Points and constants of a launch.
struct Pairs<'a> {
    p: MmdParams,
    kind: Kind,
    x: &'a [f32],
    y: &'a [f32],
    gamma: &'a [f32],
}

impl<'a> Pairs<'a> {
    fn new(p: MmdParams, inputs: &[&'a [u32]]) -> Self {
        Pairs {
            p,
            kind: Kind::from_code(p.kind).expect("known kind"),
            x: &floats(inputs[0])[p.x_at as usize..],
            y: &floats(inputs[1])[p.y_at as usize..],
            gamma: &floats(inputs[2])[p.gamma_at as usize..][..p.gammas as usize],
        }
    }

    fn points(&self, i: usize, j: usize) -> (&[f32], &[f32]) {
        let d = self.p.d as usize;
        (&self.x[i * d..(i + 1) * d], &self.y[j * d..(j + 1) * d])
    }

    /// `s` of the table.
    fn base(&self, i: usize, j: usize) -> f32 {
        let (x, y) = self.points(i, j);
        let mut s = 0.0_f32;
        for (&x, &y) in x.iter().zip(y) {
            let e = x - y;
            s = match self.kind {
                Kind::Linear | Kind::Cubic => x.mul_add(y, s),
                Kind::Gaussian | Kind::Distance | Kind::GaussianScale => e.mul_add(e, s),
                Kind::Laplacian => s + e.abs(),
            };
        }
        s
    }

    /// Sum of `term(g)` over the gammas.
    fn sum(&self, term: impl Fn(f32) -> f32) -> f32 {
        let first = self.gamma.first().map_or(0.0, |&g| term(g));
        self.gamma.iter().skip(1).fold(first, |sum, &g| sum + term(g))
    }

    /// `(K, c)` of the table.
    fn value(&self, i: usize, j: usize) -> (f32, f32) {
        if self.p.flags & EXCLUDE_SELF != 0 && self.p.first as usize + i == j {
            return (0.0, 0.0);
        }
        let s = self.base(i, j);
        match self.kind {
            Kind::Linear => (s, 1.0),
            Kind::Cubic => {
                let q = s.mul_add(self.p.scale, self.p.shift);
                ((q * q) * q, (3.0 * self.p.scale) * (q * q))
            }
            Kind::Gaussian => (self.sum(|g| exp(-(g * s))), -2.0 * self.sum(|g| g * exp(-(g * s)))),
            Kind::Laplacian => (self.sum(|g| exp(-(g * s))), -self.sum(|g| g * exp(-(g * s)))),
            Kind::Distance => (s, 2.0),
            Kind::GaussianScale => {
                let value = -self.sum(|g| (g * s) * exp(-(g * s)));
                (value, 2.0 * self.sum(|g| (g * s - 1.0) * (g * exp(-(g * s)))))
            }
        }
    }

    /// `b_t` of the table.
    fn direction(&self, i: usize, j: usize, t: usize) -> f32 {
        let (x, y) = self.points(i, j);
        let e = x[t] - y[t];
        match self.kind {
            Kind::Linear | Kind::Cubic => y[t],
            Kind::Gaussian | Kind::Distance | Kind::GaussianScale => e,
            Kind::Laplacian if e > 0.0 => 1.0,
            Kind::Laplacian if e < 0.0 => -1.0,
            Kind::Laplacian => 0.0,
        }
    }

    /// The contract's sum over j of `f(j) * b(j)`.
    fn over_j(&self, f: impl Fn(usize) -> (f32, f32)) -> f32 {
        let n = self.p.n as usize;
        let mut total = 0.0;
        for from in (0..n).step_by(CHUNK) {
            let chain = (from..n.min(from + CHUNK)).fold(0.0, |sum, j| {
                let (a, b) = f(j);
                a.mul_add(b, sum)
            });
            total = if from == 0 { chain } else { total + chain };
        }
        total
    }
}

fn rows(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let pairs = Pairs::new(params(bytes), inputs);
    let n = pairs.p.n as usize;
    for i in 0..pairs.p.m as usize {
        for j in 0..n {
            floats_mut(outputs[0])[i * n + j] = pairs.value(i, j).0;
        }
    }
}

/// Element `[row][k]` of u or v.
fn weight(p: &MmdParams, words: &[u32], at: u32, row: usize, k: usize) -> f32 {
    if p.flags & UNIT != 0 { 1.0 } else { floats(words)[at as usize + row * p.p as usize + k] }
}

fn columns(p: &MmdParams) -> usize {
    if p.flags & UNIT != 0 { 1 } else { p.p as usize }
}

fn product(pairs: &Pairs, v: &[u32], out: &mut [f32]) {
    let p = &pairs.p;
    for i in 0..p.m as usize {
        for k in 0..columns(p) {
            out[i * columns(p) + k] = pairs.over_j(|j| (pairs.value(i, j).0, weight(p, v, p.v_at, j, k)));
        }
    }
}

fn apply(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let pairs = Pairs::new(params(bytes), inputs);
    product(&pairs, inputs[3], floats_mut(outputs[0]));
}

fn apply_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let pairs = Pairs::new(params(bytes), inputs);
    let p = &pairs.p;
    let d = p.d as usize;
    product(&pairs, inputs[4], floats_mut(outputs[0]));
    let pair_weight = |i: usize, j: usize| {
        let at = |k: usize| (weight(p, inputs[3], p.u_at, i, k), weight(p, inputs[4], p.v_at, j, k));
        (1..columns(p)).fold(at(0).0 * at(0).1, |w, k| at(k).0.mul_add(at(k).1, w))
    };
    for i in 0..p.m as usize {
        let factors: Vec<f32> = (0..p.n as usize).map(|j| pair_weight(i, j) * pairs.value(i, j).1).collect();
        for t in 0..d {
            floats_mut(outputs[1])[i * d + t] = pairs.over_j(|j| (factors[j], pairs.direction(i, j, t)));
        }
    }
}

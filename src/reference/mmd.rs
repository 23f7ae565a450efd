//! Definition of `kernel::mmd`.

use super::{Function, floats, floats_mut};
use crate::kernel::gemm::K_CHUNK;
use crate::kernel::mmd::*;
use crate::kernel::{Kernel, params};
use crate::math::exp;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 4] =
    [(&ROWS, rows), (&APPLY, apply), (&APPLY_GRAD, apply_grad), (&APPLY_BOTH, apply_both)];

/// A product of two rows, as `gemm` has it.
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut total = 0.0;
    for (chunk, (x, y)) in x.chunks(K_CHUNK).zip(y.chunks(K_CHUNK)).enumerate() {
        let chain = x.iter().zip(y).fold(0.0_f32, |s, (x, y)| x.mul_add(*y, s));
        total = if chunk == 0 { chain } else { total + chain };
    }
    total
}

/// Points and constants of a launch, seen from one side.
struct Pairs<'a> {
    p: MmdParams,
    kind: Kind,
    x: &'a [f32],
    y: &'a [f32],
    gamma: &'a [f32],
    /// Points seen from the centre; empty where squares are not expanded.
    from_centre: [Vec<f32>; 2],
    /// Weights of the x and of the y; empty: ones.
    u: &'a [f32],
    v: &'a [f32],
    /// Columns of u and v.
    columns: usize,
    /// Index j of an excluded pair less its i.
    first: i64,
}

impl<'a> Pairs<'a> {
    fn new(p: MmdParams, inputs: &[&'a [u32]], u: Option<&'a [u32]>, v: Option<&'a [u32]>) -> Self {
        let kind = Kind::from_code(p.kind).expect("known kind");
        let d = p.d as usize;
        let weights = |words: Option<&'a [u32]>, at: u32| match words {
            Some(words) if p.flags & UNIT == 0 => &floats(words)[at as usize..],
            _ => &[],
        };
        let x = &floats(inputs[0])[p.x_at as usize..][..p.m as usize * d];
        let y = &floats(inputs[1])[p.y_at as usize..][..p.n as usize * d];
        let from_centre = |points: &[f32]| -> Vec<f32> {
            if !kind.is_expanded(d) {
                return Vec::new();
            }
            let centre = &floats(inputs[3])[p.centre_at as usize..][..d];
            points.iter().zip(centre.iter().cycle()).map(|(x, c)| x - c).collect()
        };
        Pairs {
            p,
            kind,
            x,
            y,
            gamma: &floats(inputs[2])[p.gamma_at as usize..][..p.gammas as usize],
            from_centre: [from_centre(x), from_centre(y)],
            u: weights(u, p.u_at),
            v: weights(v, p.v_at),
            columns: if p.flags & UNIT != 0 { 1 } else { p.p as usize },
            first: i64::from(p.first),
        }
    }

    /// With x and y, u and v exchanged.
    fn exchanged(self) -> Self {
        let p = MmdParams { m: self.p.n, n: self.p.m, ..self.p };
        let [x, y] = self.from_centre;
        Pairs { p, x: self.y, y: self.x, u: self.v, v: self.u, first: -self.first, from_centre: [y, x], ..self }
    }

    /// Coordinates of a point in a list of them.
    fn point<'b>(&self, points: &'b [f32], i: usize) -> &'b [f32] {
        let d = self.p.d as usize;
        &points[i * d..(i + 1) * d]
    }

    /// Whether the pair is expanded and near, and `s` of the table.
    fn base(&self, i: usize, j: usize) -> (bool, f32) {
        let (x, y) = (self.point(self.x, i), self.point(self.y, j));
        let differences = || x.iter().zip(y).map(|(x, y)| x - y);
        let square = || differences().fold(0.0_f32, |s, e| e.mul_add(e, s));
        match self.kind {
            Kind::Linear | Kind::Cubic => (false, dot(x, y)),
            Kind::Laplacian => (false, differences().fold(0.0, |s, e| s + e.abs())),
            _ if !self.kind.is_expanded(x.len()) => (false, square()),
            _ => {
                let [xs, ys] = &self.from_centre;
                let (x, y) = (self.point(xs, i), self.point(ys, j));
                let norms = dot(x, x) + dot(y, y);
                let s = (-2.0f32).mul_add(dot(x, y), norms);
                if s > NEAR * norms { (false, s) } else { (true, square()) }
            }
        }
    }

    /// Sum of `term(g)` over the gammas.
    fn sum(&self, term: impl Fn(f32) -> f32) -> f32 {
        let first = self.gamma.first().map_or(0.0, |&g| term(g));
        self.gamma.iter().skip(1).fold(first, |sum, &g| sum + term(g))
    }

    /// `(K, h)` of the table.
    fn value(&self, i: usize, j: usize) -> (f32, f32) {
        if self.p.flags & EXCLUDE_SELF != 0 && self.first + i as i64 == j as i64 {
            return (0.0, 0.0);
        }
        let (near, s) = self.base(i, j);
        let (k, h) = match self.kind {
            Kind::Linear | Kind::Distance => (s, 1.0),
            Kind::Cubic => {
                let q = s.mul_add(self.p.scale, self.p.shift);
                ((q * q) * q, q * q)
            }
            Kind::Gaussian | Kind::Laplacian => {
                let k = self.sum(|g| exp(-(g * s)));
                (k, if self.gamma.len() == 1 { k } else { self.sum(|g| g * exp(-(g * s))) })
            }
            Kind::GaussianScale => {
                (-self.sum(|g| (g * s) * exp(-(g * s))), self.sum(|g| (g * s - 1.0) * (g * exp(-(g * s)))))
            }
        };
        (k, if near && s == 0.0 { 0.0 } else { h })
    }

    /// `a` of the table.
    fn factor(&self) -> f32 {
        let per_gamma = |a: f32| if self.gamma.len() == 1 { a * self.gamma[0] } else { a };
        match self.kind {
            Kind::Linear => 1.0,
            Kind::Cubic => 3.0 * self.p.scale,
            Kind::Gaussian => per_gamma(-2.0),
            Kind::Laplacian => per_gamma(-1.0),
            Kind::Distance | Kind::GaussianScale => 2.0,
        }
    }

    /// `b_t` of the table.
    fn direction(&self, i: usize, j: usize, t: usize) -> f32 {
        let (x, y) = (self.point(self.x, i)[t], self.point(self.y, j)[t]);
        let e = x - y;
        match self.kind {
            Kind::Linear | Kind::Cubic => y,
            Kind::Gaussian | Kind::Distance | Kind::GaussianScale => e,
            Kind::Laplacian if e > 0.0 => 1.0,
            Kind::Laplacian if e < 0.0 => -1.0,
            Kind::Laplacian => 0.0,
        }
    }

    /// The totals of chunks of j, added in order.
    fn over_chunks(&self, total: impl Fn(std::ops::Range<usize>) -> f32) -> f32 {
        let n = self.p.n as usize;
        let chunks = (0..n).step_by(CHUNK).map(|from| total(from..n.min(from + CHUNK)));
        chunks.reduce(|sum, total| sum + total).unwrap_or(0.0)
    }

    /// Sum over j of `a * b` by chains.
    fn in_chains(&self, f: impl Fn(usize) -> (f32, f32)) -> f32 {
        self.over_chunks(|chunk| {
            chunk.fold(0.0, |sum, j| {
                let (a, b) = f(j);
                a.mul_add(b, sum)
            })
        })
    }

    /// Sum over j of `a * b` by lanes.
    fn in_lanes(&self, f: impl Fn(usize) -> (f32, f32)) -> f32 {
        self.over_chunks(|chunk| {
            let mut lanes = [0.0f32; LANES];
            for j in chunk {
                let (a, b) = f(j);
                lanes[j % LANES] = a.mul_add(b, lanes[j % LANES]);
            }
            let mut half = LANES / 2;
            while half > 0 {
                for l in 0..half {
                    lanes[l] += lanes[l + half];
                }
                half /= 2;
            }
            lanes[0]
        })
    }

    /// Element `[row][k]` of u or v.
    fn weight(&self, weights: &[f32], row: usize, k: usize) -> f32 {
        if weights.is_empty() { 1.0 } else { weights[row * self.columns + k] }
    }

    /// `w h`.
    fn factors(&self, i: usize) -> Vec<f32> {
        let pair_weight = |j: usize| {
            let at = |k: usize| (self.weight(self.u, i, k), self.weight(self.v, j, k));
            (1..self.columns).fold(at(0).0 * at(0).1, |w, k| at(k).0.mul_add(at(k).1, w))
        };
        (0..self.p.n as usize).map(|j| pair_weight(j) * self.value(i, j).1).collect()
    }

    fn apply(&self, out: &mut [f32]) {
        for i in 0..self.p.m as usize {
            for k in 0..self.columns {
                out[i * self.columns + k] = self.in_lanes(|j| (self.value(i, j).0, self.weight(self.v, j, k)));
            }
        }
    }

    fn gradient(&self, grad: &mut [f32]) {
        let d = self.p.d as usize;
        for i in 0..self.p.m as usize {
            let f = self.factors(i);
            if !self.kind.is_expanded(d) {
                for t in 0..d {
                    grad[i * d + t] = self.factor() * self.in_chains(|j| (f[j], self.direction(i, j, t)));
                }
                continue;
            }
            let [x, y] = &self.from_centre;
            let sum = self.in_lanes(|j| (f[j], 1.0));
            for t in 0..d {
                let g = self.in_chains(|j| (f[j], y[j * d + t]));
                grad[i * d + t] = self.factor() * x[i * d + t].mul_add(sum, -g);
            }
        }
    }
}

fn rows(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let pairs = Pairs::new(params(bytes), inputs, None, None);
    let n = pairs.p.n as usize;
    for i in 0..pairs.p.m as usize {
        for j in 0..n {
            floats_mut(outputs[0])[i * n + j] = pairs.value(i, j).0;
        }
    }
}

fn apply(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    Pairs::new(params(bytes), inputs, None, Some(inputs[4])).apply(floats_mut(outputs[0]));
}

fn apply_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let pairs = Pairs::new(params(bytes), inputs, Some(inputs[4]), Some(inputs[5]));
    pairs.apply(floats_mut(outputs[0]));
    pairs.gradient(floats_mut(outputs[1]));
}

fn apply_both(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    apply_grad(bytes, inputs, outputs);
    let pairs = Pairs::new(params(bytes), inputs, Some(inputs[4]), Some(inputs[5])).exchanged();
    pairs.apply(floats_mut(outputs[2]));
    pairs.gradient(floats_mut(outputs[3]));
}

//! Definition of `kernel::reduce`, and of the summation orders that other families use.

use super::{Function, floats, floats_mut};
use crate::kernel::reduce::*;
use crate::kernel::{Kernel, params};

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 5] = [(&LAST, last), (&AXIS, axis), (&ALL, all), (&ARG, arg), (&SCAN, scan)];

/// The result of nothing.
pub fn identity(op: Reduce) -> f32 {
    match op {
        Reduce::Sum => 0.0,
        Reduce::Max => f32::NEG_INFINITY,
        Reduce::Min => f32::INFINITY,
    }
}

/// What joining two values gives.
pub fn join(op: Reduce, a: f32, b: f32) -> f32 {
    match op {
        Reduce::Sum => a + b,
        Reduce::Max => {
            if b > a || b.is_nan() {
                b
            } else {
                a
            }
        }
        Reduce::Min => {
            if b < a || b.is_nan() {
                b
            } else {
                a
            }
        }
    }
}

/// `at(0), ..., at(n-1)` joined by the rule for values side by side.
pub fn by_lanes(op: Reduce, n: usize, at: impl Fn(usize) -> f32) -> f32 {
    let count = n.next_power_of_two().min(LANES);
    let mut lanes = vec![identity(op); count];
    for i in 0..n {
        lanes[i % count] = join(op, lanes[i % count], at(i));
    }
    let mut s = count / 2;
    while s > 0 {
        for l in 0..s {
            lanes[l] = join(op, lanes[l], lanes[l + s]);
        }
        s /= 2;
    }
    lanes[0]
}

/// `at(0), ..., at(n-1)` joined by the rule for an axis that is not the contiguous one.
pub fn by_blocks(op: Reduce, n: usize, at: impl Fn(usize) -> f32) -> f32 {
    let mut total = identity(op);
    for first in (0..n).step_by(BLOCK) {
        let mut block = identity(op);
        for i in first..(first + BLOCK).min(n) {
            block = join(op, block, at(i));
        }
        total = if first == 0 { block } else { join(op, total, block) };
    }
    total
}

/// All of `x` joined by the rule for everything.
pub fn of_everything(op: Reduce, x: &[f32]) -> f32 {
    let totals: Vec<f32> = x.chunks(SEGMENT).map(|part| by_lanes(op, part.len(), |i| part[i])).collect();
    match totals[..] {
        [] => identity(op),
        [total] => total,
        _ => of_everything(op, &totals),
    }
}

fn last(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: LastParams = params(bytes);
    let op = Reduce::from_code(p.op).expect("known op");
    let x = &floats(inputs[0])[p.offset as usize..];
    let out = floats_mut(outputs[0]);
    let n = p.n as usize;
    for r in 0..p.rows as usize {
        out[r] = by_lanes(op, n, |i| x[r * n + i]);
    }
}

fn axis(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: AxisParams = params(bytes);
    let op = Reduce::from_code(p.op).expect("known op");
    let x = &floats(inputs[0])[p.offset as usize..];
    let out = floats_mut(outputs[0]);
    let (n, inner) = (p.n as usize, p.inner as usize);
    for o in 0..p.outer as usize {
        for k in 0..inner {
            out[o * inner + k] = by_blocks(op, n, |i| x[(o * n + i) * inner + k]);
        }
    }
}

fn all(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: AllParams = params(bytes);
    let op = Reduce::from_code(p.op).expect("known op");
    let x = &floats(inputs[0])[p.offset as usize..][..p.n as usize];
    floats_mut(outputs[0])[0] = of_everything(op, x);
}

fn arg(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: AxisParams = params(bytes);
    let op = Arg::from_code(p.op).expect("known op");
    let x = &floats(inputs[0])[p.offset as usize..];
    let (n, inner) = (p.n as usize, p.inner as usize);
    for o in 0..p.outer as usize {
        for k in 0..inner {
            let at = |i: usize| x[(o * n + i) * inner + k];
            let mut best = 0;
            for i in 1..n {
                if more_extreme(op, at(i), at(best)) {
                    best = i;
                }
            }
            outputs[0][o * inner + k] = best as u32;
        }
    }
}

/// Whether `b` replaces `a`, which came before it.
pub fn more_extreme(op: Arg, b: f32, a: f32) -> bool {
    let beyond = match op {
        Arg::Max => b > a,
        Arg::Min => b < a,
    };
    !a.is_nan() && (b.is_nan() || beyond)
}

fn scan(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: ScanParams = params(bytes);
    let x = &floats(inputs[0])[p.offset as usize..];
    let out = floats_mut(outputs[0]);
    let (n, inner) = (p.n as usize, p.inner as usize);
    for o in 0..p.outer as usize {
        for i in 0..n {
            for k in 0..inner {
                let at = (o * n + i) * inner + k;
                out[at] = if i == 0 { x[at] } else { out[at - inner] + x[at] };
            }
        }
    }
}

//! Definition of `kernel::zinb`.

use super::{Function, floats, floats_mut};
use crate::kernel::zinb::*;
use crate::kernel::{Kernel, params};
use crate::math;

/// The family's entries.
pub static KERNELS: [(&Kernel, Function); 4] =
    [(&VALUE, value), (&VALUE_GRAD, value_grad), (&CSR_VALUE, csr_value), (&CSR_VALUE_GRAD, csr_value_grad)];

fn value(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: ZinbParams = params(bytes);
    all(&p, |c| dense_row(&p, inputs[0], c), &inputs[1..], outputs, false);
}

fn value_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: ZinbParams = params(bytes);
    all(&p, |c| dense_row(&p, inputs[0], c), &inputs[1..], outputs, true);
}

fn csr_value(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: ZinbParams = params(bytes);
    all(&p, |c| csr_row(&p, &inputs[..3], c), &inputs[3..], outputs, false);
}

fn csr_value_grad(bytes: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) {
    let p: ZinbParams = params(bytes);
    all(&p, |c| csr_row(&p, &inputs[..3], c), &inputs[3..], outputs, true);
}

fn dense_row(p: &ZinbParams, x: &[u32], cell: usize) -> Vec<f32> {
    let genes = p.genes as usize;
    floats(x)[p.x_at as usize + cell * genes..][..genes].to_vec()
}

fn csr_row(p: &ZinbParams, csr: &[&[u32]], cell: usize) -> Vec<f32> {
    let mut row = vec![0.0; p.genes as usize];
    for k in csr[0][cell] as usize..csr[0][cell + 1] as usize {
        row[csr[1][k] as usize] = floats(csr[2])[k];
    }
    row
}

/// `[ln p, d/dm, d/dr, d/dh]` of one entry.
fn entry(inflated: bool, x: f32, m: f32, r: f32, h: f32) -> [f32; 4] {
    let t = math::Dispersion::new(r);
    let mean = math::Mean::new(m, r, t.inverse);
    let without_h = |[value, dm, dr]: [f32; 3]| [value, dm, dr, 0.0];
    match (inflated, x == 0.0) {
        (true, true) => math::zinb_zero(mean, t.theta, h),
        (true, false) => math::zinb_count(x, mean, t, h),
        (false, true) => without_h(math::nb_zero(mean, t.theta)),
        (false, false) => without_h(math::nb_count(x, mean, t)),
    }
}

/// Inputs from `m` on: m, r, segment, h and, for gradients, weight.
fn all(
    p: &ZinbParams,
    counts: impl Fn(usize) -> Vec<f32>,
    inputs: &[&[u32]],
    outputs: &mut [&mut [u32]],
    gradients: bool,
) {
    let (rows, genes) = (p.rows as usize, p.genes as usize);
    let inflated = p.flags & NO_INFLATION == 0;
    let blocks = p.flags & R_BLOCKS != 0;
    if gradients && blocks {
        let n = rows.div_ceil(BLOCK) * p.segments as usize * genes;
        floats_mut(outputs[2])[..n].fill(0.0);
    }
    for i in 0..rows {
        let cell = i / p.repeat as usize;
        let x = counts(cell);
        let segment = if p.flags & ONE_SEGMENT != 0 { 0 } else { inputs[2][p.segment_at as usize + cell] as usize };
        let mut terms = vec![0.0; genes];
        for g in 0..genes {
            let m = floats(inputs[0])[p.m_at as usize + i * genes + g];
            let r = floats(inputs[1])[p.r_at as usize + segment * genes + g];
            let h = if inflated { floats(inputs[3])[p.h_at as usize + i * genes + g] } else { 0.0 };
            let [value, dm, dr, dh] = entry(inflated, x[g], m, r, h);
            terms[g] = value;
            if !gradients {
                continue;
            }
            let weight = floats(inputs[4])[p.weight_at as usize + i];
            floats_mut(outputs[1])[i * genes + g] = weight * dm;
            let dr = weight * dr;
            if blocks {
                let at = (i / BLOCK * p.segments as usize + segment) * genes + g;
                floats_mut(outputs[2])[at] += dr;
            } else {
                floats_mut(outputs[2])[i * genes + g] = dr;
            }
            if inflated {
                floats_mut(outputs[3])[i * genes + g] = weight * dh;
            }
        }
        if !gradients || p.flags & NO_VALUE == 0 {
            floats_mut(outputs[0])[i] = sum(&terms);
        }
    }
}

/// The contract's sum along the contiguous axis.
fn sum(terms: &[f32]) -> f32 {
    let lanes = terms.len().next_power_of_two().min(256);
    let mut lane = vec![0.0; lanes];
    for (g, &t) in terms.iter().enumerate() {
        lane[g % lanes] += t;
    }
    let mut s = lanes / 2;
    while s > 0 {
        for l in 0..s {
            lane[l] += lane[l + s];
        }
        s /= 2;
    }
    lane[0]
}

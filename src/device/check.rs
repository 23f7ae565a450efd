//! The strict self-check: does a device return the reference's bits on values that tell?
//!
//! A sample of what `tests/kernels` checks at length, small enough (well under a second) to run on
//! a user's machine: `cytograd devices` shows the verdict.

use super::{Device, Storage};
use crate::error::Result;
use crate::kernel::elementwise::{BINARY, Binary, BinaryParams, UNARY, Unary, UnaryParams};
use crate::kernel::gemm::{GEMM, GemmParams};
use crate::kernel::random::{NORMAL, RandomParams};
use crate::kernel::sgld::{CLAMP_GRADIENT, STEP, SgldParams};
use crate::kernel::{Kernel, Layout};
use bytemuck::Pod;

/// What one kernel did.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Kernel and function, as in `elementwise_unary Exp`.
    pub what: String,
    /// Elements compared.
    pub elements: usize,
    /// Elements that differ from the reference in any bit (any NaN equals any NaN).
    pub wrong: usize,
    /// The first of them, in words.
    pub first: Option<String>,
}

/// Runs a few kernels on `device` and on the reference and compares bits.
///
/// # Errors
/// Those of the device; a wrong bit is no error but a [`Check`] that says so.
pub fn self_check(device: &Device) -> Result<Vec<Check>> {
    let reference = Device::reference();
    let run = Run { device, reference: &reference };
    let (x, y) = (hostile(5003, 1), hostile(5003, 2));
    let mut checks = Vec::new();
    for op in Unary::ALL {
        let params = UnaryParams { op: op as u32, a: 0.3, b: 0.9, x: Layout::new(&[5003], &[-1], 5002) };
        checks.push(run.check(&format!("{op:?}"), &UNARY, &params, &[&x], 5003)?);
    }
    for op in Binary::ALL {
        let view = Layout::contiguous(&[5003], 0);
        let params = BinaryParams { op: op as u32, x: view, y: view };
        checks.push(run.check(&format!("{op:?}"), &BINARY, &params, &[&x, &y], 5003)?);
    }
    let (a, b) = (ordinary(33 * 521, 3), ordinary(521 * 65, 4));
    let params = GemmParams::plain(33, 65, 521);
    checks.push(run.check("33 x 521 x 65", &GEMM, &params, &[&a, &b, &a, &a], 33 * 65)?);
    let params =
        RandomParams { seed: [7, 0], stream: 3, step: 11, part: 0, offset: 0, n: 4099, a: 0.0, b: 1.0, c: 0.0 };
    checks.push(run.check("", &NORMAL, &params, &[&[0.0]], 4099)?);
    let params = SgldParams {
        seed: [7, 0],
        stream: 3,
        step: 11,
        part: 0,
        n: 5003,
        g_offset: 0,
        x_offset: 0,
        flags: CLAMP_GRADIENT,
        alpha: 1.0,
        sigma: 0.01,
        g_max: 10.0,
        low: 0.0,
        high: 0.0,
    };
    checks.push(run.check("", &STEP, &params, &[&x, &[0.0]], 5003)?);
    Ok(checks)
}

struct Run<'a> {
    device: &'a Device,
    reference: &'a Device,
}

impl Run<'_> {
    /// Launches on both; the output is the last buffer, `n` zeros at first.
    fn check<P: Pod>(
        &self,
        what: &str,
        kernel: &'static Kernel,
        params: &P,
        inputs: &[&[f32]],
        n: usize,
    ) -> Result<Check> {
        let words = |device: &Device| -> Result<Vec<u32>> {
            let mut buffers: Vec<Storage> =
                inputs.iter().map(|x| device.upload(bytemuck::cast_slice(x))).collect::<Result<_>>()?;
            buffers.push(device.upload(&vec![0; n])?);
            let refs: Vec<&Storage> = buffers.iter().collect();
            device.launch(kernel, params, &refs, [n.div_ceil(4) as u32, 1, 1])?;
            device.download(&buffers[inputs.len()], n)
        };
        let (found, expected) = (words(self.device)?, words(self.reference)?);
        let nan = |w: u32| f32::from_bits(w).is_nan();
        let same = |(f, e): (&u32, &u32)| f == e || (nan(*f) && nan(*e));
        let first = found.iter().zip(&expected).position(|pair| !same(pair)).map(|i| {
            let (f, e) = (found[i], expected[i]);
            format!("element {i} is {f:#010x} ({:e}), must be {e:#010x} ({:e})", f32::from_bits(f), f32::from_bits(e))
        });
        let wrong = found.iter().zip(&expected).filter(|&pair| !same(pair)).count();
        Ok(Check { what: format!("{} {what}", kernel.name).trim_end().into(), elements: n, wrong, first })
    }
}

/// Values of ordinary size.
fn ordinary(n: usize, seed: u64) -> Vec<f32> {
    let stream = crate::rng::Stream::new(seed, 0);
    (0..n).map(|i| stream.uniform(i as u32) * 4.0 - 2.0).collect()
}

/// The same with every kind of value that breaks a kernel strewn in.
fn hostile(n: usize, seed: u64) -> Vec<f32> {
    const ODD: [f32; 14] = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        1e-45,
        -3.3e-39,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::MIN,
        16_777_217.0,
        88.8,
        -104.0,
        0.5,
    ];
    let mut values = ordinary(n, seed);
    for (i, value) in values.iter_mut().enumerate() {
        *value = match i % 4 {
            0 => ODD[(i / 4 + seed as usize) % ODD.len()],
            1 => *value * 50.0,
            _ => *value,
        };
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_passes_with_any_number_of_threads() {
        for threads in [1, 3] {
            for check in self_check(&Device::cpu(threads)).unwrap() {
                assert_eq!(check.wrong, 0, "{}: {:?}", check.what, check.first);
            }
        }
    }
}

//! Gradients against finite differences, to second order by default.

use super::{Tensor, grad, grad_with};
use crate::error::Result;
use crate::rng::Stream;

/// Compares the gradients of `f` at `inputs` with central differences along random directions, and
/// then those of its gradient, up to `order`. Returns the largest relative disagreement found.
///
/// `f` must be smooth within `h` of the inputs; a kink is a reason for `order = 1` or other inputs.
///
/// # Errors
/// Whatever `f` or its derivatives report.
pub fn check_grads(f: &dyn Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor], order: usize, h: f32) -> Result<f32> {
    let variables: Vec<Tensor> = inputs.iter().map(Tensor::variable).collect();
    let y = f(&variables)?;
    let ct = random_like(&y, 1)?;
    let objective = |x: &[Tensor]| f(x)?.mul(&ct)?.sum_all();
    let directions =
        inputs.iter().enumerate().map(|(i, x)| random_like(x, 2 + i as u32)).collect::<Result<Vec<_>>>()?;
    let moved = |sign: f32| -> Result<f64> {
        let x: Vec<Tensor> =
            inputs.iter().zip(&directions).map(|(x, d)| x.add(&d.mul_scalar(sign * h)?)).collect::<Result<_>>()?;
        let y = f(&x)?;
        Ok(y.to_vec()?.iter().zip(ct.to_vec()?).map(|(&a, b)| f64::from(a) * f64::from(b)).sum())
    };
    let numeric = (moved(1.0)? - moved(-1.0)?) / (2.0 * f64::from(h));
    let wanted: Vec<&Tensor> = variables.iter().collect();
    let grads = grad_with(&[&y], &[&ct], &wanted, false)?;
    let mut analytic = 0.0;
    let mut scale = 0.0;
    for (g, d) in grads.iter().zip(&directions) {
        for (g, d) in g.to_vec()?.iter().zip(d.to_vec()?) {
            analytic += f64::from(*g) * f64::from(d);
            scale += (f64::from(*g) * f64::from(d)).abs();
        }
    }
    let worst = ((analytic - numeric).abs() / scale.max(1e-3)) as f32;
    if order < 2 {
        return Ok(worst);
    }
    let gradient = |x: &[Tensor]| -> Result<Tensor> {
        let x: Vec<Tensor> = x.iter().map(|t| if t.tracked() { t.clone() } else { t.variable() }).collect();
        let grads = grad(&[&objective(&x)?], &x.iter().collect::<Vec<_>>(), true)?;
        let flat = grads.iter().map(|g| g.reshape(&[g.numel()])).collect::<Result<Vec<_>>>()?;
        Tensor::concat(&flat.iter().collect::<Vec<_>>(), 0)
    };
    Ok(worst.max(check_grads(&gradient, inputs, order - 1, h)?))
}

fn random_like(x: &Tensor, stream: u32) -> Result<Tensor> {
    let draws = Stream::new(0x5eed, stream);
    let values: Vec<f32> = (0..x.numel()).map(|i| draws.normal(i as u32)).collect();
    Tensor::from_slice(&values, x.shape(), x.device())
}

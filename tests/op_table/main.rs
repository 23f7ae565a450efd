//! Walks the op table (`cytograd::tensor::Op`): a row without a case here fails, and so does a row
//! whose value, derivative or declared number of derivatives is not what the table says.
//!
//! A new op needs a case in `elementwise.rs`, `shapes.rs` or `products.rs`, nothing else.

mod case;
mod elementwise;
mod products;
mod shapes;

#[path = "../kernels/values.rs"]
mod values;

use case::{Case, Values, View, devices, key};
use cytograd::device::Device;
use cytograd::kernel::gemm::Activation;
use cytograd::tensor::op::{Binary, Reduce, Similarity, Unary};
use cytograd::tensor::{Op, Tensor, check_grads, grad_with};
use cytograd::{Error, Result};
use std::collections::BTreeSet;

fn cases() -> Vec<Case> {
    [elementwise::cases(), shapes::cases(), products::cases()].into_iter().flatten().collect()
}

/// Rows with one case per function that they stand for.
fn keys(row: &'static str) -> Vec<String> {
    let each = |names: Vec<String>| names.into_iter().map(|name| format!("{row} {name}")).collect();
    let flags = ["", " skip"];
    match row {
        "Unary" => each(Unary::ALL.iter().map(|f| format!("{f:?}")).collect()),
        "Binary" => each(Binary::ALL.iter().map(|f| format!("{f:?}")).collect()),
        "Reduce" | "ReduceAll" => each(Reduce::ALL.iter().map(|f| format!("{f:?}")).collect()),
        "Linear" | "LinearResidual" | "SparseLinear" => {
            each(Activation::ALL.iter().map(|f| format!("{f:?}")).collect())
        }
        "Mmd" | "MmdGrad" | "MmdSum" => {
            each(Similarity::ALL.iter().flat_map(|f| flags.map(|flag| format!("{f:?}{flag}"))).collect())
        }
        "Zinb" | "ZinbSum" => {
            each(["", " inflated"].iter().flat_map(|a| ["", " segmented"].map(|b| format!("{a}{b}"))).collect())
        }
        "ZinbGrad" => each(["of 1", "of 2", "of 3"].map(String::from).to_vec()),
        _ => vec![row.to_string()],
    }
}

#[test]
fn every_row_of_the_table_has_a_case() {
    let wanted: BTreeSet<String> = Op::ROWS.iter().flat_map(|row| keys(row)).collect();
    let found: BTreeSet<String> = cases().into_iter().map(|case| case.key).collect();
    let missing: Vec<_> = wanted.difference(&found).collect();
    let unknown: Vec<_> = found.difference(&wanted).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "rows without a case: {missing:?}; cases without a row: {unknown:?}"
    );
}

/// The row of `key` on the tape of `y`.
fn find(y: &Tensor, wanted: &str) -> Option<Op> {
    let (op, inputs) = y.made_by()?;
    if key(op) == wanted { Some(op.clone()) } else { inputs.iter().find_map(|x| find(x, wanted)) }
}

/// A derivative exists as often as the table declares, no more and no less, and is that of finite
/// differences.
#[test]
fn gradients_match_differences_as_often_as_declared() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|c| !c.integers) {
        for shapes in case.shapes.iter().filter(|set| set.iter().all(|s| !s.contains(&0))) {
            for view in View::ALL {
                if let Err(why) = derivatives(case, shapes, view) {
                    wrong.push(format!("{}, {shapes:?}, {view:?}: {why}", case.key));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn derivatives(case: &Case, shapes: &[Vec<usize>], view: View) -> std::result::Result<(), String> {
    let inputs = case.inputs(shapes, Values::Smooth, view, &Device::cpu(1));
    let variables: Vec<Tensor> = inputs.iter().map(Tensor::variable).collect();
    let y = (case.f)(&variables).map_err(|e| e.to_string())?;
    let orders = find(&y, &case.key).ok_or("the row is not on the tape")?.orders();
    if orders > 0 {
        let error = check_grads(&case.f, &inputs, orders, 1e-2).map_err(|e| e.to_string())?;
        if !(error < 2e-2) {
            return Err(format!("gradients disagree by {error}"));
        }
    }
    match check_grads(&case.f, &inputs, orders + 1, 1e-2) {
        Err(Error::NotDifferentiable { .. }) => Ok(()),
        _ if orders == 2 => Ok(()),
        other => Err(format!("derivative {} gave {other:?}", orders + 1)),
    }
}

/// Bits, all NaN alike.
fn words(t: &Tensor) -> Vec<u32> {
    let one_nan = |v: f32| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() };
    t.to_vec().expect("values").into_iter().map(one_nan).collect()
}

/// The value of a case, and its gradients where it has some.
fn evaluate(case: &Case, inputs: &[Tensor], differentiate: bool) -> Result<Vec<Vec<u32>>> {
    let variables: Vec<Tensor> = inputs.iter().map(Tensor::variable).collect();
    let y = (case.f)(&variables)?;
    let mut results = vec![y.shape().iter().map(|&n| n as u32).collect(), words(&y)];
    if differentiate {
        let ct = Tensor::from_slice(&values::ordinary(y.numel(), 9), y.shape(), y.device())?;
        let grads = grad_with(&[&y], &[&ct], &variables.iter().collect::<Vec<_>>(), false)?;
        results.extend(grads.iter().map(words));
    }
    Ok(results)
}

/// The specification on contiguous memory says what every device and every layout returns.
#[test]
fn values_and_gradients_have_the_bits_of_the_reference_for_every_layout() {
    for case in &cases() {
        for shapes in &case.shapes {
            for values in [Values::Smooth, Values::Hostile] {
                let what = format!("{}, {shapes:?}, {values:?}", case.key);
                let run = |device: &Device, view, differentiate| {
                    let inputs = case.inputs(shapes, values, view, device);
                    evaluate(case, &inputs, differentiate)
                };
                let reference = Device::reference();
                // Rows of order 0 say so.
                let differentiate = match run(&reference, View::Plain, !case.integers) {
                    Err(Error::NotDifferentiable { .. }) => false,
                    Err(e) => panic!("{what}: {e}"),
                    Ok(_) => !case.integers,
                };
                let expected = run(&reference, View::Plain, differentiate).expect("it ran");
                for device in devices() {
                    for view in View::ALL {
                        let found = run(device, view, differentiate).unwrap_or_else(|e| panic!("{what}: {e}"));
                        let place = expected.iter().zip(&found).position(|(a, b)| a != b);
                        assert!(
                            place.is_none(),
                            "{what}, {view:?} on {}: {} differs from the reference",
                            device.name(),
                            ["shape", "value", "gradient 0", "gradient 1", "gradient 2", "gradient 3"][place.unwrap()]
                        );
                    }
                }
            }
        }
    }
}

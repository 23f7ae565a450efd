//! The walk over the tape.

use super::{Tensor, vjp};
use crate::error::{Error, Result};
use std::cell::Cell;
use std::collections::{BinaryHeap, HashMap, HashSet};

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
}

/// Whether ops put nodes on the tape (on this thread).
pub(super) fn recording() -> bool {
    RECORDING.get()
}

/// Runs `f` without recording: results are leaves.
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            RECORDING.set(self.0);
        }
    }
    let _restore = Restore(RECORDING.replace(false));
    f()
}

/// Gradients of the sum of scalar `outputs` with respect to `inputs`, in their order.
///
/// Only what lies between outputs and inputs is visited: gradients with respect to data form no
/// parameter gradients. Where a value is used several times, the uses add up from the last to the
/// first. With `create_graph` the gradients are on the tape and can be differentiated again. An
/// input that the outputs do not depend on gets zeros.
///
/// # Errors
/// `Error::Shape` if an output is not a scalar; `Error::NotDifferentiable` from a fused kernel.
pub fn grad(outputs: &[&Tensor], inputs: &[&Tensor], create_graph: bool) -> Result<Vec<Tensor>> {
    let seeds = outputs
        .iter()
        .map(|y| match y.numel() {
            1 => Tensor::seed(y.shape(), y.device()),
            _ => Err(Error::Shape {
                op: "grad",
                expected: "scalar outputs (grad_with takes cotangents)".into(),
                found: format!("{:?}", y.shape()),
            }),
        })
        .collect::<Result<Vec<_>>>()?;
    grad_with(outputs, &seeds.iter().collect::<Vec<_>>(), inputs, create_graph)
}

/// Vector-Jacobian product: gradients of `sum_i <cotangents[i], outputs[i]>`; see [`grad`].
///
/// # Errors
/// `Error::Shape` if a cotangent has not its output's shape.
pub fn grad_with(
    outputs: &[&Tensor],
    cotangents: &[&Tensor],
    inputs: &[&Tensor],
    create_graph: bool,
) -> Result<Vec<Tensor>> {
    for (y, ct) in outputs.iter().zip(cotangents) {
        if y.shape() != ct.shape() {
            return Err(Error::Shape {
                op: "grad",
                expected: format!("a cotangent of shape {:?}", y.shape()),
                found: format!("{:?}", ct.shape()),
            });
        }
    }
    if create_graph { walk(outputs, cotangents, inputs) } else { no_grad(|| walk(outputs, cotangents, inputs)) }
}

/// The ids of tensors under `outputs` that depend on an input.
fn dependent(outputs: &[&Tensor], inputs: &HashSet<u64>) -> HashSet<u64> {
    let mut order = Vec::new();
    let mut seen = HashSet::new();
    let mut pending: Vec<&Tensor> = outputs.to_vec();
    while let Some(tensor) = pending.pop() {
        if seen.insert(tensor.id()) {
            order.push(tensor);
            pending.extend(tensor.node().iter().flat_map(|node| &node.inputs));
        }
    }
    order.sort_unstable_by_key(|t| t.id());
    let mut found = HashSet::new();
    for tensor in order {
        let through = || tensor.node().is_some_and(|node| node.inputs.iter().any(|t| found.contains(&t.id())));
        if inputs.contains(&tensor.id()) || through() {
            found.insert(tensor.id());
        }
    }
    found
}

/// A tensor in the heap, latest first.
struct Latest(Tensor);

impl PartialEq for Latest {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for Latest {}

impl PartialOrd for Latest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Latest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.id().cmp(&other.0.id())
    }
}

fn walk(outputs: &[&Tensor], cotangents: &[&Tensor], inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let wanted: HashSet<u64> = inputs.iter().map(|t| t.id()).collect();
    let dependent = dependent(outputs, &wanted);
    let mut sums: HashMap<u64, Tensor> = HashMap::new();
    let mut heap = BinaryHeap::new();
    let add = |sums: &mut HashMap<u64, Tensor>, heap: &mut BinaryHeap<Latest>, tensor: &Tensor, ct: Tensor| {
        match sums.remove(&tensor.id()) {
            Some(sum) => {
                sums.insert(tensor.id(), sum.add(&ct)?);
            }
            None => {
                sums.insert(tensor.id(), ct);
                heap.push(Latest(tensor.clone()));
            }
        }
        Ok::<(), Error>(())
    };
    for (y, ct) in outputs.iter().zip(cotangents) {
        if dependent.contains(&y.id()) {
            add(&mut sums, &mut heap, y, (*ct).clone())?;
        }
    }
    while let Some(Latest(tensor)) = heap.pop() {
        let Some(node) = tensor.node() else { continue };
        let needs: Vec<bool> = node.inputs.iter().map(|t| dependent.contains(&t.id())).collect();
        if !needs.contains(&true) {
            continue;
        }
        let ct = match wanted.contains(&tensor.id()) {
            true => sums[&tensor.id()].clone(),
            false => sums.remove(&tensor.id()).expect("queued with a sum"),
        };
        let grads = vjp::vjp(&node.op, &node.inputs, &tensor, &ct, &needs)?;
        for ((input, grad), need) in node.inputs.iter().zip(grads).zip(needs) {
            if let (Some(grad), true) = (grad, need) {
                debug_assert_eq!(grad.shape(), input.shape(), "gradient of {}", node.op.name());
                add(&mut sums, &mut heap, input, grad)?;
            }
        }
    }
    inputs
        .iter()
        .map(|t| match sums.get(&t.id()) {
            Some(sum) => Ok(sum.clone()),
            None => Tensor::zeros(t.shape(), t.device()),
        })
        .collect()
}

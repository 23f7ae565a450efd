//! The special functions of topic `distributions`, in binary32.

use crate::store::{Case, Topic, assert_close};
use cytograd::math;

/// What the README of the golden files asks of float32.
const RTOL: f64 = 2e-6;
/// Results below the normal range are right to the spacing there.
const SPACING: f64 = 1.5e-45;

/// Runs a case of these ops; false for any other.
pub fn run(case: &Case) -> bool {
    let function: fn(f32) -> f32 = match case.op() {
        "lgamma" => math::lgamma,
        "digamma" => math::digamma,
        "trigamma" => math::trigamma,
        "softplus" => math::softplus,
        "log_sigmoid" => math::log_sigmoid,
        "log1p" => math::log1p,
        "expm1" => math::expm1,
        "erf" => math::erf,
        "ndtr" => math::ndtr,
        _ => return false,
    };
    let found: Vec<f64> = case.array("in/x").data.iter().map(|&x| f64::from(function(x as f32))).collect();
    assert_close(case.name(), &found, &case.array("out/y").data, RTOL, SPACING);
    true
}

#[test]
fn golden_special_functions() {
    let Some(topic) = Topic::open("distributions") else { return };
    let ran = topic.cases().iter().filter(|case| run(case)).count();
    assert!(ran > 0, "the topic holds no special function");
}

//! The float64 special functions of topic `distributions`: `chi2_sf` and `ndtr`.

use crate::store::{Case, Topic, assert_close};
use cytograd::analysis::metrics::{chi2_sf, ndtr};

/// Runs a case of these ops; false for any other.
pub fn run(case: &Case) -> bool {
    let function: Box<dyn Fn(f64) -> f64> = match case.op() {
        "chi2_sf" => {
            let df = case.number("df").expect("df");
            Box::new(move |x| chi2_sf(x, df))
        }
        "ndtr" => Box::new(ndtr),
        _ => return false,
    };
    let found: Vec<f64> = case.array("in/x").data.iter().map(|&x| function(x)).collect();
    let rtol = case.rtol().unwrap_or(1e-9);
    let atol = case.json["atol"].as_f64().unwrap_or(1e-9);
    assert_close(case.name(), &found, &case.array("out/y").data, rtol, atol);
    true
}

#[test]
fn golden_chi2() {
    let Some(topic) = Topic::open("distributions") else { return };
    let ran = topic.cases().iter().filter(|case| run(case)).count();
    assert!(ran > 0, "the topic holds no case of chi2_sf or ndtr");
}

//! Philox words and the conversions that the project uses: 24-bit and 53-bit uniforms, 24-bit
//! Box-Muller.

use crate::store::{Case, Topic, assert_close, widen};
use cytograd::rng::{normal_from, philox, uniform_from, uniform_open0_from, uniform53_from};
use serde_json::Value;

fn words(value: &Value) -> Vec<u32> {
    let items = value.as_array().expect("words");
    items.iter().map(|w| u32::from_str_radix(w.as_str().expect("word"), 16).expect("hexadecimal")).collect()
}

fn block<const N: usize>(value: &Value) -> [u32; N] {
    words(value).try_into().expect("number of words")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("numbers").iter().map(|v| v.as_f64().expect("number")).collect()
}

fn integer<T: std::str::FromStr>(value: &Value) -> T {
    value.as_str().expect("integer as text").parse().unwrap_or_else(|_| panic!("not an integer: {value}"))
}

fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

fn known_answer(json: &Value) {
    let found = philox(block(&json["counter"]), block(&json["key"]));
    assert_eq!(found, block::<4>(&json["output"]), "{}", json["name"]);
}

fn stream(json: &Value) {
    let first: u128 = integer(&json["first_counter"]);
    let blocks = json["blocks"].as_u64().expect("blocks");
    let found: Vec<u32> = (0..blocks)
        .flat_map(|i| {
            let c = first.wrapping_add(u128::from(i));
            philox([c as u32, (c >> 32) as u32, (c >> 64) as u32, (c >> 96) as u32], key(integer(&json["seed"])))
        })
        .collect();
    assert_eq!(found, words(&json["words"]), "{}", json["name"]);
}

fn moments(values: &[f64]) -> [f64; 4] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let central = |p: i32| values.iter().map(|v| (v - mean).powi(p)).sum::<f64>() / n;
    let var = central(2);
    [mean, var, central(3) / var.powf(1.5), central(4) / (var * var)]
}

fn bulk(json: &Value) {
    let seed: u64 = integer(&json["seed"]);
    let blocks = json["blocks"].as_u64().expect("blocks") as u32;
    let all: Vec<u32> = (0..blocks).flat_map(|i| philox([i, 0, 0, 0], key(seed))).collect();
    let sum = all.iter().fold(0u64, |s, &w| s.wrapping_add(u64::from(w)));
    assert_eq!(sum, integer::<u64>(&json["sum_u64"]));
    let xor = all.iter().fold(0, |s, &w| s ^ w);
    assert_eq!(format!("{xor:08x}"), json["xor_u32"].as_str().expect("xor"));
    assert_eq!(all[all.len() - 4..], block::<4>(&json["last_block"]));
    let uniform: Vec<f64> = all.iter().map(|&w| f64::from(uniform_from(w))).collect();
    let [mean, var, ..] = moments(&uniform);
    let want = |name: &str| json[name].as_f64().expect("moment");
    assert_close("uniform", &[mean, var], &[want("uniform_mean"), want("uniform_var")], 1e-9, 0.0);
    let normal: Vec<f64> = all
        .chunks(2)
        .flat_map(|p| {
            let (a, b) = normal_from(p[0], p[1]);
            [f64::from(a), f64::from(b)]
        })
        .collect();
    let expected = ["normal_mean", "normal_var", "normal_skew", "normal_kurtosis"].map(want);
    // Ours are binary32 values, right to 2e-6 each.
    assert_close("normal", &moments(&normal), &expected, 2e-6, 2e-6);
}

fn convert(json: &Value) {
    let words = words(&json["words"]);
    let uniform: Vec<f32> = words.iter().map(|&w| uniform_from(w)).collect();
    assert_close("uniform24", &widen(&uniform), &numbers(&json["uniform24"]), 0.0, 0.0);
    let open: Vec<f32> = words.iter().map(|&w| uniform_open0_from(w)).collect();
    assert_close("uniform24_open0", &widen(&open), &numbers(&json["uniform24_open0"]), 0.0, 0.0);
    let wide: Vec<f64> = words.chunks_exact(2).map(|p| uniform53_from(p[0], p[1])).collect();
    assert_close("uniform53", &wide, &numbers(&json["uniform53"]), 0.0, 0.0);
    let normal: Vec<f64> = words
        .chunks_exact(2)
        .flat_map(|p| {
            let (a, b) = normal_from(p[0], p[1]);
            [f64::from(a), f64::from(b)]
        })
        .collect();
    let expected: Vec<f64> = match &json["box_muller24"][0] {
        Value::Array(_) => json["box_muller24"].as_array().expect("pairs").iter().flat_map(numbers).collect(),
        _ => numbers(&json["box_muller24"]),
    };
    assert_close("box_muller24", &normal, &expected, 0.0, 2e-6);
}

fn run(case: &Case) {
    match case.op() {
        "philox4x32_10" => known_answer(case.json),
        "philox_stream" => stream(case.json),
        "philox_bulk" => bulk(case.json),
        "convert" => convert(case.json),
        op => panic!("{}: unknown op {op}", case.name()),
    }
}

#[test]
fn golden_rng() {
    let Some(topic) = Topic::open("rng") else { return };
    assert!(!topic.cases().is_empty());
    topic.cases().iter().for_each(run);
}

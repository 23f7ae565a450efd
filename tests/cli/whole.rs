//! The main job from the command line: train, annotate, evaluate; interruption and resumption.

use crate::cells::{self, TYPES};
use crate::place::{Place, said, start};
use cytograd::data::{Column, Entry, Value, h5ad};
use std::time::{Duration, Instant};

fn files() -> Place {
    let place = Place::new();
    cells::write(&place.path("ref.h5ad"), 40, 1, |_| {});
    cells::write(&place.path("query.h5ad"), 25, 2, |_| {});
    place
}

const TRAIN: &str = "train clams --reference ref.h5ad --label-key cell_type --out run --seed 3";

#[test]
fn train_annotate_evaluate() {
    let place = files();
    let trained = place.ok(&format!("{TRAIN} --query query.h5ad --hold-out mono --json")).json();
    assert_eq!(trained["classes"].as_array().map(Vec::len), Some(3));
    for name in ["model.safetensors", "manifest.json", "log.jsonl"] {
        assert!(place.path("run").join(name).is_file(), "{name}");
    }
    let said = place.ok("annotate --model run query.h5ad -o out.h5ad --csv labels.csv --json");
    assert!(said.json().is_object());
    let (query, out) = (h5ad::read(&place.path("query.h5ad")).unwrap(), h5ad::read(&place.path("out.h5ad")).unwrap());
    assert_eq!(out.x, query.x, "what was there is still there");
    for name in query.obs.names() {
        assert_eq!(out.obs.get(name), query.obs.get(name), "{name}");
    }
    for name in ["cytograd_prob", "cytograd_logpx", "cytograd_pvalue"] {
        let numbers = out.obs.get(name).and_then(Column::numbers).unwrap_or_else(|| panic!("no {name}"));
        assert!(numbers.iter().all(|v| v.is_finite()), "{name}");
    }
    for name in ["cytograd_label", "cytograd_ood"] {
        assert!(matches!(out.obs.get(name), Some(Column::Categorical(_))), "{name}");
    }
    assert!(matches!(out.obsm.iter().find(|(n, _)| n == "X_cytograd"), Some((_, Entry::Matrix(_)))));
    let uns = &out.uns.iter().find(|(n, _)| n == "cytograd").expect("provenance").1;
    for key in
        ["version", "model_sha256", "seed", "device", "math", "input_layer", "gene_overlap", "calibration", "labels"]
    {
        assert!(uns.get(key).is_some(), "uns cytograd has no {key}");
    }
    assert!(matches!(uns.get("labels"), Some(Value::Strs { data, .. }) if data == &["B", "NK", "T"]));
    let csv = std::fs::read_to_string(place.path("labels.csv")).expect("a csv");
    assert_eq!(csv.lines().count(), 101);
    assert!(csv.starts_with("cell,cytograd_label,"), "{}", csv.lines().next().unwrap_or_default());

    let judged = place.ok("evaluate out.h5ad --truth cell_type --json").json();
    assert!(judged["accuracy"].as_f64().expect("a number") > 0.9, "{judged:#}");
    assert_eq!(judged["unknown_cells"].as_u64(), Some(25));
    assert_eq!(judged["detection"].as_array().map(Vec::len), Some(2));
    let text = place.ok("evaluate out.h5ad --truth cell_type").stdout;
    assert!(text.contains("accuracy") && TYPES.iter().all(|t| text.contains(t)), "{text}");
}

#[test]
fn every_model_annotates_a_query_that_was_not_at_hand() {
    let place = files();
    for model in ["clams", "jem", "resnet"] {
        let train = TRAIN.replace("clams", model).replace("run", model);
        place.ok(&format!("{train} --batch-key batch"));
        place.ok(&format!("annotate --model {model} query.h5ad -o {model}.h5ad --where batch=two --fpr 0.1"));
        let out = h5ad::read(&place.path(&format!("{model}.h5ad"))).expect("out");
        assert_eq!(out.n_obs(), 50);
        let judged = place.ok(&format!("evaluate {model}.h5ad --truth cell_type --json")).json();
        assert!(judged["accuracy"].as_f64().expect("a number") > 0.9, "{model}: {judged:#}");
        assert_eq!(judged["unknown_cells"].as_u64(), Some(0));
    }
}

#[test]
fn demo_needs_no_input_and_keeps_its_files_if_asked() {
    let place = Place::new();
    let json = place.ok("demo --out demo --json").json();
    let judged = &json["evaluate"];
    assert!(judged["accuracy"].as_f64().expect("a number") > 0.8, "{judged:#}");
    assert!(judged["unknown_cells"].as_u64().expect("a number") > 0);
    for name in ["cells.h5ad", "run/model.safetensors", "annotated.h5ad"] {
        assert!(place.path("demo").join(name).is_file(), "{name}");
    }
    place.fails("demo --out demo", 2, &["demo", "already exists"]);
}

#[test]
fn annotate_may_write_onto_its_query() {
    let place = files();
    place.ok(&TRAIN.replace("clams", "resnet"));
    for _ in 0..2 {
        place.ok("annotate --model run query.h5ad -o query.h5ad");
    }
    let out = h5ad::read(&place.path("query.h5ad")).expect("out");
    assert_eq!(out.obs.names().iter().filter(|n| **n == "cytograd_label").count(), 1);
}

/// The paper's network is slow enough to be caught in the middle.
fn slow(out: &str) -> String {
    format!("{} --profile paper --epochs 50 --threads 2", TRAIN.replace("run", out))
}

fn lines(place: &Place, run: &str) -> usize {
    std::fs::read_to_string(place.path(run).join("log.jsonl")).map_or(0, |text| text.lines().count())
}

fn model(place: &Place, run: &str) -> Vec<u8> {
    std::fs::read(place.path(run).join("model.safetensors")).expect("a model")
}

/// Starts a run and signals it when its log has that many lines (and a checkpoint, if one is asked).
fn caught(
    place: &Place,
    arguments: &str,
    run: &str,
    after: usize,
    checkpoint: bool,
    signal: &str,
) -> crate::place::Said {
    let list: Vec<&str> = arguments.split_whitespace().collect();
    let child = start(&mut place.command(&list));
    let saved = place.path(run).join("checkpoint/state.safetensors");
    let started = Instant::now();
    while lines(place, run) < after || (checkpoint && !saved.exists()) {
        assert!(started.elapsed() < Duration::from_secs(240), "the run does not get on");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Twice at once, as `timeout` does: one wish.
    let id = child.id().to_string();
    let status = std::process::Command::new("kill").args([signal, &id, &id]).status();
    assert!(status.expect("kill runs").success());
    said(child.wait_with_output().expect("it ends"))
}

#[test]
fn the_same_bits_with_any_threads_and_after_ctrl_c_and_kill() {
    let place = files();
    place.ok(&slow("whole").replace("--threads 2", "--threads 1"));
    let iterations = std::fs::read_to_string(place.path("whole/log.jsonl")).expect("a log");
    assert!(iterations.lines().filter(|l| l.contains("\"loss\"")).count() >= 100, "at least 100 iterations");
    let whole = model(&place, "whole");

    // Ctrl-C: exit code 130, a checkpoint, and the way on.
    let stopped = caught(&place, &slow("run"), "run", 10, false, "-INT");
    assert_eq!(stopped.code, 130, "{}", stopped.stderr);
    assert!(stopped.error().contains("--resume"), "{}", stopped.stderr);
    assert!(place.path("run/checkpoint/state.safetensors").is_file());
    place.fails("annotate --model run query.h5ad -o out.h5ad", 2, &["run", "not finished", "--resume"]);
    place.fails(&format!("{} --seed 4 --resume", slow("run").replace("--seed 3", "")), 2, &["run", "seed"]);

    // kill -9 somewhere after the resumption, then resume again.
    let at = lines(&place, "run");
    let killed = caught(&place, &format!("{} --resume", slow("run")), "run", at + 10, true, "-KILL");
    assert_eq!(killed.code, -1);
    place.ok(&format!("{} --resume", slow("run")));
    assert!(model(&place, "run") == whole, "resumed with 2 threads, and straight with 1: other bits");

    // The log reads as if the run had never stopped (but for the time each step took).
    let steps = |run: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(place.path(run).join("log.jsonl")).expect("a log");
        let parse = |line: &str| {
            let mut value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            value.as_object_mut().expect("an object").remove("ms");
            value
        };
        text.lines().map(parse).collect()
    };
    assert_eq!(steps("run"), steps("whole"));
}

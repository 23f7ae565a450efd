//! From a file to an annotated file: training, resuming, annotating, evaluating, on simulated cells.

use cytograd::analysis::evaluation::{Annotations, Evaluation};
use cytograd::data::annotated::{Entry, Value};
use cytograd::data::simulate::{SimulateParams, simulate};
use cytograd::data::{Column, Dataset, h5ad};
use cytograd::device::Device;
use cytograd::error::Error;
use cytograd::models::annotator::profile::Settings;
use cytograd::models::annotator::{
    AnnotateOptions, GenerateOptions, Method, Profile, TrainOptions, annotate, generate, train,
};
use cytograd::models::ebm::Model;
use cytograd::models::integration::{self, IntegrateOptions, integrate};
use cytograd::models::run::Silent;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// 800 cells of 5 types in two batches; the last type is in the second batch only.
fn file() -> &'static Path {
    static FILE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = FILE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.h5ad");
        let params = SimulateParams { n_cells: 800, n_genes: 300, n_types: 5, seed: 3, ..SimulateParams::default() };
        h5ad::write(&path, &simulate(&params).unwrap()).unwrap();
        (folder, path)
    });
    path
}

fn batches() -> Vec<String> {
    let data = h5ad::read(file()).unwrap();
    let column = data.obs.get("batch").unwrap();
    let mut names: Vec<String> = (0..column.len()).filter_map(|i| column.text(i)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A network of a few thousand parameters, twenty iterations per epoch or fewer.
fn tiny(model: Model, epochs: usize) -> Settings {
    let mut s = Profile::Small.settings(model, None, 320);
    s.features.n_pcs = 15;
    s.ebm.net.widths = vec![24];
    s.ebm.net.blocks = vec![1];
    s.ebm.optim.batch = 32;
    s.ebm.optim.epochs = epochs;
    s.ebm.optim.decay_epochs = vec![epochs / 2];
    s.ebm.sgld.steps = 5;
    s.ebm.sgld.buffer = 200;
    s
}

fn options(out: &Path, model: Model, epochs: usize, query: bool) -> TrainOptions {
    let mut o = TrainOptions::new(model, file(), "cell_type", out);
    o.filter = vec![format!("batch={}", batches()[0]).parse().unwrap()];
    o.query = query.then(|| file().to_owned());
    o.settings = Some(tiny(model, epochs));
    o
}

fn model_bytes(run: &Path) -> Vec<u8> {
    std::fs::read(run.join("model.safetensors")).unwrap()
}

fn judge(data: &Dataset) -> Evaluation {
    let texts = |name: &str| -> Vec<Option<String>> {
        let column = data.obs.get(name).unwrap();
        (0..column.len()).map(|i| column.text(i)).collect()
    };
    let numbers = |name: &str| data.obs.get(name).and_then(Column::numbers).unwrap();
    let Some(Value::Strs { data: known, .. }) =
        data.uns.iter().find(|(n, _)| n == "cytograd").and_then(|(_, v)| v.get("labels"))
    else {
        panic!("no labels in uns")
    };
    Evaluation::new(Annotations {
        scores: &[],
        truth: &texts("cell_type"),
        predicted: &texts("cytograd_label"),
        probability: &numbers("cytograd_prob"),
        log_density: Some(&numbers("cytograd_logpx")),
        flagged: None,
        known,
    })
    .unwrap()
}

#[test]
fn a_reference_labels_its_query_and_nothing_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let device = Device::cpu(2);
    let summary = train(&options(&run, Model::Clams, 30, true), &device, &mut Silent).unwrap();
    assert_eq!((summary.classes.len(), summary.query_cells), (4, Some(400)));
    let out = folder.path().join("out.h5ad");
    let mut o = AnnotateOptions::new(&run, file(), &out);
    o.filter = vec![format!("batch={}", batches()[1]).parse().unwrap()];
    o.csv = Some(folder.path().join("labels.csv"));
    let said = annotate(&o, &device, &mut Silent).unwrap();
    assert_eq!((said.cells, said.not_annotated, said.matched_genes == said.model_genes), (400, 0, true));
    assert_eq!(serde_json::to_value(said.correction).unwrap(), "joint");
    let data = h5ad::read(&out).unwrap();
    for column in ["cell_type", "batch", "cytograd_label", "cytograd_pvalue", "cytograd_ood"] {
        assert!(data.obs.get(column).is_some(), "{column}");
    }
    let Some((_, Entry::Matrix(embedding))) = data.obsm.iter().find(|(n, _)| n == "X_cytograd") else {
        panic!("no embedding")
    };
    assert_eq!((embedding.n_rows(), embedding.n_cols()), (400, 24));
    let evaluation = judge(&data);
    assert!(evaluation.accuracy > 0.9, "{}", evaluation.accuracy);
    assert!(evaluation.unknown_cells > 0 && evaluation.detection.len() == 2);
    assert_eq!(std::fs::read_to_string(o.csv.unwrap()).unwrap().lines().count(), 401);
}

#[test]
fn p_values_hold_for_new_cells_like_the_reference_that_were_not_at_hand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.h5ad");
    let params = SimulateParams {
        n_cells: 1200,
        n_genes: 600,
        n_types: 4,
        n_batches: 1,
        hold_out_last: false,
        seed: 5,
        ..SimulateParams::default()
    };
    let mut data = simulate(&params).unwrap();
    let part = (0..1200).map(|i| if i % 2 == 0 { "old" } else { "new" }.to_owned()).collect();
    data.obs.set("part", Column::Str(part)).unwrap();
    h5ad::write(&path, &data).unwrap();
    let device = Device::cpu(2);
    for method in ["resnet", "lda", "knn"] {
        let run = folder.path().join(method);
        let mut o = TrainOptions::new(Method::from_name(method).unwrap(), &path, "cell_type", &run);
        o.filter = vec!["part=old".parse().unwrap()];
        if method == "resnet" {
            o.settings = Some(Settings {
                features: Profile::Small.settings(Model::Resnet, None, 480).features,
                ..tiny(Model::Resnet, 10)
            });
        }
        train(&o, &device, &mut Silent).unwrap();
        let mut o = AnnotateOptions::new(&run, &path, folder.path().join("out.h5ad"));
        o.filter = vec!["part=new".parse().unwrap()];
        annotate(&o, &device, &mut Silent).unwrap();
        let data = h5ad::read(&folder.path().join("out.h5ad")).unwrap();
        let mut p = data.obs.get("cytograd_pvalue").and_then(Column::numbers).unwrap();
        p.sort_by(f64::total_cmp);
        let flagged = p.partition_point(|&p| p <= 0.1) as f64 / p.len() as f64;
        // Of 600 cells, by some 120 that calibrate: a tenth, give or take three hundredths. (Cells that took part in
        // the preparation would calibrate to none at all.) lda goes by averages over the cells around, which
        // spread so little that it errs on the careful side: fewer cells that calibrate are levelled less.
        let (least, median) = if method == "lda" { (0.01, 0.3..1.0) } else { (0.03, 0.3..0.7) };
        assert!((least..0.2).contains(&flagged) && median.contains(&p[300]), "{method}: {flagged} {}", p[300]);
    }
}

#[test]
fn a_query_not_at_hand_is_projected_and_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let device = Device::cpu(2);
    let summary = train(&options(&run, Model::Resnet, 30, false), &device, &mut Silent).unwrap();
    assert_eq!(summary.query_cells, None);
    let out = folder.path().join("out.h5ad");
    let mut o = AnnotateOptions::new(&run, file(), &out);
    o.filter = vec![format!("batch={}", batches()[1]).parse().unwrap()];
    let said = annotate(&o, &device, &mut Silent).unwrap();
    assert_eq!(serde_json::to_value(said.correction).unwrap(), "reference-mapping");
    let evaluation = judge(&h5ad::read(&out).unwrap());
    assert!(evaluation.accuracy > 0.85, "{}", evaluation.accuracy);
}

/// 12 epochs of 9 iterations.
#[test]
fn threads_and_interruptions_change_no_bit_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    train(&options(&at("one"), Model::Clams, 12, true), &Device::cpu(1), &mut Silent).unwrap();
    train(&options(&at("two"), Model::Clams, 12, true), &Device::cpu(2), &mut Silent).unwrap();
    assert!(model_bytes(&at("one")) == model_bytes(&at("two")), "threads show in the model");

    let mut o = options(&at("three"), Model::Clams, 12, true);
    for stop in [13, 47] {
        o.stop_after = Some(stop);
        let error = train(&o, &Device::cpu(1), &mut Silent).unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }) && error.exit_code() == 130, "{error}");
        assert!(!at("three").join("model.safetensors").exists());
        o.resume = true;
    }
    o.stop_after = None;
    let summary = train(&o, &Device::cpu(2), &mut Silent).unwrap();
    assert_eq!(summary.metrics["iterations"], 108);
    assert!(model_bytes(&at("one")) == model_bytes(&at("three")), "an interruption shows in the model");
    let lines = |run: &str| {
        let text = std::fs::read_to_string(at(run).join("log.jsonl")).unwrap();
        let strip = |line: &str| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().remove("ms");
            value
        };
        text.lines().map(strip).collect::<Vec<_>>()
    };
    assert_eq!(lines("one"), lines("three"));
    assert_eq!(lines("one").len(), 120);

    // Resuming a finished run does nothing; with other data it is refused.
    let again = train(&o, &Device::cpu(1), &mut Silent).unwrap();
    assert_eq!(again.metrics["iterations"], 108);
    o.seed = 5;
    assert!(train(&o, &Device::cpu(1), &mut Silent).unwrap_err().to_string().contains("another seed"));
    o.resume = false;
    assert!(train(&o, &Device::cpu(1), &mut Silent).unwrap_err().to_string().contains("already exists"));
}

/// Check 17 of the CLAMS specification: the split, and what training can see of a query.
#[test]
fn check_17_split_is_exhaustive_and_query_labels_are_out_of_reach() {
    use cytograd::data::batches::stratified_split;
    let labels: Vec<u32> = (0..437).map(|i| [0, 0, 0, 1, 1, 2][i % 6]).collect();
    let split = stratified_split(&labels, [8.0, 1.0, 1.0], 1234);
    let mut all = [split.train.clone(), split.valid.clone(), split.test.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, (0..437).collect::<Vec<_>>());
    for class in 0..3 {
        let count = |rows: &[usize]| rows.iter().filter(|&&r| labels[r] == class).count() as f64;
        let n = labels.iter().filter(|&&l| l == class).count() as f64;
        for (part, share) in [(&split.train, 0.8), (&split.valid, 0.1), (&split.test, 0.1)] {
            assert!((count(part) - n * share).abs() <= 1.0);
        }
    }
    // The type that training gets of a query has no labels; and a query whose labels are gone, or
    // wrong, gives the same model.
    let folder = tempfile::tempdir().unwrap();
    let mut data = h5ad::read(file()).unwrap();
    let blind = folder.path().join("blind.h5ad");
    data.obs.columns.retain(|(name, _)| name == "batch");
    h5ad::write(&blind, &data).unwrap();
    let at = |name: &str| folder.path().join(name);
    let device = Device::cpu(2);
    train(&options(&at("seen"), Model::Clams, 2, true), &device, &mut Silent).unwrap();
    let mut o = options(&at("blind"), Model::Clams, 2, true);
    o.query = Some(blind);
    o.query_filter = vec![format!("batch={}", batches()[1]).parse().unwrap()];
    train(&o, &device, &mut Silent).unwrap();
    assert!(model_bytes(&at("seen")) == model_bytes(&at("blind")));
}

#[test]
fn bad_labels_and_places_are_one_clear_line_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let refused = |change: &dyn Fn(&mut TrainOptions)| {
        let mut o = options(&run, Model::Resnet, 2, true);
        change(&mut o);
        let error = train(&o, &Device::cpu(1), &mut Silent).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(!run.exists());
        error.to_string()
    };
    assert!(refused(&|o| o.label_key = "celltype".into()).contains("no column \"celltype\"; it has"));
    assert!(refused(&|o| o.layer = Some("counts".into())).contains("no layer \"counts\""));
    assert!(refused(&|o| o.hold_out = vec!["nobody".into()]).contains("no reference cell has the label \"nobody\""));
    assert!(refused(&|o| o.filter = vec![]).contains("reference and query are the same cells"));
}

#[test]
fn interruptions_change_no_bit_of_the_other_networks() {
    let folder = tempfile::tempdir().unwrap();
    for model in [Model::Vera, Model::HdgeJem] {
        let at = |name: &str| folder.path().join(format!("{}-{name}", model.name()));
        train(&options(&at("whole"), model, 4, false), &Device::cpu(2), &mut Silent).unwrap();
        let mut o = options(&at("parts"), model, 4, false);
        o.stop_after = Some(13);
        train(&o, &Device::cpu(1), &mut Silent).unwrap_err();
        (o.stop_after, o.resume) = (None, true);
        train(&o, &Device::cpu(1), &mut Silent).unwrap();
        assert!(model_bytes(&at("whole")) == model_bytes(&at("parts")), "{}", model.name());
    }
}

#[test]
fn generated_cells_have_a_class_and_are_compared_with_real_ones() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::cpu(2);
    for (model, conditional) in [(Model::Clams, false), (Model::Jem, true), (Model::Vera, false)] {
        let run = folder.path().join(format!("{}-{conditional}", model.name()));
        let mut o = options(&run, model, 20, false);
        o.conditional = conditional;
        // Enough slots that few cells need a chain of their own.
        o.settings.iter_mut().for_each(|s| s.ebm.sgld.buffer = 600);
        train(&o, &device, &mut Silent).unwrap();
        let out = folder.path().join("cells.h5ad");
        let mut wish = GenerateOptions::new(&run, &out, 60);
        (wish.genes, wish.rounds) = (true, 20);
        let said = generate(&wish, &device, &mut Silent).unwrap();
        let data = h5ad::read(&out).unwrap();
        assert_eq!((data.n_obs(), said.classes.len()), (said.cells, 4));
        assert!(data.obs.get("cell_type").is_some() && data.obs.get("cytograd_origin").is_some());
        assert!(data.obsm.iter().any(|(name, e)| name == "X_cytograd_features" && e.shape()[0] == said.cells));
        assert!(data.x.to_dense().iter().all(|v| v.is_finite() && *v >= 0.0), "expression");
        assert_eq!(said.origins.iter().map(|(_, n)| n).sum::<usize>(), said.cells);
        if model != Model::Vera {
            assert_eq!((said.cells, said.short.len()), (240, 0));
            let agreement: f64 = said.classes.iter().map(|c| c.generated.unwrap().by_model).sum::<f64>() / 4.0;
            assert!(agreement > 0.8, "{} conditional {conditional}: {agreement}", model.name());
        }
        let real: Vec<_> = said.classes.iter().filter_map(|c| c.held_out).collect();
        assert!(real.iter().all(|f| f.by_neighbours > 0.8 && f.mmd.abs() < 0.2), "{real:?}");
        let before = data.x.to_dense();
        generate(&wish, &Device::cpu(1), &mut Silent).unwrap();
        assert_eq!(h5ad::read(&out).unwrap().x.to_dense(), before, "the same seed, the same cells");
    }
    let mut o = options(&folder.path().join("resnet"), Model::Resnet, 2, false);
    o.conditional = true;
    assert!(train(&o, &device, &mut Silent).unwrap_err().to_string().contains("no Langevin chains"));
}

#[test]
fn integration_mixes_the_batches_and_says_by_how_much() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.h5ad");
    for method in [integration::Method::Harmony, integration::Method::Ebm] {
        let mut o = IntegrateOptions::new(file(), &out, method, "batch");
        o.label_key = Some("cell_type".into());
        (o.n_pcs, o.ebm.visits) = (15, 5);
        let said = integrate(&o, &Device::cpu(2), &mut Silent).unwrap();
        assert_eq!((said.cells, said.batches.len(), said.components), (800, 2, 15));
        assert!(said.after.ilisi > said.before.ilisi && said.displacement > 0.0, "{said:?}");
        let data = h5ad::read(&out).unwrap();
        for name in ["X_cytograd_pca".to_owned(), format!("X_cytograd_{}", method.name())] {
            assert!(data.obsm.iter().any(|(n, e)| *n == name && e.shape() == [800, 15]), "{name}");
        }
        o.reference_batch = Some("none such".into());
        let refused = integrate(&o, &Device::cpu(1), &mut Silent);
        assert!(refused.is_err_and(|e| e.to_string().contains("no batch \"none such\"")));
    }
}

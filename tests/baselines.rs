//! Baselines and rehearsals on simulated cells, from the file to the answer.

use cytograd::data::simulate::{SimulateParams, simulate};
use cytograd::data::{Column, h5ad};
use cytograd::device::Device;
use cytograd::models::annotator::rehearse::{On, RehearseOptions, anew, rehearse};
use cytograd::models::annotator::{AnnotateOptions, Preparation, Score, TrainOptions, annotate, train};
use cytograd::models::baselines::Baseline;
use cytograd::models::run::{RunFolder, Silent};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// 500 cells of 4 types in two batches; the last type is in the second batch only.
fn file() -> &'static Path {
    static FILE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = FILE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.h5ad");
        let params = SimulateParams { n_cells: 500, n_genes: 250, n_types: 4, seed: 5, ..SimulateParams::default() };
        h5ad::write(&path, &simulate(&params).unwrap()).unwrap();
        (folder, path)
    });
    path
}

fn options(baseline: Baseline, out: &Path, batch: Option<&str>) -> TrainOptions {
    let mut o = TrainOptions::new(baseline, file(), "cell_type", out);
    o.filter = batch.map(|b| format!("batch={b}").parse().unwrap()).into_iter().collect();
    o.query = batch.map(|_| file().to_owned());
    o.batch_key = Some("batch".into());
    o
}

#[test]
fn every_baseline_goes_from_a_file_to_labels() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::cpu(1);
    for baseline in Baseline::ALL {
        let name = baseline.name();
        let (run, out) = (folder.path().join(name), folder.path().join(format!("{name}.h5ad")));
        let mut asked = options(baseline, &run, Some("batch0"));
        let trained = train(&asked, &device, &mut Silent).unwrap();
        assert_eq!(trained.model, name);
        assert!(trained.metrics["test"]["accuracy"].as_f64().unwrap() > 0.8, "{name}: {}", trained.metrics);
        asked.resume = true;
        assert_eq!(train(&asked, &device, &mut Silent).unwrap().metrics, trained.metrics, "{name}");
        let mut query = AnnotateOptions::new(&run, file(), &out);
        query.filter = vec!["batch=batch1".parse().unwrap()];
        query.all_scores = true;
        annotate(&query, &device, &mut Silent).unwrap();
        let cells = h5ad::read(&out).unwrap();
        let texts = |column: &str| -> Vec<String> {
            let column = cells.obs.get(column).unwrap();
            (0..column.len()).map(|i| column.text(i).unwrap_or_default()).collect()
        };
        let (truth, said) = (texts("cell_type"), texts("cytograd_label"));
        let known: Vec<usize> = (0..truth.len()).filter(|&i| trained.classes.contains(&truth[i])).collect();
        let right = known.iter().filter(|&&i| truth[i] == said[i]).count();
        assert!(right as f64 > 0.8 * known.len() as f64, "{name}: {right} of {}", known.len());
        for score in Score::all().filter(|score| !score.name().starts_with("logpx")) {
            let column = cells.obs.get(&format!("cytograd_score_{}", score.name())).unwrap();
            let values = column.numbers().unwrap();
            assert!(values.iter().all(|v| v.is_finite()), "{name}: {}", score.name());
            let p = cells.obs.get(&format!("cytograd_pvalue_{}", score.name())).unwrap().numbers().unwrap();
            assert!(p.iter().all(|p| *p > 0.0 && *p <= 1.0), "{name}: {}", score.name());
        }
        assert_eq!(cells.obs.get("cytograd_logpx").is_some(), baseline == Baseline::Lda);
        assert!(matches!(cells.obs.get("cytograd_ood"), Some(Column::Categorical(_))));
    }
}

#[test]
fn a_rehearsal_says_the_same_on_any_number_of_threads_and_sets_the_runs_score() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::cpu(1);
    let run = folder.path().join("run");
    train(&options(Baseline::Lda, &run, None), &device, &mut Silent).unwrap();
    let mut asked = RehearseOptions::new(&run);
    let mut first = rehearse(&asked, &device, &mut Silent).unwrap();
    asked.threads = 3;
    let mut second = rehearse(&asked, &device, &mut Silent).unwrap();
    (first.seconds, second.seconds) = (0.0, 0.0);
    let text = |r| serde_json::to_string(r).unwrap();
    assert_eq!(text(&first), text(&second));
    assert_eq!(first.by.as_deref(), Some("batch"));
    // Three types occur in both batches; the fourth only in the second, where it can be looked for too.
    assert_eq!(first.types.len(), 4);
    assert!(first.trials.iter().all(|t| !t.becomes.contains_key(&t.left_out)));
    assert!(first.scores.iter().all(|s| (0.0..=1.0).contains(&s.auroc) && s.worst <= s.auroc));
    let best = first.scores.iter().map(|s| s.auroc).fold(0.0, f64::max);
    assert!(best > 0.8, "{:?}", first.scores);
    let opened = RunFolder::open(&run).unwrap();
    assert_eq!(opened.manifest().configuration["score"], first.chosen.name());
    assert!(opened.manifest().files.contains_key("rehearsal.json"));
    assert!(!run.join("checkpoint/rehearsal.jsonl").exists());
    let out = folder.path().join("out.h5ad");
    let summary = annotate(&AnnotateOptions::new(&run, file(), &out), &device, &mut Silent).unwrap();
    assert_eq!(summary.score, first.chosen);
    // Training again with the same options still finds its run.
    let again = TrainOptions { resume: true, ..options(Baseline::Lda, &run, None) };
    train(&again, &device, &mut Silent).unwrap();
}

/// The labels that the query has in its file are replaced: nothing may depend on them.
#[test]
fn a_query_at_hand_plays_itself_by_the_labels_that_the_run_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::cpu(1);
    let mut cells = h5ad::read(file()).unwrap();
    let texts = |cells: &cytograd::data::Dataset, column: &str| -> Vec<String> {
        let column = cells.obs.get(column).unwrap();
        (0..column.len()).map(|i| column.text(i).unwrap_or_default()).collect()
    };
    let batch = texts(&cells, "batch");
    let truth = texts(&cells, "cell_type");
    let hidden: Vec<&str> =
        (0..truth.len()).map(|i| if batch[i] == "batch0" { truth[i].as_str() } else { "?" }).collect();
    cells.obs.set("cell_type", Column::Categorical(cytograd::data::Categorical::from_strings(&hidden))).unwrap();
    let unlabelled = folder.path().join("unlabelled.h5ad");
    h5ad::write(&unlabelled, &cells).unwrap();

    let play = |path: &Path, name: &str| {
        let mut o = options(Baseline::Lda, &folder.path().join(name), Some("batch0"));
        (o.reference, o.query) = (path.to_owned(), Some(path.to_owned()));
        train(&o, &device, &mut Silent).unwrap();
        let mut said = rehearse(&RehearseOptions::new(&o.out), &device, &mut Silent).unwrap();
        assert_eq!((said.on, said.by.as_deref(), said.preparation), (On::Query, None, Preparation::Variance));
        let other = said.other.as_mut().unwrap();
        assert_eq!((other.preparation, other.types.len()), (Preparation::Zscore, said.types.len()));
        (said.seconds, other.seconds, said.run, other.run) = (0.0, 0.0, PathBuf::new(), PathBuf::new());
        (o, said)
    };
    let (o, said) = play(&unlabelled, "unlabelled");
    assert_eq!(serde_json::to_string(&said).unwrap(), serde_json::to_string(&play(file(), "labelled").1).unwrap());
    assert!(said.accuracy > 0.9 && said.auroc() > 0.8, "{} {}", said.accuracy, said.auroc());

    // As if the other way found more: the run is trained again with it.
    let mut worse = said.clone();
    worse.types.iter_mut().for_each(|t| t.auroc = 0.1);
    let (again, last) = anew(&o, worse, &device, &mut Silent).unwrap();
    assert_eq!((again.unwrap().run.as_path(), last.preparation), (o.out.as_path(), Preparation::Zscore));
    let opened = RunFolder::open(&o.out).unwrap();
    assert_eq!(opened.manifest().configuration["preparation"], "zscore");
    assert_eq!(opened.manifest().configuration["score"], last.chosen.name());
    assert_eq!(opened.manifest().preprocessing["features"]["gene_scale"], "zscore");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
    // The same options find it again, and a rehearsal does not question the choice once more.
    train(&TrainOptions { resume: true, ..o.clone() }, &device, &mut Silent).unwrap();
    let once_more = rehearse(&RehearseOptions::new(&o.out), &device, &mut Silent).unwrap();
    assert!(once_more.other.is_none() && once_more.preparation == Preparation::Zscore);

    // A query that has moved, one that is another, and none.
    let mut asked = RehearseOptions::new(&o.out);
    asked.query = Some(file().to_owned());
    asked.types = vec![said.types[0].left_out.clone()];
    asked.reference = Some(file().to_owned());
    assert!(rehearse(&asked, &device, &mut Silent).is_ok());
    std::fs::remove_file(&unlabelled).unwrap();
    (asked.query, asked.on) = (None, None);
    assert_eq!(rehearse(&asked, &device, &mut Silent).unwrap().on, On::Reference);
    asked.on = Some(On::Query);
    asked.by = Some("batch".into());
    assert!(rehearse(&asked, &device, &mut Silent).unwrap_err().to_string().contains("--by with --on query"));
    let alone = folder.path().join("alone");
    train(&options(Baseline::Lda, &alone, None), &device, &mut Silent).unwrap();
    for (on, query) in [(Some(On::Query), None), (None, Some(file().to_owned()))] {
        let wish = RehearseOptions { on, query, ..RehearseOptions::new(&alone) };
        assert!(rehearse(&wish, &device, &mut Silent).unwrap_err().to_string().contains("no query at hand"));
    }
}

#[test]
fn one_batch_is_rehearsed_by_parts_and_wrong_wishes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::cpu(1);
    let run = folder.path().join("run");
    train(&options(Baseline::Knn, &run, Some("batch0")), &device, &mut Silent).unwrap();
    let mut asked = RehearseOptions { on: Some(On::Reference), ..RehearseOptions::new(&run) };
    let said = rehearse(&asked, &device, &mut Silent).unwrap();
    assert_eq!((said.on, said.by, said.trials.len()), (On::Reference, None, said.types.len()));
    assert!(said.other.is_none());
    asked.types = vec!["nobody".into()];
    assert!(rehearse(&asked, &device, &mut Silent).unwrap_err().to_string().contains("--type nobody"));
    asked.types.clear();
    asked.by = Some("nothing".into());
    assert_eq!(rehearse(&asked, &device, &mut Silent).unwrap_err().exit_code(), 2);
    asked.by = None;
    asked.fpr = 1.5;
    assert!(rehearse(&asked, &device, &mut Silent).unwrap_err().to_string().contains("--fpr 1.5"));
    let epochs = TrainOptions { epochs: Some(3), ..options(Baseline::Knn, &folder.path().join("other"), None) };
    assert!(train(&epochs, &device, &mut Silent).unwrap_err().to_string().contains("--epochs with knn"));
}

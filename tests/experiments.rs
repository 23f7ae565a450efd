//! The protocols on simulated cells: layout, resuming, the same tables for any number of threads, bad input.

use cytograd::data::h5ad;
use cytograd::data::simulate::{SimulateParams, simulate};
use cytograd::device::Device;
use cytograd::error::{Error, Result};
use cytograd::experiments::table::Table;
use cytograd::experiments::variants::Variant;
use cytograd::experiments::{Protocol, annotation, one_class, sweep};
use cytograd::models::annotator::profile::Settings;
use cytograd::models::annotator::{Change, Method, Profile, TrainOptions};
use cytograd::models::baselines::Baseline;
use cytograd::models::ebm::{Clip, Model};
use cytograd::models::run::{Observer, Silent};
use std::fmt::Arguments;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// 500 cells of 4 types in two batches; the last type is in the second batch only.
fn file() -> &'static Path {
    static FILE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = FILE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.h5ad");
        let params = SimulateParams { n_cells: 500, n_genes: 200, n_types: 4, seed: 3, ..SimulateParams::default() };
        h5ad::write(&path, &simulate(&params).unwrap()).unwrap();
        (folder, path)
    });
    path
}

fn tiny() -> Settings {
    let mut s = Profile::Small.settings(Model::Clams, None, 200);
    s.features.n_pcs = 10;
    s.ebm.net.widths = vec![16];
    s.ebm.net.blocks = vec![1];
    s.ebm.optim.batch = 32;
    s.ebm.optim.epochs = 3;
    s.ebm.optim.decay_epochs = vec![2];
    s.ebm.sgld.steps = 2;
    s.ebm.sgld.buffer = 100;
    s
}

fn protocol(out: &Path, threads: usize) -> Protocol {
    let mut data = TrainOptions::new(Model::Resnet, file(), "cell_type", out);
    data.filter = vec!["batch=batch0".parse().unwrap()];
    data.query = Some(file().to_owned());
    data.settings = Some(tiny());
    Protocol {
        data,
        changes: Vec::new(),
        out: out.to_owned(),
        overwrite: false,
        seeds: 2,
        threads,
        device: Device::cpu(1),
    }
}

fn some() -> Vec<Variant> {
    vec![Variant::of(Model::Clams.into()), Variant::of(Model::Resnet.into()), Variant::of(Baseline::Lda.into())]
}

/// Hears how many runs were made.
#[derive(Default)]
struct Counted(usize);

impl Observer for Counted {
    fn begin(&mut self, _: u64, what: &str) {
        self.0 = if what == "preparing features" { usize::MAX / 2 } else { 0 };
    }
    fn step(&mut self, _: u64, _: Arguments<'_>) {
        self.0 += 1;
    }
    fn end(&mut self) {}
    fn note(&mut self, _: &str) {}
    fn detail(&mut self, _: &str) {}
    fn warn(&mut self, _: &str) {}
}

type Run<'a> = &'a dyn Fn(&Protocol, &mut dyn Observer) -> Result<Table>;

/// The table of a protocol on one thread is that on three, and that of a run that was cut short; what is
/// done is not done again.
fn same_table_however_it_is_made(runs: usize, run: Run) -> Table {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    let mut made = Counted::default();
    let table = run(&protocol(&out("one"), 1), &mut made).unwrap();
    assert_eq!(made.0, runs);
    run(&protocol(&out("three"), 3), &mut Silent).unwrap();
    let read = |name: &str, file: &str| std::fs::read_to_string(out(name).join(file)).unwrap();
    for file in ["table.md", "table.csv", "table.json"] {
        assert_eq!(read("one", file), read("three", file), "{file}");
    }
    // The last line is cut short, and one before it is gone.
    let text = read("one", "results.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), runs + 1);
    let cut = [&lines[..lines.len() - 2], &[&lines[lines.len() - 1][..20]]].concat().join("\n");
    std::fs::write(out("one").join("results.jsonl"), cut).unwrap();
    run(&protocol(&out("one"), 2), &mut made).unwrap();
    assert_eq!(made.0, 2, "two runs were lost");
    assert_eq!(read("one", "table.json"), read("three", "table.json"));
    assert_eq!(table.markdown(), read("one", "table.md"));
    table
}

fn figure(table: &Table, row: &str, column: &str) -> f64 {
    let at = table.columns.iter().position(|c| c.name == column).unwrap();
    let (_, cells) = table.rows.iter().find(|(name, _)| name == row).unwrap();
    cells[at].unwrap_or_else(|| panic!("{row}: no {column}")).mean
}

#[test]
fn annotation_compares_models_over_seeds() {
    let run = |protocol: &Protocol, observer: &mut dyn Observer| annotation::run(protocol, &some(), observer);
    let table = same_table_however_it_is_made(5, &run);
    assert_eq!((figure(&table, "clams", "runs"), figure(&table, "lda", "runs")), (2.0, 1.0));
    assert!(figure(&table, "lda", "acc %") > 90.0 && figure(&table, "lda", "own score") > 0.8, "{}", table.markdown());
    assert_eq!(figure(&table, "clams", "div %"), 0.0);
}

#[test]
fn one_class_leaves_out_every_type() {
    let two = &some()[1..];
    let run = |protocol: &Protocol, observer: &mut dyn Observer| one_class::run(protocol, two, observer);
    // Three types are in the reference.
    let table = same_table_however_it_is_made(3 * 2 + 3, &run);
    assert!(figure(&table, "lda", "own score") > 0.8, "{}", table.markdown());
}

#[test]
fn the_ablation_has_eight_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut protocol = protocol(&folder.path().join("out"), 2);
    protocol.seeds = 1;
    let table = annotation::run(&protocol, &Variant::ablation(), &mut Silent).unwrap();
    assert_eq!(table.rows.len(), 8);
    assert!(table.rows.iter().all(|(_, cells)| cells[2].is_some_and(|acc| acc.mean > 50.0)), "{}", table.markdown());
}

#[test]
fn a_sweep_searches_for_each_clipping_function() {
    let clips = [("none", Clip::None), ("elu", Clip::Elu)];
    let run = |protocol: &Protocol, observer: &mut dyn Observer| {
        let mut protocol = protocol.clone();
        protocol.data.settings.iter_mut().for_each(|s| s.ebm.optim.epochs = 1);
        sweep::run(&protocol, &clips, 5, observer)
    };
    let table = same_table_however_it_is_made(10, &run);
    assert_eq!(table.rows.len(), 2);
    assert!(figure(&table, "elu", "best") >= figure(&table, "elu", "valid acc %"));
}

#[test]
fn what_cannot_be_is_said_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let said = |protocol: &Protocol| annotation::run(protocol, &some(), &mut Silent).unwrap_err().to_string();
    let mut without = protocol(&out, 1);
    without.data.query = None;
    assert!(said(&without).contains("no query to annotate"));
    let mut unlabelled = protocol(&out, 1);
    unlabelled.data.label_key = "kind".into();
    assert!(said(&unlabelled).contains("kind"));
    let mut strange = protocol(&out, 1);
    let types: Vec<String> = h5ad::read(file())
        .unwrap()
        .obs
        .get("cell_type")
        .map(|c| (0..c.len()).filter_map(|i| c.text(i)).collect())
        .unwrap();
    let last = types.iter().max().unwrap();
    strange.data.query_filter = vec![format!("cell_type={last}").parse().unwrap()];
    assert!(said(&strange).contains("no cell has a label that the reference has too"));
    assert!(!out.exists());
    // A folder with something else in it.
    std::fs::create_dir_all(&out).unwrap();
    std::fs::write(out.join("notes.txt"), "mine").unwrap();
    assert!(said(&protocol(&out, 1)).contains("holds something else than this experiment"));
    assert_eq!(std::fs::read_to_string(out.join("notes.txt")).unwrap(), "mine");
    // Another experiment's results.
    let other = folder.path().join("other");
    let lda = [Variant::of(Method::Baseline(Baseline::Lda))];
    annotation::run(&protocol(&other, 1), &lda, &mut Silent).unwrap();
    let before = std::fs::read_to_string(other.join("results.jsonl")).unwrap();
    let error = one_class::run(&protocol(&other, 1), &lda, &mut Silent).unwrap_err();
    assert!(matches!(error, Error::Usage { .. }) && error.to_string().contains("--overwrite"), "{error}");
    assert_eq!(std::fs::read_to_string(other.join("results.jsonl")).unwrap(), before);
    one_class::run(&Protocol { overwrite: true, ..protocol(&other, 1) }, &lda, &mut Silent).unwrap();
}

fn changes(texts: &[&str]) -> Vec<Change> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn runs_that_diverge_before_an_epoch_count_as_diverged_and_have_no_figures() {
    let folder = tempfile::tempdir().unwrap();
    let mut protocol = protocol(&folder.path().join("out"), 2);
    protocol.changes = changes(&["ebm.divergence.limit=1e-9"]);
    let variants = [Variant::of(Model::Clams.into()), Variant::of(Baseline::Lda.into())];
    let table = annotation::run(&protocol, &variants, &mut Silent).unwrap();
    assert_eq!((figure(&table, "clams", "runs"), figure(&table, "clams", "div %")), (2.0, 100.0));
    assert!(table.rows[0].1[2..].iter().all(Option::is_none), "{}", table.markdown());
    assert!(figure(&table, "lda", "acc %") > 90.0);
    // Settings are part of what is asked.
    protocol.changes = changes(&["ebm.divergence.limit=1e-8"]);
    let error = annotation::run(&protocol, &variants, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("something else than this experiment"), "{error}");
    protocol.out = folder.path().join("new");
    protocol.changes = changes(&["ebm.speed=2"]);
    let error = annotation::run(&protocol, &variants, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("there is no setting \"speed\"; use one of net, optim"), "{error}");
    assert!(!protocol.out.exists());
}

#[test]
fn figures_that_are_not_defined_are_dashes() {
    let folder = tempfile::tempdir().unwrap();
    let mut protocol = protocol(&folder.path().join("out"), 1);
    // Nothing unknown is in the query.
    protocol.data.query_filter = vec!["batch=batch1".parse().unwrap(), "cell_type!=type3".parse().unwrap()];
    let every: Vec<Variant> = Method::all().map(Variant::of).collect();
    let table = annotation::run(&protocol, &every, &mut Silent).unwrap();
    assert!(table.rows.iter().all(|(_, cells)| cells[4..].iter().all(Option::is_none)), "{}", table.markdown());
    assert!(figure(&table, "lda", "acc %") > 90.0);
    // The one that is not there yet keeps its place.
    let (name, cells) = table.rows.last().unwrap();
    assert_eq!((name.as_str(), cells.iter().flatten().count()), ("scanvi", 0));
    assert_eq!(figure(&table, "clams", "runs"), 2.0);
}

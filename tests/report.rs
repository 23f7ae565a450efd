//! The report page and its figures, read back as a browser and a table would.

use cytograd::data::simulate::{SimulateParams, simulate};
use cytograd::data::{Column, Entry, Matrix, h5ad};
use cytograd::device::Device;
use cytograd::models::annotator::rehearse::{RehearseOptions, rehearse};
use cytograd::models::annotator::{AnnotateOptions, Profile, TrainOptions, annotate, train};
use cytograd::models::ebm::Model;
use cytograd::models::run::Silent;
use cytograd::report::cells::Cells;
use cytograd::report::pipeline::{Figures, multiqc};
use cytograd::report::{ReportOptions, report, unknown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A name that HTML, SVG and CSV all have to write in their own way.
const STRANGE: &str = "T <4> & \"B\", it's";

/// Cells on a map, where not all of them are needed.
const MAPPED: usize = 100;

struct Made {
    folder: tempfile::TempDir,
    cells: usize,
}

impl Made {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A run with a query and samples, and the query annotated with it; one type is unknown to the model.
fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let params = SimulateParams { n_cells: 700, n_genes: 250, n_types: 5, seed: 3, ..SimulateParams::default() };
        let mut data = simulate(&params).unwrap();
        let Some((_, Column::Categorical(types))) = data.obs.columns.iter_mut().find(|(name, _)| name == "cell_type")
        else {
            panic!("simulated cells have types")
        };
        types.categories[1] = STRANGE.into();
        h5ad::write(&path("cells.h5ad"), &data).unwrap();
        let mut settings = Profile::Small.settings(Model::Clams, None, 300);
        settings.features.n_pcs = 15;
        settings.ebm.net.widths = vec![24];
        settings.ebm.net.blocks = vec![1];
        settings.ebm.optim.epochs = 8;
        settings.ebm.optim.decay_epochs = vec![4];
        settings.ebm.sgld.steps = 5;
        settings.ebm.sgld.buffer = 200;
        let device = Device::cpu(2);
        let mut options = TrainOptions::new(Model::Clams, path("cells.h5ad"), "cell_type", path("run"));
        options.filter = vec!["batch=batch0".parse().unwrap()];
        options.query = Some(path("cells.h5ad"));
        options.settings = Some(settings);
        train(&options, &device, &mut Silent).unwrap();
        let few = data.obs.get("cell_type").unwrap().text(0).unwrap();
        rehearse(&RehearseOptions { types: vec![few], ..RehearseOptions::new(path("run")) }, &device, &mut Silent)
            .unwrap();
        let mut options = AnnotateOptions::new(path("run"), path("cells.h5ad"), path("annotated.h5ad"));
        options.filter = vec!["batch=batch1".parse().unwrap()];
        options.all_scores = true;
        let summary = annotate(&options, &device, &mut Silent).unwrap();
        Made { cells: summary.cells, folder }
    })
}

fn options(name: &str) -> ReportOptions {
    let made = made();
    let mut options = ReportOptions::new(made.path("run"), made.path(&format!("{name}.html")));
    options.annotated = Some(made.path("annotated.h5ad"));
    options.figures = Some(made.path(&format!("{name}_figures")));
    options.most_cells = MAPPED;
    options
}

fn page(options: &ReportOptions) -> String {
    report(options, &Device::cpu(2), &mut Silent).unwrap();
    std::fs::read_to_string(&options.output).unwrap()
}

/// Fails unless every element is closed where it was opened; returns the names of all.
fn elements(text: &str) -> Vec<String> {
    let (mut open, mut all): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for part in text.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap_or_else(|| panic!("a tag without an end: {part}"));
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name: String = tag.trim_start_matches('/').chars().take_while(|c| c.is_alphanumeric()).collect();
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()), "{tag}");
        } else if !tag.starts_with('!') {
            all.push(name.clone());
            if !tag.ends_with('/') && name != "meta" {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

/// The points in the clouds of the figure of that name.
fn dots(page: &str, figure: &str) -> usize {
    let (_, rest) = page.split_once(&format!("<figure id=\"{figure}\">")).unwrap_or_else(|| panic!("no {figure}"));
    let (own, _) = rest.split_once("</figure>").unwrap();
    let count = |part: &str| part.split('"').next().unwrap().parse::<usize>().unwrap();
    // Single dots are those of the list of groups.
    own.split("data-n=\"").skip(1).map(count).filter(|&n| n > 1).sum()
}

#[test]
fn the_page_shows_every_cell_and_needs_nothing_from_outside() {
    let mut options = options("whole");
    options.most_cells = 5000;
    options.truth = Some("cell_type".into());
    let html = page(&options);
    let names = elements(&html);
    let count = |name: &str| names.iter().filter(|n| *n == name).count();
    assert_eq!(count("figure"), count("svg"));
    for outside in ["<script", "<link", "<img", "src=", "href=", "url(", "@import", "https:"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(html.matches("http:").count(), html.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
    assert!(html.contains("T &lt;4&gt; &amp; &quot;B&quot;, it&#39;s") && !html.contains("<4>"));
    assert!(!html.contains("NaN") && !html.contains("inf\""));
    assert!(html.contains("Unseen types, rehearsed") && html.contains("looked for in the query, as the run labels it"));
    for figure in ["tsne_labels", "tsne_unknown", "tsne_truth"] {
        assert_eq!(dots(&html, figure), made().cells, "{figure}");
    }
    for figure in [
        "labels",
        "confidence",
        "heatmap",
        "calibration",
        "score_logpx",
        "score_maxp",
        "score_knn",
        "score_mahalanobis",
        "training_loss",
        "generative_loss",
        "energies",
        "accuracy",
        "clipping",
        "tsne_source",
        "tsne_source_types",
    ] {
        assert!(html.contains(&format!("<figure id=\"{figure}\">")), "{figure}");
    }
    assert!(!html.contains("Not shown"), "everything is there");
}

#[test]
fn every_figure_is_there_as_svg_png_and_csv() {
    let mut options = options("single");
    options.truth = Some("cell_type".into());
    let found = report(&options, &Device::cpu(2), &mut Silent).unwrap();
    let folder = found.figures_in.unwrap();
    let read = |name: &str, ending: &str| std::fs::read(folder.join(format!("{name}.{ending}"))).unwrap();
    for name in &found.figures {
        let svg = String::from_utf8(read(name, "svg")).unwrap();
        assert!(svg.starts_with("<svg xmlns=") && elements(&svg)[0] == "svg", "{name}");
        assert_eq!(read(name, "png")[..8], *b"\x89PNG\r\n\x1a\n", "{name}");
        let mut reader = csv::Reader::from_reader(std::io::Cursor::new(read(name, "csv")));
        assert!(reader.records().all(|row| row.is_ok()) && reader.position().line() > 2, "{name}");
    }
    let map = String::from_utf8(read("tsne_labels", "csv")).unwrap();
    assert_eq!(map.lines().count(), MAPPED + 1);
    // Columns of the heatmap sum to 1.
    let mut reader = csv::Reader::from_reader(std::io::Cursor::new(read("heatmap", "csv")));
    let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.unwrap()).collect();
    for column in 1..rows[0].len() {
        let sum: f64 = rows.iter().map(|row| row[column].parse::<f64>().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "column {column}: {sum}");
    }
    assert!(rows.iter().any(|row| &row[0] == STRANGE));
}

#[test]
fn the_same_page_for_any_number_of_threads() {
    let mut options = options("threads");
    options.figures = None;
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| page(&options));
    let together = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(|| page(&options));
    assert!(alone == together);
}

#[test]
fn a_run_alone_is_reported_and_what_is_not_shown_is_said() {
    let mut options = options("alone");
    options.annotated = None;
    let html = page(&options);
    elements(&html);
    assert!(html.contains("Not shown") && html.contains("no annotated file was given"));
    assert!(html.contains("<figure id=\"energies\">") && !html.contains("tsne_labels"));
    options.truth = Some("cell_type".into());
    assert_eq!(report(&options, &Device::cpu(1), &mut Silent).unwrap_err().exit_code(), 2);
}

/// The annotated file with some of its columns changed.
fn changed(name: &str, change: impl Fn(&mut cytograd::data::Dataset)) -> PathBuf {
    let mut data = h5ad::read(&made().path("annotated.h5ad")).unwrap();
    change(&mut data);
    let path = made().path(&format!("{name}.h5ad"));
    h5ad::write(&path, &data).unwrap();
    path
}

#[test]
fn cells_of_one_label_without_numbers_or_without_any_label_are_reported() {
    let n = made().cells;
    let nothing = changed("nothing", |data| {
        data.obs.set("cytograd_prob", Column::Float32(vec![f32::NAN; n])).unwrap();
        data.obs.columns.retain(|(name, _)| !name.starts_with("cytograd_score") && name != "cytograd_logpx");
        data.obs.set("cytograd_label", Column::Str(vec![String::new(); n])).unwrap();
        data.obsm.clear();
    });
    let one = changed("one", |data| {
        let Some(Column::Categorical(label)) = data.obs.get("cytograd_label").cloned() else { panic!("labels") };
        let mut label = label;
        label.codes = vec![0; n];
        data.obs.set("cytograd_label", Column::Categorical(label)).unwrap();
        for (_, entry) in &mut data.obsm {
            // At one place, but for a cell that is nowhere.
            if let Entry::Matrix(Matrix::Dense(x)) = entry {
                x.values_mut().fill(1.0);
                x.values_mut()[0] = f32::NAN;
            }
        }
    });
    for (file, cloud) in [(nothing, 0), (one, MAPPED)] {
        let mut options = options("edge");
        options.annotated = Some(file);
        options.truth = Some("cell_type".into());
        let html = page(&options);
        elements(&html);
        assert!(!html.contains("NaN"), "{}", html.split("NaN").next().unwrap().len());
        if cloud > 0 {
            assert_eq!(dots(&html, "tsne_labels"), cloud);
        } else {
            assert!(!html.contains("tsne_labels") && html.contains("Not shown"));
        }
    }
}

#[test]
fn wrong_places_are_errors_that_name_them() {
    let fails = |options: &ReportOptions, word: &str| {
        let error = report(options, &Device::cpu(1), &mut Silent).unwrap_err();
        assert!(error.to_string().contains(word) && error.exit_code() == 2, "{error}");
        assert!(!options.output.exists());
    };
    let mut o = options("wrong");
    o.run = made().path("nowhere");
    fails(&o, "no such folder");
    let mut o = options("wrong");
    o.truth = Some("cell type".into());
    fails(&o, "cell type");
    let mut o = options("wrong");
    o.annotated = Some(made().path("cells.h5ad"));
    fails(&o, "holds no cytograd annotation");
    let mut o = options("wrong");
    o.output = Path::new("/dev/null/report.html").into();
    assert_eq!(report(&o, &Device::cpu(1), &mut Silent).unwrap_err().exit_code(), 1);
}

/// 300 cells on a line, known; some flagged at random, and `extra` cells far away, all flagged.
fn with_population(extra: usize) -> Cells {
    let mut cells = Cells::read(&made().path("annotated.h5ad"), None, None).unwrap();
    let n = 300 + extra;
    let x = |i: usize| if i < 300 { [i as f32, 0.0] } else { [150.0, 500.0 + (i % 7) as f32 + i as f32 * 0.01] };
    cells.given = (0..n).map(|i| Some(usize::from(i >= 300))).collect();
    cells.prob = vec![0.5; n];
    cells.scores.clear();
    cells.flagged = (0..n).map(|i| i >= 300 || i % 19 == 0).collect();
    cells.embedding = Some(((0..n).flat_map(x).collect(), 2));
    cells
}

#[test]
fn cells_that_are_flagged_together_are_a_population_and_scattered_ones_are_none() {
    assert_eq!(unknown::populations(&with_population(0)).unwrap(), []);
    let found = unknown::populations(&with_population(40)).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].cells, (300..340).collect::<Vec<_>>());
    assert_eq!((found[0].share, found[0].prob, &found[0].truth), (1.0, 0.5, &None));
    assert_eq!(found[0].nearest, with_population(0).labels[1]);
}

#[test]
fn marker_genes_are_those_that_are_higher() {
    let file = changed("markers", |data| {
        let genes: Vec<usize> = vec![5, 17];
        let mut x = data.x.to_dense();
        let width = data.n_vars();
        for (row, gene) in (0..30).flat_map(|row| genes.iter().map(move |&gene| (row, gene))) {
            x[row * width + gene] += 40.0;
        }
        data.x = Matrix::Dense(cytograd::data::Dense::new(data.n_obs(), width, x).unwrap());
    });
    let names = h5ad::read(&file).unwrap().var.index;
    let mut found = unknown::populations(&with_population(40)).unwrap();
    found[0].cells = (0..30).collect();
    unknown::name_markers(&mut found, &file, None, cytograd::data::Memory::default()).unwrap();
    let mut first = found[0].markers[..2].to_vec();
    first.sort();
    let mut expected = vec![names[5].clone(), names[17].clone()];
    expected.sort();
    assert_eq!(first, expected, "{:?}", found[0].markers);
}

#[test]
fn multiqc_gets_the_figures_of_a_sample() {
    let cells = Cells::read(&made().path("annotated.h5ad"), None, None).unwrap();
    let content = multiqc("s1", &Figures::from(&cells));
    assert_eq!(content["data"]["s1"]["cells"], made().cells);
    let columns = content["headers"].as_object().unwrap();
    let data = content["data"]["s1"].as_object().unwrap();
    assert!(data.keys().all(|name| columns.contains_key(name)), "{data:?}");
    let unknown = content["data"]["s1"]["unknown"].as_f64().unwrap();
    assert!((0.0..=100.0).contains(&unknown), "{unknown}");
}

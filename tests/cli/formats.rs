//! Queries of other formats get the labels that the same cells get as h5ad.

use crate::cells::{self, TYPES};
use crate::place::Place;
use cytograd::data::{Dataset, h5ad};
use std::fmt::Write;
use std::path::Path;

const ANNOTATE: &str = "annotate --model run -o out.h5ad";

fn csv(path: &Path, data: &Dataset) {
    let mut text = format!("gene,{}\n", data.obs.index.join(","));
    for (gene, name) in data.var.index.iter().enumerate() {
        let values: Vec<String> =
            (0..data.n_obs()).map(|c| data.x.to_dense()[c * cells::GENES + gene].to_string()).collect();
        writeln!(text, "{name},{}", values.join(",")).expect("written");
    }
    std::fs::write(path, text).expect("written");
}

fn folder(path: &Path, data: &Dataset) {
    std::fs::create_dir(path).expect("made");
    let x = data.x.to_csr().expect("sparse");
    let mut text =
        format!("%%MatrixMarket matrix coordinate integer general\n{} {} {}\n", x.n_cols(), x.n_rows(), x.nnz());
    for cell in 0..x.n_rows() {
        let (genes, values) = x.row(cell);
        genes.iter().zip(values).for_each(|(g, v)| writeln!(text, "{} {} {v}", g + 1, cell + 1).expect("written"));
    }
    std::fs::write(path.join("matrix.mtx"), text).expect("written");
    let genes: String = data.var.index.iter().map(|g| format!("{g}\t{g}\n")).collect();
    std::fs::write(path.join("genes.tsv"), genes).expect("written");
    std::fs::write(path.join("barcodes.tsv"), data.obs.index.join("\n")).expect("written");
}

#[test]
fn a_query_of_any_format_gets_the_same_labels() {
    let place = Place::new();
    cells::write(&place.path("ref.h5ad"), 15, 1, |_| {});
    cells::write(&place.path("query.h5ad"), 10, 2, |_| {});
    let query = cells::cells(&TYPES, 10, 2);
    csv(&place.path("query.csv"), &query);
    folder(&place.path("query"), &query);
    place.ok("train resnet --reference ref.h5ad --label-key cell_type --out run --epochs 2");
    let labels = |name: &str| {
        let said = place.ok(&format!("{ANNOTATE} {name}"));
        let out = h5ad::read(&place.path("out.h5ad")).expect("out");
        assert_eq!(out.x.to_csr().expect("sparse"), query.x.to_csr().expect("sparse"), "{name}");
        let columns = ["cytograd_label", "cytograd_prob", "cytograd_logpx", "cytograd_pvalue", "cytograd_ood"];
        (columns.map(|c| out.obs.get(c).expect("a column").clone()), said)
    };
    let expected = labels("query.h5ad").0;
    for name in ["query.csv", "query"] {
        let (found, said) = labels(name);
        assert_eq!(found, expected, "{name}");
        said.has_line(&["out.h5ad", "written as h5ad"]);
    }
    labels("query.csv").1.has_line(&["query.csv", "genes are taken to be in the rows"]);
    // Some cells of a folder.
    place.fails(&format!("{ANNOTATE} query --where batch=one"), 2, &["query", "\"batch\""]);
    // Counts from a table, preprocessed.
    place.ok("preprocess query.csv -o small.h5ad --n-pcs 3 --n-top 20");
    assert_eq!(h5ad::read(&place.path("small.h5ad")).expect("out").n_obs(), 40);
}

#[test]
fn too_few_genes_are_refused_and_the_floor_can_be_moved() {
    let place = Place::new();
    cells::write(&place.path("ref.h5ad"), 15, 1, |_| {});
    cells::write(&place.path("query.h5ad"), 10, 2, |d| {
        for (i, name) in d.var.index.iter_mut().enumerate().skip(9) {
            *name = format!("OTHER{i}");
        }
    });
    let train = "train resnet --reference ref.h5ad --label-key cell_type --out run --epochs 2";
    place.fails(&format!("{train} --query query.h5ad"), 2, &["query.h5ad", "9 of", "120", "--min-gene-overlap"]);
    place.ok(train);
    place.fails(&format!("{ANNOTATE} query.h5ad"), 2, &["query.h5ad", "only 9 of the model's 120 genes (7.5 %)"]);
    place.ok(&format!("{ANNOTATE} query.h5ad --min-gene-overlap 0.05"));
    place.fails(&format!("{ANNOTATE} query.h5ad --min-gene-overlap 2"), 2, &["--min-gene-overlap"]);
}

#[test]
fn repeated_genes_are_added_in_counts_and_refused_in_logarithms() {
    let place = Place::new();
    cells::write(&place.path("ref.h5ad"), 15, 1, |_| {});
    place.ok("train resnet --reference ref.h5ad --label-key cell_type --out run --epochs 2");
    let repeated = |d: &mut Dataset| d.var.index[4] = "GENE3".into();
    cells::write(&place.path("query.h5ad"), 10, 2, repeated);
    place.ok(&format!("{ANNOTATE} query.h5ad")).has_line(&["warning", "1 genes repeat"]);
    cells::write(&place.path("query.h5ad"), 10, 2, |d| {
        repeated(d);
        let sums = d.x.row_sums();
        cells::map_x(d, |cell, _, v| (v / sums[cell] as f32 * 1000.0).ln_1p());
    });
    place.fails(&format!("{ANNOTATE} query.h5ad"), 2, &["query.h5ad", "\"GENE3\" occurs more than once", "log1p"]);
}

//! Every kind of bad input: one clear line, the right exit code, nothing that was there changed.

use crate::cells::{self, map_labels, map_x};
use crate::place::{Place, files};
use cytograd::data::{Column, Csr, Dataset, Matrix, Table};

const TRAIN: &str = "train resnet --reference ref.h5ad --label-key cell_type --out run --epochs 2";
const ANNOTATE: &str = "annotate --model run query.h5ad -o out.h5ad";

/// A place with a reference that `change` has been at, and an older result that must survive.
fn reference(change: impl FnOnce(&mut Dataset)) -> Place {
    let place = Place::new();
    cells::write(&place.path("ref.h5ad"), 15, 1, change);
    std::fs::write(place.path("out.h5ad"), "an older result").expect("written");
    place
}

/// A place with a trained run and a query that `change` has been at.
fn trained(change: impl FnOnce(&mut Dataset)) -> Place {
    let place = reference(|_| {});
    place.ok(TRAIN);
    cells::write(&place.path("query.h5ad"), 10, 2, change);
    place
}

fn rename(names: &mut [String], f: impl Fn(usize, &str) -> String) {
    for (i, name) in names.iter_mut().enumerate() {
        *name = f(i, name);
    }
}

#[test]
fn a_file_that_is_not_hdf5() {
    let place = trained(|_| {});
    std::fs::write(place.path("notes.h5ad"), "some text, and not a matrix\n").expect("written");
    for arguments in [
        "inspect notes.h5ad".to_owned(),
        "evaluate notes.h5ad --truth cell_type".to_owned(),
        "preprocess notes.h5ad -o out.h5ad".to_owned(),
        TRAIN.replace("ref.h5ad", "notes.h5ad").replace("run", "other"),
        ANNOTATE.replace("query", "notes"),
    ] {
        place.fails(&arguments, 2, &["notes.h5ad", "HDF5"]);
        place.fails(&arguments.replace("notes", "missing"), 2, &["missing.h5ad"]);
    }
}

#[test]
fn a_truncated_file() {
    let place = trained(|_| {});
    let bytes = std::fs::read(place.path("query.h5ad")).expect("a file");
    for keep in [bytes.len() / 2, 600] {
        std::fs::write(place.path("cut.h5ad"), &bytes[..keep]).expect("written");
        place.fails("inspect cut.h5ad", 2, &["cut.h5ad"]);
        place.fails(&TRAIN.replace("ref.h5ad", "cut.h5ad").replace("run", "other"), 2, &["cut.h5ad"]);
        place.fails(&ANNOTATE.replace("query", "cut"), 2, &["cut.h5ad"]);
    }
}

#[test]
fn a_file_without_x() {
    let place = reference(|_| {});
    let guard = files();
    let file = hdf5::File::open_rw(place.path("ref.h5ad")).expect("opens");
    file.unlink("X").expect("X was there");
    file.close().expect("closes");
    drop(guard);
    place.fails("inspect ref.h5ad", 2, &["ref.h5ad", "X"]);
    place.fails(TRAIN, 2, &["ref.h5ad", "X"]);
}

#[test]
fn a_missing_label_column_or_layer() {
    let place = trained(|_| {});
    let train = TRAIN.replace("run", "other");
    place.fails(&train.replace("cell_type", "kind"), 2, &["ref.h5ad", "\"kind\"", "\"cell_type\""]);
    place.fails(&format!("{train} --batch-key lane"), 2, &["\"lane\"", "\"batch\""]);
    place.fails(&format!("{train} --layer spliced"), 2, &["ref.h5ad", "\"spliced\"", "--layer"]);
    place.fails(&format!("{train} --where batch=three"), 2, &["\"three\"", "\"one\""]);
    place.fails(&format!("{train} --hold-out acinar"), 2, &["\"acinar\"", "\"mono\""]);
    place.fails(&format!("{ANNOTATE} --where lane=1"), 2, &["query.h5ad", "\"lane\""]);
    place.ok(ANNOTATE);
    place.fails("evaluate out.h5ad --truth kind", 2, &["out.h5ad", "\"kind\"", "\"cell_type\""]);
    place.fails("evaluate query.h5ad --truth cell_type", 2, &["query.h5ad", "cytograd annotate"]);
}

#[test]
fn labels_with_one_class() {
    let place = reference(|d| map_labels(d, |_, _| "T".into()));
    place.fails(TRAIN, 2, &["ref.h5ad", "\"T\""]);
    let place = reference(|_| {});
    place.fails(&format!("{TRAIN} --hold-out T --hold-out B --hold-out NK"), 2, &["\"mono\"", "two classes"]);
}

#[test]
fn a_class_with_one_cell() {
    let place = reference(|d| map_labels(d, |cell, label| if cell == 5 { "rare".into() } else { label.into() }));
    place.fails(TRAIN, 2, &["ref.h5ad", "\"rare\"", "one cell", "--hold-out"]);
    place.ok(&format!("{TRAIN} --hold-out rare"));
    let said = place.ok("inspect ref.h5ad").stdout;
    let lines = |part: &str| said.lines().filter(|line| line.contains(part)).count();
    assert_eq!(
        lines("class \"rare\" of one cell, which train refuses; leave it out with --hold-out \"rare\""),
        1,
        "{said}"
    );
    assert!(lines("--label-key \"cell_type\" --hold-out \"rare\"") > 0, "{said}");
}

#[test]
fn missing_labels() {
    let place = reference(|d| map_labels(d, |cell, label| if cell < 3 { String::new() } else { label.into() }));
    place.fails(TRAIN, 2, &["ref.h5ad", "3 of 60 cells have no label", "cell_type"]);
    place.ok(&format!("{TRAIN} --where cell_type!="));
    let said = place.ok("inspect ref.h5ad").stdout;
    let problem = "3 cells have no label, which train refuses; leave them out with --where 'cell_type!='";
    assert!(said.contains(problem), "{said}");
    let place = reference(|d| d.obs.set("cell_type", Column::Str(vec![String::new(); 60])).expect("sizes fit"));
    place.fails(TRAIN, 2, &["ref.h5ad", "none of 60 cells has a label"]);
    place.fails(&format!("{TRAIN} --where cell_type!="), 2, &["\"cell_type\"", "is empty"]);
}

#[test]
fn numbers_as_labels() {
    let place = reference(|d| d.obs.set("total", Column::Int((0..60).collect())).expect("sizes fit"));
    let said = place.fails(&TRAIN.replace("cell_type", "total"), 2, &["60 different values", "--label-key"]);
    assert!(!said.stderr.contains("--hold-out"), "{}", said.stderr);
}

#[test]
fn a_truth_of_other_names_is_a_warning() {
    let place = trained(|_| {});
    place.ok(ANNOTATE);
    let said = place.ok("evaluate out.h5ad --truth batch");
    said.has_line(&["warning", "out.h5ad", "\"batch\" (\"one\", \"two\")", "\"NK\"", "--label-map", "--truth"]);
    assert!(!place.ok("evaluate out.h5ad --truth cell_type").stderr.contains("warning"));
}

#[test]
fn nan_or_negative_values() {
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-2.0, "-2")] {
        let broken = |d: &mut Dataset| map_x(d, |cell, gene, v| if (cell, gene) == (7, 9) { value } else { v });
        let place = reference(broken);
        place.fails(TRAIN, 2, &["ref.h5ad: X", word, "cell7", "GENE9"]);
        place.fails("preprocess ref.h5ad -o out.h5ad", 2, &["ref.h5ad: X", word, "cell7", "GENE9"]);
        trained(broken).fails(ANNOTATE, 2, &["query.h5ad: X", word, "cell7", "GENE9"]);
    }
}

#[test]
fn normalised_data_where_counts_are_needed_and_the_reverse() {
    let logged = |d: &mut Dataset| {
        let sums = d.x.row_sums();
        d.layers.push(("counts".into(), d.x.clone()));
        map_x(d, |cell, _, v| (v / sums[cell] as f32 * 1000.0).ln_1p());
    };
    // Counts are needed: the error leads to the layer that has them.
    let place = reference(logged);
    place.fails("preprocess ref.h5ad -o out.h5ad", 2, &["ref.h5ad: X", "cell0", "not a count", "--layer counts"]);
    place.ok("preprocess ref.h5ad -o out.h5ad --layer counts");
    // Training takes both, says so, and annotates queries of either kind.
    place.ok(TRAIN).has_line(&["ref.h5ad: X", "log1p", "not counts"]);
    cells::write(&place.path("query.h5ad"), 10, 2, |_| {});
    place.ok(ANNOTATE);
    let place = trained(logged);
    place.ok(ANNOTATE).has_line(&["query.h5ad: X", "log1p", "not counts"]);
    // Scaled values are neither.
    let place = trained(|d| map_x(d, |_, _, v| v - 1.0));
    place.fails(ANNOTATE, 2, &["query.h5ad: X", "negative", "no other matrix", "counts"]);
    place.fails(
        &TRAIN.replace("ref.h5ad", "query.h5ad").replace("run", "other"),
        2,
        &["query.h5ad: X", "no other matrix"],
    );
    let place = trained(|d| {
        d.layers.push(("umis".into(), d.x.clone()));
        map_x(d, |_, _, v| v - 1.0);
    });
    place.fails(ANNOTATE, 2, &["query.h5ad: X", "negative", "--layer may name \"umis\""]);
}

#[test]
fn no_shared_genes() {
    let place = trained(|d| rename(&mut d.var.index, |i, _| format!("ENSG{i:011}")));
    let said = place.fails(ANNOTATE, 2, &["query.h5ad", "gene"]);
    assert!(said.error().contains("ENSG") || said.error().contains("Ensembl"), "{}", said.stderr);
    place.fails(&format!("{} --query query.h5ad", TRAIN.replace("run", "other")), 2, &["query.h5ad", "gene"]);
}

#[test]
fn fewer_than_half_of_the_genes_shared_is_a_warning_with_numbers() {
    let place = trained(|d| rename(&mut d.var.index, |i, name| if i < 48 { name.into() } else { format!("OTHER{i}") }));
    place.ok(ANNOTATE).has_line(&["warning", "query.h5ad", "48 of", "120 genes", "40 %"]);
    let train = format!("{} --query query.h5ad", TRAIN.replace("run", "other"));
    place.ok(&train).has_line(&["warning", "query.h5ad", "48 of", "120", "40"]);
}

#[test]
fn duplicate_gene_or_cell_names() {
    let genes = |d: &mut Dataset| rename(&mut d.var.index, |i, name| if i == 4 { "GENE3".into() } else { name.into() });
    let cells = |d: &mut Dataset| rename(&mut d.obs.index, |i, name| if i == 4 { "cell3".into() } else { name.into() });
    trained(genes).ok(ANNOTATE).has_line(&["warning", "gene"]);
    trained(cells).ok(ANNOTATE).has_line(&["warning", "cell"]);
    reference(cells).ok(TRAIN).has_line(&["warning", "cell"]);
    let place = reference(genes);
    place.ok(TRAIN).has_line(&["warning", "gene"]);
    assert!(place.ok("inspect ref.h5ad").stdout.contains("\"GENE3\" occurs 2 times"));
}

#[test]
fn an_empty_matrix() {
    let empty = |d: &mut Dataset| *d = d.select_obs(&[]);
    let place = trained(empty);
    place.fails(ANNOTATE, 2, &["query.h5ad", "empty", "0 cells"]);
    place.fails("preprocess query.h5ad -o out.h5ad", 2, &["query.h5ad", "empty", "0 cells"]);
    reference(empty).fails(TRAIN, 2, &["ref.h5ad"]);
    let without_genes = |d: &mut Dataset| {
        d.x = Matrix::Csr(Csr::zeros(d.n_obs(), 0));
        d.var = Table::new(vec![]);
    };
    reference(without_genes).fails(TRAIN, 2, &["ref.h5ad", "empty", "0 genes"]);
}

#[test]
fn a_cell_without_counts() {
    let hollow = |d: &mut Dataset| map_x(d, |cell, _, v| if cell == 6 { 0.0 } else { v });
    let place = reference(hollow);
    place.ok(TRAIN).has_line(&["warning", "cell6", "without counts"]);
    assert!(place.ok("inspect ref.h5ad").stdout.contains("cell cell6 has no counts"));
    let place = trained(hollow);
    place.ok(ANNOTATE).has_line(&["warning", "no counts"]);
    let out = cytograd::data::h5ad::read(&place.path("out.h5ad")).expect("out");
    let label = out.obs.get("cytograd_label").expect("labels");
    assert!(label.text(6).is_none() && label.text(5).is_some(), "the hollow cell alone has no label");
}

#[test]
fn an_output_folder_that_exists() {
    let place = reference(|_| {});
    std::fs::create_dir(place.path("run")).expect("made");
    place.fails(TRAIN, 2, &["run", "already exists", "--out"]);
    std::fs::remove_dir(place.path("run")).expect("removed");
    place.ok(TRAIN);
    place.fails(TRAIN, 2, &["run", "already exists", "--resume", "--overwrite"]);
    place.ok(&format!("{TRAIN} --overwrite"));
}

#[test]
fn an_unwritable_folder() {
    let place = trained(|_| {});
    std::fs::write(place.path("file"), "not a folder").expect("written");
    place.fails(&TRAIN.replace("--out run", "--out file/run"), 1, &["file/run"]);
    place.fails(&ANNOTATE.replace("out.h5ad", "file/out.h5ad"), 1, &["file/out.h5ad"]);
    let missing = &["nowhere/out.h5ad", "the folder nowhere does not exist; make it first"];
    place.fails(&ANNOTATE.replace("out.h5ad", "nowhere/out.h5ad"), 1, missing);
    place.fails("preprocess ref.h5ad -o nowhere/out.h5ad", 1, &["nowhere/out.h5ad"]);
}

#[test]
fn a_full_disk() {
    let place = trained(|_| {});
    let before = place.content();
    // A limit on the size of files stands in for a full disk.
    let full = "trap '' XFSZ; ulimit -f 4; exec";
    for (arguments, name) in [
        (ANNOTATE.to_owned(), "out.h5ad"),
        ("preprocess ref.h5ad -o out.h5ad".to_owned(), "out.h5ad"),
        (TRAIN.replace("--out run", "--out other"), "other"),
    ] {
        let said = place.run_in_shell(full, &arguments);
        assert_eq!(said.code, 1, "{arguments}:\n{}", said.stderr);
        assert!(said.error().contains(name), "{}", said.stderr);
        let after: Vec<_> = place.content().into_iter().filter(|(p, _)| !p.starts_with(place.path("other"))).collect();
        assert_eq!(after.len(), before.len(), "{arguments}: something was left");
        assert!(after == before, "{arguments}: something was changed");
    }
    let said = place.fails(&format!("{ANNOTATE} --csv /dev/full"), 1, &["/dev/full", "No space left"]);
    assert!(said.stdout.is_empty());
}

#[test]
fn a_run_folder_of_another_version_or_damaged() {
    let place = trained(|_| {});
    let manifest = place.path("run/manifest.json");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, text.replace("\"format\": 1", "\"format\": 9")).expect("written");
    place.fails(ANNOTATE, 2, &["run", "format 9", "format 1"]);
    std::fs::write(&manifest, text.replacen("resnet", "resnex", 1)).expect("written");
    place.fails(ANNOTATE, 2, &["manifest.json", "damaged"]);
    std::fs::write(&manifest, &text).expect("written");
    let model = place.path("run/model.safetensors");
    let bytes = std::fs::read(&model).expect("a model");
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    std::fs::write(&model, damaged).expect("written");
    place.fails(ANNOTATE, 2, &["run", "model.safetensors", "damaged"]);
    std::fs::remove_file(&model).expect("removed");
    place.fails(ANNOTATE, 2, &["run", "model.safetensors", "missing"]);
    std::fs::write(&model, bytes).expect("written");
    place.ok(ANNOTATE);
    place.fails(&ANNOTATE.replace("--model run", "--model nowhere"), 2, &["nowhere", "no such folder"]);
    place.fails(&ANNOTATE.replace("--model run", "--model ."), 2, &["manifest.json"]);
}

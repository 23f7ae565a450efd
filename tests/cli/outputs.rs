//! Outputs that would take the place of something, or that cannot be written: refused before the work.

use crate::cells;
use crate::place::Place;
use cytograd::data::h5ad;

/// A place with a reference, a query and a run.
fn trained() -> Place {
    let place = Place::new();
    cells::write(&place.path("ref.h5ad"), 15, 1, |_| {});
    cells::write(&place.path("query.h5ad"), 10, 2, |_| {});
    place.ok("train resnet --reference ref.h5ad --label-key cell_type --out run --epochs 2");
    place
}

#[test]
fn cells_that_where_leaves_out_are_not_lost_from_the_input() {
    let place = trained();
    std::fs::create_dir(place.path("sub")).expect("made");
    for output in ["query.h5ad", "./sub/../query.h5ad"] {
        let annotate = format!("annotate --model run query.h5ad --where batch=one -o {output}");
        place.fails(&annotate, 2, &["query.h5ad", "--where", "would be lost", "-o"]);
        let split = format!("split query.h5ad --label-key cell_type --where batch=one -o {output}");
        place.fails(&split, 2, &["query.h5ad", "--where", "would be lost", "-o"]);
    }
    place.ok("annotate --model run query.h5ad -o query.h5ad");
    assert_eq!(h5ad::read(&place.path("query.h5ad")).expect("read").n_obs(), 40);
}

#[test]
fn what_preprocess_drops_is_not_lost_from_the_input() {
    let place = Place::new();
    cells::write(&place.path("raw.h5ad"), 15, 1, |d| {
        cells::map_x(d, |cell, _, v| if cell == 3 { 0.0 } else { v + 1.0 })
    });
    place.fails("preprocess raw.h5ad -o raw.h5ad", 2, &["raw.h5ad", "filters drop", "-o"]);
    place.fails("preprocess raw.h5ad -o raw.h5ad --min-genes 0 --subset", 2, &["raw.h5ad", "vary little", "-o"]);
    place.ok("preprocess raw.h5ad -o raw.h5ad --min-genes 0 --min-cells 0 --n-top 50");
}

#[test]
fn a_file_of_another_format_is_not_overwritten_by_an_h5ad_file() {
    let place = Place::new();
    std::fs::write(place.path("raw.csv"), ",G1,G2\nc1,1,2\nc2,3,4\nc3,0,5\n").expect("written");
    place.fails("preprocess raw.csv -o raw.csv", 2, &["raw.csv", "h5ad", "-o"]);
}

#[test]
fn outputs_that_collide_are_refused() {
    let place = trained();
    let annotate = "annotate --model run query.h5ad";
    for (outputs, parts) in [
        ("-o all.h5ad --csv all.h5ad", &["-o and --csv", "all.h5ad"][..]),
        ("-o all.h5ad --csv ./run/../all.h5ad", &["-o and --csv"]),
        ("-o all.h5ad --csv x --summary x", &["--csv and --summary"]),
        ("-o all.h5ad --multiqc x_mqc.json --versions x_mqc.json", &["--multiqc and --versions"]),
        ("-o all.h5ad --csv query.h5ad", &["--csv query.h5ad", "the query"]),
        ("-o all.h5ad --csv run/manifest.json", &["--csv run/manifest.json", "run folder"]),
        ("-o run/model.safetensors", &["-o run/model.safetensors", "run folder"]),
    ] {
        place.fails(&format!("{annotate} {outputs}"), 2, parts);
    }
    place.fails("report run -o run/manifest.json", 2, &["run/manifest.json", "a file of the run"]);
    place.fails("report run --annotated query.h5ad -o query.h5ad", 2, &["query.h5ad", "the annotated file"]);
    place.fails("report run --multiqc x_mqc.json", 2, &["--annotated"]);
    place.ok("report run -o run/report.html --no-figures");
}

/// The inputs are missing as well, so a complaint about the output came first.
#[test]
fn outputs_that_cannot_be_written_are_found_before_the_work() {
    let place = Place::new();
    std::fs::write(place.path("file"), "not a folder").expect("written");
    std::fs::create_dir(place.path("folder")).expect("made");
    let missing = &["no/x", "the folder no does not exist; make it first"][..];
    for arguments in [
        "annotate --model run q.h5ad -o no/x",
        "annotate --model run q.h5ad -o y --csv no/x",
        "annotate --model run q.h5ad -o y --summary no/x",
        "annotate --model run q.h5ad -o y --versions no/x",
        "preprocess q.h5ad -o no/x",
        "integrate q.h5ad --batch-key batch -o no/x",
        "embed q.h5ad -o no/x",
        "generate --model run -o no/x",
        "report run -o no/x",
        "report run -o y --versions no/x",
    ] {
        let said = place.fails(arguments, 1, missing);
        assert!(!said.stderr.contains(".part") && !said.stderr.contains("probe"), "{}", said.stderr);
        place.fails(&arguments.replace("no/x", "file/x"), 1, &["file/x", "file is a file, not a folder"]);
        place.fails(&arguments.replace("no/x", "folder"), 2, &["folder is a folder"]);
    }
    place.fails("report run -o y --figures file/figures", 1, &["file/figures"]);
    place.fails("inspect q.h5ad", 2, &["q.h5ad: there is no such file"]);
}

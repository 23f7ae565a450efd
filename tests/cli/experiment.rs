//! `cytograd experiment`: tables from the command line.

use crate::cells;
use crate::place::Place;

const DATA: &str = "--reference folds.h5ad --where fold=0 --query folds.h5ad --label-key cell_type --hold-out B";

#[test]
fn a_table_is_printed_written_and_gone_on_with() {
    let place = Place::new();
    cells::write(&place.path("cells.h5ad"), 40, 1, |_| {});
    place.ok("split cells.h5ad -o folds.h5ad --label-key cell_type -k 2");
    let call = format!("experiment annotation {DATA} --models lda,knn --out out");
    let said = place.ok(&call);
    assert!(
        said.stdout.lines().any(|line| line.starts_with("method ") && line.ends_with("own score")),
        "{}",
        said.stdout
    );
    assert!(said.stdout.lines().any(|line| line.starts_with("knn ")), "{}", said.stdout);
    let before = std::fs::read_to_string(place.path("out/results.jsonl")).expect("results");
    assert_eq!(before.lines().count(), 3);
    // More models in the same folder: what is done stays.
    let json = place.ok(&format!("experiment annotation {DATA} --models lda,knn,svm --out out --json")).json();
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(3), "{json}");
    let after = std::fs::read_to_string(place.path("out/results.jsonl")).expect("results");
    assert_eq!(after.lines().count(), 4, "{after}");
    assert!(before.lines().all(|line| after.lines().any(|l| l == line)), "{after}");
    let markdown = std::fs::read_to_string(place.path("out/table.md")).expect("a table");
    assert!(markdown.contains("| method | runs | div % | acc % | ECE % | p(x) | max p | own score |"), "{markdown}");
    let left_out =
        place.ok("experiment one-class --reference cells.h5ad --label-key cell_type --models lda --out types");
    assert!(left_out.stdout.starts_with("One class left out: 4 types"), "{}", left_out.stdout);
}

#[test]
fn wrong_wishes_are_refused_before_any_work() {
    let place = Place::new();
    cells::write(&place.path("cells.h5ad"), 20, 1, |_| {});
    place.ok("split cells.h5ad -o folds.h5ad --label-key cell_type -k 2");
    place.ok(&format!("experiment annotation {DATA} --models lda --out out"));
    place.fails(
        "experiment one-class --reference cells.h5ad --label-key cell_type --models lda --out out",
        2,
        &["out holds something else than this experiment", "--overwrite"],
    );
    let query = "experiment annotation --reference cells.h5ad --label-key cell_type --models lda --out new";
    place.fails(query, 2, &["no query to annotate", "--query"]);
    place.fails(&format!("experiment sweep {DATA} --clips tanh --out new"), 2, &["--clips tanh", "relu"]);
    place.fails(&format!("experiment annotation {DATA} --models forest --out new"), 2, &["forest"]);
}

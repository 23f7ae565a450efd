//! `cytograd split`, and the folds it writes in use.

use crate::cells;
use crate::place::Place;
use cytograd::data::{Column, h5ad};

#[test]
fn folds_are_written_and_train_annotate_and_evaluate_understand_them() {
    let place = Place::new();
    cells::write(&place.path("cells.h5ad"), 30, 1, |_| {});
    let json = place.ok("split cells.h5ad -o folds.h5ad --label-key cell_type -k 3 --json").json();
    for name in cells::TYPES {
        assert_eq!(json["cells_of_types_in_folds"][name], serde_json::json!([10, 10, 10]), "{name}");
    }
    let (before, after) = (h5ad::read(&place.path("cells.h5ad")), h5ad::read(&place.path("folds.h5ad")));
    let (before, after) = (before.expect("read"), after.expect("read"));
    assert_eq!((&before.x, &before.obs.index), (&after.x, &after.obs.index));
    let Some(Column::Int(folds)) = after.obs.get("fold") else { panic!("no folds") };
    assert_eq!(folds.iter().filter(|&&fold| fold == 2).count(), 40);
    place.ok(
        "train resnet --reference folds.h5ad --where fold!=0 --label-key cell_type --hold-out B --epochs 3 --out run",
    );
    place.ok("annotate --model run folds.h5ad --where fold=0 -o out.h5ad");
    let judged = place.ok("evaluate out.h5ad --truth cell_type --json").json();
    assert_eq!((judged["known_cells"].as_u64(), judged["unknown_cells"].as_u64()), (Some(30), Some(10)), "{judged}");
}

#[test]
fn rare_types_are_named_and_impossible_folds_refused() {
    let place = Place::new();
    cells::write(&place.path("cells.h5ad"), 20, 1, |d| {
        cells::map_labels(d, |i, label| if i == 3 { "odd".into() } else { label.into() })
    });
    let said = place.ok("split cells.h5ad -o folds.h5ad --label-key cell_type --where batch=two");
    assert!(said.stderr.contains("fewer than 5 cells, so not in every fold: \"odd\""), "{}", said.stderr);
    assert!(said.stdout.lines().any(|line| line.starts_with("odd ")), "{}", said.stdout);
    assert_eq!(h5ad::read(&place.path("folds.h5ad")).expect("read").n_obs(), 40);
    let again = place.ok("split folds.h5ad -o folds.h5ad --label-key cell_type -k 2 --seed 3");
    assert!(again.stderr.contains("column \"fold\" was there and is replaced"), "{}", again.stderr);
    place.fails("split cells.h5ad -o x.h5ad --label-key cell_type -k 1", 2, &["1 folds of 80 cells", "give from 2"]);
    place.fails("split cells.h5ad -o x.h5ad --label-key cell_type -k 81", 2, &["81 folds of 80 cells"]);
    place.fails("split cells.h5ad -o x.h5ad --label-key type", 2, &["no column \"type\"", "cell_type"]);
    assert!(!place.path("x.h5ad").exists());
}

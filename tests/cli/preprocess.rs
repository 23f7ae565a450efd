//! `cytograd preprocess` on files.

use crate::cells;
use crate::place::Place;
use cytograd::data::{Column, Entry, h5ad};

#[test]
fn preprocess_keeps_counts_and_adds_values_genes_and_components() {
    let place = Place::new();
    cells::write(&place.path("raw.h5ad"), 30, 1, |_| {});
    let json = place.ok("preprocess raw.h5ad -o out.h5ad --n-top 40 --n-pcs 10 --json").json();
    assert_eq!((json["cells"].as_u64(), json["variable_genes"].as_u64()), (Some(120), Some(40)));
    let raw = h5ad::read(&place.path("raw.h5ad")).expect("raw");
    let out = h5ad::read(&place.path("out.h5ad")).expect("out");
    assert_eq!(out.matrix(Some("counts")).expect("counts").to_dense(), raw.x.to_dense());
    let totals: Vec<f64> = (0..120)
        .map(|cell| {
            let mut total = 0.0;
            out.x.for_each_in_row(cell, |_, v| total += f64::from(v).exp_m1());
            total
        })
        .collect();
    let target = json["target_sum"].as_f64().expect("a number");
    assert!(totals.iter().all(|t| (t / target - 1.0).abs() < 1e-5), "every cell has the same total");
    let Some(Column::Bool(chosen)) = out.var.get("highly_variable") else { panic!("no variable genes") };
    assert_eq!(chosen.iter().filter(|&&c| c).count(), 40);
    let Some((_, Entry::Matrix(pca))) = out.obsm.iter().find(|(n, _)| n == "X_pca") else { panic!("no X_pca") };
    assert_eq!((pca.n_rows(), pca.n_cols()), (120, 10));
    assert!(out.obs.get("cell_type").is_some());
}

#[test]
fn preprocess_filters_chooses_scales_and_subsets() {
    let place = Place::new();
    cells::write(&place.path("raw.h5ad"), 30, 1, |d| {
        cells::map_x(d, |cell, gene, v| if cell == 3 || gene == 7 { 0.0 } else { v })
    });
    for hvg in ["seurat", "cell_ranger", "seurat_v3", "none"] {
        let more = if hvg == "seurat_v3" { "--batch-key batch" } else { "" };
        let arguments = format!(
            "preprocess raw.h5ad -o {hvg}.h5ad --hvg {hvg} --n-top 30 --subset --scale --n-pcs 5 {more} --json"
        );
        let json = place.ok(&arguments).json();
        let genes = if hvg == "none" { 119 } else { 30 };
        assert_eq!((json["cells"].as_u64(), json["genes"].as_u64()), (Some(119), Some(genes)), "{hvg}");
        assert_eq!(json["cells_dropped"].as_u64(), Some(1));
        let out = h5ad::read(&place.path(&format!("{hvg}.h5ad"))).expect("out");
        assert_eq!(out.matrix(Some("counts")).expect("counts").n_cols() as u64, genes);
    }
    place.fails("preprocess raw.h5ad -o out.h5ad --min-genes 1000", 2, &["raw.h5ad", "--min-genes"]);
    place.ok("preprocess raw.h5ad -o few.h5ad --n-top 30 --n-pcs 200").has_line(&["30 principal components, not 200"]);
    place.fails("preprocess raw.h5ad -o out.h5ad --batch-key lane", 2, &["lane", "batch"]);
}

#[test]
fn preprocess_is_the_same_with_any_number_of_threads() {
    let place = Place::new();
    cells::write(&place.path("raw.h5ad"), 60, 1, |_| {});
    place.ok("preprocess raw.h5ad -o one.h5ad --n-pcs 8 --threads 1");
    place.ok("preprocess raw.h5ad -o three.h5ad --n-pcs 8 --threads 3");
    let read = |name: &str| {
        h5ad::read(&place.path(name)).map(|mut d| {
            d.source.clear();
            d
        })
    };
    assert_eq!(read("one.h5ad").expect("one"), read("three.h5ad").expect("three"));
}

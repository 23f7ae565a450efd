use super::*;

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| n.to_string()).collect()
}

fn find(model: &[&str], query: &[&str]) -> GeneMatch {
    GeneMatch::find(&texts(model), &Table::new(texts(query)), "q.h5ad").unwrap()
}

#[test]
fn columns_follow_the_model_and_missing_genes_are_zero() {
    let found = find(&["A", "B", "C"], &["C", "X", "A"]);
    assert_eq!((found.matched, found.missing.clone(), found.how.as_str()), (2, texts(&["B"]), "var_names"));
    let x = Csr::from_dense(1, 3, &[1., 2., 3.]).unwrap();
    assert_eq!(found.apply(&x).unwrap().to_dense(), [3., 0., 1.]);
    assert!(found.apply(&Csr::zeros(1, 2)).is_err());
}

#[test]
fn repeated_genes_are_added() {
    let found = find(&["A", "B"], &["A", "B", "A"]);
    assert_eq!((found.matched, found.merged), (2, 1));
    assert_eq!(found.apply(&Csr::from_dense(1, 3, &[1., 2., 3.]).unwrap()).unwrap().to_dense(), [4., 2.]);
}

#[test]
fn case_and_versions_are_ignored_only_where_that_finds_more() {
    assert_eq!(find(&["Cd3d", "Ms4a1"], &["Cd3d", "CD3D", "Ms4a1"]).merged, 0);
    assert_eq!(find(&["CD3D", "MS4A1"], &["Cd3d", "Ms4a1"]).how, "var_names, ignoring case");
    let found = find(&["ENSG00000141510"], &["ENSG00000141510.18", "RP11-34P13.7"]);
    assert_eq!(found.how, "var_names, without Ensembl versions");
    assert_eq!(without_version("RP11-34P13.7"), "RP11-34P13.7");
}

#[test]
fn another_column_is_used_where_it_matches_better() {
    let mut var = Table::new(texts(&["TP53", "CD19"]));
    var.set("gene_ids", Column::Str(texts(&["ENSG00000141510", "ENSG00000177455"]))).unwrap();
    let found = GeneMatch::find(&texts(&["ENSG00000177455"]), &var, "q").unwrap();
    assert_eq!((found.how.as_str(), found.matched), ("var[\"gene_ids\"]", 1));
}

#[test]
fn genes_of_several_genomes_lose_the_genome() {
    let mut var = Table::new(texts(&["GRCh38_CD3D", "mm10___Cd3d", "GRCh38_ACTB"]));
    var.set("genome", Column::Str(texts(&["GRCh38", "mm10", "GRCh38"]))).unwrap();
    let found = GeneMatch::find(&texts(&["ACTB", "CD3D"]), &var, "q").unwrap();
    assert_eq!((found.how.as_str(), found.matched, found.merged), ("var_names without the genome", 2, 0));
}

#[test]
fn repeats_are_added_in_counts_only() {
    let found = find(&["A", "B"], &["A", "B", "A"]);
    found.require_addable(true, "counts").unwrap();
    let error = found.require_addable(false, "log1p normalised").unwrap_err().to_string();
    assert!(error.contains("gene \"A\" occurs more than once, and log1p normalised values"), "{error}");
    find(&["A", "B"], &["A", "B", "C", "C"]).require_addable(false, "scaled").unwrap();
}

#[test]
fn too_few_genes_are_refused_with_both_numbers() {
    let found = find(&["A", "B", "C", "D", "E"], &["A"]);
    found.require_overlap(0.2).unwrap();
    let error = found.require_overlap(0.25).unwrap_err().to_string();
    assert!(error.contains("only 1 of the model's 5 genes (20.0 %)") && error.ends_with("--min-gene-overlap"));
    let report = found.report();
    assert_eq!((report.file, report.matched, report.missing.len()), (1, 1, 4));
}

#[test]
fn no_shared_gene_is_an_error_and_few_are_a_warning() {
    let error = GeneMatch::find(&texts(&["A"]), &Table::new(texts(&["X", "Y"])), "q.h5ad").unwrap_err();
    assert!(error.to_string().starts_with("q.h5ad: shares no gene with the model"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let found = find(&["A", "B", "C", "D", "E"], &["A", "B"]);
    let warning = found.warning().unwrap();
    assert!(warning.contains("only 2 of the model's 5 genes (40 %)"), "{warning}");
    assert_eq!(find(&["A", "B"], &["A"]).warning(), None);
}

#[test]
fn shared_genes_of_two_files_merge_repeats_on_both_sides() {
    let first = Table::new(texts(&["A", "b", "a", "C"]));
    let second = Table::new(texts(&["B", "A", "Z"]));
    let (names, of_first, of_second) = shared_genes(&first, &second, "q").unwrap();
    assert_eq!(names, ["A", "b"]);
    let x = Csr::from_dense(1, 4, &[1., 2., 4., 8.]).unwrap();
    assert_eq!(of_first.apply(&x).unwrap().to_dense(), [5., 2.]);
    assert_eq!(of_second.apply(&Csr::from_dense(1, 3, &[1., 2., 3.]).unwrap()).unwrap().to_dense(), [2., 1.]);
}

#[test]
fn a_model_knows_the_ids_of_its_symbols() {
    let mut reference = Table::new(texts(&["CD3D", "MS4A1", "LYZ"]));
    let ids = texts(&["ENSG00000167286", "ENSG00000156738", "ENSG00000090382"]);
    reference.set("gene_ids", Column::Str(ids.clone())).unwrap();
    reference.set("note", Column::Str(texts(&["a", "b", "c"]))).unwrap();
    let model = texts(&["LYZ", "CD3D"]);
    let aliases = Aliases::of(&reference, &model);
    let query = Table::new(texts(&["ENSG00000167286.4", "ENSG00000000001"]));
    assert!(GeneMatch::find(&model, &query, "q").is_err());
    let found = GeneMatch::find_any(&model, &aliases, &query, "q").unwrap();
    assert_eq!((found.matched, found.missing.clone()), (1, texts(&["LYZ"])));
    assert_eq!(found.how, "var_names, without Ensembl versions, the model's var[\"gene_ids\"]");
    assert_eq!(found.apply(&Csr::from_dense(1, 2, &[7., 9.]).unwrap()).unwrap().to_dense(), [0., 7.]);
    let (names, of_first, of_second) = shared_genes(&reference, &query, "q").unwrap();
    assert_eq!((names, of_first.matched, of_second.matched), (texts(&["CD3D"]), 1, 1));
}

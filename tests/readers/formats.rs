//! 10x, MatrixMarket, tables and loom: the same data whatever the format.

use crate::encodings::rows_agree_with_the_whole;
use crate::files::{alone, counts, every_encoding, python, refused, symbols, texts};
use cytograd::data::h5ad::Additions;
use cytograd::data::{Column, Entry, Matrix, Value, open, results};
use std::fmt::Write;
use std::path::Path;

#[test]
fn every_format_reads_to_the_same_matrix() {
    let _turn = alone();
    let Some(folder) = every_encoding() else { return };
    let expected = open(&folder.join("expected.h5ad")).unwrap().dataset().unwrap();
    let x = expected.x.to_csr().unwrap();
    let all = [
        ("tenx_v3.h5", "10x HDF5 v3"),
        ("tenx_v2.h5", "10x HDF5 v2"),
        ("tenx_two_genomes.h5", "10x HDF5 v2"),
        ("mtx_v2", "MatrixMarket folder (10x v2)"),
        ("mtx_v2/matrix.mtx", "MatrixMarket folder (10x v2)"),
        ("mtx_v3", "MatrixMarket folder (10x v3)"),
        ("mtx_prefixed", "MatrixMarket folder (10x v3)"),
        ("mtx_proteins", "MatrixMarket folder (10x v3)"),
        ("outs", "MatrixMarket folder (10x v3)"),
        ("cells_by_genes.csv", "CSV"),
        ("genes_by_cells.tsv", "TSV"),
        ("genes_by_cells.csv.gz", "CSV"),
        ("semicolons.csv", "CSV (semicolons)"),
        ("labelled.csv", "CSV"),
        ("from_r.txt", "text (spaces)"),
        ("loompy.loom", "loom"),
    ];
    for (name, format) in all {
        let source = open(&folder.join(name)).unwrap();
        assert_eq!(source.format(), format, "{name}");
        let found = source.dataset().unwrap();
        assert_eq!(found.x.to_csr().unwrap(), x, "{name}");
        assert_eq!(found.obs.index, expected.obs.index, "{name}");
        assert_eq!(found.var.index, expected.var.index, "{name}");
        rows_agree_with_the_whole(source.as_ref());
        if format.contains("10x") {
            assert_eq!(
                found.var.get("gene_ids"),
                expected
                    .var
                    .get("gene_ids")
                    .map(|ids| {
                        let ids: Vec<String> = (0..ids.len()).map(|row| ids.text(row).unwrap()).collect();
                        Column::Str(ids)
                    })
                    .as_ref(),
                "{name}"
            );
        }
    }
}

#[test]
fn antibodies_are_set_apart_and_said() {
    let _turn = alone();
    let Some(folder) = every_encoding() else { return };
    for (name, width) in [("tenx_v3.h5", 3), ("mtx_proteins", 1)] {
        let source = open(&folder.join(name)).unwrap();
        assert!(source.notes().iter().any(|n| n.contains("\"Antibody Capture\" set apart")), "{:?}", source.notes());
        let found = source.dataset().unwrap();
        assert_eq!(found.n_vars(), 20, "no protein among the genes");
        let (key, Entry::Matrix(proteins)) = &found.obsm[0] else { panic!("a matrix") };
        assert_eq!((key.as_str(), proteins.n_rows(), proteins.n_cols()), ("antibody_capture", 30, width));
        assert!(proteins.row_sums().iter().sum::<f64>() > 100.0);
        let names = found.uns.iter().find(|(k, _)| k == "antibody_capture").and_then(|(_, v)| v.get("names"));
        assert!(matches!(names, Some(Value::Strs { data, .. }) if data[0] == "CD3_TotalSeqB" && data.len() == width));
    }
    let both = open(&folder.join("tenx_two_genomes.h5")).unwrap();
    assert_eq!(both.notes(), ["several genomes: hg19 (12 genes), mm10 (8 genes); var \"genome\" tells them apart"]);
}

#[test]
fn a_query_of_any_format_becomes_an_h5ad_file() {
    let _turn = alone();
    let Some(folder) = every_encoding() else { return };
    let mut arguments = vec![folder.join("expected.h5ad")];
    for name in ["tenx_v3.h5", "tenx_v2.h5", "mtx_proteins", "genes_by_cells.tsv", "labelled.csv", "loompy.loom"] {
        let out = folder.join(format!("{name}.out.h5ad"));
        let column = Column::Int((0..30).collect());
        let additions = Additions { obs: vec![("added".into(), column)], ..Additions::default() };
        let notes = results::write(&folder.join(name), &out, &additions, None).unwrap();
        assert!(notes[0].contains("written as h5ad"), "{notes:?}");
        arguments.push(out);
    }
    let script = "import sys, warnings; warnings.simplefilter('error'); import anndata, numpy as np
a = anndata.read_h5ad(sys.argv[1])
for path in sys.argv[2:]:
    b = anndata.read_h5ad(path)
    assert (a.X != b.X).nnz == 0 and list(a.obs_names) == list(b.obs_names) and list(a.var_names) == list(b.var_names)
    assert b.obs['added'].tolist() == list(range(30)), path";
    python(script, &arguments.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>());
    let labelled = open(&folder.join("labelled.csv")).unwrap();
    assert!(matches!(labelled.obs().get("cell_type"), Some(Column::Categorical(c)) if c.categories.len() == 3));
    assert!(labelled.notes().iter().any(|n| n.contains("columns of text are kept in obs: \"cell_type\"")));
}

fn write_folder(folder: &Path, genes: &[String], cells: &[String]) {
    std::fs::create_dir_all(folder).unwrap();
    let x = counts(cells.len(), genes.len());
    let mut mtx = format!(
        "%%MatrixMarket matrix coordinate integer general\n%made by a test\n{} {} {}\n",
        genes.len(),
        cells.len(),
        x.nnz()
    );
    for cell in 0..x.n_rows() {
        let (columns, values) = x.row(cell);
        columns.iter().zip(values).for_each(|(g, v)| writeln!(mtx, "{} {} {v}", g + 1, cell + 1).unwrap());
    }
    std::fs::write(folder.join("matrix.mtx"), mtx).unwrap();
    let list: String = genes.iter().enumerate().map(|(i, g)| format!("ENSG{i:011}\t{g}\n")).collect();
    std::fs::write(folder.join("genes.tsv"), list).unwrap();
    std::fs::write(folder.join("barcodes.tsv"), cells.join("\n")).unwrap();
}

#[test]
fn a_folder_without_its_lists_says_what_is_missing() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("sample");
    let cells = texts(&["AAACCTGAGAAACCAT-1", "AAACCTGAGAAACCGC-1", "AAACCTGAGAAACCTA-1"]);
    write_folder(&folder, &symbols(5), &cells);
    let found = open(&folder).unwrap().dataset().unwrap();
    assert_eq!((found.x.to_csr().unwrap(), &found.obs.index), (counts(3, 5), &cells));
    std::fs::rename(folder.join("genes.tsv"), folder.join("notes")).unwrap();
    assert!(
        refused(&folder).contains("no list of genes (the folder holds \"barcodes.tsv\", \"matrix.mtx\", \"notes\")")
    );
    std::fs::write(folder.join("genes.tsv"), "ENSG1\tA\nENSG2\tB\n").unwrap();
    assert!(refused(&folder).contains("the matrix is 5 x 3, but there are 2 genes and 3 cells"));
    std::fs::remove_file(folder.join("matrix.mtx")).unwrap();
    assert!(refused(&folder).contains("a folder without matrix.mtx"));
}

#[test]
fn rows_of_cells_in_a_matrix_market_file_are_seen() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    write_folder(folder, &symbols(5), &texts(&["c1", "c2", "c3"]));
    let turned = "%%MatrixMarket matrix coordinate real general\n3 5 2\n2 5 1.5\n1 1 2\n";
    std::fs::write(folder.join("matrix.mtx"), turned).unwrap();
    let source = open(folder).unwrap();
    assert!(source.notes()[0].contains("cells in its rows"));
    let Matrix::Csr(x) = source.matrix(&cytograd::data::Which::X).unwrap() else { panic!("sparse") };
    assert_eq!((x.get(1, 4), x.get(0, 0), x.nnz()), (1.5, 2.0, 2));
}

#[test]
fn what_is_no_table_is_said() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.csv");
    let said = |content: &str| {
        std::fs::write(&path, content).unwrap();
        refused(&path)
    };
    assert!(said("some text, and not a matrix\n").contains("neither an HDF5 file nor a matrix as text"));
    assert!(said("a,b,c\nx,1,2\ny,1\n").contains("line 3: 2 fields, the lines before have 3"));
    assert!(said(",A,B\nx,1,2\ny,one,2\n").contains("line 3: \"one\" in column \"A\" is no number"));
    let long: String = (0..60).map(|i| format!("c{i},1,2\n")).collect();
    assert!(said(&format!(",A,B\n{long}c60,1,two\n")).contains("line 62: \"two\" in column \"B\" is no number"));
    assert!(said("1,2,3\n1,2,1\n1,0,2\n").contains("the first line holds numbers, not names"));
    assert!(said("<!DOCTYPE html><html>404</html>").contains("a web page"));
    assert!(said("PK\u{3}\u{4}rest").contains("a zip archive"));
    assert!(said("A,B\nx,y\n").contains("no column holds numbers"));
    assert!(said("A,B,C\n").contains("neither"));
}

#[test]
fn files_of_other_programs_are_named_with_the_way_out() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5");
    for (groups, what) in [
        (vec!["mod", "obs"], "a MuData file"),
        (vec!["assays", "cell.names"], "a Seurat file"),
        (vec!["barcode_info"], "a 10x molecule_info file"),
        (vec!["something"], "no known kind: no obs and var tables (it holds \"something\")"),
    ] {
        let file = hdf5::File::create(&path).unwrap();
        groups.iter().for_each(|g| drop(file.create_group(g).unwrap()));
        drop(file);
        assert!(refused(&path).contains(what), "{}", refused(&path));
    }
    std::fs::write(&path, b"RDX3\nX\n\0\0\0\x03").unwrap();
    assert!(refused(&path).contains("an R data file"));
    std::fs::create_dir(scratch.path().join("z.zarr")).unwrap();
    std::fs::write(scratch.path().join("z.zarr/.zgroup"), "{}").unwrap();
    assert!(refused(&scratch.path().join("z.zarr")).contains("a Zarr store"));
}

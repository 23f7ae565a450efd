//! A data set with one of everything that an h5ad file can hold.

use cytograd::data::table::CategoryKind;
use cytograd::data::{Categorical, Column, Csr, Dataset, Dense, Entry, Matrix, Raw, Table, Value};

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| (*v).to_string()).collect()
}

/// Five cells, four genes, and one of everything that a file can hold.
pub fn everything() -> Dataset {
    let x = Csr::from_dense(5, 4, &(0..20).map(|i| if i % 3 == 0 { i as f32 } else { 0.0 }).collect::<Vec<_>>());
    let x = Matrix::Csr(x.unwrap());
    let mut obs = Table::new(texts(&["c1", "c2", "zelle-ä", "c4", "c5"]));
    obs.index_name = Some("barcode".into());
    let mut label = Categorical::from_strings(&["b", "a", "b", "a", "α"]);
    label.codes[1] = -1;
    obs.set("label", Column::Categorical(label)).unwrap();
    let number = |kind, categories: &[&str]| {
        let codes = vec![0, 1, 0, 1, -1];
        Column::Categorical(Categorical { codes, categories: texts(categories), ordered: true, kind })
    };
    obs.set("dose", number(CategoryKind::Int, &["1", "10"])).unwrap();
    obs.set("ratio", number(CategoryKind::Float, &["0.5", "1"])).unwrap();
    obs.set("flag", number(CategoryKind::Bool, &["False", "True"])).unwrap();
    obs.set("note", Column::Str(texts(&["", "x", "y\"", "ü", "nan"]))).unwrap();
    obs.set("score", Column::Float(vec![1.5, -2.0, 0.1, 1e300, f64::INFINITY])).unwrap();
    obs.set("score32", Column::Float32(vec![1.5, -2.0, 0.1, 0.0, 7.0])).unwrap();
    obs.set("n", Column::Int(vec![1, -2, 3, i64::MAX, 0])).unwrap();
    obs.set("ok", Column::Bool(vec![true, false, true, true, false])).unwrap();
    let mask = vec![false, true, false, false, true];
    obs.set("maybe_n", Column::NullableInt { values: vec![1, 0, 3, 4, 0], mask: mask.clone() }).unwrap();
    let values = vec![true, false, false, true, false];
    obs.set("maybe_ok", Column::NullableBool { values, mask: mask.clone() }).unwrap();
    obs.set("maybe_text", Column::NullableStr { values: texts(&["a", "", "c", "d", ""]), mask }).unwrap();
    let mut var = Table::new(texts(&["g1", "g2", "g3", "g4"]));
    var.set("ensembl_id", Column::Str(texts(&["E1", "E2", "E3", "E4"]))).unwrap();

    let mut data = Dataset::new(x.clone(), obs, var.clone()).unwrap();
    let dense = |n: usize, m: usize| Matrix::Dense(Dense::new(n, m, (0..n * m).map(|i| i as f32).collect()).unwrap());
    data.layers = vec![("counts".into(), x.clone()), ("dense".into(), dense(5, 4))];
    let mut table = Table::new(data.obs.index.clone());
    table.index_name = Some("barcode".into());
    table.set("p", Column::Float(vec![1., 2., 3., 4., 5.])).unwrap();
    data.obsm = vec![
        ("X_pca".into(), Entry::Matrix(dense(5, 2))),
        ("sparse".into(), Entry::Matrix(x)),
        ("table".into(), Entry::Table(table)),
    ];
    data.varm = vec![("PCs".into(), Entry::Matrix(dense(4, 2)))];
    let graph = Csr::from_dense(5, 5, &(0..25).map(|i| (i % 4) as f32).collect::<Vec<_>>()).unwrap();
    data.obsp = vec![("connectivities".into(), Matrix::Csr(graph.clone()))];
    data.uns = vec![
        ("colors".into(), Value::from(texts(&["#fff", "#000"]))),
        (
            "nested".into(),
            Value::dict()
                .with("a", 1i64)
                .with("b", 2.5)
                .with("c", true)
                .with("deeper", Value::dict().with("text", "grüße")),
        ),
        ("numbers".into(), Value::Floats { shape: vec![2, 2], data: vec![1., 2., 3., 4.] }),
        ("sparse".into(), Value::Sparse(graph)),
        ("truths".into(), Value::Bools { shape: vec![2], data: vec![true, false] }),
        ("wholes".into(), Value::Ints { shape: vec![3], data: vec![1, 2, 3] }),
    ];
    data.raw = Some(Raw { x: data.x.clone(), var, varm: Vec::new() });
    data
}

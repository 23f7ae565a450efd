use crate::harness::*;
use cytograd::kernel::gemm::{Activation, Epilogue, GEMM, GemmParams};
use cytograd::kernel::spmm::*;

/// A matrix in compressed sparse rows.
struct Csr {
    rows: usize,
    cols: usize,
    indptr: Vec<u32>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl Csr {
    /// The non-zero elements of `keep` of a dense matrix.
    fn of(dense: &[f32], rows: usize, cols: usize, keep: impl Fn(usize, usize) -> bool) -> Self {
        let mut csr = Csr { rows, cols, indptr: vec![0], indices: Vec::new(), values: Vec::new() };
        for i in 0..rows {
            for j in (0..cols).filter(|&j| keep(i, j)) {
                csr.indices.push(j as u32);
                csr.values.push(dense[i * cols + j]);
            }
            csr.indptr.push(csr.indices.len() as u32);
        }
        csr
    }

    fn dense(&self) -> Vec<f32> {
        let mut dense = vec![0.0; self.rows * self.cols];
        for i in 0..self.rows {
            for e in self.indptr[i] as usize..self.indptr[i + 1] as usize {
                dense[i * self.cols + self.indices[e] as usize] = self.values[e];
            }
        }
        dense
    }

    fn params(&self, n: usize) -> SpmmParams {
        SpmmParams {
            m: self.rows as u32,
            n: n as u32,
            k: self.cols as u32,
            indptr_offset: 0,
            b_row: n as i32,
            b_col: 1,
            b_offset: 0,
            epilogue: Epilogue::NONE,
        }
    }

    fn run(&self, what: &str, p: &SpmmParams, b: &[f32], bias: &[f32]) -> Vec<f32> {
        let inputs = [&self.indptr, &self.indices, bits(&self.values), bits(b), bits(bias)];
        let size = (p.m * p.n) as usize;
        let out = check_geometry(what, &SPMM, p, &inputs, &[Out::Floats(size)], [p.n, p.m, 1]);
        bytemuck::cast_slice(&out[0][..size]).to_vec()
    }

    fn transposed(&self) -> Csr {
        let p = TransposeParams { rows: self.rows as u32, cols: self.cols as u32, indptr_offset: 0 };
        let entries = self.indices.len();
        let inputs = [&self.indptr[..], &self.indices, bits(&self.values)];
        let outputs = [Out::Words(self.cols + 1), Out::Words(entries), Out::Words(entries)];
        let what = format!("transpose {} x {}", self.rows, self.cols);
        let out = check_geometry(&what, &TRANSPOSE, &p, &inputs, &outputs, [p.rows, 1, 1]);
        Csr {
            rows: self.cols,
            cols: self.rows,
            indptr: out[0][..=self.cols].to_vec(),
            indices: out[1][..entries].to_vec(),
            values: bytemuck::cast_slice(&out[2][..entries]).to_vec(),
        }
    }
}

/// Keeps about `percent` of the elements; no element of every fifth row, all of row 2.
fn some(percent: usize) -> impl Fn(usize, usize) -> bool {
    move |i, j| i == 2 || (i % 5 != 4 && (i * 7919 + j * 104_729 + i * j % 13) % 100 < percent)
}

const SHAPES: [(usize, usize, usize); 21] = [
    (0, 4, 3),
    (4, 0, 3),
    (4, 3, 0),
    (1, 1, 1),
    (3, 1, 600),
    (5, 16, 255),
    (5, 17, 256),
    (5, 31, 257),
    (7, 32, 513),
    (3, 33, 512),
    (65, 48, 64),
    (17, 49, 300),
    (64, 65, 65),
    (2, 200, 1021),
    (600, 10, 31),
    (515, 33, 7),
    (33, 127, 129),
    (130, 3, 1500),
    (20, 257, 20),
    (513, 20, 258),
    (1027, 33, 270),
];

#[test]
fn spmm_matches_reference_bits() {
    for (m, n, k) in SHAPES {
        for percent in [0, 7, 60] {
            let a = Csr::of(&ordinary(m * k, 1), m, k, some(percent));
            let what = format!("{m}x{k}x{n} {percent} %");
            let p = a.params(n);
            a.run(&what, &p, &ordinary(k * n, 2), &[]);
            let column_major = SpmmParams { b_row: 1, b_col: k as i32 + 1, b_offset: 3, ..p };
            a.run(&format!("{what} transposed b"), &column_major, &ordinary((k + 1) * n + 3, 2), &[]);
        }
    }
}

#[test]
fn spmm_matches_reference_bits_on_hostile_values_and_views() {
    for (m, n, k) in [(7, 33, 300), (40, 17, 65), (3, 70, 600)] {
        let a = Csr::of(&hostile(m * k, 3), m, k, some(30));
        a.run("hostile", &a.params(n), &hostile(k * n, 4), &[]);
        let tiny: Vec<f32> = ordinary(m * k, 5).iter().map(|v| v * 1e-21).collect();
        let b: Vec<f32> = ordinary(k * n, 6).iter().map(|v| v * 1e-21).collect();
        let a = Csr::of(&tiny, m, k, some(30));
        a.run("tiny", &a.params(n), &b, &[]);
        let flipped = SpmmParams { b_row: -(n as i32), b_col: -1, b_offset: (k * n) as u32 - 1, ..a.params(n) };
        a.run("flipped", &flipped, &b, &[]);
        // The rows from 2 on of a larger matrix.
        let later = SpmmParams { m: m as u32 - 2, indptr_offset: 2, ..a.params(n) };
        a.run("later rows", &later, &b, &[]);
        let p = TransposeParams { rows: m as u32 - 2, cols: k as u32, indptr_offset: 2 };
        let entries = a.indices.len() - a.indptr[2] as usize;
        let inputs = [&a.indptr[..], &a.indices, bits(&a.values)];
        let outputs = [Out::Words(k + 1), Out::Words(entries), Out::Words(entries)];
        check("later rows", &TRANSPOSE, &p, &inputs, &outputs);
    }
}

/// Rows may name a column several times; such a row can have more entries in a chunk than it has columns.
#[test]
fn rows_with_repeated_columns_match_reference_bits() {
    let (n, k) = (33, 300);
    let lengths = [700, 3, 650, 257, 256, 40, 0, 512, 1];
    let mut a = Csr { rows: lengths.len(), cols: k, indptr: vec![0], indices: Vec::new(), values: Vec::new() };
    for length in lengths {
        a.indices.extend((0..length).map(|e| (e * 250 / length) as u32));
        a.indptr.push(a.indices.len() as u32);
    }
    a.values = ordinary(a.indices.len(), 1);
    a.run("repeated columns", &a.params(n), &ordinary(k * n, 2), &[]);
}

#[test]
fn spmm_epilogue_matches_reference_bits() {
    for (m, n, k) in [(7, 33, 300), (3, 10, 5), (4, 3, 0)] {
        let a = Csr::of(&ordinary(m * k, 3), m, k, some(30));
        let (b, bias) = (ordinary(k * n, 4), hostile(n + 2, 5));
        for activation in Activation::ALL {
            for with_bias in [0, 1] {
                let epilogue = Epilogue { bias: with_bias, bias_offset: 2, activation: activation as u32, a: 0.25 };
                let p = SpmmParams { epilogue, ..a.params(n) };
                a.run(&format!("{m}x{k}x{n} {activation:?} bias {with_bias}"), &p, &b, &bias);
            }
        }
    }
}

/// Bits, except that zeros of either sign are equal: a chain that underflowed to -0 stays so in the
/// sparse form, while the dense form may add +0 to it.
fn same(sparse: &[f32], dense: &[u32]) -> bool {
    sparse.len() <= dense.len()
        && sparse.iter().zip(dense).all(|(s, &d)| s.to_bits() == d || (*s == 0.0 && f32::from_bits(d) == 0.0))
}

#[test]
fn sparse_and_dense_products_are_equal_for_finite_values() {
    for (m, n, k) in SHAPES {
        for values in [ordinary as fn(usize, u32) -> Vec<f32>, finite] {
            let a = Csr::of(&values(m * k, 1), m, k, some(20));
            let b = values(k * n, 2);
            let sparse = a.run("sparse", &a.params(n), &b, &[]);
            let inputs = [bits(&a.dense()).to_vec(), bits(&b).to_vec()];
            let inputs = [&inputs[0][..], &inputs[1], &[], &[]];
            let dense = check("dense", &GEMM, &GemmParams::plain(m, n, k), &inputs, &[Out::Floats(m * n)]);
            assert!(same(&sparse, &dense[0]), "{m}x{k}x{n}");
        }
    }
}

#[test]
fn spmm_transpose_twice_gives_the_matrix_back() {
    for (m, _, k) in SHAPES {
        for percent in [0, 7, 100] {
            let a = Csr::of(&hostile(m * k, 1), m, k, some(percent));
            let t = a.transposed();
            let back = t.transposed();
            assert_eq!((&back.indptr, &back.indices), (&a.indptr, &a.indices));
            assert_eq!(bits(&back.values), bits(&a.values));
        }
    }
}

#[test]
fn weight_gradients_of_sparse_and_dense_input_are_equal() {
    let (m, n, k) = (300, 33, 130);
    let x = Csr::of(&ordinary(m * k, 1), m, k, some(15));
    let g = ordinary(m * n, 2);
    let t = x.transposed();
    let sparse = t.run("x' g", &t.params(n), &g, &[]);
    let plain = GemmParams::plain(k, n, m);
    let p = GemmParams { a: cytograd::kernel::gemm::Operand::row_major(k).transposed(), ..plain };
    let dense = x.dense();
    let dense = check("dense x' g", &GEMM, &p, &[bits(&dense), bits(&g), &[], &[]], &[Out::Floats(k * n)]);
    assert!(same(&sparse, &dense[0]));
}

#[cfg(feature = "cuda")]
#[test]
fn every_way_to_launch_a_sparse_product_gives_the_reference_bits() {
    use crate::plans;
    use cytograd::cuda::spmm::choices;
    for (m, n, k) in [(1, 1, 1), (3, 64, 0), (40, 70, 300), (33, 128, 513), (300, 65, 20), (70, 4, 1300)] {
        for percent in [0, 9, 70] {
            let a = Csr::of(&finite(m * k, 1), m, k, some(percent));
            let (b, bias) = (finite(k * (n + 1) + 4, 2), hostile(n, 3));
            let epilogue = Epilogue { bias: 1, ..Epilogue::NONE };
            let p = SpmmParams { epilogue, ..a.params(n) };
            let column_major = SpmmParams { b_row: 1, b_col: k as i32, b_offset: 4, ..p };
            for (form, p) in [("row-major", p), ("column-major", column_major)] {
                let ways =
                    choices(&p, &plans::CHIP).map(|choice| (format!("{choice:?}"), choice.plan(&p, &plans::CHIP)));
                let what = format!("{m}x{k}x{n} {percent} % {form}");
                let inputs = [&a.indptr, &a.indices, bits(&a.values), bits(&b), bits(&bias)];
                plans::check(&what, &SPMM, &p, &inputs, m * n, ways);
            }
        }
    }
}

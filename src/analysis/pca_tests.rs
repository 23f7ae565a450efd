use super::*;
use crate::analysis::linalg::dot;
use crate::rng::{Stream, stream};

/// Cells of a few clusters with noise: `[n, g]`.
fn cells(n: usize, g: usize, seed: u64) -> Vec<f32> {
    let mut rng = Stream::new(seed, stream::TEST).rng();
    let centres: Vec<f64> = (0..6 * g).map(|_| rng.uniform53() * 2.0).collect();
    (0..n * g).map(|i| (centres[(i / g % 6) * g + i % g] + rng.uniform53() * 3.0 + 5.0) as f32).collect()
}

/// All properties that define the components, against the data themselves.
fn check(x: &[f32], n: usize, g: usize, k: usize) -> Pca {
    let pca = Pca::fit(&DenseRows { values: x, n_cols: g }, k, 0).unwrap();
    for i in 0..k {
        let v = &pca.components[i * g..][..g];
        for j in 0..=i {
            let expected = f64::from(u8::from(i == j));
            assert!((dot(v, &pca.components[j * g..][..g]) - expected).abs() < 1e-9);
        }
        let peak = v.iter().fold(0.0f64, |m, &x| if x.abs() > m.abs() { x } else { m });
        assert!(peak > 0.0);
        let length = (0..n).map(|r| pca.scores[r * k + i].powi(2)).sum::<f64>().sqrt();
        assert!((length / pca.singular_values[i] - 1.0).abs() < 1e-9);
        assert!((0..n).map(|r| pca.scores[r * k + i]).sum::<f64>().abs() < 1e-6);
    }
    pca
}

#[test]
fn iteration_agrees_with_full_decomposition() {
    let (n, g, k) = (420, 380, 12);
    let x = cells(n, g, 1);
    let found = check(&x, n, g, k);
    let source = DenseRows { values: &x[..], n_cols: g };
    let centred = Centred { x: &source, mean: &found.mean, n, g };
    let exact = finish(&centred, symmetric_eigen(&centred.gram_of_columns(), g, k).unwrap(), 1.0);
    for (f, e) in found.singular_values.iter().zip(&exact.singular_values) {
        assert!((f / e - 1.0).abs() < 1e-10);
    }
    for (f, e) in found.components.iter().zip(&exact.components) {
        assert!((f - e).abs() < 1e-8, "{f} {e}");
    }
    // The operator on the data itself, as used where no Gram matrix fits, and the other side.
    for flip in [false, true] {
        let eigen = top_eigen(if flip { n } else { g }, k, 5, &mut |q, w| {
            let rows = q.len() / if flip { n } else { g };
            if flip {
                let (mut loadings, mut scores) = (vec![0.0; rows * g], vec![0.0; w.len()]);
                transpose(q, rows, n, &mut scores);
                centred.to_loadings(&scores, rows, &mut loadings);
                transpose(&centred.to_scores(&loadings, rows), n, rows, w);
            } else {
                centred.to_loadings(&centred.to_scores(q, rows), rows, w);
            }
        })
        .unwrap();
        for (f, e) in eigen.values.iter().zip(&exact.singular_values) {
            assert!((f.sqrt() / e - 1.0).abs() < 1e-10);
        }
    }
}

#[test]
fn both_sides_and_sparse_input_give_the_same_components() {
    let (n, g, k) = (60, 90, 8);
    let x = cells(n, g, 2);
    let wide = check(&x, n, g, k);
    let mut tall = Vec::new();
    for _ in 0..2 {
        tall.extend_from_slice(&x);
    }
    // Every cell twice: the same directions, singular values times sqrt 2, from the other Gram side.
    let tall = check(&tall, 2 * n, g, k);
    for (a, b) in wide.components.iter().zip(&tall.components) {
        assert!((a - b).abs() < 1e-8);
    }
    for (a, b) in wide.singular_values.iter().zip(&tall.singular_values) {
        assert!((a * 2f64.sqrt() / b - 1.0).abs() < 1e-10);
    }
    let sparse: Vec<f32> = x.iter().map(|&v| if v > 7.0 { v } else { 0.0 }).collect();
    let dense = check(&sparse, n, g, k);
    let csr = Csr::from_dense(n, g, &sparse).unwrap();
    let same = Pca::fit(&csr, k, 0).unwrap();
    assert_eq!(same.scores, dense.scores);
    assert_eq!(same.project(&csr).unwrap(), same.scores);
}

#[test]
fn the_threads_change_no_bit() {
    let (n, g) = (300, 400);
    let x = cells(n, g, 3);
    let fit = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Pca::fit(&DenseRows { values: &x[..], n_cols: g }, 10, 0).unwrap())
    };
    let (one, three) = (fit(1), fit(3));
    assert_eq!(one.scores, three.scores);
    assert_eq!(one.components, three.components);
}

#[test]
fn rank_ends_in_zero_components_and_bad_input_is_an_error() {
    let x: Vec<f32> = (0..40).map(|i| (i / 4) as f32 * ((i % 4) as f32 - 1.0)).collect();
    let pca = Pca::fit(&DenseRows { values: &x[..], n_cols: 4 }, 50, 0).unwrap();
    assert_eq!(pca.n_comps, 4);
    assert!((pca.variance_ratio[0] - 1.0).abs() < 1e-12);
    assert!(pca.components[4..].iter().all(|&v| v == 0.0) && pca.variance[1..] == [0.0; 3]);
    assert!(Pca::fit(&DenseRows { values: &[1.0f32, f32::NAN], n_cols: 1 }, 1, 0).is_err());
    assert!(Pca::fit(&DenseRows { values: &[1.0f32, 2.0], n_cols: 2 }, 1, 0).is_err());
    assert!(pca.project(&DenseRows { values: &[1.0f32; 3], n_cols: 3 }).is_err());
}

/// Timing on the sizes of real data; run by hand.
#[test]
#[ignore = "timing"]
fn timing() {
    for (n, g) in [(1500, 2000), (8600, 2000)] {
        let x = cells(n, g, 4);
        let start = std::time::Instant::now();
        let pca = Pca::fit(&DenseRows { values: &x[..], n_cols: g }, 50, 0).unwrap();
        eprintln!("{n} x {g}: {:?}, sigma_50 {}", start.elapsed(), pca.singular_values[49]);
    }
}

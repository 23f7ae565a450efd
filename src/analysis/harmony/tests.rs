//! Check 16 of the method's specification, and the properties that the project promises.

use super::ridge::{Intercept, Levels, batch_terms};
use super::*;
use crate::analysis::lisi::lisi;
use crate::rng::{Stream, stream};

fn noise(rng: &mut crate::rng::Rng) -> f64 {
    (0..12).map(|_| rng.uniform53()).sum::<f64>() - 6.0
}

/// Three clusters in 10 dimensions, in two batches of which the second is shifted:
/// coordinates, batch, cluster.
fn two_batches(n: usize, shift: f64) -> (Vec<f64>, Vec<u32>, Vec<u32>) {
    let mut rng = Stream::new(11, stream::TEST).rng();
    let (mut z, mut batch, mut label) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..n {
        let (b, c) = (i % 2, i / 2 % 3);
        for j in 0..10 {
            let centre = if j == c { 8.0 } else { 0.0 };
            let moved = if b == 1 && (3..6).contains(&j) { shift } else { 0.0 };
            z.push(centre + moved + 0.7 * noise(&mut rng));
        }
        batch.push(b as u32);
        label.push(c as u32);
    }
    (z, batch, label)
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

#[test]
fn check_16_one_batch_changes_nothing() {
    let (z, _, _) = two_batches(300, 2.0);
    let codes = vec![0; 300];
    for penalty in [Penalty::Smoothed, Penalty::Ratio] {
        let config = HarmonyConfig { penalty, ..HarmonyConfig::default() };
        let found = harmonize(&z, 10, &[BatchVariable { codes: &codes, levels: 1 }], &config).unwrap();
        for (f, z) in found.corrected.iter().zip(&z) {
            assert!((f - z).abs() < 1e-5);
        }
        let none = harmonize(&z, 10, &[], &config).unwrap();
        assert_eq!(none.corrected, z);
    }
}

#[test]
fn check_16_one_cluster_leaves_the_ridge_residual() {
    let (n, delta) = (100, 2.0);
    let mut rng = Stream::new(2, stream::TEST).rng();
    let spread: Vec<f64> = (0..n).map(|_| rng.uniform53()).collect();
    let z: Vec<f64> = (0..2 * n).flat_map(|i| [spread[i % n] + if i >= n { delta } else { 0.0 }, 5.0]).collect();
    let codes: Vec<u32> = (0..2 * n).map(|i| (i / n) as u32).collect();
    for lambda in [1.0, 7.0] {
        let config = HarmonyConfig { n_clusters: Some(1), lambda: Lambda::Fixed(lambda), ..HarmonyConfig::default() };
        let found = harmonize(&z, 2, &[BatchVariable { codes: &codes, levels: 2 }], &config).unwrap();
        let first: Vec<f64> = found.corrected.iter().step_by(2).copied().collect();
        let left = mean(&first[n..]) - mean(&first[..n]);
        assert!((left - delta * lambda / (n as f64 + lambda)).abs() < 1e-9, "{left}");
        assert!(lambda != 1.0 || (left - 0.0198).abs() < 1e-4);
    }
}

#[test]
fn check_16_closed_form_equals_dense_solve() {
    let (n, d, k) = (90, 4, 3);
    let mut rng = Stream::new(3, stream::TEST).rng();
    let z: Vec<f64> = (0..n * d).map(|_| noise(&mut rng)).collect();
    let mut r: Vec<f64> = (0..n * k).map(|_| rng.uniform53()).collect();
    r.chunks_exact_mut(k).for_each(|row| {
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|v| *v /= sum);
    });
    let codes: Vec<u32> = (0..n).map(|i| (i % 3) as u32).collect();
    let single = vec![0; n];
    let batch = BatchVariable { codes: &codes, levels: 3 };
    // A second variable with one level and a huge penalty adds nothing, but takes the dense path.
    let both = [batch, BatchVariable { codes: &single, levels: 1 }];
    let lambda = |c: usize, b: usize| if b == 3 { 1e12 } else { 0.5 + c as f64 };
    let (mass, sums) = (vec![5.0; k], vec![1.5; k * d]);
    for reference in [None, Some(Intercept { mass: &mass, sums: &sums })] {
        let closed = batch_terms(&z, d, &r, k, &Levels::stack(&[batch]), &lambda, reference);
        let dense = batch_terms(&z, d, &r, k, &Levels::stack(&both), &lambda, reference);
        for (c, e) in closed.iter().zip(&dense) {
            assert!((c - e).abs() < 1e-6, "{c} {e}");
        }
        assert!(closed.iter().any(|v| v.abs() > 0.01));
    }
}

#[test]
fn check_16_shifted_copies_mix_and_clusters_stay_pure() {
    let (z, batch, label) = two_batches(900, 3.0);
    for penalty in [Penalty::Smoothed, Penalty::Ratio] {
        let config = HarmonyConfig { penalty, ..HarmonyConfig::default() };
        let found = harmonize(&z, 10, &[BatchVariable { codes: &batch, levels: 2 }], &config).unwrap();
        let mixing = |x: &[f64]| mean(&lisi(x, 10, &batch, 30.0).unwrap());
        let (before, after) = (mixing(&z), mixing(&found.corrected));
        assert!(before < 1.1 && after > 1.8, "{penalty:?}: {before} to {after}");
        let purity = mean(&lisi(&found.corrected, 10, &label, 30.0).unwrap());
        assert!(purity < 1.01, "{penalty:?}: {purity}");
        // Within a clustering the objective does not rise (a block's renewal is not an exact
        // descent step, hence the tolerance).
        let mut first = 1;
        for &rounds in &found.rounds {
            for pair in found.objective[first..first + rounds].windows(2) {
                assert!(pair[1].total <= pair[0].total + 1e-3 * pair[0].total.abs(), "{pair:?}");
            }
            first += rounds;
        }
        assert_eq!(first, found.objective.len());
        for row in found.assignments.chunks_exact(found.n_clusters) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}

#[test]
fn the_threads_change_no_bit() {
    let (z, batch, label) = two_batches(700, 2.0);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let variables = [BatchVariable { codes: &batch, levels: 2 }, BatchVariable { codes: &label, levels: 3 }];
        pool.install(|| harmonize(&z, 10, &variables, &HarmonyConfig::default()).unwrap())
    };
    let (one, three) = (run(1), run(3));
    assert_eq!(one.corrected, three.corrected);
    assert_eq!(one.objective, three.objective);
}

#[test]
fn hostile_input_is_an_error_or_harmless() {
    let config = HarmonyConfig::default();
    assert!(harmonize(&[], 3, &[], &config).is_err());
    assert!(harmonize(&[f64::NAN; 3], 3, &[], &config).is_err());
    assert!(harmonize(&[1.0; 4], 2, &[BatchVariable { codes: &[0, 2], levels: 2 }], &config).is_err());
    assert!(harmonize(&[1.0; 4], 2, &[BatchVariable { codes: &[0], levels: 2 }], &config).is_err());
    for broken in [
        HarmonyConfig { sigma: 0.0, ..config.clone() },
        HarmonyConfig { block_size: 0.0, ..config.clone() },
        HarmonyConfig { theta: f64::NAN, ..config.clone() },
        HarmonyConfig { n_clusters: Some(0), ..config.clone() },
    ] {
        assert!(matches!(harmonize(&[1.0; 4], 2, &[], &broken), Err(Error::Usage { .. })));
    }
    // Zero cells, a level without cells, a level of one cell, more blocks than cells, no penalty.
    let z = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 2.0, 2.0];
    let batch = BatchVariable { codes: &[0, 0, 2, 0], levels: 3 };
    for lambda in [Lambda::Fixed(0.0), Lambda::Fixed(1.0), Lambda::Estimated { alpha: 0.2 }] {
        for penalty in [Penalty::Smoothed, Penalty::Ratio] {
            for batches in [&[batch][..], &[batch, batch][..]] {
                let config = HarmonyConfig { lambda, penalty, n_clusters: Some(3), tau: 1.0, ..config.clone() };
                let found = harmonize(&z, 2, batches, &config).unwrap();
                assert!(found.corrected.iter().all(|v| v.is_finite()), "{lambda:?} {penalty:?}");
            }
        }
    }
}

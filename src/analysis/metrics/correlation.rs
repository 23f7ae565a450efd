//! Correlation and error between two series. May use: error, labels.

use super::labels::{check_length, check_no_nan, check_some};
use crate::error::Result;

fn check(a: &[f64], b: &[f64]) -> Result<()> {
    check_some("correlation", a.len())?;
    check_length("correlation", "values", a.len(), b.len())?;
    check_no_nan("correlation", "the first value", a)?;
    check_no_nan("correlation", "the second value", b)
}

fn mean(a: &[f64]) -> f64 {
    a.iter().sum::<f64>() / a.len() as f64
}

/// Pearson's correlation; NaN if a series is constant.
pub fn pearson(a: &[f64], b: &[f64]) -> Result<f64> {
    check(a, b)?;
    let (ma, mb) = (mean(a), mean(b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        aa += (x - ma) * (x - ma);
        bb += (y - mb) * (y - mb);
        ab += (x - ma) * (y - mb);
    }
    let r = ab / (aa.sqrt() * bb.sqrt());
    Ok(if r.is_nan() { r } else { r.clamp(-1.0, 1.0) })
}

/// Spearman's correlation: Pearson's of the ranks, ties sharing their mean rank.
pub fn spearman(a: &[f64], b: &[f64]) -> Result<f64> {
    check(a, b)?;
    pearson(&mid_ranks(a), &mid_ranks(b))
}

/// Ranks from 1; tied values take the mean of theirs.
pub fn mid_ranks(a: &[f64]) -> Vec<f64> {
    let order = ascending(a);
    let mut ranks = vec![0.0; a.len()];
    let mut start = 0;
    while start < order.len() {
        let end = start + order[start..].iter().take_while(|&&i| a[i] == a[order[start]]).count().max(1);
        for &i in &order[start..end] {
            ranks[i] = (start + 1 + end) as f64 / 2.0;
        }
        start = end;
    }
    ranks
}

fn ascending(a: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..a.len()).collect();
    order.sort_by(|&i, &j| a[i].partial_cmp(&a[j]).unwrap_or(std::cmp::Ordering::Equal));
    order
}

/// Kendall's tau-b, in n log n steps (Knight 1966); NaN if a series is constant.
pub fn kendall(a: &[f64], b: &[f64]) -> Result<f64> {
    check(a, b)?;
    // Ranks compare like the values and keep -0 equal to 0.
    let (ra, rb) = (mid_ranks(a), mid_ranks(b));
    let mut order: Vec<usize> = (0..a.len()).collect();
    order.sort_by(|&i, &j| ra[i].total_cmp(&ra[j]).then(rb[i].total_cmp(&rb[j])));
    let n = a.len() as i128;
    let pairs = n * (n - 1) / 2;
    let tied_both = tied_pairs(order.iter().map(|&i| (ra[i], rb[i])));
    let tied_a = tied_pairs(order.iter().map(|&i| ra[i]));
    let mut second: Vec<f64> = order.iter().map(|&i| rb[i]).collect();
    let swaps = inversions(&mut second);
    let tied_b = tied_pairs(second.iter().copied());
    let concordance = pairs - tied_a - tied_b + tied_both - 2 * swaps;
    Ok(concordance as f64 / ((pairs - tied_a) as f64).sqrt() / ((pairs - tied_b) as f64).sqrt())
}

/// Pairs of equal neighbours' runs in a sorted series.
fn tied_pairs<T: PartialEq>(sorted: impl Iterator<Item = T>) -> i128 {
    let (mut total, mut run, mut last) = (0, 0i128, None);
    for value in sorted {
        run = if last.as_ref() == Some(&value) { run + 1 } else { 0 };
        total += run;
        last = Some(value);
    }
    total
}

/// Sorts by merging and counts the pairs that stood in the wrong order.
fn inversions(values: &mut [f64]) -> i128 {
    let n = values.len();
    if n < 2 {
        return 0;
    }
    let (left, right) = values.split_at_mut(n / 2);
    let mut swaps = inversions(left) + inversions(right);
    let (mut i, mut j, mut merged) = (0, 0, Vec::with_capacity(n));
    while i < left.len() && j < right.len() {
        if right[j] < left[i] {
            swaps += (left.len() - i) as i128;
            merged.push(right[j]);
            j += 1;
        } else {
            merged.push(left[i]);
            i += 1;
        }
    }
    merged.extend_from_slice(&left[i..]);
    merged.extend_from_slice(&right[j..]);
    values.copy_from_slice(&merged);
    swaps
}

/// Coefficient of determination of `predicted` for `truth`: `1 - SS_res / SS_tot`.
pub fn r2(truth: &[f64], predicted: &[f64]) -> Result<f64> {
    check(truth, predicted)?;
    let m = mean(truth);
    let total: f64 = truth.iter().map(|t| (t - m) * (t - m)).sum();
    Ok(1.0 - mse(truth, predicted)? * truth.len() as f64 / total)
}

/// Mean squared error.
pub fn mse(a: &[f64], b: &[f64]) -> Result<f64> {
    check(a, b)?;
    Ok(a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>() / a.len() as f64)
}

/// Mean absolute error.
pub fn mae(a: &[f64], b: &[f64]) -> Result<f64> {
    check(a, b)?;
    Ok(a.iter().zip(b).map(|(x, y)| (x - y).abs()).sum::<f64>() / a.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotone_series_have_rank_correlation_one() {
        let a: Vec<f64> = (0..20).map(f64::from).collect();
        let b: Vec<f64> = a.iter().map(|v| v.exp()).collect();
        assert!((spearman(&a, &b).unwrap() - 1.0).abs() < 1e-14);
        assert!((kendall(&a, &b).unwrap() - 1.0).abs() < 1e-14);
        assert!(pearson(&a, &b).unwrap() < 0.9);
    }

    #[test]
    fn kendall_with_ties_counts_pairs() {
        let a: Vec<f64> = (0..40).map(|i| f64::from((i * 7) % 9)).collect();
        let b: Vec<f64> = (0..40).map(|i| f64::from((i * 11) % 13)).collect();
        let (mut s, mut ta, mut tb) = (0.0, 0.0, 0.0);
        for i in 0..40 {
            for j in 0..i {
                let (x, y) = (a[i] - a[j], b[i] - b[j]);
                s += if x * y > 0.0 {
                    1.0
                } else if x * y < 0.0 {
                    -1.0
                } else {
                    0.0
                };
                ta += f64::from(u8::from(x != 0.0));
                tb += f64::from(u8::from(y != 0.0));
            }
        }
        let expected = s / f64::sqrt(ta) / f64::sqrt(tb);
        assert!((kendall(&a, &b).unwrap() - expected).abs() < 1e-14);
    }

    #[test]
    fn constant_series_have_no_correlation() {
        assert!(pearson(&[1.0, 1.0], &[0.0, 1.0]).unwrap().is_nan());
        assert!(kendall(&[1.0, 1.0], &[0.0, 1.0]).unwrap().is_nan());
        assert!(mse(&[1.0], &[f64::NAN]).is_err());
    }
}

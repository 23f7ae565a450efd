//! How well batches are mixed in an embedding. May use: error, labels, special.

use super::labels::{Groups, check_length, check_matrix, check_neighbors, check_some};
use super::special::chi2_sf;
use crate::error::Result;

/// Result of [`kbet`].
pub struct Kbet {
    /// Share of cells whose neighbourhood is not significantly unlike the whole.
    pub acceptance_rate: f64,
    /// Chi-square statistic of each cell.
    pub chi2: Vec<f64>,
    /// Its p-value, with one degree of freedom less than there are batches.
    pub p_value: Vec<f64>,
}

/// k-nearest-neighbour batch effect test (Buettner et al. 2019), without its search for k.
///
/// `indices` is `[cells, k]`, the cell itself included. Batch counts among the neighbours are tested
/// against the overall frequencies; a cell is accepted if `p >= alpha`.
pub fn kbet(indices: &[u32], k: usize, batch: &[u32], alpha: f64) -> Result<Kbet> {
    check_neighbors("kbet", batch.len(), indices, k)?;
    let groups = Groups::new(batch);
    let n = batch.len() as f64;
    let expected: Vec<f64> = groups.sizes.iter().map(|&s| s as f64 / n * k as f64).collect();
    let df = (groups.len() - 1) as f64;
    let statistic = |row: &[u32]| {
        let mut observed = vec![0.0; groups.len()];
        row.iter().for_each(|&j| observed[groups.of[j as usize]] += 1.0);
        observed.iter().zip(&expected).map(|(o, e)| (o - e) * (o - e) / e).sum::<f64>()
    };
    let chi2: Vec<f64> = indices.chunks_exact(k).map(statistic).collect();
    // One batch alone is mixed by definition.
    let p_value: Vec<f64> = chi2.iter().map(|&c| if df == 0.0 { 1.0 } else { chi2_sf(c, df) }).collect();
    let accepted = p_value.iter().filter(|&&p| p >= alpha).count();
    Ok(Kbet { acceptance_rate: accepted as f64 / n, chi2, p_value })
}

/// Mean over labels of the share of a label's cells in its largest strongly connected component of
/// the directed neighbour graph (`indices` is `[cells, k]`) restricted to that label.
pub fn graph_connectivity(indices: &[u32], k: usize, labels: &[u32]) -> Result<f64> {
    check_neighbors("graph connectivity", labels.len(), indices, k)?;
    let groups = Groups::new(labels);
    let mut largest = vec![0; groups.len()];
    for component in strong_components(indices, k, &groups.of) {
        let g = groups.of[component[0]];
        largest[g] = largest[g].max(component.len());
    }
    let shares = largest.iter().zip(&groups.sizes).map(|(&l, &s)| l as f64 / s as f64);
    Ok(shares.sum::<f64>() / groups.len() as f64)
}

/// Tarjan's algorithm with its own stack; edges between different groups are ignored.
fn strong_components(indices: &[u32], k: usize, group: &[usize]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let n = group.len();
    let (mut order, mut low, mut open) = (vec![UNSEEN; n], vec![0; n], vec![false; n]);
    let (mut path, mut components, mut seen): (Vec<usize>, Vec<Vec<usize>>, usize) = (vec![], vec![], 0);
    for root in 0..n {
        if order[root] != UNSEEN {
            continue;
        }
        // (cell, next edge to follow)
        let mut calls = vec![(root, 0)];
        while let Some(&mut (cell, ref mut edge)) = calls.last_mut() {
            if *edge == 0 {
                (order[cell], low[cell], open[cell]) = (seen, seen, true);
                path.push(cell);
                seen += 1;
            }
            if *edge < k {
                let next = indices[cell * k + *edge] as usize;
                *edge += 1;
                if group[next] != group[cell] {
                    continue;
                }
                if order[next] == UNSEEN {
                    calls.push((next, 0));
                } else if open[next] {
                    low[cell] = low[cell].min(order[next]);
                }
                continue;
            }
            calls.pop();
            if let Some(&(parent, _)) = calls.last() {
                low[parent] = low[parent].min(low[cell]);
            }
            if low[cell] == order[cell] {
                let start = path.iter().rposition(|&c| c == cell).unwrap_or(0);
                let component = path.split_off(start);
                component.iter().for_each(|&c| open[c] = false);
                components.push(component);
            }
        }
    }
    components
}

/// Mean over cells of the entropy (nats) of the batches among a cell's neighbours; `indices` is
/// `[cells, k]` without the cell itself. Two batches mixed fully and evenly reach `ln 2`.
pub fn entropy_batch_mixing(indices: &[u32], k: usize, batch: &[u32]) -> Result<f64> {
    check_neighbors("entropy of batch mixing", batch.len(), indices, k)?;
    let groups = Groups::new(batch);
    let entropy = |row: &[u32]| {
        let mut counts = vec![0usize; groups.len()];
        row.iter().for_each(|&j| counts[groups.of[j as usize]] += 1);
        let share = counts.iter().filter(|&&c| c > 0).map(|&c| c as f64 / k as f64);
        -share.map(|p| p * p.ln()).sum::<f64>()
    };
    Ok(indices.chunks_exact(k).map(entropy).sum::<f64>() / batch.len() as f64)
}

/// Share of an embedding's variance that the batch explains (principal component regression on all
/// components, Buettner et al. 2019).
///
/// The R2 of each principal component weighted by its variance is unchanged by rotation, so no
/// component is ever computed: it is the sum of squares between batches over the total one.
pub fn pcr(x: &[f64], dims: usize, batch: &[u32]) -> Result<f64> {
    let n = check_matrix("principal component regression", x, dims)?;
    check_length("principal component regression", "batches", n, batch.len())?;
    let groups = Groups::new(batch);
    let (mut between, mut total) = (0.0, 0.0);
    for d in 0..dims {
        let column = || x[d..].iter().step_by(dims);
        let middle = column().sum::<f64>() / n as f64;
        let mut sums = vec![0.0; groups.len()];
        for (v, &g) in column().zip(&groups.of) {
            sums[g] += v - middle;
            total += (v - middle) * (v - middle);
        }
        between += sums.iter().zip(&groups.sizes).map(|(s, &size)| s * s / size as f64).sum::<f64>();
    }
    Ok(between / total)
}

/// `(pcr_before - pcr_after) / pcr_before`, at least 0: how much of the batch's share of the variance
/// a correction removed. NaN where the batch explained nothing before.
pub fn pcr_comparison(
    before: &[f64],
    dims_before: usize,
    after: &[f64],
    dims_after: usize,
    batch: &[u32],
) -> Result<f64> {
    check_some("principal component regression", batch.len())?;
    let (pre, post) = (pcr(before, dims_before, batch)?, pcr(after, dims_after, batch)?);
    let removed = (pre - post) / pre;
    Ok(if removed < 0.0 { 0.0 } else { removed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kbet_accepts_an_even_neighbourhood_and_rejects_a_pure_one() {
        let batch = [0, 1, 0, 1, 0, 1, 0, 1];
        let even: Vec<u32> = (0..8).flat_map(|_| 0..8).collect();
        assert_eq!(kbet(&even, 8, &batch, 0.05).unwrap().acceptance_rate, 1.0);
        let pure: Vec<u32> = (0..8).flat_map(|i| (0..8).map(move |j| 2 * (j % 4) + i % 2)).collect();
        let result = kbet(&pure, 8, &batch, 0.05).unwrap();
        assert_eq!((result.acceptance_rate, result.chi2[0]), (0.0, 8.0));
        assert_eq!(kbet(&even, 8, &[0; 8], 0.05).unwrap().acceptance_rate, 1.0);
    }

    #[test]
    fn one_way_edges_do_not_connect() {
        // 0 <-> 1 -> 2 -> 3 -> 2, all one label: components {0, 1} and {2, 3}.
        assert_eq!(graph_connectivity(&[1, 0, 3, 2], 1, &[0; 4]).unwrap(), 0.5);
        assert_eq!(graph_connectivity(&[1, 1, 0, 2, 3, 3, 2, 2], 2, &[0; 4]).unwrap(), 0.5);
        assert_eq!(graph_connectivity(&[1, 2, 3, 0], 1, &[0; 4]).unwrap(), 1.0);
        // The ring leads through another label, so neither half is connected.
        assert_eq!(graph_connectivity(&[1, 2, 3, 0], 1, &[0, 1, 0, 1]).unwrap(), 0.5);
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let n = 200_000u32;
        let ring: Vec<u32> = (0..n).map(|i| (i + 1) % n).collect();
        assert_eq!(graph_connectivity(&ring, 1, &vec![0; n as usize]).unwrap(), 1.0);
    }

    #[test]
    fn batch_that_is_the_coordinate_explains_all() {
        assert!((pcr(&[0.0, 0.0, 1.0, 1.0], 1, &[0, 0, 1, 1]).unwrap() - 1.0).abs() < 1e-15);
        assert_eq!(pcr_comparison(&[0.0, 0.5, 1.0, 0.5], 1, &[0.0, 0.0, 1.0, 1.0], 1, &[0, 0, 1, 1]).unwrap(), 0.0);
        assert_eq!(entropy_batch_mixing(&[1, 0], 1, &[0, 1]).unwrap(), 0.0);
    }
}

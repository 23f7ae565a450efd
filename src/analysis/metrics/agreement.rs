//! How far two partitions of the same cells agree. May use: error, labels.

use super::labels::{Groups, check_length, check_some};
use crate::error::Result;
use std::collections::BTreeMap;

/// Every usual figure of agreement between two labellings; natural logarithms.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterAgreement {
    /// Mutual information, nats.
    pub mutual_info: f64,
    /// Mutual information over the arithmetic mean of both entropies (also the V-measure).
    pub nmi: f64,
    /// ... over their geometric mean.
    pub nmi_geometric: f64,
    /// ... over the smaller one.
    pub nmi_min: f64,
    /// ... over the larger one.
    pub nmi_max: f64,
    /// Adjusted Rand index.
    pub ari: f64,
    /// Mutual information adjusted for chance (Vinh et al. 2010), arithmetic mean.
    pub ami: f64,
    /// 1 if each group of `b` holds cells of one group of `a` only.
    pub homogeneity: f64,
    /// 1 if each group of `a` lies within one group of `b`.
    pub completeness: f64,
    /// Geometric mean of pairwise precision and recall.
    pub fowlkes_mallows: f64,
}

impl ClusterAgreement {
    /// Compares labels `a` (the truth, where one is) with `b`; codes are arbitrary.
    ///
    /// Conventions where a figure is 0/0 are scikit-learn's: two trivial partitions agree fully.
    ///
    /// # Errors
    /// `Error::Shape` if the lengths differ, `Error::Argument` if there is no cell.
    pub fn between(a: &[u32], b: &[u32]) -> Result<ClusterAgreement> {
        check_some("cluster agreement", a.len())?;
        check_length("cluster agreement", "labels", a.len(), b.len())?;
        let table = Contingency::new(a, b);
        let (h_a, h_b) = (entropy(&table.a, table.n), entropy(&table.b, table.n));
        let mi = table.mutual_info();
        let trivial = table.a.len() == 1 && table.b.len() == 1;
        let normalised = |by: f64| {
            if trivial {
                1.0
            } else if mi <= f64::EPSILON {
                0.0
            } else {
                mi / by
            }
        };
        let share = |entropy: f64| if entropy == 0.0 { 1.0 } else { mi / entropy };
        let mean = (h_a + h_b) / 2.0;
        Ok(ClusterAgreement {
            mutual_info: mi,
            nmi: normalised(mean),
            nmi_geometric: normalised((h_a * h_b).sqrt()),
            nmi_min: normalised(h_a.min(h_b)),
            nmi_max: normalised(h_a.max(h_b)),
            ari: table.ari(),
            ami: if trivial { 1.0 } else { table.ami(mi, mean) },
            homogeneity: share(h_a),
            completeness: share(h_b),
            fowlkes_mallows: table.fowlkes_mallows(),
        })
    }
}

/// How many cells each pair of groups shares; only pairs that share any.
struct Contingency {
    n: u64,
    a: Vec<u64>,
    b: Vec<u64>,
    shared: Vec<(usize, usize, u64)>,
}

impl Contingency {
    fn new(a: &[u32], b: &[u32]) -> Contingency {
        let (ga, gb) = (Groups::new(a), Groups::new(b));
        let mut pairs: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for (&i, &j) in ga.of.iter().zip(&gb.of) {
            *pairs.entry((i, j)).or_default() += 1;
        }
        let sizes = |g: &Groups| g.sizes.iter().map(|&s| s as u64).collect();
        Contingency {
            n: a.len() as u64,
            a: sizes(&ga),
            b: sizes(&gb),
            shared: pairs.into_iter().map(|((i, j), c)| (i, j, c)).collect(),
        }
    }

    fn mutual_info(&self) -> f64 {
        let n = self.n as f64;
        let term = |&(i, j, c): &(usize, usize, u64)| {
            c as f64 / n * (c as f64 * n / (self.a[i] as f64 * self.b[j] as f64)).ln()
        };
        self.shared.iter().map(term).sum::<f64>().max(0.0)
    }

    /// Sums of squares: shared pairs, groups of `a`, groups of `b`.
    fn squares(&self) -> (i128, i128, i128) {
        let square = |c: u64| i128::from(c) * i128::from(c);
        (
            self.shared.iter().map(|&(_, _, c)| square(c)).sum(),
            self.a.iter().map(|&c| square(c)).sum(),
            self.b.iter().map(|&c| square(c)).sum(),
        )
    }

    fn ari(&self) -> f64 {
        // Ordered pairs of cells: together in both, in `a` only, in `b` only, in neither.
        let (shared, a, b) = self.squares();
        let n = i128::from(self.n);
        let (both, only_a, only_b) = (shared - n, a - shared, b - shared);
        let neither = n * n - both - only_a - only_b - n;
        if only_a == 0 && only_b == 0 {
            return 1.0;
        }
        let [both, only_a, only_b, neither] = [both, only_a, only_b, neither].map(|c| c as f64);
        2.0 * (both * neither - only_a * only_b)
            / ((both + only_a) * (only_a + neither) + (both + only_b) * (only_b + neither))
    }

    fn fowlkes_mallows(&self) -> f64 {
        let (shared, a, b) = self.squares();
        let n = i128::from(self.n);
        let both = (shared - n) as f64;
        if both == 0.0 {
            return 0.0;
        }
        (both / (b - n) as f64).sqrt() * (both / (a - n) as f64).sqrt()
    }

    fn ami(&self, mi: f64, mean_entropy: f64) -> f64 {
        let expected = self.expected_mutual_info();
        // Keeps the sign but stays away from 0, as scikit-learn does.
        let spread = mean_entropy - expected;
        let spread = if spread < 0.0 { spread.min(-f64::EPSILON) } else { spread.max(f64::EPSILON) };
        (mi - expected) / spread
    }

    /// Mean mutual information of random partitions with the same group sizes: the overlap of two
    /// groups is then hypergeometric.
    fn expected_mutual_info(&self) -> f64 {
        let n = self.n;
        let ln_factorial = ln_factorials(n as usize);
        let f = |k: u64| ln_factorial[k as usize];
        // Groups of equal size contribute alike; clusterings have few distinct sizes.
        let (sizes_a, sizes_b) = (distinct(&self.a), distinct(&self.b));
        let mut total = 0.0;
        for &(a, times_a) in &sizes_a {
            for &(b, times_b) in &sizes_b {
                let fixed = f(a) + f(b) + f(n - a) + f(n - b) - f(n);
                let mut sum = 0.0;
                for c in (a + b).saturating_sub(n).max(1)..=a.min(b) {
                    let information = (c as f64 * n as f64 / (a as f64 * b as f64)).ln();
                    let chance = fixed - f(c) - f(a - c) - f(b - c) - f(n + c - a - b);
                    sum += c as f64 / n as f64 * information * chance.exp();
                }
                total += (times_a * times_b) as f64 * sum;
            }
        }
        total
    }
}

fn distinct(sizes: &[u64]) -> Vec<(u64, u64)> {
    let mut counts = BTreeMap::new();
    for &s in sizes {
        *counts.entry(s).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

/// `ln k!` for k = 0..=n, summed with compensation so that differences keep their digits.
fn ln_factorials(n: usize) -> Vec<f64> {
    let (mut sum, mut lost) = (0.0, 0.0);
    let mut table = Vec::with_capacity(n + 1);
    table.push(0.0);
    for k in 1..=n {
        let term = (k as f64).ln() - lost;
        let next = sum + term;
        lost = (next - sum) - term;
        sum = next;
        table.push(sum);
    }
    table
}

fn entropy(sizes: &[u64], n: u64) -> f64 {
    if sizes.len() == 1 {
        return 0.0;
    }
    let n = n as f64;
    -sizes.iter().map(|&s| s as f64 / n * (s as f64 / n).ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_partitions_agree_whatever_their_codes() {
        let g = ClusterAgreement::between(&[0, 0, 1, 1, 2], &[5, 5, 3, 3, 9]).unwrap();
        for v in [g.nmi, g.nmi_min, g.nmi_max, g.nmi_geometric, g.ari, g.ami, g.homogeneity, g.completeness] {
            assert!((v - 1.0).abs() < 1e-15);
        }
        assert_eq!(ClusterAgreement::between(&[4, 4], &[1, 1]).unwrap().nmi, 1.0);
    }

    #[test]
    fn expected_information_is_the_mean_over_all_arrangements() {
        // Groups of sizes 2 and 2 against 1 and 3: the odd one out sits in either pair.
        let table = Contingency::new(&[0, 0, 1, 1], &[0, 1, 1, 1]);
        let mi = 0.25 * 2f64.ln() + 0.25 * (2.0f64 / 3.0).ln() + 0.5 * (4.0f64 / 3.0).ln();
        assert!((table.expected_mutual_info() - mi).abs() < 1e-14);
    }

    #[test]
    fn lengths_must_agree() {
        assert!(ClusterAgreement::between(&[0], &[0, 1]).is_err());
        assert!(ClusterAgreement::between(&[], &[]).is_err());
    }
}

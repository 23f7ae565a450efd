//! How well a score separates positives from negatives. May use: error, labels.

use super::labels::{check_length, check_no_nan};
use crate::error::Result;

/// Cumulative counts at each distinct score, from the highest down: all that ROC and
/// precision-recall curves are made of. Tied scores share one threshold.
pub struct Ranking {
    /// Positives at or above each threshold, ascending.
    pub true_positives: Vec<u64>,
    /// Negatives at or above each threshold, ascending.
    pub false_positives: Vec<u64>,
    /// The distinct scores, descending.
    pub thresholds: Vec<f64>,
}

impl Ranking {
    /// Ranks cells by `score`, higher meaning more positive. Infinite scores are fine.
    ///
    /// # Errors
    /// `Error::Shape` if the lengths differ; `Error::Argument` if a score is NaN.
    pub fn new(positive: &[bool], score: &[f64]) -> Result<Ranking> {
        check_length("ranking", "scores", positive.len(), score.len())?;
        check_no_nan("ranking", "the score", score)?;
        let mut order: Vec<usize> = (0..score.len()).collect();
        // No NaN is left, so partial_cmp always answers; it lets -0 tie with 0, unlike total_cmp.
        order.sort_by(|&a, &b| score[b].partial_cmp(&score[a]).unwrap_or(std::cmp::Ordering::Equal));
        let mut ranking = Ranking { true_positives: vec![], false_positives: vec![], thresholds: vec![] };
        let (mut tp, mut fp) = (0, 0);
        for (at, &cell) in order.iter().enumerate() {
            if positive[cell] {
                tp += 1;
            } else {
                fp += 1;
            }
            if order.get(at + 1).is_none_or(|&next| score[next] != score[cell]) {
                ranking.true_positives.push(tp);
                ranking.false_positives.push(fp);
                ranking.thresholds.push(score[cell]);
            }
        }
        Ok(ranking)
    }

    /// Number of positive cells.
    pub fn positives(&self) -> u64 {
        self.true_positives.last().copied().unwrap_or(0)
    }

    /// Number of negative cells.
    pub fn negatives(&self) -> u64 {
        self.false_positives.last().copied().unwrap_or(0)
    }

    /// Area under the ROC curve: the share of (positive, negative) pairs in the right order, a tie
    /// counting half. NaN without a positive or without a negative.
    pub fn auroc(&self) -> f64 {
        // Twice the number of right pairs is an integer; one division then rounds once.
        let (mut twice, mut tp, mut fp) = (0u128, 0, 0);
        for (&t, &f) in self.true_positives.iter().zip(&self.false_positives) {
            twice += u128::from(f - fp) * u128::from(tp + t);
            (tp, fp) = (t, f);
        }
        twice as f64 / (2.0 * tp as f64 * fp as f64)
    }

    /// `sum_n (R_n - R_{n-1}) P_n` over the distinct thresholds, without interpolation. NaN without
    /// a positive.
    pub fn average_precision(&self) -> f64 {
        let (mut sum, mut before) = (0.0, 0);
        for (&tp, &fp) in self.true_positives.iter().zip(&self.false_positives) {
            sum += (tp - before) as f64 * (tp as f64 / (tp + fp) as f64);
            before = tp;
        }
        sum / self.positives() as f64
    }

    /// Area under the precision-recall curve by trapezoids, from (recall 0, precision 1). Kept
    /// beside [`Ranking::average_precision`] because others report it; it is optimistic.
    pub fn pr_auc_trapezoid(&self) -> f64 {
        let (mut sum, mut recall, mut precision) = (0.0, 0.0, 1.0);
        for (&tp, &fp) in self.true_positives.iter().zip(&self.false_positives) {
            let (r, p) = (tp as f64 / self.positives() as f64, tp as f64 / (tp + fp) as f64);
            sum += (r - recall) * (p + precision) / 2.0;
            (recall, precision) = (r, p);
        }
        sum
    }

    /// The false positive rate at the highest threshold whose true positive rate is at least
    /// `recall`. NaN without a positive or without a negative.
    pub fn fpr_at_tpr(&self, recall: f64) -> f64 {
        let reached = self.true_positives.iter().position(|&tp| tp as f64 / self.positives() as f64 >= recall);
        match reached {
            Some(at) => self.false_positives[at] as f64 / self.negatives() as f64,
            None => f64::NAN,
        }
    }
}

/// [`Ranking::auroc`] of `score` for `positive`; higher scores should be positive.
pub fn auroc(positive: &[bool], score: &[f64]) -> Result<f64> {
    Ok(Ranking::new(positive, score)?.auroc())
}

/// [`Ranking::average_precision`] of `score` for `positive`.
pub fn average_precision(positive: &[bool], score: &[f64]) -> Result<f64> {
    Ok(Ranking::new(positive, score)?.average_precision())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITIVE: [bool; 5] = [true, true, true, false, false];

    #[test]
    fn check_14_auroc_ties() {
        let score = [0.5, 0.5, 1.0, 0.5, 0.0];
        let area = auroc(&POSITIVE, &score).unwrap();
        assert!((area - 5.0 / 6.0).abs() < 1e-15, "{area}");
        assert_eq!(auroc(&POSITIVE, &[0.3; 5]).unwrap(), 0.5);
        let reversed: Vec<f64> = score.iter().map(|s| -s).collect();
        assert!((auroc(&POSITIVE, &reversed).unwrap() - (1.0 - area)).abs() < 1e-15);
    }

    #[test]
    fn check_14_empty_side_is_nan_and_nan_score_an_error() {
        assert!(auroc(&[true, true], &[0.0, 1.0]).unwrap().is_nan());
        assert!(auroc(&[false], &[0.0]).unwrap().is_nan());
        assert!(auroc(&[], &[]).unwrap().is_nan());
        assert!(auroc(&[true, false], &[f64::NAN, 1.0]).is_err());
        assert!(auroc(&[true], &[1.0, 2.0]).is_err());
    }

    #[test]
    fn auroc_is_the_share_of_pairs_in_order() {
        let positive: Vec<bool> = (0..60).map(|i| (i * 7) % 3 == 0).collect();
        let score: Vec<f64> = (0..60).map(|i| f64::from((i * 37) % 11)).collect();
        let (mut right, mut pairs) = (0.0, 0.0);
        for i in (0..60).filter(|&i| positive[i]) {
            for j in (0..60).filter(|&j| !positive[j]) {
                pairs += 1.0;
                right += if score[i] > score[j] {
                    1.0
                } else if score[i] == score[j] {
                    0.5
                } else {
                    0.0
                };
            }
        }
        assert!((auroc(&positive, &score).unwrap() - right / pairs).abs() < 1e-15);
    }

    #[test]
    fn infinities_and_signed_zeros_rank_as_numbers() {
        let r = Ranking::new(&[true, false, true, false], &[f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0]).unwrap();
        assert_eq!(r.thresholds.len(), 3);
        assert_eq!(r.auroc(), 3.5 / 4.0);
    }
}

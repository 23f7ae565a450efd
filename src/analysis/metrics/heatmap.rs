//! Annotation heatmap: which types each of the query's labels was given. May use: error, labels.

use super::labels::{check_length, check_some};
use crate::error::{Error, Result};

/// Counts of predictions (rows) for each label of the query (columns).
///
/// Rows are the reference's classes and one more for rejected cells.
pub struct Heatmap {
    /// Reference classes; row `classes` counts the rejected cells.
    pub classes: usize,
    /// Labels of the query.
    pub columns: usize,
    /// `[classes + 1, columns]`.
    pub counts: Vec<u64>,
}

impl Heatmap {
    /// Counts cells; `predicted` is `None` for a rejected cell.
    ///
    /// # Errors
    /// `Error::Shape` if the lengths differ, `Error::Argument` for a code out of range or no cell.
    pub fn new(predicted: &[Option<u32>], classes: usize, query: &[u32], columns: usize) -> Result<Heatmap> {
        check_some("heatmap", query.len())?;
        check_length("heatmap", "predictions", query.len(), predicted.len())?;
        let mut counts = vec![0; (classes + 1) * columns];
        for (cell, (&p, &q)) in predicted.iter().zip(query).enumerate() {
            let row = p.map_or(classes, |p| p as usize);
            if row > classes || (p.is_some() && row == classes) || q as usize >= columns {
                return Err(Error::Argument {
                    op: "heatmap",
                    what: format!("cell {cell} has class {row} of {classes}, label {q} of {columns}"),
                });
            }
            counts[row * columns + q as usize] += 1;
        }
        Ok(Heatmap { classes, columns, counts })
    }

    /// Cells of the query with label `column`.
    pub fn column_total(&self, column: usize) -> u64 {
        (0..=self.classes).map(|row| self.counts[row * self.columns + column]).sum()
    }

    /// `[classes + 1, columns]`: the share of each column's cells; a column with cells sums to 1.
    pub fn fractions(&self) -> Vec<f64> {
        let totals: Vec<u64> = (0..self.columns).map(|c| self.column_total(c)).collect();
        let share = |(i, &count): (usize, &u64)| match totals[i % self.columns] {
            0 => 0.0,
            total => count as f64 / total as f64,
        };
        self.counts.iter().enumerate().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::metrics::Confusion;

    #[test]
    fn check_22_heatmap_columns_sum_to_one() {
        let predicted: Vec<Option<u32>> = (0..97).map(|i| (i % 5 != 0).then_some((i * 7) % 3)).collect();
        let query: Vec<u32> = (0..97).map(|i| (i * 13) % 7 % 6).collect();
        let map = Heatmap::new(&predicted, 3, &query, 7).unwrap();
        let share = map.fractions();
        for column in 0..7 {
            let sum: f64 = (0..4).map(|row| share[row * 7 + column]).sum();
            let expected = if map.column_total(column) == 0 { 0.0 } else { 1.0 };
            assert!((sum - expected).abs() < 1e-12, "column {column}: {sum}");
        }
        assert_eq!(map.column_total(6), 0);
    }

    #[test]
    fn check_22_accuracy_is_the_weighted_diagonal() {
        let truth: Vec<u32> = (0..101).map(|i| (i * 7) % 4).collect();
        let label: Vec<u32> = (0..101).map(|i| if i % 3 == 0 { (i * 11) % 4 } else { (i * 7) % 4 }).collect();
        let predicted: Vec<Option<u32>> = label.iter().map(|&l| Some(l)).collect();
        let map = Heatmap::new(&predicted, 4, &truth, 4).unwrap();
        let share = map.fractions();
        let diagonal: f64 = (0..4).map(|k| share[k * 4 + k] * map.column_total(k) as f64 / 101.0).sum();
        let accuracy = Confusion::new(&truth, &label, 4).unwrap().accuracy();
        assert!((diagonal - accuracy).abs() < 1e-12, "{diagonal} {accuracy}");
    }

    #[test]
    fn codes_out_of_range_are_refused() {
        assert!(Heatmap::new(&[Some(3)], 3, &[0], 1).is_err());
        assert!(Heatmap::new(&[None], 3, &[1], 1).is_err());
    }
}

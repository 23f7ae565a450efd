//! Which cells teach and which are asked: folds, a type left out, known and unknown types.
//!
//! May use: `error`, [`batches`](super::batches), [`Labels`]. By a column of `obs` cells are chosen
//! in [`select`](super::select).
#![forbid(unsafe_code)]

use super::batches::k_folds;
use super::labels::Labels;
use crate::error::Result;

/// The fold of each cell, `0..k`, so that folds have the same number of cells of each class, up to
/// one. A class of fewer than `k` cells is missing from some folds ([`scarce`] says which are).
///
/// # Errors
/// As [`k_folds`].
pub fn fold_of_each(labels: &Labels, k: usize, seed: u64) -> Result<Vec<u32>> {
    let mut fold_of = vec![0; labels.codes.len()];
    for (fold, cells) in k_folds(&labels.codes, k, seed)?.into_iter().enumerate() {
        cells.into_iter().for_each(|cell| fold_of[cell] = fold as u32);
    }
    Ok(fold_of)
}

/// Classes with fewer cells than folds: not every fold can test them, and one cell alone is unknown
/// to the model that is asked about it.
pub fn scarce(labels: &Labels, k: usize) -> Vec<usize> {
    (0..labels.classes.len()).filter(|&class| labels.counts[class] < k).collect()
}

/// A reference, and a query of cells of its types ("in distribution") and of others ("out of
/// distribution"); rows, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Cells to learn from.
    pub reference: Vec<usize>,
    /// Cells to ask about, of types that the reference has.
    pub known: Vec<usize>,
    /// Cells to ask about, of types that it does not have.
    pub unknown: Vec<usize>,
}

/// The cells of one fold as the query, the others as the reference, without the classes `left_out`,
/// all of whose cells join the query.
pub fn leave_out(labels: &Labels, fold_of: &[u32], fold: u32, left_out: &[u32]) -> Parts {
    let mut parts = Parts { reference: Vec::new(), known: Vec::new(), unknown: Vec::new() };
    let mut taught = vec![false; labels.classes.len()];
    for (&class, &own) in labels.codes.iter().zip(fold_of) {
        taught[class as usize] |= own != fold && !left_out.contains(&class);
    }
    for (cell, (&class, &own)) in labels.codes.iter().zip(fold_of).enumerate() {
        let part = match (taught[class as usize], own == fold) {
            (false, _) => &mut parts.unknown,
            (true, true) => &mut parts.known,
            (true, false) => &mut parts.reference,
        };
        part.push(cell);
    }
    parts
}

/// [`leave_out`] for each class in turn.
pub fn leave_one_type_out(labels: &Labels, fold_of: &[u32], fold: u32) -> Vec<Parts> {
    (0..labels.classes.len() as u32).map(|class| leave_out(labels, fold_of, fold, &[class])).collect()
}

/// Rows of a query whose true type a model knows, and rows of all other types. A cell without a
/// type is in neither.
pub fn known_and_unknown(truth: &[Option<String>], known: &[String]) -> (Vec<usize>, Vec<usize>) {
    let typed = (0..truth.len()).filter(|&row| truth[row].is_some());
    typed.partition(|&row| truth[row].as_ref().is_some_and(|label| known.contains(label)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Categorical, Column, Table};

    fn labels(values: &[&str]) -> Labels {
        let mut table = Table::new((0..values.len()).map(|i| format!("c{i}")).collect());
        table.set("type", Column::Categorical(Categorical::from_strings(values))).unwrap();
        Labels::read(&table, "type", "t").unwrap()
    }

    fn some() -> Labels {
        let of = |kind: &'static str, n: usize| vec![kind; n];
        labels(&[of("a", 40), of("b", 21), of("rare", 3), of("single", 1)].concat())
    }

    #[test]
    fn each_fold_has_its_share_of_every_class_and_rare_classes_are_named() {
        let labels = some();
        let folds = fold_of_each(&labels, 5, 1).unwrap();
        for (class, &n) in labels.counts.iter().enumerate() {
            for fold in 0..5u32 {
                let here = (0..65).filter(|&i| folds[i] == fold && labels.codes[i] == class as u32).count();
                assert!((n / 5..=n.div_ceil(5)).contains(&here), "{here} of {n} cells in fold {fold}");
            }
        }
        assert_eq!(scarce(&labels, 5), [2, 3]);
        assert!(scarce(&labels, 1).is_empty());
        assert_ne!(folds, fold_of_each(&labels, 5, 2).unwrap());
        assert!(fold_of_each(&labels, 66, 1).is_err());
    }

    #[test]
    fn a_type_left_out_is_only_asked_about() {
        let labels = some();
        let folds = fold_of_each(&labels, 5, 1).unwrap();
        let single = folds[64];
        for fold in 0..5 {
            for (class, parts) in leave_one_type_out(&labels, &folds, fold).iter().enumerate() {
                let mut all = [parts.reference.clone(), parts.known.clone(), parts.unknown.clone()].concat();
                all.sort_unstable();
                assert_eq!(all, (0..65).collect::<Vec<_>>());
                assert!(parts.reference.iter().all(|&i| folds[i] != fold && labels.codes[i] != class as u32));
                // The only cell of its class cannot be learnt from where it is asked about.
                let unknown = |i: &usize| labels.codes[*i] == class as u32 || (*i == 64 && single == fold);
                assert_eq!(parts.unknown, (0..65).filter(unknown).collect::<Vec<_>>());
                assert!(parts.known.iter().all(|&i| folds[i] == fold));
            }
        }
        let none = leave_out(&labels, &folds, (single + 1) % 5, &[]);
        assert!(none.unknown.is_empty());
    }

    #[test]
    fn a_query_falls_into_known_and_unknown_types() {
        let truth: Vec<Option<String>> = ["a", "", "c", "b", "a"].map(|t| (!t.is_empty()).then(|| t.into())).to_vec();
        assert_eq!(known_and_unknown(&truth, &["a".into(), "b".into()]), (vec![0, 3, 4], vec![2]));
    }
}

//! What training and annotation may see of a file: [`Reference`] with labels, [`Query`] without.
//!
//! A [`Query`] has no labels and no other column but its batch, so no training code can reach the
//! true labels of a query, by its type (CLAMS specification, check 17).

use crate::data::labels::Labels;
use crate::data::select::{self, Condition};
use crate::data::table::list_names;
use crate::data::{Csr, Dataset, RowBlocks, Table};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};

/// Expression values with names.
#[derive(Clone, Debug)]
pub struct Expression {
    /// Cells in rows, genes in columns; as stored, not normalised.
    pub x: Csr,
    /// One per row.
    pub cells: Vec<String>,
    /// What the file says of its genes, one row per column of `x`.
    pub var: Table,
    /// File and matrix, for messages, as in `ref.h5ad: X`.
    pub place: String,
}

/// Labelled cells.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Their expression.
    pub expression: Expression,
    /// Class of each cell, an index into `classes`.
    pub y: Vec<u32>,
    /// Class names, sorted.
    pub classes: Vec<String>,
    /// Value of the batch column.
    pub batch: Option<Vec<String>>,
}

/// Cells to annotate: no labels.
#[derive(Clone, Debug)]
pub struct Query {
    /// Their expression.
    pub expression: Expression,
    /// Value of the batch column.
    pub batch: Option<Vec<String>>,
}

impl Expression {
    fn new(dataset: &Dataset, rows: &[usize], layer: Option<&str>) -> Result<Expression> {
        let matrix = dataset.matrix(layer)?;
        let whole = rows.len() == dataset.n_obs();
        let x = if whole { matrix.to_csr()? } else { matrix.select_rows(rows).into_csr()? };
        Ok(Expression {
            x,
            cells: rows.iter().map(|&row| dataset.obs.index[row].clone()).collect(),
            var: dataset.var.clone(),
            place: format!("{}: {}", dataset.source, layer.map_or("X".into(), |l| format!("layer \"{l}\""))),
        })
    }

    /// SHA-256 over names and values: two selections with the same sum are the same cells.
    pub fn checksum(&self) -> String {
        // Nothing is read, so nothing fails.
        self.checksum_with(&self.x).unwrap_or_default()
    }

    /// The same with the values of `x`, which are read in blocks.
    ///
    /// # Errors
    /// Those of reading.
    pub fn checksum_with(&self, x: &dyn RowBlocks) -> Result<String> {
        let mut hash = Sha256::new();
        for names in [&self.cells, &self.var.index] {
            hash.update((names.len() as u64).to_le_bytes());
            for name in names {
                hash.update(name.as_bytes());
                hash.update([0]);
            }
        }
        x.pass(&mut |_, block| {
            for row in 0..block.n_rows() {
                let (columns, values) = block.row(row);
                // Explicit zeros depend on who wrote the file, not on what it says.
                for (column, value) in columns.iter().zip(values).filter(|(_, v)| **v != 0.0) {
                    hash.update(column.to_le_bytes());
                    hash.update(value.to_le_bytes());
                }
                hash.update([0xff; 4]);
            }
            Ok(())
        })?;
        Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
    }

    /// Only the given rows.
    pub fn select(&self, rows: &[usize]) -> Expression {
        Expression {
            x: self.x.select_rows(rows),
            cells: rows.iter().map(|&row| self.cells[row].clone()).collect(),
            var: self.var.clone(),
            place: self.place.clone(),
        }
    }
}

/// Which cells of the reference file are the reference.
#[derive(Clone, Debug, Default)]
pub struct ReferenceRules<'a> {
    /// Column of obs with the labels.
    pub label_key: &'a str,
    /// Column of obs with the batches.
    pub batch_key: Option<&'a str>,
    /// Which cells are taken.
    pub filter: &'a [Condition],
    /// Labels whose cells are left out.
    pub hold_out: &'a [String],
    /// Layer instead of `X`.
    pub layer: Option<&'a str>,
}

impl Reference {
    /// The labelled cells that the rules leave.
    ///
    /// # Errors
    /// `Error::Data` for a missing column, value, layer or label, for a label to hold out that does
    /// not occur, and if fewer than two classes are left or one has a single cell.
    pub fn new(dataset: &Dataset, rules: &ReferenceRules) -> Result<Reference> {
        let place = format!("{}: obs", dataset.source);
        dataset.obs.column(&place, rules.label_key)?;
        let rows = select::rows(&dataset.obs, rules.filter, &place)?;
        let all = Labels::read(&dataset.obs.select_rows(&rows), rules.label_key, &place)?;
        if let Some(odd) = rules.hold_out.iter().find(|label| !all.classes.contains(label)) {
            return Err(Error::data(
                format!("{place} column \"{}\"", rules.label_key),
                format!("no reference cell has the label \"{odd}\" that --hold-out names"),
                format!("the reference has {}", list_names(&all.classes)),
            ));
        }
        let held_out: Vec<bool> = all.classes.iter().map(|label| rules.hold_out.contains(label)).collect();
        let kept: Vec<usize> = (0..rows.len()).filter(|&i| !held_out[all.codes[i] as usize]).collect();
        let rows: Vec<usize> = kept.iter().map(|&i| rows[i]).collect();
        let labels = Labels::read(&dataset.obs.select_rows(&rows), rules.label_key, &place)?;
        labels.require_trainable(rules.label_key, &place)?;
        let batch = match rules.batch_key {
            Some(key) => Some(batch_values(dataset, key, &rows)?),
            None => None,
        };
        let expression = Expression::new(dataset, &rows, rules.layer)?;
        Ok(Reference { expression, y: labels.codes, classes: labels.classes, batch })
    }

    /// Only the given cells; classes without cells are gone.
    pub fn only(&self, rows: &[usize]) -> Reference {
        let mut part = self.select(rows);
        let left: Vec<u32> = (0..self.classes.len() as u32).filter(|class| part.y.contains(class)).collect();
        part.classes = left.iter().map(|&class| self.classes[class as usize].clone()).collect();
        part.y.iter_mut().for_each(|y| *y = left.partition_point(|class| class < y) as u32);
        part
    }

    /// Only the given cells; every class keeps its index.
    pub fn select(&self, rows: &[usize]) -> Reference {
        Reference {
            expression: self.expression.select(rows),
            y: rows.iter().map(|&row| self.y[row]).collect(),
            classes: self.classes.clone(),
            batch: self.batch.as_ref().map(|b| rows.iter().map(|&row| b[row].clone()).collect()),
        }
    }
}

impl Query {
    /// The given cells. A batch column that the file lacks is no error: the query is then a batch
    /// of its own.
    ///
    /// # Errors
    /// `Error::Data` for a missing layer.
    pub fn new(dataset: &Dataset, rows: &[usize], layer: Option<&str>, batch_key: Option<&str>) -> Result<Query> {
        let batch = match batch_key.filter(|key| dataset.obs.get(key).is_some()) {
            Some(key) => batch_values(dataset, key, rows).ok(),
            None => None,
        };
        Ok(Query { expression: Expression::new(dataset, rows, layer)?, batch })
    }
}

fn batch_values(dataset: &Dataset, key: &str, rows: &[usize]) -> Result<Vec<String>> {
    let place = format!("{}: obs", dataset.source);
    let column = dataset.obs.column(&place, key)?;
    let texts: Vec<Option<String>> = rows.iter().map(|&row| column.text(row)).collect();
    let missing = texts.iter().filter(|t| t.is_none()).count();
    if missing > 0 {
        let what = format!("{missing} of {} cells have no batch", rows.len());
        return Err(Error::data(
            format!("{place} column \"{key}\""),
            what,
            "complete the column or choose another --batch-key",
        ));
    }
    Ok(texts.into_iter().flatten().collect())
}

/// The rows of a query in a file that also holds the reference: what the conditions say, and
/// without conditions every cell that the reference's own do not choose.
///
/// # Errors
/// As [`select::rows`]; `Error::Usage` if no cell is left.
pub fn query_rows_beside(obs: &Table, reference: &[Condition], query: &[Condition], place: &str) -> Result<Vec<usize>> {
    if !query.is_empty() {
        return select::rows(obs, query, place);
    }
    let taken = select::rows(obs, reference, place)?;
    let mut rest = vec![true; obs.n_rows()];
    taken.iter().for_each(|&row| rest[row] = false);
    let rows: Vec<usize> = (0..rest.len()).filter(|&row| rest[row]).collect();
    if rows.is_empty() {
        return Err(Error::usage(
            "reference and query are the same cells of the same file",
            "say with --where COL=VALUE which cells are the reference; the others are then the query",
        ));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Categorical, Column, Matrix};

    fn dataset(labels: &[&str]) -> Dataset {
        let n = labels.len();
        let mut obs = Table::new((0..n).map(|i| format!("c{i}")).collect());
        obs.set("type", Column::Categorical(Categorical::from_strings(labels))).unwrap();
        let tech: Vec<&str> = (0..n).map(|i| ["a", "b"][i % 2]).collect();
        obs.set("tech", Column::Categorical(Categorical::from_strings(&tech))).unwrap();
        let var = Table::new(vec!["G1".into(), "G2".into()]);
        let x: Vec<f32> = (0..2 * n).map(|i| i as f32).collect();
        let mut d = Dataset::new(Matrix::Csr(Csr::from_dense(n, 2, &x).unwrap()), obs, var).unwrap();
        d.source = "r.h5ad".into();
        d
    }

    fn reference(labels: &[&str], filter: &[&str], hold_out: &[&str]) -> Result<Reference> {
        let filter: Vec<Condition> = filter.iter().map(|c| c.parse().unwrap()).collect();
        let hold_out: Vec<String> = hold_out.iter().map(|s| (*s).to_string()).collect();
        let rules =
            ReferenceRules { label_key: "type", filter: &filter, hold_out: &hold_out, ..ReferenceRules::default() };
        Reference::new(&dataset(labels), &rules)
    }

    #[test]
    fn labels_are_sorted_and_held_out_ones_are_gone() {
        let r = reference(&["b", "a", "c", "b", "a", "b", "a", "a"], &[], &["c"]).unwrap();
        assert_eq!((r.classes.clone(), r.y.clone()), (vec!["a".into(), "b".into()], vec![1, 0, 1, 0, 1, 0, 0]));
        assert_eq!(r.expression.cells[2], "c3");
        let r = reference(&["a", "", "b", "a", "a", "b", "b"], &["type!="], &[]).unwrap();
        assert_eq!(r.y, [0, 1, 0, 0, 1, 1]);
    }

    #[test]
    fn unusable_labels_are_one_clear_line() {
        let text = |l: &[&str], f: &[&str], h: &[&str]| reference(l, f, h).unwrap_err().to_string();
        assert!(text(&["a", "", "b"], &[], &[]).ends_with("leave them out with --where 'type!='"));
        assert!(text(&["a", "a"], &[], &[]).contains("all cells have the same label \"a\""));
        assert!(text(&["a", "b"], &[], &["x"]).contains("no reference cell has the label \"x\""));
        assert!(text(&["a", "b", "b", "a", "c"], &[], &[]).contains("class \"c\" in \"type\" has one cell"));
        assert!(reference(&["a", "b", "b", "a", "c"], &[], &["c"]).is_ok());
    }

    #[test]
    fn cells_that_the_reference_leaves_are_the_query() {
        let obs = dataset(&["a", "b", "a", "b"]).obs;
        let where_a: Vec<Condition> = vec!["tech=a".parse().unwrap()];
        assert_eq!(query_rows_beside(&obs, &where_a, &[], "x").unwrap(), [1, 3]);
        assert_eq!(query_rows_beside(&obs, &where_a, &where_a, "x").unwrap(), [0, 2]);
        assert_eq!(query_rows_beside(&obs, &[], &[], "x").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn the_checksum_tells_cells_apart_but_not_ways_of_storing() {
        let d = dataset(&["a", "b", "a"]);
        let query = |rows: &[usize]| Query::new(&d, rows, None, None).unwrap().expression;
        assert_eq!(query(&[0, 1]).checksum(), query(&[0, 1]).checksum());
        assert_ne!(query(&[0, 1]).checksum(), query(&[0, 2]).checksum());
        let mut stored = query(&[0, 1]);
        stored.x = Csr::new(2, 2, vec![0, 2, 4], vec![0, 1, 0, 1], vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(stored.checksum(), query(&[0, 1]).checksum());
    }
}

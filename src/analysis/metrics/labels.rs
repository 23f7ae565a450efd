//! Codes to dense groups, and the checks on input that every metric shares. May use: error.

use crate::error::{Error, Result};

/// Labels as dense group numbers, in ascending order of the codes.
pub struct Groups {
    /// Group of each cell, `0..values.len()`.
    pub of: Vec<usize>,
    /// The code each group stands for, ascending.
    pub values: Vec<u32>,
    /// Cells in each group.
    pub sizes: Vec<usize>,
}

impl Groups {
    /// Groups cells by their code.
    pub fn new(codes: &[u32]) -> Groups {
        let mut values = codes.to_vec();
        values.sort_unstable();
        values.dedup();
        let of: Vec<usize> = codes.iter().map(|c| values.binary_search(c).unwrap_or(0)).collect();
        let mut sizes = vec![0; values.len()];
        for &g in &of {
            sizes[g] += 1;
        }
        Groups { of, values, sizes }
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no cell at all.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The cells of each group, ascending.
    pub fn members(&self) -> Vec<Vec<usize>> {
        let mut members: Vec<Vec<usize>> = self.sizes.iter().map(|&n| Vec::with_capacity(n)).collect();
        for (cell, &g) in self.of.iter().enumerate() {
            members[g].push(cell);
        }
        members
    }
}

/// Fails unless `found` has one value per cell.
pub fn check_length(op: &'static str, what: &str, cells: usize, found: usize) -> Result<()> {
    if cells == found {
        return Ok(());
    }
    Err(Error::Shape { op, expected: format!("{cells} {what}, one per cell"), found: found.to_string() })
}

/// Fails unless there is at least one cell.
pub fn check_some(op: &'static str, cells: usize) -> Result<()> {
    if cells > 0 {
        return Ok(());
    }
    Err(Error::Argument { op, what: "there is no cell to evaluate".into() })
}

/// Fails at the first NaN.
pub fn check_no_nan(op: &'static str, what: &str, values: &[f64]) -> Result<()> {
    match values.iter().position(|v| v.is_nan()) {
        None => Ok(()),
        Some(i) => Err(Error::Argument { op, what: format!("{what} of cell {i} is NaN") }),
    }
}

/// Checks a row-major matrix and returns its number of rows.
pub fn check_matrix(op: &'static str, x: &[f64], dims: usize) -> Result<usize> {
    if dims == 0 || !x.len().is_multiple_of(dims) {
        return Err(Error::Shape {
            op,
            expected: format!("whole rows of {dims} values"),
            found: format!("{} values", x.len()),
        });
    }
    check_some(op, x.len() / dims)?;
    match x.iter().position(|v| !v.is_finite()) {
        None => Ok(x.len() / dims),
        Some(i) => Err(Error::Argument {
            op,
            what: format!("coordinate {} of cell {} is {}, not a finite number", i % dims, i / dims, x[i]),
        }),
    }
}

/// Checks a list of `k` neighbours per cell: whole rows, indices of existing cells.
pub fn check_neighbors(op: &'static str, cells: usize, indices: &[u32], k: usize) -> Result<()> {
    check_some(op, cells)?;
    if k == 0 || indices.len() != cells * k {
        return Err(Error::Shape {
            op,
            expected: format!("{k} neighbours for each of {cells} cells"),
            found: format!("{} indices", indices.len()),
        });
    }
    match indices.iter().position(|&i| i as usize >= cells) {
        None => Ok(()),
        Some(at) => Err(Error::Argument {
            op,
            what: format!("neighbour {} of cell {} is {}, beyond {cells} cells", at % k, at / k, indices[at]),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_follow_the_order_of_codes() {
        let g = Groups::new(&[7, 3, 100, 3]);
        assert_eq!(
            (g.values.as_slice(), g.of.as_slice(), g.sizes.as_slice()),
            (&[3, 7, 100][..], &[1, 0, 2, 0][..], &[2, 1, 1][..])
        );
        assert_eq!(g.members(), vec![vec![1, 3], vec![0], vec![2]]);
    }

    #[test]
    fn bad_input_is_named() {
        assert!(check_length("nmi", "labels", 3, 2).unwrap_err().to_string().contains("expected 3 labels"));
        assert!(check_no_nan("auroc", "score", &[0.0, f64::NAN]).unwrap_err().to_string().contains("cell 1"));
        assert!(check_matrix("lisi", &[0.0; 5], 2).is_err());
        assert!(
            check_matrix("lisi", &[0.0, f64::INFINITY], 2).unwrap_err().to_string().contains("coordinate 1 of cell 0")
        );
        assert!(check_neighbors("kbet", 2, &[0, 2], 1).unwrap_err().to_string().contains("beyond 2 cells"));
    }
}

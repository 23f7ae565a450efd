//! Files of any format read, and their values made comparable: counts stay, log-normalised values
//! lose their logarithm, what is no expression is refused.

use super::cells::Expression;
use crate::data::check::{self, Content, Names};
use crate::data::table::list_names;
use crate::data::{Csr, Dataset, Matrix, Memory, RowBlocks, Source, Which, source};
use crate::error::{Error, Result};
use crate::models::run::Observer;
use std::path::Path;

/// No `ln(1 + x)` of an abundance is larger: e^20 is half a billion.
const LARGEST_LOG: f32 = 20.0;

/// One matrix of a file with its cells and genes; says what the reader decided.
///
/// # Errors
/// As [`source::open`] and [`source::read_matrix`].
pub fn read(path: &Path, layer: Option<&str>, observer: &mut dyn Observer) -> Result<Dataset> {
    source::read_matrix(open(path, Memory::default(), observer)?.as_ref(), layer)
}

/// Opens a file; says what the reader decided.
///
/// # Errors
/// As [`source::open_within`].
pub fn open(path: &Path, memory: Memory, observer: &mut dyn Observer) -> Result<Box<dyn Source>> {
    let opened = source::open_within(path, memory)?;
    opened.notes().iter().for_each(|note| observer.note(&format!("{}: {note}", opened.name())));
    Ok(opened)
}

/// What to do about scaled values, as far as the values alone tell.
const SCALED: &str = "give counts or log-normalised values";

/// The error of scaled values with the matrices that its file has besides; `files` are those that were read.
pub fn explain(error: Error, files: &[&Path]) -> Error {
    let Error::Data { place, what, fix } = error else { return error };
    if fix != SCALED {
        return Error::Data { place, what, fix };
    }
    for file in files {
        // It was read before; where it is gone since, the error stays as it is.
        let Ok(source) = source::open(file) else { continue };
        let Some(matrix) = place.strip_prefix(source.name()).and_then(|rest| rest.strip_prefix(": ")) else { continue };
        let others: Vec<String> = source::layer_names(source.as_ref())
            .into_iter()
            .filter(|name| matrix != name && matrix != format!("layer \"{name}\""))
            .collect();
        let fix = if others.is_empty() {
            format!("the file has no other matrix, {SCALED} in another file")
        } else {
            format!("{SCALED}; --layer may name {}", list_names(&others))
        };
        return Error::Data { place, what, fix };
    }
    Error::Data { place, what, fix }
}

/// Cells and genes of a matrix without its values: they are all zero.
///
/// # Errors
/// None for an opened file.
pub fn names(source: &dyn Source, which: &Which) -> Result<Dataset> {
    let (obs, var) = (source.obs().clone(), source.var(which).clone());
    let mut dataset = Dataset::new(Matrix::Csr(Csr::zeros(obs.n_rows(), var.n_rows())), obs, var)?;
    dataset.source = source.name().into();
    Ok(dataset)
}

/// Expression without logarithm.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Counts or log-normalised values, `[n_obs, n_vars]`.
    pub x: Csr,
    /// What the file holds, in words.
    pub content: String,
    /// What was done about it, unless it holds counts.
    pub note: Option<String>,
}

/// The values without logarithm.
///
/// # Errors
/// `Error::Data` for an empty matrix and for values that are not finite or negative (a scaled
/// matrix, for example).
pub fn linear(expression: &Expression) -> Result<Linear> {
    let judged = judge(&expression.x, expression)?;
    let mut x = expression.x.clone();
    judged.take_logarithm_off(&mut x);
    Ok(Linear { x, content: judged.content, note: judged.note })
}

/// What the values of a file are, and what is to be done about it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What the file holds, in words.
    pub content: String,
    /// What is done about it, unless it holds counts.
    pub note: Option<String>,
    logged: bool,
}

impl Judged {
    /// Makes some of the values abundances.
    pub fn take_logarithm_off(&self, x: &mut Csr) {
        if self.logged {
            x.values_mut().iter_mut().for_each(|v| *v = f64::from(*v).exp_m1() as f32);
        }
    }
}

/// Looks at all values of `x`; `expression` has the names of its cells and genes.
///
/// # Errors
/// As [`linear`], and those of reading.
pub fn judge(x: &dyn RowBlocks, expression: &Expression) -> Result<Judged> {
    let seen = check::describe_blocks(x)?;
    let genes = &expression.var.index;
    let names = Names { place: &expression.place, cells: &expression.cells, genes };
    check::require_filled(&seen, names)?;
    check::require_finite(&seen, names)?;
    if let Some(entry) = seen.negative {
        let (cell, gene) = (&expression.cells[entry.row], &genes[entry.column]);
        return Err(Error::data(
            &expression.place,
            format!(
                "value {} at cell {cell}, gene {gene} is negative, so the matrix is scaled or corrected",
                entry.value
            ),
            SCALED,
        ));
    }
    let logged = match seen.content {
        Content::Log1p { .. } => true,
        Content::Fractional => seen.range.1 <= LARGEST_LOG,
        _ => false,
    };
    let done = if logged { "taken as ln(1 + x)" } else { "used as abundances" };
    let note = (seen.content != Content::Counts).then(|| {
        format!("{}: {} values, not counts ({}); {done}", expression.place, seen.content.name(), seen.evidence)
    });
    Ok(Judged { content: seen.content.name().into(), note, logged })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Table;

    fn expression(values: &[f32]) -> Expression {
        Expression {
            x: Csr::from_dense(2, 2, values).unwrap(),
            cells: vec!["c1".into(), "c2".into()],
            var: Table::new(vec!["Cd3d".into(), "MS4A1".into()]),
            place: "q.h5ad: X".into(),
        }
    }

    #[test]
    fn logarithms_are_taken_off_and_everything_else_stays() {
        let counts = linear(&expression(&[0., 3., 50., 1.])).unwrap();
        assert_eq!((counts.content.as_str(), counts.note), ("counts", None));
        let abundances = linear(&expression(&[0., 3.5, 50., 1.])).unwrap();
        assert!(abundances.x.get(0, 1) == 3.5 && abundances.note.unwrap().contains("used as abundances"));
        let logged = linear(&expression(&[std::f32::consts::LN_2, 1.098_612_3, 0.0, 1.386_294_4])).unwrap();
        assert!((logged.x.get(0, 1) - 2.0).abs() < 1e-5, "{logged:?}");
    }

    #[test]
    fn what_is_no_expression_is_refused_by_cell_and_gene() {
        let text = |v: &[f32]| linear(&expression(v)).unwrap_err().to_string();
        assert!(text(&[0., 1., -0.5, 1.]).starts_with("q.h5ad: X: value -0.5 at cell c2, gene Cd3d is negative"));
        assert!(text(&[0., f32::NAN, 1., 1.]).contains("value NaN at cell c1, gene MS4A1"));
        let empty = Expression { x: Csr::zeros(0, 2), cells: vec![], ..expression(&[0.; 4]) };
        assert!(linear(&empty).unwrap_err().to_string().contains("the matrix is empty (0 cells x 2 genes)"));
    }
}

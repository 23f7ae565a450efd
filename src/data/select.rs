//! Choosing cells by what a column says: `COL=VALUE`, `COL!=VALUE`.
//!
//! May use: `error`, [`Table`].
#![forbid(unsafe_code)]

use super::table::{Table, list_names};
use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// One condition on a column of `obs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Column of obs.
    pub column: String,
    /// Text that it must hold.
    pub value: String,
    /// The value must be another one (or missing).
    pub negated: bool,
}

impl FromStr for Condition {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Condition, &'static str> {
        let (column, value) = text.split_once('=').ok_or("write it as COL=VALUE or COL!=VALUE")?;
        let (column, negated) = column.strip_suffix('!').map_or((column, false), |column| (column, true));
        if column.is_empty() {
            return Err("there is no column before the =");
        }
        Ok(Condition { column: column.into(), value: value.into(), negated })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}={}", self.column, if self.negated { "!" } else { "" }, self.value)
    }
}

/// The rows that fulfil the conditions, ascending. Conditions on different columns must all hold;
/// of several `COL=VALUE` on one column, one must. An empty `VALUE` stands for a missing entry.
///
/// `place` names the table in messages, as in `"ref.h5ad: obs"`.
///
/// # Errors
/// `Error::Data` if a column is missing, a value never occurs in it, or no row is left.
pub fn rows(table: &Table, conditions: &[Condition], place: &str) -> Result<Vec<usize>> {
    let mut keep = vec![true; table.n_rows()];
    let mut columns: Vec<&str> = conditions.iter().map(|c| c.column.as_str()).collect();
    columns.sort_unstable();
    columns.dedup();
    for name in columns {
        let column = table.column(place, name)?;
        let texts: Vec<String> = (0..column.len()).map(|row| column.text(row).unwrap_or_default()).collect();
        let mine = || conditions.iter().filter(|c| c.column == name);
        if mine().any(|c| c.negated && c.value.is_empty()) && texts.iter().all(String::is_empty) && !texts.is_empty() {
            let what = "is empty, no cell has an entry";
            return Err(Error::data(format!("{place} column \"{name}\""), what, "choose another column"));
        }
        for condition in mine() {
            if !texts.contains(&condition.value) {
                let mut levels = texts.clone();
                levels.sort_unstable();
                levels.dedup();
                let what = format!("no cell has the value \"{}\"", condition.value);
                let fix = format!("the column has {}", list_names(&levels));
                return Err(Error::data(format!("{place} column \"{name}\""), what, fix));
            }
        }
        let any_wanted = mine().any(|c| !c.negated);
        for (keep, text) in keep.iter_mut().zip(&texts) {
            let wanted = !any_wanted || mine().any(|c| !c.negated && c.value == *text);
            *keep &= wanted && !mine().any(|c| c.negated && c.value == *text);
        }
    }
    let rows: Vec<usize> = (0..keep.len()).filter(|&row| keep[row]).collect();
    if rows.is_empty() && !conditions.is_empty() {
        let asked: Vec<String> = conditions.iter().map(Condition::to_string).collect();
        return Err(Error::data(place, format!("no cell fulfils {}", asked.join(" and ")), "ask for less"));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Categorical, Column};

    fn table() -> Table {
        let mut table = Table::new((0..6).map(|i| i.to_string()).collect());
        let tech = Categorical::from_strings(&["v1", "v2", "v3", "v1", "v2", "v3"]);
        table.set("tech", Column::Categorical(tech)).unwrap();
        table.set("void", Column::Str(vec![String::new(); 6])).unwrap();
        table.set("n", Column::Int(vec![1, 1, 1, 2, 2, 2])).unwrap();
        table
    }

    fn pick(conditions: &[&str]) -> Result<Vec<usize>> {
        let conditions: Vec<Condition> = conditions.iter().map(|c| c.parse().unwrap()).collect();
        rows(&table(), &conditions, "q.h5ad: obs")
    }

    #[test]
    fn columns_are_and_values_are_or() {
        assert_eq!(pick(&[]).unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(pick(&["tech=v1", "tech=v3"]).unwrap(), [0, 2, 3, 5]);
        assert_eq!(pick(&["tech=v1", "tech=v3", "n=2"]).unwrap(), [3, 5]);
        assert_eq!(pick(&["tech!=v1", "tech!=v2"]).unwrap(), [2, 5]);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let text = |c: &[&str]| pick(c).unwrap_err().to_string();
        assert_eq!(
            text(&["tech=v9"]),
            "q.h5ad: obs column \"tech\": no cell has the value \"v9\"; the column has \"v1\", \"v2\", \"v3\""
        );
        assert_eq!(text(&["chem=v1"]), "q.h5ad: obs: no column \"chem\"; it has \"tech\", \"void\", \"n\"");
        assert_eq!(text(&["tech=v1", "tech!=v1"]), "q.h5ad: obs: no cell fulfils tech=v1 and tech!=v1; ask for less");
        assert_eq!(
            text(&["void!="]),
            "q.h5ad: obs column \"void\": is empty, no cell has an entry; choose another column"
        );
        assert!("tech".parse::<Condition>().is_err() && "=x".parse::<Condition>().is_err());
    }
}

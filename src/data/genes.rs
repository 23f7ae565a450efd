//! Genes of a file put into the order of a model.
//!
//! May use: `error`, [`Csr`], [`Table`]. The names of the query (its index, then columns such as
//! `gene_ids` or `feature_name`) are tried as they are, without the version of an Ensembl id, and
//! without regard to case; the way that finds most genes is taken, the earlier one where two find
//! as many.
#![forbid(unsafe_code)]

use super::csr::Csr;
use super::table::{Column, Table, list_names};
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::collections::HashMap;

/// Columns of `var` that other tools keep gene names in.
const NAME_COLUMNS: [&str; 14] = [
    "gene_symbols",
    "gene_symbol",
    "gene_name",
    "gene_names",
    "feature_name",
    "symbol",
    "gene_short_name",
    "gene_ids",
    "gene_id",
    "ensembl_id",
    "ensembl",
    "ensembl_ids",
    "feature_id",
    "original_name",
];

/// How names are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Exact,
    NoVersion,
    AnyCase,
}

impl Rule {
    fn key<'a>(self, name: &'a str) -> Cow<'a, str> {
        match self {
            Rule::Exact => Cow::Borrowed(name),
            Rule::NoVersion => Cow::Borrowed(without_version(name)),
            Rule::AnyCase => Cow::Owned(without_version(name).to_uppercase()),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Rule::Exact => "",
            Rule::NoVersion => ", without Ensembl versions",
            Rule::AnyCase => ", ignoring case",
        }
    }
}

/// Where each gene of a query goes among the genes of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneMatch {
    /// For each gene of the query its place in the model, `u32::MAX` for none.
    target: Vec<u32>,
    /// Genes of the model.
    pub n_model: usize,
    /// Genes of the model that the query has.
    pub matched: usize,
    /// Names of those that it has not, in model order.
    pub missing: Vec<String>,
    /// Genes of the query that were added to another one of the same name.
    pub merged: usize,
    /// By which names: `"var_names"`, `"var[\"gene_ids\"], ignoring case"`.
    pub how: String,
    place: String,
}

impl GeneMatch {
    /// Matches the genes in `var` to those of a model. `place` names the file in messages.
    ///
    /// # Errors
    /// `Error::Data` if no gene is shared, with examples of both sides.
    pub fn find(model: &[String], var: &Table, place: &str) -> Result<GeneMatch> {
        let columns = NAME_COLUMNS.iter().filter_map(|name| {
            let texts = match var.get(name)? {
                Column::Str(texts) => Cow::Borrowed(texts.as_slice()),
                column @ (Column::Categorical(_) | Column::NullableStr { .. }) => {
                    Cow::Owned((0..column.len()).map(|row| column.text(row).unwrap_or_default()).collect())
                }
                _ => return None,
            };
            Some((format!("var[\"{name}\"]"), texts))
        });
        let index = ("var_names".to_owned(), Cow::Borrowed(var.index.as_slice()));
        let mut best: Option<GeneMatch> = None;
        for (source, names) in std::iter::once(index).chain(columns) {
            for rule in [Rule::Exact, Rule::NoVersion, Rule::AnyCase] {
                let found = attempt(model, &names, rule, &source, place);
                if best.as_ref().is_none_or(|best| found.matched > best.matched) {
                    best = Some(found);
                }
            }
        }
        let share = |names: &[String]| list_names(&names[..names.len().min(3)]);
        best.filter(|found| found.matched > 0).ok_or_else(|| {
            Error::data(
                place,
                format!(
                    "shares no gene with the model, which knows {} genes such as {}; the file has {} such as {}",
                    model.len(),
                    share(model),
                    var.n_rows(),
                    share(&var.index)
                ),
                "give a file of the same species with the same kind of gene names (symbols or Ensembl ids)",
            )
        })
    }

    /// Share of the model's genes that the query has.
    pub fn fraction(&self) -> f64 {
        self.matched as f64 / self.n_model.max(1) as f64
    }

    /// What to say if fewer than half of the genes were found.
    pub fn warning(&self) -> Option<String> {
        (self.fraction() < 0.5).then(|| {
            format!(
                "{}: only {} of the model's {} genes ({:.0} %) are in the file (by {}); missing ones count as 0, \
                 so expect worse labels; check that the gene names are of the same kind and version",
                self.place,
                self.matched,
                self.n_model,
                100.0 * self.fraction(),
                self.how
            )
        })
    }

    /// The query's matrix with the model's genes as columns: missing genes are 0, genes of the
    /// query that share a name are added.
    ///
    /// # Errors
    /// `Error::Shape` if the matrix does not have the genes that were matched.
    pub fn apply(&self, x: &Csr) -> Result<Csr> {
        if x.n_cols() != self.target.len() {
            return Err(Error::Shape {
                op: "match genes",
                expected: format!("{} genes", self.target.len()),
                found: format!("{}", x.n_cols()),
            });
        }
        Ok(x.map_cols(&self.target, self.n_model))
    }
}

fn attempt(model: &[String], names: &[String], rule: Rule, source: &str, place: &str) -> GeneMatch {
    // A model's own genes may collide under a loose rule; the first keeps the key.
    let mut at: HashMap<Cow<str>, u32> = HashMap::with_capacity(model.len());
    for (gene, name) in model.iter().enumerate() {
        at.entry(rule.key(name)).or_insert(gene as u32);
    }
    let target: Vec<u32> = names.iter().map(|name| at.get(&rule.key(name)).copied().unwrap_or(u32::MAX)).collect();
    let mut found = vec![0usize; model.len()];
    target.iter().filter(|&&gene| gene != u32::MAX).for_each(|&gene| found[gene as usize] += 1);
    GeneMatch {
        n_model: model.len(),
        matched: found.iter().filter(|&&n| n > 0).count(),
        missing: (0..model.len()).filter(|&gene| found[gene] == 0).map(|gene| model[gene].clone()).collect(),
        merged: found.iter().map(|n| n.saturating_sub(1)).sum(),
        how: format!("{source}{}", rule.words()),
        place: place.into(),
        target,
    }
}

/// `ENSG00000141510.18` becomes `ENSG00000141510`; other names stay.
fn without_version(name: &str) -> &str {
    let Some((stem, version)) = name.rsplit_once('.') else { return name };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let ensembl = stem.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("ENS"))
        && stem.len() >= 14
        && digits(&stem[stem.len() - 9..]);
    if ensembl && digits(version) { stem } else { name }
}

/// Genes that two files share, by upper-cased name: (names as the first has them, match of the
/// first, match of the second). Repeated names are merged.
///
/// # Errors
/// `Error::Data` if none is shared.
pub fn shared_genes(first: &Table, second: &Table, place: &str) -> Result<(Vec<String>, GeneMatch, GeneMatch)> {
    let mut seen = std::collections::HashSet::new();
    let unique: Vec<String> =
        first.index.iter().filter(|name| seen.insert(Rule::AnyCase.key(name).into_owned())).cloned().collect();
    let both = GeneMatch::find(&unique, second, place)?;
    let missing: std::collections::HashSet<&String> = both.missing.iter().collect();
    let names: Vec<String> = unique.iter().filter(|name| !missing.contains(name)).cloned().collect();
    let of_first = attempt(&names, &first.index, Rule::AnyCase, "var_names", place);
    let of_second = GeneMatch::find(&names, second, place)?;
    Ok((names, of_first, of_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    fn find(model: &[&str], query: &[&str]) -> GeneMatch {
        GeneMatch::find(&texts(model), &Table::new(texts(query)), "q.h5ad").unwrap()
    }

    #[test]
    fn columns_follow_the_model_and_missing_genes_are_zero() {
        let found = find(&["A", "B", "C"], &["C", "X", "A"]);
        assert_eq!((found.matched, found.missing.clone(), found.how.as_str()), (2, texts(&["B"]), "var_names"));
        let x = Csr::from_dense(1, 3, &[1., 2., 3.]).unwrap();
        assert_eq!(found.apply(&x).unwrap().to_dense(), [3., 0., 1.]);
        assert!(found.apply(&Csr::zeros(1, 2)).is_err());
    }

    #[test]
    fn repeated_genes_are_added() {
        let found = find(&["A", "B"], &["A", "B", "A"]);
        assert_eq!((found.matched, found.merged), (2, 1));
        assert_eq!(found.apply(&Csr::from_dense(1, 3, &[1., 2., 3.]).unwrap()).unwrap().to_dense(), [4., 2.]);
    }

    #[test]
    fn case_and_versions_are_ignored_only_where_that_finds_more() {
        assert_eq!(find(&["Cd3d", "Ms4a1"], &["Cd3d", "CD3D", "Ms4a1"]).merged, 0);
        assert_eq!(find(&["CD3D", "MS4A1"], &["Cd3d", "Ms4a1"]).how, "var_names, ignoring case");
        let found = find(&["ENSG00000141510"], &["ENSG00000141510.18", "RP11-34P13.7"]);
        assert_eq!(found.how, "var_names, without Ensembl versions");
        assert_eq!(without_version("RP11-34P13.7"), "RP11-34P13.7");
    }

    #[test]
    fn another_column_is_used_where_it_matches_better() {
        let mut var = Table::new(texts(&["TP53", "CD19"]));
        var.set("gene_ids", Column::Str(texts(&["ENSG00000141510", "ENSG00000177455"]))).unwrap();
        let found = GeneMatch::find(&texts(&["ENSG00000177455"]), &var, "q").unwrap();
        assert_eq!((found.how.as_str(), found.matched), ("var[\"gene_ids\"]", 1));
    }

    #[test]
    fn no_shared_gene_is_an_error_and_few_are_a_warning() {
        let error = GeneMatch::find(&texts(&["A"]), &Table::new(texts(&["X", "Y"])), "q.h5ad").unwrap_err();
        assert!(error.to_string().starts_with("q.h5ad: shares no gene with the model"), "{error}");
        assert_eq!(error.exit_code(), 2);
        let found = find(&["A", "B", "C", "D", "E"], &["A", "B"]);
        let warning = found.warning().unwrap();
        assert!(warning.contains("only 2 of the model's 5 genes (40 %)"), "{warning}");
        assert_eq!(find(&["A", "B"], &["A"]).warning(), None);
    }

    #[test]
    fn shared_genes_of_two_files_merge_repeats_on_both_sides() {
        let first = Table::new(texts(&["A", "b", "a", "C"]));
        let second = Table::new(texts(&["B", "A", "Z"]));
        let (names, of_first, of_second) = shared_genes(&first, &second, "q").unwrap();
        assert_eq!(names, ["A", "b"]);
        let x = Csr::from_dense(1, 4, &[1., 2., 4., 8.]).unwrap();
        assert_eq!(of_first.apply(&x).unwrap().to_dense(), [5., 2.]);
        assert_eq!(of_second.apply(&Csr::from_dense(1, 3, &[1., 2., 3.]).unwrap()).unwrap().to_dense(), [2., 1.]);
    }
}

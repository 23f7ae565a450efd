//! Genes of a file put into the order of a model.
//!
//! May use: `error`, `names`, [`Csr`], [`Table`]. The names of the query (its index, then columns
//! such as `gene_ids` or `feature_name`, then any column of text that tells genes apart) are tried as
//! they are, without the version of an Ensembl id, and without regard to case; the way that finds
//! most genes is taken, the earlier one where two find as many.
#![forbid(unsafe_code)]

use super::csr::Csr;
use super::names::{IdKind, gene_names};
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
    /// The first gene of the query that has the name of another one.
    repeated: Option<String>,
    place: String,
}

/// Other names of a model's genes: the ids beside its symbols, or the reverse.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Aliases {
    /// Where the names are from, and one name per gene, empty for none.
    lists: Vec<(String, Vec<String>)>,
}

impl Aliases {
    /// What the table of a reference knows of `genes`, which are names of its index.
    pub fn of(var: &Table, genes: &[String]) -> Aliases {
        let mut row_of: HashMap<&str, usize> = HashMap::with_capacity(var.n_rows());
        for (row, name) in var.index.iter().enumerate() {
            row_of.entry(name).or_insert(row);
        }
        let mut lists = Vec::new();
        for (source, names) in candidates(var).into_iter().skip(1) {
            let name = |gene: &String| row_of.get(gene.as_str()).map_or(String::new(), |&row| names[row].clone());
            let list: Vec<String> = genes.iter().map(name).collect();
            let kind = gene_names(&list).kind;
            if matches!(kind, IdKind::Symbol | IdKind::Ensembl | IdKind::EnsemblVersioned) {
                lists.push((source, list));
            }
        }
        Aliases { lists }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.lists.iter().map(|(source, list)| (source.as_str(), list.as_slice()))
    }
}

/// Share of a model's genes that a query must have, if nothing else is asked for.
pub const MIN_OVERLAP: f64 = 0.1;

/// What a match found, for a summary.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct GeneReport {
    /// Genes of the model.
    pub model: usize,
    /// Genes of the file.
    pub file: usize,
    /// Genes of the model that the file has.
    pub matched: usize,
    /// By which names.
    pub matched_by: String,
    /// Genes of the file that were added to another one of the same name.
    pub merged: usize,
    /// The first of the model's genes that the file lacks.
    pub missing: Vec<String>,
}

impl GeneMatch {
    /// Matches the genes in `var` to those of a model. `place` names the file in messages.
    ///
    /// # Errors
    /// `Error::Data` if no gene is shared, with examples of both sides.
    pub fn find(model: &[String], var: &Table, place: &str) -> Result<GeneMatch> {
        GeneMatch::find_any(model, &Aliases::default(), var, place)
    }

    /// The same by any name that the model knows for its genes.
    ///
    /// # Errors
    /// As [`GeneMatch::find`].
    pub fn find_any(model: &[String], aliases: &Aliases, var: &Table, place: &str) -> Result<GeneMatch> {
        let mut best: Option<GeneMatch> = None;
        let theirs = candidates(var);
        for (alias, keys) in std::iter::once(("", model)).chain(aliases.iter()) {
            for (source, names) in &theirs {
                for rule in [Rule::Exact, Rule::NoVersion, Rule::AnyCase] {
                    if best.as_ref().is_some_and(|best| best.matched == model.len()) {
                        break;
                    }
                    let mut found = attempt(model, keys, names, rule, source, place);
                    if !alias.is_empty() {
                        found.how += &format!(", the model's {alias}");
                    }
                    if best.as_ref().is_none_or(|best| found.matched > best.matched) {
                        best = Some(found);
                    }
                }
            }
        }
        best.filter(|found| found.matched > 0).ok_or_else(|| nothing_shared(model, var, place))
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

    /// Fails if the query has fewer than this share of the model's genes.
    ///
    /// # Errors
    /// `Error::Data` with both numbers.
    pub fn require_overlap(&self, floor: f64) -> Result<()> {
        if self.fraction() >= floor {
            return Ok(());
        }
        let what = format!(
            "only {} of the model's {} genes ({:.1} %) are in the file (by {}), fewer than the {:.1} % asked for",
            self.matched,
            self.n_model,
            100.0 * self.fraction(),
            self.how,
            100.0 * floor
        );
        let fix = "give a file of the same species and gene names, or lower --min-gene-overlap";
        Err(Error::data(&self.place, what, fix))
    }

    /// Fails if genes of the same name would be added although the values (`content`, in words) are
    /// not counts: a sum of logarithms or of scaled values means nothing.
    ///
    /// # Errors
    /// `Error::Data` that names the gene.
    pub fn require_addable(&self, counts: bool, content: &str) -> Result<()> {
        match &self.repeated {
            Some(name) if !counts => {
                let what = format!("gene \"{name}\" occurs more than once, and {content} values cannot be added up");
                let fix = "make gene names unique (var_names_make_unique in anndata), or choose counts with --layer";
                Err(Error::data(&self.place, what, fix))
            }
            _ => Ok(()),
        }
    }

    /// What to say if the names of model and file are spelt as in two species.
    pub fn species_warning(&self, model: &[String], var: &Table) -> Option<String> {
        let (ours, theirs) = (gene_names(model), gene_names(&var.index));
        match (ours.species, theirs.species) {
            (Some(a), Some(b)) if a != b && ours.kind == theirs.kind => Some(format!(
                "{}: the genes look like those of {b} ({}), the model's like those of {a}; labels across species are guesses",
                self.place, theirs.evidence
            )),
            _ => None,
        }
    }

    /// For a summary.
    pub fn report(&self) -> GeneReport {
        GeneReport {
            model: self.n_model,
            file: self.target.len(),
            matched: self.matched,
            matched_by: self.how.clone(),
            merged: self.merged,
            missing: self.missing.iter().take(50).cloned().collect(),
        }
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

/// All lists of names that the table holds, likeliest first.
fn candidates(var: &Table) -> Vec<(String, Cow<'_, [String]>)> {
    let mut found = vec![("var_names".to_owned(), Cow::Borrowed(var.index.as_slice()))];
    // Files of several genomes have names such as GRCh38_CD3D.
    if let Some(genome) = var.get("genome") {
        let plain = |row: usize| -> String {
            let name = &var.index[row];
            let genome = genome.text(row).unwrap_or_default();
            let rest = name.strip_prefix(&genome).map(|rest| rest.trim_start_matches('_'));
            rest.filter(|rest| !rest.is_empty() && !genome.is_empty()).unwrap_or(name).to_owned()
        };
        found.push(("var_names without the genome".into(), Cow::Owned((0..var.n_rows()).map(plain).collect())));
    }
    let usual = NAME_COLUMNS.iter().filter_map(|name| Some((*name, var.get(name)?)));
    let others = var.columns.iter().filter(|(name, _)| !NAME_COLUMNS.contains(&name.as_str()));
    for (name, column) in usual.chain(others.map(|(name, column)| (name.as_str(), column))) {
        let texts = match column {
            Column::Str(texts) => Cow::Borrowed(texts.as_slice()),
            Column::Categorical(_) | Column::NullableStr { .. } => {
                Cow::Owned((0..column.len()).map(|row| column.text(row).unwrap_or_default()).collect())
            }
            _ => continue,
        };
        // A chromosome or a type of gene names no gene.
        let distinct: std::collections::HashSet<&String> = texts.iter().collect();
        if distinct.len() * 2 > texts.len() {
            found.push((format!("var[\"{name}\"]"), texts));
        }
    }
    found
}

fn nothing_shared(model: &[String], var: &Table, place: &str) -> Error {
    let share = |names: &[String]| list_names(&names[..names.len().min(3)]);
    let (ours, theirs) = (gene_names(model).kind, gene_names(&var.index).kind);
    let mut what = format!(
        "shares no gene with the model, which knows {} genes such as {}; the file has {} such as {}",
        model.len(),
        share(model),
        var.n_rows(),
        share(&var.index)
    );
    let known = |kind: IdKind| kind != IdKind::Unknown;
    let mut fix =
        "give a file of the same species with the same kind of gene names (symbols or Ensembl ids)".to_owned();
    if known(ours) && known(theirs) && ours != theirs {
        what += &format!(" ({}, {} in the model)", theirs.name(), ours.name());
        fix = format!("add a column with {} to var", ours.name());
    }
    Error::data(place, what, fix)
}

/// `keys` are the names by which the model's genes are looked for, one per gene; empty for none.
fn attempt(model: &[String], keys: &[String], names: &[String], rule: Rule, source: &str, place: &str) -> GeneMatch {
    // A model's own genes may collide under a loose rule; the first keeps the key.
    let mut at: HashMap<Cow<str>, u32> = HashMap::with_capacity(model.len());
    for (gene, name) in keys.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        at.entry(rule.key(name)).or_insert(gene as u32);
    }
    let target: Vec<u32> = names.iter().map(|name| at.get(&rule.key(name)).copied().unwrap_or(u32::MAX)).collect();
    let mut found = vec![0usize; model.len()];
    let mut repeated = None;
    for (name, &gene) in names.iter().zip(&target).filter(|(_, gene)| **gene != u32::MAX) {
        found[gene as usize] += 1;
        if found[gene as usize] == 2 && repeated.is_none() {
            repeated = Some(name.clone());
        }
    }
    GeneMatch {
        n_model: model.len(),
        matched: found.iter().filter(|&&n| n > 0).count(),
        missing: (0..model.len()).filter(|&gene| found[gene] == 0).map(|gene| model[gene].clone()).collect(),
        merged: found.iter().map(|n| n.saturating_sub(1)).sum(),
        how: format!("{source}{}", rule.words()),
        repeated,
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
    let both = GeneMatch::find_any(&unique, &Aliases::of(first, &unique), second, place)?;
    let missing: std::collections::HashSet<&String> = both.missing.iter().collect();
    let names: Vec<String> = unique.iter().filter(|name| !missing.contains(name)).cloned().collect();
    let of_first = attempt(&names, &names, &first.index, Rule::AnyCase, "var_names", place);
    let of_second = GeneMatch::find_any(&names, &Aliases::of(first, &names), second, place)?;
    Ok((names, of_first, of_second))
}

#[cfg(test)]
#[path = "genes_tests.rs"]
mod tests;

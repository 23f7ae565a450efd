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
        let mut best: Option<GeneMatch> = None;
        for (source, names) in candidates(var) {
            for rule in [Rule::Exact, Rule::NoVersion, Rule::AnyCase] {
                let found = attempt(model, &names, rule, &source, place);
                if best.as_ref().is_none_or(|best| found.matched > best.matched) {
                    best = Some(found);
                }
            }
            if best.as_ref().is_some_and(|best| best.matched == model.len()) {
                break;
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

fn attempt(model: &[String], names: &[String], rule: Rule, source: &str, place: &str) -> GeneMatch {
    // A model's own genes may collide under a loose rule; the first keeps the key.
    let mut at: HashMap<Cow<str>, u32> = HashMap::with_capacity(model.len());
    for (gene, name) in model.iter().enumerate() {
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
    fn genes_of_several_genomes_lose_the_genome() {
        let mut var = Table::new(texts(&["GRCh38_CD3D", "mm10___Cd3d", "GRCh38_ACTB"]));
        var.set("genome", Column::Str(texts(&["GRCh38", "mm10", "GRCh38"]))).unwrap();
        let found = GeneMatch::find(&texts(&["ACTB", "CD3D"]), &var, "q").unwrap();
        assert_eq!((found.how.as_str(), found.matched, found.merged), ("var_names without the genome", 2, 0));
    }

    #[test]
    fn repeats_are_added_in_counts_only() {
        let found = find(&["A", "B"], &["A", "B", "A"]);
        found.require_addable(true, "counts").unwrap();
        let error = found.require_addable(false, "log1p normalised").unwrap_err().to_string();
        assert!(error.contains("gene \"A\" occurs more than once, and log1p normalised values"), "{error}");
        find(&["A", "B"], &["A", "B", "C", "C"]).require_addable(false, "scaled").unwrap();
    }

    #[test]
    fn too_few_genes_are_refused_with_both_numbers() {
        let found = find(&["A", "B", "C", "D", "E"], &["A"]);
        found.require_overlap(0.2).unwrap();
        let error = found.require_overlap(0.25).unwrap_err().to_string();
        assert!(error.contains("only 1 of the model's 5 genes (20.0 %)") && error.ends_with("--min-gene-overlap"));
        let report = found.report();
        assert_eq!((report.file, report.matched, report.missing.len()), (1, 1, 4));
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

//! From counts to what the network sees: CLAMS specification, section 1.
//!
//! Genes of reference and query are intersected, cells scaled to the median total, variable genes
//! chosen, scaled again, logged, z-scored, reduced to principal components, corrected by Harmony
//! and brought to the network's scale. All of it sees the query's values, none of it a label of the
//! query; the last step learns from the reference's training cells only.

use super::cells::{Query, Reference};
use super::input;
use super::model::FeatureModel;
use super::scores::{ClassScores, SCORED_PCS};
use crate::analysis::harmony::{BatchVariable, Harmony, HarmonyConfig, harmonize};
use crate::analysis::pca::{DenseRows, Pca};
use crate::data::Csr;
use crate::data::check::Content;
use crate::data::genes::{Aliases, GeneMatch, shared_genes};
use crate::data::preprocess::{ScaleParams, Scaling, Target, clams_genes, log1p, normalize_total};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the network is fed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// Harmony-corrected principal components.
    Pcs,
    /// Those components turned back into genes: one feature per variable gene.
    Genes,
}

/// How much each gene counts in the components.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GeneScale {
    /// All alike: log values divided by their standard deviation.
    #[default]
    Zscore,
    /// By their variance: log values as they are.
    Variance,
}

/// How features are brought to the network's scale, from the reference's training cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureScale {
    /// Mean 0 and standard deviation 1 in every feature.
    Zscore,
    /// Mean 0 in every feature, one standard deviation of 1 over all: the proportions stay.
    Global,
    /// As they are.
    None,
}

/// How a query comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueryRole {
    /// A query at hand takes part in the preparation; any other is projected.
    #[default]
    Joint,
    /// Only its gene names are looked at; it is projected.
    Projected,
    /// The same, and its components are centred by their own mean.
    Centred,
}

/// Everything between the matrix and the network; defaults of the specification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureConfig {
    /// Variable genes to keep.
    pub n_hvg: usize,
    /// Principal components.
    pub n_pcs: usize,
    /// How much each gene counts in them.
    #[serde(default)]
    pub gene_scale: GeneScale,
    /// Scaled values of genes are clipped at plus and minus this.
    pub scale_clip: f32,
    /// What the network sees.
    pub features: Features,
    /// Beside the components, one feature per class: what a ridge regression on the genes says of it.
    #[serde(default)]
    pub class_scores: bool,
    /// Beside the components, the z-scores of so many genes that load most on them.
    #[serde(default)]
    pub top_genes: usize,
    /// How it is scaled.
    pub feature_scale: FeatureScale,
    /// `None`: batches are left as they are.
    pub harmony: Option<HarmonyConfig>,
    /// How a query comes in.
    #[serde(default)]
    pub query: QueryRole,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        FeatureConfig {
            n_hvg: 5000,
            n_pcs: 50,
            gene_scale: GeneScale::Zscore,
            scale_clip: 10.0,
            features: Features::Pcs,
            class_scores: false,
            top_genes: 0,
            feature_scale: FeatureScale::Zscore,
            harmony: Some(HarmonyConfig::default()),
            query: QueryRole::Joint,
        }
    }
}

impl FeatureConfig {
    /// # Errors
    /// `Error::Usage` that names the value.
    pub fn check(&self) -> Result<()> {
        if self.n_hvg == 0 || self.n_pcs == 0 || !(self.scale_clip > 0.0) {
            return Err(Error::usage(
                "features: n_hvg, n_pcs and scale_clip must be above 0",
                "correct the configuration",
            ));
        }
        if self.class_scores && self.top_genes > 0 {
            return Err(Error::usage(
                "features: class_scores and top_genes exclude each other",
                "set class_scores to false or top_genes to 0",
            ));
        }
        if (self.class_scores || self.top_genes > 0) && self.features == Features::Genes {
            return Err(Error::usage(
                "features: class_scores stand beside components, not beside genes",
                "set features to pcs, or class_scores to false",
            ));
        }
        self.harmony.as_ref().map_or(Ok(()), HarmonyConfig::check)
    }
}

/// What happened on the way, for the manifest and the user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeatureReport {
    /// What the reference's matrix holds, in words.
    pub reference_holds: String,
    /// What the query's matrix holds.
    pub query_holds: Option<String>,
    /// Different genes of the reference.
    pub reference_genes: usize,
    /// Those of them that the query has, if one was at hand.
    pub shared_genes: Option<usize>,
    /// By which names they were found.
    pub matched_by: Option<String>,
    /// What was made of values that are not counts.
    pub notes: Vec<String>,
    /// Variable genes used.
    pub variable_genes: usize,
    /// Query cells without counts in the genes used.
    pub empty_query_cells: usize,
    /// Batches that Harmony levelled, by name; empty if there was one batch only.
    pub batches: Vec<String>,
    /// Clustering iterations of each Harmony round.
    pub harmony_rounds: Vec<usize>,
}

/// Features of all cells, and what it takes to make those of others.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// `[n_ref, width]`
    pub reference: Vec<f32>,
    /// `[n_query, width]`; rows of cells without counts are meaningless, see `empty_query`.
    pub query: Option<Vec<f32>>,
    /// Query cells without counts.
    pub empty_query: Vec<bool>,
    /// Features of a cell.
    pub width: usize,
    /// How to make the same of other cells.
    pub model: FeatureModel,
    /// What was done.
    pub report: FeatureReport,
}

/// Reference cells that have no counts at all: they must be left out before [`fit`].
pub fn empty_cells(reference: &Reference) -> Vec<usize> {
    let sums = reference.expression.x.row_sums();
    (0..sums.len()).filter(|&row| sums[row] == 0.0).collect()
}

/// Prepares reference and, if it is at hand, query. `train` are the reference cells that the last
/// scaling learns from.
///
/// # Errors
/// `Error::Data` for values that are no expression, no shared genes, reference cells without counts
/// in the shared genes, or too few cells.
pub fn fit(
    reference: &Reference,
    query: Option<&Query>,
    train: &[usize],
    config: &FeatureConfig,
    warn: &mut dyn FnMut(&str),
) -> Result<Prepared> {
    config.check()?;
    let mut report = FeatureReport::default();
    let ours = &reference.expression;
    let input = input::linear(ours)?;
    report.reference_holds = input.content;
    report.notes.extend(input.note);
    // 1. Shared genes, without those that nobody expresses.
    let (genes, ref_x, query_x) = match query {
        Some(query) => {
            let theirs = input::linear(&query.expression)?;
            report.query_holds = Some(theirs.content);
            report.notes.extend(theirs.note);
            let place = &query.expression.place;
            let (genes, of_reference, of_query) = shared_genes(&ours.var, &query.expression.var, place)?;
            report.reference_genes = distinct_genes(&ours.var.index);
            report.shared_genes = Some(genes.len());
            report.matched_by = Some(of_query.how.clone());
            if genes.len() * 2 < report.reference_genes {
                warn(&format!(
                    "{place}: only {} of the reference's {} genes ({:.0} %) are in the query (by {}); expect worse labels, \
                     check that the gene names are of the same kind and version",
                    genes.len(),
                    report.reference_genes,
                    100.0 * genes.len() as f64 / report.reference_genes.max(1) as f64,
                    of_query.how
                ));
            }
            merged(&of_reference, &ours.place, &report.reference_holds, warn)?;
            merged(&of_query, place, report.query_holds.as_deref().unwrap_or_default(), warn)?;
            (genes, of_reference.apply(&input.x)?, Some(of_query.apply(&theirs.x)?))
        }
        None => {
            let (genes, of_reference, _) = shared_genes(&ours.var, &ours.var, &ours.place)?;
            report.reference_genes = genes.len();
            merged(&of_reference, &ours.place, &report.reference_holds, warn)?;
            (genes, of_reference.apply(&input.x)?, None)
        }
    };
    let (query, query_x) = if config.query == QueryRole::Joint { (query, query_x) } else { (None, None) };
    let n_ref = ref_x.n_rows();
    let n_query = query_x.as_ref().map_or(0, Csr::n_rows);
    let all = match query_x {
        Some(x) => Csr::vstack(&[&ref_x, &x])?,
        None => ref_x,
    };
    let mut present = vec![false; all.n_cols()];
    let stored = all.indices().iter().zip(all.values());
    stored.filter(|(_, v)| **v > 0.0).for_each(|(&gene, _)| present[gene as usize] = true);
    let expressed: Vec<usize> = (0..present.len()).filter(|&g| present[g]).collect();
    let mut names: Vec<String> = expressed.iter().map(|&g| genes[g].clone()).collect();
    let mut all = all.select_cols(&expressed);
    if all.n_cols() == 0 {
        return Err(Error::data(
            &reference.expression.place,
            "no gene is expressed",
            "check the layer and the gene names",
        ));
    }
    // 2. and 3. Median total, variable genes.
    let (scaled, _) = normalize_total(&all, Target::Median)?;
    if all.n_cols() > config.n_hvg {
        let variable = clams_genes(&scaled, config.n_hvg);
        names = variable.iter().map(|&g| names[g].clone()).collect();
        all = all.select_cols(&variable);
    }
    report.variable_genes = all.n_cols();
    let sums = all.row_sums();
    if let Some(cell) = (0..n_ref).find(|&row| sums[row] == 0.0) {
        let what =
            format!("cell {} has no counts in the {} genes used", reference.expression.cells[cell], all.n_cols());
        return Err(Error::data(
            &reference.expression.place,
            what,
            "filter cells before training (cytograd preprocess)",
        ));
    }
    let empty_query: Vec<bool> = sums[n_ref..].iter().map(|&s| s == 0.0).collect();
    report.empty_query_cells = empty_query.iter().filter(|&&e| e).count();
    // 4. Median total of the kept genes (the first scaling cancels), logarithm, gene scale. Empty query
    // cells stay out of what is learnt.
    let used: Vec<usize> = (0..n_ref + n_query).filter(|&row| row < n_ref || !empty_query[row - n_ref]).collect();
    let all = all.select_rows(&used);
    let (mut all, target) = normalize_total(&all, Target::Median)?;
    let expression = mean_expression(&all, n_ref);
    log1p(&mut all);
    let mut scaling = Scaling::fit(&all);
    if config.gene_scale == GeneScale::Variance {
        scaling.std.fill(1.0);
    }
    let z = scaling.apply(&all, ScaleParams { zero_center: true, max_value: Some(config.scale_clip) })?;
    // 5. Principal components.
    let z = DenseRows { values: z.values(), n_cols: z.n_cols() };
    let (pca, scores) = if config.class_scores {
        let wide = Pca::fit(&z, config.n_pcs.max(SCORED_PCS), 0)?;
        let scores = ClassScores::fit(&wide, &reference.y, reference.classes.len())?;
        (wide.truncated(config.n_pcs), Some(scores))
    } else {
        let pca = Pca::fit(&z, config.n_pcs, 0)?;
        let top = (config.top_genes > 0).then(|| ClassScores::of_top_genes(&pca, z.values, config.top_genes));
        (pca, top)
    };
    // 6. Harmony.
    let (codes, batches) = batch_codes(reference, query, &used);
    let harmony: Option<Harmony> = match &config.harmony {
        Some(harmony) if batches.len() > 1 => {
            let batch = BatchVariable { codes: &codes, levels: batches.len() };
            Some(harmonize(&pca.scores, pca.n_comps, &[batch], harmony)?)
        }
        _ => None,
    };
    if let Some(harmony) = &harmony {
        report.harmony_rounds = harmony.rounds.clone();
        report.batches = batches;
    }
    let aliases = Aliases::of(&ours.var, &names);
    let mut model = FeatureModel::new(config, names, target, expression, &scaling, &pca, harmony.as_ref())?;
    model.aliases = aliases;
    let corrected = harmony.map_or_else(|| pca.scores.clone(), |h| h.corrected);
    // 7. The network's scale.
    let mut values = model.to_features(&corrected);
    if let Some(mut scores) = scores {
        if config.class_scores {
            scores.bring_to_scale(&values, model.width(), train);
        }
        values = scores.beside(&values, model.width());
        model.set_class_scores(&scores);
    }
    let width = model.width();
    model.fit_scale(&values, width, train);
    model.apply_scale(&mut values);
    let reference_values = values[..n_ref * width].to_vec();
    let query_values = query.map(|_| {
        let mut rows = values[n_ref * width..].chunks(width.max(1));
        let mut out = Vec::with_capacity(n_query * width);
        for &empty in &empty_query {
            match if empty { None } else { rows.next() } {
                Some(row) => out.extend_from_slice(row),
                None => out.extend(std::iter::repeat_n(0.0, width)),
            }
        }
        out
    });
    Ok(Prepared { reference: reference_values, query: query_values, empty_query, width, model, report })
}

/// As [`fit`] without a query, from the cells `train` alone. The others are projected, as a query will be that is not
/// at hand: cells that took part in the preparation look more like the reference, or less, than any that did not,
/// so that they could not tell how familiar such a query should be.
///
/// # Errors
/// As [`fit`], and [`FeatureModel::project`] of the others.
pub fn fit_apart(
    reference: &Reference,
    train: &[usize],
    config: &FeatureConfig,
    warn: &mut dyn FnMut(&str),
) -> Result<Prepared> {
    let others: Vec<usize> = (0..reference.y.len()).filter(|row| train.binary_search(row).is_err()).collect();
    if others.is_empty() {
        return fit(reference, None, train, config, warn);
    }
    let part = reference.select(train);
    let mut prepared = fit(&part, None, &(0..train.len()).collect::<Vec<_>>(), config, warn)?;
    let Reference { expression, batch, .. } = reference.select(&others);
    let projected = prepared.model.project(&Query { expression, batch }, 0.0, &mut |_| {})?;
    let width = prepared.width;
    let mut all = vec![0.0; reference.y.len() * width];
    for (rows, x) in [(train, &prepared.reference), (&others, &projected.x)] {
        for (row, x) in rows.iter().zip(x.chunks(width.max(1))) {
            all[row * width..(row + 1) * width].copy_from_slice(x);
        }
    }
    prepared.reference = all;
    Ok(prepared)
}

/// Names that differ by more than case.
fn distinct_genes(names: &[String]) -> usize {
    names.iter().map(|name| name.to_uppercase()).collect::<BTreeSet<_>>().len()
}

/// Says that repeated genes were added up; refuses to add up what are no counts (`content`).
pub(super) fn merged(found: &GeneMatch, place: &str, content: &str, warn: &mut dyn FnMut(&str)) -> Result<()> {
    found.require_addable(content == Content::Counts.name(), content)?;
    if found.merged > 0 {
        warn(&format!("{place}: {} genes repeat the name of another one; their values were added up", found.merged));
    }
    Ok(())
}

/// Mean of each gene over the reference's scaled cells, for queries that lack some of the genes.
fn mean_expression(scaled: &Csr, n_ref: usize) -> Vec<f64> {
    let rows: Vec<usize> = (0..n_ref).collect();
    scaled.select_rows(&rows).col_sums().iter().map(|s| s / n_ref.max(1) as f64).collect()
}

/// The batch of every used cell: by the batch column where reference and query have one, else the
/// query is one batch of its own.
fn batch_codes(reference: &Reference, query: Option<&Query>, used: &[usize]) -> (Vec<u32>, Vec<String>) {
    let n_ref = reference.y.len();
    let value = |row: usize| -> &str {
        let own = if row < n_ref {
            reference.batch.as_ref().map(|b| b[row].as_str())
        } else {
            query.and_then(|q| q.batch.as_ref()).map(|b| b[row - n_ref].as_str())
        };
        own.unwrap_or(if row < n_ref { "reference" } else { "query" })
    };
    let levels: Vec<String> =
        used.iter().map(|&r| value(r)).collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect();
    let codes = used.iter().map(|&r| levels.partition_point(|l| l.as_str() < value(r)) as u32).collect();
    (codes, levels)
}

#[cfg(test)]
#[path = "features_tests.rs"]
mod tests;

//! What a trained model keeps of its preparation, so that a query that was not at hand becomes
//! features too.

use super::cells::Query;
use super::features::{FeatureConfig, FeatureScale, Features, QueryRole, merged};
use super::input;
use super::scores::{ClassScores, beside};
use crate::analysis::harmony::{BatchVariable, Harmony};
use crate::analysis::mapping::ReferenceMap;
use crate::analysis::pca::{DenseRows, Pca};
use crate::data::genes::{Aliases, GeneMatch};
use crate::data::preprocess::{ScaleParams, Scaling, log1p};
use crate::data::{Csr, RowBlocks};
use crate::error::{Error, Result};
use crate::models::run::State;
use serde::{Deserialize, Serialize};

/// The fitted chain. Its numbers are those that the model file holds (binary32), so a model in
/// memory and one read back give the same bits.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureModel {
    /// How features are made.
    pub config: FeatureConfig,
    /// Variable genes in order, as the reference spells them.
    pub genes: Vec<String>,
    /// What else the reference calls them.
    pub aliases: Aliases,
    /// The total that every cell is scaled to.
    target: f64,
    /// Mean of each gene over the scaled reference cells.
    expression: Vec<f32>,
    /// Mean and standard deviation of each gene after the logarithm.
    scaling: (Vec<f32>, Vec<f32>),
    /// `[genes]`, then `[components, genes]`.
    pca_mean: Vec<f32>,
    loadings: Vec<f32>,
    n_pcs: usize,
    /// `[classes, genes]`: the scores beside the components; empty without them.
    class_loadings: Vec<f32>,
    /// The corrected reference, compressed; without it a query stays uncorrected.
    mapping: Option<ReferenceMap>,
    /// Centre and divisor of each feature.
    center: Vec<f32>,
    divisor: Vec<f32>,
}

/// Features of cells that were not at hand during training.
#[derive(Clone, Debug)]
pub struct Projected {
    /// `[n, width]`; rows of empty cells are meaningless.
    pub x: Vec<f32>,
    /// Cells without counts in the model's genes.
    pub empty: Vec<bool>,
    /// Whether the batch effect was taken off by reference mapping.
    pub corrected: bool,
    /// What the file holds, and what was made of it.
    pub note: Option<String>,
    /// Which genes were found.
    pub genes: GeneMatch,
}

/// The part of the model that is text and single numbers.
#[derive(Serialize, Deserialize)]
struct Header {
    config: FeatureConfig,
    target: f64,
    n_pcs: usize,
    /// Classes that have a score beside the components.
    #[serde(default)]
    class_scores: usize,
    /// Clusters, width and penalty of the reference map.
    mapping: Option<(usize, f64, f64)>,
    /// Runs of before had none.
    #[serde(default)]
    aliases: Aliases,
}

const PREFIX: &str = "features.";
/// Cells whose scaled genes are in memory at once.
const AT_ONCE: usize = 1024;

/// Cells with the model's genes to components.
struct Projection {
    /// Whether the query has each gene.
    there: Vec<bool>,
    target: f64,
    scaling: Scaling,
    clip: ScaleParams,
    pca: Pca,
    /// The class scores beside the components, if the model has them.
    classes: Option<Pca>,
}

impl Projection {
    fn new(model: &FeatureModel, genes: &GeneMatch) -> Projection {
        let mut missing = genes.missing.iter().peekable();
        // `missing` is in the model's order.
        let there: Vec<bool> = model.genes.iter().map(|gene| missing.next_if_eq(&gene).is_none()).collect();
        let all: f64 = model.expression.iter().map(|&v| f64::from(v)).sum();
        let here: f64 = model.expression.iter().zip(&there).filter(|(_, t)| **t).map(|(&v, _)| f64::from(v)).sum();
        Projection {
            there,
            target: model.target * if all > 0.0 && here > 0.0 { here / all } else { 1.0 },
            scaling: Scaling { mean: wide(&model.scaling.0), std: wide(&model.scaling.1) },
            clip: ScaleParams { zero_center: true, max_value: Some(model.config.scale_clip) },
            pca: model.rotation(&model.loadings, model.n_pcs),
            classes: (model.class_scores() > 0).then(|| model.rotation(&model.class_loadings, model.class_scores())),
        }
    }

    /// Appends the components of some cells, their class scores, and whether each is empty.
    fn add(&self, mut x: Csr, components: &mut Vec<f64>, scores: &mut Vec<f64>, empty: &mut Vec<bool>) -> Result<()> {
        let totals = x.row_sums();
        let spans = x.indptr().to_vec();
        for (row, &total) in totals.iter().enumerate().filter(|(_, t)| **t > 0.0) {
            let values = &mut x.values_mut()[spans[row]..spans[row + 1]];
            values.iter_mut().for_each(|v| *v = (f64::from(*v) / (total / self.target)) as f32);
        }
        log1p(&mut x);
        let mut z = self.scaling.apply(&x, self.clip)?.into_values();
        let n_genes = self.there.len();
        for row in z.chunks_mut(n_genes.max(1)) {
            row.iter_mut().zip(&self.there).filter(|(_, t)| !**t).for_each(|(v, _)| *v = 0.0);
        }
        let z = DenseRows { values: &z, n_cols: n_genes };
        components.extend(self.pca.project(&z)?);
        if let Some(classes) = &self.classes {
            scores.extend(classes.project(&z)?);
        }
        empty.extend(totals.iter().map(|&t| t == 0.0));
        Ok(())
    }
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

impl FeatureModel {
    pub(super) fn new(
        config: &FeatureConfig,
        genes: Vec<String>,
        target: f64,
        expression: Vec<f64>,
        scaling: &Scaling,
        pca: &Pca,
        harmony: Option<&Harmony>,
    ) -> Result<FeatureModel> {
        let mut mapping = match (&config.harmony, harmony) {
            (Some(config), Some(run)) => Some(ReferenceMap::from_harmony(run, config.sigma)),
            (Some(config), None) => Some(ReferenceMap::from_embedding(&pca.scores, pca.n_comps, config)?),
            (None, _) => None,
        };
        if let Some(map) = &mut mapping {
            for values in [&mut map.centroids, &mut map.mass, &mut map.sums] {
                *values = wide(&narrow(values));
            }
        }
        let mut model = FeatureModel {
            config: config.clone(),
            genes,
            aliases: Aliases::default(),
            target,
            expression: narrow(&expression),
            scaling: (narrow(&scaling.mean), narrow(&scaling.std)),
            pca_mean: narrow(&pca.mean),
            loadings: narrow(&pca.components),
            n_pcs: pca.n_comps,
            class_loadings: Vec::new(),
            mapping,
            center: Vec::new(),
            divisor: Vec::new(),
        };
        model.center = vec![0.0; model.width()];
        model.divisor = vec![1.0; model.width()];
        Ok(model)
    }

    /// Has class scores beside the components from now on.
    pub(super) fn set_class_scores(&mut self, scores: &ClassScores) {
        self.class_loadings = narrow(&scores.loadings);
        self.center = vec![0.0; self.width()];
        self.divisor = vec![1.0; self.width()];
    }

    /// Number of class scores beside the components.
    fn class_scores(&self) -> usize {
        self.class_loadings.len() / self.genes.len().max(1)
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        match self.config.features {
            Features::Pcs => self.n_pcs + self.class_scores(),
            Features::Genes => self.genes.len(),
        }
    }

    /// Names of the features, given those of the classes.
    pub fn names(&self, classes: &[String]) -> Vec<String> {
        match self.config.features {
            Features::Genes => self.genes.clone(),
            Features::Pcs => {
                let components = (1..=self.n_pcs).map(|i| format!("PC{i}"));
                components.chain(classes.iter().take(self.class_scores()).map(|c| format!("score of {c}"))).collect()
            }
        }
    }

    /// Features `[n, width]` turned back into expression of the model's genes, `ln(1 + x)` of normalised
    /// counts, `[n, genes]`: what the components do not hold is each gene's mean.
    pub fn to_genes(&self, features: &[f32]) -> Vec<f32> {
        let genes = self.genes.len();
        let mut out = Vec::with_capacity(features.len() / self.width().max(1) * genes);
        for row in features.chunks(self.width().max(1)) {
            let unscaled = row.iter().zip(&self.center).zip(&self.divisor).map(|((&v, c), d)| f64::from(v * d + c));
            let mut z: Vec<f64> = match self.config.features {
                Features::Genes => unscaled.collect(),
                Features::Pcs => {
                    let mut z = wide(&self.pca_mean);
                    for (score, loading) in unscaled.take(self.n_pcs).zip(self.loadings.chunks(genes)) {
                        z.iter_mut().zip(loading).for_each(|(z, &v)| *z += score * f64::from(v));
                    }
                    z
                }
            };
            for ((z, &mean), &std) in z.iter_mut().zip(&self.scaling.0).zip(&self.scaling.1) {
                *z = (*z * f64::from(std) + f64::from(mean)).max(0.0);
            }
            out.extend(z.iter().map(|&v| v as f32));
        }
        out
    }

    /// Corrected components `[n, n_pcs]` as unscaled features, class scores not among them.
    pub(super) fn to_features(&self, components: &[f64]) -> Vec<f32> {
        match self.config.features {
            Features::Pcs => narrow(components),
            Features::Genes => {
                // X = Z V' + mu
                let mut out = Vec::with_capacity(components.len() / self.n_pcs.max(1) * self.genes.len());
                for z in components.chunks(self.n_pcs.max(1)) {
                    let mut row = wide(&self.pca_mean);
                    for (z, loading) in z.iter().zip(self.loadings.chunks(self.genes.len())) {
                        row.iter_mut().zip(loading).for_each(|(x, &v)| *x += z * f64::from(v));
                    }
                    out.extend(row.iter().map(|&v| v as f32));
                }
                out
            }
        }
    }

    /// Learns the last scaling from the rows `train` of `[n, width]` features.
    pub(super) fn fit_scale(&mut self, features: &[f32], width: usize, train: &[usize]) {
        let n = train.len().max(1) as f64;
        let mut mean = vec![0f64; width];
        let mut square = vec![0f64; width];
        for &row in train {
            let row = &features[row * width..(row + 1) * width];
            mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v));
        }
        mean.iter_mut().for_each(|m| *m /= n);
        for &row in train {
            let row = &features[row * width..(row + 1) * width];
            square.iter_mut().zip(row).zip(&mean).for_each(|((s, &v), m)| *s += (f64::from(v) - m).powi(2));
        }
        square.iter_mut().for_each(|s| *s /= n);
        let floor = |std: f64| std.max(1e-6);
        match self.config.feature_scale {
            FeatureScale::None => {}
            FeatureScale::Zscore => {
                self.center = narrow(&mean);
                self.divisor = square.iter().map(|s| floor(s.sqrt()) as f32).collect();
            }
            FeatureScale::Global => {
                self.center = narrow(&mean);
                let all = (square.iter().sum::<f64>() / width.max(1) as f64).sqrt();
                self.divisor = vec![floor(all) as f32; width];
            }
        }
    }

    /// Applies the last scaling in place.
    pub(super) fn apply_scale(&self, features: &mut [f32]) {
        for row in features.chunks_mut(self.width().max(1)) {
            row.iter_mut().zip(&self.center).zip(&self.divisor).for_each(|((v, c), d)| *v = (*v - c) / d);
        }
    }

    /// Features of cells that were not at hand.
    ///
    /// A cell's total is compared with what the reference has in the genes that the query has;
    /// genes that it lacks take the reference's mean.
    ///
    /// # Errors
    /// `Error::Data` for values that are no expression, and if fewer of the model's genes are there
    /// than the share `min_overlap`.
    pub fn project(&self, query: &Query, min_overlap: f64, warn: &mut dyn FnMut(&str)) -> Result<Projected> {
        self.project_rows(&query.expression.x, query, min_overlap, warn)
    }

    /// The same with the values of `x`, which are read in blocks; `query` has the names.
    ///
    /// # Errors
    /// As [`FeatureModel::project`], and those of reading.
    pub fn project_rows(
        &self,
        x: &dyn RowBlocks,
        query: &Query,
        min_overlap: f64,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Projected> {
        let batch = query.batch.as_deref();
        let query = &query.expression;
        let input = input::judge(x, query)?;
        let genes = GeneMatch::find_any(&self.genes, &self.aliases, &query.var, &query.place)?;
        genes.require_overlap(min_overlap)?;
        genes.warning().iter().chain(&genes.species_warning(&self.genes, &query.var)).for_each(|w| warn(w));
        merged(&genes, &query.place, &input.content, warn)?;
        let projection = Projection::new(self, &genes);
        let (mut components, mut scores, mut empty) = (Vec::new(), Vec::new(), Vec::new());
        x.pass(&mut |_, block| {
            for first in (0..block.n_rows()).step_by(AT_ONCE) {
                let rows: Vec<usize> = (first..(first + AT_ONCE).min(block.n_rows())).collect();
                let mut x = genes.apply(&block.select_rows(&rows))?;
                input.take_logarithm_off(&mut x);
                projection.add(x, &mut components, &mut scores, &mut empty)?;
            }
            Ok(())
        })?;
        let corrected = self.mapping.is_some();
        let components = match &self.mapping {
            Some(map) => self.correct(map, components, &empty, batch)?,
            None if self.config.query == QueryRole::Centred => self.centre(components, &empty),
            None => components,
        };
        let mut features = self.to_features(&components);
        if self.class_scores() > 0 {
            features = beside(&features, self.n_pcs, &scores, self.class_scores());
        }
        self.apply_scale(&mut features);
        Ok(Projected { x: features, empty, corrected, note: input.note, genes })
    }

    /// The map from z-scores of genes to their products with `k` loadings.
    fn rotation(&self, loadings: &[f32], k: usize) -> Pca {
        Pca {
            n_vars: self.genes.len(),
            n_comps: k,
            mean: wide(&self.pca_mean),
            components: wide(loadings),
            scores: Vec::new(),
            singular_values: Vec::new(),
            variance: Vec::new(),
            variance_ratio: Vec::new(),
        }
    }

    /// Takes the query's batch effects off its components; empty cells stay out of it.
    fn correct(
        &self,
        map: &ReferenceMap,
        mut components: Vec<f64>,
        empty: &[bool],
        batch: Option<&[String]>,
    ) -> Result<Vec<f64>> {
        let d = self.n_pcs;
        let used: Vec<usize> = (0..empty.len()).filter(|&row| !empty[row]).collect();
        let z: Vec<f64> = used.iter().flat_map(|&row| components[row * d..(row + 1) * d].iter().copied()).collect();
        let mut levels: Vec<&str> = batch.iter().flat_map(|b| b.iter()).map(String::as_str).collect();
        levels.sort_unstable();
        levels.dedup();
        let code = |row: usize| batch.map_or(0, |b| levels.partition_point(|l| *l < b[row].as_str()) as u32);
        let codes: Vec<u32> = used.iter().map(|&row| code(row)).collect();
        let mapped = map.map(&z, &[BatchVariable { codes: &codes, levels: levels.len().max(1) }])?;
        for (&row, corrected) in used.iter().zip(mapped.corrected.chunks(d.max(1))) {
            components[row * d..(row + 1) * d].copy_from_slice(corrected);
        }
        Ok(components)
    }

    /// Takes the mean over the cells that are not empty off the components.
    fn centre(&self, mut components: Vec<f64>, empty: &[bool]) -> Vec<f64> {
        let used = empty.iter().filter(|e| !**e).count().max(1) as f64;
        let mut mean = vec![0.0; self.n_pcs];
        let rows = components.chunks(self.n_pcs.max(1)).zip(empty);
        rows.filter(|(_, e)| !**e).for_each(|(row, _)| mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / used));
        components.chunks_mut(self.n_pcs.max(1)).for_each(|row| row.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m));
        components
    }

    /// Adds the model to what a model file holds.
    ///
    /// # Errors
    /// `Error::Argument` if the configuration cannot be written.
    pub fn save(&self, state: &mut State) -> Result<()> {
        let (g, w) = (self.genes.len(), self.width());
        let mut set =
            |name: &str, shape: &[usize], values: &[f32]| state.set(format!("{PREFIX}{name}"), shape, values.to_vec());
        set("expression", &[g], &self.expression);
        set("gene_mean", &[g], &self.scaling.0);
        set("gene_std", &[g], &self.scaling.1);
        set("pca_mean", &[g], &self.pca_mean);
        set("loadings", &[self.n_pcs, g], &self.loadings);
        if self.class_scores() > 0 {
            set("class_loadings", &[self.class_scores(), g], &self.class_loadings);
        }
        set("center", &[w], &self.center);
        set("divisor", &[w], &self.divisor);
        let mapping = self.mapping.as_ref().map(|m| (m.n_clusters, m.sigma, m.lambda));
        if let Some(map) = &self.mapping {
            set("map.centroids", &[map.n_clusters, map.n_dims], &narrow(&map.centroids));
            set("map.mass", &[map.n_clusters], &narrow(&map.mass));
            set("map.sums", &[map.n_clusters, map.n_dims], &narrow(&map.sums));
        }
        let header = Header {
            config: self.config.clone(),
            target: self.target,
            n_pcs: self.n_pcs,
            class_scores: self.class_scores(),
            mapping,
            aliases: self.aliases.clone(),
        };
        let value = serde_json::to_value(header).map_err(unreadable)?;
        match &mut state.json {
            serde_json::Value::Object(map) => {
                map.insert("features".into(), value);
            }
            other => *other = serde_json::json!({ "features": value }),
        }
        Ok(())
    }

    /// Reads what [`FeatureModel::save`] wrote; `genes` are in the manifest.
    ///
    /// # Errors
    /// `Error::Argument` naming what is missing.
    pub fn load(state: &State, genes: &[String]) -> Result<FeatureModel> {
        let header: Header = serde_json::from_value(state.json["features"].clone()).map_err(unreadable)?;
        let g = genes.len();
        let get =
            |name: &str, shape: &[usize]| Ok::<_, Error>(state.tensor(&format!("{PREFIX}{name}"), shape)?.to_vec());
        let mapping = match header.mapping {
            Some((k, sigma, lambda)) => Some(ReferenceMap {
                n_dims: header.n_pcs,
                n_clusters: k,
                sigma,
                lambda,
                centroids: wide(&get("map.centroids", &[k, header.n_pcs])?),
                mass: wide(&get("map.mass", &[k])?),
                sums: wide(&get("map.sums", &[k, header.n_pcs])?),
            }),
            None => None,
        };
        let mut model = FeatureModel {
            genes: genes.to_vec(),
            aliases: header.aliases,
            target: header.target,
            expression: get("expression", &[g])?,
            scaling: (get("gene_mean", &[g])?, get("gene_std", &[g])?),
            pca_mean: get("pca_mean", &[g])?,
            loadings: get("loadings", &[header.n_pcs, g])?,
            n_pcs: header.n_pcs,
            class_loadings: match header.class_scores {
                0 => Vec::new(),
                classes => get("class_loadings", &[classes, g])?,
            },
            mapping,
            config: header.config,
            center: Vec::new(),
            divisor: Vec::new(),
        };
        let w = model.width();
        model.center = get("center", &[w])?;
        model.divisor = get("divisor", &[w])?;
        Ok(model)
    }
}

fn unreadable(e: serde_json::Error) -> Error {
    Error::Argument { op: "model file", what: format!("the preparation cannot be read: {e}") }
}

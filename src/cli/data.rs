//! The flags that say what is learnt from and what is labelled, of every command that trains.

use crate::data::genes::MIN_OVERLAP;
use crate::data::select::Condition;
use crate::models::annotator::{Method, TrainOptions};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Data {
    /// File with labelled cells: h5ad, loom, or a CSV with a column of labels
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// Column of obs with the labels
    #[arg(long, value_name = "COL")]
    label_key: String,
    /// CSV with new names for labels, from,to per line; an empty second entry takes the label away
    #[arg(long, value_name = "FILE")]
    label_map: Option<PathBuf>,
    /// Column of obs with the batches to level
    #[arg(long, value_name = "COL")]
    batch_key: Option<String>,
    /// File of any format to annotate later; may be the reference's own file, see --where
    #[arg(long, value_name = "FILE")]
    query: Option<PathBuf>,
    /// Reference cells have this value in this column (or COL!=VALUE: another); repeat for more: one
    /// of the values of a column, all of the columns
    #[arg(long = "where", value_name = "COL=VALUE")]
    filter: Vec<Condition>,
    /// The same for the query [default: all cells; in the reference's own file the cells that --where
    /// leaves]
    #[arg(long, value_name = "COL=VALUE")]
    query_where: Vec<Condition>,
    /// Leave cells with this label out of the reference; repeat for more
    #[arg(long, value_name = "LABEL")]
    hold_out: Vec<String>,
    /// Layer with the expression values [default: X]
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// Share of the reference's genes that the query must have
    #[arg(long, value_name = "SHARE", default_value_t = MIN_OVERLAP, value_parser = super::annotate::share)]
    min_gene_overlap: f64,
}

impl Data {
    /// Everything else at its default.
    pub fn options(&self, model: impl Into<Method>, out: &Path) -> TrainOptions {
        TrainOptions {
            batch_key: self.batch_key.clone(),
            query: self.query.clone(),
            filter: self.filter.clone(),
            query_filter: self.query_where.clone(),
            hold_out: self.hold_out.clone(),
            layer: self.layer.clone(),
            label_map: self.label_map.clone(),
            min_gene_overlap: self.min_gene_overlap,
            ..TrainOptions::new(model, &self.reference, &self.label_key, out)
        }
    }
}

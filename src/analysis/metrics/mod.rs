//! How good are labels, scores, clusters and embeddings? Each figure in float64, from plain slices.
//!
//! | file | figures |
//! |---|---|
//! | [`ranking`] | AUROC, average precision, false positive rate at a recall |
//! | [`classification`] | confusion matrix, accuracy, kappa, MCC, precision, recall, F1 |
//! | [`agreement`] | mutual information, NMI, AMI, ARI, homogeneity, Fowlkes-Mallows |
//! | [`calibration`] | ECE and MCE under three binnings, class-wise ECE, Brier, log loss |
//! | [`heatmap`] | predicted types (and "rejected") against the query's labels, column by column |
//! | [`silhouette`] | silhouette and its batch versions, Davies-Bouldin, Calinski-Harabasz |
//! | [`mixing`] | kBET, graph connectivity, entropy of batch mixing, principal component regression |
//! | [`correlation`] | Pearson, Spearman, Kendall, R2, mean squared and absolute error |
//! | [`faithfulness`] | trustworthiness of a plane, share of neighbours that it keeps |
//! | [`special`] | incomplete gamma function, chi-square tail, normal distribution function |
//!
//! Labels are codes (`u32`, any values). Matrices are row-major, cells by dimensions. Nothing here
//! depends on the number of threads: cells are computed apart and summed in order. A figure that is
//! not defined (AUROC without a positive) is NaN; input that cannot be meant (NaN scores, lengths
//! that disagree) is an error.
#![forbid(unsafe_code)]

pub mod agreement;
pub mod calibration;
pub mod classification;
pub mod correlation;
pub mod faithfulness;
pub mod heatmap;
pub mod labels;
pub mod mixing;
pub mod ranking;
pub mod silhouette;
pub mod special;

pub use agreement::ClusterAgreement;
pub use calibration::{Binning, Reliability};
pub use classification::Confusion;
pub use faithfulness::Faithfulness;
pub use heatmap::Heatmap;
pub use ranking::{Ranking, auroc, average_precision};
pub use special::{chi2_sf, ndtr};

//! Figures as SVG and PNG, with the numbers behind them as CSV.
//!
//! May use: `error`. Knows no cells and no models: charts take plain numbers and names. A chart becomes
//! a [`Drawing`] (a list of marks), which `svg` writes and `png` paints, so both show the same. Letters
//! are measured, and painted in PNG, with the fonts in `fonts/`; SVG names them and falls back to what
//! the reader has.
//!
//! ```text
//! chart (lines, histogram, scatter, heatmap, reliability, spreads, bars) -> Drawing -> svg, png
//! Figure = name + caption + Drawing + Table -> svg, png, csv
//! ```
#![forbid(unsafe_code)]

mod axes;
mod bars;
mod colour;
mod drawing;
mod figure;
mod font;
mod heatmap;
mod histogram;
mod lines;
mod png;
mod reliability;
mod scatter;
mod spreads;
mod svg;

pub use bars::{Bar, Bars};
pub use colour::{BLUE, Colour, GREY, INK, KNOWN, LIGHT, UNKNOWN, category, shade};
pub use drawing::{Anchor, Drawing, Mark, Weight};
pub use figure::{Figure, Table, number};
pub use heatmap::HeatmapChart;
pub use histogram::{Cut, Histogram, Part};
pub use lines::{Lines, Reference, Series};
pub use reliability::{ReliabilityBin, ReliabilityChart};
pub use scatter::{Group, Scatter};
pub use spreads::{Spread, Spreads};
pub use svg::escape;

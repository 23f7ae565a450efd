//! How much generated cells are like real ones, class by class, beside the same figures for real cells
//! that the model has not learnt from (CLAMS specification, section 9).

use crate::analysis::neighbors::{knn, knn_query, vote};
use crate::device::Device;
use crate::error::Result;
use crate::nn::mmd;
use crate::tensor::Tensor;
use crate::tensor::op::{MmdKernel, Similarity};
use serde::Serialize;

/// Neighbours that vote on a cell's label.
const NEIGHBOURS: usize = 15;
/// Widths of the kernel: its scales are these over the mean squared distance of real cells.
const SCALES: [f32; 5] = [4.0, 2.0, 1.0, 0.5, 0.25];
/// Cells of a class that the kernel compares, at most, and the fewest that say something.
const COMPARED: usize = 2000;
const FEWEST: usize = 5;

/// Some cells with their labels.
#[derive(Clone, Copy)]
pub(super) struct Labelled<'a> {
    /// `[n, width]`
    pub x: &'a [f32],
    /// Class of each.
    pub y: &'a [u32],
}

impl Labelled<'_> {
    fn of_class(&self, class: usize, width: usize) -> Vec<f32> {
        let rows = self.x.chunks(width).zip(self.y).filter(|(_, y)| **y as usize == class);
        rows.flat_map(|(x, _)| x.iter().copied()).collect()
    }
}

/// What is said of the cells of a class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Number of cells.
    pub cells: usize,
    /// Share whose label by the model is the class.
    pub by_model: f64,
    /// Share whose label by a vote of the 15 nearest training cells is the class.
    pub by_neighbours: f64,
    /// Distance of the class's means over the root mean squared distance of training cells from theirs.
    pub mean_offset: f64,
    /// Mean distance to the nearest training cell of the class, over that of training cells to the
    /// nearest other one.
    pub nearest_ratio: f64,
    /// Squared maximum mean discrepancy to the training cells of the class, unbiased.
    pub mmd: f64,
}

/// A class: generated cells, and held-out real ones if there are enough.
#[derive(Clone, Debug, Serialize)]
pub struct Fidelity {
    /// Its name.
    pub class: String,
    /// Of the generated cells; absent if there are fewer than five, or as few training cells.
    pub generated: Option<Figures>,
    /// Of real cells that were not trained on.
    pub held_out: Option<Figures>,
}

/// The figures of every class. `by_model` labels cells `[n, width]`.
///
/// # Errors
/// Device errors.
pub(super) fn fidelity(
    names: &[String],
    width: usize,
    train: Labelled,
    held_out: Labelled,
    generated: Labelled,
    by_model: &dyn Fn(&[f32]) -> Result<Vec<u32>>,
    device: &Device,
) -> Result<Vec<Fidelity>> {
    let wide = |x: &[f32]| x.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let all = wide(train.x);
    let kernel = kernel(train.x, width, device)?;
    let class_of = |class: usize, cells: &Labelled| -> Result<Option<Figures>> {
        let (x, own) = (cells.of_class(class, width), train.of_class(class, width));
        let (n, m) = (x.len() / width, own.len() / width);
        if n < FEWEST || m < FEWEST {
            return Ok(None);
        }
        let share = |labels: &mut dyn Iterator<Item = u32>| {
            labels.filter(|&label| label as usize == class).count() as f64 / n as f64
        };
        let near = knn_query(&wide(&x), &all, width, NEIGHBOURS.min(train.y.len()))?;
        let apart = |near: &[f64]| near.iter().sum::<f64>() / near.len().max(1) as f64;
        let to_own = apart(&knn_query(&wide(&x), &wide(&own), width, 1)?.distances);
        let among = apart(&knn(&wide(&own), width, 1)?.distances);
        let (mean, of_own) = (means(&x, width), means(&own, width));
        let squared =
            |row: &[f32], centre: &[f64]| row.iter().zip(centre).map(|(&v, c)| (f64::from(v) - c).powi(2)).sum::<f64>();
        let spread = own.chunks(width).map(|row| squared(row, &of_own)).sum::<f64>() / m as f64;
        let offset = mean.iter().zip(&of_own).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let tensor = |x: &[f32]| {
            let step = (x.len() / width).div_ceil(COMPARED).max(1);
            let kept: Vec<f32> = x.chunks(width).step_by(step).flatten().copied().collect();
            Tensor::from_slice(&kept, &[kept.len() / width, width], device)
        };
        Ok(Some(Figures {
            cells: n,
            by_model: share(&mut by_model(&x)?.into_iter()),
            by_neighbours: share(&mut vote(&near, train.y).into_iter().map(|(label, _)| label)),
            mean_offset: (offset / spread).sqrt(),
            nearest_ratio: to_own / among,
            mmd: f64::from(mmd::unbiased(&kernel, &tensor(&x)?, &tensor(&own)?)?.item()?),
        }))
    };
    let one = |(class, name): (usize, &String)| {
        Ok(Fidelity {
            class: name.clone(),
            generated: class_of(class, &generated)?,
            held_out: class_of(class, &held_out)?,
        })
    };
    names.iter().enumerate().map(one).collect()
}

fn means(x: &[f32], width: usize) -> Vec<f64> {
    let n = (x.len() / width).max(1) as f64;
    (0..width).map(|j| x.iter().skip(j).step_by(width).map(|&v| f64::from(v)).sum::<f64>() / n).collect()
}

/// Gaussians around the mean squared distance of real cells.
fn kernel(x: &[f32], width: usize, device: &Device) -> Result<MmdKernel> {
    // Of independent pairs it is twice the total variance.
    let mean = means(x, width);
    let n = (x.len() / width).max(1) as f64;
    let squared = |row: &[f32]| row.iter().zip(&mean).map(|(&v, m)| (f64::from(v) - m).powi(2)).sum::<f64>();
    let apart = 2.0 * x.chunks(width).map(squared).sum::<f64>() / n;
    MmdKernel::new(Similarity::Gaussian, &SCALES.map(|s| s / apart.max(1e-30) as f32), device)
}

//! Cells in memory, as the network sees them.

use crate::error::{Error, Result};

/// Cells as the network sees them.
#[derive(Clone, Debug)]
pub struct Cells {
    /// `[n, features]`, row-major.
    pub x: Vec<f32>,
    /// Class of each cell.
    pub y: Vec<u32>,
    /// Number of features.
    pub features: usize,
}

impl Cells {
    /// Number of cells.
    pub fn len(&self) -> usize {
        self.y.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.y.is_empty()
    }

    /// Checks that labels are below `classes` and the features fit.
    ///
    /// # Errors
    /// `Error::Shape`.
    pub fn check(&self, classes: usize) -> Result<()> {
        if self.x.len() == self.len() * self.features && self.y.iter().all(|&y| (y as usize) < classes) {
            return Ok(());
        }
        Err(Error::Shape {
            op: "cells",
            expected: format!("{} x {} features, labels below {classes}", self.len(), self.features),
            found: format!("{} values", self.x.len()),
        })
    }
}

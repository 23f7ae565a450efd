//! A matrix from its first row to its last, in blocks that fit into memory.
//!
//! May use: `error`, `memory`, the sources. [`RowBlocks`] is what an algorithm over all cells asks
//! for: a pass over the rows in order, as often as it likes. [`Blocks`] is a file's matrix; while the
//! caller works on a block, the next one is read and unpacked on another thread.
//!
//! No result may depend on where blocks end: what is summed over rows is summed row by row, in order.
#![forbid(unsafe_code)]

use super::csr::Csr;
use super::memory::Memory;
use super::source::{RowSizes, Source, Which};
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::mpsc::sync_channel;

/// Cells x genes, read row after row.
pub trait RowBlocks {
    /// Number of cells.
    fn n_rows(&self) -> usize;
    /// Number of genes.
    fn n_cols(&self) -> usize;

    /// Shows all rows in order, in blocks: `work(first row, rows)`.
    ///
    /// # Errors
    /// Those of reading, and of `work`, which ends the pass.
    fn pass(&self, work: &mut dyn FnMut(usize, &Csr) -> Result<()>) -> Result<()>;
}

impl RowBlocks for Csr {
    fn n_rows(&self) -> usize {
        Csr::n_rows(self)
    }

    fn n_cols(&self) -> usize {
        Csr::n_cols(self)
    }

    fn pass(&self, work: &mut dyn FnMut(usize, &Csr) -> Result<()>) -> Result<()> {
        work(0, self)
    }
}

/// A file's matrix in blocks of rows.
pub struct Blocks<'a> {
    source: &'a dyn Source,
    which: Which,
    n_cols: usize,
    cuts: Vec<Range<usize>>,
    /// Matrices that cannot be read by rows, read once.
    whole: Option<Csr>,
}

/// What a stored entry takes: a value and a column.
const ENTRY: u64 = 8;
/// What a row takes beside its entries.
const ROW: u64 = 8;

impl<'a> Blocks<'a> {
    /// Blocks that `memory` allows.
    ///
    /// # Errors
    /// `Error::Data` for a matrix that has to be in memory as a whole and does not fit, and for rows
    /// that do not fit one by one; as [`Source::row_sizes`].
    pub fn new(source: &'a dyn Source, which: &Which, memory: Memory) -> Result<Blocks<'a>> {
        let n_rows = source.obs().n_rows();
        let n_cols = source.var(which).n_rows();
        let place = format!("{}: {which}", source.name());
        let made = |cuts, whole| Blocks { source, which: which.clone(), n_cols, cuts, whole };
        let most = memory.block();
        let fits = |entries: usize| {
            let what = "one cell of the matrix";
            memory.require(2 * SIDES * ENTRY * entries as u64, &place, what, "use a machine with more memory")
        };
        match source.row_sizes(which)? {
            RowSizes::Even(entries) => {
                fits(entries)?;
                let rows = (most / (ROW + ENTRY * entries as u64)).max(1);
                Ok(made(even(n_rows, usize::try_from(rows).unwrap_or(usize::MAX)), None))
            }
            RowSizes::Pointers(pointers) => {
                fits(pointers.windows(2).map(|p| p[1] - p[0]).max().unwrap_or(0))?;
                Ok(made(packed(&pointers, most), None))
            }
            RowSizes::Whole { entries, why } => {
                // Both orders are there while one becomes the other.
                memory.require(
                    SIDES * (ENTRY * entries as u64 + ROW * (n_rows + n_cols) as u64),
                    &place,
                    &format!("{why}, so it is read as a whole, which"),
                    "write it by rows (CSR) on a machine with more memory: cytograd preprocess FILE -o OUT.h5ad",
                )?;
                let whole = source.matrix(which)?.into_csr()?;
                Ok(made(Vec::new(), Some(whole)))
            }
        }
    }

    /// How many blocks there are.
    pub fn len(&self) -> usize {
        if self.whole.is_some() { 1 } else { self.cuts.len() }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self, rows: &Range<usize>) -> Result<Csr> {
        self.source.rows(&self.which, rows.clone())?.into_csr()
    }
}

/// Copies of a block, or of a matrix that is turned, that exist at once.
const SIDES: u64 = 2;

fn even(n_rows: usize, rows: usize) -> Vec<Range<usize>> {
    (0..n_rows.div_ceil(rows)).map(|i| i * rows..((i + 1) * rows).min(n_rows)).collect()
}

/// As many rows as fit, at least one.
fn packed(pointers: &[usize], most: u64) -> Vec<Range<usize>> {
    let n_rows = pointers.len().saturating_sub(1);
    let mut cuts = Vec::new();
    let mut first = 0;
    for row in 0..n_rows {
        let bytes = ENTRY * (pointers[row + 1] - pointers[first]) as u64 + ROW * (row + 1 - first) as u64;
        if bytes > most && row > first {
            cuts.push(first..row);
            first = row;
        }
    }
    if first < n_rows {
        cuts.push(first..n_rows);
    }
    cuts
}

impl RowBlocks for Blocks<'_> {
    fn n_rows(&self) -> usize {
        self.source.obs().n_rows()
    }

    fn n_cols(&self) -> usize {
        self.n_cols
    }

    fn pass(&self, work: &mut dyn FnMut(usize, &Csr) -> Result<()>) -> Result<()> {
        if let Some(whole) = &self.whole {
            return work(0, whole);
        }
        if let [rows] = &self.cuts[..] {
            return work(rows.start, &self.read(rows)?);
        }
        // Without room in the channel, one block is read while one is worked on.
        let (sender, receiver) = sync_channel(0);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for rows in &self.cuts {
                    let block = self.read(rows);
                    let ended = block.is_err();
                    // The receiver is gone if `work` failed.
                    if sender.send((rows.start, block)).is_err() || ended {
                        return;
                    }
                }
            });
            let mut seen = 0;
            for (first, block) in &receiver {
                let block = block?;
                seen += block.n_rows();
                work(first, &block)?;
            }
            if seen == self.n_rows() {
                return Ok(());
            }
            Err(Error::Argument { op: "read blocks", what: "the reading thread ended early".into() })
        })
    }
}

/// Some rows of a matrix, as one of their own.
pub struct Chosen<'a> {
    inner: &'a dyn RowBlocks,
    rows: &'a [usize],
}

impl<'a> Chosen<'a> {
    /// The given rows, which ascend.
    pub fn new(inner: &'a dyn RowBlocks, rows: &'a [usize]) -> Chosen<'a> {
        Chosen { inner, rows }
    }
}

impl RowBlocks for Chosen<'_> {
    fn n_rows(&self) -> usize {
        self.rows.len()
    }

    fn n_cols(&self) -> usize {
        self.inner.n_cols()
    }

    fn pass(&self, work: &mut dyn FnMut(usize, &Csr) -> Result<()>) -> Result<()> {
        if self.rows.len() == self.inner.n_rows() {
            return self.inner.pass(work);
        }
        self.inner.pass(&mut |first, block| {
            let from = self.rows.partition_point(|&row| row < first);
            let to = self.rows.partition_point(|&row| row < first + block.n_rows());
            if from == to {
                return Ok(());
            }
            let mine: Vec<usize> = self.rows[from..to].iter().map(|row| row - first).collect();
            work(from, &block.select_rows(&mine))
        })
    }
}

/// A matrix that is made of another one, block by block: `make(first row, rows)` has as many rows.
pub struct Derived<'a, F> {
    inner: &'a dyn RowBlocks,
    n_cols: usize,
    make: F,
}

impl<'a, F: Fn(usize, &Csr) -> Result<Csr>> Derived<'a, F> {
    /// Rows of `n_cols` columns made of those of `inner`.
    pub fn new(inner: &'a dyn RowBlocks, n_cols: usize, make: F) -> Derived<'a, F> {
        Derived { inner, n_cols, make }
    }
}

impl<F: Fn(usize, &Csr) -> Result<Csr>> RowBlocks for Derived<'_, F> {
    fn n_rows(&self) -> usize {
        self.inner.n_rows()
    }

    fn n_cols(&self) -> usize {
        self.n_cols
    }

    fn pass(&self, work: &mut dyn FnMut(usize, &Csr) -> Result<()>) -> Result<()> {
        self.inner.pass(&mut |first, block| work(first, &(self.make)(first, block)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_fits_and_every_row_once() {
        assert_eq!(packed(&[0, 1, 2, 50, 51, 52], 2 * (ENTRY + ROW)), [0..2, 2..3, 3..5]);
        assert_eq!(packed(&[0, 0, 0], 1 << 20).first(), Some(&(0..2)));
        assert!(packed(&[0], 100).is_empty());
        assert_eq!(even(5, 2), [0..2, 2..4, 4..5]);
        assert!(even(0, 3).is_empty());
    }

    /// A matrix of one column that is shown in blocks of two rows.
    struct Pairs(Csr);

    impl RowBlocks for Pairs {
        fn n_rows(&self) -> usize {
            self.0.n_rows()
        }

        fn n_cols(&self) -> usize {
            self.0.n_cols()
        }

        fn pass(&self, work: &mut dyn FnMut(usize, &Csr) -> Result<()>) -> Result<()> {
            even(self.0.n_rows(), 2).into_iter().try_for_each(|rows| {
                let first = rows.start;
                work(first, &self.0.select_rows(&rows.collect::<Vec<_>>()))
            })
        }
    }

    #[test]
    fn chosen_rows_are_numbered_anew() {
        let matrix = Pairs(Csr::from_dense(7, 1, &[1., 2., 3., 4., 5., 6., 7.]).unwrap());
        for rows in [&[0usize, 1, 2, 3, 4, 5, 6][..], &[1, 2, 5], &[6], &[]] {
            let mut found = Vec::new();
            Chosen::new(&matrix, rows)
                .pass(&mut |first, block| {
                    assert_eq!(first, found.len());
                    found.extend_from_slice(block.values());
                    Ok(())
                })
                .unwrap();
            assert_eq!(found, rows.iter().map(|&row| row as f32 + 1.0).collect::<Vec<_>>());
        }
    }
}

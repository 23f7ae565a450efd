//! Shuffled minibatches read from a file, with a bounded part of it in memory.
//!
//! May use: `error`, `rng`, `batches`, the sources. A true permutation of all cells would read every
//! cell from somewhere else. Here each pass shuffles blocks of neighbouring rows, takes a window of
//! some blocks at a time, and shuffles the rows inside the window:
//!
//! ```text
//! blocks   of `block_rows` rows, in an order drawn from (seed, stream, epoch)
//! window   `window_blocks` of them; its rows in an order drawn from (seed, stream, epoch, window)
//! batch    the next `batch_size` rows, across windows; what is left at the end of a pass is dropped
//! ```
//!
//! The order depends on seed, epoch and [`Shuffle`] alone, not on threads or memory, and a stream is
//! resumed from its [`BatchPosition`]. The next window is read and unpacked on a thread of its own: at
//! most three windows are in memory (one being used, one being put in order, one waiting).
#![forbid(unsafe_code)]

use super::batches::BatchPosition;
use super::csr::Csr;
use super::source::{RowSizes, Source, Which};
use crate::error::{Error, Result};
use crate::rng::Stream;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// How far cells are mixed; more mixing takes more memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shuffle {
    /// Neighbouring rows that are read together.
    pub block_rows: usize,
    /// Blocks whose rows are mixed.
    pub window_blocks: usize,
}

impl Default for Shuffle {
    /// 16384 cells are mixed at a time.
    fn default() -> Self {
        Shuffle { block_rows: 256, window_blocks: 64 }
    }
}

/// Some cells of a pass.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskBatch {
    /// Rows of the file, in the order of the batch.
    pub rows: Vec<u32>,
    /// Their values, all genes.
    pub x: Csr,
}

/// An endless cycle of shuffled minibatches of a file's rows.
pub struct DiskBatches {
    plan: Arc<Plan>,
    batch_size: usize,
    position: BatchPosition,
    /// Windows of the pass under way, in order.
    windows: Receiver<Result<DiskBatch>>,
    current: DiskBatch,
    /// Rows of `current` that were used.
    used: usize,
}

/// What a window is, for the thread that reads it.
struct Plan {
    source: Arc<dyn Source>,
    which: Which,
    /// The cells of each block, ascending.
    blocks: Vec<Vec<u32>>,
    window_blocks: usize,
    random: Stream,
}

impl DiskBatches {
    /// Batches of the given rows (ascending) of a matrix.
    ///
    /// # Errors
    /// `Error::Data` without rows, and for a matrix that cannot be read by rows; `Error::Usage` for
    /// sizes of 0; as [`Source::row_sizes`].
    pub fn new(
        source: Arc<dyn Source>,
        which: &Which,
        rows: &[usize],
        batch_size: usize,
        shuffle: Shuffle,
        random: Stream,
    ) -> Result<DiskBatches> {
        if rows.is_empty() {
            return Err(Error::data("training cells", "there are none", "check --where and the labels"));
        }
        if batch_size == 0 || shuffle.block_rows == 0 || shuffle.window_blocks == 0 {
            return Err(Error::usage("a batch, block or window of nothing", "give at least 1"));
        }
        if let RowSizes::Whole { why, .. } = source.row_sizes(which)? {
            let fix = "write it by rows (CSR) first: cytograd preprocess FILE -o OUT.h5ad";
            return Err(Error::data(format!("{}: {which}", source.name()), why, fix));
        }
        let mut blocks: Vec<Vec<u32>> = Vec::new();
        let mut last = None;
        for &row in rows {
            let block = row / shuffle.block_rows;
            if last != Some(block) {
                blocks.push(Vec::new());
                last = Some(block);
            }
            if let Some(block) = blocks.last_mut() {
                block.push(row as u32);
            }
        }
        let batch_size = batch_size.min(rows.len());
        let plan = Plan { source, which: which.clone(), blocks, window_blocks: shuffle.window_blocks, random };
        let plan = Arc::new(plan);
        let n_cols = plan.source.var(which).n_rows();
        let windows = read_ahead(&plan, 0, 0);
        let current = DiskBatch { rows: Vec::new(), x: Csr::zeros(0, n_cols) };
        Ok(DiskBatches { plan, batch_size, position: BatchPosition::default(), windows, current, used: 0 })
    }

    /// Items per batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Batches of a pass.
    pub fn batches_per_epoch(&self) -> usize {
        self.plan.n_rows() / self.batch_size
    }

    /// Where the stream stands.
    pub fn position(&self) -> BatchPosition {
        self.position
    }

    /// Goes on from a saved position.
    ///
    /// # Errors
    /// Those of reading.
    pub fn restore(&mut self, position: BatchPosition) -> Result<()> {
        let mut before = position.batch as usize * self.batch_size;
        let mut window = 0;
        for blocks in self.plan.order(position.epoch).chunks(self.plan.window_blocks) {
            let rows: usize = blocks.iter().map(|&b| self.plan.blocks[b as usize].len()).sum();
            if before < rows {
                break;
            }
            before -= rows;
            window += 1;
        }
        self.position = position;
        self.windows = read_ahead(&self.plan, position.epoch, window);
        self.current = DiskBatch { rows: Vec::new(), x: Csr::zeros(0, self.current.x.n_cols()) };
        self.used = 0;
        if before > 0 {
            self.next_window()?;
            self.used = before;
        }
        Ok(())
    }

    /// The next batch.
    ///
    /// # Errors
    /// Those of reading.
    pub fn next_batch(&mut self) -> Result<DiskBatch> {
        if self.position.batch as usize == self.batches_per_epoch() {
            self.restore(BatchPosition { epoch: self.position.epoch.wrapping_add(1), batch: 0 })?;
        }
        let mut rows = Vec::with_capacity(self.batch_size);
        let mut parts = Vec::new();
        while rows.len() < self.batch_size {
            if self.used == self.current.rows.len() {
                self.next_window()?;
            }
            let end = (self.used + self.batch_size - rows.len()).min(self.current.rows.len());
            rows.extend_from_slice(&self.current.rows[self.used..end]);
            parts.push(self.current.x.select_rows(&(self.used..end).collect::<Vec<_>>()));
            self.used = end;
        }
        self.position.batch += 1;
        Ok(DiskBatch { rows, x: Csr::vstack(&parts.iter().collect::<Vec<_>>())? })
    }

    fn next_window(&mut self) -> Result<()> {
        let ended = |_| Error::Argument { op: "read batches", what: "the reading thread ended early".into() };
        self.current = self.windows.recv().map_err(ended)??;
        self.used = 0;
        Ok(())
    }
}

impl Plan {
    fn n_rows(&self) -> usize {
        self.blocks.iter().map(Vec::len).sum()
    }

    /// The order of the blocks in a pass.
    fn order(&self, epoch: u32) -> Vec<u32> {
        self.random.at(epoch).rng().permutation(self.blocks.len())
    }

    /// The rows of a window, mixed.
    fn window(&self, epoch: u32, number: u32, blocks: &[u32]) -> Result<DiskBatch> {
        let mut blocks: Vec<usize> = blocks.iter().map(|&b| b as usize).collect();
        blocks.sort_unstable(); // the disk's order
        let mut rows = Vec::new();
        let mut parts = Vec::with_capacity(blocks.len());
        for block in blocks {
            let wanted = &self.blocks[block];
            let span: Range<usize> = match wanted[..] {
                [first, .., last] => first as usize..last as usize + 1,
                [only] => only as usize..only as usize + 1,
                [] => continue,
            };
            let first = span.start as u32;
            let all = self.source.rows(&self.which, span)?.into_csr()?;
            let mine: Vec<usize> = wanted.iter().map(|row| (row - first) as usize).collect();
            parts.push(if mine.len() == all.n_rows() { all } else { all.select_rows(&mine) });
            rows.extend_from_slice(wanted);
        }
        let all = Csr::vstack(&parts.iter().collect::<Vec<_>>())?;
        drop(parts);
        // Part 0 of an epoch orders its blocks.
        let order = self.random.at(epoch).part(number + 1).rng().permutation(rows.len());
        let order: Vec<usize> = order.into_iter().map(|i| i as usize).collect();
        Ok(DiskBatch { rows: order.iter().map(|&i| rows[i]).collect(), x: all.select_rows(&order) })
    }
}

/// Starts the thread that reads the windows of a pass from one of them on.
fn read_ahead(plan: &Arc<Plan>, epoch: u32, from: usize) -> Receiver<Result<DiskBatch>> {
    let (sender, receiver) = sync_channel(0);
    let plan = Arc::clone(plan);
    std::thread::spawn(move || {
        let order = plan.order(epoch);
        for (number, blocks) in order.chunks(plan.window_blocks).enumerate().skip(from) {
            let window = plan.window(epoch, number as u32, blocks);
            let failed = window.is_err();
            // The stream may have gone elsewhere.
            if sender.send(window).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::simulate::{SimulateParams, simulate};
    use crate::data::{Matrix, h5ad};
    use crate::rng::stream;

    struct File {
        _folder: tempfile::TempDir,
        source: Arc<dyn Source>,
        x: Csr,
    }

    fn file() -> File {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.h5ad");
        let params = SimulateParams { n_cells: 500, n_genes: 30, n_types: 3, ..SimulateParams::default() };
        let dataset = simulate(&params).unwrap();
        h5ad::write(&path, &dataset).unwrap();
        let Matrix::Csr(x) = dataset.x else { panic!("sparse") };
        File { _folder: folder, source: crate::data::open(&path).unwrap().into(), x }
    }

    fn batches(file: &File, rows: &[usize], seed: u64) -> DiskBatches {
        let shuffle = Shuffle { block_rows: 16, window_blocks: 5 };
        let random = Stream::new(seed, stream::ORDER_X);
        DiskBatches::new(Arc::clone(&file.source), &Which::X, rows, 23, shuffle, random).unwrap()
    }

    fn take(batches: &mut DiskBatches, n: usize) -> Vec<DiskBatch> {
        (0..n).map(|_| batches.next_batch().unwrap()).collect()
    }

    #[test]
    fn a_pass_shows_every_chosen_cell_at_most_once_with_its_counts() {
        let file = file();
        let chosen: Vec<usize> = (0..500).filter(|row| row % 7 != 3).collect();
        let mut stream = batches(&file, &chosen, 1);
        let n = stream.batches_per_epoch();
        assert_eq!(n, chosen.len() / 23);
        let mut passes = Vec::new();
        for epoch in 0..2 {
            let pass = take(&mut stream, n);
            let mut rows: Vec<u32> = pass.iter().flat_map(|batch| batch.rows.clone()).collect();
            for batch in &pass {
                let rows: Vec<usize> = batch.rows.iter().map(|&row| row as usize).collect();
                assert_eq!(batch.x, file.x.select_rows(&rows));
            }
            passes.push(rows.clone());
            rows.sort_unstable();
            rows.dedup();
            assert_eq!(rows.len(), n * 23);
            assert!(rows.iter().all(|row| row % 7 != 3));
            assert_eq!(stream.position(), BatchPosition { epoch, batch: n as u32 });
        }
        assert_ne!(passes[0], passes[1]);
    }

    #[test]
    fn cells_are_mixed_within_windows_of_distant_blocks() {
        let file = file();
        let rows: Vec<usize> = (0..500).collect();
        let first = take(&mut batches(&file, &rows, 1), 1).remove(0).rows;
        let blocks: std::collections::HashSet<u32> = first.iter().map(|row| row / 16).collect();
        assert!(blocks.len() >= 3, "{first:?}");
        let neighbours = first.windows(2).filter(|pair| pair[0] + 1 == pair[1]).count();
        assert!(neighbours < 5, "{first:?}");
    }

    #[test]
    fn the_order_is_that_of_the_seed_and_goes_on_where_it_was_left() {
        let file = file();
        let rows: Vec<usize> = (0..500).collect();
        let whole = take(&mut batches(&file, &rows, 4), 60);
        assert_eq!(whole, take(&mut batches(&file, &rows, 4), 60));
        assert_ne!(whole[..3], take(&mut batches(&file, &rows, 5), 3));
        for done in [0, 1, 7, 20, 21, 22, 43] {
            let mut before = batches(&file, &rows, 4);
            take(&mut before, done);
            let mut resumed = batches(&file, &rows, 4);
            resumed.restore(before.position()).unwrap();
            assert_eq!(take(&mut resumed, 60 - done), whole[done..], "after {done}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let file = file();
        let random = Stream::new(1, stream::ORDER_X);
        let new = |rows: &[usize], size: usize, shuffle: Shuffle| {
            DiskBatches::new(Arc::clone(&file.source), &Which::X, rows, size, shuffle, random).is_err()
        };
        assert!(new(&[], 4, Shuffle::default()) && new(&[1], 0, Shuffle::default()));
        assert!(new(&[1], 4, Shuffle { block_rows: 0, window_blocks: 1 }));
        assert!(!new(&[1], 4, Shuffle::default()));
    }
}

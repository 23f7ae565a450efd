//! Which cells a step sees: shuffled minibatch streams, the train/valid/test split, folds.
//!
//! May use: `error`, `rng`. Every order is a function of (seed, stream, epoch) alone, so a stream
//! is resumed from two numbers and no two components disturb each other.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::rng::{Stream, stream};

/// Where a [`BatchStream`] stands; all that a checkpoint has to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BatchPosition {
    /// Passes over the data that are complete.
    pub epoch: u32,
    /// Batches taken of the pass under way.
    pub batch: u32,
}

/// An endless cycle of shuffled minibatches over `0..n_items`.
///
/// Each pass is a new permutation, drawn from step `epoch` of the random stream. Batches have
/// `min(batch_size, n_items)` items; what is left over at the end of a pass is dropped.
#[derive(Clone, Debug)]
pub struct BatchStream {
    n_items: usize,
    batch_size: usize,
    random: Stream,
    order: Vec<u32>,
    position: BatchPosition,
}

impl BatchStream {
    /// # Errors
    /// `Error::Data` without items; `Error::Usage` for batches of nothing.
    pub fn new(n_items: usize, batch_size: usize, random: Stream) -> Result<BatchStream> {
        if n_items == 0 {
            return Err(Error::data("training cells", "there are none", "check --where and the labels"));
        }
        if batch_size == 0 {
            return Err(Error::usage("a batch size of 0", "give at least 1"));
        }
        let mut cycle = BatchStream {
            n_items,
            batch_size: batch_size.min(n_items),
            random,
            order: Vec::new(),
            position: BatchPosition::default(),
        };
        cycle.shuffle();
        Ok(cycle)
    }

    /// Items per batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Batches of an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.n_items / self.batch_size
    }

    /// Where the stream stands.
    pub fn position(&self) -> BatchPosition {
        self.position
    }

    /// Goes on from a saved position.
    pub fn restore(&mut self, position: BatchPosition) {
        self.position = position;
        self.shuffle();
    }

    /// The items of the next batch.
    pub fn next_batch(&mut self) -> &[u32] {
        if self.position.batch as usize == self.batches_per_epoch() {
            self.position = BatchPosition { epoch: self.position.epoch.wrapping_add(1), batch: 0 };
            self.shuffle();
        }
        let start = self.position.batch as usize * self.batch_size;
        self.position.batch += 1;
        &self.order[start..start + self.batch_size]
    }

    fn shuffle(&mut self) {
        self.order = self.random.at(self.position.epoch).rng().permutation(self.n_items);
    }
}

/// Disjoint parts of the cells, each in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Rows to train on.
    pub train: Vec<usize>,
    /// Rows to choose an epoch by.
    pub valid: Vec<usize>,
    /// Rows to judge by.
    pub test: Vec<usize>,
}

/// Splits cells by class into train, valid and test in the proportions of `shares`.
///
/// Each class is rounded by largest remainder (ties go to the earlier part) and has at least one
/// training cell, and with three cells or more at least one in each part whose share is not 0.
/// `labels[i]` is the class of cell `i`.
pub fn stratified_split(labels: &[u32], shares: [f64; 3], seed: u64) -> Split {
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for (class, mut members) in by_class(labels).into_iter().enumerate() {
        Stream::new(seed, stream::SPLIT).part(class as u32).rng().shuffle(&mut members);
        let mut rest = members.as_slice();
        for (part, size) in parts.iter_mut().zip(part_sizes(members.len(), shares)) {
            let (mine, others) = rest.split_at(size);
            part.extend_from_slice(mine);
            rest = others;
        }
    }
    let [mut train, mut valid, mut test] = parts;
    [&mut train, &mut valid, &mut test].into_iter().for_each(|part| part.sort_unstable());
    Split { train, valid, test }
}

fn part_sizes(n: usize, shares: [f64; 3]) -> [usize; 3] {
    let total: f64 = shares.iter().sum();
    let exact = shares.map(|share| n as f64 * share / total);
    let mut sizes = exact.map(|x| (x + 1e-9).floor() as usize);
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| (exact[b] - sizes[b] as f64).total_cmp(&(exact[a] - sizes[a] as f64)));
    let missing = n - sizes.iter().sum::<usize>();
    order.iter().cycle().take(missing).for_each(|&part| sizes[part] += 1);
    for part in 0..3 {
        let wanted = part == 0 && n >= 1 || n >= 3 && shares[part] > 0.0;
        if wanted && sizes[part] == 0 {
            let largest = (0..3).max_by_key(|&p| (sizes[p], 3 - p)).unwrap_or(0);
            sizes[largest] -= 1;
            sizes[part] += 1;
        }
    }
    sizes
}

/// The test cells of each of `k` stratified folds, ascending; every cell is in exactly one.
///
/// # Errors
/// `Error::Usage` for fewer than two folds or more folds than cells.
pub fn k_folds(labels: &[u32], k: usize, seed: u64) -> Result<Vec<Vec<usize>>> {
    if k < 2 || k > labels.len() {
        return Err(Error::usage(format!("{k} folds of {} cells", labels.len()), "give from 2 folds to one per cell"));
    }
    let mut folds = vec![Vec::new(); k];
    let mut next = 0; // goes on from class to class, so that fold sizes differ by at most one
    for (class, mut members) in by_class(labels).into_iter().enumerate() {
        Stream::new(seed, stream::SPLIT).at(1).part(class as u32).rng().shuffle(&mut members);
        for cell in members {
            folds[next % k].push(cell);
            next += 1;
        }
    }
    folds.iter_mut().for_each(|fold| fold.sort_unstable());
    Ok(folds)
}

fn by_class(labels: &[u32]) -> Vec<Vec<usize>> {
    let n_classes = labels.iter().max().map_or(0, |&c| c as usize + 1);
    let mut classes = vec![Vec::new(); n_classes];
    for (cell, &class) in labels.iter().enumerate() {
        classes[class as usize].push(cell);
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle(n: usize, batch: usize) -> BatchStream {
        BatchStream::new(n, batch, Stream::new(7, stream::ORDER_X)).unwrap()
    }

    #[test]
    fn a_pass_shows_every_item_at_most_once_and_passes_differ() {
        let mut batches = cycle(103, 10);
        let pass =
            |batches: &mut BatchStream| -> Vec<u32> { (0..10).flat_map(|_| batches.next_batch().to_vec()).collect() };
        let first = pass(&mut batches);
        let second = pass(&mut batches);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 100);
        assert_ne!(first, second);
        assert_eq!(batches.position(), BatchPosition { epoch: 1, batch: 10 });
    }

    #[test]
    fn a_restored_stream_goes_on_with_the_same_batches() {
        let mut whole = cycle(50, 8);
        (0..9).for_each(|_| drop(whole.next_batch().to_vec()));
        let mut resumed = cycle(50, 8);
        resumed.restore(whole.position());
        for _ in 0..20 {
            assert_eq!(whole.next_batch(), resumed.next_batch());
        }
    }

    #[test]
    fn streams_are_independent_of_each_other() {
        let mut other = BatchStream::new(50, 8, Stream::new(7, stream::ORDER_LAB)).unwrap();
        assert_ne!(cycle(50, 8).next_batch(), other.next_batch());
    }

    #[test]
    fn a_batch_larger_than_the_data_is_the_data() {
        let mut batches = cycle(3, 64);
        assert_eq!((batches.batch_size(), batches.batches_per_epoch()), (3, 1));
        assert_eq!(batches.next_batch().len(), 3);
        assert!(BatchStream::new(0, 4, Stream::new(1, 1)).is_err());
        assert!(BatchStream::new(4, 0, Stream::new(1, 1)).is_err());
    }

    /// Check 17 of the CLAMS protocol.
    #[test]
    fn split_is_disjoint_exhaustive_and_within_one_cell_of_8_1_1_per_class() {
        let labels: Vec<u32> =
            [(0u32, 100), (1, 37), (2, 10), (3, 3), (4, 2), (5, 1)].iter().flat_map(|&(c, n)| vec![c; n]).collect();
        let split = stratified_split(&labels, [8., 1., 1.], 1234);
        let mut all = [split.train.clone(), split.valid.clone(), split.test.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
        let count = |part: &[usize], class: u32| part.iter().filter(|&&i| labels[i] == class).count();
        for (class, n) in [(0u32, 100usize), (1, 37), (2, 10), (3, 3), (4, 2), (5, 1)] {
            let (train, valid, test) =
                (count(&split.train, class), count(&split.valid, class), count(&split.test, class));
            assert!(train >= 1, "class {class} has a training cell");
            if n >= 3 {
                assert!(valid >= 1 && test >= 1, "class {class} of {n}");
            }
            if n >= 10 {
                assert!((train as f64 - 0.8 * n as f64).abs() <= 1.0 && (valid as f64 - 0.1 * n as f64).abs() <= 1.0);
            }
        }
        assert_eq!(split, stratified_split(&labels, [8., 1., 1.], 1234));
        assert_ne!(split, stratified_split(&labels, [8., 1., 1.], 1235));
    }

    #[test]
    fn folds_are_stratified_and_cover_every_cell_once() {
        let labels: Vec<u32> = (0..53).map(|i| (i % 4 == 0) as u32).collect();
        let folds = k_folds(&labels, 5, 1).unwrap();
        let mut all = folds.concat();
        all.sort_unstable();
        assert_eq!(all, (0..53).collect::<Vec<_>>());
        for fold in &folds {
            assert!((10..=11).contains(&fold.len()));
            let rare = fold.iter().filter(|&&i| labels[i] == 1).count();
            assert!((2..=3).contains(&rare));
        }
        assert!(k_folds(&labels, 1, 1).is_err() && k_folds(&labels, 54, 1).is_err());
    }
}

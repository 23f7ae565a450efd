//! Launches of `kernel::gemm`: which tile, and into how many parts k is cut.

use super::plan::{Arg, Chip, Plan, Planner, Step, ZEROS};
use crate::kernel::gemm::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 1] = [(&GEMM, gemm)];

/// A tile kernel of `kernels/gemm.cu`; the numbers are those of its template.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// Its name in the kernel file.
    pub function: &'static str,
    /// Rows of the output that a block computes.
    pub rows: u32,
    /// Columns of the output that a block computes.
    pub cols: u32,
    /// Threads of a block.
    threads: u32,
    /// Steps along k: their length, and how many lie in shared memory.
    step: u32,
    stages: u32,
    /// Instructions that a thread issues per element of k.
    issues: u32,
}

/// All tile kernels, largest first.
///
/// Few, since each one is compiled by the driver at first use. What bounds a tile, per element of k: its
/// multiply-adds over 128 per cycle; the words that it reads from the level-two cache, one for 16
/// multiply-adds at 32 x 32 and for 64 at 128 x 128; and that there be as many blocks as
/// multiprocessors. So: the largest tile, whose reads cost least, for outputs of 132 of them; a quarter,
/// an eighth and a sixteenth of it for less, where a product is short of blocks rather than of bandwidth
/// and k can be cut only into chunks. By the estimate in `Choice::cycles`, tiles of 64 x 128, 64 x 16 and 16 x 64 would
/// gain at most 4 % at the models' shapes; up to half for outputs of at most 16 columns and a
/// hundred thousand rows, as the last layer of one annotation.
pub const TILES: [Tile; 4] = [
    tile("gemm_128x128", [128, 128], 256, [16, 2], 70),
    tile("gemm_64x64", [64, 64], 128, [16, 3], 37),
    tile("gemm_32x64", [32, 64], 128, [16, 4], 20),
    tile("gemm_32x32", [32, 32], 128, [32, 4], 12),
];

const fn tile(
    function: &'static str,
    [rows, cols]: [u32; 2],
    threads: u32,
    [step, stages]: [u32; 2],
    issues: u32,
) -> Tile {
    Tile { function, rows, cols, threads, step, stages, issues }
}

impl Tile {
    /// Bytes of shared memory. The chunks' running totals lie there, unless they go to scratch.
    fn shared(&self, parted: bool) -> u32 {
        let steps = self.stages * self.step * (self.rows + self.cols + 8);
        let totals = if parted { 0 } else { self.rows * (self.cols + 4) };
        4 * (steps + totals)
    }

    fn tiles(&self, p: &GemmParams) -> u64 {
        u64::from(p.m.div_ceil(self.rows)) * u64::from(p.n.div_ceil(self.cols))
    }
}

/// A way to compute a product.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The kernel.
    pub tile: Tile,
    /// Chunks of k that a block computes; all of them: k is not cut.
    pub chunks_per_part: u32,
}

pub(super) fn chunks(p: &GemmParams) -> u32 {
    p.k.div_ceil(K_CHUNK as u32)
}

impl Choice {
    fn parts(&self, p: &GemmParams) -> u32 {
        chunks(p).div_ceil(self.chunks_per_part).max(1)
    }

    /// Tiles of all products, one counter each if k is cut.
    fn places(&self, p: &GemmParams) -> u64 {
        self.tile.tiles(p) * p.products() as u64
    }

    /// Words of scratch memory: every chunk's totals.
    fn scratch(&self, p: &GemmParams) -> u64 {
        match self.parts(p) {
            1 => 0,
            _ => u64::from(chunks(p)) * self.places(p) * u64::from(self.tile.rows * self.tile.cols),
        }
    }

    /// Whether the chip can do it.
    fn possible(&self, p: &GemmParams, chip: &Chip) -> bool {
        let parted = self.parts(p) > 1;
        let fits = self.tile.shared(parted) <= chip.shared_per_block;
        fits && (!parted || self.places(p) <= ZEROS as u64 && self.scratch(p) <= MAX_SCRATCH)
    }

    /// Expected time in cycles of the chip, for comparison only. An estimate from instruction counts and
    /// published rates, not measured on a card: `benches/gemm_tiles.py` times every choice there, and what
    /// it finds to be fastest is what this should choose.
    fn cycles(&self, p: &GemmParams, chip: &Chip) -> u64 {
        let parts = self.parts(p);
        let multiprocessors = u64::from(chip.multiprocessors.max(1));
        let blocks = self.places(p) * u64::from(parts);
        let depth = u64::from(p.k.min(self.chunks_per_part * K_CHUNK as u32)).max(32);
        // A multiprocessor issues four instructions per cycle; one block alone hides less of its
        // latency.
        let issues = u64::from(self.tile.issues * (self.tile.threads / 32)) * depth / 4;
        let deepest = blocks.div_ceil(multiprocessors);
        let alone = if deepest == 1 { issues / 4 } else { 0 };
        let tail = match parts {
            1 => 0,
            // The totals written and read again.
            _ => 1500 + self.scratch(p) * 8 / (multiprocessors * 12),
        };
        deepest * issues + alone + tail + 1000
    }

    /// The launches.
    pub fn plan(&self, p: &GemmParams) -> Plan {
        let parts = self.parts(p);
        let products = p.products() as u32;
        let copies = copies(&p.a, p.a.row, p.a.col, &p.batch) | copies(&p.b, p.b.col, p.b.row, &p.batch) << 2;
        let blocks = self.tile.tiles(p) as u32;
        let step = Step::new(self.tile.function, 5, blocks)
            .shaped([blocks, parts, products.min(65535)], [self.tile.threads, 1, 1])
            .shared(self.tile.shared(parts > 1))
            .arg(Arg::Scratch(0))
            .arg(Arg::Zeros)
            .arg(Arg::Word(copies))
            .arg(Arg::Word(self.chunks_per_part));
        Plan::one(step).scratch(self.scratch(p) as usize)
    }
}

/// Scratch memory that cutting k may cost, in words.
pub(super) const MAX_SCRATCH: u64 = 1 << 25;

/// How an operand is copied to shared memory, given its strides along the output and along k:
/// the words of `kernels/gemm.cu`.
pub(super) fn copies(operand: &Operand, along: i32, k: i32, batch: &[u32; 4]) -> u32 {
    const LANES_ALONG_ROWS: u32 = 0;
    const LANES_ALONG_K: u32 = 1;
    const PIECES: u32 = 2;
    let products = batch.iter().zip(&operand.batch).all(|(&n, &stride)| n == 1 || stride % 4 == 0);
    if along == 1 && k % 4 == 0 && operand.offset.is_multiple_of(4) && products {
        PIECES
    } else if k.unsigned_abs() < along.unsigned_abs() {
        LANES_ALONG_K
    } else {
        LANES_ALONG_ROWS
    }
}

/// Whatever can compute a product on a chip. Not empty, if the product is not.
pub fn choices(p: &GemmParams, chip: &Chip) -> impl Iterator<Item = Choice> {
    let (p, chip, chunks) = (*p, *chip, chunks(p).max(1));
    TILES.into_iter().flat_map(move |tile| {
        let cuts = [chunks, 1, 2, 3, 4, 6, 8];
        let cuts = cuts.into_iter().enumerate().filter(move |&(i, cut)| i == 0 || cut < chunks);
        cuts.map(move |(_, chunks_per_part)| Choice { tile, chunks_per_part })
            .filter(move |choice| choice.possible(&p, &chip))
    })
}

/// The choice that should be fastest.
pub fn choose(p: &GemmParams, chip: &Chip) -> Choice {
    let fallback = Choice { tile: TILES[3], chunks_per_part: chunks(p).max(1) };
    choices(p, chip).min_by_key(|choice| choice.cycles(p, chip)).unwrap_or(fallback)
}

fn gemm(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: GemmParams = params(bytes);
    if p.products() == 0 || p.m == 0 || p.n == 0 {
        return Plan::nothing();
    }
    choose(&p, chip).plan(&p)
}

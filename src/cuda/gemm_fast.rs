//! Launches of `kernel::gemm` on tensor cores ([`Math::Fast`](crate::backend::Math),
//! [`Math::Bf16`](crate::backend::Math)).

use super::gemm::{MAX_SCRATCH, chunks, copies};
use super::plan::{Arg, Chip, Plan, Planner, Step, ZEROS};
use crate::kernel::gemm::*;
use crate::kernel::{Kernel, params};

/// The product with factors rounded to TF32.
pub static TF32: [(&Kernel, Planner); 1] = [(&GEMM, |bytes, _, chip| gemm(&TF32_TILES, bytes, chip))];
/// The product with factors rounded to bf16.
pub static BF16: [(&Kernel, Planner); 1] = [(&GEMM, |bytes, _, chip| gemm(&BF16_TILES, bytes, chip))];

/// A tile kernel; the numbers are those of its template.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// Its name in the kernel file.
    pub function: &'static str,
    /// The kernel file: `gemm_fast`, `gemm_wgmma`.
    pub module: &'static str,
    /// Rows of the output that a block computes.
    pub rows: u32,
    /// Columns of the output that a block computes.
    pub cols: u32,
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of shared memory.
    pub shared: u32,
    /// Cycles of a multiprocessor per element of k; an estimate, see `Choice::cycles`.
    pub cycles: u64,
    /// The word that says how the operands lie.
    pub word: fn(&GemmParams) -> u32,
}

/// Tile kernels of TF32, largest first.
pub static TF32_TILES: [Tile; 2] = [tile("gemm_tf32_128x128", 128, 26), tile("gemm_tf32_64x64", 64, 12)];
/// Tile kernels of bf16, largest first.
pub static BF16_TILES: [Tile; 2] = [tile("gemm_bf16_128x128", 128, 24), tile("gemm_bf16_64x64", 64, 12)];

const fn tile(function: &'static str, size: u32, cycles: u64) -> Tile {
    let shared = 4 * STAGES * STEP * 2 * (size + PAD);
    Tile { function, module: "gemm_fast", rows: size, cols: size, threads: 128, shared, cycles, word: both_copies }
}

/// Length of a step along k, how many lie in shared memory, and the padding of their rows.
const STEP: u32 = 16;
const STAGES: u32 = 4;
const PAD: u32 = 8;

fn both_copies(p: &GemmParams) -> u32 {
    copies(&p.a, p.a.row, p.a.col, &p.batch) | copies(&p.b, p.b.col, p.b.row, &p.batch) << 2
}

/// A tile, and the chunks of k that a block computes; all of them: k is not cut.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    tile: Tile,
    chunks_per_part: u32,
}

impl Choice {
    /// The function that it launches.
    pub fn function(&self) -> &'static str {
        self.tile.function
    }

    fn parts(&self, p: &GemmParams) -> u32 {
        chunks(p).div_ceil(self.chunks_per_part).max(1)
    }

    fn tiles(&self, p: &GemmParams) -> u64 {
        u64::from(p.m.div_ceil(self.tile.rows)) * u64::from(p.n.div_ceil(self.tile.cols))
    }

    fn places(&self, p: &GemmParams) -> u64 {
        self.tiles(p) * p.products() as u64
    }

    /// Words of scratch memory: every part's totals.
    fn scratch(&self, p: &GemmParams) -> u64 {
        match self.parts(p) {
            1 => 0,
            parts => u64::from(parts) * self.places(p) * u64::from(self.tile.rows * self.tile.cols),
        }
    }

    fn possible(&self, p: &GemmParams, chip: &Chip) -> bool {
        let parted = self.parts(p) > 1;
        self.tile.shared <= chip.shared_per_block
            && (!parted || self.places(p) <= ZEROS as u64 && self.scratch(p) <= MAX_SCRATCH)
    }

    /// Expected time in cycles of the chip, for comparison only. An estimate, not measured on a card:
    /// the larger of what tensor cores need at two thirds of the peak of capability 9.0 (1024 multiply-adds
    /// of TF32 per cycle, twice that of bf16), and shared memory (128 bytes per cycle) for fragments and
    /// copies. Operands lie there in f32, so that bf16 gains where tensor cores are slower (8.x).
    fn cycles(&self, p: &GemmParams, chip: &Chip) -> u64 {
        let parts = self.parts(p);
        let multiprocessors = u64::from(chip.multiprocessors.max(1));
        let depth = u64::from(p.k.min(self.chunks_per_part * K_CHUNK as u32)).max(32);
        let deepest = (self.places(p) * u64::from(parts)).div_ceil(multiprocessors);
        let work = self.tile.cycles * depth;
        // One block alone hides less of its latency.
        let alone = if deepest == 1 { work / 2 } else { 0 };
        let tail = if parts == 1 { 0 } else { 1500 + self.scratch(p) * 8 / (multiprocessors * 12) };
        deepest * work + alone + tail + 1000
    }

    /// The launches.
    pub fn plan(&self, p: &GemmParams) -> Plan {
        let blocks = self.tiles(p) as u32;
        let step = Step::new(self.tile.function, 5, blocks)
            .shaped([blocks, self.parts(p), (p.products() as u32).min(65535)], [self.tile.threads, 1, 1])
            .of(self.tile.module)
            .shared(self.tile.shared)
            .arg(Arg::Scratch(0))
            .arg(Arg::Zeros)
            .arg(Arg::Word((self.tile.word)(p)))
            .arg(Arg::Word(self.chunks_per_part));
        Plan::one(step).scratch(self.scratch(p) as usize)
    }
}

/// Whatever can compute a product on a chip. Not empty, if the product is not.
pub fn choices(
    tiles: impl IntoIterator<Item = &'static Tile>,
    p: &GemmParams,
    chip: &Chip,
) -> impl Iterator<Item = Choice> {
    let (p, chip, chunks) = (*p, *chip, chunks(p).max(1));
    tiles.into_iter().flat_map(move |&tile| {
        let cuts = [chunks, 1, 2, 3, 4, 6, 8];
        let cuts = cuts.into_iter().enumerate().filter(move |&(i, cut)| i == 0 || cut < chunks);
        cuts.map(move |(_, chunks_per_part)| Choice { tile, chunks_per_part })
            .filter(move |choice| choice.possible(&p, &chip))
    })
}

fn gemm(tiles: &'static [Tile; 2], bytes: &[u8], chip: &Chip) -> Plan {
    best(tiles, &tiles[1], bytes, chip)
}

/// The launches of the choice that should be fastest; `least` can compute everything.
pub(super) fn best(
    tiles: impl IntoIterator<Item = &'static Tile>,
    least: &'static Tile,
    bytes: &[u8],
    chip: &Chip,
) -> Plan {
    let p: GemmParams = params(bytes);
    if p.products() == 0 || p.m == 0 || p.n == 0 {
        return Plan::nothing();
    }
    let fallback = Choice { tile: *least, chunks_per_part: chunks(&p).max(1) };
    let choice = choices(tiles, &p, chip).min_by_key(|choice| choice.cycles(&p, chip)).unwrap_or(fallback);
    choice.plan(&p)
}

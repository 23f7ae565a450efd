//! Launches of `kernel::gemm` on warp groups' tensor cores, which capability 9.0 alone has: the larger
//! tiles of [`gemm_fast`](super::gemm_fast), for devices on which they have been checked (`warpgroup`).

use super::gemm_fast::{BF16_TILES as MMA_BF16, TF32_TILES as MMA_TF32, Tile, best};
use super::plan::Planner;
use crate::kernel::Kernel;
use crate::kernel::gemm::*;

/// The product with factors rounded to TF32.
pub static TF32: [(&Kernel, Planner); 1] =
    [(&GEMM, |bytes, _, chip| best(TF32_TILES.iter().chain(&MMA_TF32), &MMA_TF32[1], bytes, chip))];
/// The product with factors rounded to bf16.
pub static BF16: [(&Kernel, Planner); 1] =
    [(&GEMM, |bytes, _, chip| best(BF16_TILES.iter().chain(&MMA_BF16), &MMA_BF16[1], bytes, chip))];

/// Tile kernels of TF32, largest first. Their cycles are an estimate, as all: the larger of 1024 (bf16:
/// 2048) multiply-adds per cycle at two thirds of that peak, and shared memory, which operands are
/// written to once and read from by every warp group.
pub static TF32_TILES: [Tile; 2] = [tile("gemm_tf32_wgmma_128x128", 2, 24), tile("gemm_tf32_wgmma_64x128", 1, 13)];
/// Tile kernels of bf16, largest first.
pub static BF16_TILES: [Tile; 2] = [tile("gemm_bf16_wgmma_128x128", 2, 13), tile("gemm_bf16_wgmma_64x128", 1, 7)];

const COLS: u32 = 128;
/// Bytes of a row of a step.
const ROW: u32 = 128;
/// What a step starts at a multiple of, in bytes.
const PATTERN: u32 = 1024;

const fn tile(function: &'static str, groups: u32, cycles: u64) -> Tile {
    let rows = 64 * groups;
    let steps = 2 * (rows + COLS) * ROW;
    let totals = 4 * rows * (COLS + 4);
    let shared = PATTERN + if steps > totals { steps } else { totals };
    Tile { function, module: "gemm_wgmma", rows, cols: COLS, threads: 128 * groups, shared, cycles, word: layouts }
}

/// How the operands lie: a word of `kernels/gemm_wgmma.cu`.
fn layouts(p: &GemmParams) -> u32 {
    layout(&p.a, p.a.row, p.a.col, &p.batch) | layout(&p.b, p.b.col, p.b.row, &p.batch) << 2
}

fn layout(operand: &Operand, along: i32, k: i32, batch: &[u32; 4]) -> u32 {
    const ALONG_ROWS: u32 = 0;
    const ALONG_K_ONE_BY_ONE: u32 = 1;
    const ALONG_K_BY_FOUR: u32 = 2;
    let products = batch.iter().zip(&operand.batch).all(|(&n, &stride)| n == 1 || stride % 4 == 0);
    if k == 1 && along % 4 == 0 && operand.offset.is_multiple_of(4) && products {
        ALONG_K_BY_FOUR
    } else if k.unsigned_abs() < along.unsigned_abs() {
        ALONG_K_ONE_BY_ONE
    } else {
        ALONG_ROWS
    }
}

// What every kernel has in front of it: the block of words that a launch brings, views, loops.
//
// The assembler (`src/wgpu/shader.rs`) puts a kernel together: this file, the forms of `mul_add`,
// `quotient` and `root` that are exact on the adapter (`forms/`), `math/` and `rng.wgsl`, the family's
// file up to its first `//! entry`, and the section of one entry. It declares
// `block`, and for each buffer NAME of the entry `NAME_at(i)` and, if it is written, `NAME_set(i, value)`; of atomic
// words `NAME_add(i, value)` alone.
//
// Floating-point operators are exact: the assembler forbids contraction and regrouping in what the
// compiler gives to the driver. Where a sum starts from +0, write `zero()`: drivers drop the addition of
// a constant 0, which turns -0 into +0.

// Word 0 of the block is 0, which no compiler knows; then up to 15 words of the launch; from word 16 on
// the call's params.
const WORDS: u32 = 1;
const PARAMS: u32 = 16;

fn block_word(i: u32) -> u32 { return block[i / 4][i % 4]; }

// Word i of the launch.
fn word(i: u32) -> u32 { return block_word(WORDS + i); }

// Word i of the params.
fn param(i: u32) -> u32 { return block_word(PARAMS + i); }
fn param_f32(i: u32) -> f32 { return bitcast<f32>(param(i)); }

// +0, unknown to compilers.
fn zero() -> f32 { return bitcast<f32>(block_word(0)); }

// NaN by its bits: no compiler folds it.
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffff) > 0x7f800000; }

// The high word of a product, by halves.
fn mul_high(a: u32, b: u32) -> u32 {
    let al = a & 0xffff;
    let ah = a >> 16;
    let bl = b & 0xffff;
    let bh = b >> 16;
    let cross = ah * bl + ((al * bl) >> 16);
    let other = al * bh + (cross & 0xffff);
    return ah * bh + (cross >> 16) + (other >> 16);
}

// Threads of a workgroup where nothing speaks for another number.
const THREADS: u32 = 256;

// kernel::Layout at word `at` of the params: shape, strides, offset.
const LAYOUT: u32 = 13;

fn length(at: u32) -> u32 {
    var n = 1u;
    for (var d = 0u; d < 6; d++) {
        n *= param(at + d);
    }
    return n;
}

// Where element i of a contiguous view is.
fn flat(at: u32, i: u32) -> u32 { return param(at + 12) + i; }

// Where element i, in row-major order, of any view is. Strides may be negative: arithmetic wraps.
fn strided(at: u32, i: u32) -> u32 {
    var rest = i;
    var place = param(at + 12);
    for (var d = 6u; d > 0; d--) {
        let n = param(at + d - 1);
        // The same for all threads, so that axes of size 1 cost no division.
        if (n != 1) {
            let next = rest / n;
            place += (rest - next * n) * param(at + d + 5);
            rest = next;
        }
    }
    return place;
}

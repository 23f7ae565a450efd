//! Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, doi:10.1145/2063384.2063405).
//!
//! A draw is a pure function of its address; no generator has a state that could depend on threads,
//! on launch geometry or on what was drawn before.
//!
//! ```text
//! key     = [seed low, seed high]                      the run
//! counter = [block, part, step, stream]                one block = four 32-bit words
//! element i of a tensor = word i % 4 of block i / 4
//! ```
//!
//! `stream` says what the numbers are for (the constants in [`stream`]), so that switching one
//! component off never shifts another. `step` counts the component's uses (iterations, epochs).
//! `part` tells apart what draws in the same step: a layer, a chain, a replica. One (stream, step,
//! part) holds 2^34 words; element indices are 32-bit, as on a GPU.
//!
//! # Conversions
//! - uniform: `(w >> 8) * 2^-24`, in [0, 1), exact in binary32;
//! - normal: Box-Muller on the word pairs (0, 1) and (2, 3) of a block: `u = ((a >> 8) + 1) * 2^-24`,
//!   `r = sqrt(-2 ln u)`, angle `2 pi (b >> 8) * 2^-24`; the even word becomes `r cos`, the odd
//!   word `r sin`. The largest value is 5.77.
#![forbid(unsafe_code)]

mod host;
pub use host::Rng;

use crate::math::{ln, sincos_2pi};

/// What the numbers of a stream are for.
pub mod stream {
    /// First values of parameters.
    pub const INIT: u32 = 1;
    /// Split into training, validation and test cells.
    pub const SPLIT: u32 = 2;
    /// Order of cells in the generative term.
    pub const ORDER_X: u32 = 3;
    /// Order of labelled cells.
    pub const ORDER_LAB: u32 = 4;
    /// Dropout masks.
    pub const DROPOUT: u32 = 5;
    /// Noise of Langevin steps.
    pub const SGLD: u32 = 6;
    /// Replay buffer.
    pub const BUFFER: u32 = 7;
    /// Stochastic gate of the generative loss.
    pub const GATE: u32 = 8;
    /// VERA's generator.
    pub const VERA: u32 = 9;
    /// Simulated data.
    pub const SIMULATE: u32 = 10;
    /// Noise added to inputs.
    pub const AUGMENT: u32 = 11;
    /// Latent variables.
    pub const LATENT: u32 = 12;
    /// First centroids of clusterings.
    pub const CLUSTER: u32 = 13;
    /// Neighbour search.
    pub const NEIGHBORS: u32 = 14;
    /// Subsets of cells.
    pub const SUBSAMPLE: u32 = 15;
    /// Calibration.
    pub const CALIBRATE: u32 = 16;
    /// First subspace of PCA.
    pub const PCA: u32 = 17;
    /// Sweeps over settings.
    pub const SWEEP: u32 = 18;
    /// Bootstrap samples.
    pub const BOOTSTRAP: u32 = 19;
    /// Tests.
    pub const TEST: u32 = 20;
    /// First entries of a memory of logits.
    pub const MEMORY: u32 = 21;
    /// Seeds of restarts after divergence.
    pub const RESTART: u32 = 22;
    /// Cells drawn from trained models.
    pub const GENERATE: u32 = 23;
}

#[inline(always)]
fn mulhilo(a: u32, b: u32) -> (u32, u32) {
    let p = u64::from(a) * u64::from(b);
    ((p >> 32) as u32, p as u32)
}

/// Philox4x32 with ten rounds: four random words for a counter under a key.
#[inline(always)]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for round in 0..10 {
        if round > 0 {
            k0 = k0.wrapping_add(0x9E37_79B9);
            k1 = k1.wrapping_add(0xBB67_AE85);
        }
        let (h0, l0) = mulhilo(0xD251_1F53, c0);
        let (h1, l1) = mulhilo(0xCD9E_8D57, c2);
        (c0, c1, c2, c3) = (h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0);
    }
    [c0, c1, c2, c3]
}

/// A 24-bit uniform number in [0, 1), exact.
#[inline(always)]
pub fn uniform_from(word: u32) -> f32 {
    (word >> 8) as f32 * 5.960_464_5e-8
}

/// A 24-bit uniform number in (0, 1], exact.
#[inline(always)]
pub fn uniform_open0_from(word: u32) -> f32 {
    ((word >> 8) + 1) as f32 * 5.960_464_5e-8
}

/// A 53-bit uniform number in [0, 1) from two words, exact.
#[inline(always)]
pub fn uniform53_from(a: u32, b: u32) -> f64 {
    (f64::from(a >> 5) * 67_108_864.0 + f64::from(b >> 6)) / 9_007_199_254_740_992.0
}

/// Two independent standard normal numbers from two words (Box-Muller).
#[inline(always)]
pub fn normal_from(a: u32, b: u32) -> (f32, f32) {
    let r = (-2.0 * ln(uniform_open0_from(a))).sqrt();
    let (s, c) = sincos_2pi(b & 0xffff_ff00);
    (r * c, r * s)
}

/// The address of a tensor of random numbers; see the module's head for the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Seed of the run.
    pub seed: u64,
    /// What it is for, see [`mod@stream`].
    pub stream: u32,
    /// Iteration.
    pub step: u32,
    /// Which draw of the iteration.
    pub part: u32,
}

impl Stream {
    /// Step 0, part 0 of a stream.
    #[inline(always)]
    pub const fn new(seed: u64, stream: u32) -> Self {
        Stream { seed, stream, step: 0, part: 0 }
    }

    /// The same stream at another step.
    #[inline(always)]
    pub const fn at(self, step: u32) -> Self {
        Stream { step, ..self }
    }

    /// Another part of the same step.
    #[inline(always)]
    pub const fn part(self, part: u32) -> Self {
        Stream { part, ..self }
    }

    /// The seed as Philox takes it.
    #[inline(always)]
    pub const fn key(&self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }

    /// The four words of a block.
    #[inline(always)]
    pub fn words4(&self, block: u32) -> [u32; 4] {
        philox([block, self.part, self.step, self.stream], self.key())
    }

    /// Uniform numbers in [0, 1) for elements `4 block ..`.
    #[inline(always)]
    pub fn uniform4(&self, block: u32) -> [f32; 4] {
        self.words4(block).map(uniform_from)
    }

    /// Standard normal numbers for elements `4 block ..`.
    #[inline(always)]
    pub fn normal4(&self, block: u32) -> [f32; 4] {
        let [a, b, c, d] = self.words4(block);
        let (x, y) = normal_from(a, b);
        let (z, w) = normal_from(c, d);
        [x, y, z, w]
    }

    /// The word of element `i`.
    #[inline(always)]
    pub fn word(&self, i: u32) -> u32 {
        self.words4(i / 4)[(i % 4) as usize]
    }

    /// Uniform in [0, 1) for element `i`.
    #[inline(always)]
    pub fn uniform(&self, i: u32) -> f32 {
        uniform_from(self.word(i))
    }

    /// Uniform in (0, 1] for element `i`.
    #[inline(always)]
    pub fn uniform_open0(&self, i: u32) -> f32 {
        uniform_open0_from(self.word(i))
    }

    /// Standard normal for element `i`.
    #[inline(always)]
    pub fn normal(&self, i: u32) -> f32 {
        self.normal4(i / 4)[(i % 4) as usize]
    }

    /// A sequential reader of this stream's words, for host code.
    pub fn rng(self) -> Rng {
        Rng::new(self)
    }
}

#[cfg(test)]
mod tests;

//! Sequential random numbers for host code: the words of one [`Stream`] in order.

use super::Stream;

/// Reads the words of a stream one after the other. Cloning forks the position.
#[derive(Clone, Debug)]
pub struct Rng {
    stream: Stream,
    block: u32,
    words: [u32; 4],
    used: usize,
}

impl Rng {
    pub fn new(stream: Stream) -> Self {
        Rng { stream, block: 0, words: [0; 4], used: 4 }
    }

    /// The next 32-bit word. After 2^34 words the reader goes on in the next part.
    pub fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.words = self.stream.words4(self.block);
            self.block = self.block.wrapping_add(1);
            if self.block == 0 {
                self.stream.part = self.stream.part.wrapping_add(1);
            }
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// Uniform in [0, 1), 24 bits.
    pub fn uniform(&mut self) -> f32 {
        super::uniform_from(self.word())
    }

    /// Uniform in [0, 1), 53 bits of two words.
    pub fn uniform53(&mut self) -> f64 {
        let (a, b) = (self.word() >> 5, self.word() >> 6);
        (f64::from(a) * 67_108_864.0 + f64::from(b)) / 9_007_199_254_740_992.0
    }

    /// A whole number in `0..n` by multiply and shift: `floor(w n / 2^32)`. The chance of a value
    /// is off by less than n / 2^32 of itself. `n = 0` gives 0.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.word()) * u64::from(n)) >> 32) as u32
    }

    /// Shuffles in place (Fisher-Yates, from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(u32::try_from(i + 1).unwrap_or(u32::MAX)) as usize;
            items.swap(i, j);
        }
    }

    /// The numbers `0..n` in random order.
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        self.shuffle(&mut order);
        order
    }

    /// `min(k, n)` different numbers of `0..n`, in the order drawn.
    pub fn sample_without_replacement(&mut self, n: usize, k: usize) -> Vec<u32> {
        let k = k.min(n);
        let mut pool: Vec<u32> = (0..n as u32).collect();
        for i in 0..k {
            let j = i + self.below((n - i) as u32) as usize;
            pool.swap(i, j);
        }
        pool.truncate(k);
        pool
    }
}

//! Damage to a binary file that leaves everything else where it is.
//!
//! libFuzzer by itself likes to insert and to erase, after which no address of an HDF5 file is right
//! and the library gives up at the first block. Here numbers become others, and parts of a file are
//! copied over other parts.

/// Numbers at which readers go wrong.
const ODD: [u64; 14] =
    [0, 1, 2, 3, 8, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX];

/// A custom mutator of libFuzzer: changes the first `size` bytes of `data`, of which it may use `most`.
pub fn damage(data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    let mut random = Random(u64::from(seed) << 1 | 1);
    if size < 64 || random.below(16) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, most);
    }
    let bytes = &mut data[..size];
    for _ in 0..=random.below(3) {
        let width = 1 << random.below(4);
        let at = random.place(bytes) / width * width;
        let from = random.place(bytes);
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => put(bytes, at, width, ODD[random.below(ODD.len())]),
            3 => {
                let step = random.below(17) as u64;
                let old = take(bytes, at, width);
                put(bytes, at, width, old.wrapping_add(step).wrapping_sub(8));
            }
            4 => {
                let other = take(bytes, from / width * width, width);
                put(bytes, at, width, other);
            }
            _ => {
                let (at, from) = (at / 8 * 8, from / 8 * 8);
                let n = (8 << random.below(5)).min(size - at).min(size - from);
                bytes.copy_within(from..from + n, at);
            }
        }
    }
    if random.below(64) == 0 { size - random.below(size / 2) } else { size }
}

fn take(bytes: &[u8], at: usize, width: usize) -> u64 {
    bytes[at..].iter().take(width).rev().fold(0, |n, &b| n << 8 | u64::from(b))
}

fn put(bytes: &mut [u8], at: usize, width: usize, number: u64) {
    bytes[at..].iter_mut().zip(number.to_le_bytes()).take(width).for_each(|(byte, new)| *byte = new);
}

/// Xorshift: what is tried is up to libFuzzer's seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    /// Rather a byte that is not 0: much of a file is room that nobody uses.
    fn place(&mut self, bytes: &[u8]) -> usize {
        let mut at = self.below(bytes.len());
        for _ in 0..4 {
            if bytes[at] != 0 {
                break;
            }
            at = self.below(bytes.len());
        }
        at
    }
}

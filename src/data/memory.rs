//! How much memory a command may take, and what that means for a matrix.
//!
//! May use: `error`. A matrix is always read in blocks of rows; the limit decides how large they are,
//! and refuses what has to be in memory as a whole and does not fit. No result depends on it.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};

/// A block takes no more than this, whatever the limit.
const LARGEST_BLOCK: u64 = 64 << 20;
/// Blocks that fit into the limit: one being read, one waiting, one at work with copies, and the
/// rest of the program.
const SHARE: u64 = 16;

/// The limit that `--memory` sets; by default there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    limit: Option<u64>,
}

impl Memory {
    /// At most so many bytes.
    pub fn limited(bytes: u64) -> Memory {
        Memory { limit: Some(bytes) }
    }

    /// Bytes that a block of rows may take.
    pub fn block(&self) -> u64 {
        self.limit.map_or(LARGEST_BLOCK, |limit| (limit / SHARE).clamp(1, LARGEST_BLOCK))
    }

    /// Bytes that something beside the blocks may take: an eighth of the limit.
    pub fn share(&self) -> u64 {
        self.limit.map_or(u64::MAX, |limit| limit / 8)
    }

    /// Whether so many bytes may be taken at once.
    pub fn allows(&self, bytes: u64) -> bool {
        self.limit.is_none_or(|limit| bytes <= limit)
    }

    /// Fails if so many bytes are more than the limit. `what` needs them; `fix` is another way than
    /// a larger limit.
    ///
    /// # Errors
    /// `Error::Data` with both sizes.
    pub fn require(&self, bytes: u64, place: &str, what: &str, fix: &str) -> Result<()> {
        match self.limit {
            Some(limit) if bytes > limit => {
                let what = format!("{what} takes about {}, --memory allows {}", size(bytes), size(limit));
                Err(Error::data(
                    place,
                    what,
                    format!("give at least --memory {}, or {fix}", size(bytes).replace(' ', "")),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// A number of bytes for people, rounded up so that it can be given back.
pub fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{:.1} {}", (value * 10.0).ceil() / 10.0, units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_bounds_blocks_and_refuses_what_is_larger() {
        assert_eq!(Memory::default().block(), LARGEST_BLOCK);
        assert_eq!(Memory::limited(1 << 30).block(), 64 << 20);
        assert_eq!(Memory::limited(1 << 20).block(), 1 << 16);
        assert!(Memory::default().require(u64::MAX, "q.h5ad", "X", "wait").is_ok());
        let said = Memory::limited(1000).require(2049, "q.h5ad: X", "it", "run").unwrap_err().to_string();
        assert_eq!(
            said,
            "q.h5ad: X: it takes about 2.1 KiB, --memory allows 1000 B; give at least --memory 2.1KiB, or run"
        );
    }
}

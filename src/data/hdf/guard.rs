//! Blocks of an HDF5 file on which the HDF5 library would never end, known before it sees them.
//!
//! May use: nothing. The library checks sums and bounds of most blocks by itself; here stands only
//! what it does not check (HDF5 1.14.6 and 2.0.0).
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

/// What the bytes at an address are, from a file that may be shorter.
pub(super) type Bytes<'a> = &'a dyn Fn(u64, &mut [u8]);

/// What has been learnt of a file while it is read.
pub(super) struct Guard {
    /// Bytes of a length and of an address, as the superblock declares them.
    length_bytes: usize,
    address_bytes: usize,
    /// Where addresses count from: where the superblock stands.
    base: u64,
    /// Where names stand, and which group's they are; `None` for a file whose blocks may move.
    names: Option<BTreeMap<u64, u64>>,
}

const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
/// Signature and version of a collection of texts and lists ("global heap").
const HEAP: &[u8] = b"GCOL\x01";
/// Signature and version of the names of a group ("local heap").
const NAMES: &[u8] = b"HEAP\x00";
/// Bytes of a heap that are looked at together.
const WINDOW: usize = 1 << 16;

impl Guard {
    /// For a file that is read, or also written.
    pub(super) fn new(writable: bool) -> Guard {
        Guard { length_bytes: 8, address_bytes: 8, base: 0, names: (!writable).then(BTreeMap::new) }
    }

    /// Looks at what the library is about to get: `block`, which stands at `address`.
    ///
    /// # Errors
    /// What is wrong with the block, in one line.
    pub(super) fn check(&mut self, address: u64, block: &[u8], bytes: Bytes) -> Result<(), String> {
        if block.starts_with(SIGNATURE) {
            let mut head = [0; 16];
            bytes(address, &mut head);
            let (addresses, lengths) = if head[8] < 2 { (head[13], head[14]) } else { (head[9], head[10]) };
            if !matches!(lengths, 2 | 4 | 8) || !matches!(addresses, 2 | 4 | 8) {
                return Err(format!("the superblock declares addresses of {addresses} and lengths of {lengths} bytes"));
            }
            (self.address_bytes, self.length_bytes, self.base) = (addresses.into(), lengths.into(), address);
        }
        match block {
            _ if block.starts_with(HEAP) => self.check_heap(address, block, bytes),
            _ if block.starts_with(NAMES) => self.check_names(address, block, bytes),
            _ => Ok(()),
        }
    }

    /// The library follows the free blocks of a group's names from one to the next, which may lead in
    /// a circle (`H5HLcache.c`, `H5HL__fl_deserialize`), and keeps the names of two groups apart by nothing
    /// but where they stand.
    fn check_names(&mut self, address: u64, block: &[u8], bytes: Bytes) -> Result<(), String> {
        let damaged = || Err(format!("the names of the group at byte {address} are damaged"));
        let l = self.length_bytes;
        let Some(head) = block.get(8..8 + 2 * l + self.address_bytes) else { return damaged() };
        let (size, place) = (number(&head[..l]), number(&head[2 * l..]));
        if self.names.as_mut().is_some_and(|names| *names.entry(place).or_insert(address) != address) {
            return damaged();
        }
        let mut free = number(&head[l..2 * l]);
        // An offset that was met before is found by remembering one in ever longer turns (Brent 1980):
        // the size may be a lie.
        let (mut met, mut steps) = (free, 0u64);
        // What ends the list: 1, an offset at which nothing can stand. The library refuses those beyond.
        while free != 1 && free < size {
            let Some(at) = self.base.checked_add(place).and_then(|start| start.checked_add(free)) else {
                return damaged();
            };
            let mut next = [0; 8];
            bytes(at, &mut next[..l]);
            free = number(&next[..l]);
            if free == met {
                return damaged();
            }
            steps += 1;
            if steps.is_power_of_two() {
                met = free;
            }
        }
        Ok(())
    }

    /// The library goes from object to object by their sizes, which may be 0 (`H5HGcache.c`,
    /// `H5HG__cache_heap_deserialize`).
    fn check_heap(&self, address: u64, block: &[u8], bytes: Bytes) -> Result<(), String> {
        let damaged = || Err(format!("the global heap at byte {address} is damaged"));
        // Signature and object headers alike: eight bytes, a length, filled up to eight.
        let header = (8 + self.length_bytes).next_multiple_of(8) as u64;
        let length = |head: &[u8]| number(&head[8..8 + self.length_bytes]);
        let (mut window, mut start) = (block.to_vec(), 0u64);
        if block.len() < header as usize {
            return damaged();
        }
        let size = length(block);
        let mut at = header;
        while at.checked_add(header).is_some_and(|end| end <= size) {
            if at < start || at + header > start + window.len() as u64 {
                window.resize(WINDOW, 0);
                start = at;
                bytes(address.saturating_add(start), &mut window);
            }
            let head = &window[(at - start) as usize..][..header as usize];
            let own = length(head);
            let free = head[..2] == [0, 0];
            let step =
                if free { Some(own) } else { own.checked_next_multiple_of(8).and_then(|n| n.checked_add(header)) };
            match step.filter(|&n| n > 0).and_then(|n| at.checked_add(n)) {
                Some(next) if next <= size => at = next,
                _ => return damaged(),
            }
        }
        Ok(())
    }
}

/// Of bytes from the lowest to the highest.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap(size: u64, objects: &[(u16, u64)]) -> Vec<u8> {
        let mut bytes = b"GCOL\x01\0\0\0".to_vec();
        bytes.extend(size.to_le_bytes());
        for &(index, own) in objects {
            bytes.extend(index.to_le_bytes());
            bytes.extend([1, 0, 0, 0, 0, 0]);
            bytes.extend(own.to_le_bytes());
            let body = if index == 0 { own.saturating_sub(16) } else { own.next_multiple_of(8) };
            bytes.extend(vec![7; body.min(1 << 20) as usize]);
        }
        bytes
    }

    /// What the guard says of a file that is one heap, of which the library reads `n` bytes first.
    fn check(file: &[u8], n: usize) -> Result<(), String> {
        let bytes = |at: u64, into: &mut [u8]| {
            into.fill(0);
            let rest = &file[file.len().min(at as usize)..];
            let n = into.len().min(rest.len());
            into[..n].copy_from_slice(&rest[..n]);
        };
        Guard::new(false).check(0, &file[..n.min(file.len())], &bytes)
    }

    #[test]
    fn a_good_heap_passes_whole_or_in_parts() {
        let small = heap(4096, &[(1, 5), (2, 0), (3, 100), (0, 4096 - 16 - 24 - 16 - 120)]);
        assert_eq!((small.len(), check(&small, 4096)), (4096, Ok(())));
        let many: Vec<(u16, u64)> = (1..=9999).map(|i| (i, u64::from(i % 90))).collect();
        let mut large = heap(0, &many);
        large.extend([0; 8]); // too little for another header
        let size = large.len() as u64;
        large[8..16].copy_from_slice(&size.to_le_bytes());
        assert!(size > 3 * WINDOW as u64);
        assert_eq!(check(&large, 4096), Ok(()));
    }

    #[test]
    fn a_heap_that_does_not_go_on_or_runs_over_is_refused() {
        let damaged = Err("the global heap at byte 0 is damaged".to_owned());
        for objects in [
            vec![(1, 5), (0, 0)],
            vec![(1, u64::MAX)],
            vec![(1, u64::MAX - 7)],
            vec![(1, u64::MAX - 31)],
            vec![(1, 5000)],
            vec![(0, 5000)],
        ] {
            assert_eq!(check(&heap(4096, &objects), 4096), damaged, "{objects:?}");
        }
        let mut late = heap(1 << 18, &[(1, 1 << 17), (0, 0)]);
        late.resize(1 << 18, 0);
        assert_eq!(check(&late, 4096), damaged);
        assert_eq!(check(&heap(4096, &[])[..12], 12), damaged);
    }

    #[test]
    fn two_groups_do_not_share_their_names() {
        let prefix = |place: u64| {
            let mut file = [NAMES, &[0; 3]].concat();
            [64, 1, place].iter().for_each(|v: &u64| file.extend(v.to_le_bytes()));
            file
        };
        let nothing = |_: u64, into: &mut [u8]| into.fill(0);
        let shared = |writable: bool| {
            let mut guard = Guard::new(writable);
            let mut check = |at: u64, place: u64| guard.check(at, &prefix(place), &nothing);
            assert_eq!((check(100, 132), check(500, 532), check(100, 132)), (Ok(()), Ok(()), Ok(())));
            check(900, 132)
        };
        assert_eq!(shared(false), Err("the names of the group at byte 900 are damaged".into()));
        // In a file that is written names move, and others take their place.
        assert_eq!(shared(true), Ok(()));
    }

    #[test]
    fn free_names_that_lead_in_a_circle_are_refused() {
        let circle = Err("the names of the group at byte 0 are damaged".to_owned());
        // A prefix whose names begin at byte 32, with free blocks that name their next.
        let declaring = |size: u64, free: u64, links: &[(u64, u64)]| {
            let mut file = [NAMES, &[0; 3]].concat();
            [size, free, 32].iter().for_each(|v: &u64| file.extend(v.to_le_bytes()));
            file.resize(96, 0);
            for &(at, next) in links {
                file[32 + at as usize..][..8].copy_from_slice(&next.to_le_bytes());
            }
            file
        };
        let file = |free, links: &[(u64, u64)]| declaring(64, free, links);
        assert_eq!(check(&file(1, &[]), 96), Ok(()));
        assert_eq!(check(&file(8, &[(8, 40), (40, 1)]), 32), Ok(()));
        for (free, links) in [(8, vec![(8, 8)]), (0, vec![]), (8, vec![(8, 40), (40, 8)])] {
            assert_eq!(check(&file(free, &links), 32), circle, "{links:?}");
            assert_eq!(check(&declaring(u64::MAX, free, &links), 32), circle, "{links:?}");
        }
        assert_eq!(check(&file(8, &[])[..31], 31), circle);
    }

    #[test]
    fn the_superblock_says_how_long_lengths_are() {
        let mut guard = Guard::new(false);
        let mut file = SIGNATURE.to_vec();
        file.extend([0, 0, 0, 0, 0, 8, 3, 0, 0]);
        let bytes = |file: &[u8], into: &mut [u8]| into.copy_from_slice(&file[..into.len()]);
        assert!(guard.check(0, &file[..9], &|_, into| bytes(&file, into)).unwrap_err().contains("3 bytes"));
        assert_eq!(guard.length_bytes, 8); // what is refused is not remembered
        file[14] = 4;
        guard.check(0, &file[..9], &|_, into| bytes(&file, into)).unwrap();
        assert_eq!(guard.length_bytes, 4);
    }
}

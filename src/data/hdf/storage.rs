//! How a dataset is stored, looked at before the HDF5 library unpacks it: what a damaged file may say of
//! its chunks sends that library astray.
//!
//! May use: `super`, the HDF5 library.

use super::{DAMAGED, MOST_BYTES_OF_ONE, Place, chunks};
use crate::error::Result;
use hdf5::Dataset;
use hdf5::filters::Filter;

/// No chunk of a small file is larger.
const LARGE: u64 = 64 << 20;

impl Place {
    /// Fails if the dataset is packed in a way that is not built in, naming it, or in chunks of other
    /// axes than its own, with which the library goes astray.
    pub(crate) fn check_storage(&self, dataset: &Dataset) -> Result<()> {
        let damaged = |e| self.unreadable(&dataset.name(), e);
        if self.checked.lock().is_ok_and(|checked| checked.contains(&dataset.name())) {
            return Ok(());
        }
        let length = std::fs::metadata(&self.path).map_or(u64::MAX, |m| m.len());
        let storage = dataset.dcpl().map_err(damaged)?;
        let chunk = storage.get_chunk().map_err(damaged)?;
        let each = dataset.dtype().map_or(1, |d| d.size()) as u64;
        let of_chunk = |shape: &[usize]| shape.iter().try_fold(each, |bytes, &n| bytes.checked_mul(n as u64));
        let most = length.saturating_mul(MOST_BYTES_OF_ONE).max(LARGE);
        if let Some(chunk) = chunk.filter(|c| c.len() != dataset.ndim() || of_chunk(c).is_none_or(|n| n > most)) {
            let what = format!("stored in chunks of shape {chunk:?}, the array's shape is {:?}", dataset.shape());
            return Err(self.wrong(&dataset.name(), what, DAMAGED));
        }
        let filters = storage.get_filters().map_err(damaged)?;
        let what = match fewest_bytes(&filters) {
            None => "is packed in an order that nobody writes",
            // The library makes room for whatever the index says.
            Some(fewest) if !filters.is_empty() && !chunks::all_within(dataset, fewest as u64..=length) => {
                "has a packed chunk of hardly any bytes, or of more than the file"
            }
            Some(_) => "",
        };
        if !what.is_empty() {
            return Err(self.wrong(&dataset.name(), what, DAMAGED));
        }
        for filter in filters {
            // Without parameters, which a damaged file may lack, the library's n-bit packing reads anywhere.
            if !filter.is_available() || filter == Filter::NBit {
                return Err(self.wrong(
                    &dataset.name(),
                    format!("compressed with {}, which is not built in", filter_name(filter.id())),
                    "write the file again with compression=\"gzip\" or \"lzf\"",
                ));
            }
        }
        // A lock that somebody left in a panic only means to look again.
        if let Ok(mut checked) = self.checked.lock() {
            checked.insert(dataset.name());
        }
        Ok(())
    }
}

/// The fewest bytes that a chunk can have for these filters, of which the last is undone first: the
/// library takes a sum off fewer than its four bytes, and unpacks nothing (LZF) for ever. `None` for an
/// order in which these would come after other packing, which hides how many bytes they get.
fn fewest_bytes(filters: &[Filter]) -> Option<usize> {
    let (mut fewest, mut packed) = (0, false);
    for filter in filters.iter().rev() {
        match filter {
            Filter::Fletcher32 | Filter::LZF if packed => return None,
            Filter::Fletcher32 => fewest += 4,
            Filter::LZF => (fewest, packed) = (fewest + 1, true),
            Filter::Shuffle | Filter::NBit => {}
            _ => packed = true,
        }
    }
    Some(fewest)
}

fn filter_name(id: i32) -> String {
    let name = match id {
        1 => "gzip",
        4 => "szip",
        5 => "n-bit",
        307 => "bzip2",
        32000 => "lzf",
        32001 => "blosc",
        32004 => "lz4",
        32008 => "bitshuffle",
        32013 => "zfp",
        32015 => "zstd",
        32026 => "blosc2",
        _ => return format!("HDF5 filter {id}"),
    };
    format!("{name} (HDF5 filter {id})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_lzf_need_bytes_and_come_first() {
        let lzf = [Filter::Shuffle, Filter::LZF];
        assert_eq!(fewest_bytes(&[Filter::Shuffle, Filter::Deflate(4)]), Some(0));
        assert_eq!(
            (fewest_bytes(&[]), fewest_bytes(&lzf), fewest_bytes(&[Filter::Fletcher32])),
            (Some(0), Some(1), Some(4))
        );
        assert_eq!(fewest_bytes(&[Filter::Deflate(4), Filter::Fletcher32]), Some(4));
        assert_eq!(fewest_bytes(&[Filter::LZF, Filter::Fletcher32]), Some(5));
        for hidden in [[Filter::Fletcher32, Filter::Deflate(4)], [Filter::LZF, Filter::Deflate(4)]] {
            assert_eq!(fewest_bytes(&hidden), None);
        }
    }
}

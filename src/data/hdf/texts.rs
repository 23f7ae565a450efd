//! Texts of any length in an HDF5 file, read around the library.
//!
//! May use: the HDF5 library. An element of such an array says how long its text is and where in a
//! "global heap" it stands. HDF5 1.14 makes room for whatever length an element declares, up to
//! 4 GiB for each, and copies whatever length the heap declares into it (`H5T__conv_vlen`,
//! `H5VL__native_blob_get`), so a damaged file takes all memory or overwrites it. Here the library
//! only hands over the elements as they are in the file, and the heaps are read from there.
#![allow(unsafe_code)]

use super::MOST_BYTES_OF_ONE;
use hdf5::{Container, File};
use hdf5_sys::h5::herr_t;
use hdf5_sys::h5a::H5Aread;
use hdf5_sys::h5d::{H5D_layout_t, H5Dget_create_plist, H5Dread};
use hdf5_sys::h5i::{H5I_type_t, H5Iget_type, hid_t};
use hdf5_sys::h5p::{H5P_DEFAULT, H5Pclose, H5Pget_layout};
use hdf5_sys::h5s::H5S_ALL;
use hdf5_sys::h5t::{
    H5T_VARIABLE, H5T_bkg_t, H5T_cdata_t, H5T_class_t, H5T_pers_t, H5Tclose, H5Tcopy, H5Tcreate, H5Tregister,
    H5Tset_size,
};
use std::collections::HashMap;
use std::ffi::c_void;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
/// Bytes of an element: length, address, index.
pub(crate) const ELEMENT: usize = 16;

/// All texts of an array; `None` where only the library can read it.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn read(node: &Container) -> Result<Option<Vec<String>>, String> {
    let Some(heaps) = Heaps::of(node) else { return Ok(None) };
    let n = node.size();
    let limit = heaps.length.saturating_mul(MOST_BYTES_OF_ONE).max(1 << 20);
    if n.checked_mul(ELEMENT).is_none_or(|bytes| bytes as u64 > limit) {
        return Err(format!("{n} texts in a file of {} bytes", heaps.length));
    }
    elements(node, n)?.map(|elements| texts(heaps, &elements)).transpose()
}

/// Whether the library hands over elements as they are in this file, as opaque values of [`ELEMENT`]
/// bytes, and [`of_elements`] can read them.
pub(crate) fn apart(node: &Container) -> bool {
    registered() && Heaps::of(node).is_some()
}

/// The texts of elements that were read as they are in the file.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn of_elements(node: &Container, elements: &[u8]) -> Result<Vec<String>, String> {
    let heaps = Heaps::of(node).ok_or("the file cannot be read again")?;
    texts(heaps, elements)
}

fn texts(mut heaps: Heaps, elements: &[u8]) -> Result<Vec<String>, String> {
    let mut total = 0u64;
    let mut texts = Vec::with_capacity(elements.len() / ELEMENT);
    for element in elements.chunks_exact(ELEMENT) {
        let length = number(&element[..4]);
        let address = number(&element[4..12]);
        total += length;
        if total > heaps.length {
            return Err(format!("a text of {length} bytes in a file of {}", heaps.length));
        }
        if length == 0 || address == 0 || address == u64::MAX {
            texts.push(String::new());
            continue;
        }
        let text = heaps.text(address, number(&element[12..]), length)?;
        let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
        texts.push(String::from_utf8_lossy(&text[..end]).into_owned());
    }
    Ok(texts)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
}

/// A part of a file with texts, and which of them is where in it.
struct Heap {
    bytes: Vec<u8>,
    /// Index, first byte, number of bytes; by index.
    objects: Vec<(u64, usize, usize)>,
}

/// The heaps of a file that were met.
struct Heaps {
    file: std::fs::File,
    length: u64,
    /// Where addresses count from.
    base: u64,
    met: HashMap<u64, Heap>,
    /// Bytes of them.
    total: u64,
}

impl Heaps {
    /// `None` unless the file is read only, and its addresses and lengths have eight bytes.
    fn of(node: &Container) -> Option<Heaps> {
        let library: File = node.file().ok()?;
        if !library.is_read_only() {
            return None; // the library may have texts that are not yet in the file
        }
        let file = std::fs::File::open(node.filename()).ok()?;
        let length = file.metadata().ok()?.len();
        let mut head = [0u8; 16];
        file.read_exact_at(&mut head, 0).ok()?;
        let mut base = 0;
        if !head.starts_with(SIGNATURE) {
            base = library.userblock();
            file.read_exact_at(&mut head, base).ok()?;
        }
        let (addresses, lengths) = if head[8] < 2 { (head[13], head[14]) } else { (head[9], head[10]) };
        let known = head.starts_with(SIGNATURE) && (addresses, lengths) == (8, 8);
        known.then(|| Heaps { file, length, base, met: HashMap::new(), total: 0 })
    }

    /// The object `index` of the heap at `address`, which must have `length` bytes.
    fn text(&mut self, address: u64, index: u64, length: u64) -> Result<&[u8], String> {
        if !self.met.contains_key(&address) {
            let heap = self.heap(address).ok_or_else(|| format!("the global heap at byte {address} is damaged"))?;
            self.met.insert(address, heap);
        }
        let heap = &self.met[&address];
        let found = heap.objects.binary_search_by_key(&index, |object| object.0).ok().map(|i| heap.objects[i]);
        match found.filter(|object| object.2 as u64 == length) {
            Some((_, start, n)) => Ok(&heap.bytes[start..start + n]),
            None => Err(format!("text {index} in the global heap at byte {address} does not have {length} bytes")),
        }
    }

    fn heap(&mut self, address: u64) -> Option<Heap> {
        let at = self.base.checked_add(address)?;
        let mut head = [0u8; 16];
        self.file.read_exact_at(&mut head, at).ok()?;
        let size = number(&head[8..]);
        self.total = self.total.checked_add(size)?; // heaps do not overlap
        if !head.starts_with(b"GCOL\x01") || at.checked_add(size)? > self.length || self.total > self.length {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(size).ok()?];
        self.file.read_exact_at(&mut bytes, at).ok()?;
        let mut objects = Vec::new();
        let mut from = 16usize;
        while let Some(head) = bytes.get(from..from.checked_add(16)?) {
            let (index, own) = (number(&head[..2]), usize::try_from(number(&head[8..])).ok()?);
            // The free space counts its own header, and is last.
            let next = if index == 0 { from.checked_add(own)? } else { (from + 16).checked_add(own)? };
            if own == 0 && index == 0 || next > bytes.len() {
                return None;
            }
            if index > 0 {
                objects.push((index, from + 16, own));
            }
            from = next.checked_next_multiple_of(8)?;
        }
        objects.sort_unstable();
        Some(Heap { bytes, objects })
    }
}

/// The elements as they are in the file; `None` if the library cannot hand them over.
///
/// # Errors
/// What the library said. It must not be asked for the same again in another way: after a block that
/// could not be read it takes what its buffer happens to hold (HDF5 1.14, `H5D__contig_readvv`).
fn elements(node: &Container, n: usize) -> Result<Option<Vec<u8>>, String> {
    if !registered() {
        return Ok(None);
    }
    let mut bytes = vec![0u8; n * ELEMENT];
    let id = node.id();
    // SAFETY: handles that the library gave, under its lock. What is read are `n` opaque elements
    // of `ELEMENT` bytes each, for which `bytes` has room; with addresses of eight bytes that is
    // what an element has in the file.
    let read = hdf5::sync::sync(|| unsafe {
        let opaque = H5Tcreate(H5T_class_t::H5T_OPAQUE, ELEMENT);
        let code = if H5Iget_type(id) == H5I_type_t::H5I_ATTR {
            Some(H5Aread(id, opaque, bytes.as_mut_ptr().cast()))
        } else {
            let list = H5Dget_create_plist(id);
            let layout = H5Pget_layout(list);
            H5Pclose(list);
            // The parts of a virtual array point into other files.
            (layout != H5D_layout_t::H5D_VIRTUAL)
                .then(|| H5Dread(id, opaque, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.as_mut_ptr().cast()))
        };
        let read = code.map(hdf5::h5check).transpose();
        H5Tclose(opaque);
        read
    });
    read.map(|done| done.map(|_| bytes)).map_err(|error| error.to_string())
}

/// Tells the library, once, how to make opaque elements of texts: it does not know.
fn registered() -> bool {
    static DONE: OnceLock<bool> = OnceLock::new();
    *DONE.get_or_init(|| {
        // SAFETY: types that the library gave, under its lock; the name is static.
        let code = hdf5::sync::sync(|| unsafe {
            let text = H5Tcopy(*hdf5::globals::H5T_C_S1);
            H5Tset_size(text, H5T_VARIABLE);
            let opaque = H5Tcreate(H5T_class_t::H5T_OPAQUE, ELEMENT);
            let code = H5Tregister(H5T_pers_t::H5T_PERS_SOFT, c"texts".as_ptr(), text, opaque, Some(as_they_are));
            H5Tclose(opaque);
            H5Tclose(text);
            code
        });
        code >= 0
    })
}

/// An `H5T_conv_t`: leaves the elements alone.
extern "C" fn as_they_are(
    _from: hid_t,
    _to: hid_t,
    data: *mut H5T_cdata_t,
    _n: usize,
    _stride: usize,
    _background_stride: usize,
    _elements: *mut c_void,
    _background: *mut c_void,
    _list: hid_t,
) -> herr_t {
    // SAFETY: the library gives its own record of the conversion.
    if let Some(data) = unsafe { data.as_mut() } {
        data.need_bkg = H5T_bkg_t::H5T_BKG_NO;
    }
    0
}

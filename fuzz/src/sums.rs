//! Sums of HDF5's newer blocks: with `forged-sums` they all count as right.
//!
//! Otherwise nothing but the sum would ever be found wrong with a damaged block, which an evil file
//! would have mended.

use std::ffi::c_void;

unsafe extern "C" {
    fn __real_H5_checksum_metadata(bytes: *const c_void, n: usize, start: u32) -> u32;
}

/// `H5_checksum_metadata` of the library: the sum that stands behind the `n` bytes.
///
/// # Safety
/// The library asks for the sum of a block that it has read, which ends in its sum. (Direct blocks of
/// fractal heaps, `FHDB`, have it inside and end with the bytes.)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_H5_checksum_metadata(bytes: *const c_void, n: usize, start: u32) -> u32 {
    // SAFETY: by contract of the caller.
    unsafe {
        let block = std::slice::from_raw_parts(bytes.cast::<u8>(), n);
        if block.starts_with(b"FHDB") {
            return __real_H5_checksum_metadata(bytes, n, start);
        }
        u32::from_le(bytes.cast::<u8>().add(n).cast::<u32>().read_unaligned())
    }
}

/// Makes the linker keep the function.
pub fn count_as_right() {
    std::hint::black_box(__wrap_H5_checksum_metadata as *const () as usize);
}

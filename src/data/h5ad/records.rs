//! Arrays of records (compound types), whose fields are known only when the file is open.
//!
//! The HDF5 crate reads compound types that Rust knows at compile time; here the library is asked
//! for the records' bytes, which are then taken apart by the file's own description.
#![allow(unsafe_code)]

use crate::data::hdf::Place;
use crate::data::table::Column;
use crate::error::Result;
use hdf5::types::{CompoundField, FloatSize, IntSize, TypeDescriptor};
use hdf5::{Dataset, Datatype};
use hdf5_sys::h5d::H5Dread;
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::H5S_ALL;
use std::ffi::{CStr, c_char, c_void};

unsafe extern "C" {
    fn free(pointer: *mut c_void);
}

/// One field of all records.
pub(super) struct Field {
    pub(super) name: String,
    /// Values per record; more than one in an array field.
    pub(super) width: usize,
    pub(super) column: Column,
}

/// Reads all fields of a one-dimensional array of records; `None` if a field has a type that no
/// column can hold.
pub(super) fn read(place: &Place, dataset: &Dataset) -> Result<Option<Vec<Field>>> {
    place.check_size::<u8>(dataset)?;
    place.check_filters(dataset)?;
    let unreadable = |e| place.unreadable(&dataset.name(), e);
    let described = dataset.dtype().and_then(|d| d.to_descriptor());
    let Ok(TypeDescriptor::Compound(record)) = described else { return Ok(None) };
    if dataset.ndim() != 1 || record.size == 0 {
        return Ok(None);
    }
    let (n, size) = (dataset.size(), record.size);
    let kind = TypeDescriptor::Compound(record.clone());
    let memory = Datatype::from_descriptor(&kind).map_err(unreadable)?;
    if memory.size() != size {
        return Ok(None);
    }
    let mut bytes = vec![0u8; n * size];
    // SAFETY: `memory` describes records of `size` bytes (checked above), all `n` elements of the
    // dataset are asked for, and `bytes` has room for `n * size`. The library is called under its
    // lock.
    let code = hdf5::sync::sync(|| unsafe {
        H5Dread(dataset.id(), memory.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.as_mut_ptr().cast())
    });
    if code < 0 {
        return Err(place.unreadable(&dataset.name(), "the records cannot be read".into()));
    }
    let fields = record.fields.iter().map(|field| take(field, &bytes, size, n)).collect();
    Ok(fields)
}

fn take(field: &CompoundField, bytes: &[u8], size: usize, n: usize) -> Option<Field> {
    let (kind, width) = match &field.ty {
        TypeDescriptor::FixedArray(kind, width) => (kind.as_ref(), *width),
        kind => (kind, 1),
    };
    let each = kind.size();
    let parts = (0..n).flat_map(|row| {
        let start = row * size + field.offset;
        (0..width).map(move |i| &bytes[start + i * each..start + (i + 1) * each])
    });
    macro_rules! numbers {
        ($kind:ty, $to:ty) => {
            parts.map(|b| <$kind>::from_ne_bytes(b.try_into().unwrap_or_default()) as $to).collect()
        };
    }
    let column = match kind {
        TypeDescriptor::Integer(IntSize::U1) => Column::Int(numbers!(i8, i64)),
        TypeDescriptor::Integer(IntSize::U2) => Column::Int(numbers!(i16, i64)),
        TypeDescriptor::Integer(IntSize::U4) => Column::Int(numbers!(i32, i64)),
        TypeDescriptor::Integer(IntSize::U8) => Column::Int(numbers!(i64, i64)),
        TypeDescriptor::Unsigned(IntSize::U1) => Column::Int(numbers!(u8, i64)),
        TypeDescriptor::Unsigned(IntSize::U2) => Column::Int(numbers!(u16, i64)),
        TypeDescriptor::Unsigned(IntSize::U4) => Column::Int(numbers!(u32, i64)),
        TypeDescriptor::Unsigned(IntSize::U8) => Column::Int(numbers!(u64, i64)),
        TypeDescriptor::Float(FloatSize::U4) => Column::Float32(numbers!(f32, f32)),
        TypeDescriptor::Float(FloatSize::U8) => Column::Float(numbers!(f64, f64)),
        TypeDescriptor::Boolean => Column::Bool(parts.map(|b| b[0] != 0).collect()),
        TypeDescriptor::FixedAscii(_) | TypeDescriptor::FixedUnicode(_) => Column::Str(parts.map(padded).collect()),
        TypeDescriptor::VarLenAscii | TypeDescriptor::VarLenUnicode => Column::Str(parts.map(pointed).collect()),
        _ => return None,
    };
    Some(Field { name: field.name.clone(), width, column })
}

/// A text that is filled up with NUL.
fn padded(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A text that the library allocated.
fn pointed(bytes: &[u8]) -> String {
    let address = usize::from_ne_bytes(bytes.try_into().unwrap_or_default());
    if address == 0 {
        return String::new();
    }
    // SAFETY: the bytes are the pointer that H5Dread wrote for a variable-length text: a
    // NUL-terminated string.
    let text = unsafe { CStr::from_ptr(address as *const c_char) }.to_string_lossy().into_owned();
    // SAFETY: with default transfer properties the library takes such memory from malloc and leaves
    // it to the caller; every record is looked at once, so it is freed once.
    unsafe { free(address as *mut c_void) };
    text
}

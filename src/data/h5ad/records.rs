//! Arrays of records (compound types), whose fields are known only when the file is open.
//!
//! The HDF5 crate reads compound types that Rust knows at compile time; here the library is asked
//! for the records' bytes, which are then taken apart by the file's own description.
#![allow(unsafe_code)]

use crate::data::hdf::texts::{self, ELEMENT};
use crate::data::hdf::{Place, sound};
use crate::data::table::Column;
use crate::error::{Error, Result};
use hdf5::types::{CompoundType, FloatSize, IntSize, TypeDescriptor};
use hdf5::{Dataset, Datatype};
use hdf5_sys::h5d::H5Dread;
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::H5S_ALL;
use hdf5_sys::h5t::{H5T_class_t, H5Tclose, H5Tcreate, H5Tinsert};
use std::ffi::CString;

/// Bytes of a record; what declares more is damaged.
const LONGEST: usize = 1 << 20;

/// One field of all records.
pub(super) struct Field {
    pub(super) name: String,
    /// Values per record; more than one in an array field.
    pub(super) width: usize,
    pub(super) column: Column,
}

/// A field where it lies in the records that are read.
struct Part<'a> {
    name: &'a str,
    kind: &'a TypeDescriptor,
    offset: usize,
    /// Bytes of one of its values.
    each: usize,
    width: usize,
}

/// Reads all fields of a one-dimensional array of records; `None` if a field has a type that no
/// column can hold, or texts of any length that cannot be read around the library.
pub(super) fn read(place: &Place, dataset: &Dataset) -> Result<Option<Vec<Field>>> {
    place.check_size::<u8>(dataset)?;
    place.check_storage(dataset)?;
    let described = dataset.dtype().and_then(|d| d.to_descriptor());
    let Ok(TypeDescriptor::Compound(record)) = described else { return Ok(None) };
    let Some((parts, size)) = layout(&record).filter(|(_, size)| dataset.ndim() == 1 && *size > 0) else {
        return Ok(None);
    };
    if parts.iter().any(|part| is_text(part.kind)) && !texts::apart(dataset) {
        return Ok(None);
    }
    let n = dataset.size();
    let bytes = bytes(dataset, &parts, n, size).map_err(|e| place.unreadable(&dataset.name(), e))?;
    let fields = parts.iter().map(|part| take(part, dataset, &bytes, size));
    let fields: std::result::Result<Vec<Field>, String> = fields.collect();
    fields.map(Some).map_err(|what| -> Error { place.unreadable(&dataset.name(), what.into()) })
}

fn is_text(kind: &TypeDescriptor) -> bool {
    matches!(kind, TypeDescriptor::VarLenAscii | TypeDescriptor::VarLenUnicode)
}

/// The fields one after the other, and the bytes of a record.
fn layout(record: &CompoundType) -> Option<(Vec<Part<'_>>, usize)> {
    use TypeDescriptor::*;
    let mut size = 0;
    let mut parts = Vec::with_capacity(record.fields.len());
    for field in &record.fields {
        let (kind, width) = match &field.ty {
            FixedArray(kind, width) => (kind.as_ref(), *width),
            kind => (kind, 1),
        };
        let each = match kind {
            Integer(_) | Unsigned(_) | Float(FloatSize::U4 | FloatSize::U8) | Boolean => kind.size(),
            FixedAscii(n) | FixedUnicode(n) => *n,
            // In an array they would have to be one of opaque values.
            VarLenAscii | VarLenUnicode if matches!(field.ty, VarLenAscii | VarLenUnicode) => ELEMENT,
            _ => return None,
        };
        parts.push(Part { name: &field.name, kind, offset: size, each, width });
        let bytes = each.checked_mul(width).filter(|&bytes| bytes > 0)?;
        size = size.checked_add(bytes).filter(|&size| size <= LONGEST)?;
    }
    Some((parts, size))
}

/// The records' bytes as [`layout`] has them.
fn bytes(dataset: &Dataset, parts: &[Part], n: usize, size: usize) -> hdf5::Result<Vec<u8>> {
    let mut bytes = vec![0u8; n.checked_mul(size).ok_or("too many records")?];
    // SAFETY: types that the library gave, under its lock, and names that end in zero. The record type
    // has `size` bytes with every part inside, all `n` elements of the dataset are asked for, and
    // `bytes` has room for `n * size`.
    hdf5::sync::sync(|| unsafe {
        let memory = hdf5::h5check(H5Tcreate(H5T_class_t::H5T_COMPOUND, size))?;
        let inserted = parts.iter().try_for_each(|part| {
            let name = CString::new(part.name).map_err(|_| "a zero byte in a field's name")?;
            if is_text(part.kind) {
                let opaque = hdf5::h5check(H5Tcreate(H5T_class_t::H5T_OPAQUE, ELEMENT))?;
                let code = H5Tinsert(memory, name.as_ptr(), part.offset, opaque);
                H5Tclose(opaque);
                return hdf5::h5check(code).map(drop);
            }
            let kind = match part.width {
                1 => part.kind.clone(),
                width => TypeDescriptor::FixedArray(Box::new(part.kind.clone()), width),
            };
            let kind = Datatype::from_descriptor(&kind)?;
            hdf5::h5check(H5Tinsert(memory, name.as_ptr(), part.offset, kind.id())).map(drop)
        });
        let code = inserted.and_then(|()| {
            let code = H5Dread(dataset.id(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.as_mut_ptr().cast());
            hdf5::h5check(code).map(drop)
        });
        H5Tclose(memory);
        code
    })?;
    Ok(bytes)
}

fn take(part: &Part, dataset: &Dataset, bytes: &[u8], size: usize) -> std::result::Result<Field, String> {
    let each = part.each;
    let parts = bytes.chunks_exact(size).flat_map(|record| record[part.offset..][..each * part.width].chunks(each));
    macro_rules! numbers {
        ($kind:ty, $to:ty) => {
            parts.map(|b| <$kind>::from_ne_bytes(b.try_into().unwrap_or_default()) as $to).collect()
        };
    }
    let column = match part.kind {
        TypeDescriptor::Integer(IntSize::U1) => Column::Int(numbers!(i8, i64)),
        TypeDescriptor::Integer(IntSize::U2) => Column::Int(numbers!(i16, i64)),
        TypeDescriptor::Integer(IntSize::U4) => Column::Int(numbers!(i32, i64)),
        TypeDescriptor::Integer(IntSize::U8) => Column::Int(numbers!(i64, i64)),
        TypeDescriptor::Unsigned(IntSize::U1) => Column::Int(numbers!(u8, i64)),
        TypeDescriptor::Unsigned(IntSize::U2) => Column::Int(numbers!(u16, i64)),
        TypeDescriptor::Unsigned(IntSize::U4) => Column::Int(numbers!(u32, i64)),
        TypeDescriptor::Unsigned(IntSize::U8) => Column::Int(numbers!(u64, i64)),
        TypeDescriptor::Float(FloatSize::U4) => Column::Float32(numbers!(f32, f32)),
        TypeDescriptor::Boolean => Column::Bool(parts.map(|b| b[0] != 0).collect()),
        kind if is_text(kind) => {
            let elements: Vec<u8> = parts.flatten().copied().collect();
            Column::Str(texts::of_elements(dataset, &elements)?)
        }
        TypeDescriptor::FixedAscii(_) | TypeDescriptor::FixedUnicode(_) => Column::Str(parts.map(padded).collect()),
        // What else `layout` lets through.
        _ => Column::Float(numbers!(f64, f64)),
    };
    Ok(Field { name: sound(part.name), width: part.width, column })
}

/// A text that is filled up with NUL.
fn padded(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

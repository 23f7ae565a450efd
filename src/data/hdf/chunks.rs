//! Long arrays of an HDF5 file read around the library: chunks are unpacked on all threads.
//!
//! May use: `error`, `hdf`, flate2, rayon. HDF5 unpacks one chunk after the other under its one lock.
//! Here the library only says where the chunks lie; their bytes are read from the file itself, and
//! inflated, unshuffled and converted in parallel. [`Chunks::of`] takes arrays with one axis of
//! little-endian numbers, plain or with gzip, lzf and shuffle in any order; of anything else it says
//! `None`, and the library reads it.
#![forbid(unsafe_code)]

use super::{DAMAGED, MOST_BYTES_OF_ONE, Place};
use crate::error::{Error, Result};
use flate2::{Decompress, FlushDecompress, Status};
use hdf5::filters::Filter;
use hdf5::{Dataset, Datatype, H5Type};
use rayon::prelude::*;
use std::fs::File;
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::FileExt;

/// Arrays below this many elements are left to the library (a fuzzer's are all small).
const WORTH_IT: usize = if cfg!(fuzzing) { 1 } else { 4096 };
/// Elements of one task where an array has no chunks of its own.
const PIECE: usize = 1 << 16;

/// What the elements are in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
}

/// A type that elements are read as.
pub(crate) trait Number: H5Type + Copy + Default + Send {
    /// Converts little-endian elements; false if one is beyond the type.
    fn convert(kind: Kind, bytes: &[u8], out: &mut [Self]) -> bool;
}

macro_rules! each {
    ($bytes:expr, $out:expr, $from:ty, $to:expr) => {{
        for (out, bytes) in $out.iter_mut().zip($bytes.chunks_exact(size_of::<$from>())) {
            let mut word = [0u8; size_of::<$from>()];
            word.copy_from_slice(bytes);
            *out = $to(<$from>::from_le_bytes(word));
        }
        true
    }};
}

macro_rules! whole {
    ($bytes:expr, $out:expr, $from:ty, $into:ty) => {{
        let mut fits = true;
        each!($bytes, $out, $from, |v: $from| {
            let found = <$into>::try_from(v);
            fits &= found.is_ok();
            found.unwrap_or_default()
        });
        fits
    }};
}

impl Number for f32 {
    fn convert(kind: Kind, bytes: &[u8], out: &mut [f32]) -> bool {
        match kind {
            Kind::I8 => each!(bytes, out, i8, |v| v as f32),
            Kind::I16 => each!(bytes, out, i16, |v| v as f32),
            Kind::I32 => each!(bytes, out, i32, |v| v as f32),
            Kind::I64 => each!(bytes, out, i64, |v| v as f32),
            Kind::U8 => each!(bytes, out, u8, |v| v as f32),
            Kind::U16 => each!(bytes, out, u16, |v| v as f32),
            Kind::U32 => each!(bytes, out, u32, |v| v as f32),
            Kind::U64 => each!(bytes, out, u64, |v| v as f32),
            Kind::F32 => each!(bytes, out, f32, |v| v),
            Kind::F64 => each!(bytes, out, f64, |v| v as f32),
        }
    }
}

macro_rules! integer {
    ($into:ty) => {
        impl Number for $into {
            fn convert(kind: Kind, bytes: &[u8], out: &mut [$into]) -> bool {
                match kind {
                    Kind::I8 => whole!(bytes, out, i8, $into),
                    Kind::I16 => whole!(bytes, out, i16, $into),
                    Kind::I32 => whole!(bytes, out, i32, $into),
                    Kind::I64 => whole!(bytes, out, i64, $into),
                    Kind::U8 => whole!(bytes, out, u8, $into),
                    Kind::U16 => whole!(bytes, out, u16, $into),
                    Kind::U32 => whole!(bytes, out, u32, $into),
                    Kind::U64 => whole!(bytes, out, u64, $into),
                    Kind::F32 | Kind::F64 => false,
                }
            }
        }
    };
}

integer!(u32);
integer!(i64);

/// Where the bytes of a chunk are.
#[derive(Clone, Copy, Debug)]
struct At {
    /// First element.
    first: usize,
    /// In the file.
    address: u64,
    bytes: usize,
    /// Bit i: filter i was left out.
    mask: u32,
}

/// What undoes a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Inflate,
    Lzf,
    Unshuffle,
}

/// An array whose chunks are known.
pub(crate) struct Chunks {
    file: File,
    name: String,
    kind: Kind,
    width: usize,
    len: usize,
    /// Elements of a chunk.
    chunk: usize,
    steps: Vec<Step>,
    at: Vec<At>,
}

impl Chunks {
    /// The chunks of an array that can be read this way.
    pub(crate) fn of(dataset: &Dataset) -> Option<Chunks> {
        let shape = dataset.shape();
        let &[len] = shape.as_slice() else { return None };
        // A file that is open for changes may have some of them in the library's memory only.
        if len < WORTH_IT || cfg!(target_endian = "big") || !dataset.file().ok()?.is_read_only() {
            return None;
        }
        let (kind, width) = kind(dataset)?;
        let file = File::open(dataset.filename()).ok()?;
        let mut signature = [0u8; 8];
        file.read_exact_at(&mut signature, 0).ok()?;
        if &signature != b"\x89HDF\r\n\x1a\n" {
            return None; // after a user block, addresses count from elsewhere
        }
        let name = dataset.name();
        let mut found = Chunks { file, name, kind, width, len, chunk: PIECE, steps: Vec::new(), at: Vec::new() };
        let ends = found.file.metadata().ok()?.len();
        if let (Some(offset), false) = (dataset.offset(), dataset.is_chunked()) {
            let bytes = len.checked_mul(width)? as u64;
            if !dataset.filters().is_empty() || offset.checked_add(bytes).is_none_or(|end| end > ends) {
                return None;
            }
            found.at = (0..len.div_ceil(PIECE))
                .map(|i| At {
                    first: i * PIECE,
                    address: offset + (i * PIECE * width) as u64,
                    bytes: PIECE.min(len - i * PIECE) * width,
                    mask: 0,
                })
                .collect();
            return Some(found);
        }
        let &[chunk] = dataset.chunk()?.as_slice() else { return None };
        found.chunk = chunk;
        for filter in dataset.filters() {
            found.steps.push(match filter {
                Filter::Deflate(_) => Step::Inflate,
                Filter::Shuffle => Step::Unshuffle,
                Filter::LZF => Step::Lzf,
                _ => return None,
            });
        }
        found.at = places(dataset)?;
        found.at.sort_unstable_by_key(|at| at.first);
        let sound = |(i, at): (usize, &At)| {
            at.first == i * chunk
                && at.address.checked_add(at.bytes as u64).is_some_and(|end| end <= ends)
                && (chunk as u64).saturating_mul(width as u64) <= at.bytes as u64 * MOST_BYTES_OF_ONE
        };
        // A chunk that was never written is all fill value: the library knows it.
        let all = found.at.len() == len.div_ceil(chunk) && found.at.iter().enumerate().all(sound);
        all.then_some(found)
    }

    /// The elements `span`, which must lie inside.
    ///
    /// # Errors
    /// `Error::Format` for a chunk that cannot be unpacked, or an element beyond `T`.
    pub(crate) fn read<T: Number>(&self, place: &Place, span: Range<usize>) -> Result<Vec<T>> {
        let mut out = vec![T::default(); span.len()];
        if span.is_empty() {
            return Ok(out);
        }
        let (from, to) = (span.start / self.chunk, (span.end - 1) / self.chunk + 1);
        // The part of `out` that each chunk fills.
        let mut parts = Vec::with_capacity(to - from);
        let mut rest = out.as_mut_slice();
        for at in &self.at[from..to] {
            let start = span.start.max(at.first);
            let end = span.end.min(at.first + self.chunk);
            let (mine, others) = std::mem::take(&mut rest).split_at_mut(end - start);
            parts.push((at, start - at.first, mine));
            rest = others;
        }
        parts.into_par_iter().try_for_each_init(Buffers::default, |buffers, (at, skip, mine)| {
            let stored = self.chunk.min(self.len - at.first);
            let wrong = |what: &str| place.wrong(&self.name, format!("elements from {}: {what}", at.first), DAMAGED);
            self.unpack(at, buffers).map_err(|e| match e {
                Fault::Io(e) => Error::io(place.path(), "reading", e),
                Fault::Damaged(what) => wrong(what),
            })?;
            let bytes = buffers.data.get(skip * self.width..stored * self.width).ok_or_else(|| wrong(SHORT))?;
            if T::convert(self.kind, bytes, mine) { Ok(()) } else { Err(wrong("a number beyond what it can be")) }
        })?;
        Ok(out)
    }

    /// The chunk's elements as bytes, in `buffers.data`.
    fn unpack(&self, at: &At, buffers: &mut Buffers) -> std::result::Result<(), Fault> {
        buffers.data.resize(at.bytes, 0);
        self.file.read_exact_at(&mut buffers.data, at.address).map_err(Fault::Io)?;
        let size = self.chunk * self.width;
        for (i, step) in self.steps.iter().enumerate().rev() {
            if i < 32 && at.mask >> i & 1 == 1 {
                continue;
            }
            buffers.other.clear();
            match step {
                Step::Inflate => {
                    buffers.other.resize(size, 0);
                    let inflate = buffers.inflate.get_or_insert_with(|| Decompress::new(true));
                    inflate.reset(true);
                    let done = inflate.decompress(&buffers.data, &mut buffers.other, FlushDecompress::Finish);
                    if !matches!(done, Ok(Status::StreamEnd)) {
                        return Err(Fault::Damaged("what gzip packed cannot be unpacked"));
                    }
                    buffers.other.truncate(inflate.total_out() as usize);
                }
                Step::Lzf => lzf(&buffers.data, &mut buffers.other, size)?,
                Step::Unshuffle => unshuffle(&buffers.data, &mut buffers.other, self.width),
            }
            std::mem::swap(&mut buffers.data, &mut buffers.other);
        }
        Ok(())
    }
}

const SHORT: &str = "fewer bytes than the chunk holds";

/// What a thread keeps between chunks.
#[derive(Default)]
struct Buffers {
    data: Vec<u8>,
    other: Vec<u8>,
    inflate: Option<Decompress>,
}

enum Fault {
    Io(std::io::Error),
    Damaged(&'static str),
}

fn kind(dataset: &Dataset) -> Option<(Kind, usize)> {
    let found = dataset.dtype().ok()?;
    macro_rules! find {
        ($($kind:ident $t:ty),*) => {
            $(if Datatype::from_type::<$t>().is_ok_and(|d| d == found) {
                return Some((Kind::$kind, size_of::<$t>()));
            })*
        };
    }
    find!(F32 f32, I32 i32, I64 i64, F64 f64, U32 u32, U16 u16, U8 u8, I8 i8, I16 i16, U64 u64);
    None
}

/// Whether the stored chunks have so many bytes, as far as they can be found.
pub(super) fn all_within(dataset: &Dataset, bytes: RangeInclusive<u64>) -> bool {
    places(dataset).is_none_or(|all| all.iter().all(|at| bytes.contains(&(at.bytes as u64))))
}

/// Where all chunks are.
#[cfg(feature = "hdf5-static")]
fn places(dataset: &Dataset) -> Option<Vec<At>> {
    let mut places = Vec::new();
    let visited = dataset.chunks_visit(|chunk| {
        let first = chunk.offset.first().map_or(0, |&o| o as usize);
        places.push(At { first, address: chunk.addr, bytes: chunk.size as usize, mask: chunk.filter_mask });
        0
    });
    visited.ok().map(|()| places)
}

/// The same with an older library, which looks for each from the first on.
#[cfg(not(feature = "hdf5-static"))]
fn places(dataset: &Dataset) -> Option<Vec<At>> {
    const PATIENCE: usize = 20_000;
    let n = dataset.num_chunks().filter(|&n| n <= PATIENCE)?;
    let place = |i| {
        let chunk = dataset.chunk_info(i)?;
        let first = chunk.offset.first().map_or(0, |&o| o as usize);
        Some(At { first, address: chunk.addr, bytes: chunk.size as usize, mask: chunk.filter_mask })
    };
    (0..n).map(place).collect()
}

/// Byte j of every element stands in plane j; what is left over at the end was never moved.
fn unshuffle(data: &[u8], out: &mut Vec<u8>, width: usize) {
    let n = data.len() / width;
    out.resize(data.len(), 0);
    let (planes, rest) = data.split_at(n * width);
    match width {
        4 => {
            let [a, b, c, d] = [0, 1, 2, 3].map(|j| &planes[j * n..(j + 1) * n]);
            for ((((out, a), b), c), d) in out.chunks_exact_mut(4).zip(a).zip(b).zip(c).zip(d) {
                out.copy_from_slice(&[*a, *b, *c, *d]);
            }
        }
        _ => {
            for j in 0..width {
                let plane = &planes[j * n..(j + 1) * n];
                out.chunks_exact_mut(width).zip(plane).for_each(|(out, &byte)| out[j] = byte);
            }
        }
    }
    out[n * width..].copy_from_slice(rest);
}

/// LZF (liblzf): a byte below 32 starts a run of literals, any other a copy of what was written.
fn lzf(data: &[u8], out: &mut Vec<u8>, most: usize) -> std::result::Result<(), Fault> {
    const WRONG: Fault = Fault::Damaged("what lzf packed cannot be unpacked");
    let mut rest = data.iter().copied();
    let mut next = || rest.next().ok_or(WRONG);
    let mut left = data.len();
    while left > 0 {
        let control = usize::from(next()?);
        left -= 1;
        if control < 32 {
            for _ in 0..=control {
                out.push(next()?);
            }
            left -= control + 1;
        } else {
            let mut length = control >> 5;
            if length == 7 {
                length += usize::from(next()?);
                left -= 1;
            }
            let back = (control & 31) << 8 | usize::from(next()?);
            left -= 1;
            let from = out.len().checked_sub(back + 1).ok_or(WRONG)?;
            // What is copied may reach into what the copy writes.
            for at in from..from + length + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > most {
            return Err(WRONG);
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "chunks_tests.rs"]
mod tests;

//! Single nodes of an HDF5 file: opening, attributes, strings, numbers, and errors that name the
//! place. What every reader of an HDF5 format stands on.
//!
//! May use: `error`, flate2, rayon, the HDF5 library. Beside it stand what reads around the library
//! (`chunks` of long arrays, `texts`) and the `driver` through which it reads, with a `guard`. Sizes
//! that a file declares are compared with the bytes that it has before anything is allocated, so that
//! a damaged file ends in an error, not in a lack of memory.
#![deny(unsafe_code)]

mod chunks;
mod driver;
mod guard;
mod storage;
pub(crate) mod texts;

use crate::error::{Error, Result};
use chunks::{Chunks, Number};
use hdf5::types::{FixedAscii, FixedUnicode, FloatSize, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Attribute, Container, Dataset, File, Group, H5Type, Location, LocationType};
use std::collections::BTreeSet;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// No filter makes more than about a thousand bytes of one (deflate: 1032).
pub(crate) const MOST_BYTES_OF_ONE: u64 = 1100;
/// Declared sizes up to this are taken as they are.
const SMALL: u64 = 1 << 20;

/// Version of the HDF5 library, as in `1.14.6`.
pub fn version() -> String {
    let (major, minor, release) = hdf5::library_version();
    format!("{major}.{minor}.{release}")
}

/// The file that errors speak of.
#[derive(Clone)]
pub(crate) struct Place {
    path: PathBuf,
    /// Datasets whose chunks were looked at.
    checked: Arc<Mutex<BTreeSet<String>>>,
}

/// What to do about a file that contradicts itself.
pub(crate) const DAMAGED: &str = "the file may be damaged, copy or write it again";

/// What a dataset's elements are, as far as reading differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elements {
    Int,
    Float32,
    Float64,
    Bool,
    Text,
    Other,
}

impl Place {
    pub(crate) fn new(path: &Path) -> Place {
        Place { path: path.to_owned(), checked: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name for messages about its content.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().map_or_else(|| self.path.display().to_string(), |n| n.to_string_lossy().into_owned())
    }

    /// An error about what stands at `node`.
    pub(crate) fn wrong(&self, node: &str, what: impl std::fmt::Display, fix: &str) -> Error {
        Error::format(&self.path, format!("{node}: {what}"), fix)
    }

    /// What HDF5 said while reading `node`.
    pub(crate) fn unreadable(&self, node: &str, error: hdf5::Error) -> Error {
        self.wrong(node, format!("cannot be read ({})", one_line(&error)), "the file may be damaged, copy it again")
    }

    /// Opens the file for reading.
    ///
    /// # Errors
    /// `Error::Io` if it is not there; `Error::Format` if it is not HDF5, or cut short.
    pub(crate) fn open(&self) -> Result<File> {
        self.check_signature()?;
        driver::open(&self.path, false).map_err(|error| {
            let said = one_line(&error);
            if said.contains("truncated") || said.contains("eof") || said.contains("end of file") {
                Error::format(
                    &self.path,
                    "the file is truncated: it is shorter than its own header says",
                    "copy or download it again",
                )
            } else if said.contains("lock") {
                Error::format(
                    &self.path,
                    format!("cannot be opened ({said})"),
                    "close the program that writes to it, or set HDF5_USE_FILE_LOCKING=FALSE",
                )
            } else {
                Error::format(
                    &self.path,
                    format!("cannot be opened as HDF5 ({said})"),
                    "the file may be damaged, copy it again",
                )
            }
        })
    }

    /// Opens the file, a copy of one that could be opened, for changes.
    pub(crate) fn open_for_changes(path: &Path) -> hdf5::Result<File> {
        driver::open(path, true)
    }

    /// Makes a file of that name.
    pub(crate) fn create(path: &Path) -> hdf5::Result<File> {
        driver::create(path)
    }

    /// Why not all that was written to the file that [`Place::create`] or [`Place::open_for_changes`] opened
    /// by this name is in it.
    pub(crate) fn fault(path: &Path) -> Option<std::io::Error> {
        driver::fault(path)
    }

    /// HDF5's signature stands at byte 0, or at 512, 1024, 2048, ... after a user block.
    fn check_signature(&self) -> Result<()> {
        let io = |e| Error::io(&self.path, "reading", e);
        let mut file = std::fs::File::open(&self.path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if meta.is_dir() {
            return Err(Error::format(&self.path, "is a folder, not an h5ad file", "give the path of a file"));
        }
        if meta.len() == 0 {
            return Err(Error::format(&self.path, "the file is empty", "copy or download it again"));
        }
        let mut head = vec![0u8; 4104.min(meta.len() as usize)];
        file.read_exact(&mut head).map_err(io)?;
        let signature = b"\x89HDF\r\n\x1a\n";
        if [0, 512, 1024, 2048, 4096].iter().any(|&at| head.get(at..at + 8) == Some(signature)) {
            return Ok(());
        }
        let fix = match &head[..] {
            [0x1f, 0x8b, ..] => "it is gzip-compressed: unpack it with gunzip first",
            [b'P', b'K', ..] => "it is a zip archive: unpack it first",
            [b'<', ..] => "it is a web page: download the file itself",
            _ => "give an .h5ad file",
        };
        Err(Error::format(&self.path, "not an HDF5 file", fix))
    }

    /// A group below `parent`.
    pub(crate) fn group(&self, parent: &Group, name: &str) -> Result<Group> {
        parent.group(name).map_err(|e| self.unreadable(&below(parent, name), e))
    }

    /// A dataset below `parent`, its storage checked.
    pub(crate) fn dataset(&self, parent: &Group, name: &str) -> Result<Dataset> {
        let dataset = parent.dataset(name).map_err(|e| self.unreadable(&below(parent, name), e))?;
        self.check_storage(&dataset)?;
        Ok(dataset)
    }

    /// All elements, converted to `T` by HDF5.
    pub(crate) fn values<T: H5Type>(&self, dataset: &Dataset) -> Result<Vec<T>> {
        self.check_size::<T>(dataset)?;
        dataset.read_raw::<T>().map_err(|e| self.unreadable(&dataset.name(), e))
    }

    /// The elements `span` of an array with one axis.
    pub(crate) fn span<T: H5Type>(&self, dataset: &Dataset, span: Range<usize>) -> Result<Vec<T>> {
        self.check_size::<T>(dataset)?;
        if dataset.ndim() != 1 || span.end > dataset.size() || span.start > span.end {
            let what = format!("elements {} to {} of an array of shape {:?}", span.start, span.end, dataset.shape());
            return Err(self.wrong(&dataset.name(), what, DAMAGED));
        }
        if span.is_empty() {
            return Ok(Vec::new());
        }
        let read = dataset.read_slice_1d::<T, _>(span).map_err(|e| self.unreadable(&dataset.name(), e))?;
        Ok(read.into_raw_vec_and_offset().0)
    }

    /// The block `rows` x `columns` of an array with two axes, row-major.
    pub(crate) fn block(&self, dataset: &Dataset, rows: Range<usize>, columns: Range<usize>) -> Result<Vec<f32>> {
        self.check_size::<f32>(dataset)?;
        let shape = dataset.shape();
        if shape.len() != 2 || rows.end > shape[0] || columns.end > shape[1] {
            let what = format!("rows to {} and columns to {} of an array of shape {shape:?}", rows.end, columns.end);
            return Err(self.wrong(&dataset.name(), what, DAMAGED));
        }
        if rows.is_empty() || columns.is_empty() {
            return Ok(Vec::new());
        }
        if elements(dataset) == Elements::Bool {
            let read = dataset.read_slice_2d::<i8, _>((rows, columns));
            let read = read.map_err(|e| self.unreadable(&dataset.name(), e))?;
            return Ok(read.iter().map(|&b| f32::from(u8::from(b != 0))).collect());
        }
        let read = dataset.read_slice_2d::<f32, _>((rows, columns));
        let read = read.map_err(|e| self.unreadable(&dataset.name(), e))?;
        Ok(read.into_raw_vec_and_offset().0)
    }

    /// Fails if the dataset declares more elements than its bytes can hold.
    pub(crate) fn check_size<T: H5Type>(&self, dataset: &Dataset) -> Result<()> {
        let shape = dataset.shape();
        let each = dataset.dtype().map_or(1, |d| d.size()).max(size_of::<T>()).max(1) as u64;
        // Where an axis is empty the others count all the same: their names are held.
        let each = if shape.contains(&0) { 1 } else { each };
        let declared = shape.iter().try_fold(each, |total, &n| total.checked_mul(n.max(1) as u64));
        let stored = dataset.storage_size();
        let length = std::fs::metadata(&self.path).map_or(u64::MAX, |m| m.len());
        let limit = stored.min(length).saturating_mul(MOST_BYTES_OF_ONE).max(SMALL);
        if declared.is_some_and(|bytes| bytes <= limit) && (stored <= length || stored <= SMALL) {
            return Ok(());
        }
        let what = format!("declares an array of shape {shape:?} but holds {} bytes", stored.min(length));
        Err(self.wrong(&dataset.name(), what, DAMAGED))
    }

    /// The elements `span` of an array with one axis, unpacked on all threads where that is possible.
    pub(crate) fn numbers<T: Number>(&self, dataset: &Dataset, span: Range<usize>) -> Result<Vec<T>> {
        self.check_size::<T>(dataset)?;
        match Chunks::of(dataset) {
            Some(chunks) if span.start <= span.end && span.end <= dataset.size() => chunks.read(self, span),
            _ => self.span(dataset, span),
        }
    }

    /// Booleans, by their numbers: the library hands over whatever a damaged file has for them, and a
    /// `bool` of Rust must be 0 or 1.
    pub(crate) fn flags(&self, dataset: &Dataset) -> Result<Vec<bool>> {
        Ok(self.values::<i8>(dataset)?.into_iter().map(|b| b != 0).collect())
    }

    /// All elements as f32; booleans become 0 and 1.
    pub(crate) fn floats(&self, dataset: &Dataset) -> Result<Vec<f32>> {
        if elements(dataset) == Elements::Bool {
            return Ok(self.flags(dataset)?.into_iter().map(|b| f32::from(u8::from(b))).collect());
        }
        if dataset.ndim() == 1 { self.numbers(dataset, 0..dataset.size()) } else { self.values(dataset) }
    }

    /// The elements `span` of an array with one axis as f32; booleans become 0 and 1.
    pub(crate) fn floats_in(&self, dataset: &Dataset, span: Range<usize>) -> Result<Vec<f32>> {
        if elements(dataset) == Elements::Bool {
            return Ok(self.span::<i8>(dataset, span)?.into_iter().map(|b| f32::from(u8::from(b != 0))).collect());
        }
        self.numbers(dataset, span)
    }

    /// The elements `span` of an array of indices.
    pub(crate) fn indices(&self, dataset: &Dataset, span: Range<usize>) -> Result<Vec<u32>> {
        self.check_size::<u32>(dataset)?;
        if let Some(chunks) = Chunks::of(dataset)
            && span.start <= span.end
            && span.end <= dataset.size()
        {
            return chunks.read(self, span);
        }
        let whole: Vec<i64> = self.span(dataset, span)?;
        let narrow = whole.into_iter().map(u32::try_from).collect::<std::result::Result<_, _>>();
        narrow
            .map_err(|_| self.wrong(&dataset.name(), "an index is negative or beyond 32 bits", "write the file again"))
    }

    /// The elements `span` of an array of row pointers, which must not fall.
    pub(crate) fn pointers(&self, dataset: &Dataset, span: Range<usize>) -> Result<Vec<usize>> {
        let wrong = |what: &str| self.wrong(&dataset.name(), what, DAMAGED);
        let whole: Vec<i64> = self.numbers(dataset, span)?;
        let found: Vec<usize> = whole
            .into_iter()
            .map(usize::try_from)
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| wrong("a pointer is negative"))?;
        if found.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(wrong("the pointers fall"));
        }
        Ok(found)
    }

    /// All elements as text.
    pub(crate) fn texts(&self, dataset: &Dataset) -> Result<Vec<String>> {
        self.check_size::<u8>(dataset)?;
        read_texts(dataset).map_err(|e| self.unreadable(&dataset.name(), e))
    }
}

/// Names in a group, in stored order.
pub(crate) fn members(group: &Group) -> Vec<String> {
    group.member_names().unwrap_or_default().iter().map(|name| sound(name)).collect()
}

/// A name that the HDF5 crate gave: it takes a file's bytes for UTF-8 unseen, on which text functions
/// may run past the end.
pub(crate) fn sound(name: &str) -> String {
    String::from_utf8_lossy(name.as_bytes()).into_owned()
}

pub(crate) fn is_group(parent: &Group, name: &str) -> bool {
    parent.loc_type_by_name(name).is_ok_and(|kind| kind == LocationType::Group)
}

pub(crate) fn below(parent: &Group, name: &str) -> String {
    format!("{}/{name}", parent.name().trim_end_matches('/'))
}

pub(crate) fn elements(dataset: &Container) -> Elements {
    match dataset.dtype().and_then(|d| d.to_descriptor()) {
        Ok(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_)) => Elements::Int,
        Ok(TypeDescriptor::Float(FloatSize::U8)) => Elements::Float64,
        Ok(TypeDescriptor::Float(_)) => Elements::Float32,
        Ok(TypeDescriptor::Boolean) => Elements::Bool,
        Ok(
            TypeDescriptor::FixedAscii(_)
            | TypeDescriptor::FixedUnicode(_)
            | TypeDescriptor::VarLenAscii
            | TypeDescriptor::VarLenUnicode,
        ) => Elements::Text,
        _ => Elements::Other,
    }
}

/// Whether HDF5 can turn the elements into f32 (numbers of any kind; booleans are made so here).
pub(crate) fn is_numeric(dataset: &Container) -> bool {
    elements(dataset) == Elements::Bool || dataset.dtype().is_ok_and(|d| d.conv_to::<f32>().is_some())
}

/// Whether the elements are records.
pub(crate) fn is_compound(dataset: &Container) -> bool {
    matches!(dataset.dtype().and_then(|d| d.to_descriptor()), Ok(TypeDescriptor::Compound(_)))
}

/// The element type in numpy's words, as far as there is one.
pub(crate) fn dtype_name(dataset: &Container) -> String {
    match dataset.dtype().and_then(|d| d.to_descriptor()) {
        Ok(kind) => kind.to_string(),
        Err(_) => "unknown".into(),
    }
}

/// A text attribute, if it is there and is one text.
pub(crate) fn text_attr(node: &Location, name: &str) -> Option<String> {
    let attribute = attribute(node, name).ok()?;
    let mut texts = read_texts(&attribute).ok()?;
    (texts.len() == 1).then(|| texts.remove(0))
}

/// A list of texts, if it is there.
pub(crate) fn texts_attr(node: &Location, name: &str) -> Option<Vec<String>> {
    let attribute = attribute(node, name).ok()?;
    if attribute.size() == 0 {
        return Some(Vec::new()); // an empty list is stored as an empty array of numbers
    }
    read_texts(&attribute).ok()
}

/// A true/false attribute; false where it is absent.
pub(crate) fn bool_attr(node: &Location, name: &str) -> bool {
    let Ok(attribute) = attribute(node, name) else { return false };
    attribute.read_scalar::<i8>().is_ok_and(|v| v != 0)
}

/// `encoding-type`, empty where there is none (old files and other writers).
pub(crate) fn encoding(node: &Location) -> String {
    text_attr(node, "encoding-type").unwrap_or_default()
}

/// What HDF5 said, on one line; of a failed system call only its message.
pub(crate) fn one_line(error: &hdf5::Error) -> String {
    let text = error.to_string().replace('\n', " ");
    let call = text.find(": time = ").map(|end| &text[..end]);
    let message = text.split("error message = '").nth(1).and_then(|rest| rest.split('\'').next());
    match (call, message) {
        (Some(call), Some(message)) => format!("{call}: {message}"),
        _ => text,
    }
}

fn read_texts(node: &Container) -> hdf5::Result<Vec<String>> {
    fn lossy<T>(items: &[T], bytes: impl Fn(&T) -> &[u8]) -> Vec<String> {
        items.iter().map(|item| String::from_utf8_lossy(bytes(item)).into_owned()).collect()
    }
    // HDF5 widens a fixed-length string to a longer one, so a few lengths serve all.
    macro_rules! fixed {
        ($kind:ident, $len:expr) => {
            match $len {
                0..=32 => lossy(&node.read_raw::<$kind<32>>()?, |s| s.as_bytes()),
                33..=256 => lossy(&node.read_raw::<$kind<256>>()?, |s| s.as_bytes()),
                257..=4096 => lossy(&node.read_raw::<$kind<4096>>()?, |s| s.as_bytes()),
                _ => return Err("fixed-length text of more than 4096 bytes".into()),
            }
        };
    }
    let kind = node.dtype()?.to_descriptor()?;
    if matches!(kind, TypeDescriptor::VarLenUnicode | TypeDescriptor::VarLenAscii)
        && let Some(texts) = texts::read(node)?
    {
        return Ok(texts);
    }
    Ok(match kind {
        TypeDescriptor::VarLenUnicode => lossy(&node.read_raw::<VarLenUnicode>()?, |s| s.as_bytes()),
        TypeDescriptor::VarLenAscii => lossy(&node.read_raw::<VarLenAscii>()?, |s| s.as_bytes()),
        TypeDescriptor::FixedAscii(len) => fixed!(FixedAscii, len),
        TypeDescriptor::FixedUnicode(len) => fixed!(FixedUnicode, len),
        other => return Err(format!("expected text, found {other}").into()),
    })
}

/// An attribute. Of a space of an unknown kind, which a damaged file may give it, the library reads an
/// element but says that there is none, so that nobody would have room for it.
///
/// # Errors
/// Those of the library.
pub(crate) fn attribute(node: &Location, name: &str) -> hdf5::Result<Attribute> {
    let found = node.attr(name)?;
    match found.space()?.size() == 0 && found.storage_size() > 0 {
        true => Err("a dataspace of an unknown kind".into()),
        false => Ok(found),
    }
}

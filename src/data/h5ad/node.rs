//! Single nodes of the file: opening, attributes, strings, numbers, and errors that name the place.

use crate::error::{Error, Result};
use hdf5::types::{FixedAscii, FixedUnicode, FloatSize, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Container, Dataset, File, Group, H5Type, Location, LocationType};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The file that errors speak of.
#[derive(Clone)]
pub(super) struct Place {
    path: PathBuf,
}

/// What a dataset's elements are, as far as reading differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elements {
    Int,
    Float32,
    Float64,
    Bool,
    Text,
    Other,
}

impl Place {
    pub(super) fn new(path: &Path) -> Place {
        Place { path: path.to_owned() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name for messages about its content.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map_or_else(|| self.path.display().to_string(), |n| n.to_string_lossy().into_owned())
    }

    /// An error about what stands at `node`.
    pub(super) fn wrong(&self, node: &str, what: impl std::fmt::Display, fix: &str) -> Error {
        Error::format(&self.path, format!("{node}: {what}"), fix)
    }

    /// What HDF5 said while reading `node`.
    pub(super) fn unreadable(&self, node: &str, error: hdf5::Error) -> Error {
        self.wrong(node, format!("cannot be read ({})", one_line(&error)), "the file may be damaged, copy it again")
    }

    /// Opens the file for reading.
    ///
    /// # Errors
    /// `Error::Io` if it is not there; `Error::Format` if it is not HDF5, or cut short.
    pub(super) fn open(&self) -> Result<File> {
        self.check_signature()?;
        File::open(&self.path).map_err(|error| {
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

    /// Fails if a filter of the dataset is not built in, naming it.
    pub(super) fn check_filters(&self, dataset: &Dataset) -> Result<()> {
        for filter in dataset.filters() {
            if !filter.is_available() {
                return Err(self.wrong(
                    &dataset.name(),
                    format!("compressed with {}, which is not built in", filter_name(filter.id())),
                    "write the file again with compression=\"gzip\" or \"lzf\"",
                ));
            }
        }
        Ok(())
    }

    /// A group below `parent`.
    pub(super) fn group(&self, parent: &Group, name: &str) -> Result<Group> {
        parent.group(name).map_err(|e| self.unreadable(&below(parent, name), e))
    }

    /// A dataset below `parent`, its filters checked.
    pub(super) fn dataset(&self, parent: &Group, name: &str) -> Result<Dataset> {
        let dataset = parent.dataset(name).map_err(|e| self.unreadable(&below(parent, name), e))?;
        self.check_filters(&dataset)?;
        Ok(dataset)
    }

    /// All elements, converted to `T` by HDF5.
    pub(super) fn values<T: H5Type>(&self, dataset: &Dataset) -> Result<Vec<T>> {
        dataset.read_raw::<T>().map_err(|e| self.unreadable(&dataset.name(), e))
    }

    /// All elements as f32; booleans become 0 and 1.
    pub(super) fn floats(&self, dataset: &Dataset) -> Result<Vec<f32>> {
        if elements(dataset) == Elements::Bool {
            return Ok(self.values::<bool>(dataset)?.into_iter().map(|b| f32::from(u8::from(b))).collect());
        }
        self.values(dataset)
    }

    /// All elements as text.
    pub(super) fn texts(&self, dataset: &Container) -> Result<Vec<String>> {
        read_texts(dataset).map_err(|e| self.unreadable(&dataset.name(), e))
    }
}

/// Members of a group in stored order.
pub(super) fn members(group: &Group) -> Vec<String> {
    group.member_names().unwrap_or_default()
}

pub(super) fn is_group(parent: &Group, name: &str) -> bool {
    parent.loc_type_by_name(name).is_ok_and(|kind| kind == LocationType::Group)
}

pub(super) fn below(parent: &Group, name: &str) -> String {
    format!("{}/{name}", parent.name().trim_end_matches('/'))
}

pub(super) fn elements(dataset: &Container) -> Elements {
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

/// A text attribute, if it is there and is one text.
pub(super) fn text_attr(node: &Location, name: &str) -> Option<String> {
    let attribute = node.attr(name).ok()?;
    let mut texts = read_texts(&attribute).ok()?;
    (texts.len() == 1).then(|| texts.remove(0))
}

/// A list of texts, if it is there.
pub(super) fn texts_attr(node: &Location, name: &str) -> Option<Vec<String>> {
    let attribute = node.attr(name).ok()?;
    if attribute.size() == 0 {
        return Some(Vec::new()); // an empty list is stored as an empty array of numbers
    }
    read_texts(&attribute).ok()
}

/// A true/false attribute; false where it is absent.
pub(super) fn bool_attr(node: &Location, name: &str) -> bool {
    let Ok(attribute) = node.attr(name) else { return false };
    attribute.read_scalar::<bool>().or_else(|_| attribute.read_scalar::<i8>().map(|v| v != 0)).unwrap_or(false)
}

/// `encoding-type`, empty where there is none (files before 0.7.? and other writers).
pub(super) fn encoding(node: &Location) -> String {
    text_attr(node, "encoding-type").unwrap_or_default()
}

/// What HDF5 said, on one line; of a failed system call only its message.
pub(super) fn one_line(error: &hdf5::Error) -> String {
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
    Ok(match node.dtype()?.to_descriptor()? {
        TypeDescriptor::VarLenUnicode => lossy(&node.read_raw::<VarLenUnicode>()?, |s| s.as_bytes()),
        TypeDescriptor::VarLenAscii => lossy(&node.read_raw::<VarLenAscii>()?, |s| s.as_bytes()),
        TypeDescriptor::FixedAscii(len) => fixed!(FixedAscii, len),
        TypeDescriptor::FixedUnicode(len) => fixed!(FixedUnicode, len),
        other => return Err(format!("expected text, found {other}").into()),
    })
}

fn filter_name(id: i32) -> String {
    let name = match id {
        1 => "gzip",
        4 => "szip",
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

//! Lines of a text file, plain or gzip-compressed, with a bound on their length.
//!
//! May use: `error`, flate2.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// No line of a table is longer: a million values of 250 bytes.
const LONGEST: usize = 1 << 28;

/// The bytes of a text file, unpacked if they are compressed.
///
/// # Errors
/// `Error::Io` if the file cannot be opened.
pub(crate) fn unpacked(path: &Path) -> Result<Box<dyn Read + Send>> {
    let io = |e| Error::io(path, "reading", e);
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?);
    let packed = file.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]);
    Ok(if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// About how many bytes of text a file, or the largest file of a folder, holds.
pub(crate) fn unpacked_size(path: &Path) -> u64 {
    let size = |path: &Path| -> u64 {
        let Ok(mut file) = File::open(path) else { return 0 };
        let length = file.metadata().map_or(0, |m| if m.is_file() { m.len() } else { 0 });
        let (mut head, mut tail) = ([0u8; 2], [0u8; 4]);
        let packed = file.read_exact(&mut head).is_ok() && head == [0x1f, 0x8b];
        let ended = file.seek(SeekFrom::End(-4)).is_ok() && file.read_exact(&mut tail).is_ok();
        // gzip ends with the size of what it packed, as far as 32 bits hold it.
        if packed && ended { length.max(u64::from(u32::from_le_bytes(tail))) } else { length }
    };
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| size(&entry.path())).max().unwrap_or(0),
        Err(_) => size(path),
    }
}

/// What a failed read of a text file means.
pub(crate) fn read_error(path: &Path, error: std::io::Error, line: u64) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    match error.kind() {
        Other => Error::format(path, error.to_string(), "give a table with one line per cell or gene"),
        UnexpectedEof | InvalidInput | InvalidData => {
            let what = format!("the compressed file ends early or is damaged, after line {line}");
            Error::format(path, what, "copy or download it again")
        }
        _ => Error::io(path, "reading", error),
    }
}

/// Fails where a line is longer than any table has.
pub(crate) struct Bounded<R> {
    inner: R,
    since_end: usize,
}

impl<R: Read> Bounded<R> {
    pub(crate) fn new(inner: R) -> Bounded<R> {
        Bounded { inner, since_end: 0 }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        match buffer[..n].iter().rposition(|&b| b == b'\n') {
            Some(at) => self.since_end = n - at - 1,
            None => self.since_end += n,
        }
        if self.since_end > LONGEST {
            return Err(std::io::Error::other(format!("a line is longer than {} MiB", LONGEST >> 20)));
        }
        Ok(n)
    }
}

/// One line after the other.
pub(crate) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    /// # Errors
    /// `Error::Io` if the file cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<Lines> {
        let reader = Box::new(BufReader::with_capacity(1 << 16, unpacked(path)?));
        Ok(Lines { path: path.to_owned(), reader, line: Vec::new(), number: 0 })
    }

    /// Number of the line that was given last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its end; a byte order mark before the first one is left out.
    ///
    /// # Errors
    /// `Error::Format` for a damaged or cut compressed file, a line beyond all bounds, or bytes that
    /// are no text.
    pub(crate) fn next(&mut self) -> Result<Option<&str>> {
        self.line.clear();
        let read = (&mut self.reader).take(LONGEST as u64 + 1).read_until(b'\n', &mut self.line);
        let read = read.map_err(|e| read_error(&self.path, e, self.number))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.len() > LONGEST {
            let what = format!("line {} is longer than {} MiB", self.number, LONGEST >> 20);
            return Err(Error::format(&self.path, what, "give a table with one line per cell or gene"));
        }
        while matches!(self.line.last(), Some(b'\n' | b'\r')) {
            self.line.pop();
        }
        let start = if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        match std::str::from_utf8(&self.line[start..]) {
            Ok(text) => Ok(Some(text)),
            Err(_) => {
                let what = format!("line {} is no UTF-8 text", self.number);
                Err(Error::format(&self.path, what, "save it as UTF-8"))
            }
        }
    }
}

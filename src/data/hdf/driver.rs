//! The way of the HDF5 library to a file's bytes: a file driver of ours, which looks at each block
//! ([`Guard`]) before the library gets it.
//!
//! May use: [`Guard`], the HDF5 library. Reads and writes where it is told to, without locks. The
//! library's own driver stands in where another series of it is linked, whose drivers look
//! different (see the feature `hdf5-static`).
//!
//! A library that cannot write what it holds (the disk is full) may fall over when it closes the file. It
//! never hears of it: from the first failure on it writes into memory, and who writes the file asks for the
//! [`fault`].
#![allow(unsafe_code)]

use super::guard::Guard;
use hdf5::{File, globals};
use hdf5_sys::h5::{H5get_libversion, haddr_t, herr_t, hsize_t};
use hdf5_sys::h5e::{H5E_DEFAULT, H5Epush2};
use hdf5_sys::h5f::{H5F_ACC_CREAT, H5F_ACC_RDONLY, H5F_ACC_RDWR, H5F_ACC_TRUNC, H5Fcreate, H5Fopen};
use hdf5_sys::h5fd::{
    H5FD_FEAT_ACCUMULATE_METADATA, H5FD_FEAT_AGGREGATE_METADATA, H5FD_FEAT_AGGREGATE_SMALLDATA, H5FD_FEAT_DATA_SIEVE,
    H5FD_FEAT_DEFAULT_VFD_COMPATIBLE,
};
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5p::{H5P_DEFAULT, H5Pclose, H5Pcreate, H5Pset_driver};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_uint, c_ulong, c_void};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Blocks up to this many bytes are read whatever the file's length.
const SMALL: u64 = 1 << 16;

/// Opens a file that is there, for reading or for changes.
pub(super) fn open(path: &Path, change: bool) -> hdf5::Result<File> {
    let Some(driver) = registered() else {
        return if change { File::open_rw(path) } else { File::open(path) };
    };
    let flags = if change { H5F_ACC_RDWR } else { H5F_ACC_RDONLY };
    // SAFETY: as `through` says.
    through(driver, path, |name, list| unsafe { H5Fopen(name, flags, list) })
}

/// Makes a file, in the place of one that may be there.
pub(super) fn create(path: &Path) -> hdf5::Result<File> {
    let Some(driver) = registered() else { return File::create(path) };
    // SAFETY: as `through` says.
    through(driver, path, |name, list| unsafe { H5Fcreate(name, H5F_ACC_TRUNC, H5P_DEFAULT, list) })
}

/// A file that `opened` gets from its name, which ends in zero, and a list of properties with the driver;
/// the library is called under its lock.
fn through(driver: hid_t, path: &Path, opened: impl FnOnce(*const c_char, hid_t) -> hid_t) -> hdf5::Result<File> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| "a zero byte in the file's name".to_owned())?;
    // SAFETY: handles that the library gave; the file's is owned by nobody but the returned value.
    hdf5::sync::sync(|| unsafe {
        let list = hdf5::h5check(H5Pcreate(*globals::H5P_FILE_ACCESS))?;
        let set = hdf5::h5check(H5Pset_driver(list, driver, std::ptr::null()));
        let file = set.and_then(|_| hdf5::h5check(opened(name.as_ptr(), list)));
        H5Pclose(list);
        hdf5::from_id(file?)
    })
}

/// First failures to write, by file. A table, since the library hands nothing of ours back.
static FAULTS: Mutex<BTreeMap<PathBuf, std::io::Error>> = Mutex::new(BTreeMap::new());

/// Why the file that was opened by this name lacks something of what was written; asked once.
pub(super) fn fault(path: &Path) -> Option<std::io::Error> {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner).remove(path)
}

/// Our driver's handle; `None` if the library is none of the series 1.14.
fn registered() -> Option<hid_t> {
    static DRIVER: OnceLock<Option<hid_t>> = OnceLock::new();
    *DRIVER.get_or_init(|| {
        let (mut major, mut minor, mut release) = (0, 0, 0);
        // SAFETY: three places to write to; then a class as the series 1.14 has it, which the
        // library copies. Its name is static.
        let id = hdf5::sync::sync(|| unsafe {
            H5get_libversion(&mut major, &mut minor, &mut release);
            if (major, minor) == (1, 14) { H5FDregister(&CLASS) } else { -1 }
        });
        (id >= 0).then_some(id)
    })
}

unsafe extern "C" {
    fn H5FDregister(class: *const Class) -> hid_t;
}

/// `H5FD_class_t` of HDF5 1.14 (`H5FDdevelop.h`, version 1), with what we leave out as plain
/// pointers.
#[repr(C)]
struct Class {
    version: c_uint,
    value: c_int,
    name: *const c_char,
    max_address: haddr_t,
    close_degree: c_int,
    terminate: Absent,
    superblock: [Absent; 3],
    access_size: usize,
    access: [Absent; 3],
    transfer_size: usize,
    transfer: [Absent; 2],
    open: unsafe extern "C" fn(*const c_char, c_uint, hid_t, haddr_t) -> *mut Open,
    close: unsafe extern "C" fn(*mut Open) -> herr_t,
    compare: unsafe extern "C" fn(*const Open, *const Open) -> c_int,
    query: unsafe extern "C" fn(*const Open, *mut c_ulong) -> herr_t,
    type_map: Absent,
    allocate: Absent,
    free: Absent,
    end_of_addresses: unsafe extern "C" fn(*const Open, c_int) -> haddr_t,
    set_end_of_addresses: unsafe extern "C" fn(*mut Open, c_int, haddr_t) -> herr_t,
    end_of_file: unsafe extern "C" fn(*const Open, c_int) -> haddr_t,
    handle: Absent,
    read: unsafe extern "C" fn(*mut Open, c_int, hid_t, haddr_t, usize, *mut c_void) -> herr_t,
    write: unsafe extern "C" fn(*mut Open, c_int, hid_t, haddr_t, usize, *const c_void) -> herr_t,
    vectors_and_selections: [Absent; 4],
    flush: Absent,
    truncate: unsafe extern "C" fn(*mut Open, hid_t, bool) -> herr_t,
    lock: [Absent; 2],
    delete: Absent,
    control: Absent,
    free_lists: [c_int; 7],
}

/// A function that is not there.
type Absent = Option<unsafe extern "C" fn()>;

// SAFETY: constants and functions; nothing in it changes.
unsafe impl Sync for Class {}

static CLASS: Class = Class {
    version: 1,
    value: 0x1c7, // from 256 on they are free
    name: c"cytograd".as_ptr(),
    max_address: i64::MAX as haddr_t,
    close_degree: 1, // the file stays open while something of it is (H5F_CLOSE_WEAK)
    terminate: None,
    superblock: [None; 3],
    access_size: 0,
    access: [None; 3],
    transfer_size: 0,
    transfer: [None; 2],
    open: open_file,
    close,
    compare,
    query,
    type_map: None,
    allocate: None,
    free: None,
    end_of_addresses,
    set_end_of_addresses,
    end_of_file,
    handle: None,
    read,
    write,
    vectors_and_selections: [None; 4],
    flush: None,
    truncate,
    lock: [None; 2],
    delete: None,
    control: None,
    free_lists: [0; 7], // each kind of block by itself
};

/// `H5FD_t` of HDF5 1.14: the library's own fields, which it fills.
#[repr(C)]
struct Public {
    driver: hid_t,
    class: *const c_void,
    serial: c_ulong,
    access_flags: c_uint,
    feature_flags: c_ulong,
    max_address: haddr_t,
    base: haddr_t,
    threshold: hsize_t,
    alignment: hsize_t,
    paged: bool,
}

/// An open file, as the library knows it.
#[repr(C)]
struct Open {
    public: Public,
    file: std::fs::File,
    /// Device and number on it: two names of one file are one file.
    id: (u64, u64),
    writable: bool,
    path: PathBuf,
    /// Metadata that the file could not take, by address; nothing else goes there then.
    kept: Option<BTreeMap<u64, Vec<u8>>>,
    /// Where the addresses end that the file's own header knows.
    end_of_addresses: haddr_t,
    length: u64,
    guard: Guard,
}

/// Fails, and leaves the reason where the library's errors are collected.
fn fail(why: &str) -> herr_t {
    let why = CString::new(why.replace('\0', " ")).unwrap_or_default();
    // SAFETY: texts that end in zero, classes of errors that the library gave; the message is an
    // argument, never the format.
    unsafe {
        H5Epush2(
            H5E_DEFAULT,
            c"driver.rs".as_ptr(),
            c"cytograd".as_ptr(),
            line!(),
            *globals::H5E_ERR_CLS,
            *globals::H5E_VFL,
            *globals::H5E_READERROR,
            c"%s".as_ptr(),
            why.as_ptr(),
        );
    }
    -1
}

/// # Safety
/// `name` ends in zero.
unsafe extern "C" fn open_file(name: *const c_char, flags: c_uint, _list: hid_t, _max: haddr_t) -> *mut Open {
    // SAFETY: by contract of the caller.
    let name = unsafe { CStr::from_ptr(name) };
    let path = Path::new(OsStr::from_bytes(name.to_bytes()));
    let writable = flags & H5F_ACC_RDWR != 0;
    let (create, truncate) = (flags & H5F_ACC_CREAT != 0, flags & H5F_ACC_TRUNC != 0);
    let mut options = std::fs::OpenOptions::new();
    let opened =
        options.read(true).write(writable).create(create && writable).truncate(truncate && writable).open(path);
    match opened.and_then(|file| file.metadata().map(|meta| (file, meta))) {
        Ok((file, meta)) => Box::into_raw(Box::new(Open {
            // SAFETY: numbers and a pointer, for which zero is a value.
            public: unsafe { std::mem::zeroed() },
            file,
            id: (meta.dev(), meta.ino()),
            writable,
            path: path.to_owned(),
            kept: None,
            end_of_addresses: 0,
            length: meta.len(),
            guard: Guard::new(writable),
        })),
        Err(error) => {
            fail(&error.to_string());
            std::ptr::null_mut()
        }
    }
}

/// # Safety
/// `open` was given by `open_file` and is not used again. (In all that follows: it was given by
/// `open_file` and is not closed; the library calls under its lock.)
unsafe extern "C" fn close(open: *mut Open) -> herr_t {
    // SAFETY: by contract of the caller.
    drop(unsafe { Box::from_raw(open) });
    0
}

unsafe extern "C" fn compare(a: *const Open, b: *const Open) -> c_int {
    // SAFETY: by contract of the caller.
    unsafe { (*a).id.cmp(&(*b).id) as c_int }
}

/// Also asked of the driver itself, with no file.
unsafe extern "C" fn query(open: *const Open, flags: *mut c_ulong) -> herr_t {
    // SAFETY: by contract of the caller; `flags` may be absent.
    let (writable, flags) = unsafe { (open.as_ref().is_some_and(|open| open.writable), flags.as_mut()) };
    let mut able = H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    if writable {
        // Without them blocks come one by one, and the metadata cache keeps them.
        able |= H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA;
    }
    if let Some(flags) = flags {
        *flags = c_ulong::from(able);
    }
    0
}

unsafe extern "C" fn end_of_addresses(open: *const Open, _kind: c_int) -> haddr_t {
    // SAFETY: by contract of the caller.
    unsafe { (*open).end_of_addresses }
}

unsafe extern "C" fn set_end_of_addresses(open: *mut Open, _kind: c_int, end: haddr_t) -> herr_t {
    // SAFETY: by contract of the caller.
    unsafe { (*open).end_of_addresses = end };
    0
}

unsafe extern "C" fn end_of_file(open: *const Open, _kind: c_int) -> haddr_t {
    // SAFETY: by contract of the caller.
    unsafe { (*open).length }
}

/// `size` bytes at `address` into `buffer`; zeros after the end of the file.
unsafe extern "C" fn read(
    open: *mut Open,
    _kind: c_int,
    _transfer: hid_t,
    address: haddr_t,
    size: usize,
    buffer: *mut c_void,
) -> herr_t {
    // SAFETY: by contract of the caller.
    let open = unsafe { &mut *open };
    // A damaged header may declare gigabytes, which would be ours as soon as they are touched. Small
    // blocks may reach past the end of a file: the library says better what is wrong then.
    if size as u64 > open.length.max(SMALL) {
        return fail(&format!("a block of {size} bytes at byte {address} of a file of {}", open.length));
    }
    // SAFETY: `buffer` has room for `size` bytes, which it may not have written yet: they are zeroed
    // before they are a slice of bytes.
    let block = unsafe {
        std::ptr::write_bytes(buffer.cast::<u8>(), 0, size);
        std::slice::from_raw_parts_mut(buffer.cast::<u8>(), size)
    };
    if let Err(error) = fill(&open.file, address, block) {
        return fail(&error.to_string());
    }
    open.add_kept(address, block);
    let bytes = |at: u64, into: &mut [u8]| {
        into.fill(0);
        let _ = fill(&open.file, at, into); // what cannot be read is zeros, which no guard lets through
    };
    match open.guard.check(address, block, &bytes) {
        Ok(()) => 0,
        Err(why) => fail(&why),
    }
}

/// What the file has of `block`.
fn fill(file: &std::fs::File, address: u64, mut block: &mut [u8]) -> std::io::Result<()> {
    let mut at = address;
    while !block.is_empty() {
        match file.read_at(block, at) {
            Ok(0) => break,
            Ok(n) => {
                block = &mut block[n..];
                at += n as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

unsafe extern "C" fn write(
    open: *mut Open,
    kind: c_int,
    _transfer: hid_t,
    address: haddr_t,
    size: usize,
    buffer: *const c_void,
) -> herr_t {
    // SAFETY: by contract of the caller; `buffer` has `size` bytes.
    let (open, block) = unsafe { (&mut *open, std::slice::from_raw_parts(buffer.cast::<u8>(), size)) };
    if open.kept.is_none()
        && let Err(error) = open.file.write_all_at(block, address)
    {
        open.give_up(error);
    }
    if let Some(kept) = &mut open.kept
        && kind != DATA
    {
        kept.insert(address, block.to_owned());
    }
    open.length = open.length.max(address.saturating_add(size as u64));
    0
}

/// `H5FD_MEM_DRAW`: elements of arrays, which may be many.
const DATA: c_int = 3;

impl Open {
    /// Writes into memory from now on.
    fn give_up(&mut self, error: std::io::Error) {
        self.kept = Some(BTreeMap::new());
        FAULTS.lock().unwrap_or_else(PoisonError::into_inner).entry(self.path.clone()).or_insert(error);
    }

    /// Puts what the file could not take over what was read from it.
    fn add_kept(&self, address: u64, block: &mut [u8]) {
        let end = address + block.len() as u64;
        for (&from, bytes) in self.kept.iter().flat_map(|kept| kept.range(..end)) {
            let (first, last) = (from.max(address), (from + bytes.len() as u64).min(end));
            if first < last {
                block[(first - address) as usize..(last - address) as usize]
                    .copy_from_slice(&bytes[(first - from) as usize..(last - from) as usize]);
            }
        }
    }
}

/// Ends the file where its addresses end.
unsafe extern "C" fn truncate(open: *mut Open, _transfer: hid_t, _closing: bool) -> herr_t {
    // SAFETY: by contract of the caller.
    let open = unsafe { &mut *open };
    if open.kept.is_none()
        && open.end_of_addresses != open.length
        && let Err(error) = open.file.set_len(open.end_of_addresses)
    {
        open.give_up(error);
    }
    open.length = open.end_of_addresses;
    0
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// A device on which no byte finds room.
    #[test]
    fn a_full_disk_is_told_when_asked_for_and_the_library_goes_on() {
        let path = Path::new("/dev/full");
        let file = create(path).unwrap();
        let values: Vec<u32> = (0..300_000u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        for name in ["a", "b"] {
            let packed = file.new_dataset::<u32>().shuffle().deflate(4).chunk(1 << 14).shape(values.len());
            packed.create(name).unwrap().write_raw(&values).unwrap();
        }
        let group = file.create_group("group").unwrap();
        group.new_attr::<i64>().shape([2]).create("shape").unwrap().write_raw(&[1i64, 2]).unwrap();
        assert_eq!(group.attr("shape").unwrap().read_raw::<i64>().unwrap(), [1, 2]);
        drop(group);
        file.flush().unwrap();
        file.close().unwrap();
        assert_eq!(fault(path).unwrap().kind(), ErrorKind::StorageFull);
        assert!(fault(path).is_none());
    }
}

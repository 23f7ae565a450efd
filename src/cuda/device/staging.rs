//! Copies to the device through page-locked memory, so that the program goes on while they run.

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

/// Bytes of a chunk.
const CHUNK: usize = 2 << 20;
/// Chunks that are filled in turn.
const CHUNKS: usize = 4;

/// A ring of chunks. Small copies share one; a chunk is filled again when the device has passed the
/// event behind its last copy.
#[derive(Default)]
pub(super) struct Staging {
    chunks: Vec<Chunk>,
    /// The chunk being filled, and how far.
    current: usize,
    used: usize,
    /// While a recording is made: the source of each of its copies.
    kept: Option<Vec<Pinned>>,
}

/// Page-locked memory.
pub(super) struct Pinned(*mut u8);

// SAFETY: page-locked memory belongs to the process.
unsafe impl Send for Pinned {}
// SAFETY: nobody writes to it while it is shared.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// # Safety
    /// A context is current.
    unsafe fn new(bytes: usize) -> Result<Self, DriverError> {
        // SAFETY: the caller's promise.
        Ok(Pinned(unsafe { result::malloc_host(bytes, 0)? }.cast()))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: allocated once, freed once; freeing waits for copies that read it.
        let _ = unsafe { result::free_host(self.0.cast()) };
    }
}

struct Chunk {
    memory: Pinned,
    /// Recorded when the chunk was left.
    event: sys::CUevent,
    pending: bool,
}

// SAFETY: events belong to the process.
unsafe impl Send for Staging {}

impl Staging {
    /// Copies `src` to `address` in stream order; `src` may be reused when this returns.
    ///
    /// # Safety
    /// The context is current; `address` is live memory of at least the length of `src`.
    pub(super) unsafe fn upload(&mut self, stream: sys::CUstream, address: u64, src: &[u8]) -> Result<(), DriverError> {
        if self.kept.is_some() {
            // SAFETY: the caller's promises.
            return unsafe { self.upload_kept(stream, address, src) };
        }
        let mut done = 0;
        while done < src.len() {
            // SAFETY: the caller's promises; a chunk has CHUNK bytes, of which those from `used` on are
            // free: an earlier copy of them has been waited for.
            unsafe {
                if self.used == CHUNK {
                    self.leave(stream)?;
                }
                let memory = self.chunk()?;
                let n = (src.len() - done).min(CHUNK - self.used);
                let place = memory.add(self.used);
                place.copy_from_nonoverlapping(src[done..].as_ptr(), n);
                let part = std::slice::from_raw_parts(place, n);
                result::memcpy_htod_async(address + done as u64, part, stream)?;
                self.used = (self.used + n).next_multiple_of(64).min(CHUNK);
                done += n;
            }
        }
        Ok(())
    }

    /// From here on copies are recorded: each has a source of its own that stays.
    pub(super) fn keep(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// Ends it; the sources of the recorded copies.
    pub(super) fn kept(&mut self) -> Vec<Pinned> {
        self.kept.take().unwrap_or_default()
    }

    /// # Safety
    /// As for `upload`.
    unsafe fn upload_kept(&mut self, stream: sys::CUstream, address: u64, src: &[u8]) -> Result<(), DriverError> {
        if src.is_empty() {
            return Ok(());
        }
        // SAFETY: the caller's promises; the source is as large as what it is to hold, and stays with
        // the recording.
        unsafe {
            let pinned = Pinned::new(src.len())?;
            pinned.0.copy_from_nonoverlapping(src.as_ptr(), src.len());
            result::memcpy_htod_async(address, std::slice::from_raw_parts(pinned.0, src.len()), stream)?;
            self.kept.get_or_insert_default().push(pinned);
        }
        Ok(())
    }

    /// The chunk being filled, free from `used` on.
    ///
    /// # Safety
    /// The context is current.
    unsafe fn chunk(&mut self) -> Result<*mut u8, DriverError> {
        // SAFETY: plain calls of the driver on handles of our own.
        unsafe {
            if self.current == self.chunks.len() {
                let event = result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)?;
                let memory = Pinned::new(CHUNK)?;
                self.chunks.push(Chunk { memory, event, pending: false });
            }
            let chunk = &mut self.chunks[self.current];
            if chunk.pending {
                result::event::synchronize(chunk.event)?;
                chunk.pending = false;
            }
            Ok(chunk.memory.0)
        }
    }

    /// Goes on to the next chunk.
    ///
    /// # Safety
    /// The context is current.
    unsafe fn leave(&mut self, stream: sys::CUstream) -> Result<(), DriverError> {
        let chunk = &mut self.chunks[self.current];
        // SAFETY: an event of our own.
        unsafe { result::event::record(chunk.event, stream)? };
        chunk.pending = true;
        self.current = (self.current + 1) % CHUNKS;
        self.used = 0;
        Ok(())
    }

    /// Gives everything back.
    ///
    /// # Safety
    /// The context is current and no copy runs.
    pub(super) unsafe fn free(&mut self) {
        for chunk in self.chunks.drain(..) {
            // SAFETY: made once, given back once.
            let _ = unsafe { result::event::destroy(chunk.event) };
        }
        *self = Staging::default();
    }
}

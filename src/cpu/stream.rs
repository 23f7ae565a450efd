//! Writing more than the caches hold: stores that go past them, so that no line is read before it
//! is overwritten. A large map then moves a quarter to a half less memory.

use bytemuck::Pod;

/// Outputs of this many words and more are streamed: they would push everything else out of the
/// caches, and their reader comes when their start has left them anyway.
pub const STREAM: usize = 4 << 20;

/// Words that are computed in the first cache and then streamed.
const CHUNK: usize = 2048;

/// Fills `out` by calling `f(first, chunk)` on pieces of a buffer, which are then streamed to their
/// place. `T` has 4 bytes.
pub fn stream<T: Pod>(out: &mut [T], mut f: impl FnMut(usize, &mut [T])) {
    let mut buffer = [T::zeroed(); CHUNK];
    // Up to the first cache line the ordinary way, so that chunks begin and end with whole lines.
    let lead = out.as_ptr().align_offset(64).min(out.len());
    f(0, &mut out[..lead]);
    let mut first = lead;
    for chunk in out[lead..].chunks_mut(CHUNK) {
        let values = &mut buffer[..chunk.len()];
        f(first, values);
        copy(chunk, values);
        first += chunk.len();
    }
    fence();
}

/// Copies `values` to `out`, which starts at a cache line, past the caches.
#[cfg(target_arch = "x86_64")]
fn copy<T: Pod>(out: &mut [T], values: &[T]) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
    let per = 16 / size_of::<T>();
    let (to, to_rest) = out.split_at_mut(out.len() / per * per);
    let (from, from_rest) = values.split_at(to.len());
    for (to, from) in to.chunks_exact_mut(per).zip(from.chunks_exact(per)) {
        let (to, from) = (to.as_mut_ptr().cast::<__m128i>(), from.as_ptr().cast::<__m128i>());
        debug_assert!(to.is_aligned());
        // SAFETY: both slices have 16 bytes, `to` is aligned to them because `out` is and steps are
        // of 16 bytes; every x86-64 processor has the instructions.
        unsafe { _mm_stream_si128(to, _mm_loadu_si128(from)) };
    }
    to_rest.copy_from_slice(from_rest);
}

#[cfg(not(target_arch = "x86_64"))]
fn copy<T: Pod>(out: &mut [T], values: &[T]) {
    out.copy_from_slice(values);
}

/// Makes streamed stores visible to other threads before what follows.
fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction.
    unsafe {
        std::arch::x86_64::_mm_sfence()
    };
}

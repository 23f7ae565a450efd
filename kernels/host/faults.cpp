// Kernels that are wrong, each in one way, and one that is right: the tests of the shim itself
// (tests/kernels/faults.rs, tests/kernels/sanitize.rs). All take n words and are launched with n threads
// and n words of shared memory; the right one reverses.

#include "../common.cuh"

KERNEL fault_none(u32 *out, u32 n) {
    SHARED(u32, words);
    words[threadIdx.x] = out[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = words[n - 1 - threadIdx.x];
}

KERNEL fault_missing_barrier(u32 *out, u32 n) {
    SHARED(u32, words);
    words[threadIdx.x] = out[threadIdx.x];
    out[threadIdx.x] = words[n - 1 - threadIdx.x];
}

KERNEL fault_divergent_barrier(u32 *out, u32 n) {
    if (threadIdx.x < n / 2) {
        __syncthreads();
        out[threadIdx.x] = 1;
    } else {
        __syncthreads();
        out[threadIdx.x] = 2;
    }
}

KERNEL fault_barrier_in_a_branch(u32 *out, u32 n) {
    if (threadIdx.x == 0) __syncthreads();
    if (threadIdx.x < 32) __syncwarp();
    out[threadIdx.x] = n;
}

KERNEL fault_shuffle_outside_the_mask(u32 *out, u32 n) {
    if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffffu, n, 20);
}

// The next three need the address sanitizer.
KERNEL fault_writes_past_the_end(u32 *out, u32 n) {
    if (threadIdx.x == n - 1) out[n] = n;
}

KERNEL fault_reads_past_the_end(u32 *out, u32 n) {
    out[threadIdx.x] = out[threadIdx.x + 1] + n;
}

KERNEL fault_reads_past_the_shared_memory(u32 *out, u32 n) {
    SHARED(u32, words);
    words[threadIdx.x] = n;
    __syncthreads();
    out[threadIdx.x] = words[threadIdx.x + 1];
}

ENTRY(fault_none)
ENTRY(fault_missing_barrier)
ENTRY(fault_divergent_barrier)
ENTRY(fault_barrier_in_a_branch)
ENTRY(fault_shuffle_outside_the_mask)
ENTRY(fault_writes_past_the_end)
ENTRY(fault_reads_past_the_end)
ENTRY(fault_reads_past_the_shared_memory)

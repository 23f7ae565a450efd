// Products of tiles in shared memory by a warp group's tensor cores (four warps): inputs rounded to TF32
// or bf16, sums in f32. Needs compute_90a; beside each instruction a plain form for the host, which reads
// shared memory through the descriptors as the device does.
//
// A tile is rows of 128 bytes, k ascending along a row: 32 elements of TF32 or 64 of bf16. It starts at a
// multiple of 1024 bytes. Its 16-byte pieces are swizzled within eight rows: piece c of row r lies where
// piece c ^ (r % 8) would, so that eight threads that write a row, or a column of pieces, meet all banks.
//
// One instruction adds to d [64, 128] the product of 64 rows of one tile and 128 rows of another over 32
// bytes of k. Warp w, lane l and register 4 j + 2 h + e hold row 16 w + l / 4 + 8 h, column
// 8 j + 2 (l % 4) + e.
#pragma once

#include "mma.cuh"

#define ROW_BYTES 128u
// Eight rows, within which pieces are swizzled.
#define PATTERN_BYTES 1024u

// Where piece `piece` (16 bytes) of row `row` lies in a tile, in bytes.
__device__ __forceinline__ u32 swizzled(u32 row, u32 piece) { return row * ROW_BYTES + ((piece ^ (row % 8)) * 16); }

// An address in shared memory as instructions take it. On the host: such that dynamic shared memory starts
// like behind 16 bytes of other variables.
__device__ __forceinline__ u32 address_in_shared(const void *p) {
#ifdef __CUDA_ARCH__
    return (u32)__cvta_generic_to_shared(p);
#else
    return (u32)((const unsigned char *)p - shim::shared) + 16;
#endif
}

// What the instructions know of a tile. Bits 0 to 13: where it starts; 16 to 29: from a pattern to the next
// one along k, of which there is one here, so that it is not used; 32 to 45: from a pattern to the next one
// along the rows; each in units of 16 bytes. 49 to 51: where in a pattern the tile starts, 0. 62, 63: the
// kind of swizzling, 1 for that of 128 bytes. Adding 32 / 16 goes on along k.
__device__ __forceinline__ u64 tile_at(u32 address) {
    return (u64)((address & 0x3ffffu) >> 4) | (u64)1 << 16 | (u64)(PATTERN_BYTES / 16) << 32 | (u64)1 << 62;
}
#define ALONG_K 2u

// Makes what this thread has written to shared memory visible to the tensor cores; a barrier follows.
__device__ __forceinline__ void show_to_tensor_cores() {
#ifdef __CUDA_ARCH__
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

#ifdef __CUDA_ARCH__
#define D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define D16(i) D4(i), D4(i + 4), D4(i + 8), D4(i + 12)
#define D64 D16(0), D16(16), D16(32), D16(48)
#define D64_NAMES                                                                              \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                  \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "         \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "         \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"
#endif

// The sums of a warp group, a thread's share of them. `begin`, some `multiply`, `end`; in between the
// registers and the tiles belong to the tensor cores.
template <class P>
struct WarpGroup {
    float d[64];

    __device__ __forceinline__ WarpGroup() {
#pragma unroll
        for (int i = 0; i < 64; ++i) d[i] = 0.0f;
    }

#ifdef __CUDA_ARCH__
    __device__ __forceinline__ void begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

    __device__ __forceinline__ void multiply(u64 a, u64 b);

    // After the last `multiply`, before other work.
    __device__ __forceinline__ void sent() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

    // The registers are named, so that nothing reads them before.
    __device__ __forceinline__ void end() { asm volatile("wgmma.wait_group.sync.aligned 0;" : D64 : : "memory"); }
#else
    // As late as the device might: at `end`. What was overwritten until then shows in the sums.
    u64 as[4], bs[4];
    int sent_off = 0;

    void begin() {}
    void multiply(u64 a, u64 b) {
        if (sent_off == 4) shim::fail("more products than the host's form keeps", __LINE__);
        as[sent_off] = a, bs[sent_off++] = b;
    }
    void sent() {}
    void end() {
        for (int i = 0; i < sent_off; ++i) add(as[i], bs[i]);
        sent_off = 0;
    }

    // The 32 bytes of row `row` behind a descriptor, piece by piece as it is swizzled.
    static void read(u32 *to, u64 descriptor, u32 row) {
        u32 start = (u32)(descriptor & 0x3fff) << 4, stride = (u32)(descriptor >> 32 & 0x3fff) << 4;
        if (descriptor >> 62 != 1 || descriptor >> 49 & 7) shim::fail("a descriptor of another layout", __LINE__);
        if (start & 0x380u) shim::fail("a tile that starts within a pattern", __LINE__);
        for (u32 piece = 0; piece < 2; ++piece) {
            u32 at = start + row / 8 * stride + row % 8 * ROW_BYTES + piece * 16;
            at ^= (at >> 7 & 7) << 4;
            std::memcpy(to + piece * 4, shim::shared + (at - 16), 16);
        }
    }

    void add(u64 a, u64 b) {
        u32 warp = shim::thread_number / 32 % 4, lane = shim::lane();
        u32 rows[2][8], col[8];
        for (u32 h = 0; h < 2; ++h) read(rows[h], a, 16 * warp + lane / 4 + 8 * h);
        for (u32 j = 0; j < 16; ++j)
            for (u32 e = 0; e < 2; ++e) {
                read(col, b, 8 * j + 2 * (lane % 4) + e);
                for (u32 h = 0; h < 2; ++h)
                    for (u32 k = 0; k < 8; ++k) P::multiply_add(d[4 * j + 2 * h + e], rows[h][k], col[k]);
            }
    }
#endif
};

#ifdef __CUDA_ARCH__
template <>
__device__ __forceinline__ void WarpGroup<Tf32>::multiply(u64 a, u64 b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k8.f32.tf32.tf32 " D64_NAMES ", %64, %65, 1, 1, 1;"
                 : D64
                 : "l"(a), "l"(b));
}
template <>
__device__ __forceinline__ void WarpGroup<Bf16>::multiply(u64 a, u64 b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " D64_NAMES ", %64, %65, 1, 1, 1, 0, 0;"
                 : D64
                 : "l"(a), "l"(b));
}
#endif

// The CUDA language on a host compiler: keywords, built-in variables and the intrinsics that the
// kernels use. Threads of a block are fibers on one host thread (see run.cpp); a thread becomes one
// only when it first waits at a barrier, so that kernels without barriers run as plain loops.
//
// For tests only: what a kernel computes here is what it must compute on a device, bit for bit.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __shared__ static
#define __constant__ static const
#define __grid_constant__
#define __restrict__ __restrict
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define SHARED(T, name) T *name = reinterpret_cast<T *>(shim::shared)
#define ENTRY(name)                                                            \
    extern "C" __attribute__((visibility("default"))) void shim_##name(void **arguments) { \
        shim::call(name, arguments);                                           \
    }

struct dim3 {
    unsigned x, y, z;
};
typedef dim3 uint3;

namespace shim {
// Of the thread that runs.
extern dim3 thread_index, block_index, block_size, grid_size;
extern unsigned thread_number;
extern unsigned char *shared;

// Waits for the whole block; `line` tells one barrier from another.
void block_barrier(int line);
// Waits for the lanes of `mask` and hands `value` over: afterwards `lanes()[l]` is lane l's.
const uint64_t *warp_exchange(unsigned mask, uint64_t value, int line);
// Ends the launch with a message.
[[noreturn]] void fail(const char *message, int line);

inline unsigned lane() { return thread_number % 32; }

template <class... A, size_t... I>
inline void call_with(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
    kernel(*reinterpret_cast<std::remove_reference_t<A> *>(arguments[I])...);
}
template <class... A>
inline void call(void (*kernel)(A...), void **arguments) {
    call_with(kernel, arguments, std::index_sequence_for<A...>());
}

template <class T>
inline T exchange(unsigned mask, T value, unsigned from, int line) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a word or two");
    uint64_t word = 0;
    std::memcpy(&word, &value, sizeof(T));
    const uint64_t *lanes = warp_exchange(mask, word, line);
    if (!(mask >> from & 1)) fail("a shuffle reads a lane that is not in its mask", line);
    std::memcpy(&value, &lanes[from], sizeof(T));
    return value;
}
}  // namespace shim

#define threadIdx shim::thread_index
#define blockIdx shim::block_index
#define blockDim shim::block_size
#define gridDim shim::grid_size
#define warpSize 32
#define AT_LINE int line = __builtin_LINE()

// ---- barriers, shuffles, votes ----
inline void __syncthreads(AT_LINE) { shim::block_barrier(line); }
inline void __syncwarp(unsigned mask = 0xffffffffu, AT_LINE) { shim::warp_exchange(mask, 0, line); }
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
inline T __shfl_sync(unsigned mask, T v, int from, int width = 32, AT_LINE) {
    unsigned base = shim::lane() & ~(unsigned)(width - 1);
    return shim::exchange(mask, v, base + ((unsigned)from & (width - 1)), line);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T v, int with, int width = 32, AT_LINE) {
    unsigned lane = shim::lane(), from = lane ^ (unsigned)with;
    return shim::exchange(mask, v, from / width <= lane / width ? from : lane, line);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32, AT_LINE) {
    unsigned lane = shim::lane();
    return shim::exchange(mask, v, lane % width + by < (unsigned)width ? lane + by : lane, line);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32, AT_LINE) {
    unsigned lane = shim::lane();
    return shim::exchange(mask, v, lane % width >= by ? lane - by : lane, line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, AT_LINE) {
    const uint64_t *lanes = shim::warp_exchange(mask, predicate != 0, line);
    unsigned votes = 0;
    for (int l = 0; l < 32; ++l)
        if (mask >> l & 1 && lanes[l]) votes |= 1u << l;
    return votes;
}
inline int __any_sync(unsigned mask, int predicate, AT_LINE) { return __ballot_sync(mask, predicate, line) != 0; }
inline int __all_sync(unsigned mask, int predicate, AT_LINE) { return __ballot_sync(mask, predicate, line) == mask; }

// ---- arithmetic: each one IEEE operation, round to nearest even ----
inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return __builtin_sqrtf(a); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline double __fma_rn(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return __builtin_sqrt(a); }
inline float __double2float_rn(double a) { return (float)a; }
inline float __int2float_rn(int a) { return (float)a; }
inline float __uint2float_rn(unsigned a) { return (float)a; }
inline double __int2double_rn(int a) { return a; }
inline double __uint2double_rn(unsigned a) { return a; }

// Conversions to integers saturate and take NaN to 0, as on a device.
inline int __float2int_rz(float a) {
    return a != a ? 0 : a >= 2147483648.0f ? 2147483647 : a <= -2147483648.0f ? -2147483647 - 1 : (int)a;
}
inline int __float2int_rn(float a) { return __float2int_rz(__builtin_rintf(a)); }
inline int __float2int_rd(float a) { return __float2int_rz(__builtin_floorf(a)); }
inline unsigned __float2uint_rz(float a) {
    return !(a > 0.0f) ? 0u : a >= 4294967296.0f ? 4294967295u : (unsigned)a;
}
inline unsigned __float2uint_rn(float a) { return __float2uint_rz(__builtin_rintf(a)); }
inline int __double2int_rz(double a) {
    return a != a ? 0 : a >= 2147483647.0 ? 2147483647 : a <= -2147483648.0 ? -2147483647 - 1 : (int)a;
}
inline int __double2int_rn(double a) { return __double2int_rz(__builtin_rint(a)); }
inline unsigned __double2uint_rz(double a) {
    return !(a > 0.0) ? 0u : a >= 4294967295.0 ? 4294967295u : (unsigned)a;
}

namespace shim {
template <class To, class From>
inline To cast(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    std::memcpy(&to, &from, sizeof(To));
    return to;
}
}  // namespace shim
inline unsigned __float_as_uint(float a) { return shim::cast<unsigned>(a); }
inline int __float_as_int(float a) { return shim::cast<int>(a); }
inline float __uint_as_float(unsigned a) { return shim::cast<float>(a); }
inline float __int_as_float(int a) { return shim::cast<float>(a); }
inline long long __double_as_longlong(double a) { return shim::cast<long long>(a); }
inline double __longlong_as_double(long long a) { return shim::cast<double>(a); }
inline int __double2hiint(double a) { return (int)(shim::cast<unsigned long long>(a) >> 32); }
inline int __double2loint(double a) { return (int)shim::cast<unsigned long long>(a); }
inline double __hiloint2double(int hi, int lo) {
    return shim::cast<double>((unsigned long long)(unsigned)hi << 32 | (unsigned)lo);
}

// ---- integers ----
inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t)a * b >> 32; }
inline int __popc(unsigned a) { return __builtin_popcount(a); }
inline int __clz(int a) { return a ? __builtin_clz((unsigned)a) : 32; }
inline int __ffs(int a) { return __builtin_ffs(a); }
inline unsigned __brev(unsigned a) {
    unsigned r = 0;
    for (int i = 0; i < 32; ++i) r |= (a >> i & 1) << (31 - i);
    return r;
}
template <class T>
inline T __ldg(const T *p) { return *p; }
template <class T>
inline T min(T a, T b) { return b < a ? b : a; }
template <class T>
inline T max(T a, T b) { return a < b ? b : a; }

// Blocks run one after the other, so that an atomic operation is the plain one. Integers only.
template <class T, class F>
inline T shim_atomic(T *p, F f) {
    static_assert(std::is_integral<T>::value, "no floating-point atomics");
    T old = *p;
    *p = f(old);
    return old;
}
#define SHIM_ATOMIC(name, expression)                                  \
    template <class T>                                                 \
    inline T name(T *p, typename std::common_type<T>::type v) {        \
        return shim_atomic(p, [=](T old) -> T { return expression; }); \
    }
SHIM_ATOMIC(atomicAdd, old + v)
SHIM_ATOMIC(atomicSub, old - v)
SHIM_ATOMIC(atomicMax, old < v ? v : old)
SHIM_ATOMIC(atomicMin, v < old ? v : old)
SHIM_ATOMIC(atomicOr, old | v)
SHIM_ATOMIC(atomicAnd, old & v)
SHIM_ATOMIC(atomicExch, v)
template <class T>
inline T atomicCAS(T *p, T compare, T v) {
    return shim_atomic(p, [=](T old) -> T { return old == compare ? v : old; });
}

// ---- short vectors ----
#define SHIM_VECTORS(T, name)                                                     \
    struct __align__(2 * sizeof(T)) name##2 { T x, y; };                          \
    struct name##3 { T x, y, z; };                                                \
    struct __align__(16) name##4 { T x, y, z, w; };                               \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                    \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
SHIM_VECTORS(float, float)
SHIM_VECTORS(int, int)
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
struct __align__(16) double2 { double x, y; };
inline double2 make_double2(double x, double y) { return {x, y}; }

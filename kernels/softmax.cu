// Softmax, its logarithm, log-sum-exp, cross-entropy and its gradient, row by row. Mirror of
// src/reference/softmax.rs; equations and buffers in src/kernel/softmax.rs.
//
// Launch: along x, any grid of blocks of 256 threads. A row belongs to a part of a warp (`_short`, up
// to 32 values), a warp (`_warp`, up to 256), a block (`_block`, up to 2048; these hold the row in
// registers: one pass over memory) or a block that reads the row again (`_long`).
// Order of sums: lanes. Cost: 4 bytes read and written, one exponential per element.
#include "lanes.cuh"
#include "math.cuh"

struct SoftmaxParams {
    u32 offset, rows, n;
};
static_assert(sizeof(SoftmaxParams) == 12, "kernel::softmax::SoftmaxParams");
struct CrossEntropyParams {
    u32 logits_offset, targets_offset, upstream_offset, rows, n;
};
static_assert(sizeof(CrossEntropyParams) == 20, "kernel::softmax::CrossEntropyParams");

// A row's logits in registers, V of them per thread.
template <int V>
struct Logits {
    float v[V] = {};
    template <class Team>
    __device__ __forceinline__ Logits(const Team &team, const float *row, u32 n) {
        each_element<V>(team, n, [&](int slot, u32 i) { v[slot] = row[i]; });
    }
    __device__ __forceinline__ float at(int slot, u32) const { return v[slot]; }
    // From here on exponentials stand in the logits' place.
    template <class Team>
    __device__ __forceinline__ void raise(const Team &team, u32 n, float shift) {
        each_element<V>(team, n, [&](int slot, u32) { v[slot] = math::exp(v[slot] - shift); });
    }
    __device__ __forceinline__ float raised(int slot, u32, float) const { return v[slot]; }
};
// The same, read and computed again.
template <>
struct Logits<0> {
    const float *row;
    template <class Team>
    __device__ __forceinline__ Logits(const Team &, const float *row, u32) : row(row) {}
    __device__ __forceinline__ float at(int, u32 i) const { return row[i]; }
    template <class Team>
    __device__ __forceinline__ void raise(const Team &, u32, float) {}
    __device__ __forceinline__ float raised(int, u32 i, float shift) const { return math::exp(row[i] - shift); }
};

template <int V, class Team, class Row>
__device__ __forceinline__ float largest(Team &team, u32 n, const Row &x) {
    return by_lanes<Max, V>(team, n, [&](int slot, u32 i) { return x.at(slot, i); });
}

// `sum_j exp(x_j - shift)`, the exponentials not kept.
template <int V, class Team, class Row>
__device__ __forceinline__ float sum_exp(Team &team, u32 n, const Row &x, float shift) {
    return by_lanes<Sum, V>(team, n, [&](int slot, u32 i) { return math::exp(x.at(slot, i) - shift); });
}

template <int V, class Team, class Row>
__device__ __forceinline__ float sum_raised(Team &team, u32 n, const Row &x, float shift) {
    return by_lanes<Sum, V>(team, n, [&](int slot, u32 i) { return x.raised(slot, i, shift); });
}

template <int V, class Team>
__device__ __forceinline__ void softmax_softmax(Team team, const SoftmaxParams &p, const float *in, float *out) {
    for (; team.more(); team.row += team.step) {
        Logits<V> x(team, in + p.offset + team.index() * p.n, p.n);
        const float m = largest<V>(team, p.n, x);
        x.raise(team, p.n, m);
        const float sum = sum_raised<V>(team, p.n, x, m);
        float *y = out + team.index() * p.n;
        if (team.live())
            each_element<V>(team, p.n, [&](int slot, u32 i) { y[i] = x.raised(slot, i, m) / sum; });
    }
}

template <int V, class Team>
__device__ __forceinline__ void softmax_log(Team team, const SoftmaxParams &p, const float *in, float *out) {
    for (; team.more(); team.row += team.step) {
        const Logits<V> x(team, in + p.offset + team.index() * p.n, p.n);
        const float m = largest<V>(team, p.n, x);
        const float ln_sum = math::ln(sum_exp<V>(team, p.n, x, m));
        float *y = out + team.index() * p.n;
        if (team.live())
            each_element<V>(team, p.n, [&](int slot, u32 i) { y[i] = (x.at(slot, i) - m) - ln_sum; });
    }
}

template <int V, class Team>
__device__ __forceinline__ void softmax_lse(Team team, const SoftmaxParams &p, const float *in, float *out) {
    for (; team.more(); team.row += team.step) {
        const Logits<V> x(team, in + p.offset + team.index() * p.n, p.n);
        const float m = largest<V>(team, p.n, x);
        const float shift = math::abs(m) == math::infinity() ? 0.0f : m;
        const float y = math::ln(sum_exp<V>(team, p.n, x, shift)) + shift;
        if (team.live() && team.thread == 0) out[team.row] = y;
    }
}

template <int V, class Team>
__device__ __forceinline__ void softmax_cross_entropy(Team team, const CrossEntropyParams &p, const float *logits,
                                                      const float *targets, float *out) {
    for (; team.more(); team.row += team.step) {
        const Logits<V> x(team, logits + p.logits_offset + team.index() * p.n, p.n);
        const float *t = targets + p.targets_offset + team.index() * p.n;
        const float m = largest<V>(team, p.n, x);
        const float ln_sum = math::ln(sum_exp<V>(team, p.n, x, m));
        const float sum = by_lanes<Sum, V>(team, p.n, [&](int slot, u32 i) {
            return t[i] == 0.0f ? 0.0f : t[i] * ((x.at(slot, i) - m) - ln_sum);
        });
        if (team.live() && team.thread == 0) out[team.row] = 0.0f - sum;
    }
}

template <int V, class Team>
__device__ __forceinline__ void softmax_cross_entropy_grad(Team team, const CrossEntropyParams &p,
                                                           const float *logits, const float *targets,
                                                           const float *upstream, float *out) {
    for (; team.more(); team.row += team.step) {
        Logits<V> x(team, logits + p.logits_offset + team.index() * p.n, p.n);
        const float *t = targets + p.targets_offset + team.index() * p.n;
        const float weight = upstream[p.upstream_offset + team.index()];
        const float m = largest<V>(team, p.n, x);
        x.raise(team, p.n, m);
        const float sum = sum_raised<V>(team, p.n, x, m);
        const float all = by_lanes<Sum, V>(team, p.n, [&](int, u32 i) { return t[i]; });
        float *y = out + team.index() * p.n;
        if (team.live())
            each_element<V>(team, p.n, [&](int slot, u32 i) {
                const float probability = x.raised(slot, i, m) / sum;
                y[i] = weight * (probability * all - t[i]);
            });
    }
}

#define IN const float *__restrict__
#define OUT float *__restrict__
// The four kernels of an entry. LIST: its parameters after the params; GIVEN: the same as arguments.
#define ENTRIES(name, Params, LIST, ...)                                      \
    KERNEL name##_short(const Params p, LIST, u32 width) {                    \
        name<1>(SomeLanes(p.rows, width), p, __VA_ARGS__);                    \
    }                                                                         \
    KERNEL name##_warp(const Params p, LIST) { name<8>(Warp(p.rows), p, __VA_ARGS__); } \
    KERNEL name##_block(const Params p, LIST) {                               \
        __shared__ float shared[512];                                         \
        name<8>(Block(p.rows, shared), p, __VA_ARGS__);                       \
    }                                                                         \
    KERNEL name##_long(const Params p, LIST) {                                \
        __shared__ float shared[512];                                         \
        name<0>(Block(p.rows, shared), p, __VA_ARGS__);                       \
    }                                                                         \
    ENTRY(name##_short)                                                       \
    ENTRY(name##_warp)                                                        \
    ENTRY(name##_block)                                                       \
    ENTRY(name##_long)

#define ONE_INPUT IN x, OUT out
#define TWO_INPUTS IN logits, IN targets, OUT out
#define THREE_INPUTS IN logits, IN targets, IN upstream, OUT out
ENTRIES(softmax_softmax, SoftmaxParams, ONE_INPUT, x, out)
ENTRIES(softmax_log, SoftmaxParams, ONE_INPUT, x, out)
ENTRIES(softmax_lse, SoftmaxParams, ONE_INPUT, x, out)
ENTRIES(softmax_cross_entropy, CrossEntropyParams, TWO_INPUTS, logits, targets, out)
ENTRIES(softmax_cross_entropy_grad, CrossEntropyParams, THREE_INPUTS, logits, targets, upstream, out)

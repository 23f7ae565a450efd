// Maps over strided views: functions of one and of two values, select, fill. Mirror of
// src/reference/elementwise.rs; functions and buffers in src/kernel/elementwise.rs.
//
// Launch: any grid along x of blocks of 256 threads. Three ways to read, chosen by the planner:
// `_flat` where all operands are contiguous (four elements per thread, 16 bytes at a time where the
// offset allows), `_rows` where the views are rows and columns once their axes are merged (a
// broadcast bias, a transpose, a slice), `_strided` for any layout. The output is contiguous.
// Functions of one value come in three kernels, so that the light ones do not hold the registers of
// the heavy ones; the function is chosen outside the loop. Sums: none.
// Cost: 4 bytes per input and output element.
#include "math.cuh"

struct UnaryParams {
    u32 op;
    float a, b;
    Layout x;
};
static_assert(sizeof(UnaryParams) == 64, "kernel::elementwise::UnaryParams");
struct BinaryParams {
    u32 op;
    Layout x, y;
};
static_assert(sizeof(BinaryParams) == 108, "kernel::elementwise::BinaryParams");
struct SelectParams {
    Layout cond, x, y;
};
static_assert(sizeof(SelectParams) == 156, "kernel::elementwise::SelectParams");
struct FillParams {
    u32 bits, n;
};
static_assert(sizeof(FillParams) == 8, "kernel::elementwise::FillParams");

// kernel::elementwise::Unary
enum Unary : u32 {
    NEG, ABS, SIGN, SQRT, RSQRT, RECIP, SQUARE, EXP, EXPM1, LN, LOG1P, SIN, COS, TANH, SIGMOID, LOG_SIGMOID,
    SOFTPLUS, ERF, LGAMMA, DIGAMMA, TRIGAMMA, RELU, LEAKY_RELU, ELU, ADD_SCALAR, MUL_SCALAR, POW_SCALAR, CLAMP,
    STEP, ELU_SLOPE, IN_RANGE, FROM_U32
};
// kernel::elementwise::Binary
enum Binary : u32 { ADD, SUB, MUL, DIV, MAX, MIN, POW, GT, GE, LT, LE, EQ, NE };

// ---- the ways to read: each is called with the function of the words, one per operand ----

// Four words from an address that may not be a multiple of 16.
__device__ __forceinline__ uint4 load4(const u32 *x, bool whole) {
    if (whole) return *(const uint4 *)x;
    return make_uint4(x[0], x[1], x[2], x[3]);
}

// Contiguous operands. A thread takes U = 4 elements at a time, or one where a function is so long
// that its code four times over would only fill the instruction cache.
template <int N, int U>
struct Flat {
    u64 n;
    const u32 *x[N];
    u32 *out;
    template <class F>
    __device__ __forceinline__ void operator()(F f) const;
};
template <int N, int U>
template <class F>
__device__ __forceinline__ void Flat<N, U>::operator()(F f) const {
    if constexpr (U == 1) {
        SWEEP(i, n) {
            u32 v[N];
#pragma unroll
            for (int k = 0; k < N; ++k) v[k] = x[k][i];
            out[i] = f(v);
        }
    } else {
        bool whole[N];
#pragma unroll
        for (int k = 0; k < N; ++k) whole[k] = ((size_t)x[k] & 15) == 0;
        const u64 quads = n / 4;
        SWEEP(q, quads) {
            uint4 v[N];
#pragma unroll
            for (int k = 0; k < N; ++k) v[k] = load4(x[k] + 4 * q, whole[k]);
            u32 a[N], b[N], c[N], d[N];
#pragma unroll
            for (int k = 0; k < N; ++k) {
                a[k] = v[k].x;
                b[k] = v[k].y;
                c[k] = v[k].z;
                d[k] = v[k].w;
            }
            *(uint4 *)(out + 4 * q) = make_uint4(f(a), f(b), f(c), f(d));
        }
        const u64 last = 4 * quads + grid_index();
        if (last < n) {
            u32 v[N];
#pragma unroll
            for (int k = 0; k < N; ++k) v[k] = x[k][last];
            out[last] = f(v);
        }
    }
}

// Views of rows and columns. `i / columns` is `umulhi(i, magic) >> shift` for every i < n, n at most
// 2^31; a magic of 0 stands for one column.
template <int N, int U>
struct Rows {
    u64 n;
    const u32 *x[N];
    u32 *out;
    u32 columns, magic, shift;
    // Of a row and of a column, for each operand.
    i32 strides[2 * N];
    template <class F>
    __device__ __forceinline__ void operator()(F f) const;
};
template <int N, int U>
template <class F>
__device__ __forceinline__ void Rows<N, U>::operator()(F f) const {
    // The elements of a thread are a block apart: each load of a warp reads one line.
    const u32 chunk = U * blockDim.x;
    for (u64 first = (u64)blockIdx.x * chunk + threadIdx.x; first < n; first += (u64)gridDim.x * chunk) {
        u32 v[U][N];
#pragma unroll
        for (int j = 0; j < U; ++j) {
            const u64 i = first + j * blockDim.x;
            if (i < n) {
                const u32 row = magic == 0 ? (u32)i : __umulhi((u32)i, magic) >> shift;
                const u32 column = (u32)i - row * columns;
#pragma unroll
                for (int k = 0; k < N; ++k)
                    v[j][k] = x[k][(i64)row * strides[2 * k] + (i64)column * strides[2 * k + 1]];
            }
        }
#pragma unroll
        for (int j = 0; j < U; ++j) {
            const u64 i = first + j * blockDim.x;
            if (i < n) out[i] = f(v[j]);
        }
    }
}

template <int N>
struct Strided {
    u64 n;
    const u32 *x[N];
    u32 *out;
    const Layout *layouts[N];
    template <class F>
    __device__ __forceinline__ void operator()(F f) const;
};
template <int N>
template <class F>
__device__ __forceinline__ void Strided<N>::operator()(F f) const {
    SWEEP(i, n) {
        u32 v[N];
#pragma unroll
        for (int k = 0; k < N; ++k) v[k] = x[k][place(*layouts[k], i)];
        out[i] = f(v);
    }
}

// ---- functions ----

// Calls `with` with the function that `op` names: the loop stands inside each case.
#define CASE(name, expression)                                                                             \
    case name:                                                                                             \
        with([=](const u32 *v) { const float x = float_of(v[0]); return bits_of(expression); });           \
        break;

template <class With>
__device__ __forceinline__ void unary_light(u32 op, float a, float b, With with) {
    switch (op) {
        CASE(NEG, -x)
        CASE(ABS, math::abs(x))
        CASE(SIGN, x > 0.0f ? 1.0f : (x < 0.0f ? -1.0f : 0.0f))
        CASE(SQRT, __fsqrt_rn(x))
        CASE(RSQRT, 1.0f / __fsqrt_rn(x))
        CASE(RECIP, 1.0f / x)
        CASE(SQUARE, x * x)
        CASE(RELU, math::relu(x))
        CASE(LEAKY_RELU, math::leaky_relu(x, a))
        CASE(ADD_SCALAR, x + a)
        CASE(MUL_SCALAR, x * a)
        CASE(CLAMP, x < a ? a : (x > b ? b : x))
        CASE(STEP, x > 0.0f ? 1.0f : a)
        CASE(ELU_SLOPE, x > 0.0f ? 1.0f : x + a)
        CASE(IN_RANGE, a <= x && x <= b ? 1.0f : 0.0f)
        CASE(FROM_U32, __uint2float_rn(bits_of(x)))
    }
}

template <class With>
__device__ __forceinline__ void unary_smooth(u32 op, float a, float, With with) {
    switch (op) {
        CASE(EXP, math::exp(x))
        CASE(EXPM1, math::expm1(x))
        CASE(LN, math::ln(x))
        CASE(LOG1P, math::log1p(x))
        CASE(TANH, math::tanh(x))
        CASE(SIGMOID, math::sigmoid(x))
        CASE(LOG_SIGMOID, math::log_sigmoid(x))
        CASE(SOFTPLUS, math::softplus(x))
        CASE(ERF, math::erf(x))
        CASE(ELU, math::elu(x, a))
    }
}

template <class With>
__device__ __forceinline__ void unary_heavy(u32 op, float a, float, With with) {
    switch (op) {
        CASE(SIN, math::sin(x))
        CASE(COS, math::cos(x))
        CASE(LGAMMA, math::lgamma(x))
        CASE(DIGAMMA, math::digamma(x))
        CASE(TRIGAMMA, math::trigamma(x))
        CASE(POW_SCALAR, math::pow(x, a))
    }
}
#undef CASE

#define CASE(name, expression)                                                                             \
    case name:                                                                                             \
        with([=](const u32 *v) {                                                                           \
            const float x = float_of(v[0]), y = float_of(v[1]);                                            \
            return bits_of(expression);                                                                    \
        });                                                                                                \
        break;

template <class With>
__device__ __forceinline__ void binary_light(u32 op, With with) {
    switch (op) {
        CASE(ADD, x + y)
        CASE(SUB, x - y)
        CASE(MUL, x * y)
        CASE(DIV, x / y)
        CASE(MAX, x > y || is_nan(x) ? x : y)
        CASE(MIN, x < y || is_nan(x) ? x : y)
        CASE(GT, x > y ? 1.0f : 0.0f)
        CASE(GE, x >= y ? 1.0f : 0.0f)
        CASE(LT, x < y ? 1.0f : 0.0f)
        CASE(LE, x <= y ? 1.0f : 0.0f)
        CASE(EQ, x == y ? 1.0f : 0.0f)
        CASE(NE, x != y ? 1.0f : 0.0f)
    }
}

template <class With>
__device__ __forceinline__ void binary_heavy(u32 op, With with) {
    switch (op) { CASE(POW, math::pow(x, y)) }
}
#undef CASE

// ---- kernels ----

#define UNARY_KERNELS(class, U, R)                                                                            \
    KERNEL elementwise_unary_##class##_flat(const UnaryParams p, const u32 *__restrict__ x,                \
                                            u32 *__restrict__ out) {                                       \
        unary_##class(p.op, p.a, p.b, Flat<1, U>{length(p.x), {x + p.x.offset}, out});                     \
    }                                                                                                      \
    KERNEL elementwise_unary_##class##_rows(const UnaryParams p, const u32 *__restrict__ x,                \
                                            u32 *__restrict__ out, u32 columns, u32 magic, u32 shift,      \
                                            i32 row, i32 column) {                                         \
        unary_##class(p.op, p.a, p.b,                                                                      \
                      Rows<1, R>{length(p.x), {x + p.x.offset}, out, columns, magic, shift, {row, column}});\
    }                                                                                                      \
    KERNEL elementwise_unary_##class##_strided(const UnaryParams p, const u32 *__restrict__ x,             \
                                               u32 *__restrict__ out) {                                    \
        unary_##class(p.op, p.a, p.b, Strided<1>{length(p.x), {x}, out, {&p.x}});                          \
    }                                                                                                      \
    ENTRY(elementwise_unary_##class##_flat)                                                                \
    ENTRY(elementwise_unary_##class##_rows)                                                                \
    ENTRY(elementwise_unary_##class##_strided)

UNARY_KERNELS(light, 4, 4)
UNARY_KERNELS(smooth, 4, 1)
UNARY_KERNELS(heavy, 1, 1)

#define BINARY_KERNELS(class, U)                                                                           \
    KERNEL elementwise_binary_##class##_flat(const BinaryParams p, const u32 *__restrict__ x,              \
                                             const u32 *__restrict__ y, u32 *__restrict__ out) {           \
        binary_##class(p.op, Flat<2, U>{length(p.x), {x + p.x.offset, y + p.y.offset}, out});              \
    }                                                                                                      \
    KERNEL elementwise_binary_##class##_rows(const BinaryParams p, const u32 *__restrict__ x,              \
                                             const u32 *__restrict__ y, u32 *__restrict__ out,             \
                                             u32 columns, u32 magic, u32 shift, i32 x_row, i32 x_column,   \
                                             i32 y_row, i32 y_column) {                                    \
        binary_##class(p.op, Rows<2, U>{length(p.x), {x + p.x.offset, y + p.y.offset}, out, columns, magic,\
                                     shift, {x_row, x_column, y_row, y_column}});                          \
    }                                                                                                      \
    KERNEL elementwise_binary_##class##_strided(const BinaryParams p, const u32 *__restrict__ x,           \
                                                const u32 *__restrict__ y, u32 *__restrict__ out) {        \
        binary_##class(p.op, Strided<2>{length(p.x), {x, y}, out, {&p.x, &p.y}});                          \
    }                                                                                                      \
    ENTRY(elementwise_binary_##class##_flat)                                                               \
    ENTRY(elementwise_binary_##class##_rows)                                                               \
    ENTRY(elementwise_binary_##class##_strided)

BINARY_KERNELS(light, 4)
BINARY_KERNELS(heavy, 1)

// NaN counts as true. Words are moved as they are.
struct Choose {
    __device__ __forceinline__ u32 operator()(const u32 *v) const { return float_of(v[0]) != 0.0f ? v[1] : v[2]; }
};

KERNEL elementwise_select_flat(const SelectParams p, const u32 *__restrict__ cond, const u32 *__restrict__ x,
                               const u32 *__restrict__ y, u32 *__restrict__ out) {
    Flat<3, 4>{length(p.x), {cond + p.cond.offset, x + p.x.offset, y + p.y.offset}, out}(Choose());
}

KERNEL elementwise_select_rows(const SelectParams p, const u32 *__restrict__ cond, const u32 *__restrict__ x,
                               const u32 *__restrict__ y, u32 *__restrict__ out, u32 columns, u32 magic, u32 shift,
                               i32 cond_row, i32 cond_column, i32 x_row, i32 x_column, i32 y_row, i32 y_column) {
    Rows<3, 4>{length(p.x), {cond + p.cond.offset, x + p.x.offset, y + p.y.offset}, out, columns, magic, shift,
            {cond_row, cond_column, x_row, x_column, y_row, y_column}}(Choose());
}

KERNEL elementwise_select_strided(const SelectParams p, const u32 *__restrict__ cond, const u32 *__restrict__ x,
                                  const u32 *__restrict__ y, u32 *__restrict__ out) {
    Strided<3>{length(p.x), {cond, x, y}, out, {&p.cond, &p.x, &p.y}}(Choose());
}

KERNEL elementwise_fill(const FillParams p, u32 *out) {
    const u32 quads = p.n / 4;
    SWEEP(q, quads) *(uint4 *)(out + 4 * q) = make_uint4(p.bits, p.bits, p.bits, p.bits);
    const u64 last = 4 * (u64)quads + grid_index();
    if (last < p.n) out[last] = p.bits;
}

ENTRY(elementwise_select_flat)
ENTRY(elementwise_select_rows)
ENTRY(elementwise_select_strided)
ENTRY(elementwise_fill)

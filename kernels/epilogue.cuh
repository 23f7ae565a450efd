// What `gemm` and `spmm` do to a sum before it is written: bias, activation, each with a rounding of
// its own. Mirror of `Epilogue` and `Activation` in src/kernel/gemm.rs and of `activate` in
// src/reference/gemm.rs.
#pragma once

#include "common.cuh"
#include "math.cuh"

// Length of the fma chains: K_CHUNK of src/kernel/gemm.rs.
#define K_CHUNK 256u

struct Epilogue {
    u32 bias;
    u32 bias_offset;
    u32 activation;
    float a;
};
static_assert(sizeof(Epilogue) == 16, "kernel::gemm::Epilogue");

__device__ __forceinline__ float activate(const Epilogue &e, float x) {
    switch (e.activation) {
        case 1: return math::relu(x);
        case 2: return math::leaky_relu(x, e.a);
        case 3: return math::elu(x, e.a);
        case 4: return math::tanh(x);
        case 5: return math::sigmoid(x);
        case 6: return math::softplus(x);
        default: return x;
    }
}

// math.cuh and rng.cuh for the tests: every function of `src/math` and `src/rng` by a code, on arrays.
// The codes are those of tests/kernels/math.rs.

#include "../rng.cuh"

namespace {
struct Four {
    float v[4];
};

Four one(float x) { return {{x, 0.0f, 0.0f, 0.0f}}; }
Four two(math::SinCos x) { return {{x.s, x.c, 0.0f, 0.0f}}; }
Four four(math::LogProbability l) { return {{l.value, l.m, l.r, l.h}}; }
Four four(rng::Floats f) { return {{f.v[0], f.v[1], f.v[2], f.v[3]}}; }
Four four(rng::Words w) { return {{float_of(w.w[0]), float_of(w.w[1]), float_of(w.w[2]), float_of(w.w[3])}}; }

math::Mean mean_of(float m, float r) { return math::mean(m, r, math::dispersion(r).inverse); }

Four value(int code, float x, float y, float z, float t) {
    using namespace math;
    const rng::Stream stream = {bits_of(y), bits_of(z), 1, bits_of(t), 5};
    switch (code) {
        case 0: return one(math::exp(x));
        case 1: return one(math::exp2(x));
        case 2: return one(math::expm1(x));
        case 3: return one(ln(x));
        case 4: return one(math::log2(x));
        case 5: return one(math::log1p(x));
        case 6: return one(math::tanh(x));
        case 7: return one(sigmoid(x));
        case 8: return one(softplus(x));
        case 9: return one(log_sigmoid(x));
        case 10: return one(relu(x));
        case 11: return one(math::erf(x));
        case 12: return one(math::erfc(x));
        case 13: return one(ndtr(x));
        case 14: return one(math::lgamma(x));
        case 15: return one(lgamma_positive(x));
        case 16: return one(digamma(x));
        case 17: return one(digamma_positive(x));
        case 18: return one(trigamma(x));
        case 19: return one(stirling_error(x));
        case 20: return one(inflation(x).share);
        case 21: return one(math::sin(x));
        case 22: return one(math::cos(x));
        case 23: return two(sincos_2pi(bits_of(x)));
        case 24: return two(math::sincos(x));
        case 30: return one(math::pow(x, y));
        case 31: return one(leaky_relu(x, y));
        case 32: return one(elu(x, y));
        // r is the third argument.
        case 40: return four(nb_zero(mean_of(y, z), math::exp(z)));
        case 41: return four(zinb_zero(mean_of(y, z), math::exp(z), t));
        case 42: return four(nb_count(x, mean_of(y, z), dispersion(z)));
        case 43: return four(zinb_count(x, mean_of(y, z), dispersion(z), t));
        case 50: return four(rng::philox(bits_of(x), bits_of(y), bits_of(z), bits_of(t), bits_of(t), bits_of(x)));
        case 51: return four(stream.normal4(bits_of(x)));
        case 52: return four(stream.uniform4(bits_of(x)));
    }
    return one(0.0f);
}
}  // namespace

// Four arguments and four results for each point.
extern "C" __attribute__((visibility("default"))) void shim_math(int code, const float *in, float *out, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        const float *a = in + 4 * i;
        const Four result = value(code, a[0], a[1], a[2], a[3]);
        std::memcpy(out + 4 * i, result.v, sizeof(result.v));
    }
}

// Activations: one definition for every backend.
#pragma once

namespace math {

// Hyperbolic tangent.
MATH float tanh(float x) {
    float a = abs(x);
    float v = a * a;
    float p = -6.295665e-3f;
    p = mul_add(p, v, 2.1088311e-2f);
    p = mul_add(p, v, -5.385685e-2f);
    p = mul_add(p, v, 1.3332637e-1f);
    p = mul_add(p, v, -3.333332e-1f);
    float small = mul_add(a * v, p, a);
    float large = 1.0f - 2.0f / (exp(a + a) + 1.0f);
    return with_sign((a < 0.55f ? small : large), x);
}

// Logistic function `1 / (1 + e^-x)`.
MATH float sigmoid(float x) {
    float e = exp(-abs(x));
    bool above = x >= 0.0f;
    float top = above ? 1.0f : e;
    float d = 1.0f + e;
    float q = top / d;
    // What rounding `d` and `q` left over, divided by d: 1/d is q above 0 and 1 - q below.
    float lost = e - (d - 1.0f);
    float rest = mul_add(q, -lost, mul_add(q, -d, top));
    return mul_add(rest, (above ? q : 1.0f - q), q);
}

// `ln(1 + e^x)`, without overflow and without cancellation.
MATH float softplus(float x) {
    float linear = x > 0.0f ? x : 0.0f;
    return linear + log1p(exp(-abs(x)));
}

// `ln sigmoid(x) = -softplus(-x)`.
MATH float log_sigmoid(float x) {
    return -softplus(-x);
}

// `max(x, 0)`; NaN stays NaN, -0 becomes 0.
MATH float relu(float x) {
    return x <= 0.0f ? 0.0f : x;
}

// `x` above 0, `slope * x` elsewhere.
MATH float leaky_relu(float x, float slope) {
    return x > 0.0f ? x : slope * x;
}

// `x` above 0, `alpha * (e^x - 1)` elsewhere.
MATH float elu(float x, float alpha) {
    float below = alpha * expm1(x);
    return x > 0.0f ? x : below;
}

}  // namespace math

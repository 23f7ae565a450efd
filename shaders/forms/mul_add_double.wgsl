// `a * b + c`, rounded once, through binary64: the product is exact there; the sum is rounded to odd
// (Boldo & Melquiond 2008), so that rounding it again to binary32 is as if it had been exact.
fn mul_add(a: f32, b: f32, c: f32) -> f32 {
    let product = f64(a) * f64(b);
    // Not known to be 0: see `zero` in common.wgsl.
    let other = f64(bitcast<f32>(bitcast<u32>(c) ^ block_word(0)));
    let sum = product + other;
    let part = sum - product;
    let lost = (product - (sum - part)) + (other - part);
    var bits = bitcast<u64>(sum);
    // NaN, where an operand is not finite, is neither.
    let above = lost > 0.0lf;
    let below = lost < 0.0lf;
    let outward = (above && sum > 0.0lf) || (below && sum < 0.0lf);
    let inexact = (above || below) && (bits & 1lu) == 0lu;
    bits = select(bits, select(bits - 1lu, bits + 1lu, outward), inexact);
    return f32(bitcast<f64>(bits));
}

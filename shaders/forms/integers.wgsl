// Binary32 numbers taken apart and rounded, in 32-bit integers.

// `x = mantissa 2^exponent` for finite x != 0, the mantissa from 2^23 to 2^24 - 1.
struct Parts {
    mantissa: u32,
    exponent: i32,
}
fn parts(x: f32) -> Parts {
    let bits = bitcast<u32>(x) & 0x7fffffff;
    let biased = bits >> 23;
    let shift = countLeadingZeros(bits) - 8;
    if (biased == 0) {
        return Parts(bits << shift, -149 - i32(shift));
    }
    return Parts((bits & 0x7fffff) | 0x800000, i32(biased) - 150);
}

// Neither NaN nor infinite.
fn finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000) != 0x7f800000; }

// `x >> n` of a pair of words, what falls out kept in the lowest bit; n >= 0.
fn shifted_right(x: vec2<u32>, n: u32) -> vec2<u32> {
    if (n == 0) {
        return x;
    }
    if (n < 32) {
        let out = (x.y << (32 - n)) != 0;
        return vec2(x.x >> n, (x.y >> n) | (x.x << (32 - n)) | select(0u, 1u, out));
    }
    if (n == 32) {
        return vec2(0u, x.x | select(0u, 1u, x.y != 0));
    }
    if (n < 64) {
        let out = x.y != 0 || (x.x << (64 - n)) != 0;
        return vec2(0u, (x.x >> (n - 32)) | select(0u, 1u, out));
    }
    return vec2(0u, select(0u, 1u, (x.x | x.y) != 0));
}

// `high:low 2^(exponent - 63)` with this sign, rounded to the nearest, ties to even. The lowest bit may stand
// for all below it if the top bit is above bit 40.
fn rounded(sign: u32, high: u32, low: u32, exponent: i32) -> f32 {
    var x = vec2(high, low);
    var e = exponent;
    if (x.x == 0) {
        x = vec2(x.y, 0u);
        e -= 32;
    }
    let zeros = countLeadingZeros(x.x);
    if (zeros > 0) {
        x = vec2((x.x << zeros) | (x.y >> (32 - zeros)), x.y << zeros);
        e -= i32(zeros);
    }
    var biased = e + 127;
    if (biased > 254) {
        return bitcast<f32>(sign | 0x7f800000);
    }
    if (biased < 1) {
        x = shifted_right(x, u32(1 - biased));
        biased = 1;
    }
    var mantissa = x.x >> 8;
    let half = (x.x & 0x80) != 0;
    let more = (x.x & 0x7f) != 0 || x.y != 0;
    if (half && (more || (mantissa & 1) != 0)) {
        mantissa += 1;
    }
    // The leading bit of a mantissa, if it has one, adds 1 to the exponent.
    return bitcast<f32>(sign | ((u32(biased - 1) << 23) + mantissa));
}

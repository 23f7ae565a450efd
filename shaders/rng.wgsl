// Counter-based random numbers, Philox4x32-10: mirror of src/rng.rs, which describes the layout of
// counters and the conversions.

// Philox4x32 with ten rounds: four random words for a counter under a key.
fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10; round++) {
        if (round > 0) {
            k += vec2(0x9e3779b9u, 0xbb67ae85u);
        }
        let h0 = mul_high(0xd2511f53u, c.x);
        let l0 = 0xd2511f53u * c.x;
        let h1 = mul_high(0xcd9e8d57u, c.z);
        let l1 = 0xcd9e8d57u * c.z;
        c = vec4(h1 ^ c.y ^ k.x, l1, h0 ^ c.w ^ k.y, l0);
    }
    return c;
}

// A 24-bit uniform number in [0, 1), exact.
fn uniform_from(random: u32) -> f32 { return f32(random >> 8) * 5.9604645e-8f; }

// A 24-bit uniform number in (0, 1], exact.
fn uniform_open0_from(random: u32) -> f32 { return f32((random >> 8) + 1) * 5.9604645e-8f; }

// Two independent standard normal numbers from two words (Box-Muller).
fn normal_from(a: u32, b: u32) -> vec2<f32> {
    let r = root(-2.0f * math_ln(uniform_open0_from(a)));
    let turn = math_sincos_2pi(b & 0xffffff00);
    return vec2(r * turn.c, r * turn.s);
}

// The address of a tensor of random numbers.
struct Stream {
    seed: vec2<u32>,
    stream: u32,
    step: u32,
    part: u32,
}

// The four words of a block.
fn words4(s: Stream, index: u32) -> vec4<u32> { return philox(vec4(index, s.part, s.step, s.stream), s.seed); }

// Uniform numbers in [0, 1) for elements `4 index ..`.
fn uniform4(s: Stream, index: u32) -> vec4<f32> {
    let w = words4(s, index);
    return vec4(uniform_from(w.x), uniform_from(w.y), uniform_from(w.z), uniform_from(w.w));
}

// Standard normal numbers for elements `4 index ..`.
fn normal4(s: Stream, index: u32) -> vec4<f32> {
    let w = words4(s, index);
    return vec4(normal_from(w.x, w.y), normal_from(w.z, w.w));
}

// Dense products with bias, residual and activation. Mirror of src/reference/gemm.rs; equation, buffers and the
// order of sums in src/kernel/gemm.rs.
//
// Launch: workgroups of 16 x 16 threads along x and y for tiles of the output, along z for products (each takes
// every so many-th). Both operands go through workgroup memory in steps of 16 along k. gemm_64: tiles of 64 x 64,
// a thread computes 4 x 4; gemm_16: tiles of 16 x 16, one element per thread, for small outputs. `$ACTIVATION` is
// the epilogue's. Sums: chunks of 256 along k, each a chain from +0; their totals in order.
// Cost: 2 m n k operations; 4 (m k n / tile + k n m / tile) bytes.

const K_CHUNK: u32 = 256;
const STEP: u32 = 16;

// Words of the params: an operand has four batch strides, the strides of a row and a column, an offset.
const M: u32 = 4;
const N: u32 = 5;
const K: u32 = 6;
const OPERAND_A: u32 = 7;
const OPERAND_B: u32 = 14;
const RESIDUAL: u32 = 21;
const EPILOGUE: u32 = 23;

fn products() -> u32 { return param(0) * param(1) * param(2) * param(3); }

// Where element 0, 0 of a product is.
fn start(operand: u32, product: u32) -> u32 {
    var rest = product;
    var at = param(operand + 6);
    for (var d = 4u; d > 0; d--) {
        let n = param(d - 1);
        at += rest % n * param(operand + d - 1);
        rest /= n;
    }
    return at;
}

//! entry gemm_64: a f32, b f32, bias f32, residual f32, out f32 set
var<workgroup> tile_a: array<array<f32, 68>, 16>;
var<workgroup> tile_b: array<array<vec4<f32>, 17>, 16>;

fn finish(product: u32, i: u32, j: u32, sum: vec4<f32>) {
    let m = param(M);
    let n = param(N);
    if (i >= m) {
        return;
    }
    for (var c = 0u; c < 4 && j + c < n; c++) {
        let at = (product * m + i) * n + j + c;
        var y = sum[c];
        if (param(EPILOGUE) != 0) {
            y = y + bias_at(param(EPILOGUE + 1) + j + c);
        }
        if (param(RESIDUAL) != 0) {
            y = y + residual_at(param(RESIDUAL + 1) + at);
        }
        out_set(at, $ACTIVATION(y, param_f32(EPILOGUE + 3)));
    }
}

fn chain4(a: f32, b: vec4<f32>, c: vec4<f32>) -> vec4<f32> {
    return vec4(mul_add(a, b.x, c.x), mul_add(a, b.y, c.y), mul_add(a, b.z, c.z), mul_add(a, b.w, c.w));
}

@compute @workgroup_size(16, 16)
fn gemm_64(
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let m = param(M);
    let n = param(N);
    let k = param(K);
    let i0 = group.y * 64;
    let j0 = group.x * 64;
    for (var product = group.z; product < products(); product += groups.z) {
        let at_a = start(OPERAND_A, product);
        let at_b = start(OPERAND_B, product);
        var t0 = vec4(zero());
        var t1 = vec4(zero());
        var t2 = vec4(zero());
        var t3 = vec4(zero());
        for (var chunk = 0u; chunk < k; chunk += K_CHUNK) {
            let end = min(chunk + K_CHUNK, k);
            var s0 = vec4(zero());
            var s1 = vec4(zero());
            var s2 = vec4(zero());
            var s3 = vec4(zero());
            for (var origin = chunk; origin < end; origin += STEP) {
                let depth = min(STEP, end - origin);
                for (var e = thread; e < 64 * STEP; e += 256) {
                    // Neighbours read neighbours along whichever axis they are in the operand.
                    var r = e / STEP;
                    var l = e % STEP;
                    if (param(OPERAND_A + 4) == 1) {
                        r = e % 64;
                        l = e / 64;
                    }
                    var value = 0.0f;
                    if (i0 + r < m && l < depth) {
                        value = a_at(at_a + (i0 + r) * param(OPERAND_A + 4) + (origin + l) * param(OPERAND_A + 5));
                    }
                    tile_a[l][r] = value;
                    r = e % 64;
                    l = e / 64;
                    if (param(OPERAND_B + 4) == 1) {
                        r = e / STEP;
                        l = e % STEP;
                    }
                    value = 0.0f;
                    if (j0 + r < n && l < depth) {
                        value = b_at(at_b + (origin + l) * param(OPERAND_B + 4) + (j0 + r) * param(OPERAND_B + 5));
                    }
                    tile_b[l][r / 4][r % 4] = value;
                }
                workgroupBarrier();
                for (var l = 0u; l < depth; l++) {
                    let b = tile_b[l][local.x];
                    s0 = chain4(tile_a[l][4 * local.y], b, s0);
                    s1 = chain4(tile_a[l][4 * local.y + 1], b, s1);
                    s2 = chain4(tile_a[l][4 * local.y + 2], b, s2);
                    s3 = chain4(tile_a[l][4 * local.y + 3], b, s3);
                }
                workgroupBarrier();
            }
            if (chunk == 0) {
                t0 = s0;
                t1 = s1;
                t2 = s2;
                t3 = s3;
            } else {
                t0 = t0 + s0;
                t1 = t1 + s1;
                t2 = t2 + s2;
                t3 = t3 + s3;
            }
        }
        let i = i0 + 4 * local.y;
        let j = j0 + 4 * local.x;
        finish(product, i, j, t0);
        finish(product, i + 1, j, t1);
        finish(product, i + 2, j, t2);
        finish(product, i + 3, j, t3);
    }
}

//! entry gemm_16: a f32, b f32, bias f32, residual f32, out f32 set
var<workgroup> tile_a: array<array<f32, 17>, 16>;
var<workgroup> tile_b: array<array<f32, 17>, 16>;

@compute @workgroup_size(16, 16)
fn gemm_16(
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let m = param(M);
    let n = param(N);
    let k = param(K);
    let i = group.y * 16 + local.y;
    let j = group.x * 16 + local.x;
    // The row of a and the column of b that this thread copies.
    let row = group.y * 16 + select(local.y, local.x, param(OPERAND_A + 4) == 1);
    let column = group.x * 16 + select(local.x, local.y, param(OPERAND_B + 4) == 1);
    for (var product = group.z; product < products(); product += groups.z) {
        let at_a = start(OPERAND_A, product) + row * param(OPERAND_A + 4);
        let at_b = start(OPERAND_B, product) + column * param(OPERAND_B + 5);
        var total = zero();
        for (var chunk = 0u; chunk < k; chunk += K_CHUNK) {
            let end = min(chunk + K_CHUNK, k);
            var sum = zero();
            for (var origin = chunk; origin < end; origin += STEP) {
                let depth = min(STEP, end - origin);
                let la = select(local.x, local.y, param(OPERAND_A + 4) == 1);
                let lb = select(local.y, local.x, param(OPERAND_B + 4) == 1);
                var value = 0.0f;
                if (row < m && la < depth) {
                    value = a_at(at_a + (origin + la) * param(OPERAND_A + 5));
                }
                tile_a[la][row % 16] = value;
                value = 0.0f;
                if (column < n && lb < depth) {
                    value = b_at(at_b + (origin + lb) * param(OPERAND_B + 4));
                }
                tile_b[lb][column % 16] = value;
                workgroupBarrier();
                for (var l = 0u; l < depth; l++) {
                    sum = mul_add(tile_a[l][local.y], tile_b[l][local.x], sum);
                }
                workgroupBarrier();
            }
            if (chunk == 0) {
                total = sum;
            } else {
                total = total + sum;
            }
        }
        if (i < m && j < n) {
            let at = (product * m + i) * n + j;
            if (param(EPILOGUE) != 0) {
                total = total + bias_at(param(EPILOGUE + 1) + j);
            }
            if (param(RESIDUAL) != 0) {
                total = total + residual_at(param(RESIDUAL + 1) + at);
            }
            out_set(at, $ACTIVATION(total, param_f32(EPILOGUE + 3)));
        }
    }
}

// Sparse times dense with bias and activation, and the transpose of a sparse matrix. Mirror of
// src/reference/spmm.rs; equation, buffers and the order of sums in src/kernel/spmm.rs.
//
//   spmm             a thread per output element; `$ACTIVATION` is the epilogue's
//   transpose_clear  a count per column, 0
//   transpose_count  a thread per entry adds to its column's count
//   transpose_starts one workgroup: where columns begin, into indptr_t and the counts
//   transpose_place  a thread per entry puts its number in its column, in any order
//   transpose_sort   a thread per column sorts them, which makes the order unique, and writes rows and values
//
// Cost: 2 n operations and 4 n + 8 bytes per entry; the transpose: about 60 bytes per entry.

const K_CHUNK: u32 = 256;
const EPILOGUE: u32 = 7;

//! entry spmm: indptr u32, indices u32, values f32, b f32, bias f32, out f32 set
@compute @workgroup_size(256)
fn spmm(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = param(1);
    let chunks = (param(2) + K_CHUNK - 1) / K_CHUNK;
    let b_row = param(4);
    for (var at = id.x; at < param(0) * n; at += groups.x * THREADS) {
        let i = at / n;
        let j = at - i * n;
        let end = indptr_at(param(3) + i + 1);
        let b_at_column = param(6) + j * param(5);
        var e = indptr_at(param(3) + i);
        var sum = zero();
        for (var chunk = 0u; chunk < chunks; chunk++) {
            var chain = zero();
            while (e < end) {
                let column = indices_at(e);
                if (column >= (chunk + 1) * K_CHUNK) {
                    break;
                }
                chain = mul_add(values_at(e), b_at(b_at_column + column * b_row), chain);
                e++;
            }
            if (chunk == 0) {
                sum = chain;
            } else {
                sum = sum + chain;
            }
        }
        if (param(EPILOGUE) != 0) {
            sum = sum + bias_at(param(EPILOGUE + 1) + j);
        }
        out_set(at, $ACTIVATION(sum, param_f32(EPILOGUE + 3)));
    }
}

//! entry transpose_clear: counts u32 set
@compute @workgroup_size(256)
fn transpose_clear(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < param(1); i += groups.x * THREADS) {
        counts_set(i, 0u);
    }
}

//! entry transpose_count: indptr u32, indices u32, counts atomic<u32> set
@compute @workgroup_size(256)
fn transpose_count(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let end = indptr_at(param(2) + param(0));
    for (var e = indptr_at(param(2)) + id.x; e < end; e += groups.x * THREADS) {
        counts_add(indices_at(e), 1u);
    }
}

//! entry transpose_starts: counts u32 set, indptr_t u32 set
var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256)
fn transpose_starts(@builtin(local_invocation_index) local: u32) {
    let columns = param(1);
    let each = (columns + 255) / 256;
    let first = min(local * each, columns);
    let last = min(first + each, columns);
    var sum = 0u;
    for (var i = first; i < last; i++) {
        sum += counts_at(i);
    }
    sums[local] = sum;
    workgroupBarrier();
    if (local == 0) {
        var before = 0u;
        for (var t = 0u; t < 256; t++) {
            let own = sums[t];
            sums[t] = before;
            before += own;
        }
        indptr_t_set(columns, before);
    }
    workgroupBarrier();
    var start = sums[local];
    for (var i = first; i < last; i++) {
        let own = counts_at(i);
        indptr_t_set(i, start);
        counts_set(i, start);
        start += own;
    }
}

//! entry transpose_place: indptr u32, indices u32, next atomic<u32> set, numbers u32 set
@compute @workgroup_size(256)
fn transpose_place(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let end = indptr_at(param(2) + param(0));
    for (var e = indptr_at(param(2)) + id.x; e < end; e += groups.x * THREADS) {
        numbers_set(next_add(indices_at(e), 1u), e);
    }
}

//! entry transpose_sort: indptr u32, values f32, indptr_t u32, indices_t u32 set, values_t f32 set
// Lets the number at place `hole` of a heap of n numbers from `base` sink to where it belongs.
fn sink(base: u32, hole: u32, n: u32) {
    let number = indices_t_at(base + hole);
    var at = hole;
    while (2 * at + 1 < n) {
        var child = 2 * at + 1;
        if (child + 1 < n && indices_t_at(base + child + 1) > indices_t_at(base + child)) {
            child += 1;
        }
        let larger_number = indices_t_at(base + child);
        if (larger_number <= number) {
            break;
        }
        indices_t_set(base + at, larger_number);
        at = child;
    }
    indices_t_set(base + at, number);
}

// The row of an entry.
fn row_of(entry: u32) -> u32 {
    var low = 0u;
    var high = param(0);
    while (high - low > 1) {
        let middle = (low + high) / 2;
        if (indptr_at(param(2) + middle) <= entry) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

@compute @workgroup_size(256)
fn transpose_sort(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var column = id.x; column < param(1); column += groups.x * THREADS) {
        let base = indptr_t_at(column);
        let n = indptr_t_at(column + 1) - base;
        for (var k = n / 2; k > 0; k--) {
            sink(base, k - 1, n);
        }
        for (var k = n; k > 1; k--) {
            let last = indices_t_at(base + k - 1);
            indices_t_set(base + k - 1, indices_t_at(base));
            indices_t_set(base, last);
            sink(base, 0u, k - 1);
        }
        for (var k = base; k < base + n; k++) {
            let entry = indices_t_at(k);
            indices_t_set(k, row_of(entry));
            values_t_set(k, values_at(entry));
        }
    }
}

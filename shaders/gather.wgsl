// Moving words: strided copies, rows by index, elements by index along an axis, their adjoints, one-hot rows.
// Mirror of src/reference/gather.rs; buffers and the order of sums in src/kernel/gather.rs.
//
// Launch: any number of workgroups of 256; a thread per output element (copy, scatter_rows: per element moved;
// add_along_columns: per column). Cost: 8 bytes per element moved; a sum looks through the indices.

//! entry gather_copy: x u32, out u32 set
@compute @workgroup_size(256)
fn gather_copy(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = length(0u);
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        out_set($PLACE(LAYOUT, i), x_at($PLACE(0u, i)));
    }
}

//! entry gather_rows: x u32, index u32, out u32 set
@compute @workgroup_size(256)
fn gather_rows(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let width = param(3);
    let n = param(4) * width;
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        let row = i / width;
        let origin = index_at(param(1) + row);
        var value = 0u;
        if (origin < param(2)) {
            value = x_at(param(0) + origin * width + (i - row * width));
        }
        out_set(i, value);
    }
}

//! entry gather_scatter_rows: x u32, index u32, out u32 set
@compute @workgroup_size(256)
fn gather_scatter_rows(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let width = param(3);
    let n = param(4) * width;
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        let row = i / width;
        let to = index_at(param(1) + row);
        if (to < param(2)) {
            out_set(to * width + (i - row * width), x_at(param(0) + i));
        }
    }
}

//! entry gather_add_rows: x f32, index u32, out f32 set
@compute @workgroup_size(256)
fn gather_add_rows(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let width = param(3);
    let n = param(2) * width;
    let m = param(4);
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        let row = i / width;
        let k = i - row * width;
        var sum = zero();
        for (var origin = 0u; origin < m; origin++) {
            if (index_at(param(1) + origin) == row) {
                sum = sum + x_at(param(0) + origin * width + k);
            }
        }
        out_set(i, sum);
    }
}

//! entry gather_along: x u32, index u32, out u32 set
@compute @workgroup_size(256)
fn gather_along(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let axis = param(3);
    let inner = param(4);
    let m = param(5);
    let n = param(2) * m * inner;
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        let j = index_at(param(1) + i);
        var value = 0u;
        if (j < axis) {
            value = x_at(param(0) + (i / (m * inner) * axis + j) * inner + i % inner);
        }
        out_set(i, value);
    }
}

//! entry gather_add_along: x f32, index u32, out f32 set
@compute @workgroup_size(256)
fn gather_add_along(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let axis = param(3);
    let inner = param(4);
    let m = param(5);
    let n = param(2) * axis * inner;
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        let outer = i / (axis * inner);
        let j = i / inner % axis;
        var sum = zero();
        for (var origin = 0u; origin < m; origin++) {
            let at = (outer * m + origin) * inner + i % inner;
            if (index_at(param(1) + at) == j) {
                sum = sum + x_at(param(0) + at);
            }
        }
        out_set(i, sum);
    }
}

//! entry gather_add_along_columns: x f32, index u32, out f32 set
@compute @workgroup_size(256)
fn gather_add_along_columns(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let axis = param(3);
    let inner = param(4);
    let m = param(5);
    let columns = param(2) * inner;
    for (var column = id.x; column < columns; column += groups.x * THREADS) {
        let outer = column / inner;
        let k = column % inner;
        for (var j = 0u; j < axis; j++) {
            out_set((outer * axis + j) * inner + k, zero());
        }
        for (var origin = 0u; origin < m; origin++) {
            let at = (outer * m + origin) * inner + k;
            let j = index_at(param(1) + at);
            if (j < axis) {
                let to = (outer * axis + j) * inner + k;
                out_set(to, out_at(to) + x_at(param(0) + at));
            }
        }
    }
}

//! entry gather_one_hot: index u32, out f32 set
@compute @workgroup_size(256)
fn gather_one_hot(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let classes = param(2);
    let n = param(1) * classes;
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        let row = i / classes;
        out_set(i, select(0.0f, 1.0f, index_at(param(0) + row) == i - row * classes));
    }
}

// Batch and layer normalisation with their gradients. Mirror of src/reference/norm.rs; equations, buffers and the
// order of sums in src/kernel/norm.rs.
//
//   norm_batch_stats, norm_batch_sums, norm_layer_columns   a thread per column, blocks of 64 rows in order
//   norm_batch_apply, norm_batch_dx                         a thread per element
//   norm_batch_running                                      a thread per feature
//   norm_layer, norm_layer_grad                             teams of 32 or 256 threads (`$WIDTH`), one per row
//
// norm_batch_sums leaves in scratch memory the total weight, and of each feature mean, 1 / root, dw and db, which
// norm_batch_dx reads; norm_layer_grad leaves mean and 1 / root of each row for norm_layer_columns.
// Cost: 4 bytes per element and pass.

const BLOCK: u32 = 64;

fn inverse_root(variance: f32, eps: f32) -> f32 { return quotient(1.0f, root(variance + eps)); }

//! entry norm_batch_stats: x f32, v f32, mean f32 set, variance f32 set
fn weigh(r: u32, value: f32) -> f32 {
    if (param(2) != 0) {
        return v_at(param(1) + r) * value;
    }
    return value;
}

fn total_weight(rows: u32) -> f32 {
    if (param(2) == 0) {
        return f32(rows);
    }
    var total = zero();
    for (var first = 0u; first < rows; first += BLOCK) {
        var part = zero();
        for (var r = first; r < min(first + BLOCK, rows); r++) {
            part = part + v_at(param(1) + r);
        }
        total = select(total + part, part, first == 0);
    }
    return total;
}

@compute @workgroup_size(256)
fn norm_batch_stats(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let rows = param(3);
    let features = param(4);
    let total = total_weight(rows);
    for (var f = id.x; f < features; f += groups.x * THREADS) {
        var sum = zero();
        for (var first = 0u; first < rows; first += BLOCK) {
            var part = zero();
            for (var r = first; r < min(first + BLOCK, rows); r++) {
                part = part + weigh(r, x_at(param(0) + r * features + f));
            }
            sum = select(sum + part, part, first == 0);
        }
        let m = quotient(sum, total);
        sum = zero();
        for (var first = 0u; first < rows; first += BLOCK) {
            var part = zero();
            for (var r = first; r < min(first + BLOCK, rows); r++) {
                let d = x_at(param(0) + r * features + f) - m;
                part = part + weigh(r, d * d);
            }
            sum = select(sum + part, part, first == 0);
        }
        mean_set(f, m);
        variance_set(f, quotient(sum, total));
    }
}

//! entry norm_batch_apply: x f32, mean f32, variance f32, w f32, b f32, y f32 set
@compute @workgroup_size(256)
fn norm_batch_apply(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let features = param(7);
    for (var i = id.x; i < param(6) * features; i += groups.x * THREADS) {
        let f = i % features;
        let inverse = inverse_root(variance_at(param(2) + f), param_f32(8));
        var y = (x_at(param(0) + i) - mean_at(param(1) + f)) * inverse;
        if (param(5) != 0) {
            y = y * w_at(param(3) + f) + b_at(param(4) + f);
        }
        y_set(i, y);
    }
}

//! entry norm_batch_running: mean f32, variance f32, running_mean f32 set, running_variance f32 set
@compute @workgroup_size(256)
fn norm_batch_running(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let momentum = param_f32(3);
    let count = param_f32(4);
    var factor = 1.0f;
    if (count > 1.0f) {
        factor = quotient(count, count - 1.0f);
    }
    for (var f = id.x; f < param(2); f += groups.x * THREADS) {
        let mean = mean_at(param(0) + f);
        let variance = variance_at(param(1) + f) * factor;
        running_mean_set(f, (1.0f - momentum) * running_mean_at(f) + momentum * mean);
        running_variance_set(f, (1.0f - momentum) * running_variance_at(f) + momentum * variance);
    }
}

//! entry norm_batch_sums: dy f32, x f32, mean f32, variance f32, v f32, dw f32 set, db f32 set, scratch f32 set
@compute @workgroup_size(256)
fn norm_batch_sums(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let rows = param(8);
    let features = param(9);
    if (id.x == 0) {
        var total = f32(rows);
        if (param(7) != 0) {
            total = zero();
            for (var first = 0u; first < rows; first += BLOCK) {
                var part = zero();
                for (var r = first; r < min(first + BLOCK, rows); r++) {
                    part = part + v_at(param(5) + r);
                }
                total = select(total + part, part, first == 0);
            }
        }
        scratch_set(0u, total);
    }
    for (var f = id.x; f < features; f += groups.x * THREADS) {
        let m = mean_at(param(2) + f);
        let inverse = inverse_root(variance_at(param(3) + f), param_f32(10));
        var w_sum = zero();
        var b_sum = zero();
        for (var first = 0u; first < rows; first += BLOCK) {
            var w_part = zero();
            var b_part = zero();
            for (var r = first; r < min(first + BLOCK, rows); r++) {
                let slope = dy_at(param(0) + r * features + f);
                w_part = w_part + slope * ((x_at(param(1) + r * features + f) - m) * inverse);
                b_part = b_part + slope;
            }
            w_sum = select(w_sum + w_part, w_part, first == 0);
            b_sum = select(b_sum + b_part, b_part, first == 0);
        }
        dw_set(f, w_sum);
        db_set(f, b_sum);
        scratch_set(1 + f, m);
        scratch_set(1 + features + f, inverse);
        scratch_set(1 + 2 * features + f, w_sum);
        scratch_set(1 + 3 * features + f, b_sum);
    }
}

//! entry norm_batch_dx: dy f32, x f32, w f32, v f32, scratch f32, dx f32 set
@compute @workgroup_size(256)
fn norm_batch_dx(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let features = param(9);
    let total = scratch_at(0u);
    for (var i = id.x; i < param(8) * features; i += groups.x * THREADS) {
        let f = i % features;
        let inverse = scratch_at(1 + features + f);
        var scale = inverse;
        if (param(6) != 0) {
            scale = w_at(param(4) + f) * inverse;
        }
        let xhat = (x_at(param(1) + i) - scratch_at(1 + f)) * inverse;
        var weight = 1.0f;
        if (param(7) != 0) {
            weight = v_at(param(5) + i / features);
        }
        let k = quotient(weight, total);
        let sums = scratch_at(1 + 3 * features + f) + xhat * scratch_at(1 + 2 * features + f);
        dx_set(i, scale * (dy_at(param(0) + i) - k * sums));
    }
}

//! entry norm_layer: x f32, w f32, b f32, y f32 set
@compute @workgroup_size(256)
fn norm_layer(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let rows = param(5);
    let n = param(6);
    let teams = 256u / $WIDTH;
    for (var first = group.x * teams; first < rows; first += groups.x * teams) {
        let row = first + local / $WIDTH;
        // A team past the last row goes through that once more and writes nothing.
        let at = param(0) + min(row, rows - 1) * n;
        var lane = zero();
        for (var j = local % $WIDTH; j < n; j += $WIDTH) {
            lane = lane + x_at(at + j);
        }
        let mean = quotient(sum_lanes(local, $WIDTH, lane), f32(n));
        lane = zero();
        for (var j = local % $WIDTH; j < n; j += $WIDTH) {
            let d = x_at(at + j) - mean;
            lane = lane + d * d;
        }
        let variance = quotient(sum_lanes(local, $WIDTH, lane), f32(n));
        let inverse = inverse_root(variance, param_f32(7));
        if (row < rows) {
            for (var j = local % $WIDTH; j < n; j += $WIDTH) {
                var y = (x_at(at + j) - mean) * inverse;
                if (param(4) != 0) {
                    y = y * w_at(param(1) + j) + b_at(param(2) + j);
                }
                y_set(row * n + j, y);
            }
        }
    }
}

//! entry norm_layer_grad: x f32, w f32, dy f32, dx f32 set, stats f32 set
// The gradient with respect to xhat.
fn slope_at(row: u32, j: u32) -> f32 {
    let slope = dy_at(param(3) + row * param(6) + j);
    if (param(4) != 0) {
        return slope * w_at(param(1) + j);
    }
    return slope;
}

@compute @workgroup_size(256)
fn norm_layer_grad(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let rows = param(5);
    let n = param(6);
    let teams = 256u / $WIDTH;
    for (var first = group.x * teams; first < rows; first += groups.x * teams) {
        let wanted = first + local / $WIDTH;
        let row = min(wanted, rows - 1);
        let at = param(0) + row * n;
        var lane = zero();
        for (var j = local % $WIDTH; j < n; j += $WIDTH) {
            lane = lane + x_at(at + j);
        }
        let mean = quotient(sum_lanes(local, $WIDTH, lane), f32(n));
        lane = zero();
        for (var j = local % $WIDTH; j < n; j += $WIDTH) {
            let d = x_at(at + j) - mean;
            lane = lane + d * d;
        }
        let variance = quotient(sum_lanes(local, $WIDTH, lane), f32(n));
        let inverse = inverse_root(variance, param_f32(7));
        lane = zero();
        var other = zero();
        for (var j = local % $WIDTH; j < n; j += $WIDTH) {
            let g = slope_at(row, j);
            lane = lane + g;
            other = other + g * ((x_at(at + j) - mean) * inverse);
        }
        let mean_g = quotient(sum_lanes(local, $WIDTH, lane), f32(n));
        let mean_gx = quotient(sum_lanes(local, $WIDTH, other), f32(n));
        if (wanted < rows) {
            for (var j = local % $WIDTH; j < n; j += $WIDTH) {
                let xhat = (x_at(at + j) - mean) * inverse;
                dx_set(row * n + j, inverse * ((slope_at(row, j) - mean_g) - xhat * mean_gx));
            }
            if (local % $WIDTH == 0) {
                stats_set(2 * row, mean);
                stats_set(2 * row + 1, inverse);
            }
        }
    }
}

//! entry norm_layer_columns: x f32, dy f32, stats f32, dw f32 set, db f32 set
@compute @workgroup_size(256)
fn norm_layer_columns(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let rows = param(5);
    let n = param(6);
    for (var j = id.x; j < n; j += groups.x * THREADS) {
        var w_sum = zero();
        var b_sum = zero();
        for (var first = 0u; first < rows; first += BLOCK) {
            var w_part = zero();
            var b_part = zero();
            for (var r = first; r < min(first + BLOCK, rows); r++) {
                let slope = dy_at(param(3) + r * n + j);
                let xhat = (x_at(param(0) + r * n + j) - stats_at(2 * r)) * stats_at(2 * r + 1);
                w_part = w_part + slope * xhat;
                b_part = b_part + slope;
            }
            w_sum = select(w_sum + w_part, w_part, first == 0);
            b_sum = select(b_sum + b_part, b_part, first == 0);
        }
        dw_set(j, w_sum);
        db_set(j, b_sum);
    }
}

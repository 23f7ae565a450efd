// Softmax, its logarithm, log-sum-exp, cross-entropy. Mirror of src/reference/softmax.rs; equations, buffers and
// special values in src/kernel/softmax.rs.
//
// Launch: workgroups of 256 threads, teams of 32 or 256 (`$WIDTH`), one per row; any number of workgroups.
// Sums: lanes (lanes.wgsl). Cost: two passes over the row, three where the output is a matrix; an exponential per
// element and pass after the first.

// The row that a team works on, from 0: a team past the last row goes through that once more and writes nothing.
struct Row {
    index: u32,
    live: bool,
}
fn row_of_team(first: u32, rows: u32, local: u32) -> Row {
    let row = first + local / $WIDTH;
    return Row(min(row, rows - 1), row < rows);
}

fn largest(origin: u32, n: u32, local: u32) -> f32 {
    var lane = lowest();
    for (var j = local % $WIDTH; j < n; j += $WIDTH) {
        lane = larger(lane, x_at(origin + j));
    }
    return largest_lane(local, $WIDTH, lane);
}

fn sum_exp(origin: u32, n: u32, local: u32, shift: f32) -> f32 {
    var lane = zero();
    for (var j = local % $WIDTH; j < n; j += $WIDTH) {
        lane = lane + math_exp(x_at(origin + j) - shift);
    }
    return sum_lanes(local, $WIDTH, lane);
}

//! entry softmax_softmax: x f32, out f32 set
@compute @workgroup_size(256)
fn softmax_softmax(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let rows = param(1);
    let n = param(2);
    let teams = 256u / $WIDTH;
    for (var first = group.x * teams; first < rows; first += groups.x * teams) {
        let row = row_of_team(first, rows, local);
        let origin = param(0) + row.index * n;
        let m = largest(origin, n, local);
        let sum = sum_exp(origin, n, local, m);
        if (row.live) {
            for (var j = local % $WIDTH; j < n; j += $WIDTH) {
                out_set(row.index * n + j, quotient(math_exp(x_at(origin + j) - m), sum));
            }
        }
    }
}

//! entry softmax_log: x f32, out f32 set
@compute @workgroup_size(256)
fn softmax_log(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let rows = param(1);
    let n = param(2);
    let teams = 256u / $WIDTH;
    for (var first = group.x * teams; first < rows; first += groups.x * teams) {
        let row = row_of_team(first, rows, local);
        let origin = param(0) + row.index * n;
        let m = largest(origin, n, local);
        let ln_sum = math_ln(sum_exp(origin, n, local, m));
        if (row.live) {
            for (var j = local % $WIDTH; j < n; j += $WIDTH) {
                out_set(row.index * n + j, (x_at(origin + j) - m) - ln_sum);
            }
        }
    }
}

//! entry softmax_lse: x f32, out f32 set
@compute @workgroup_size(256)
fn softmax_lse(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let rows = param(1);
    let n = param(2);
    let teams = 256u / $WIDTH;
    for (var first = group.x * teams; first < rows; first += groups.x * teams) {
        let row = row_of_team(first, rows, local);
        let origin = param(0) + row.index * n;
        let m = largest(origin, n, local);
        let shift = select(m, zero(), math_abs(m) == math_infinity());
        let sum = sum_exp(origin, n, local, shift);
        if (row.live && local % $WIDTH == 0) {
            out_set(row.index, math_ln(sum) + shift);
        }
    }
}

//! entry softmax_cross_entropy: x f32, targets f32, out f32 set
@compute @workgroup_size(256)
fn softmax_cross_entropy(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let rows = param(3);
    let n = param(4);
    let teams = 256u / $WIDTH;
    for (var first = group.x * teams; first < rows; first += groups.x * teams) {
        let row = row_of_team(first, rows, local);
        let origin = param(0) + row.index * n;
        let m = largest(origin, n, local);
        let ln_sum = math_ln(sum_exp(origin, n, local, m));
        var lane = zero();
        for (var j = local % $WIDTH; j < n; j += $WIDTH) {
            let target_j = targets_at(param(1) + row.index * n + j);
            lane = lane + select(target_j * ((x_at(origin + j) - m) - ln_sum), zero(), target_j == 0.0f);
        }
        let sum = sum_lanes(local, $WIDTH, lane);
        if (row.live && local % $WIDTH == 0) {
            out_set(row.index, zero() - sum);
        }
    }
}

//! entry softmax_cross_entropy_grad: x f32, targets f32, upstream f32, out f32 set
@compute @workgroup_size(256)
fn softmax_cross_entropy_grad(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let rows = param(3);
    let n = param(4);
    let teams = 256u / $WIDTH;
    for (var first = group.x * teams; first < rows; first += groups.x * teams) {
        let row = row_of_team(first, rows, local);
        let origin = param(0) + row.index * n;
        let m = largest(origin, n, local);
        let sum = sum_exp(origin, n, local, m);
        var lane = zero();
        for (var j = local % $WIDTH; j < n; j += $WIDTH) {
            lane = lane + targets_at(param(1) + row.index * n + j);
        }
        let targets = sum_lanes(local, $WIDTH, lane);
        if (row.live) {
            let up = upstream_at(param(2) + row.index);
            for (var j = local % $WIDTH; j < n; j += $WIDTH) {
                let probability = quotient(math_exp(x_at(origin + j) - m), sum);
                out_set(row.index * n + j, up * (probability * targets - targets_at(param(1) + row.index * n + j)));
            }
        }
    }
}

// Sums, maxima, minima, where they are, cumulative sums. Mirror of src/reference/reduce.rs; equations, buffers and
// the order of sums in src/kernel/reduce.rs.
//
// `$JOIN` joins two values, `$IDENTITY` is the result of none. Launches:
//
//   reduce_last            teams of 32 or 256 threads (`$WIDTH`), one per row
//   reduce_axis            a thread per column
//   reduce_axis_blocks     a thread per column and block of 64 rows; totals to scratch memory
//   reduce_axis_totals     a thread per column joins them
//   reduce_segments        a workgroup per segment of 65536; words: first word, number of values
//   reduce_arg, reduce_scan a thread per column
//
// Cost: 4 bytes and one operation per element.

const BLOCK: u32 = 64;
const SEGMENT: u32 = 65536;

fn more_extreme_max(b: f32, a: f32) -> bool { return !is_nan(a) && (is_nan(b) || b > a); }
fn more_extreme_min(b: f32, a: f32) -> bool { return !is_nan(a) && (is_nan(b) || b < a); }

//! entry reduce_last: x f32, out f32 set
@compute @workgroup_size(256)
fn reduce_last(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let offset = param(1);
    let rows = param(2);
    let n = param(3);
    let teams = 256u / $WIDTH;
    for (var first = group.x * teams; first < rows; first += groups.x * teams) {
        let row = first + local / $WIDTH;
        var lane = $IDENTITY;
        if (row < rows) {
            for (var i = local % $WIDTH; i < n; i += $WIDTH) {
                lane = $JOIN(lane, x_at(offset + row * n + i));
            }
        }
        lanes[local] = lane;
        workgroupBarrier();
        for (var s = $WIDTH / 2u; s > 0; s /= 2) {
            if (local % $WIDTH < s) {
                lanes[local] = $JOIN(lanes[local], lanes[local + s]);
            }
            workgroupBarrier();
        }
        if (local % $WIDTH == 0 && row < rows) {
            out_set(row, lanes[local]);
        }
        workgroupBarrier();
    }
}

//! entry reduce_axis: x f32, out f32 set
@compute @workgroup_size(256)
fn reduce_axis(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let offset = param(1);
    let n = param(3);
    let inner = param(4);
    let columns = param(2) * inner;
    for (var column = id.x; column < columns; column += groups.x * THREADS) {
        var at = offset + column / inner * n * inner + column % inner;
        var total = $IDENTITY;
        for (var first = 0u; first < n; first += BLOCK) {
            var part = $IDENTITY;
            for (var i = first; i < min(first + BLOCK, n); i++) {
                part = $JOIN(part, x_at(at));
                at += inner;
            }
            if (first == 0) {
                total = part;
            } else {
                total = $JOIN(total, part);
            }
        }
        out_set(column, total);
    }
}

//! entry reduce_axis_blocks: x f32, totals f32 set
@compute @workgroup_size(256)
fn reduce_axis_blocks(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let offset = param(1);
    let n = param(3);
    let inner = param(4);
    let columns = param(2) * inner;
    let blocks = (n + BLOCK - 1) / BLOCK;
    for (var k = id.x; k < columns * blocks; k += groups.x * THREADS) {
        let column = k % columns;
        let first = k / columns * BLOCK;
        var at = offset + (column / inner * n + first) * inner + column % inner;
        var part = $IDENTITY;
        for (var i = first; i < min(first + BLOCK, n); i++) {
            part = $JOIN(part, x_at(at));
            at += inner;
        }
        totals_set(k, part);
    }
}

//! entry reduce_axis_totals: totals f32, out f32 set
@compute @workgroup_size(256)
fn reduce_axis_totals(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let columns = param(2) * param(4);
    let blocks = (param(3) + BLOCK - 1) / BLOCK;
    for (var column = id.x; column < columns; column += groups.x * THREADS) {
        var total = totals_at(column);
        for (var k = 1u; k < blocks; k++) {
            total = $JOIN(total, totals_at(k * columns + column));
        }
        out_set(column, total);
    }
}

//! entry reduce_segments: x f32, out f32 set
@compute @workgroup_size(256)
fn reduce_segments(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let offset = word(0);
    let n = word(1);
    let segments = max((n + SEGMENT - 1) / SEGMENT, 1u);
    for (var segment = group.x; segment < segments; segment += groups.x) {
        var lane = $IDENTITY;
        for (var i = segment * SEGMENT + local; i < min((segment + 1) * SEGMENT, n); i += THREADS) {
            lane = $JOIN(lane, x_at(offset + i));
        }
        lanes[local] = lane;
        workgroupBarrier();
        for (var s = 128u; s > 0; s /= 2) {
            if (local < s) {
                lanes[local] = $JOIN(lanes[local], lanes[local + s]);
            }
            workgroupBarrier();
        }
        if (local == 0) {
            out_set(segment, lanes[0]);
        }
        workgroupBarrier();
    }
}

//! entry reduce_arg: x f32, out u32 set
@compute @workgroup_size(256)
fn reduce_arg(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let offset = param(1);
    let n = param(3);
    let inner = param(4);
    let columns = param(2) * inner;
    for (var column = id.x; column < columns; column += groups.x * THREADS) {
        let start = offset + column / inner * n * inner + column % inner;
        var best = 0u;
        if (n > 0) {
            var extreme = x_at(start);
            for (var i = 1u; i < n; i++) {
                let x = x_at(start + i * inner);
                if ($MORE_EXTREME(x, extreme)) {
                    best = i;
                    extreme = x;
                }
            }
        }
        out_set(column, best);
    }
}

//! entry reduce_scan: x f32, out f32 set
@compute @workgroup_size(256)
fn reduce_scan(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let offset = param(0);
    let n = param(2);
    let inner = param(3);
    let columns = param(1) * inner;
    for (var column = id.x; column < columns; column += groups.x * THREADS) {
        let start = column / inner * n * inner + column % inner;
        var sum = x_at(offset + start);
        out_set(start, sum);
        for (var i = 1u; i < n; i++) {
            let at = start + i * inner;
            sum = sum + x_at(offset + at);
            out_set(at, sum);
        }
    }
}

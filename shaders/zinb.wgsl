// Log-likelihood of counts under a (zero-inflated) negative binomial, and its gradients. Mirror of
// src/reference/zinb.rs; buffers, flags and the order of sums in src/kernel/zinb.rs.
//
//   zinb_table   per segment and gene what depends on r alone, and r; into scratch memory: table[field][s][g]
//   zinb_rows    the segment and the weight of each row, behind the table
//   zinb_dense   sparse counts to dense ones, behind those; a workgroup per cell
//   zinb_value   a workgroup per row; lane l adds genes l, l + 256, ..
//   zinb_grad    a thread per gene and row, or with R_BLOCKS per gene and 64 rows
//
// A shorter row is summed as if it had 256 genes (lanes.wgsl). Words: 0 where dense counts begin, 1 where the rows do
// in scratch memory. Cost per entry: 20 bytes; 140 operations for a zero, 260 for a count.

const NO_INFLATION: u32 = 1;
const ONE_SEGMENT: u32 = 2;
const R_BLOCKS: u32 = 4;
const BLOCK: u32 = 64;

fn genes() -> u32 { return param(1); }
// Entries of a field of the table.
fn entries() -> u32 { return param(2) * param(1); }
fn inflated() -> bool { return (param(4) & NO_INFLATION) == 0; }

//! entry zinb_table: r f32, table f32 set
@compute @workgroup_size(256)
fn zinb_table(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = entries();
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        let r = r_at(param(7) + i);
        let t = math_dispersion(r);
        table_set(i, t.theta);
        table_set(n + i, t.inverse);
        table_set(2 * n + i, t.error);
        table_set(3 * n + i, t.inverse_next);
        table_set(4 * n + i, t.digamma_next);
        table_set(5 * n + i, r);
    }
}

//! entry zinb_rows: segment u32, weight u32, table u32 set
@compute @workgroup_size(256)
fn zinb_rows(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var row = id.x; row < param(0); row += groups.x * THREADS) {
        var s = 0u;
        if ((param(4) & ONE_SEGMENT) == 0) {
            s = segment_at(param(8) + row / param(3));
        }
        table_set(word(1) + 2 * row, s);
        if (word(2) != 0) {
            table_set(word(1) + 2 * row + 1, weight_at(param(10) + row));
        }
    }
}

//! entry zinb_dense: indptr u32, indices u32, values f32, x f32 set
@compute @workgroup_size(256)
fn zinb_dense(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let cells = (param(0) + param(3) - 1) / param(3);
    for (var cell = group.x; cell < cells; cell += groups.x) {
        let row = word(0) + cell * genes();
        for (var g = local; g < genes(); g += THREADS) {
            x_set(row + g, 0.0f);
        }
        storageBarrier();
        for (var k = indptr_at(cell) + local; k < indptr_at(cell + 1); k += THREADS) {
            x_set(row + indices_at(k), values_at(k));
        }
    }
}

//! entry zinb_value: x f32, m f32, h f32, table f32, ll f32 set
fn dispersion_at(at: u32) -> Dispersion {
    let n = entries();
    return Dispersion(table_at(at), table_at(n + at), table_at(2 * n + at), table_at(3 * n + at), table_at(4 * n + at));
}

@compute @workgroup_size(256)
fn zinb_value(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    for (var row = group.x; row < param(0); row += groups.x) {
        let x0 = word(0) + row / param(3) * genes();
        let s = bitcast<u32>(table_at(word(1) + 2 * row)) * genes();
        var lane = zero();
        for (var g = local; g < genes(); g += THREADS) {
            let x = x_at(x0 + g);
            let at = row * genes() + g;
            let t = dispersion_at(s + g);
            let mean = math_mean(m_at(param(6) + at), table_at(5 * entries() + s + g), t.inverse);
            var term: f32;
            if (x == 0.0f) {
                let y = t.theta * mean.log_ratio;
                if (inflated()) {
                    let logit = h_at(param(9) + at);
                    term = math_zero_value(y, logit, math_zero_mixture(y, logit).change);
                } else {
                    term = -y;
                }
            } else {
                term = math_count_value(x, mean, t);
                if (inflated()) {
                    term = term - math_inflation(h_at(param(9) + at)).loss;
                }
            }
            lane = lane + term;
        }
        let sum = sum_lanes(local, 256u, lane);
        if (local == 0) {
            ll_set(row, sum);
        }
    }
}

//! entry zinb_grad: x f32, m f32, h f32, table f32, dm f32 set, dr f32 set, dh f32 set
fn dispersion_at(at: u32) -> Dispersion {
    let n = entries();
    return Dispersion(table_at(at), table_at(n + at), table_at(2 * n + at), table_at(3 * n + at), table_at(4 * n + at));
}

@compute @workgroup_size(256)
fn zinb_grad(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let rows = param(0);
    let blocks = (param(4) & R_BLOCKS) != 0;
    let height = select(1u, BLOCK, blocks);
    let n = (rows + height - 1) / height * genes();
    for (var k = id.x; k < n; k += groups.x * THREADS) {
        let block_index = k / genes();
        let g = k - block_index * genes();
        let sums = block_index * entries() + g;
        if (blocks) {
            for (var s = 0u; s < param(2); s++) {
                dr_set(sums + s * genes(), zero());
            }
        }
        for (var row = block_index * height; row < min((block_index + 1) * height, rows); row++) {
            let x = x_at(word(0) + row / param(3) * genes() + g);
            let at = row * genes() + g;
            let s = bitcast<u32>(table_at(word(1) + 2 * row)) * genes();
            let weight = table_at(word(1) + 2 * row + 1);
            let t = dispersion_at(s + g);
            let mean = math_mean(m_at(param(6) + at), table_at(5 * entries() + s + g), t.inverse);
            var slopes: LogProbability;
            if (x == 0.0f) {
                if (inflated()) {
                    let y = t.theta * mean.log_ratio;
                    slopes = math_zero_slopes(math_zero_mixture(y, h_at(param(9) + at)), mean.ratio, y, t.theta);
                } else {
                    slopes = math_nb_zero(mean, t.theta);
                }
            } else {
                slopes = math_count_slopes(x, mean, t);
                if (inflated()) {
                    slopes.h = -math_inflation(h_at(param(9) + at)).share;
                }
            }
            dm_set(at, weight * slopes.m);
            let of_r = weight * slopes.r;
            if (blocks) {
                dr_set(sums + s, dr_at(sums + s) + of_r);
            } else {
                dr_set(at, of_r);
            }
            if (inflated()) {
                dh_set(at, weight * slopes.h);
            }
        }
    }
}

// Sums and maxima by lanes, the order for values side by side: mirror of `by_lanes` in
// src/reference/reduce.rs.
//
// A team of `width` threads, 32 or 256, owns a row; thread t of a team joins elements t, t + width, ..., which
// are lane t. A row shorter than the team is joined as if it had as many lanes: an empty lane holds the identity,
// and joining that to a lane changes no bit, because a sum that starts at +0 is never -0.
//
// All threads of a workgroup must come to a join together.

var<workgroup> lanes: array<f32, 256>;

// Of equal values the first stays; NaN wins.
fn larger(a: f32, b: f32) -> f32 { return select(a, b, b > a || is_nan(b)); }
fn smaller(a: f32, b: f32) -> f32 { return select(a, b, b < a || is_nan(b)); }
fn plus(a: f32, b: f32) -> f32 { return a + b; }

fn lowest() -> f32 { return -math_infinity(); }
fn highest() -> f32 { return math_infinity(); }

// The lanes of each team summed by halving; every thread of the team gets the sum.
fn sum_lanes(local: u32, width: u32, lane: f32) -> f32 {
    lanes[local] = lane;
    workgroupBarrier();
    for (var s = width / 2; s > 0; s /= 2) {
        if (local % width < s) {
            lanes[local] = lanes[local] + lanes[local + s];
        }
        workgroupBarrier();
    }
    let joined = lanes[local - local % width];
    workgroupBarrier();
    return joined;
}

// The largest of the lanes of each team.
fn largest_lane(local: u32, width: u32, lane: f32) -> f32 {
    lanes[local] = lane;
    workgroupBarrier();
    for (var s = width / 2; s > 0; s /= 2) {
        if (local % width < s) {
            lanes[local] = larger(lanes[local], lanes[local + s]);
        }
        workgroupBarrier();
    }
    let joined = lanes[local - local % width];
    workgroupBarrier();
    return joined;
}

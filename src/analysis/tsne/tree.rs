//! A quadtree over the points of the plane, as the sorted order of their Morton codes.

use rayon::prelude::*;

/// Levels below the root; deeper, points share a leaf.
const LEVELS: u32 = 26;
/// A node with so few points is not divided.
const LEAF: usize = 8;

/// Nodes in depth-first order.
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// Points by their code.
    order: Vec<u32>,
    /// `[n, 2]` in that order.
    points: Vec<f64>,
}

struct Node {
    /// Centre of mass.
    x: f64,
    y: f64,
    /// Squared side length.
    area: f64,
    first: u32,
    count: u32,
    /// The node after everything below this one.
    next: u32,
    leaf: bool,
}

impl Tree {
    /// Of the points `y` `[n, 2]`, which are finite.
    pub fn new(y: &[f64]) -> Tree {
        let bounds = |c: usize| {
            let axis = || y.iter().skip(c).step_by(2).copied();
            (axis().fold(f64::INFINITY, f64::min), axis().fold(f64::NEG_INFINITY, f64::max))
        };
        let ((left, right), (bottom, top)) = (bounds(0), bounds(1));
        let side = (right - left).max(top - bottom).max(f64::MIN_POSITIVE);
        let cells = f64::from(1u32 << LEVELS);
        let cell = |v: f64, low: f64| (((v - low) / side * cells) as u64).min((1 << LEVELS) - 1);
        let mut coded: Vec<(u64, u32)> = y
            .par_chunks_exact(2)
            .enumerate()
            .map(|(i, p)| (spread(cell(p[0], left)) | spread(cell(p[1], bottom)) << 1, i as u32))
            .collect();
        coded.par_sort_unstable();
        let order: Vec<u32> = coded.iter().map(|c| c.1).collect();
        let points = order.iter().flat_map(|&i| [y[2 * i as usize], y[2 * i as usize + 1]]).collect();
        let mut tree = Tree { nodes: Vec::new(), order, points };
        if !coded.is_empty() {
            tree.divide(&coded, 0, LEVELS, side);
        }
        tree
    }

    /// Points by their place in the tree.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Adds the node of the points `first ..` with these codes, and all below it.
    fn divide(&mut self, coded: &[(u64, u32)], first: usize, level: u32, side: f64) {
        let at = self.nodes.len();
        let n = coded.len() as f64;
        let own = &self.points[2 * first..2 * (first + coded.len())];
        let (x, y) = own.chunks_exact(2).fold((0.0, 0.0), |(x, y), p| (x + p[0], y + p[1]));
        let leaf = coded.len() <= LEAF || level == 0;
        let (first_point, count) = (first as u32, coded.len() as u32);
        self.nodes.push(Node { x: x / n, y: y / n, area: side * side, first: first_point, count, next: 0, leaf });
        if !leaf {
            let mut start = 0;
            for quarter in coded.chunk_by(|a, b| a.0 >> (2 * (level - 1)) == b.0 >> (2 * (level - 1))) {
                self.divide(quarter, first + start, level - 1, side / 2.0);
                start += quarter.len();
            }
        }
        self.nodes[at].next = self.nodes.len() as u32;
    }

    /// Force on the point at `at` in the tree's order, and the sum of q, its own included.
    pub fn push(&self, at: usize, theta: f64) -> [f64; 3] {
        let (x, y) = (self.points[2 * at], self.points[2 * at + 1]);
        let (mut fx, mut fy, mut z) = (0.0, 0.0, 0.0);
        let mut add = |other_x: f64, other_y: f64, count: f64| {
            let (dx, dy) = (x - other_x, y - other_y);
            let q = 1.0 / (1.0 + dx * dx + dy * dy);
            z += count * q;
            fx += count * q * q * dx;
            fy += count * q * q * dy;
        };
        let open = theta * theta;
        let mut i = 0;
        while let Some(node) = self.nodes.get(i) {
            let (dx, dy) = (x - node.x, y - node.y);
            // A node around the point itself is never far enough: theta is below 1/sqrt 2.
            if node.area < open * (dx * dx + dy * dy) {
                add(node.x, node.y, f64::from(node.count));
                i = node.next as usize;
            } else if node.leaf {
                let first = 2 * node.first as usize;
                let own = &self.points[first..first + 2 * node.count as usize];
                own.chunks_exact(2).for_each(|p| add(p[0], p[1], 1.0));
                i = node.next as usize;
            } else {
                i += 1;
            }
        }
        [fx, fy, z]
    }
}

/// Puts a zero between any two bits of the lower 32.
fn spread(v: u64) -> u64 {
    let mut v = v & 0xffff_ffff;
    v = (v | v << 16) & 0x0000_ffff_0000_ffff;
    v = (v | v << 8) & 0x00ff_00ff_00ff_00ff;
    v = (v | v << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    v = (v | v << 2) & 0x3333_3333_3333_3333;
    (v | v << 1) & 0x5555_5555_5555_5555
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_holds_what_its_children_hold() {
        let y: Vec<f64> = (0..400).map(|i| f64::from((i * 7919) % 1009) + f64::from(i % 3)).collect();
        let tree = Tree::new(&y);
        let root = &tree.nodes[0];
        assert_eq!((root.count, root.next as usize), (200, tree.nodes.len()));
        let leaves: u32 = tree.nodes.iter().filter(|n| n.leaf).map(|n| n.count).sum();
        assert_eq!(leaves, 200);
        let mut order = tree.order.clone();
        order.sort_unstable();
        assert_eq!(order, (0..200).collect::<Vec<u32>>());
        assert_eq!(Tree::new(&[1.0; 40]).nodes.iter().filter(|n| n.leaf).count(), 1, "one place, one leaf");
    }

    #[test]
    fn bits_interleave() {
        assert_eq!(spread(0b1011), 0b100_0101);
        assert_eq!(spread(0x3ff_ffff), 0x0005_5555_5555_5555);
    }
}

//! The distance between two convex shapes (Gilbert, Johnson and Keerthi 1988; van den Bergen 2003).

use crate::physics::math::{Transform, Vec2};

/// The vertices that the last query ended with: the next one starts from them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SimplexCache {
    metric: f32,
    pub count: usize,
    pub index_a: [usize; 3],
    pub index_b: [usize; 3],
}

/// A vertex of the Minkowski difference.
#[derive(Clone, Copy, Debug, Default)]
struct SimplexVertex {
    on_a: Vec2,
    on_b: Vec2,
    /// From A to B.
    w: Vec2,
    /// The barycentric coordinate of the closest point.
    weight: f32,
    index_a: usize,
    index_b: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Simplex {
    vertices: [SimplexVertex; 3],
    count: usize,
}

/// Two sets of vertices, A in the world's frame.
pub(super) struct Shapes<'a> {
    pub a: &'a [Vec2],
    pub b: &'a [Vec2],
}

/// Returns the distance of the outlines, skins not counted.
pub(super) fn distance(shapes: &Shapes<'_>, transform: Transform, cache: &mut SimplexCache) -> f32 {
    let mut simplex = Simplex::from_cache(cache, shapes, transform);
    for _ in 0..MAX_ITERATIONS {
        let before = simplex;
        match simplex.count {
            2 => simplex.solve2(),
            3 => simplex.solve3(),
            _ => {}
        }
        if simplex.count == 3 {
            break;
        }
        let direction = simplex.search_direction();
        if direction.dot(direction) < f32::EPSILON * f32::EPSILON {
            break;
        }
        let vertex = SimplexVertex::new(
            shapes,
            transform,
            support(shapes.a, -direction),
            support(shapes.b, transform.rotation.apply_inverse(direction)),
        );
        simplex.vertices[simplex.count] = vertex;
        // A vertex that was there already means that there is no progress.
        let is_known = before.vertices[..before.count]
            .iter()
            .any(|known| known.index_a == vertex.index_a && known.index_b == vertex.index_b);
        if is_known {
            break;
        }
        simplex.count += 1;
    }
    let (on_a, on_b) = simplex.witness_points();
    simplex.write_cache(cache);
    (on_a - on_b).length()
}

/// Returns the index of the vertex furthest along a direction.
pub(super) fn support(vertices: &[Vec2], direction: Vec2) -> usize {
    let mut best = 0;
    let mut furthest = vertices[0].dot(direction);
    for (at, vertex) in vertices.iter().enumerate().skip(1) {
        let along = vertex.dot(direction);
        if along > furthest {
            furthest = along;
            best = at;
        }
    }
    best
}

impl SimplexVertex {
    fn new(shapes: &Shapes<'_>, transform: Transform, index_a: usize, index_b: usize) -> Self {
        let on_a = shapes.a[index_a];
        let on_b = transform.apply(shapes.b[index_b]);
        SimplexVertex {
            on_a,
            on_b,
            w: on_b - on_a,
            weight: 0.0,
            index_a,
            index_b,
        }
    }
}

impl Simplex {
    fn from_cache(cache: &SimplexCache, shapes: &Shapes<'_>, transform: Transform) -> Simplex {
        let mut simplex = Simplex {
            count: cache.count,
            ..Simplex::default()
        };
        for at in 0..cache.count {
            simplex.vertices[at] =
                SimplexVertex::new(shapes, transform, cache.index_a[at], cache.index_b[at]);
        }
        if simplex.count > 1 {
            let (old, new) = (cache.metric, simplex.metric());
            if new < 0.5 * old || 2.0 * old < new || new < f32::EPSILON {
                simplex.count = 0;
            }
        }
        if simplex.count == 0 {
            simplex.vertices[0] = SimplexVertex::new(shapes, transform, 0, 0);
            simplex.vertices[0].weight = 1.0;
            simplex.count = 1;
        }
        simplex
    }

    fn write_cache(&self, cache: &mut SimplexCache) {
        cache.metric = self.metric();
        cache.count = self.count;
        for at in 0..self.count {
            cache.index_a[at] = self.vertices[at].index_a;
            cache.index_b[at] = self.vertices[at].index_b;
        }
    }

    /// Returns the length or twice the area.
    fn metric(&self) -> f32 {
        let [v1, v2, v3] = &self.vertices;
        match self.count {
            2 => (v1.w - v2.w).length(),
            3 => (v2.w - v1.w).cross(v3.w - v1.w),
            _ => 0.0,
        }
    }

    fn search_direction(&self) -> Vec2 {
        let [v1, v2, _] = &self.vertices;
        if self.count == 1 {
            return -v1.w;
        }
        let along = v2.w - v1.w;
        if along.cross(-v1.w) > 0.0 {
            along.left()
        } else {
            along.right()
        }
    }

    fn witness_points(&self) -> (Vec2, Vec2) {
        let [v1, v2, v3] = &self.vertices;
        match self.count {
            1 => (v1.on_a, v1.on_b),
            2 => (
                v1.on_a * v1.weight + v2.on_a * v2.weight,
                v1.on_b * v1.weight + v2.on_b * v2.weight,
            ),
            _ => {
                let inside = v1.on_a * v1.weight + v2.on_a * v2.weight + v3.on_a * v3.weight;
                (inside, inside)
            }
        }
    }

    fn keep(&mut self, at: usize) {
        self.vertices[at].weight = 1.0;
        self.vertices[0] = self.vertices[at];
        self.count = 1;
    }

    /// Weighs two vertices; the caller puts them first.
    fn weigh_two(&mut self, first: (usize, f32), second: (usize, f32)) {
        let inverse = 1.0 / (first.1 + second.1);
        self.vertices[first.0].weight = first.1 * inverse;
        self.vertices[second.0].weight = second.1 * inverse;
        self.count = 2;
    }

    /// Finds the closest point of a segment to the origin.
    fn solve2(&mut self) {
        let (w1, w2) = (self.vertices[0].w, self.vertices[1].w);
        let e12 = w2 - w1;
        let d12_2 = -w1.dot(e12);
        if d12_2 <= 0.0 {
            return self.keep(0);
        }
        let d12_1 = w2.dot(e12);
        if d12_1 <= 0.0 {
            return self.keep(1);
        }
        self.weigh_two((0, d12_1), (1, d12_2));
    }

    /// Finds the closest point of a triangle to the origin (Ericson 2005, 5.1.5).
    fn solve3(&mut self) {
        let [w1, w2, w3] = self.vertices.map(|vertex| vertex.w);
        let (e12, e13, e23) = (w2 - w1, w3 - w1, w3 - w2);
        let (d12_1, d12_2) = (w2.dot(e12), -w1.dot(e12));
        let (d13_1, d13_2) = (w3.dot(e13), -w1.dot(e13));
        let (d23_1, d23_2) = (w3.dot(e23), -w2.dot(e23));
        let n123 = e12.cross(e13);
        let d123_1 = n123 * w2.cross(w3);
        let d123_2 = n123 * w3.cross(w1);
        let d123_3 = n123 * w1.cross(w2);
        if d12_2 <= 0.0 && d13_2 <= 0.0 {
            return self.keep(0);
        }
        if d12_1 > 0.0 && d12_2 > 0.0 && d123_3 <= 0.0 {
            return self.weigh_two((0, d12_1), (1, d12_2));
        }
        if d13_1 > 0.0 && d13_2 > 0.0 && d123_2 <= 0.0 {
            self.weigh_two((0, d13_1), (2, d13_2));
            self.vertices[1] = self.vertices[2];
            return;
        }
        if d12_1 <= 0.0 && d23_2 <= 0.0 {
            return self.keep(1);
        }
        if d13_1 <= 0.0 && d23_1 <= 0.0 {
            return self.keep(2);
        }
        if d23_1 > 0.0 && d23_2 > 0.0 && d123_1 <= 0.0 {
            self.weigh_two((1, d23_1), (2, d23_2));
            self.vertices[0] = self.vertices[2];
            return;
        }
        let inverse = 1.0 / (d123_1 + d123_2 + d123_3);
        for (vertex, weight) in self.vertices.iter_mut().zip([d123_1, d123_2, d123_3]) {
            vertex.weight = weight * inverse;
        }
        self.count = 3;
    }
}

const MAX_ITERATIONS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_a_square_are_those_on_paper() {
        let edge = [Vec2::new(-5.0, 0.0), Vec2::new(5.0, 0.0)];
        let square = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)];
        let square = square.map(|(x, y)| Vec2::new(x, y));
        let shapes = Shapes {
            a: &edge,
            b: &square,
        };
        for (x, y, angle, expected) in [
            (0.0, 3.0, 0.0, 2.0),
            (9.0, 4.0, 0.0, 18.0_f32.sqrt()),
            (0.0, 3.0, std::f32::consts::FRAC_PI_4, 3.0 - 2.0_f32.sqrt()),
            (0.0, 0.5, 0.0, 0.0),
        ] {
            let transform = Transform::around(Vec2::new(x, y), angle, Vec2::ZERO);
            let found = distance(&shapes, transform, &mut SimplexCache::default());
            assert!(
                (found - expected).abs() < 1e-5,
                "{found} and not {expected}"
            );
        }
    }
}

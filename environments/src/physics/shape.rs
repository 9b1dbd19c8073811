//! Convex polygons and edges: construction, mass, bounding boxes.

use super::math::{Transform, Vec2};

/// What collides: in a body's frame, or for the ground in the world's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Edge(Edge),
    Polygon(Polygon),
}

/// A line segment, solid from both sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edge {
    pub vertices: [Vec2; 2],
}

/// A convex polygon, anticlockwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Polygon {
    vertices: [Vec2; MAX_VERTICES],
    /// The outward normal of the side that starts at the vertex of the same index.
    normals: [Vec2; MAX_VERTICES],
    count: usize,
    pub centroid: Vec2,
}

/// Mass, and inertia about the frame's origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MassData {
    pub mass: f32,
    pub center: Vec2,
    pub inertia: f32,
}

impl Polygon {
    /// Returns the convex hull of 3 to 8 points (gift wrapping, from the rightmost).
    ///
    /// # Panics
    /// With fewer or more points; the shapes are this crate's own.
    pub fn hull(points: &[Vec2]) -> Polygon {
        assert!((3..=MAX_VERTICES).contains(&points.len()));
        let mut first = 0;
        for (at, point) in points.iter().enumerate() {
            let best = points[first];
            if point.x > best.x || (point.x == best.x && point.y < best.y) {
                first = at;
            }
        }
        let mut vertices = [Vec2::ZERO; MAX_VERTICES];
        let mut count = 0;
        let mut corner = first;
        while count < points.len() {
            vertices[count] = points[corner];
            count += 1;
            corner = next_corner(points, corner);
            if corner == first {
                break;
            }
        }
        let mut normals = [Vec2::ZERO; MAX_VERTICES];
        for at in 0..count {
            let side = vertices[(at + 1) % count] - vertices[at];
            normals[at] = side.right().normalized().0;
        }
        Polygon {
            vertices,
            normals,
            count,
            centroid: centroid(&vertices[..count]),
        }
    }

    /// Returns the rectangle about the origin with these half sizes.
    pub fn rectangle(half_width: f32, half_height: f32) -> Polygon {
        let (x, y) = (half_width, half_height);
        let mut vertices = [Vec2::ZERO; MAX_VERTICES];
        let mut normals = [Vec2::ZERO; MAX_VERTICES];
        vertices[..4].copy_from_slice(&[
            Vec2::new(-x, -y),
            Vec2::new(x, -y),
            Vec2::new(x, y),
            Vec2::new(-x, y),
        ]);
        normals[..4].copy_from_slice(&[
            Vec2::new(0.0, -1.0),
            Vec2::new(1.0, 0.0),
            Vec2::new(0.0, 1.0),
            Vec2::new(-1.0, 0.0),
        ]);
        Polygon {
            vertices,
            normals,
            count: 4,
            centroid: Vec2::ZERO,
        }
    }

    pub fn vertices(&self) -> &[Vec2] {
        &self.vertices[..self.count]
    }

    pub fn normals(&self) -> &[Vec2] {
        &self.normals[..self.count]
    }

    /// Returns the index after `at`, around the polygon.
    pub fn after(&self, at: usize) -> usize {
        if at + 1 < self.count { at + 1 } else { 0 }
    }

    /// Returns the index before `at`, around the polygon.
    pub fn before(&self, at: usize) -> usize {
        if at > 0 { at - 1 } else { self.count - 1 }
    }

    /// Integrates mass and inertia over the triangles around the mean of the vertices.
    pub fn mass(&self, density: f32) -> MassData {
        let vertices = self.vertices();
        let mut mean = Vec2::ZERO;
        for vertex in vertices {
            mean += *vertex;
        }
        mean = mean * (1.0 / self.count as f32);
        let (mut center, mut area, mut inertia) = (Vec2::ZERO, 0.0, 0.0);
        for (at, vertex) in vertices.iter().enumerate() {
            let (e1, e2) = (*vertex - mean, vertices[self.after(at)] - mean);
            let twice = e1.cross(e2);
            let triangle = 0.5 * twice;
            area += triangle;
            center += (e1 + e2) * (triangle * THIRD);
            let x2 = e1.x * e1.x + e2.x * e1.x + e2.x * e2.x;
            let y2 = e1.y * e1.y + e2.y * e1.y + e2.y * e2.y;
            inertia += (0.25 * THIRD * twice) * (x2 + y2);
        }
        let mass = density * area;
        center = center * (1.0 / area);
        let from_origin = center + mean;
        MassData {
            mass,
            center: from_origin,
            inertia: density * inertia + mass * (from_origin.dot(from_origin) - center.dot(center)),
        }
    }
}

impl Shape {
    /// Returns the vertices, two for an edge.
    pub fn vertices(&self) -> &[Vec2] {
        match self {
            Shape::Edge(edge) => &edge.vertices,
            Shape::Polygon(polygon) => polygon.vertices(),
        }
    }

    pub fn aabb(&self, transform: Transform) -> Aabb {
        aabb(self.vertices(), transform)
    }
}

/// Returns the box around points in a frame, with the skin.
pub(crate) fn aabb(vertices: &[Vec2], transform: Transform) -> Aabb {
    let first = transform.apply(vertices[0]);
    let (mut lower, mut upper) = (first, first);
    for vertex in &vertices[1..] {
        let point = transform.apply(*vertex);
        lower = lower.min(point);
        upper = upper.max(point);
    }
    let skin = Vec2::new(SKIN, SKIN);
    Aabb {
        lower: lower - skin,
        upper: upper + skin,
    }
}

fn next_corner(points: &[Vec2], from: usize) -> usize {
    let mut next = 0;
    for (at, point) in points.iter().enumerate().skip(1) {
        if next == from {
            next = at;
            continue;
        }
        let best = points[next] - points[from];
        let candidate = *point - points[from];
        let turn = best.cross(candidate);
        if turn < 0.0 || (turn == 0.0 && candidate.dot(candidate) > best.dot(best)) {
            next = at;
        }
    }
    next
}

fn centroid(vertices: &[Vec2]) -> Vec2 {
    let (mut sum, mut area) = (Vec2::ZERO, 0.0);
    for (at, vertex) in vertices.iter().enumerate() {
        let next = vertices[(at + 1) % vertices.len()];
        let triangle = 0.5 * vertex.cross(next);
        area += triangle;
        sum += (*vertex + next) * (triangle * THIRD);
    }
    sum * (1.0 / area)
}

/// A box along the axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Aabb {
    pub lower: Vec2,
    pub upper: Vec2,
}

impl Aabb {
    pub fn overlaps(&self, other: &Aabb) -> bool {
        other.lower.x - self.upper.x <= 0.0
            && other.lower.y - self.upper.y <= 0.0
            && self.lower.x - other.upper.x <= 0.0
            && self.lower.y - other.upper.y <= 0.0
    }

    pub fn contains(&self, other: &Aabb) -> bool {
        self.lower.x <= other.lower.x
            && self.lower.y <= other.lower.y
            && other.upper.x <= self.upper.x
            && other.upper.y <= self.upper.y
    }

    pub fn union(&self, other: &Aabb) -> Aabb {
        Aabb {
            lower: self.lower.min(other.lower),
            upper: self.upper.max(other.upper),
        }
    }

    /// Returns the box grown by `margin` on every side.
    pub fn grown(&self, margin: f32) -> Aabb {
        let margin = Vec2::new(margin, margin);
        Aabb {
            lower: self.lower - margin,
            upper: self.upper + margin,
        }
    }
}

/// How many vertices a polygon has at most.
pub(crate) const MAX_VERTICES: usize = 8;

/// How far penetration is tolerated; m.
pub(crate) const LINEAR_SLOP: f32 = 0.005;

/// The radius that every shape has beyond its outline; m.
pub(crate) const SKIN: f32 = 2.0 * LINEAR_SLOP;

const THIRD: f32 = 1.0 / 3.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hull_is_anticlockwise_from_the_rightmost_and_drops_inner_points() {
        let points = [(0.0, 0.0), (2.0, 0.0), (1.0, 0.5), (2.0, 2.0), (0.0, 2.0)];
        let hull = Polygon::hull(&points.map(|(x, y)| Vec2::new(x, y)));
        let expected = [(2.0, 0.0), (2.0, 2.0), (0.0, 2.0), (0.0, 0.0)];
        assert_eq!(hull.vertices(), expected.map(|(x, y)| Vec2::new(x, y)));
        assert_eq!(hull.centroid, Vec2::new(1.0, 1.0));
        assert_eq!(hull.normals()[0], Vec2::new(1.0, 0.0));
    }

    #[test]
    fn a_rectangle_has_the_mass_and_inertia_of_the_formula() {
        let data = Polygon::rectangle(0.5, 1.5).mass(2.0);
        assert_eq!((data.mass, data.center), (6.0, Vec2::ZERO));
        let formula = 6.0 * (1.0_f32 + 9.0) / 12.0;
        assert!((data.inertia - formula).abs() < 1e-5, "{}", data.inertia);
    }
}

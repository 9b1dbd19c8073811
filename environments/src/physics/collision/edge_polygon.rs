//! An edge of the ground against a body's polygon.

use super::{ClipPoint, Feature, Manifold, ManifoldPoint, Reference, clip, is_clearly_greater};
use crate::physics::{
    ANGULAR_SLOP,
    math::{Transform, Vec2},
    shape::{Edge, MAX_VERTICES, Polygon, SKIN},
};

/// The polygon in the edge's frame, and the edge's normal on the polygon's side.
struct Pair<'a> {
    edge: &'a Edge,
    vertices: [Vec2; MAX_VERTICES],
    normals: [Vec2; MAX_VERTICES],
    count: usize,
    normal: Vec2,
}

/// Finds the points within twice the skin, on the side that separates most.
pub(super) fn collide(edge: &Edge, polygon: &Polygon, transform: Transform) -> Manifold {
    let [v1, v2] = edge.vertices;
    let edge_normal = (v2 - v1).normalized().0.right();
    let is_front = edge_normal.dot(transform.apply(polygon.centroid) - v1) >= 0.0;
    let mut pair = Pair {
        edge,
        vertices: [Vec2::ZERO; MAX_VERTICES],
        normals: [Vec2::ZERO; MAX_VERTICES],
        count: polygon.vertices().len(),
        normal: if is_front { edge_normal } else { -edge_normal },
    };
    for at in 0..pair.count {
        pair.vertices[at] = transform.apply(polygon.vertices()[at]);
        pair.normals[at] = transform.rotation.apply(polygon.normals()[at]);
    }
    let by_edge = pair.edge_separation();
    if by_edge > RADIUS {
        return Manifold::default();
    }
    match pair.polygon_separation() {
        Some((_, separation)) if separation > RADIUS => Manifold::default(),
        Some((side, separation)) if is_clearly_greater(separation, by_edge) => {
            pair.manifold_on_polygon(side, polygon)
        }
        _ => pair.manifold_on_edge(is_front, transform),
    }
}

impl Pair<'_> {
    fn edge_separation(&self) -> f32 {
        let mut separation = f32::MAX;
        for vertex in &self.vertices[..self.count] {
            let distance = self.normal.dot(*vertex - self.edge.vertices[0]);
            if distance < separation {
                separation = distance;
            }
        }
        separation
    }

    /// Returns the polygon's side that separates most, and how far; `None` when no side faces the edge.
    fn polygon_separation(&self) -> Option<(usize, f32)> {
        let [v1, v2] = self.edge.vertices;
        let mut best: Option<(usize, f32)> = None;
        for at in 0..self.count {
            let inward = -self.normals[at];
            let s1 = inward.dot(self.vertices[at] - v1);
            let s2 = inward.dot(self.vertices[at] - v2);
            let separation = if s1 < s2 { s1 } else { s2 };
            if separation > RADIUS {
                return Some((at, separation));
            }
            let faces_away = (inward + self.normal).dot(self.normal) < -ANGULAR_SLOP;
            if !faces_away && best.is_none_or(|(_, found)| separation > found) {
                best = Some((at, separation));
            }
        }
        best
    }

    fn manifold_on_edge(&self, is_front: bool, transform: Transform) -> Manifold {
        let mut incident = 0;
        let mut least = self.normal.dot(self.normals[0]);
        for at in 1..self.count {
            let facing = self.normal.dot(self.normals[at]);
            if facing < least {
                least = facing;
                incident = at;
            }
        }
        let next = if incident + 1 < self.count {
            incident + 1
        } else {
            0
        };
        let side = [incident, next].map(|at| ClipPoint {
            point: self.vertices[at],
            feature: Feature {
                index_a: 0,
                index_b: at as u8,
                a_is_side: true,
                b_is_side: false,
            },
        });
        let [v1, v2] = self.edge.vertices;
        let (ends, indexes) = if is_front {
            ([v1, v2], [0, 1])
        } else {
            ([v2, v1], [1, 0])
        };
        let mut manifold = Manifold::new(Reference::Ground, self.normal, ends[0]);
        if let Some(points) = clip_between(side, ends, indexes, self.normal) {
            for clipped in points {
                if self.normal.dot(clipped.point - ends[0]) <= RADIUS {
                    manifold.push(ManifoldPoint {
                        local_point: transform.apply_inverse(clipped.point),
                        feature: clipped.feature,
                        ..ManifoldPoint::default()
                    });
                }
            }
        }
        manifold
    }

    fn manifold_on_polygon(&self, reference: usize, polygon: &Polygon) -> Manifold {
        let side = self.edge.vertices.map(|point| ClipPoint {
            point,
            feature: Feature {
                index_a: 0,
                index_b: reference as u8,
                a_is_side: false,
                b_is_side: true,
            },
        });
        let next = polygon.after(reference);
        let ends = [self.vertices[reference], self.vertices[next]];
        let normal = self.normals[reference];
        let mut manifold = Manifold::new(
            Reference::Body,
            polygon.normals()[reference],
            polygon.vertices()[reference],
        );
        if let Some(points) = clip_between(side, ends, [reference, next], normal) {
            for clipped in points {
                if normal.dot(clipped.point - ends[0]) <= RADIUS {
                    manifold.push(ManifoldPoint {
                        local_point: clipped.point,
                        feature: clipped.feature.swapped(),
                        ..ManifoldPoint::default()
                    });
                }
            }
        }
        manifold
    }
}

/// Clips a side against the two lines through the ends of the reference, along its normal.
fn clip_between(
    side: [ClipPoint; 2],
    ends: [Vec2; 2],
    indexes: [usize; 2],
    normal: Vec2,
) -> Option<[ClipPoint; 2]> {
    let outward1 = normal.right();
    let outward2 = -outward1;
    let side = clip(side, outward1, outward1.dot(ends[0]), indexes[0])?;
    clip(side, outward2, outward2.dot(ends[1]), indexes[1])
}

/// Both skins.
const RADIUS: f32 = 2.0 * SKIN;

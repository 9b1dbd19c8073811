//! The narrow phase: where two shapes touch.

mod distance;
mod edge_polygon;
mod polygon_polygon;
mod time_of_impact;

pub(super) use time_of_impact::time_of_impact;

use super::{
    math::{Transform, Vec2},
    shape::{Polygon, Shape},
};

/// The points where a ground shape (A) and a body's polygon (B) touch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Manifold {
    pub reference: Reference,
    /// The normal of the reference side, in its shape's frame.
    pub local_normal: Vec2,
    /// A point of the reference side, in its shape's frame.
    pub local_point: Vec2,
    points: [ManifoldPoint; 2],
    count: usize,
}

/// The shape whose side the normal belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reference {
    #[default]
    Ground,
    Body,
}

/// One touching point.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ManifoldPoint {
    /// In the frame of the shape that is not the reference.
    pub local_point: Vec2,
    pub normal_impulse: f32,
    pub tangent_impulse: f32,
    pub feature: Feature,
}

/// Which vertices or sides made a point; equal features in two steps are the same point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Feature {
    pub index_a: u8,
    pub index_b: u8,
    pub a_is_side: bool,
    pub b_is_side: bool,
}

impl Feature {
    fn swapped(self) -> Feature {
        Feature {
            index_a: self.index_b,
            index_b: self.index_a,
            a_is_side: self.b_is_side,
            b_is_side: self.a_is_side,
        }
    }
}

impl Manifold {
    /// Returns a manifold without points; the normal and a point of the side are in the reference's frame.
    pub fn new(reference: Reference, local_normal: Vec2, local_point: Vec2) -> Manifold {
        Manifold {
            reference,
            local_normal,
            local_point,
            ..Manifold::default()
        }
    }

    pub fn points(&self) -> &[ManifoldPoint] {
        &self.points[..self.count]
    }

    pub fn points_mut(&mut self) -> &mut [ManifoldPoint] {
        &mut self.points[..self.count]
    }

    /// Adds a point; a manifold has at most two, as a clipped side has.
    pub fn push(&mut self, point: ManifoldPoint) {
        self.points[self.count] = point;
        self.count += 1;
    }
}

/// Finds where a ground shape and a body's polygon touch; no points when they do not.
pub(super) fn collide(ground: &Shape, polygon: &Polygon, transform: Transform) -> Manifold {
    match ground {
        Shape::Edge(edge) => edge_polygon::collide(edge, polygon, transform),
        Shape::Polygon(other) => polygon_polygon::collide(other, polygon, transform),
    }
}

/// An end of the side that is being clipped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct ClipPoint {
    point: Vec2,
    feature: Feature,
}

/// Keeps what is behind a line (Sutherland and Hodgman 1974); `None` unless two points are left.
fn clip(
    side: [ClipPoint; 2],
    normal: Vec2,
    offset: f32,
    vertex_a: usize,
) -> Option<[ClipPoint; 2]> {
    let [first, second] = side;
    let distance0 = normal.dot(first.point) - offset;
    let distance1 = normal.dot(second.point) - offset;
    match (distance0 <= 0.0, distance1 <= 0.0) {
        (true, true) => Some(side),
        (false, false) => None,
        (first_stays, _) => {
            if distance0 * distance1 >= 0.0 {
                return None;
            }
            let share = distance0 / (distance0 - distance1);
            let crossing = ClipPoint {
                point: first.point + (second.point - first.point) * share,
                feature: Feature {
                    index_a: vertex_a as u8,
                    index_b: first.feature.index_b,
                    a_is_side: false,
                    b_is_side: true,
                },
            };
            Some([if first_stays { first } else { second }, crossing])
        }
    }
}

/// How much better another reference must be before it is taken; keeps contacts from flickering.
fn is_clearly_greater(separation: f32, than: f32) -> bool {
    separation > 0.98 * than + 0.001
}

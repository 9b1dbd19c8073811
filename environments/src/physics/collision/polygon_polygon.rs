//! A polygon of the ground against a body's polygon.

use super::{ClipPoint, Feature, Manifold, ManifoldPoint, Reference, clip, is_clearly_greater};
use crate::physics::{
    math::{Transform, Vec2},
    shape::{Polygon, SKIN},
};

/// A polygon and where it is.
#[derive(Clone, Copy)]
struct Placed<'a> {
    polygon: &'a Polygon,
    at: Transform,
}

/// Finds the points within both skins, on the side of either polygon that separates most.
pub(super) fn collide(ground: &Polygon, polygon: &Polygon, transform: Transform) -> Manifold {
    let ground = Placed {
        polygon: ground,
        at: Transform::IDENTITY,
    };
    let body = Placed {
        polygon,
        at: transform,
    };
    let (side_a, separation_a) = greatest_separation(ground, body);
    if separation_a > RADIUS {
        return Manifold::default();
    }
    let (side_b, separation_b) = greatest_separation(body, ground);
    if separation_b > RADIUS {
        return Manifold::default();
    }
    if is_clearly_greater(separation_b, separation_a) {
        manifold(body, side_b, ground, Reference::Body)
    } else {
        manifold(ground, side_a, body, Reference::Ground)
    }
}

/// Climbs from the side that looks at the other polygon to the neighbours that separate more.
fn greatest_separation(from: Placed<'_>, to: Placed<'_>) -> (usize, f32) {
    let between = to.at.apply(to.polygon.centroid) - from.at.apply(from.polygon.centroid);
    let local = from.at.rotation.apply_inverse(between);
    let mut side = 0;
    let mut greatest = f32::MIN;
    for (at, normal) in from.polygon.normals().iter().enumerate() {
        let facing = normal.dot(local);
        if facing > greatest {
            greatest = facing;
            side = at;
        }
    }
    let separation = separation_of(from, side, to);
    let before = from.polygon.before(side);
    let separation_before = separation_of(from, before, to);
    let after = from.polygon.after(side);
    let separation_after = separation_of(from, after, to);
    let climb = |from_side: usize, from_separation: f32, next: fn(&Polygon, usize) -> usize| {
        let (mut best, mut best_separation) = (from_side, from_separation);
        // A turn around the polygon is the most that there is to climb.
        for _ in 0..from.polygon.normals().len() {
            let side = next(from.polygon, best);
            let separation = separation_of(from, side, to);
            if separation <= best_separation {
                break;
            }
            (best, best_separation) = (side, separation);
        }
        (best, best_separation)
    };
    if separation_before > separation && separation_before > separation_after {
        climb(before, separation_before, Polygon::before)
    } else if separation_after > separation {
        climb(after, separation_after, Polygon::after)
    } else {
        (side, separation)
    }
}

/// Returns how far the other polygon's deepest vertex is beyond a side.
fn separation_of(from: Placed<'_>, side: usize, to: Placed<'_>) -> f32 {
    let normal = from.at.rotation.apply(from.polygon.normals()[side]);
    let local = to.at.rotation.apply_inverse(normal);
    let deepest = lowest(to.polygon.vertices(), local);
    let on_side = from.at.apply(from.polygon.vertices()[side]);
    let vertex = to.at.apply(to.polygon.vertices()[deepest]);
    (vertex - on_side).dot(normal)
}

/// Returns the index of the vector that goes least along a direction.
fn lowest(vectors: &[Vec2], direction: Vec2) -> usize {
    let mut best = 0;
    let mut least = f32::MAX;
    for (at, vector) in vectors.iter().enumerate() {
        let along = vector.dot(direction);
        if along < least {
            least = along;
            best = at;
        }
    }
    best
}

fn manifold(
    reference: Placed<'_>,
    side: usize,
    incident: Placed<'_>,
    which: Reference,
) -> Manifold {
    let after = reference.polygon.after(side);
    let (local1, local2) = (
        reference.polygon.vertices()[side],
        reference.polygon.vertices()[after],
    );
    let local_tangent = (local2 - local1).normalized().0;
    let mut manifold = Manifold::new(which, local_tangent.right(), (local1 + local2) * 0.5);
    let tangent = reference.at.rotation.apply(local_tangent);
    let normal = tangent.right();
    let (v1, v2) = (reference.at.apply(local1), reference.at.apply(local2));
    let front = normal.dot(v1);
    let clipped = clip(
        incident_side(reference, side, incident),
        -tangent,
        -tangent.dot(v1) + RADIUS,
        side,
    )
    .and_then(|points| clip(points, tangent, tangent.dot(v2) + RADIUS, after));
    for point in clipped.into_iter().flatten() {
        if normal.dot(point.point) - front <= RADIUS {
            manifold.push(ManifoldPoint {
                local_point: incident.at.apply_inverse(point.point),
                feature: match which {
                    Reference::Ground => point.feature,
                    Reference::Body => point.feature.swapped(),
                },
                ..ManifoldPoint::default()
            });
        }
    }
    manifold
}

/// Returns the side that looks most against the reference side.
fn incident_side(reference: Placed<'_>, side: usize, incident: Placed<'_>) -> [ClipPoint; 2] {
    let normal = incident.at.rotation.apply_inverse(
        reference
            .at
            .rotation
            .apply(reference.polygon.normals()[side]),
    );
    let first = lowest(incident.polygon.normals(), normal);
    [first, incident.polygon.after(first)].map(|at| ClipPoint {
        point: incident.at.apply(incident.polygon.vertices()[at]),
        feature: Feature {
            index_a: side as u8,
            index_b: at as u8,
            a_is_side: true,
            b_is_side: false,
        },
    })
}

/// Both skins.
const RADIUS: f32 = SKIN + SKIN;

//! When in a step a moving polygon first touches the ground, by local separating axes (Catto 2013).

use super::distance::{Shapes, SimplexCache, distance, support};
use crate::physics::{
    math::{Sweep, Transform, Vec2},
    shape::{LINEAR_SLOP, MAX_VERTICES, Polygon, SKIN, Shape},
};

/// Returns the fraction of the motion at which they touch; `None` when they stay apart or overlap already.
pub(crate) fn time_of_impact(ground: &Shape, polygon: &Polygon, sweep: &Sweep) -> Option<f32> {
    let shapes = Shapes {
        a: ground.vertices(),
        b: polygon.vertices(),
    };
    let mut sweep = *sweep;
    // The root finder can fail on large angles.
    sweep.normalize();
    let mut start = 0.0;
    let mut cache = SimplexCache::default();
    for _ in 0..MAX_ITERATIONS {
        let transform = sweep.transform(start);
        let apart = distance(&shapes, transform, &mut cache);
        if apart <= 0.0 {
            return None;
        }
        if apart < TARGET + TOLERANCE {
            return Some(start);
        }
        let axis = Axis::new(&shapes, &cache, transform);
        match axis.advance(&shapes, &sweep, start) {
            Advance::To(time) => start = time,
            Advance::Touches => return Some(start),
            Advance::Never => return None,
        }
    }
    None
}

/// What one separating axis tells.
enum Advance {
    /// The shapes are apart until this time.
    To(f32),
    Touches,
    /// They stay apart, or the root finder failed.
    Never,
}

/// A direction that separates the shapes at a time.
enum Axis {
    /// Between two vertices, in the world.
    Points { axis: Vec2 },
    /// A normal of the ground, at one of its points.
    Ground { normal: Vec2, point: Vec2 },
    /// A normal of the body, at one of its points; both in the body's frame.
    Body { normal: Vec2, point: Vec2 },
}

impl Axis {
    fn new(shapes: &Shapes<'_>, cache: &SimplexCache, transform: Transform) -> Axis {
        let (a, b) = (cache.index_a, cache.index_b);
        if cache.count == 1 {
            let between = transform.apply(shapes.b[b[0]]) - shapes.a[a[0]];
            return Axis::Points {
                axis: between.normalized().0,
            };
        }
        if a[0] == a[1] {
            let (b1, b2) = (shapes.b[b[0]], shapes.b[b[1]]);
            let normal = (b2 - b1).right().normalized().0;
            let point = (b1 + b2) * 0.5;
            let on_a = shapes.a[a[0]];
            let separation = (on_a - transform.apply(point)).dot(transform.rotation.apply(normal));
            return Axis::Body {
                normal: if separation < 0.0 { -normal } else { normal },
                point,
            };
        }
        let (a1, a2) = (shapes.a[a[0]], shapes.a[a[1]]);
        let normal = (a2 - a1).right().normalized().0;
        let point = (a1 + a2) * 0.5;
        let on_b = transform.apply(shapes.b[b[0]]);
        let separation = (on_b - point).dot(normal);
        Axis::Ground {
            normal: if separation < 0.0 { -normal } else { normal },
            point,
        }
    }

    /// Returns the pair of vertices that are closest along the axis.
    fn deepest(&self, shapes: &Shapes<'_>, transform: Transform) -> (usize, usize) {
        let into_body = |v: Vec2| transform.rotation.apply_inverse(v);
        match *self {
            Axis::Points { axis } => (support(shapes.a, axis), support(shapes.b, into_body(-axis))),
            Axis::Ground { normal, .. } => (0, support(shapes.b, into_body(-normal))),
            Axis::Body { normal, .. } => (support(shapes.a, -transform.rotation.apply(normal)), 0),
        }
    }

    /// Returns how far the pair of vertices is apart along the axis.
    fn separation(&self, shapes: &Shapes<'_>, pair: (usize, usize), transform: Transform) -> f32 {
        match *self {
            Axis::Points { axis } => {
                (transform.apply(shapes.b[pair.1]) - shapes.a[pair.0]).dot(axis)
            }
            Axis::Ground { normal, point } => {
                (transform.apply(shapes.b[pair.1]) - point).dot(normal)
            }
            Axis::Body { normal, point } => {
                (shapes.a[pair.0] - transform.apply(point)).dot(transform.rotation.apply(normal))
            }
        }
    }

    /// Goes back from the end of the motion to where the deepest pairs touch, one after the other.
    fn advance(&self, shapes: &Shapes<'_>, sweep: &Sweep, start: f32) -> Advance {
        let mut end = 1.0;
        for _ in 0..MAX_PUSH_BACKS {
            let transform = sweep.transform(end);
            let pair = self.deepest(shapes, transform);
            let at_end = self.separation(shapes, pair, transform);
            if at_end > TARGET + TOLERANCE {
                return Advance::Never;
            }
            if at_end > TARGET - TOLERANCE {
                return Advance::To(end);
            }
            let at_start = self.separation(shapes, pair, sweep.transform(start));
            if at_start < TARGET - TOLERANCE {
                return Advance::Never;
            }
            if at_start <= TARGET + TOLERANCE {
                return Advance::Touches;
            }
            let f = |time| self.separation(shapes, pair, sweep.transform(time));
            end = root(f, (start, at_start), (end, at_end)).unwrap_or(end);
        }
        Advance::To(start)
    }
}

/// Finds the time at which `f` is the target, by turns of bisection and secant; `None` without one in 50.
fn root(f: impl Fn(f32) -> f32, low: (f32, f32), high: (f32, f32)) -> Option<f32> {
    let ((mut a1, mut s1), (mut a2, mut s2)) = (low, high);
    for turn in 0..MAX_ROOT_ITERATIONS {
        let time = if turn % 2 == 1 {
            a1 + (TARGET - s1) * (a2 - a1) / (s2 - s1)
        } else {
            0.5 * (a1 + a2)
        };
        let separation = f(time);
        let error = separation - TARGET;
        if error.abs() < TOLERANCE {
            return Some(time);
        }
        if separation > TARGET {
            (a1, s1) = (time, separation);
        } else {
            (a2, s2) = (time, separation);
        }
    }
    None
}

/// The separation to stop at: within both skins, so that the solver sees a touch.
const TARGET: f32 = {
    let within = SKIN + SKIN - 3.0 * LINEAR_SLOP;
    if LINEAR_SLOP > within {
        LINEAR_SLOP
    } else {
        within
    }
};
const TOLERANCE: f32 = 0.25 * LINEAR_SLOP;
const MAX_ITERATIONS: usize = 20;
/// Box2D is built with polygons of up to 16 vertices, and counts by them.
const MAX_PUSH_BACKS: usize = 2 * MAX_VERTICES;
const MAX_ROOT_ITERATIONS: usize = 50;

//! Where a ray first meets the ground.

use super::{
    math::Vec2,
    shape::{Aabb, Edge, Polygon, Shape},
    world::World,
};

impl World {
    /// Returns the fraction of the way from `from` to `to` where the ground begins; 1 without any.
    pub fn ray_cast(&self, from: Vec2, to: Vec2) -> f32 {
        let mut fraction = 1.0;
        let around = Aabb {
            lower: from.min(to),
            upper: from.max(to),
        };
        for piece in self.ground.candidates(around) {
            let hit = match &self.ground.piece(piece).shape {
                Shape::Edge(edge) => cast_on_edge(edge, from, to, fraction),
                Shape::Polygon(polygon) => cast_on_polygon(polygon, from, to, fraction),
            };
            if let Some(nearer) = hit {
                fraction = nearer;
            }
        }
        fraction
    }
}

fn cast_on_edge(edge: &Edge, from: Vec2, to: Vec2, most: f32) -> Option<f32> {
    let [v1, v2] = edge.vertices;
    let (ray, along) = (to - from, v2 - v1);
    let normal = along.right().normalized().0;
    let (numerator, denominator) = (normal.dot(v1 - from), normal.dot(ray));
    if denominator == 0.0 {
        return None;
    }
    let fraction = numerator / denominator;
    if fraction < 0.0 || most < fraction {
        return None;
    }
    let length_squared = along.dot(along);
    if length_squared == 0.0 {
        return None;
    }
    let on_edge = (from + ray * fraction - v1).dot(along) / length_squared;
    (0.0..=1.0).contains(&on_edge).then_some(fraction)
}

/// Clips the ray by each side; a ray from inside meets nothing.
fn cast_on_polygon(polygon: &Polygon, from: Vec2, to: Vec2, most: f32) -> Option<f32> {
    let ray = to - from;
    let (mut enters, mut leaves) = (0.0, most);
    let mut is_outside = false;
    for (vertex, normal) in polygon.vertices().iter().zip(polygon.normals()) {
        let (numerator, denominator) = (normal.dot(*vertex - from), normal.dot(ray));
        if denominator == 0.0 {
            if numerator < 0.0 {
                return None;
            }
        } else if denominator < 0.0 && numerator < enters * denominator {
            enters = numerator / denominator;
            is_outside = true;
        } else if denominator > 0.0 && numerator < leaves * denominator {
            leaves = numerator / denominator;
        }
        if leaves < enters {
            return None;
        }
    }
    is_outside.then_some(enters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_piece_is_met_and_a_ray_into_the_sky_meets_none() {
        let mut world = World::default();
        let body = world.add_ground_body();
        let floor = [Vec2::new(-10.0, 0.0), Vec2::new(10.0, 0.0)];
        world.add_ground(body, Shape::Edge(Edge { vertices: floor }), 0.5);
        let block = [(1.0, 0.0), (3.0, 0.0), (3.0, 2.0), (1.0, 2.0)];
        let block = Polygon::hull(&block.map(|(x, y)| Vec2::new(x, y)));
        world.add_ground(body, Shape::Polygon(block), 0.5);
        let cast = |x: f32, y: f32, to_x: f32, to_y: f32| {
            world.ray_cast(Vec2::new(x, y), Vec2::new(to_x, to_y))
        };
        assert_eq!(cast(0.0, 4.0, 0.0, -4.0), 0.5);
        assert_eq!(cast(2.0, 4.0, 2.0, -4.0), 0.25);
        assert_eq!(cast(0.0, 1.0, 4.0, 1.0), 0.25);
        assert_eq!(cast(0.0, 1.0, 0.0, 9.0), 1.0);
        assert_eq!(cast(12.0, 1.0, 12.0, -1.0), 1.0);
    }
}

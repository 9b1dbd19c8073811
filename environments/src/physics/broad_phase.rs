//! Which pieces of the ground a box may touch.

use super::shape::{Aabb, Shape};

/// A piece of the ground.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroundPiece {
    pub shape: Shape,
    pub friction: f32,
    /// The ground body that the piece belongs to.
    pub body: usize,
    /// The box that the broad phase knows.
    pub fat_aabb: Aabb,
}

/// The pieces, in order of their left ends too.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ground {
    pieces: Vec<GroundPiece>,
    by_left: Vec<usize>,
    /// The width of the widest box.
    widest: f32,
}

impl Ground {
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.by_left.clear();
        self.widest = 0.0;
    }

    /// Makes room for this many pieces more.
    pub fn reserve(&mut self, pieces: usize) {
        self.pieces.reserve(pieces);
        self.by_left.reserve(pieces);
    }

    pub fn push(&mut self, piece: GroundPiece) {
        let left = piece.fat_aabb.lower.x;
        let width = piece.fat_aabb.upper.x - left;
        let at = self
            .by_left
            .partition_point(|known| self.pieces[*known].fat_aabb.lower.x <= left);
        self.by_left.insert(at, self.pieces.len());
        self.pieces.push(piece);
        self.widest = self.widest.max(width);
    }

    pub fn piece(&self, at: usize) -> &GroundPiece {
        &self.pieces[at]
    }

    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Returns the pieces whose boxes may overlap `aabb`, by their left ends.
    pub fn candidates(&self, aabb: Aabb) -> impl Iterator<Item = usize> {
        // A millimetre makes up for the rounding of the difference.
        let leftmost = aabb.lower.x - self.widest - 1e-3;
        let first = self
            .by_left
            .partition_point(|piece| self.pieces[*piece].fat_aabb.lower.x < leftmost);
        self.by_left[first..]
            .iter()
            .copied()
            .take_while(move |piece| self.pieces[*piece].fat_aabb.lower.x <= aabb.upper.x)
            .filter(move |piece| self.pieces[*piece].fat_aabb.overlaps(&aabb))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::{Edge, Vec2};

    #[test]
    fn candidates_are_all_that_overlap() {
        let mut ground = Ground::default();
        for at in [3, 0, 7, 1, 9, 2] {
            let left = at as f32;
            let vertices = [Vec2::new(left, 0.0), Vec2::new(left + 1.5, 1.0)];
            ground.push(GroundPiece {
                shape: Shape::Edge(Edge { vertices }),
                friction: 0.1,
                body: 0,
                fat_aabb: Aabb {
                    lower: vertices[0],
                    upper: vertices[1],
                },
            });
        }
        for tenth in -20..120 {
            let lower = Vec2::new(tenth as f32 / 10.0, 0.2);
            let aabb = Aabb {
                lower,
                upper: lower + Vec2::new(0.7, 0.1),
            };
            let mut found = ground.candidates(aabb).collect::<Vec<_>>();
            found.sort_unstable();
            let expected = (0..ground.len())
                .filter(|at| ground.piece(*at).fat_aabb.overlaps(&aabb))
                .collect::<Vec<_>>();
            assert_eq!(found, expected, "at {tenth}");
        }
    }
}

//! Pictures that are partly noise, to try how much an agent or a person needs to see.

use crate::{
    Env, EnvError, Frame, Info, Options, Outcome, RenderMode, Step, dynamic::forward, rng::Rng,
};

/// What is done to a drawn picture.
pub trait PictureMap: Send {
    /// Changes the pixels of a picture of this width, row by row.
    fn map(&mut self, width: usize, pixels: &mut [[u8; 3]], rng: &mut Rng);
}

/// An environment whose pictures go through a map.
///
/// Texts stay as they are. The chance has a generator of its own, which a seed of `reset` starts anew; as steps do not
/// depend on it, it is not part of the state.
#[derive(Clone, Debug)]
pub struct MapPicture<E, M> {
    inner: E,
    map: M,
    rng: Rng,
}

impl<E: Env, M: PictureMap> MapPicture<E, M> {
    /// Returns an environment whose pictures go through a map of one's own.
    pub fn with_map(inner: E, map: M) -> MapPicture<E, M> {
        MapPicture {
            inner,
            map,
            rng: Rng::from_entropy(),
        }
    }

    fn begin(&mut self, seed: Option<u64>) {
        if let Some(seed) = seed {
            self.rng = Rng::stream(seed, STREAM, 0);
        }
    }
}

impl<E: Env, M: PictureMap> Env for MapPicture<E, M> {
    type Observation = E::Observation;
    type Action = E::Action;

    forward!(inner: spaces, state, limit, mask, pictures, origin);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        let first = self.inner.reset(seed, options)?;
        self.begin(seed);
        Ok(first)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        self.inner.step(action)
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.inner.reset_into(seed, options, row)?;
        self.begin(seed);
        Ok(())
    }

    fn step_into(&mut self, action: &E::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        self.inner.step_into(action, row)
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        let mut frame = self.inner.render(mode)?;
        if let Frame::Rgb { width, pixels, .. } = &mut frame {
            let (pixels, _) = pixels.as_chunks_mut::<3>();
            self.map.map(*width as usize, pixels, &mut self.rng);
        }
        Ok(frame)
    }
}

/// Makes some pixels noise, each by chance.
#[derive(Clone, Copy, Debug)]
pub struct WhiteNoise {
    probability: f64,
    is_gray: bool,
}

/// An environment some pixels of whose pictures are noise, each by chance.
pub type AddWhiteNoise<E> = MapPicture<E, WhiteNoise>;

impl<E: Env> AddWhiteNoise<E> {
    /// Makes a pixel noise with this probability.
    ///
    /// # Errors
    /// A probability that is not from 0 to below 1.
    pub fn new(inner: E, probability: f64) -> Result<AddWhiteNoise<E>, EnvError> {
        check_share("AddWhiteNoise", probability)?;
        let map = WhiteNoise {
            probability,
            is_gray: false,
        };
        Ok(MapPicture::with_map(inner, map))
    }

    /// Makes the noise gray.
    pub fn gray(mut self) -> AddWhiteNoise<E> {
        self.map.is_gray = true;
        self
    }
}

impl PictureMap for WhiteNoise {
    fn map(&mut self, _: usize, pixels: &mut [[u8; 3]], rng: &mut Rng) {
        for pixel in pixels {
            if rng.unit() < self.probability {
                *pixel = noise(self.is_gray, rng);
            }
        }
    }
}

/// Makes squares noise.
#[derive(Clone, Copy, Debug)]
pub struct Obstruction {
    share: f64,
    width: usize,
    is_gray: bool,
}

/// An environment in whose pictures squares of noise hide something.
pub type ObstructView<E> = MapPicture<E, Obstruction>;

impl<E: Env> ObstructView<E> {
    /// Hides about this share of the picture behind squares of `width` pixels.
    ///
    /// Squares may overlap and be cut by the border, so that less is hidden.
    ///
    /// # Errors
    /// A share that is not from 0 to below 1, or a width of 0.
    pub fn new(inner: E, share: f64, width: usize) -> Result<ObstructView<E>, EnvError> {
        check_share("ObstructView", share)?;
        if width == 0 {
            let problem = "`ObstructView` needs squares of a pixel or more";
            return Err(EnvError::NotSupported(problem.into()));
        }
        let map = Obstruction {
            share,
            width,
            is_gray: false,
        };
        Ok(MapPicture::with_map(inner, map))
    }

    /// Makes the noise gray.
    pub fn gray(mut self) -> ObstructView<E> {
        self.map.is_gray = true;
        self
    }
}

impl PictureMap for Obstruction {
    fn map(&mut self, width: usize, pixels: &mut [[u8; 3]], rng: &mut Rng) {
        if pixels.is_empty() {
            return;
        }
        let height = pixels.len() / width;
        let area = (self.width * self.width) as f64;
        let count = (pixels.len() as f64 * self.share / area) as usize;
        let before = self.width / 2;
        for _ in 0..count {
            let center = rng.below(pixels.len() as u64) as usize;
            let (y, x) = (center / width, center % width);
            let rows = y.saturating_sub(before)..(y + self.width - before).min(height);
            for y in rows {
                for x in x.saturating_sub(before)..(x + self.width - before).min(width) {
                    pixels[y * width + x] = noise(self.is_gray, rng);
                }
            }
        }
    }
}

fn noise(is_gray: bool, rng: &mut Rng) -> [u8; 3] {
    let mut byte = || rng.below(256) as u8;
    match is_gray {
        true => [byte(); 3],
        false => [byte(), byte(), byte()],
    }
}

fn check_share(wrapper: &str, share: f64) -> Result<(), EnvError> {
    match (0.0..1.0).contains(&share) {
        true => Ok(()),
        false => Err(EnvError::NotSupported(format!(
            "`{wrapper}` needs a share from 0 to below 1 and not {share}"
        ))),
    }
}

/// Sets its draws apart from those of the environment, which has the same seed.
const STREAM: u64 = 0xf0b5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envs::CartPole;

    fn frame(env: &mut impl Env, seed: u64) -> Vec<[u8; 3]> {
        env.reset(Some(seed), &Options::new()).expect("a reset");
        match env.render(RenderMode::RgbArray).expect("a picture") {
            Frame::Rgb { pixels, .. } => pixels.as_chunks::<3>().0.to_vec(),
            _ => vec![],
        }
    }

    #[test]
    fn noise_changes_its_share_of_pixels_and_comes_again_with_the_seed() {
        let plain = frame(&mut CartPole::new(), 3);
        let mut noisy = AddWhiteNoise::new(CartPole::new(), 0.25)
            .expect("a share")
            .gray();
        let first = frame(&mut noisy, 3);
        let changed = first
            .iter()
            .zip(&plain)
            .filter(|(a, b)| a != b)
            .collect::<Vec<_>>();
        let share = changed.len() as f64 / plain.len() as f64;
        assert!((share - 0.25).abs() < 0.01, "{share}");
        assert!(
            changed
                .iter()
                .all(|(pixel, _)| pixel[0] == pixel[1] && pixel[1] == pixel[2])
        );
        assert_eq!(first, frame(&mut noisy, 3));
        assert!(AddWhiteNoise::new(CartPole::new(), 1.0).is_err());
    }

    #[test]
    fn squares_hide_no_more_than_their_share() {
        let plain = frame(&mut CartPole::new(), 3);
        let mut hidden = ObstructView::new(CartPole::new(), 0.3, 20).expect("a share");
        let seen = frame(&mut hidden, 3);
        let changed = seen.iter().zip(&plain).filter(|(a, b)| a != b).count();
        let share = changed as f64 / plain.len() as f64;
        // Squares fall on each other: 1 - exp(-0.3) is 0.26, less what the border cuts.
        assert!((0.2..0.3).contains(&share), "{share}");
        assert!(ObstructView::new(CartPole::new(), 0.3, 0).is_err());
    }
}

//! What is usually done to the pictures and steps of an Atari game.

use super::{
    array_of,
    image::{bytes_of, picture, picture_shape},
    refused,
};
use crate::{
    Action as _, Array, ArrayData, BoxSpace, Dtype, Env, EnvError, Info, Observation as _, Options,
    Space, State, Step, Value, dynamic::forward, render::AreaResize, rng::Rng, wrappers::saved,
};

/// An Atari game as agents usually see it (Machado et al. 2018): small, gray, and every fourth frame.
///
/// A step does its action in `frame_skip` frames and shows the greater of the last two, pixel by pixel, since some
/// games draw things in every second frame only; then it makes the picture gray and small. A reset does nothing
/// (action 0) for a random number of frames first. An episode may end with a life, which the info's `lives` tells.
/// Stacking frames is for [`FrameStackObservation`](super::FrameStackObservation).
///
/// The game must not skip frames itself: make it with `frameskip` 1, or it refuses to go on where the info's
/// `episode_frame_number` shows that it does.
///
/// ```no_run
/// use environments::{EnvBuilder, wrappers::{AtariPreprocessing, FrameStackObservation}};
///
/// let game = EnvBuilder::new("gym:ALE/Breakout-v5").kwarg("frameskip", 1).build()?;
/// let game = AtariPreprocessing::new(game)?.terminal_on_life_loss();
/// let game = FrameStackObservation::new(game, 4)?; // [4, 84, 84] bytes
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AtariPreprocessing<E> {
    inner: E,
    /// Height, width and, but for gray pictures, colors.
    from: Vec<usize>,
    area: AreaResize,
    size: [usize; 2],
    noop_max: u32,
    frame_skip: u32,
    ends_with_a_life: bool,
    is_gray: bool,
    keeps_dimension: bool,
    is_scaled: bool,
    /// The last two frames, as they are shown but for their size; the first is the last.
    frames: [Vec<u8>; 2],
    lives: i64,
    /// The number of the last frame, where the game tells it.
    frame: Option<i64>,
    rng: Rng,
}

impl<E: Env> AtariPreprocessing<E> {
    /// Shows gray pictures of 84 by 84, every fourth frame, after up to 30 frames of nothing.
    ///
    /// # Errors
    /// Observations that are no pictures of bytes, in three colors or gray.
    pub fn new(inner: E) -> Result<AtariPreprocessing<E>, EnvError> {
        let from = picture_shape(inner.observation_space(), NAME)?;
        if from.contains(&0) || !matches!(from[..], [_, _] | [_, _, 3]) {
            return Err(refused(NAME, "pictures in three colors, or gray"));
        }
        if E::Action::from_value(&NOTHING).is_none() {
            return Err(refused(NAME, "choices as actions"));
        }
        let env = AtariPreprocessing {
            inner,
            area: AreaResize::new([1, 1], [1, 1], 1),
            from,
            size: [84, 84],
            noop_max: 30,
            frame_skip: 4,
            ends_with_a_life: false,
            is_gray: true,
            keeps_dimension: false,
            is_scaled: false,
            frames: [Vec::new(), Vec::new()],
            lives: 0,
            frame: None,
            rng: Rng::from_entropy(),
        };
        Ok(env.prepared())
    }

    /// Sets for how many frames a reset does nothing at the most; 0 for none.
    pub fn noop_max(mut self, frames: u32) -> AtariPreprocessing<E> {
        self.noop_max = frames;
        self
    }

    /// Sets in how many frames an action is done.
    ///
    /// # Errors
    /// A number of 0.
    pub fn frame_skip(mut self, frames: u32) -> Result<AtariPreprocessing<E>, EnvError> {
        if frames == 0 {
            return Err(refused(NAME, "a frame a step or more"));
        }
        self.frame_skip = frames;
        Ok(self)
    }

    /// Sets how large pictures are.
    ///
    /// # Errors
    /// A size of 0.
    pub fn screen_size(
        mut self,
        height: usize,
        width: usize,
    ) -> Result<AtariPreprocessing<E>, EnvError> {
        if height == 0 || width == 0 {
            return Err(refused(NAME, "a screen of a pixel or more"));
        }
        self.size = [height, width];
        Ok(self.prepared())
    }

    /// Ends an episode when a life is lost.
    pub fn terminal_on_life_loss(mut self) -> AtariPreprocessing<E> {
        self.ends_with_a_life = true;
        self
    }

    /// Keeps the colors.
    ///
    /// # Errors
    /// A game that shows none.
    pub fn colors(mut self) -> Result<AtariPreprocessing<E>, EnvError> {
        if self.from.len() == 2 {
            return Err(refused(NAME, "pictures in three colors to keep them"));
        }
        self.is_gray = false;
        Ok(self.prepared())
    }

    /// Shows gray pictures as `[height, width, 1]`.
    pub fn keep_dimension(mut self) -> AtariPreprocessing<E> {
        self.keeps_dimension = true;
        self
    }

    /// Shows numbers from 0 to 1 in place of bytes.
    pub fn scaled(mut self) -> AtariPreprocessing<E> {
        self.is_scaled = true;
        self
    }

    /// Makes the buffers fit what was set.
    fn prepared(mut self) -> AtariPreprocessing<E> {
        let from = [self.from[0], self.from[1]];
        let channels = if self.is_gray { 1 } else { 3 };
        self.area = AreaResize::new(from, self.size, channels);
        self.frames = std::array::from_fn(|_| vec![0; from[0] * from[1] * channels]);
        self
    }

    fn shape(&self) -> Vec<usize> {
        let [height, width] = self.size;
        match (self.is_gray, self.keeps_dimension) {
            (true, false) => vec![height, width],
            (true, true) => vec![height, width, 1],
            (false, _) => vec![height, width, 3],
        }
    }

    /// Remembers a frame as the last one, or as the one before it.
    fn keep(&mut self, which: usize, observation: &Value) -> Result<(), EnvError> {
        let pixels = bytes_of(observation, self.from.iter().product())?;
        let frame = &mut self.frames[which];
        frame.clear();
        match self.is_gray && self.from.len() == 3 {
            true => frame.extend(pixels.as_chunks::<3>().0.iter().map(brightness)),
            false => frame.extend_from_slice(pixels),
        }
        Ok(())
    }

    /// Does an action in one frame.
    fn advance(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        let step = self.inner.step(action)?;
        let frame = number(&step.info, "episode_frame_number");
        let skipped = frame.zip(self.frame).map(|(now, before)| now - before);
        if self.frame_skip > 1 && skipped.is_some_and(|frames| frames > 1) {
            let needs = "a game that skips no frames itself: make it with `frameskip` 1";
            return Err(refused(NAME, needs));
        }
        self.frame = frame;
        Ok(step)
    }

    fn restart(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        let first = self.inner.reset(seed, options)?;
        self.frame = number(&first.1, "episode_frame_number");
        Ok(first)
    }

    /// Returns the picture of the last two frames.
    fn shown(&mut self) -> Result<Value, EnvError> {
        let [last, before] = &mut self.frames;
        if self.frame_skip > 1 {
            for (pixel, before) in last.iter_mut().zip(before) {
                *pixel = (*pixel).max(*before);
            }
        }
        let bytes = self.area.bytes(last);
        match self.is_scaled {
            true => {
                let numbers = bytes.iter().map(|byte| f32::from(*byte) / 255.0);
                let data = ArrayData::F32(numbers.collect());
                Ok(Array::new(self.shape(), data)
                    .expect("one number a pixel")
                    .into())
            }
            false => picture(self.shape(), bytes),
        }
    }
}

/// Returns how bright a pixel is, as the Arcade Learning Environment has it.
fn brightness(pixel: &[u8; 3]) -> u8 {
    let [red, green, blue] = pixel.map(f64::from);
    (red * 0.2989 + green * 0.587 + blue * 0.114).round() as u8
}

fn number(info: &Info, name: &str) -> Option<i64> {
    info.get(name).and_then(Value::as_int)
}

impl<E: Env> Env for AtariPreprocessing<E> {
    type Observation = Value;
    type Action = E::Action;

    forward!(inner: attributes);

    fn observation_space(&self) -> Space {
        match self.is_scaled {
            true => BoxSpace::uniform(0.0, 1.0, &self.shape(), Dtype::F32).into(),
            false => BoxSpace::uniform(0.0, 255.0, &self.shape(), Dtype::U8).into(),
        }
    }

    fn action_space(&self) -> Space {
        self.inner.action_space()
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options) -> Result<(Value, Info), EnvError> {
        let (mut observation, mut info) = self.restart(seed, options)?;
        if let Some(seed) = seed {
            self.rng = Rng::stream(seed, STREAM, 0);
        }
        let frames = match self.noop_max {
            0 => 0,
            most => 1 + self.rng.below(u64::from(most)),
        };
        let nothing = E::Action::from_value(&NOTHING).expect("it was tried when this was made");
        for _ in 0..frames {
            let step = self.advance(&nothing)?;
            let is_over = step.terminated || step.truncated;
            observation = step.observation;
            info.extend(step.info);
            if is_over {
                (observation, info) = self.restart(None, options)?;
            }
        }
        self.lives = number(&info, "lives").unwrap_or(0);
        self.keep(0, &observation.to_value())?;
        self.frames[1].fill(0);
        Ok((self.shown()?, info))
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<Value>, EnvError> {
        let mut reward = 0.0;
        let mut frame = 1;
        loop {
            let mut step = self.advance(action)?;
            reward += step.reward;
            if self.ends_with_a_life {
                let lives = number(&step.info, "lives").ok_or_else(|| {
                    refused(NAME, "`lives` in the info to end an episode with a life")
                })?;
                step.terminated |= lives < self.lives;
                self.lives = lives;
            }
            let is_over = step.terminated || step.truncated;
            // An episode that ends early shows what was seen before, as Gymnasium's does.
            if !is_over && frame + 1 >= self.frame_skip {
                let which = usize::from(frame < self.frame_skip);
                self.keep(which, &step.observation.to_value())?;
            }
            if is_over || frame == self.frame_skip {
                step.reward = reward;
                let shown = self.shown()?;
                return Ok(step.map(|_| shown));
            }
            frame += 1;
        }
    }

    fn max_episode_steps(&self) -> Option<u32> {
        let limit = self.inner.max_episode_steps();
        limit.map(|limit| limit.div_ceil(self.frame_skip))
    }

    fn state(&self) -> State {
        let mut state = self.inner.state();
        let frames = self.frames.iter().map(|frame| frame.clone().into());
        let frames = frames.map(|frame: Array| Value::from(frame));
        let saved = vec![
            Value::List(frames.collect()),
            Value::Int(self.lives),
            Value::Int(self.frame.unwrap_or(-1)),
            saved::rng_value(&self.rng),
        ];
        saved::put(&mut state, KEY, Value::List(saved));
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let mut rest = state.clone();
        let saved = saved::take(&mut rest, KEY)?;
        let read = || {
            let [frames, lives, frame, rng] = saved.as_list()? else {
                return None;
            };
            let [last, before] = frames.as_list()? else {
                return None;
            };
            let bytes = |value: &Value| match array_of(value).ok()?.data() {
                ArrayData::U8(bytes) if bytes.len() == self.frames[0].len() => Some(bytes.clone()),
                _ => None,
            };
            let frame = Some(frame.as_int()?).filter(|frame| *frame >= 0);
            let frames = [bytes(last)?, bytes(before)?];
            Some((frames, lives.as_int()?, frame, saved::rng_of(rng)?))
        };
        let read = read().ok_or_else(|| saved::missing(KEY))?;
        self.inner.set_state(&rest)?;
        (self.frames, self.lives, self.frame, self.rng) = read;
        Ok(())
    }
}

const NAME: &str = "AtariPreprocessing";
const KEY: &str = "atari_preprocessing";
/// The action that does nothing.
const NOTHING: Value = Value::Int(0);
/// Sets its draws apart from those of the environment, which has the same seed.
const STREAM: u64 = 0xa7a1;

#[cfg(test)]
mod tests {
    use super::*;

    /// A game whose frame `n` is all `n`, but 200 in every second one; a life is lost each tenth frame.
    struct Game {
        frame: u8,
        skip: u8,
    }

    impl Game {
        fn seen(&self) -> (Value, Info) {
            let (odd, even) = (
                self.frame,
                if self.frame.is_multiple_of(2) { 200 } else { 0 },
            );
            let pixels = [odd, odd, odd, even, even, even].repeat(6);
            let seen = Array::new([4, 3, 3], ArrayData::U8(pixels)).expect("it fits");
            let info = Info::from([
                (
                    "lives".to_owned(),
                    Value::Int(3 - i64::from(self.frame / 10)),
                ),
                (
                    "episode_frame_number".to_owned(),
                    Value::Int(i64::from(self.frame)),
                ),
            ]);
            (seen.into(), info)
        }
    }

    impl Env for Game {
        type Observation = Value;
        type Action = i64;

        fn observation_space(&self) -> Space {
            BoxSpace::uniform(0.0, 255.0, &[4, 3, 3], Dtype::U8).into()
        }

        fn action_space(&self) -> Space {
            crate::Discrete::new(2).into()
        }

        fn reset(&mut self, _: Option<u64>, _: &Options) -> Result<(Value, Info), EnvError> {
            self.frame = 0;
            Ok(self.seen())
        }

        fn step(&mut self, action: &i64) -> Result<Step<Value>, EnvError> {
            self.frame += self.skip;
            let (observation, info) = self.seen();
            Ok(Step {
                observation,
                reward: *action as f64,
                terminated: self.frame >= 30,
                truncated: false,
                info,
            })
        }

        fn state(&self) -> State {
            State {
                values: vec![f64::from(self.frame)],
                ..State::default()
            }
        }

        fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
            self.frame = state.values[0] as u8;
            Ok(())
        }
    }

    fn game() -> AtariPreprocessing<Game> {
        let env = AtariPreprocessing::new(Game { frame: 0, skip: 1 }).expect("it shows pictures");
        env.noop_max(0).screen_size(2, 3).expect("a size")
    }

    fn begin(env: &mut AtariPreprocessing<Game>) -> Vec<f64> {
        let (seen, _) = env.reset(Some(1), &Options::new()).expect("a reset");
        seen.as_array().expect("a picture").to_f64()
    }

    #[test]
    fn a_step_shows_the_greater_of_its_last_two_frames_and_adds_rewards_up() {
        let mut env = game();
        // A row of the old picture is dark, light, dark, and the next light, dark, light.
        assert_eq!(begin(&mut env), [100.0; 6]);
        let step = env.step(&1).expect("a step");
        let shown = step.observation.as_array().expect("a picture").to_f64();
        assert_eq!(shown, [102.0; 6], "frames 3 and 4: the means of 4 and 200");
        assert_eq!((step.reward, env.inner.frame), (4.0, 4));
        assert!(env.observation_space().contains(&step.observation));
    }

    #[test]
    fn pictures_come_in_the_form_that_is_wanted() {
        let mut env = game().colors().expect("it has some");
        let (seen, _) = env.reset(Some(1), &Options::new()).expect("a reset");
        assert!(env.observation_space().contains(&seen));
        assert_eq!(env.shape(), [2, 3, 3]);
        let mut env = game().keep_dimension().scaled();
        let (seen, _) = env.reset(Some(1), &Options::new()).expect("a reset");
        assert!(env.observation_space().contains(&seen));
        assert_eq!(
            seen.as_array().expect("a picture").get(0),
            f64::from(100.0_f32 / 255.0)
        );
    }

    #[test]
    fn an_episode_ends_with_a_life_where_that_is_wanted() {
        for (env, steps) in [(game(), 8), (game().terminal_on_life_loss(), 3)] {
            let mut env = env;
            begin(&mut env);
            let mut count = 1;
            while !env.step(&0).expect("a step").terminated {
                count += 1;
            }
            assert_eq!(count, steps);
        }
    }

    #[test]
    fn a_reset_does_nothing_for_some_frames_that_follow_from_the_seed() {
        let mut env = game().noop_max(5);
        let frames = |env: &mut AtariPreprocessing<Game>, seed| {
            env.reset(Some(seed), &Options::new()).expect("a reset");
            env.inner.frame
        };
        let seen = (0..50)
            .map(|seed| frames(&mut env, seed))
            .collect::<Vec<_>>();
        assert!((1..=5).all(|frame| seen.contains(&frame)), "{seen:?}");
        assert!(seen.iter().all(|frame| (1..=5).contains(frame)));
        assert_eq!(seen[7], frames(&mut env, 7));
    }

    #[test]
    fn a_saved_state_goes_on_the_same_way() {
        let mut env = game().noop_max(5);
        begin(&mut env);
        let saved = env.state();
        let on = env.step(&1).expect("a step");
        let mut other = game().noop_max(5);
        other.set_state(&saved).expect("it was saved");
        assert_eq!(other.step(&1).expect("a step"), on);
        assert!(matches!(
            other.set_state(&Game { frame: 0, skip: 1 }.state()),
            Err(EnvError::InvalidState(_))
        ));
    }

    #[test]
    fn a_game_that_skips_frames_itself_is_refused() {
        let game = Game { frame: 0, skip: 4 };
        let mut env = AtariPreprocessing::new(game).expect("it shows pictures");
        let error = env.reset(None, &Options::new()).expect_err("it skips");
        assert!(error.to_string().contains("`frameskip` 1"), "{error}");
        assert!(AtariPreprocessing::new(crate::envs::CartPole::new()).is_err());
    }
}

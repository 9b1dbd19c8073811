//! Which choices make sense now, by a function of the caller's.

use crate::{Action as _, Env, EnvError, Outcome, Step};

/// An environment that knows which of its choices make sense now.
///
/// The mask is what the function leaves of the environment's own, or of all choices. [`Env::action_mask`] returns it;
/// it is told and not enforced, unless [`ActionMasker::refusing`] is called.
///
/// ```
/// use environments::{Env, envs::CartPole, wrappers::ActionMasker};
///
/// let env = ActionMasker::new(CartPole::new(), |_, mask| mask[0] = false)?;
/// let mut mask = [true; 2];
/// assert!(env.action_mask(&mut mask));
/// assert_eq!(mask, [false, true]);
/// # Ok::<(), environments::EnvError>(())
/// ```
pub struct ActionMasker<E> {
    inner: E,
    narrow: Box<dyn Fn(&E, &mut [bool]) + Send>,
    first: i64,
    count: usize,
    refuses: bool,
}

impl<E: Env> ActionMasker<E> {
    /// Returns an environment of whose choices the function takes some away, by setting them false.
    ///
    /// # Errors
    /// Actions that are not `Discrete`.
    pub fn new(
        inner: E,
        narrow: impl Fn(&E, &mut [bool]) + Send + 'static,
    ) -> Result<ActionMasker<E>, EnvError> {
        let Some(choice) = inner.action_space().as_discrete() else {
            return Err(EnvError::NotSupported(format!(
                "`ActionMasker` needs `Discrete` actions and not {}",
                inner.action_space()
            )));
        };
        Ok(ActionMasker {
            inner,
            narrow: Box::new(narrow),
            first: choice.start,
            count: choice.n as usize,
            refuses: false,
        })
    }

    /// Makes a choice that the mask leaves out an error.
    pub fn refusing(mut self) -> ActionMasker<E> {
        self.refuses = true;
        self
    }

    fn check(&self, action: &E::Action) -> Result<(), EnvError> {
        if !self.refuses {
            return Ok(());
        }
        let mut mask = vec![true; self.count];
        self.action_mask(&mut mask);
        let value = action.to_value();
        let place = value
            .as_int()
            .and_then(|choice| choice.checked_sub(self.first));
        let place = place.and_then(|place| usize::try_from(place).ok());
        match place.and_then(|place| mask.get(place)) {
            Some(true) => Ok(()),
            _ => Err(EnvError::InvalidAction {
                action: format!("{value:?}"),
                space: format!("{} with the mask {mask:?}", self.inner.action_space()),
            }),
        }
    }
}

impl<E: Env> Env for ActionMasker<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    crate::dynamic::forward!(inner: spaces, state, limit, resets, render, pictures, origin);

    fn action_mask(&self, mask: &mut [bool]) -> bool {
        if mask.len() != self.count {
            return false;
        }
        if !self.inner.action_mask(mask) {
            mask.fill(true);
        }
        let mut narrowed = mask.to_vec();
        (self.narrow)(&self.inner, &mut narrowed);
        for (allowed, narrowed) in mask.iter_mut().zip(narrowed) {
            *allowed &= narrowed;
        }
        true
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        self.check(action)?;
        self.inner.step(action)
    }

    fn step_into(&mut self, action: &E::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        self.check(action)?;
        self.inner.step_into(action, row)
    }
}

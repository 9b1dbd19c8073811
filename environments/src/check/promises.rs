//! One function for each promise that is tried by itself.

use super::{
    Promise,
    finding::Report,
    member::{are_near, difference},
    play::{divergence, draw, play, report_divergence},
};
use crate::{
    Action as _, Array, Env, EnvError, Frame, Observation as _, Options, RenderMode, Space, Value,
    rng::Rng,
};

/// A step before the first reset is an error.
pub(super) fn needs_reset<E: Env>(mut env: E, report: &mut Report) {
    let action = env.action_space().sample(&mut Rng::new(0));
    let Some(action) = E::Action::from_value(&action) else {
        return;
    };
    if env.step(&action).is_ok() {
        let problem = "it is done, though no episode has begun";
        report.find(Promise::ResetNeeded, "step before reset", problem);
    }
}

/// Equal seeds and actions give equal episodes, in two environments and in one twice.
pub(super) fn is_deterministic<E: Env>(
    mut env: E,
    mut other: E,
    seed: u64,
    steps: usize,
    report: &mut Report,
) {
    let log = play(&mut env, seed, steps, report);
    if env.spec().is_some_and(|spec| spec.nondeterministic) {
        return;
    }
    if let Some(found) = divergence(&log, &play(&mut other, seed, steps, report), 0.0) {
        return report_divergence(found, report);
    }
    if let Some(mut found) = divergence(&log, &play(&mut other, seed, steps, report), 0.0) {
        found.place = format!("{} after episodes before", found.place);
        report_divergence(found, report);
    }
}

/// What vector environments call writes what the other methods return.
pub(super) fn writes_rows<E: Env>(
    mut env: E,
    mut other: E,
    seed: u64,
    steps: usize,
    report: &mut Report,
) {
    let len = env.observation_space().flat_len();
    if len == 0 || env.spec().is_some_and(|spec| spec.nondeterministic) {
        return;
    }
    let actions = env.action_space();
    let (mut row, mut expected) = (vec![0.0; len], vec![0.0; len]);
    let mut rng = Rng::stream(seed, 0, 2);
    let (mut next_seed, mut needs_reset) = (Some(seed), true);
    for at in 0..steps {
        let (name, observation);
        if needs_reset {
            let seed = next_seed.take();
            let options = Options::new();
            let Ok((first, _)) = env.reset(seed, &options) else {
                return;
            };
            if let Err(error) = other.reset_into(seed, &options, &mut row) {
                return report.find(Promise::ObservationRow, "reset_into", error.to_string());
            }
            (name, observation, needs_reset) = ("reset_into", first, false);
        } else {
            let action = draw(&env, &actions, &mut rng);
            let Some(action) = E::Action::from_value(&action) else {
                return;
            };
            let (Ok(step), outcome) = (env.step(&action), other.step_into(&action, &mut row))
            else {
                return;
            };
            let agrees = outcome.as_ref().is_ok_and(|outcome| {
                are_near(outcome.reward, step.reward, 0.0)
                    && (outcome.terminated, outcome.truncated) == (step.terminated, step.truncated)
            });
            if !agrees {
                let place = format!("step_into at step {at}");
                let (reward, flags) = (step.reward, (step.terminated, step.truncated));
                let problem = format!("{outcome:?}, where `step` earns {reward} with {flags:?}");
                return report.find(Promise::ObservationRow, place, problem);
            }
            needs_reset = step.terminated || step.truncated;
            (name, observation) = ("step_into", step.observation);
        }
        if observation.row_len() > len {
            let problem = format!(
                "`row_len` is {} and the space's length {len}",
                observation.row_len()
            );
            return report.find(Promise::ObservationRow, "observation", problem);
        }
        observation.write(&mut expected);
        let rows = (row.clone(), expected.clone());
        let rows = (Array::from(rows.0).into(), Array::from(rows.1).into());
        if let Some(problem) = difference(&rows.0, &rows.1, 0.0, "the rows") {
            let place = format!("{name} at step {at}");
            return report.find(Promise::ObservationRow, place, problem);
        }
    }
}

/// A restored state goes on exactly, and another's is refused.
pub(super) fn restores_states<E: Env>(
    mut env: E,
    mut other: E,
    seed: u64,
    steps: usize,
    report: &mut Report,
) {
    let exact = Promise::ExactState;
    let played = play(&mut env, seed, steps / 4, report);
    if played.is_empty() {
        return;
    }
    if played
        .last()
        .is_some_and(|seen| seen.flags.0 || seen.flags.1)
        && env.reset(None, &Options::new()).is_err()
    {
        return;
    }
    let state = env.state();
    if let Err(error) = other.set_state(&state) {
        let problem = format!("it refuses its own state: {error}");
        return report.find(exact, "set_state", problem);
    }
    if other.state() != state {
        let problem = format!("{:?} was set, and `state` is {:?}", state, other.state());
        return report.find(exact, "set_state", problem);
    }
    if env.spec().is_some_and(|spec| spec.nondeterministic) {
        return;
    }
    let actions = env.action_space();
    let mut rng = Rng::stream(seed, 0, 3);
    for at in 0..steps {
        let action = draw(&env, &actions, &mut rng);
        let Some(action) = E::Action::from_value(&action) else {
            return;
        };
        let (Ok(step), Ok(again)) = (env.step(&action), other.step(&action)) else {
            return;
        };
        let place = format!("step {at} after set_state");
        let (x, y) = (step.observation.to_value(), again.observation.to_value());
        if let Some(problem) = difference(&x, &y, 0.0, "the observations") {
            return report.find(exact, place, problem);
        }
        let outcome = (step.reward.to_bits(), step.terminated, step.truncated);
        if outcome != (again.reward.to_bits(), again.terminated, again.truncated) {
            let problem = format!("it earns {} and then {}", step.reward, again.reward);
            return report.find(exact, place, format!("{problem}, or the flags differ"));
        }
        if step.terminated || step.truncated {
            let both = (
                env.reset(None, &Options::new()),
                other.reset(None, &Options::new()),
            );
            let (Ok((x, _)), Ok((y, _))) = both else {
                return;
            };
            if let Some(problem) = difference(&x.to_value(), &y.to_value(), 0.0, "the observations")
            {
                let place = format!("reset at step {at} after set_state");
                return report.find(exact, place, problem);
            }
        }
    }
    let mut foreign = env.state();
    foreign.values.push(0.0);
    foreign.extra.clear();
    if env.set_state(&foreign).is_ok() {
        let problem = "it takes a state with a number too many";
        report.find(Promise::ForeignState, "set_state", problem);
    }
}

/// Actions from outside the space are errors, and change nothing.
pub(super) fn refuses_actions<E: Env>(mut env: E, seed: u64, report: &mut Report) {
    if env.reset(Some(seed), &Options::new()).is_err() {
        return;
    }
    let before = env.state();
    for wrong in outside(&env.action_space()) {
        let Some(action) = E::Action::from_value(&wrong) else {
            continue;
        };
        let result = env.step(&action).map(|step| step.reward);
        let place = format!("step with {wrong:?}");
        match result {
            Err(EnvError::InvalidAction { .. }) if env.state() == before => {}
            Err(EnvError::InvalidAction { .. }) => {
                let problem = "it is refused and has changed the state";
                return report.find(Promise::ActionRefused, place, problem);
            }
            other => {
                let problem = format!("it is not refused: {other:?}");
                return report.find(Promise::ActionRefused, place, problem);
            }
        }
    }
}

/// Returns values that are not in a space.
fn outside(space: &Space) -> Vec<Value> {
    match space {
        Space::Discrete(choice) => {
            let ends = [
                choice.start.checked_sub(1),
                choice.start.checked_add(choice.n),
            ];
            ends.into_iter().flatten().map(Value::Int).collect()
        }
        Space::Box(bounds) if bounds.dtype.is_float() => {
            let nan = |shape: &[usize]| {
                let numbers = vec![f64::NAN; shape.iter().product()];
                let data = crate::ArrayData::from_f64(bounds.dtype, numbers);
                Value::Array(Array::new(shape, data).expect("as many as the shape has"))
            };
            vec![nan(&bounds.shape), nan(&[bounds.len() + 1])]
        }
        _ => vec![],
    }
}

/// An option that nobody knows is an error, or does nothing.
pub(super) fn ignores_unknown_options<E: Env>(
    mut env: E,
    mut other: E,
    seed: u64,
    report: &mut Report,
) {
    let options = Options::from([("no such option".to_owned(), Value::from("anything"))]);
    let place = "reset with `no such option`";
    match (
        env.reset(Some(seed), &options),
        other.reset(Some(seed), &Options::new()),
    ) {
        (Err(EnvError::InvalidOption { .. }), _) | (_, Err(_)) => {}
        (Err(error), _) => {
            let problem = format!("it is an error of another kind: {error}");
            report.find(Promise::UnknownOption, place, problem);
        }
        (Ok((with, _)), Ok((without, _))) => {
            if env.spec().is_some_and(|spec| spec.nondeterministic) {
                return;
            }
            let (with, without) = (with.to_value(), without.to_value());
            if let Some(problem) = difference(&with, &without, 0.0, "with and without it") {
                report.find(Promise::UnknownOption, place, problem);
            }
        }
    }
}

/// Every mode draws a frame of its kind, and changes nothing.
pub(super) fn renders<E: Env>(mut env: E, seed: u64, report: &mut Report) {
    if env.reset(Some(seed), &Options::new()).is_err() {
        return;
    }
    let before = env.state();
    for mode in env.metadata().render_modes {
        let place = format!("render({})", mode.name());
        let problem = match (env.render(*mode), mode) {
            (Err(error), _) => error.to_string(),
            (Ok(Frame::Ansi(_)), RenderMode::Ansi) => continue,
            (Ok(Frame::List(_)), mode) if mode.of_each().is_some() => continue,
            (Ok(Frame::Shown), RenderMode::Human) => continue,
            (
                Ok(Frame::Rgb {
                    width,
                    height,
                    pixels,
                }),
                RenderMode::RgbArray,
            ) => {
                let needed = width as usize * height as usize * 3;
                if pixels.len() == needed && needed > 0 {
                    continue;
                }
                format!(
                    "{} bytes are no picture of {width} by {height}",
                    pixels.len()
                )
            }
            (Ok(_), _) => "a frame of another kind".to_owned(),
        };
        report.find(Promise::Rendering, place, problem);
    }
    if env.state() != before {
        report.find(
            Promise::RenderingIsPassive,
            "render",
            "the state is another than before",
        );
    }
}

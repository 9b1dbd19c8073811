//! What every multi-agent environment holds, and simple spread beside the Python package.

use environments::{
    EnvError, Info, Options, RenderMode, Space, State, Step,
    board::{ConnectFour, TicTacToe},
    multi::{
        AgentId, AgentMap, BoardEnv, CoopCartPole, ParallelEnv, ParallelToTurn, SimpleSpread,
        TurnEnv, TurnToParallel, check_parallel_env, check_turn_env,
    },
};
use serde_json::Value as Json;

#[test]
fn every_environment_keeps_its_promises_in_both_forms() {
    for seed in 0..3 {
        check_turn_env(&mut BoardEnv::<TicTacToe>::new(), 300, seed).expect("tic-tac-toe");
        check_turn_env(&mut BoardEnv::<ConnectFour>::new(), 300, seed).expect("connect four");
        check_parallel_env(&mut SimpleSpread::new(), 300, seed).expect("spread");
        check_parallel_env(&mut CoopCartPole::new(), 300, seed).expect("carts");
        let mut spread = ParallelToTurn::new(SimpleSpread::with_agents(4));
        check_turn_env(&mut spread, 300, seed).expect("spread in turns");
        let mut carts = ParallelToTurn::new(CoopCartPole::new());
        check_turn_env(&mut carts, 300, seed).expect("carts in turns");
        let mut game = TurnToParallel::for_turns(BoardEnv::<TicTacToe>::new());
        check_parallel_env(&mut game, 300, seed).expect("tic-tac-toe at once");
        let mut there_and_back =
            TurnToParallel::for_cycles(ParallelToTurn::new(CoopCartPole::new()));
        check_parallel_env(&mut there_and_back, 300, seed).expect("carts there and back");
    }
}

#[test]
fn there_and_back_changes_nothing() {
    let mut plain = SimpleSpread::new();
    let mut both = TurnToParallel::for_cycles(ParallelToTurn::new(SimpleSpread::new()));
    let options = Options::new();
    assert_eq!(
        plain.reset(Some(3), &options).expect("a reset"),
        both.reset(Some(3), &options).expect("a reset")
    );
    for step in 0.. {
        let action = |agent: &AgentId| (*agent, (step + 2 * agent.0 as i64) % 5);
        let actions = plain.agents().iter().map(action).collect();
        let (left, right) = (plain.step(&actions), both.step(&actions));
        assert_eq!(left.expect("a step"), right.expect("a step"));
        assert_eq!(plain.agents(), both.agents());
        if plain.agents().is_empty() {
            break;
        }
    }
    assert!(matches!(
        plain.step(&AgentMap::new()),
        Err(EnvError::ResetNeeded)
    ));
}

#[test]
fn a_cycle_needs_agents_that_act_in_a_circle() {
    // After the end of a game nobody plays the rest of the circle.
    let mut env = TurnToParallel::for_cycles(BoardEnv::<TicTacToe>::new());
    env.reset(None, &Options::new()).expect("a reset");
    let mut play = |first: i64, second: i64| {
        env.step(&AgentMap::from([(AgentId(0), first), (AgentId(1), second)]))
    };
    play(0, 3).expect("a circle");
    play(1, 4).expect("a circle");
    let error = play(2, 5).expect_err("the first has won");
    assert!(error.to_string().contains("for_turns"), "{error}");
}

#[test]
fn a_finished_game_pays_both_and_lets_them_leave() {
    let mut env = BoardEnv::<TicTacToe>::new();
    env.reset(None, &Options::new()).expect("a reset");
    for action in [0, 3, 1, 4] {
        env.step(Some(&action)).expect("a move");
    }
    let error = env.step(Some(&4)).expect_err("the square is taken");
    assert!(
        error.to_string().contains("legal are {2, 5, 6, 7, 8}"),
        "{error}"
    );
    assert_eq!(
        env.agent_selection(),
        Some(AgentId(0)),
        "nothing has changed"
    );
    let mut mask = [true; 9];
    assert!(env.action_mask(AgentId(1), &mut mask) && !mask.contains(&true));
    env.step(Some(&2)).expect("the winning move");
    for (agent, reward) in [(0, 1.0), (1, -1.0)] {
        assert_eq!(env.agent_selection(), Some(AgentId(agent)));
        let last = env.last().expect("a turn");
        assert_eq!((last.reward, last.terminated), (reward, true));
        env.step(None).expect("it leaves");
    }
    assert_eq!(env.agent_selection(), None);
    assert_eq!(env.game().to_string(), "XXX\nOO.\n...");
    env.render(RenderMode::RgbArray).expect("a picture");
    let mut bad = env.state();
    bad.values.push(8.0);
    assert!(matches!(
        env.set_state(&bad),
        Err(EnvError::InvalidState(_))
    ));
}

#[test]
fn the_active_agent_is_told() {
    let mut env = TurnToParallel::for_turns(BoardEnv::<ConnectFour>::new());
    let first = env.reset(None, &Options::new()).expect("a reset");
    assert_eq!(
        first[&AgentId(1)].1["active_agent"].as_text(),
        Some("player_0")
    );
    let actions = AgentMap::from([(AgentId(0), 3), (AgentId(1), 6)]);
    let steps = env.step(&actions).expect("a step");
    assert_eq!(
        steps[&AgentId(0)].info["active_agent"].as_text(),
        Some("player_1")
    );
    let game = env.into_inner().game().to_string();
    assert!(game.ends_with("...X..."), "only one has moved: {game}");
}

#[test]
fn simple_spread_equals_the_package() {
    let file: Json =
        serde_json::from_str(include_str!("episodes/simple_spread.json")).expect("JSON");
    let numbers = |json: &Json| {
        let numbers = json.as_array().expect("numbers").iter();
        numbers
            .map(|number| number.as_f64().expect("a number"))
            .collect::<Vec<_>>()
    };
    let mut most_missed: f64 = 0.0;
    for (number, episode) in file["episodes"]
        .as_array()
        .expect("episodes")
        .iter()
        .enumerate()
    {
        let count = episode["agents"].as_u64().expect("a number") as usize;
        let cycles = episode["max_cycles"].as_u64().expect("a number") as u32;
        let ratio = episode["local_ratio"].as_f64().expect("a number");
        let mut env = SimpleSpread::with_agents(count)
            .local_ratio(ratio)
            .max_cycles(cycles);
        env.reset(Some(0), &Options::new()).expect("a reset");
        let state = State {
            values: numbers(&episode["state"]),
            ..env.state()
        };
        env.set_state(&state).expect("a state");
        for (at, actions) in episode["actions"]
            .as_array()
            .expect("actions")
            .iter()
            .enumerate()
        {
            let actions = actions.as_array().expect("actions").iter().enumerate();
            let actions = actions
                .map(|(agent, action)| (AgentId(agent), action.as_i64().expect("an action")));
            let steps = env.step(&actions.collect()).expect("a step");
            for (agent, step) in steps {
                let expected = numbers(&episode["obs"][at][agent.0]);
                assert_eq!(step.observation.len(), expected.len());
                for (seen, expected) in step.observation.iter().zip(expected) {
                    most_missed = most_missed.max((f64::from(*seen) - expected).abs());
                }
                let reward = episode["rewards"][at][agent.0].as_f64().expect("a reward");
                most_missed = most_missed.max((step.reward - reward).abs());
                assert_eq!(step.truncated, at as u32 + 1 == cycles);
            }
            assert!(
                most_missed < 1e-6,
                "episode {number}, step {at}: {most_missed}"
            );
        }
        assert!(env.agents().is_empty());
    }
}

#[test]
fn carts_feel_each_other_and_fail_together() {
    let mut env = CoopCartPole::new();
    env.reset(Some(0), &Options::new()).expect("a reset");
    let at = |left: f64, right: f64| {
        let mut values = vec![0.0; 8];
        (values[0], values[4]) = (left, right);
        State {
            values,
            ..State::default()
        }
    };
    let both_left = AgentMap::from([(AgentId(0), 0), (AgentId(1), 0)]);
    // Stretched by 0.5 m the spring pulls with 1 N to the middle.
    env.set_state(&at(-1.0, 1.0)).expect("a state");
    env.step(&both_left).expect("a step");
    let stretched = env.state().values;
    env.set_state(&at(-0.75, 0.75)).expect("a state");
    env.step(&both_left).expect("a step");
    let at_rest = env.state().values;
    assert_eq!(at_rest[1], at_rest[5]);
    // A cart of 1 kg with a pole of 0.1 kg upright, over 20 ms: -9 and -11 N in place of -10 N.
    assert!((stretched[1] / at_rest[1] - 0.9).abs() < 1e-12);
    assert!((stretched[5] / at_rest[5] - 1.1).abs() < 1e-12);
    env.set_state(&at(-1.4, 1.2)).expect("a state");
    assert!(env.agents().is_empty(), "too far apart");
    let mut state = at(-0.75, 0.75);
    state.values[6] = 0.209;
    state.values[7] = 1.0;
    env.set_state(&state).expect("a state");
    let steps = env.step(&both_left).expect("a step");
    assert!(
        steps
            .values()
            .all(|step| step.terminated && step.reward == 1.0)
    );
    assert_eq!(
        steps[&AgentId(0)].observation[6],
        steps[&AgentId(1)].observation[2]
    );
    env.render(RenderMode::RgbArray).expect("a picture");
}

/// Spread whose ended agents never leave.
struct Undead(SimpleSpread, Vec<AgentId>);

impl ParallelEnv for Undead {
    type Observation = Vec<f32>;
    type Action = i64;

    fn possible_agents(&self) -> &[String] {
        self.0.possible_agents()
    }

    fn agents(&self) -> &[AgentId] {
        &self.1
    }

    fn observation_space(&self, agent: AgentId) -> Space {
        self.0.observation_space(agent)
    }

    fn action_space(&self, agent: AgentId) -> Space {
        self.0.action_space(agent)
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<AgentMap<(Vec<f32>, Info)>, EnvError> {
        let first = self.0.reset(seed, options)?;
        self.1 = self.0.agents().to_vec();
        Ok(first)
    }

    fn step(&mut self, actions: &AgentMap<i64>) -> Result<AgentMap<Step<Vec<f32>>>, EnvError> {
        self.0.step(actions)
    }

    fn state(&self) -> State {
        self.0.state()
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.0.set_state(state)
    }
}

#[test]
fn a_broken_promise_is_named() {
    let error = check_parallel_env(&mut Undead(SimpleSpread::new(), Vec::new()), 200, 0);
    let text = error.expect_err("agents stay").to_string();
    assert!(text.contains("who has ended is gone"), "{text}");
}

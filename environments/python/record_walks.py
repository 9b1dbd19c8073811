"""Whole walks of Gymnasium's own gait, recorded with every random draw, for `env-replay`.

pip install "gymnasium[box2d]==1.4.0"; python environments/python/record_walks.py NAME FIRST LAST
cargo run --release -p environments --bin env-replay -- NAME-*.json
Episode i begins with seed i, in an environment of its own; actions are float32, as the action space says. Writes 25
walks a file and prints the mean return.
"""
import json
import sys

import gymnasium as gym
import numpy as np
from gymnasium.envs.box2d.bipedal_walker import BipedalWalkerHeuristics
from gymnasium.utils import seeding

GENERATOR = seeding.np_random


class Recorded:
    """Draws as the generator does, and keeps what came."""

    def __init__(self, generator):
        self.generator, self.draws = generator, []

    def integers(self, *arguments, **named):
        drawn = self.generator.integers(*arguments, **named)
        self.draws.append(["integers", int(drawn)])
        return drawn

    def uniform(self, *arguments, **named):
        drawn = self.generator.uniform(*arguments, **named)
        self.draws.append(["uniform", float(drawn)])
        return drawn


def recorded(seed=None):
    generator, used = GENERATOR(seed)
    return Recorded(generator), used


def walk(seed):
    env = gym.make("BipedalWalker-v3")
    observation, _ = env.reset(seed=seed)
    trace = {
        "kwargs": {}, "policy": "heuristic", "reset_draws": env.unwrapped.np_random.draws,
        "obs0": observation.tolist(), "actions": [], "obs": [], "rewards": [],
        "terminated": None, "truncated": None,
    }
    gait = BipedalWalkerHeuristics()
    while trace["terminated"] is None and trace["truncated"] is None:
        action = np.asarray(gait.step_heuristic(observation), dtype=np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        trace["actions"].append(action.tolist())
        trace["obs"].append(observation.tolist())
        trace["rewards"].append(float(reward))
        step = len(trace["obs"]) - 1
        trace["terminated"] = step if terminated else None
        trace["truncated"] = step if truncated else None
    env.close()
    return trace


def main():
    name, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    seeding.np_random = recorded
    returns = []
    for begin in range(first, last, 25):
        traces = [walk(seed) for seed in range(begin, min(begin + 25, last))]
        returns += [sum(trace["rewards"]) for trace in traces]
        with open(f"{name}-{begin}.json", "w", encoding="utf-8") as file:
            json.dump({
                "env": "BipedalWalker-v3", "gymnasium": gym.__version__, "max_episode_steps": 1600,
                "reward_threshold": 300, "tolerance": 0.0, "traces": traces,
            }, file)
    print(json.dumps({"walks": len(returns), "mean": float(np.mean(returns))}))


main()

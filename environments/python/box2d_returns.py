"""Mean returns of Gymnasium's own heuristic policies, beside which `tests/box2d.rs` stands.

pip install "gymnasium[box2d]==1.4.0"; python environments/python/box2d_returns.py [EPISODES] [--one-world]
Episode i begins with seed i, in an environment of its own: Gymnasium keeps one Box2D world over all episodes, and the
order in which it treats the pieces of a new ground follows from the episodes before, which the walker's gait feels.
`--one-world` plays them all in one environment. Prints one JSON line an environment.
"""
import json
import sys

import gymnasium as gym
import numpy as np
from gymnasium.envs.box2d.bipedal_walker import BipedalWalkerHeuristics
from gymnasium.envs.box2d.lunar_lander import heuristic


def play(name, new_policy, episodes, has_one_world):
    env = gym.make(name)
    returns = []
    for seed in range(episodes):
        if not has_one_world:
            env.close()
            env = gym.make(name)
        observation, _ = env.reset(seed=seed)
        policy, total, is_over = new_policy(env.unwrapped), 0.0, False
        while not is_over:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total += reward
            is_over = terminated or truncated
        returns.append(total)
    returns = np.array(returns)
    print(json.dumps({
        "env": name,
        "episodes": episodes,
        "one_world": has_one_world,
        "mean": float(returns.mean()),
        "deviation": float(returns.std()),
    }), flush=True)


def main():
    has_one_world = "--one-world" in sys.argv
    counts = [word for word in sys.argv[1:] if word != "--one-world"]
    episodes = int(counts[0]) if counts else 1000
    for name in ["LunarLander-v3", "LunarLanderContinuous-v3"]:
        play(name, lambda env: lambda observation: heuristic(env, observation), episodes, has_one_world)
    play("BipedalWalker-v3", lambda env: BipedalWalkerHeuristics().step_heuristic, episodes, has_one_world)


main()

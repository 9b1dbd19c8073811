"""Mean returns of Gymnasium's own heuristic policies, beside which `tests/box2d.rs` stands.

pip install "gymnasium[box2d]==1.4.0"; python environments/python/box2d_returns.py [EPISODES]
Episode i begins with seed i. Prints one JSON line an environment.
"""
import json
import sys

import gymnasium as gym
import numpy as np
from gymnasium.envs.box2d.bipedal_walker import BipedalWalkerHeuristics
from gymnasium.envs.box2d.lunar_lander import heuristic


def play(name, new_policy, episodes):
    env = gym.make(name)
    returns = []
    for seed in range(episodes):
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
        "mean": float(returns.mean()),
        "deviation": float(returns.std()),
    }), flush=True)


def main():
    episodes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for name in ["LunarLander-v3", "LunarLanderContinuous-v3"]:
        play(name, lambda env: lambda observation: heuristic(env, observation), episodes)
    play("BipedalWalker-v3", lambda env: BipedalWalkerHeuristics().step_heuristic, episodes)


main()

"""Plays in Python alone and prints what was seen, a line of JSON a step: `rollout.py ID SEED STEPS [MODE COUNT]`.

An ID that begins with `preprocessed:` is an Atari game as agents usually see it.
"""

import json
import sys

import ale_py
import gymnasium
import numpy


def plain(value):
    """Returns a value as JSON has it; arrays as the bytes of their elements in hexadecimal."""
    if isinstance(value, numpy.ndarray):
        return numpy.ascontiguousarray(value).tobytes().hex()
    if isinstance(value, numpy.generic):
        return value.item()
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return value


def show(**fields):
    print(json.dumps({name: plain(field) for name, field in fields.items()}))


def actions(space, seed):
    space.seed(seed)
    while True:
        yield space.sample()


def play(env_id, seed, steps):
    if env_id.startswith("preprocessed:"):
        env = gymnasium.make(env_id.removeprefix("preprocessed:"), frameskip=1)
        env = gymnasium.wrappers.AtariPreprocessing(env, noop_max=0, terminal_on_life_loss=True)
    else:
        env = gymnasium.make(env_id)
    observation, info = env.reset(seed=seed)
    show(observation=observation, info=info)
    for _, action in zip(range(steps), actions(env.action_space, seed)):
        observation, reward, terminated, truncated, info = env.step(action)
        show(
            action=numpy.asarray(action).ravel().tolist(),
            observation=observation,
            reward=float(reward),
            terminated=bool(terminated),
            truncated=bool(truncated),
            info=info,
        )
        if terminated or truncated:
            observation, info = env.reset()
            show(observation=observation, info=info)


def play_many(env_id, seed, steps, mode, count):
    mode = gymnasium.vector.AutoresetMode[mode]
    envs = gymnasium.make_vec(
        env_id, count, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}
    )
    observations, _ = envs.reset(seed=seed)
    show(observation=observations)
    for _, action in zip(range(steps), actions(envs.action_space, seed)):
        observations, rewards, terminated, truncated, info = envs.step(action)
        show(
            action=numpy.asarray(action).ravel().tolist(),
            observation=observations,
            reward=rewards.tolist(),
            terminated=terminated.tolist(),
            truncated=truncated.tolist(),
            final=[plain(row) for row in info["final_obs"]] if "final_obs" in info else None,
        )
        over = terminated | truncated
        if mode is gymnasium.vector.AutoresetMode.DISABLED and over.any():
            observations, _ = envs.reset(options={"reset_mask": over})
            show(observation=observations)


if __name__ == "__main__":
    gymnasium.register_envs(ale_py)
    env_id, seed, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if len(sys.argv) == 4:
        play(env_id, seed, steps)
    else:
        play_many(env_id, seed, steps, sys.argv[4], int(sys.argv[5]))

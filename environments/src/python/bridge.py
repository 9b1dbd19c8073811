"""What the Rust side asks of Gymnasium in Python's own words."""

import copy
import importlib
import math
import os
import pickle
import site
import string
import sys


def use_virtual_env():
    """Puts the packages of VIRTUAL_ENV first: an embedded interpreter does not look there by itself."""
    root = os.environ.get("VIRTUAL_ENV")
    if root and os.path.realpath(sys.prefix) != os.path.realpath(root):
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        known = len(sys.path)
        site.addsitedir(os.path.join(root, "lib", version, "site-packages"))
        sys.path[:] = sys.path[known:] + sys.path[:known]


use_virtual_env()

import gymnasium  # noqa: E402
from gymnasium.envs import registration  # noqa: E402

# Packages that register environments when they are imported, by what their ids begin with.
REGISTERED_BY = {
    "ALE/": "ale_py",
    "BabyAI-": "minigrid",
    "MiniGrid-": "minigrid",
}

# No sentence of BabyAI's is longer: two instructions with two places each are about half of it.
LONGEST_SENTENCE = 400

# The action that does nothing in an Atari game.
NOTHING = 0


def find_spec(env_id):
    """Returns the spec of `[module:][namespace/]Name[-vN]`; without a version the latest."""
    module, _, name = env_id.rpartition(":")
    if not module:
        packages = (package for start, package in REGISTERED_BY.items() if name.startswith(start))
        module = next(packages, "")
    if module:
        package = importlib.import_module(module)
        register = getattr(package, "register_minigrid_envs", None)
        if register and name not in registration.registry:
            register()
    namespace, base, version = registration.parse_env_id(name)
    if version is None:
        version = registration.find_highest_version(namespace, base)
    return gymnasium.spec(registration.get_env_id(namespace, base, version))


def make(spec, kwargs):
    """Makes an environment without the wrappers whose work the Rust side does."""
    spec = copy.deepcopy(spec)
    spec.order_enforce = False
    return gymnasium.make(spec, max_episode_steps=-1, disable_env_checker=True, **kwargs)


def save(env):
    """Returns everything that the next steps depend on, as bytes."""
    base = env.unwrapped
    if not isinstance(base, gymnasium.utils.EzPickle):
        return pickled(env)
    # Such an environment pickles the arguments that it was made from, and not its state.
    if env is base and hasattr(base, "clone_state"):
        return pickled((*save_atari(base), base.np_random))
    if env is base and is_mujoco(base):
        return pickled((base.data, None, base.np_random))
    raise TypeError(f"{env_name(base)} keeps its state where pickle does not see it{hint(base)}")


def pickled(state):
    """Returns a state as bytes that are the same for equal states: once more around, equal parts are one."""
    return pickle.dumps(pickle.loads(pickle.dumps(state)))


def hint(base):
    """Returns what to do about an environment whose physics are Box2D's."""
    is_box2d = type(getattr(base, "world", None)).__module__.startswith("Box2D")
    is_native = is_box2d and type(base).__name__ in ("LunarLander", "BipedalWalker")
    return ": make the native one, without `gym:`, whose states are exact" if is_native else ""


def load(env, state):
    """Goes on from what `save` returned; returns the environment that does."""
    state = pickle.loads(state)
    if isinstance(state, gymnasium.Env):
        if type(state.unwrapped) is not type(env.unwrapped):
            raise TypeError(f"{state} is not {env}")
        return state
    base = env.unwrapped
    state, last, base.np_random = state
    if is_mujoco(base):
        importlib.import_module("mujoco").mj_copyData(base.data, base.model, state)
    else:
        load_atari(base, state, last)
    return env


def save_atari(base):
    """Returns the state of an Atari game, and the last action where actions stick.

    The emulator saves its random numbers, but not which action it did last, which a sticky one repeats. So the
    game goes on a little, and then again from the saved state after each action that may have been the last one.
    The right one gives equal states until the last action has been overwritten, and then for ever.
    """
    state = base.clone_state(include_rng=True)
    sticks = base.ale.getFloat("repeat_action_probability")
    if sticks <= 0:
        return state, None
    if base.continuous or sticks > 0.9:
        raise TypeError(f"{env_name(base)} sticks to actions that cannot be told apart")
    frames = frames_until_sure(sticks)
    seen = go_on(base, frames)
    for action in base.ale.getLegalActionSet():
        load_atari(base, state, action)
        if go_on(base, frames, like=seen):
            load_atari(base, state, action)
            return state, action
    raise TypeError(f"{env_name(base)} did none of its own actions last")


def load_atari(base, state, last):
    """Goes on from what `save_atari` returned."""
    if last is not None:
        # The state does not say what was done last: it is done until that is sure.
        for _ in range(frames_until_sure(base.ale.getFloat("repeat_action_probability"))):
            base.ale.act(last)
    base.restore_state(state)


def go_on(base, frames, like=None):
    """Returns the states of some frames of doing nothing; with `like`, whether they are the same."""
    seen = []
    for at in range(frames):
        if base.ale.game_over():
            base.ale.reset_game()
        base.ale.act(NOTHING)
        state = base.clone_state(include_rng=True).serialize()
        if like is not None and state != like[at]:
            return False
        seen.append(state)
    return seen if like is None else True


def frames_until_sure(sticks):
    """Returns in how many frames an action has been done but for one chance in 10^18."""
    return math.ceil(18 / -math.log10(sticks))


def env_name(base):
    return base.spec.id if base.spec else type(base).__name__


def text_space(space):
    """Returns the least and greatest length and the letters of a space of texts that is not Gymnasium's own."""
    if not any(kind.__name__ == "MissionSpace" for kind in type(space).__mro__):
        return None
    letters = string.ascii_letters + string.digits + string.punctuation + " "
    if type(space).__name__ != "MissionSpace":
        # BabyAI's sentences are put together freely.
        return 1, LONGEST_SENTENCE, letters
    # MiniGrid's have places for words: the longest sentence has the longest words.
    words = space.ordered_placeholders or []
    longest = space.mission_func(*(max(choice, key=len) for choice in words))
    return 1, len(longest), letters


def is_mujoco(base):
    """Returns whether the physics are MuJoCo's own."""
    return type(getattr(base, "data", None)).__name__ == "MjData"

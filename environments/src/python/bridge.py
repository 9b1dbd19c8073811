"""What the Rust side asks of Gymnasium in Python's own words."""

import copy
import importlib
import os
import pickle
import site
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
        return pickle.dumps(env)
    # Such an environment pickles the arguments that it was made from, and not its state.
    if env is base and hasattr(base, "clone_state"):
        if base.ale.getFloat("repeat_action_probability") > 0:
            raise TypeError(f"{env} repeats an action that it does not save, unless repeat_action_probability=0")
        return pickle.dumps((base.clone_state(include_rng=True), base.np_random))
    if env is base and is_mujoco(base):
        return pickle.dumps((base.data, base.np_random))
    raise TypeError(f"{env} keeps its state where pickle does not see it")


def load(env, state):
    """Goes on from what `save` returned; returns the environment that does."""
    state = pickle.loads(state)
    if isinstance(state, gymnasium.Env):
        if type(state.unwrapped) is not type(env.unwrapped):
            raise TypeError(f"{state} is not {env}")
        return state
    base = env.unwrapped
    state, base.np_random = state
    if is_mujoco(base):
        importlib.import_module("mujoco").mj_copyData(base.data, base.model, state)
    else:
        base.restore_state(state)
    return env


def is_mujoco(base):
    """Returns whether the physics are MuJoCo's own."""
    return type(getattr(base, "data", None)).__name__ == "MjData"

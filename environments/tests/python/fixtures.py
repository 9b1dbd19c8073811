"""Environments that show what the bridge does with every kind of space, and with faults."""

import threading

import gymnasium
import numpy
from gymnasium import spaces


class Echo(gymnasium.Env):
    """Shows the last action, which must be in the space; infos and options are echoed too."""

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 7}

    def __init__(self, kind, render_mode=None):
        self.render_mode = render_mode
        self.observation_space = self.action_space = KINDS[kind]

    def reset(self, *, seed=None, options=None):
        self.action_space.seed(seed)
        info = {"options": options, "seed": seed, "scalar": numpy.float32(0.5), "type": Echo}
        return self.action_space.sample(), info

    def step(self, action):
        if not self.action_space.contains(action):
            raise ValueError(f"{action!r} is not in {self.action_space}")
        info = {"words": ["a", True, None], "counts": numpy.arange(3, dtype=numpy.uint16)}
        return action, numpy.float32(0.25), numpy.bool_(False), False, info

    def render(self):
        if self.render_mode == "ansi":
            return "drawn"
        return numpy.arange(18, dtype=numpy.uint8).reshape(2, 3, 3)


class Own(spaces.Space):
    """A space that is none of Gymnasium's."""


class Fortran(Echo):
    """Shows an array whose memory is not in row-major order."""

    def __init__(self):
        super().__init__("box")

    def step(self, action):
        return numpy.asfortranarray(numpy.arange(6, dtype=numpy.float32).reshape(2, 3)), 0, 0, 0, {}


class Faulty(Echo):
    """Does what it must not."""

    def __init__(self, fault):
        super().__init__("box")
        self.fault = fault

    def step(self, action):
        if self.fault == "raise":
            raise RuntimeError("the wheels came off")
        if self.fault == "size":
            return numpy.zeros(5, numpy.float32), 0.0, False, False, {}
        return action, 0.0


class Meeting(Echo):
    """Steps only while another thread steps as well."""

    barrier = threading.Barrier(2, timeout=60)

    def __init__(self):
        super().__init__("discrete")

    def step(self, action):
        self.barrier.wait()
        return super().step(action)


class Needy(Echo):
    """Misses a package."""

    def __init__(self):
        raise gymnasium.error.DependencyNotInstalled("it misses: run `pip install \"gymnasium[it]\"`")


KINDS = {
    "box": spaces.Box(-1, 1, (2, 3), numpy.float32),
    "bytes": spaces.Box(0, 255, (4,), numpy.uint8),
    "wide": spaces.Box(-numpy.inf, numpy.inf, (), numpy.float64),
    "discrete": spaces.Discrete(4, start=-2),
    "multi_discrete": spaces.MultiDiscrete([[2, 3], [4, 5]]),
    "multi_binary": spaces.MultiBinary([2, 2]),
    "text": spaces.Text(5),
    "dict": spaces.Dict({"b": spaces.Discrete(3), "a": spaces.Box(0, 1, (2,), numpy.float32)}),
    "tuple": spaces.Tuple([spaces.Discrete(3), spaces.Tuple([spaces.MultiBinary(2)])]),
    "sequence": spaces.Sequence(spaces.Discrete(3)),
    "graph": spaces.Graph(spaces.Box(0, 1, (2,), numpy.float32), spaces.Discrete(3)),
    "one_of": spaces.OneOf([spaces.Discrete(3), spaces.Box(0, 1, (2,), numpy.float32)]),
    "stacked": spaces.Sequence(spaces.Discrete(3), stack=True),
    "uint64": spaces.Box(0, 1, (2,), numpy.uint64),
    "own": Own(),
}

gymnasium.register("fixture/Echo-v0", Echo)
gymnasium.register("fixture/Fortran-v0", Fortran)
gymnasium.register("fixture/Faulty-v0", Faulty)
gymnasium.register("fixture/Meeting-v0", Meeting)
gymnasium.register("fixture/Needy-v0", Needy)

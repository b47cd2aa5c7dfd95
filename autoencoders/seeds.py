"""The seeds of layers and initializers that nobody has given one."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from keras.src.random import seed_generator

# Where layers and initializers get the seeds that nobody has given them; None for Python's own
# generator, which is Keras's source.
_SEEDS: ContextVar[random.Random | None] = ContextVar("seeds", default=None)


@contextmanager
def default_seeds(seed: int) -> Iterator[None]:
    """Within it Keras gives layers and initializers seeds that follow from this one.

    Outside, and in other threads, Keras goes on to take them from Python's own generator, as
    `keras.utils.set_random_seed` promises; that generator is neither read nor moved on here.
    """
    token = _SEEDS.set(random.Random(seed))
    try:
        yield
    finally:
        _SEEDS.reset(token)


class _Seeds:
    """What Keras draws default seeds from, in the place of the module `random`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_SEEDS.get() or random, name)


# All of Keras's default seeds come from one function, which draws from the module's `random`.
seed_generator.python_random = _Seeds()

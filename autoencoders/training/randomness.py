"""The random state of a model: that of every seed generator in it.

Keras files do not hold it, so that a model with as much as one dropout layer would not resume
exactly; and evaluation that samples would never repeat.
"""

from contextlib import contextmanager

import numpy as np

# Evaluation draws from the same seeds as training, from a counter that training never reaches.
_EVALUATION_COUNTER = 2**30


def states(model):
    """The state variable of each seed generator in the model, in a fixed order."""
    found = {id(v): v for v in model.variables if v.name == "seed_generator_state"}
    return list(found.values())


def snapshot(model):
    """The random state as one array, `(generators, 2)`: seed and counter of each."""
    return np.array([np.asarray(state) for state in states(model)], dtype="int64").reshape(-1, 2)


def restore(model, values):
    """Put back what `snapshot` returned.

    Raises:
        ValueError: the model has another number of seed generators.
    """
    variables = states(model)
    if len(values) != len(variables):
        raise ValueError(
            f"The file holds the random state of {len(values)} seed generators, "
            f"but model {model.name!r} has {len(variables)}."
        )
    for variable, value in zip(variables, np.asarray(values), strict=True):
        variable.assign(value)


@contextmanager
def afresh(model, keep=None):
    """Start every generator of the model at the same point each time; put them back after.

    Args:
        model: The model.
        keep: A state variable to leave alone.

    Yields:
        The state that is put back.
    """
    before = snapshot(model)
    for variable, (seed, _) in zip(states(model), before, strict=True):
        if variable is not keep:
            variable.assign((seed, _EVALUATION_COUNTER))
    try:
        yield before
    finally:
        restore(model, before)

"""The variables from which programs read numbers, so that these may be set without a new trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras

from autoencoders.types import Tensor

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    def _in_program() -> bool:
        return not tf.executing_eagerly()

    def _outside():
        return tf.init_scope()

    def is_variable(value: Any) -> bool:
        """Whether it is a variable, of Keras's or TensorFlow's."""
        return isinstance(value, (keras.Variable, tf.Variable))

    def _variable(value, dtype):
        # TensorFlow traces a function twice if it has to lift a variable out of it. This variable
        # is made outside of all functions, so there is nothing to lift.
        lifting: dict[str, Any] = {"experimental_enable_variable_lifting": False}
        return tf.Variable(value, trainable=False, dtype=dtype, **lifting)

else:
    from contextlib import nullcontext as _outside

    def _in_program() -> bool:
        return False

    def is_variable(value: Any) -> bool:
        """Whether it is a variable of Keras's."""
        return isinstance(value, keras.Variable)


_CONSTANT = ContextVar("numbers are constants", default=False)


def is_on(value: Any) -> bool:
    """Whether a number that may be off is on, within a program as well as outside."""
    return keras.ops.is_tensor(value) or bool(value)


@contextmanager
def constants() -> Iterator[None]:
    """Within it programs are traced with numbers as the constants that they are now: for export."""
    token = _CONSTANT.set(True)
    try:
        yield
    finally:
        _CONSTANT.reset(token)


def reads_constants() -> bool:
    """Whether numbers are to be read as they are: outside programs, and for export."""
    return not _in_program() or _CONSTANT.get()


class _Variables(dict):
    """The variables of an object's numbers, which are made where a program first reads them.

    A copy of the object makes its own.
    """

    def __deepcopy__(self, memo):
        return _Variables()

    def __reduce__(self):
        return (_Variables, ())


def tensor(instance: Any, name: str) -> Tensor:
    """The number of this name as programs see it, read from its variable."""
    variables = vars(instance).setdefault("_numbers", _Variables())
    if name not in variables:
        with constants(), _outside():
            variables[name] = _variable(getattr(instance, name), _dtype(instance))
    return variables[name].read_value()


def write(instance: Any) -> None:
    """Let the variables of an object's numbers have their present values."""
    variables = vars(instance).get("_numbers", {})
    if variables:
        with constants(), _outside():
            for name, variable in variables.items():
                value = getattr(instance, name)
                if value is not None:
                    variable.assign(value)


def _dtype(instance):
    if isinstance(instance, keras.layers.Layer):
        return instance.variable_dtype
    return instance.dtype if isinstance(instance, keras.losses.Loss) else keras.config.floatx()

"""What can be seen of a network before it runs: its inputs, its outputs, and how it ends.

A network of the user's own may end in an activation that bounds what it puts out. The last layer
is looked for through networks within networks, and through layers that only move values about.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from types import FunctionType
from typing import Any, NamedTuple

import keras
from keras.src.models.functional import Functional

from autoencoders.types import Shape


class Ending(NamedTuple):
    """The last activation of a network: its name, and the range of what it gives."""

    name: str
    low: float
    high: float

    @property
    def bounded(self) -> bool:
        """Whether there are numbers that it never gives."""
        return self.low > -math.inf or self.high < math.inf


_INFINITE = math.inf
_RANGES = {
    "linear": (-_INFINITE, _INFINITE),
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "sparsemax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu": (0.0, _INFINITE),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, _INFINITE),
    "squareplus": (0.0, _INFINITE),
    "exponential": (0.0, _INFINITE),
    "exp": (0.0, _INFINITE),
    "elu": (-1.0, _INFINITE),
    "celu": (-1.0, _INFINITE),
    "selu": (-1.7582, _INFINITE),
    "gelu": (-0.1701, _INFINITE),
    "silu": (-0.2785, _INFINITE),
    "swish": (-0.2785, _INFINITE),
    "hard_silu": (-0.375, _INFINITE),
    "mish": (-0.3089, _INFINITE),
    "log_sigmoid": (-_INFINITE, 0.0),
    "log_softmax": (-_INFINITE, 0.0),
    "leaky_relu": (-_INFINITE, _INFINITE),
    "batch_normalization": (-_INFINITE, _INFINITE),
    "layer_normalization": (-_INFINITE, _INFINITE),
}

# Layers and operations that give the numbers that they get, or some of them, or numbers between.
_MOVING = re.compile(
    r"Reshape|Flatten|Permute|Transpose|Cropping\dD|RepeatVector|Identity|UpSampling1D|Squeeze|"
    r"ExpandDims|GetItem|Cast|Flip|Moveaxis|Swapaxes|Ravel|(Global)?(Max|Average)Pooling\dD|"
    r"(Gaussian|Spatial|Alpha)?Dropout(\dD)?|ActivityRegularization"
)


def ending(network: keras.layers.Layer, output: int = 0) -> Ending | None:
    """How a network ends; None where that cannot be seen, as in a `call` of the user's own.

    Args:
        network: The network.
        output: Which of its outputs is meant, where it has several.
    """
    found = _of(network, output)
    return None if isinstance(found, str) else found


# What `_of` says of what gives the numbers that it gets.
_AS_BEFORE = "as before"


def _of(layer: Any, output: int = 0) -> Ending | str | None:
    if isinstance(layer, keras.Sequential):
        backwards = (_of(one) for one in layer.layers[::-1])
        return next((found for found in backwards if found != _AS_BEFORE), None)
    if isinstance(layer, Functional):
        return _of_tensor(layer.outputs[output], layer) if _calls_as(layer, Functional) else None
    if type(layer).__module__.partition(".")[0] not in ("keras", "autoencoders"):
        return None
    kind = type(layer).__name__
    if _MOVING.fullmatch(kind):
        return _AS_BEFORE
    if kind == "UpSampling2D":
        return _AS_BEFORE if layer.interpolation in ("nearest", "bilinear") else None
    if isinstance(layer, keras.layers.Bidirectional):
        return None if layer.merge_mode == "sum" else _of(layer.forward_layer)
    if isinstance(layer, keras.layers.Wrapper):
        return _of(layer.layer)
    if isinstance(layer, keras.layers.RNN):
        return _of_activation(vars(layer.cell).get("activation"))
    return _of_attributes(layer, kind)


def _of_attributes(layer, kind):
    own = vars(layer)
    if "output_activation" in own:  # the decoders of series
        return _of_activation(own["output_activation"])
    if "activation" in own:
        found = _of_activation(own["activation"])
        passes = isinstance(layer, keras.layers.Activation) and found == _LINEAR
        return _AS_BEFORE if passes else found
    if kind == "ReLU":
        low = 0.0 if not own["negative_slope"] else -math.inf
        high = math.inf if own["max_value"] is None else float(own["max_value"])
        return Ending("relu", low, high)
    if kind == "Clip":
        bounds = (own["x_min"], own["x_max"])
        return Ending("clip", *map(float, bounds)) if _are_numbers(bounds) else None
    return _named(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower())


_LINEAR = Ending("linear", -math.inf, math.inf)


def _named(name):
    return Ending(name, *_RANGES[name]) if name in _RANGES else None


def _of_activation(activation):
    if isinstance(activation, FunctionType):
        return _named(activation.__name__)
    return _LINEAR if activation is None else _of(activation)


def _are_numbers(values):
    return all(isinstance(value, (int, float)) for value in values)


def _of_tensor(tensor, network):
    """How what a tensor of a functional model holds was made last."""
    inputs = {id(one) for one in network.inputs}
    while id(tensor) not in inputs:
        made = tensor._keras_history
        found = _of(made.operation, made.tensor_index)
        if found != _AS_BEFORE:
            return found
        before = _inputs_of(tensor)
        if len(before) != 1:
            return None
        (tensor,) = before
    return _AS_BEFORE


def _inputs_of(tensor):
    made = tensor._keras_history
    return made.operation._inbound_nodes[made.node_index].input_tensors


def _calls_as(layer, cls):
    return type(layer).call is cls.call


def known_shape(network: Any, which: str) -> Shape | None:
    """The "input_shape" or "output_shape" of a network, with the batch axis.

    None where the network does not know it, or has several.
    """
    shape = getattr(network, which, None)
    if shape is None or any(isinstance(size, (list, tuple)) for size in shape):
        return None
    return tuple(shape)


_SCALING = (keras.layers.Rescaling, keras.layers.Normalization)
_NORMALISING = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.UnitNormalization,
)


def scales(network: keras.layers.Layer) -> bool:
    """Whether a network scales what it is given, as far as that can be seen.

    By a layer for it, by a normalisation in front of its first weights, or by arithmetic.
    """
    in_front = True
    for layer in network._flatten_layers():
        if isinstance(layer, _SCALING) or (in_front and isinstance(layer, _NORMALISING)):
            return True
        if isinstance(layer, Functional):
            made = (one for one in layer.operations if not isinstance(one, keras.layers.Layer))
            if any(not _MOVING.fullmatch(type(one).__name__) for one in made):
                return True
        own = not list(layer._flatten_layers(include_self=False))
        in_front = in_front and not (own and layer.weights)
    return False


def is_network(name: str, value: Any, outputs: int = 1) -> None:
    """Raise an error unless a network takes one tensor and puts out one (or so many).

    As far as that can be seen: of models whose inputs and outputs Keras knows.

    Args:
        name: What messages call it.
        value: The network.
        outputs: How many tensors it is to put out.

    Raises:
        TypeError: no Keras layer or model.
        ValueError: several inputs, or other outputs.
    """
    if not isinstance(value, keras.layers.Layer):
        raise TypeError(f"`{name}` must be a Keras layer or model, got {value!r}.")
    if not isinstance(value, Functional):
        return
    if len(value.inputs) > 1:
        inputs = ", ".join(repr(tensor.name) for tensor in value.inputs)
        raise ValueError(
            f"`{name}` must take one tensor, but it takes {len(value.inputs)}: {inputs}. A class "
            "that belongs to a row is for a conditional model, which joins it to features and code "
            f'by itself: `get("cvae_mlp", num_classes=...)`, with a `{name}` that does not ask for '
            "it. Whatever else belongs to a row goes into one array with it, to be taken apart by "
            "the network."
        )
    if outputs == 1 and isinstance(value.output, (list, tuple, dict)):
        raise ValueError(
            f"`{name}` must put out one tensor, but it puts out {_several(name, value)}"
        )
    if len(value.outputs) != outputs:
        raise ValueError(
            f"`{name}` must put out {outputs} tensors, but it puts out {len(value.outputs)}."
        )


def _several(name, network):
    """What a functional model puts out in place of one tensor, and how to get one from it."""
    made = [tensor._keras_history.operation.name for tensor in network.outputs]
    listed, own = ", ".join(map(repr, made)), f"`keras.Model({name}.input, "
    if len(made) == 1:
        kind = type(network.output).__name__
        return f"a {kind} with one, {listed}. Take it out: {own}{name}.outputs[0])`."
    listed = f"{len(made)}: {listed}."
    if name == "encoder":
        shared = fork(network)
        end = f"{name}.get_layer({shared!r}).output" if shared else "features"
        return (
            f"{listed} Mean, variance and the sample drawn from them are the business of a "
            "bottleneck (`layers.GaussianBottleneck`, which every variational model has): pass the "
            f"layers before them alone, {own}{end})`; or the output that is the code, {own}"
            f"{name}.outputs[0])`."
        )
    if name == "decoder":
        listed += (
            " The parameters of a likelihood, such as means and log-variances, are one tensor, "
            "joined along the last axis by `keras.layers.Concatenate()`."
        )
    return f"{listed} Pass the part with the one that is meant, {own}{name}.outputs[0])`."


def fork(network: keras.Model) -> str | None:
    """The name of the last layer from which all outputs of a functional model come.

    None where it is the input.
    """
    first, *others = ([*_above(output)] for output in network.outputs)
    for tensor in first:
        layer = tensor._keras_history.operation
        if all(any(tensor is one for one in above) for above in others):
            return None if isinstance(layer, keras.layers.InputLayer) else layer.name
    return None


def _above(tensor: Any) -> Iterator[Any]:
    """The tensors that a tensor was made of, the nearest first."""
    waiting, seen = list(_inputs_of(tensor)), set()
    while waiting:
        one = waiting.pop(0)
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting.extend(_inputs_of(one))

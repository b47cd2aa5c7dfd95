"""Layers that are changed in a model that is made: quantised (`quantize`), or adapted (LoRA).

Keras changes the layers themselves. A file says it of each of them, so that also those within a
bottleneck or a decoder are made anew as they were.

The functions that take `self` are methods of `PhasedModel`, whose class body names them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from autoencoders.training import compiling, evidence, state

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel

_MODES = ("int8", "int4", "float8")
_INTEGER = ("int8", "int4")


def quantize(
    self: PhasedModel,
    mode: str | None = None,
    config: Any = None,
    filters: str | Iterable[str] | Callable[[keras.Layer], bool] | None = None,
    **kwargs: Any,
) -> None:
    """Quantise the dense layers, as `keras.Model.quantize`: all of them, or none after an error.

    The kernels of "int8" and "int4" layers are no longer trained; LoRA adapters are merged into
    them first. A layer with tied weights takes the rounded kernel. Optimizers begin anew.

    Args:
        mode: "int8", "int4" or "float8".
        config: A `keras.quantizers.QuantizationConfig` instead.
        filters: Which layers: a regular expression that their name has, several of them, or a
            function of the layer.
        kwargs: As in Keras.

    Raises:
        ValueError: another mode, no layer that can be quantised, or one that is already.
    """
    mode = mode if config is None else config.mode
    if mode not in _MODES:
        raise ValueError(
            f"{self.name!r} cannot be quantised by {mode!r}, which is for networks of transformer "
            f"blocks. Choose one of {', '.join(map(repr, _MODES))}."
        )
    layers = [layer for layer in _quantisable(self) if _chosen(layer, filters)]
    if not layers:
        which = "" if filters is None else "that `filters` choose and "
        raise ValueError(
            f"{self.name!r} has no layer {which}that Keras can quantise: those are Dense, "
            "EinsumDense and Embedding layers. Convolutions and recurrent layers stay as they are."
        )
    before = [layer.name for layer in layers if layer.quantization_mode]
    if before:
        raise ValueError(
            f"The layers {before} of {self.name!r} are quantised already. Quantise the model that "
            "they were made from, or choose other layers by `filters`."
        )
    known = self.trained
    for layer in layers:
        if _adapted(layer):
            _merge(layer)
    ids = {id(layer) for layer in layers}
    keras.Model.quantize(self, mode, config, filters=lambda layer: id(layer) in ids, **kwargs)
    for layer in layers:
        _as_built(layer)
    compiling.begin_anew(self)
    evidence.carry(self, known)


def _quantisable(model):
    """The layers that Keras's `quantize` changes."""
    return [
        layer
        for layer in _changeable(model)
        if type(layer).quantize is not keras.Layer.quantize
        and type(layer).__module__.startswith("keras.")
        and layer.built
        and not layer._flatten_layers(include_self=False)
    ]


def _chosen(layer, filters):
    if filters is None:
        return True
    if callable(filters):
        return bool(filters(layer))
    patterns = [filters] if isinstance(filters, str) else filters
    return any(re.search(pattern, layer.name) for pattern in patterns)


def _changeable(model):
    """The layers that may be quantised or adapted, in an order that is always the same."""
    return [layer for layer in model._flatten_layers() if "lora_enabled" in vars(layer)]


def _adapted(layer):
    return vars(layer).get("lora_enabled", False)


def _adapters(layer):
    """A layer's two adapters by their last letter: "a", "b"."""
    return {v.name[-1]: v for v in layer.weights if v.name.startswith("lora_")}


def _as_built(layer):
    """Give a layer's weights the order that they have in a layer that is built quantised.

    A copy takes them in that order. Of the modes here, that of "float8" leaves them in another.
    """
    layer._trainable_variables.sort(key=lambda v: v.name in ("kernel", "bias"))


def _merge(layer):
    """Put a layer's adapters into its weights."""
    embedding = isinstance(layer, keras.layers.Embedding)
    merged = layer.embeddings if embedding else layer.kernel
    adapters = _adapters(layer)
    layer.lora_enabled = False
    weight = layer.embeddings if embedding else layer.kernel
    weight.assign(merged)
    weight.trainable = True
    layer.lora_rank = layer.lora_alpha = None
    for adapter in adapters.values():
        layer._untrack_variable(adapter)


# What a file says ---------------------------------------------------------------------------------


def get_config(self: PhasedModel) -> dict[str, Any]:
    """Keras's, and which layers are quantised or adapted, where some are."""
    config, adapted = keras.Model.get_config(self), to_config(self)
    return {**config, "adapted": adapted} if adapted else config


def to_config(model: PhasedModel) -> list[dict[str, Any]]:
    """What was made of the layers; nothing for a model as it was built.

    Raises:
        ValueError: layers that are quantised and adapted.
    """
    if not model.built:
        return model._adapted
    check(model)
    found = []
    for place, layer in enumerate(_changeable(model)):
        if layer.quantization_mode:
            own = keras.saving.serialize_keras_object(layer.quantization_config)
            found.append({"layer": place, "quantized": layer.quantization_mode, "config": own})
        elif _adapted(layer):
            found.append({"layer": place, "rank": layer.lora_rank, "alpha": layer.lora_alpha})
    return found


def apply(model: PhasedModel) -> None:
    """Make of the layers of a model that is being built what its config says."""
    layers = _changeable(model)
    for change in model._adapted:
        layer = layers[change["layer"]]
        if "rank" in change and not _adapted(layer):
            layer.enable_lora(change["rank"], lora_alpha=change["alpha"])
        if "quantized" in change and not layer.quantization_mode:
            config = keras.saving.deserialize_keras_object(change["config"])
            layer.quantize(change["quantized"], config=config)
            _as_built(layer)


# Training -----------------------------------------------------------------------------------------


def check(model: PhasedModel) -> None:
    """Raise a ValueError for layers that are quantised and adapted."""
    layers = _changeable(model)
    both = [layer.name for layer in layers if layer.quantization_mode and _adapted(layer)]
    if both:
        raise ValueError(
            f"The layers {both} of {model.name!r} are quantised and have adapters (LoRA): a file "
            "would hold their sum, rounded once more, which gives other numbers. Adapt and train "
            "the model first, and then quantise it, which merges the adapters."
        )


def make_ready(model: PhasedModel) -> None:
    """See to the layers that were changed since the model was compiled, before it is trained.

    Raises:
        ValueError: layers that are quantised and adapted.
    """
    check(model)
    layers = _changeable(model)
    fixed = sorted({layer.name for layer in layers if layer.quantization_mode in _INTEGER})
    if fixed:
        warnings.warn(
            f"The kernels of the layers {fixed} of {model.name!r} are quantised, and are not "
            "trained: only biases and other layers are. Train first, and quantise afterwards.",
            stacklevel=3,
        )
    for place, layer in enumerate(layers):
        if _adapted(layer):
            _begin_adapter(layer, seed=place)
    follow(model)


def follow(model: PhasedModel) -> None:
    """Let the optimizers of a compiled model know its adapters, for training and for files."""
    if not (model.built and model.compiled):
        return
    layers = _changeable(model)
    adapters = {id(v) for layer in layers if _adapted(layer) for v in _adapters(layer).values()}
    if any(id(v) in adapters - model._optimized for phase in model.phases for v in phase.variables):
        if state.updates(model):
            warnings.warn(
                f"{model.name!r} has weights to train that it did not have when it was compiled "
                "(adapters): its optimizers begin anew, with their present settings. To choose "
                "others, `compile` it.",
                stacklevel=3,
            )
        compiling.begin_anew(model)


def _begin_adapter(layer, seed):
    """Let an adapter learn again after loading, which sets both of its parts to zero.

    With both zero no gradient would ever reach them. One is drawn as at first; their product, which
    is what counts, is still zero.
    """
    parts = _adapters(layer)
    if not any(np.any(np.asarray(part)) for part in parts.values()):
        first = parts["a"]
        first.assign(keras.initializers.HeUniform(seed=seed)(first.shape, first.dtype))

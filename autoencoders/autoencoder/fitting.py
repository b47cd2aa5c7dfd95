"""Whether the parts that a model is made of go together: asked before anything is trained."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from autoencoders import losses
from autoencoders.checks import fits, refuse, remark
from autoencoders.layers import Bottleneck
from autoencoders.layers.encoding import Inputs
from autoencoders.networks import SequenceDecoder, endings
from autoencoders.training.keras_hooks import overridden
from autoencoders.types import Tensor

if TYPE_CHECKING:
    from autoencoders.autoencoder.base import Autoencoder

# Checks of single arguments -----------------------------------------------------------------------


def is_bottleneck(name: str, value: Any) -> None:
    """Raise a TypeError unless the argument is a bottleneck, or None."""
    if value is not None and not isinstance(value, Bottleneck):
        raise TypeError(f"`{name}` must be a layers.Bottleneck, got {value!r}.")


def is_likelihood(name: str, value: Any) -> None:
    """Raise a TypeError unless the argument is a likelihood, or None."""
    if value is not None and not isinstance(value, losses.Likelihood):
        raise TypeError(f"`{name}` must be a losses.Likelihood, got {value!r}.")


def is_padding(name: str, value: Any) -> None:
    """Raise a ValueError unless the argument is a number that padding can have, or None."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None or (number and math.isfinite(value)):
        return
    hint = ""
    if number and math.isnan(value):
        hint = (
            " NaN equals nothing, not even itself, and arithmetic with it gives NaN. Fill padding "
            f"with a number that the data does not have: `np.nan_to_num(x, nan=-1.0)`, {name}=-1.0."
        )
    raise ValueError(f"`{name}` must be a finite number or None, got {value!r}.{hint}")


def _is_ours(likelihood):
    """Whether all that a likelihood does is known: it is none, or one of this package's."""
    return likelihood is None or type(likelihood).__module__.startswith("autoencoders.")


def one_tensor(name: str, output: Any) -> Tensor:
    """What a network gave, if it is one tensor.

    Raises:
        ValueError: it is several, or one in a list or a dict.
    """
    if isinstance(output, (list, tuple, dict)):
        raise ValueError(
            f"`{name}` must put out one tensor, but its `call` returns a {type(output).__name__} "
            f"of {len(output)}."
        )
    return output


# Checks of what goes together ---------------------------------------------------------------------


def check_encoder(self: Autoencoder) -> None:
    """Raise a ValueError unless the encoder takes rows of the model's shape."""
    takes = endings.known_shape(self.encoder, "input_shape")
    if takes is not None and not fits(takes[1:], self._row_shape):
        raise ValueError(
            f"The encoder takes rows of shape {takes[1:]}, but the model is built for rows of "
            f"shape {self._row_shape}. Give both the same shape, or begin the encoder with a layer "
            "that reshapes rows, such as `keras.layers.Flatten()`."
        )


def check_code(self: Autoencoder, latent: Tensor) -> None:
    """Raise a ValueError unless the decoder takes codes like these."""
    takes = endings.known_shape(self.decoder, "input_shape")
    given = tuple(latent.shape[1:])
    if takes is not None and not fits(_without_ones(takes[1:]), _without_ones(given)):
        beside = ", the class of a row beside it" if self.needs_labels else ""
        raise ValueError(
            f"The decoder takes codes of shape {takes[1:]}, but it is given codes of shape "
            f"{given}{beside}. Pass a `decoder` that takes those, or make the code as wide as it "
            "takes (`latent_dim`, or the end of the encoder)."
        )


def _without_ones(shape):
    """A shape but for sizes of 1 at its end, which Keras gives a network's input, or takes away."""
    sizes = list(shape)
    while sizes and sizes[-1] == 1:
        sizes.pop()
    return tuple(sizes)


def check_certainty(self: Autoencoder, inputs: Inputs, code: Tensor) -> None:
    """See that a row has one code, and the same one each time.

    Args:
        self: The model.
        inputs: One row.
        code: What its parts have made of that.

    Raises:
        ValueError: it has another number of codes.
    """
    if code.shape[0] not in (1, None):
        raise ValueError(
            f"The encoder gives {code.shape[0]} codes for one row: one of its layers has a batch "
            "size of its own. Let it take the size from its input, as `keras.ops.shape(x)[0]`."
        )
    foreign = [
        layer
        for layer in self.encoder._flatten_layers()
        if type(layer).__module__.partition(".")[0] not in ("autoencoders", "keras")
        or isinstance(layer, keras.layers.Lambda)
    ]
    if foreign and not np.array_equal(
        ops.convert_to_numpy(code), ops.convert_to_numpy(self.code(self.features(inputs, False)))
    ):
        remark(
            f"The encoder gives the same row another code each time (a layer of its own may do so: "
            f"{foreign[0].name!r}), also where it is not trained: `encode`, `evaluate` and scores "
            "will not repeat. Sampling is a bottleneck's business "
            "(`bottleneck=layers.GaussianBottleneck(latent_dim)`), which gives its loss a KL term."
        )


def check_output(self: Autoencoder, output: Tensor, rows: Tensor) -> None:
    """Raise a ValueError unless the decoder's output has the shape of the rows.

    Or that of the parameters that the likelihood takes.
    """
    likelihood = self.likelihood
    parameters = 1 if likelihood is None else likelihood.parameters
    if overridden(self, "mean_of") or not _is_ours(likelihood):
        # Only the shape of the reconstruction is known.
        output, parameters = self.mean_of(output), 1
    row, given = tuple(rows.shape[1:]), tuple(output.shape[1:])
    wanted = (*row[:-1], None if row[-1] is None else parameters * row[-1])
    if fits(given, wanted):
        return
    beside = ""
    if likelihood is not None and parameters > 1:
        beside = (
            f", and the likelihood {likelihood.name!r} takes {parameters} numbers for each element "
            f"along the last axis: {wanted}"
        )
    sizes = [math.prod(size or 0 for size in shape) for shape in (given, wanted)]
    hint = f" End it with `keras.layers.Reshape({wanted})`." if sizes[0] == sizes[1] > 0 else ""
    raise ValueError(
        f"The decoder gives rows of shape {given}, but the input's rows have shape {row}"
        f"{beside}.{hint}"
    )


def check_ending(self: Autoencoder) -> None:
    """See that the decoder does not end in an activation that the likelihood has no use for.

    The parts of the model have run once.
    """
    end = endings.ending(self.decoder) or _tried(self)
    object.__setattr__(self, "_ending", end)  # Keras has no part in it.
    likelihood = self.likelihood
    if end is None or likelihood is None or not end.bounded:
        return
    if likelihood.parameters > 1 and _is_ours(likelihood):
        refuse(
            f"The decoder ends in {described(end)}, but the likelihood {likelihood.name!r} takes "
            f"{likelihood.parameters} numbers for each element, not all of which lie in that range "
            "(log-variances are mostly below 0). Remove the last activation of the decoder, or "
            "apply it to the part of the output that holds the means alone."
        )
    elif likelihood.logits and _squeezes(end):
        refuse(
            f"The decoder ends in {described(end)}, but the likelihood {likelihood.name!r} takes "
            "logits, any numbers, and applies a sigmoid to them itself: no reconstruction could "
            f"lie outside of {_sigmoid(end.low):.2f} to {_sigmoid(end.high):.2f}. Remove the last "
            "activation of the decoder (`activation=None`), or build the model with a likelihood "
            "that takes means, such as likelihood='gaussian' or 'squared_error'."
        )


def ending_of(self: Autoencoder) -> endings.Ending | None:
    """How the decoder ends, as far as that is known; see `endings.ending`."""
    return vars(self)["_ending"] if self.built else endings.ending(self.decoder)


def _tried(self):
    """How a decoder whose code is the user's own seems to end, by what it makes of random codes.

    Large codes drive an activation to its limits, where other layers go far beyond or stay between.
    """
    if isinstance(self.decoder, SequenceDecoder) or None in (*self._row_shape, *self._latent_shape):
        return None
    codes = np.random.default_rng(0).normal(size=(_TRIED, *self._latent_shape)).astype("float32")
    labels = ops.zeros((_TRIED,), "int32") if self.needs_labels else None
    inputs = Inputs(ops.zeros((_TRIED, *self._row_shape)), labels, None)
    try:
        small, large = (
            ops.convert_to_numpy(self.decoder_output(ops.convert_to_tensor(z), inputs, False))
            for z in (codes, 1e3 * codes)
        )
    except Exception:  # It may assert a range that its codes have.
        return None
    low, high = (float(value) for value in (min(small.min(), large.min()), large.max()))
    for name, ends in (("sigmoid", (0.0, 1.0)), ("tanh", (-1.0, 1.0))):
        at_an_end = np.abs(large[..., None] - ends).min(axis=-1) < 1e-3
        within = ends[0] <= low < ends[0] + 1e-3 and high - low > 0.5 and high <= ends[1]
        if within and at_an_end.mean() > 0.5:
            return endings.Ending(f"{name}, by its output", *ends)
    if low == 0.0 and high > 1.0 and np.mean(large == 0.0) > 0.1:
        return endings.Ending("relu, by its output", 0.0, math.inf)
    linear = endings.Ending("linear, by its output", -math.inf, math.inf)
    return linear if low < -1.0 and high > 1.0 else None


# How many codes a decoder is tried on.
_TRIED = 16


def check_loss(self: Autoencoder, loss: Any) -> None:
    """See that a loss for `compile` takes what the decoder puts out.

    Without a likelihood that is the reconstruction itself: what `predict` gives, and what
    `reconstruction_error` compares with rows.
    """
    if loss is None:
        return
    loss = losses.as_loss(loss)
    name, taken = losses.name_of(loss), losses.taken_by(loss)
    if name == "sparse_categorical_crossentropy":
        refuse(f"The loss {name!r} compares with classes, not with rows. Take 'mse', for instance.")
    if taken is None:
        return
    end = ending_of(self)
    if taken.distribution and self.built and self._row_shape[-1] == 1:
        refuse(
            f"The loss {name!r} takes the last axis for a distribution over classes, but rows of "
            f"shape {self._row_shape} have one number there: the loss would not depend on it. Take "
            "'binary_crossentropy' for numbers from 0 to 1."
        )
    if taken.logits:
        if end is not None and _squeezes(end):
            refuse(
                f"The loss {name!r} with `from_logits=True` takes logits, any numbers, but the "
                f"decoder ends in {described(end)}: pass `from_logits=False`, or the name alone, "
                f"{name!r}."
            )
        else:
            remark(
                f"With `from_logits=True` the decoder of {self.name!r} learns to put out logits, "
                "but `predict`, `reconstruction_error` and metrics take what it puts out for the "
                "reconstruction. End the decoder with the activation (output='sigmoid') and pass "
                f"{name!r} alone, or build the model with `likelihood=losses.Bernoulli()`."
            )
        return
    low, high = taken.outputs
    softmax = taken.distribution == "as it is"
    wrong = end is not None and (end.low < low or end.high > high)
    if wrong or (softmax and end is not None and end.name != "softmax"):
        least = "probabilities, from 0 to 1" if high == 1 else "numbers of 0 or more"
        activation = "softmax" if taken.distribution else "sigmoid" if high == 1 else "softplus"
        least += " that add up to 1 along the last axis" if softmax else ""
        refuse(
            f"The loss {name!r} takes {least}, but the decoder of {self.name!r} ends in "
            f"{described(end)}. End it with {activation!r} (the zoo's models: `get(..., "
            f"output={activation!r})`), or take another loss, such as 'mse'."
        )


def check_logit(discriminator: keras.layers.Layer, output: Tensor) -> None:
    """See that a discriminator puts out one logit for each row, with no activation behind it."""
    if tuple(output.shape[1:]) != (1,):
        given = ", ".join(map(str, ("batch", *output.shape[1:])))
        refuse(
            f"A discriminator must put out one logit for each row, (batch, 1), but "
            f"{discriminator.name!r} puts out ({given}): end it with `keras.layers.Dense(1)`."
        )
    end = endings.ending(discriminator, output=-1)
    if end is not None and _squeezes(end):
        refuse(
            f"The discriminator {discriminator.name!r} ends in {described(end)}, but its output "
            "is taken for a logit, any number, of which the losses make the probability "
            "themselves: remove the last activation (`activation=None`)."
        )


def _squeezes(end):
    """Whether logits in this range leave out some of the probabilities."""
    return _sigmoid(end.low) > 0.01 or _sigmoid(end.high) < 0.99


def described(end: endings.Ending | None) -> str:
    """How an ending is called in a message."""
    if end is None:
        return "what cannot be seen"
    if not end.bounded:
        return f"{end.name!r} (any numbers)"
    if end.high == math.inf:
        return f"{end.name!r} (numbers from {end.low:g})"
    if end.low == -math.inf:
        return f"{end.name!r} (numbers to {end.high:g})"
    return f"{end.name!r} (numbers from {end.low:g} to {end.high:g})"


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value > -700 else 0.0

"""What a trained model is asked about rows: codes, posteriors, reconstructions, errors.

The functions are methods of `Autoencoder`, whose class body names them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from autoencoders.distributions.posteriors import DiagonalGaussian
from autoencoders.layers.encoding import Inputs
from autoencoders.networks import SequenceDecoder
from autoencoders.training.expectation import Expectation
from autoencoders.training.row_runner import has_values
from autoencoders.types import Data, Tensor

if TYPE_CHECKING:
    from autoencoders.autoencoder.base import Autoencoder


def encode(self: Autoencoder, x: Data) -> np.ndarray | Tensor:
    """The latent code, deterministic (for variational models the posterior mean).

    Args:
        x: Array or tensor `(n, *input_shape)`.

    Returns:
        `(n, latent_dim)`: a NumPy array for an array, a tensor for a tensor.

    Raises:
        ValueError: NaN, wrong shape or wrong dtype in an array.
    """
    return self.over_rows("encode", lambda inputs: self.code(self.features(inputs, False)), x)


def posterior(self: Autoencoder, x: Data) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log-variance of q(z|x) of a variational model, each `(n, latent_dim)`.

    Raises:
        ValueError: the model has no posterior.
    """
    if self.posterior_family is not DiagonalGaussian:
        raise ValueError(f"{self.name!r} is not variational: it has no posterior; use encode.")

    def posterior(inputs):
        return self.bottleneck.posterior(self.features(inputs, False))

    return self.over_rows("posterior", posterior, x)


def decode(self: Autoencoder, z: Data, *, steps: int | None = None) -> np.ndarray | Tensor:
    """The reconstruction from latent codes: `(n, latent_dim)` to `(n, *input_shape)`.

    Args:
        z: Array or tensor of codes.
        steps: The length of the series to put out, for a model of series of any length.

    Returns:
        NumPy array for an array, tensor for a tensor.

    Raises:
        ValueError: NaN, wrong shape or wrong dtype in an array.
    """
    return self.over_rows(("decode", steps), partial(self.decode_codes, steps=steps), z, codes=True)


def decode_codes(self: Autoencoder, latent: Tensor, steps: int | None = None) -> Tensor:
    """The reconstruction from a tensor of codes; see `decode`."""
    if not isinstance(self.decoder, SequenceDecoder):
        if steps is not None:
            raise ValueError(f"{self.name!r} reconstructs rows of one length: no `steps`.")
        return self.mean_of(self.decoder(latent, training=False))
    steps = steps or self._row_shape[0]
    if steps is None:
        raise ValueError(f"{self.name!r} reconstructs series of any length: pass `steps`.")
    return self.mean_of(self.decoder(latent, steps=steps, training=False))


def reconstruction_error(
    self: Autoencoder, x: Data, *, per_feature: bool = False, batch_size: int | None = None
) -> np.ndarray | Tensor:
    """How badly each row is reconstructed; high for what the model has not learnt.

    It is computed from a call of the model: a `predict_step` of one's own changes `predict` alone.

    Args:
        x: Array or tensor `(n, *input_shape)`; or a symbolic tensor, within a Functional model.
        per_feature: Return the squared error of every feature rather than their mean.
        batch_size: The most rows computed at once; it bounds memory.

    Returns:
        NumPy array (for a symbolic tensor, such a tensor): the mean squared error over the features
        (but those of padding), `(n,)`, or the squared errors, `(n, *input_shape)`. A row's error
        does not depend on which other rows are in x.

    Raises:
        ValueError: NaN, wrong shape or wrong dtype.
    """

    def squared_error(inputs):
        return ops.square(ops.cast(inputs.rows, self.variable_dtype) - self(inputs.given))

    def error(inputs):
        errors = squared_error(inputs)
        features = tuple(range(1, len(errors.shape)))
        if inputs.mask is None:
            return ops.mean(errors, axis=features)
        steps = ops.sum(ops.cast(inputs.mask, errors.dtype), axis=-1)  # Padding has no error.
        return ops.divide_no_nan(ops.sum(errors, axis=features), steps * self._row_shape[-1])

    function = squared_error if per_feature else error
    x = keras.tree.map_structure(to_numpy, x)
    return self.over_rows(function.__name__, function, x, batch_size=batch_size)


def over_rows(
    self: Autoencoder,
    name: Hashable,
    function: Callable[[Any], Any],
    x: Data,
    *,
    codes: bool = False,
    batch_size: int | None = None,
) -> Any:
    """Ask a function of the model about rows, batch by batch, whatever comes with them.

    Args:
        name: What the function computes, to find its graph again.
        function: From `layers.Inputs` (or codes) to a tensor, or a tuple of tensors, with a result
            for each row.
        x: Arrays, which are checked, or tensors: what `encode` takes.
        codes: Whether x are codes, as `decode` takes them.
        batch_size: The most rows at once.

    Returns:
        NumPy arrays for arrays, tensors for tensors.
    """
    parts = x if isinstance(x, tuple) else (x,)
    if all(ops.is_tensor(part) or isinstance(part, keras.KerasTensor) for part in parts):
        return function(x if codes else self.inputs_of(x))
    self.ensure_built(None if codes else x)
    if codes:
        arrays = Expectation(
            self.latent_shape, labels=self.labels, dtype=self.variable_dtype
        ).inputs(x, "z")
    else:
        arrays = self.expectation.inputs(x)
    # A row's distances to the codes of a codebook, or their logits, may need far more memory than
    # the row itself.
    codes_of_row = np.prod([size or 1 for size in self.latent_shape[:-1]])
    row_bytes = int(4 * codes_of_row * (self.num_codes or 0))

    def of_batch(*parts):
        given = parts[0] if len(parts) == 1 else parts
        return function(given if codes else self.inputs_of(given))

    return self._rows.run(name, of_batch, arrays, batch_size, row_bytes)


def indices(self: Autoencoder, inputs: Inputs) -> Tensor:
    """The numbers of the codes of a codebook: `layers.Inputs` to `(n, *places)`."""
    return self.bottleneck.indices(self.features(inputs, False))


def to_numpy(x: Data) -> Any:
    """An array as it is, a tensor as an array, if it has values."""
    return ops.convert_to_numpy(x) if ops.is_tensor(x) and has_values(x) else x


def check_values(self: Autoencoder, method: str, *given: Any) -> None:
    """Raise a ValueError for symbolic tensors, which a method cannot do with."""
    if not all(has_values(part) for part in keras.tree.flatten(given)):
        raise ValueError(
            f"`{method}` of {self.name!r} needs rows that have values: call it with NumPy arrays, "
            "outside `tf.function`. In a Functional model and in `tf.function` the model itself, "
            "`encode`, `posterior`, `decode` and `reconstruction_error` may be called."
        )

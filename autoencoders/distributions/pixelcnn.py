"""`PixelCNN`: an autoregressive distribution over a codebook's codes, on a grid or in a row."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from autoencoders import draws
from autoencoders.arguments import Declared, Structure
from autoencoders.distributions.priors import Prior
from autoencoders.serialization import PACKAGE
from autoencoders.types import Shape, Tensor

# The largest height and width of the first layer's kernel: the paper's height, and a width with
# which, on a grid of up to seven rows and eight columns, a place sees all places above it.
_KERNEL = (7, 15)


@keras.saving.register_keras_serializable(PACKAGE)
class MaskedConv2D(Declared, keras.layers.Layer):
    """Convolution that sees the places before the middle of its kernel, in reading order, alone.

    Van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks" (2016,
    arXiv:1601.06759).

    Args:
        filters: Channels that it puts out.
        kernel_size: Height and width of the kernel, odd numbers.
        middle: Whether it sees the middle, too (the paper's mask B; without it, mask A).
        seed: Integer, of the initial kernel.
    """

    filters = Structure()
    kernel_size = Structure()
    middle = Structure()
    seed = Structure()

    def __init__(
        self,
        filters: int,
        kernel_size: Sequence[int],
        *,
        middle: bool,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = tuple(kernel_size)
        self.middle = middle
        self.seed = seed
        height, width = self.kernel_size
        before = np.arange(height * width) < height * width // 2 + middle
        self._mask = before.reshape(height, width, 1, 1).astype("float32")

    def build(self, shape: Shape) -> None:
        """Create kernel and bias for maps of shape `(batch, height, width, channels)`."""
        seen = max(self._mask.sum(), 1.0)
        self.kernel = self.add_weight(
            shape=(*self.kernel_size, shape[-1], self.filters),
            initializer=keras.initializers.RandomNormal(
                stddev=math.sqrt(2.0 / (seen * shape[-1])), seed=self.seed
            ),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x: Tensor) -> Tensor:
        """`(batch, height, width, channels)` to `(batch, height, width, filters)`."""
        kernel = self.kernel * self._mask
        return ops.conv(x, kernel, padding="same", data_format="channels_last") + self.bias

    def compute_output_shape(self, shape: Shape) -> Shape:
        """`(batch, height, width, filters)`."""
        return (*shape[:-1], self.filters)


@keras.saving.register_keras_serializable(PACKAGE)
class PixelCNN(Declared, Prior, keras.layers.Layer):
    """p(codes) = Π p(code at a place | codes at the places before it), in reading order.

    Van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks" (2016,
    arXiv:1601.06759): a masked convolution, residual blocks of masked convolutions, and a softmax
    over the codes at each place. The prior that van den Oord, Vinyals & Kavukcuoglu (2017,
    arXiv:1711.00937) fit to a VQ-VAE's codes. Codes in a row are a grid of one line.

    Args:
        places: Shape of one row of codes: `(height, width)`, `(length,)`, or `()` for one code.
        num_codes: How many codes there are.
        filters: Channels of the network.
        blocks: Its residual blocks.
        seed: Integer, of the initial weights and of the order of training.
    """

    of_indices = True
    places = Structure()
    num_codes = Structure()
    filters = Structure()
    blocks = Structure()
    seed = Structure()

    def __init__(
        self,
        places: Sequence[int],
        num_codes: int,
        *,
        filters: int = 64,
        blocks: int = 3,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.places = tuple(places)
        if len(self.places) > 2 or None in self.places:
            raise ValueError(f"Codes must lie on a grid or in a row, got places {self.places}.")
        self.num_codes = num_codes
        self.filters = filters
        self.blocks = blocks
        self.seed = seed
        self.grid = (1,) * (2 - len(self.places)) + self.places
        rows, columns = _KERNEL
        if self.grid[0] == 1:
            columns *= rows
        kernel = (min(2 * self.grid[0] - 1, rows), min(2 * self.grid[1] - 1, columns))
        seeds = iter(range(seed * 1000, (seed + 1) * 1000))

        def dense(units):
            initializer = keras.initializers.HeNormal(seed=next(seeds))
            return keras.layers.Dense(units, kernel_initializer=initializer, dtype="float32")

        def masked(units, size, middle):
            return MaskedConv2D(units, size, middle=middle, seed=next(seeds), dtype="float32")

        narrow = max(filters // 2, 1)
        self.embedding = keras.layers.Embedding(
            num_codes,
            filters,
            embeddings_initializer=keras.initializers.RandomNormal(seed=next(seeds)),
            dtype="float32",
        )
        self.first = masked(filters, kernel, middle=False)
        self.narrowing = [dense(narrow) for _ in range(blocks)]
        self.middle = [masked(narrow, (3, 3), middle=True) for _ in range(blocks)]
        self.widening = [dense(filters) for _ in range(blocks)]
        self.last = dense(filters)
        self.logit = keras.layers.Dense(
            num_codes,
            kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
            dtype="float32",
        )

    def build(self, _: Any = None) -> None:
        """Create the weights."""
        wide = (None, *self.grid, self.filters)
        narrow = (None, *self.grid, max(self.filters // 2, 1))
        self.embedding.build((None, *self.grid))
        self.first.build(wide)
        for narrowing, middle, widening in self._blocks():
            narrowing.build(wide)
            middle.build(narrow)
            widening.build(narrow)
        self.last.build(wide)
        self.logit.build(wide)

    def call(self, indices: Tensor) -> Tensor:
        """Logits of the code at each place: `(n, *places)` to `(n, *places, num_codes)`."""
        indices = ops.reshape(indices, (-1, *self.grid))
        return ops.reshape(self.logit(self._features(indices)), (-1, *self.places, self.num_codes))

    def _features(self, indices):
        x = self.first(self.embedding(indices))
        for narrowing, middle, widening in self._blocks():
            inner = ops.relu(narrowing(ops.relu(x)))
            x = x + widening(ops.relu(middle(inner)))
        return ops.relu(self.last(ops.relu(x)))

    def _blocks(self):
        return zip(self.narrowing, self.middle, self.widening, strict=True)

    def log_prob(self, indices: Tensor) -> Tensor:
        """Log-probability in nats: `(n, *places)` to `(n,)`."""
        return -_negative_log_likelihood(indices, self(indices))

    def sample(self, shape: tuple[int, ...], seed: int | keras.random.SeedGenerator) -> np.ndarray:
        """Draw the numbers of codes: integers of shape `(n, *places)`, place by place.

        Raises:
            ValueError: another shape.
        """
        n, *places = shape
        if tuple(places) != self.places:
            raise ValueError(f"This is a distribution over {self.places} codes, not {places}.")
        height, width = self.grid
        uniform = ops.convert_to_numpy(draws.uniform((n, height, width), seed=seed))
        indices = np.zeros((n, height, width), "int32")
        for row in range(height):
            for column in range(width):
                # The network does not see the rows below this one.
                features = self._features(indices[:, : row + 1])[:, row, column]
                share = ops.softmax(self.logit(features), axis=-1)
                below = ops.cumsum(share, axis=-1) < uniform[:, row, column, None]
                drawn = ops.convert_to_numpy(ops.sum(ops.cast(below, "int32"), axis=-1))
                indices[:, row, column] = np.minimum(drawn, self.num_codes - 1)
        return indices.reshape(shape)

    def fit(
        self,
        codes: np.ndarray,
        held_out: np.ndarray | None = None,
        *,
        epochs: int = 20,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        verbose: str | int = "auto",
        callbacks: Any = None,
    ) -> dict[str, list[float]]:
        """Raise the likelihood of codes, by Adam.

        Args:
            codes: Integers `(n, *places)`.
            held_out: Others, whose loss is reported beside.
            epochs, batch_size, learning_rate, verbose, callbacks: As in Keras.

        Returns:
            Dict of lists by epoch: `loss`, the mean of −log p(codes) in nats; with `held_out`
            `val_loss`.
        """
        inputs = keras.Input(self.places, dtype="int32")
        model = keras.Model(inputs, self(inputs), name="prior")
        # On a CPU XLA's convolutions are slow.
        model.compile(
            keras.optimizers.Adam(learning_rate), _negative_log_likelihood, jit_compile=False
        )
        # If the optimizer made its variables in the first step, that would be traced twice.
        model.optimizer.build(model.trainable_variables)
        history = model.fit(
            _Batches(codes, batch_size, self.seed),
            validation_data=None if held_out is None else (held_out, held_out),
            epochs=epochs,
            shuffle=False,
            verbose=verbose,
            callbacks=callbacks,
        )
        return history.history


class _Batches(keras.utils.PyDataset):
    """Codes as inputs and targets, in another order in each epoch, the same for the same seed."""

    def __init__(self, codes, batch_size, seed):
        super().__init__()
        self._codes = codes
        self._batch_size = batch_size
        self._random = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self._codes) / self._batch_size)

    def __getitem__(self, number):
        start = number * self._batch_size
        codes = self._codes[self._order[start : start + self._batch_size]]
        return codes, codes

    def on_epoch_end(self):
        self._order = self._random.permutation(len(self._codes))


def _negative_log_likelihood(indices, logits):
    """−log p of each row: the sum over its places, `(n,)`."""
    values = ops.sparse_categorical_crossentropy(indices, logits, from_logits=True)
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)

"""A learned codebook: the code is its nearest vector, or several of them on a grid."""

from typing import Any

import keras
from keras import ops

from autoencoders import draws
from autoencoders.arguments import Declared, Derived, Number, Structure, fixed, is_on
from autoencoders.checks import positive_integer
from autoencoders.layers.bottlenecks import Bottleneck, counting_dtype, replicas
from autoencoders.layers.encoding import Drawn, Encoding
from autoencoders.serialization import PACKAGE
from autoencoders.types import Shape, Tensor

# Added to each code's count, so that a code to which no features are near keeps a finite place.
_SMOOTHING = 1e-5

# The decay of the counts of how often codes are used, where the codebook has no `decay`.
_USE_DECAY = 0.99


@keras.saving.register_keras_serializable(PACKAGE)
class VectorQuantizer(Declared, Bottleneck):
    """The nearest vector of a learned codebook, at every place of the features.

    Van den Oord, Vinyals & Kavukcuoglu, "Neural discrete representation learning" (2017,
    arXiv:1711.00937). The decoder's gradient goes to the encoder as it is (straight through).
    `commitment_loss` is β ‖z − sg(e)‖², between features z and their codes e, and `codebook_loss`
    ‖sg(z) − e‖²; both are summed over places. (The paper means over places; here they stand beside
    a log-likelihood that is summed over features, so that neither depends on the other's size.)

    `perplexity` is logged beside the loss: exp of the entropy with which the batch uses the codes,
    from 1 (one code for all) to `num_codes` (each as often).

    Args:
        num_codes: Vectors in the codebook.
        code_dim: Their size. Features of another number of channels are mapped to it linearly, at
            each place alike.
        commitment: The paper's β.
        decay: The decay of the moving averages that make the codebook: each code is the mean of
            the features that it was nearest to (the paper's appendix A.1). None for a codebook
            that is trained by gradient, with `codebook_loss`.
        revive: The share of an even use of the codes below which one is dead, and starts again at
            a place of the batch (Dhariwal et al., "Jukebox", 2020, arXiv:2005.00341; Łańcucki et
            al. 2020, arXiv:2005.08520). 0 or None leaves dead codes dead.
        seed: Integer, for a fixed sequence of such places.
    """

    measures = ("perplexity",)
    batch_statistics = ("perplexity",)
    num_codes = Structure(positive_integer)
    code_dim = Structure(positive_integer)
    commitment = Number(at_least=0)
    decay = Number(at_least=0, below=1, off=(None,))
    revive = Number(at_least=0, below=1, off=(None, 0))
    seed = Structure()

    def __init__(
        self,
        num_codes: int,
        code_dim: int,
        *,
        commitment: float = 0.25,
        decay: float | None = 0.99,
        revive: float | None = 0.1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_codes = num_codes
        self.code_dim = code_dim
        self.commitment = commitment
        self.decay = decay
        self.revive = revive
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.projection = None
        self.counts: Any = None

    def turned(self, name: str) -> None:
        """Begin or stop to count how often codes are used; refuse another way of training."""
        if name == "decay":
            raise AttributeError(fixed(self, name))
        if self.built:
            self._keep_counts()

    def _keep_counts(self):
        averaged = self.decay is not None
        counted = {"trainable": False, "autocast": False, "aggregation": "mean"}
        kind = {"shape": (self.num_codes,), "initializer": "ones", "dtype": counting_dtype(self)}
        self.keep_weight("counts", averaged or bool(self.revive), **kind, **counted)

    @Derived
    def _fresh(self):
        """The share of a new batch in the moving averages."""
        return 1.0 - (_USE_DECAY if self.decay is None else self.decay)

    @property
    def loss_terms(self) -> tuple[str, ...]:
        """The commitment's, and a trained codebook's."""
        return ("commitment_loss", "codebook_loss")[: 1 if self.decay is not None else 2]

    def build(self, features_shape: Shape) -> None:
        """Create the codebook for features of shape `(batch, ..., channels)`."""
        if features_shape[-1] != self.code_dim:
            self.projection = keras.layers.Dense(
                self.code_dim, dtype=self.dtype_policy, name="projection"
            )
            self.projection.build(features_shape)
        averaged = self.decay is not None
        shape = (self.num_codes, self.code_dim)
        # Each replica draws places of its own, and all take the first replica's codebook. The
        # averages are those of all the replicas' batches together.
        self.codebook = self.add_weight(
            shape=shape,
            initializer="random_uniform",
            trainable=not averaged,
            autocast=False,
            aggregation="only_first_replica",
            name="codebook",
        )
        self._keep_counts()
        if averaged:
            self.sums = self.add_weight(
                shape=shape,
                initializer=lambda *_, dtype, **__: ops.cast(ops.copy(self.codebook), dtype),
                dtype=counting_dtype(self),
                trainable=False,
                autocast=False,
                aggregation="mean",
                name="sums",
            )

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """The nearest codes: `(batch, ..., channels)` to `(batch, ..., code_dim)`.

        In training, for example of a classifier of the codes, the features get the gradient.
        """
        z = self._projected(features)
        code = self.lookup(self._nearest(z))
        return straight_through(code, z) if training else code

    def indices(self, features: Tensor) -> Tensor:
        """Which codes those are, integers: `(batch, ..., channels)` to `(batch, ...)`."""
        return self._nearest(self._projected(features))

    def lookup(self, indices: Tensor) -> Tensor:
        """The codes of these numbers: `(batch, ...)` to `(batch, ..., code_dim)`."""
        return ops.take(self.codebook, indices, axis=0)

    def draw(self, features: Tensor, training: bool) -> Drawn:
        """The nearest codes, with the encoder's gradient."""
        z = self._projected(features)
        indices = self._nearest(z)
        code = self.lookup(indices)
        held = ops.stop_gradient(code)
        values = {"commitment_loss": self.commitment * _squared_distance(z, held)}
        if self.decay is None:
            values["codebook_loss"] = _squared_distance(ops.stop_gradient(z), code)
        counts = count(indices, self.num_codes)
        values["perplexity"] = perplexity(counts)
        state = (ops.stop_gradient(z), indices, counts)
        return Drawn(straight_through(held, z), values, state=state)

    def _projected(self, features):
        z = features if self.projection is None else self.projection(features)
        return ops.cast(z, self.variable_dtype)

    def _nearest(self, z):
        # The distances are ‖z − e‖² without ‖z‖², which is the same for all codes. So nothing here
        # is larger than one number for each place and code.
        codebook = ops.convert_to_tensor(self.codebook)
        products = ops.matmul(z, ops.transpose(codebook))
        distances = ops.sum(ops.square(codebook), axis=-1) - 2.0 * products
        return place_of_largest(-distances)

    def advance(self, encoding: Encoding) -> None:
        """Update the moving averages by a batch, and the codebook that they make.

        A frozen codebook (`trainable = False`) stays as it is.
        """
        if not self.trainable:
            return
        z, indices, counts = encoding.drawn.state
        if self.counts is None:
            return
        decay = self._counting(_USE_DECAY if self.decay is None else self.decay)
        # Of what each replica assigns all get the mean, in which the batch of each is to count in
        # full.
        fresh = self._counting(self._fresh) * replicas(self)
        z, indices = ops.reshape(z, (-1, self.code_dim)), ops.reshape(indices, (-1,))
        self.counts.assign(decay * self.counts + fresh * self._counting(counts))
        if self.decay is not None:
            sums = ops.segment_sum(self._counting(z), indices, num_segments=self.num_codes)
            self.sums.assign(decay * self.sums + fresh * sums)
            total = ops.sum(self.counts)
            share = (self.counts + _SMOOTHING) / (total + self.num_codes * _SMOOTHING)
            self.codebook.assign(self.sums / (share * total)[:, None])
        if is_on(self.revive):
            self._revive(z)

    def _revive(self, z):
        even = ops.mean(self.counts)
        dead = self.counts < self._counting(self.revive) * even
        rows = ops.shape(z)[0]
        places = draws.uniform((self.num_codes,), seed=self.seed_generator)
        places = ops.cast(places * ops.cast(rows, places.dtype), "int32")
        z = ops.concatenate([z, ops.zeros_like(self.codebook[:1])])  # A replica may have no rows.
        drawn = ops.take(z, ops.minimum(places, ops.maximum(rows - 1, 0)), axis=0)
        self.codebook.assign(ops.where(dead[:, None], drawn, self.codebook))
        if self.decay is not None:
            codebook = self._counting(self.codebook)
            self.sums.assign(ops.where(dead[:, None], even * codebook, self.sums))
        self.counts.assign(ops.where(dead, even, self.counts))

    def _counting(self, value):
        """A value in the precision of the moving averages."""
        return ops.convert_to_tensor(value, dtype=self.counts.dtype)

    def compute_output_shape(self, features_shape: Shape) -> Shape:
        """`(batch, ..., code_dim)`."""
        return (*features_shape[:-1], self.code_dim)


def straight_through(value: Tensor, smooth: Tensor) -> Tensor:
    """The value as it is, with the gradient of the smooth one."""
    return value + (smooth - ops.stop_gradient(smooth))


def _squared_distance(a, b):
    """‖a − b‖², summed over places: one value per row."""
    squares = ops.square(a - b)
    return ops.sum(ops.reshape(squares, (ops.shape(squares)[0], -1)), axis=-1)


def place_of_largest(values: Tensor) -> Tensor:
    """Where along the last axis the largest value is, of several the first: `(..., n)` to `(...)`.

    Keras's `argmax` gives the same, more slowly and by an operation that ONNX does not have. The
    values are laid out as rows, because converters to ONNX confuse the axes of a larger `top_k`.
    """
    rows = ops.reshape(values, (-1, values.shape[-1]))
    return ops.reshape(ops.top_k(rows, 1)[1], (-1, *ops.shape(values)[1:-1]))


def count(indices: Tensor, num_codes: int) -> Tensor:
    """How often each code occurs: `(num_codes,)`."""
    indices = ops.reshape(indices, (-1,))
    ones = ops.ones_like(indices, dtype="float32")
    return ops.segment_sum(ones, indices, num_segments=num_codes)


def perplexity(counts: Tensor) -> Tensor:
    """Exp of the entropy with which codes are used, from 1 to their number: a scalar."""
    share = ops.divide_no_nan(counts, ops.sum(counts))
    return ops.exp(-ops.sum(share * ops.log(ops.maximum(share, 1e-20))))

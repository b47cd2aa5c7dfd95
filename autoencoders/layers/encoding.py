"""What flows through a step of a model: what it is given, and what that becomes before decoding."""

from collections.abc import Callable
from typing import Any, NamedTuple

from autoencoders.distributions.posteriors import Categorical, DiagonalGaussian
from autoencoders.types import Tensor


class Inputs(NamedTuple):
    """What a model is given of a batch.

    Attributes:
        rows: `(batch, *input_shape)`.
        labels: Class of each row, integers `(batch,)`, for models that need them.
        mask: Where the steps of series are not padding, `(batch, steps)`; None without padding.
    """

    rows: Tensor
    labels: Tensor | None = None
    mask: Tensor | None = None

    @property
    def given(self) -> Tensor | tuple[Tensor, Tensor]:
        """What `call` takes: the rows, or the rows and their labels."""
        return self.rows if self.labels is None else (self.rows, self.labels)


class Drawn(NamedTuple):
    """What a bottleneck makes of features for a loss.

    Attributes:
        latent: Codes `(batch * num_samples, *latent_shape)`, a row's one after the other.
        terms: Loss terms and measures by name, each `(batch,)` or a scalar.
        posterior: q(z|x) that the codes were drawn from; None where they are certain.
        state: What `Bottleneck.advance` needs to know of the batch.
    """

    latent: Tensor
    terms: dict[str, Tensor]
    posterior: DiagonalGaussian | Categorical | None = None
    state: Any = None


class Encoding(NamedTuple):
    """A batch between encoder and decoder: what objectives, penalties and bottlenecks see.

    Attributes:
        inputs: The `Inputs`.
        features: What the encoder gave, `(batch, ...)`.
        drawn: What the bottleneck made of them, `Drawn`.
        training: Whether this is a step of training.
        encoder: The encoder, in models with neither bottleneck nor corruption, whose code is what
            it puts out for the rows themselves; None in all other models.
        vector_jacobian: Function of a vector `(batch, latent_dim)` to vᵀJ, `(batch, *input_shape)`,
            where J is the Jacobian of the deterministic code with respect to the rows.
    """

    inputs: Inputs
    features: Tensor
    drawn: Drawn
    training: bool
    encoder: Callable | None
    vector_jacobian: Callable

    @property
    def x(self) -> Tensor:
        """The rows."""
        return self.inputs.rows

    @property
    def latent(self) -> Tensor:
        """The codes as the decoder sees them."""
        return self.drawn.latent

    @property
    def terms(self) -> dict[str, Tensor]:
        """The bottleneck's loss terms and measures by name."""
        return self.drawn.terms

    @property
    def posterior(self) -> Any:
        """The `DiagonalGaussian` or `Categorical` q(z|x), or None."""
        return self.drawn.posterior

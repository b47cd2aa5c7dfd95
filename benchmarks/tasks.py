"""The models that the benchmarks train, the same for every peer."""

from typing import NamedTuple


class Task(NamedTuple):
    """A model and its data.

    Attributes:
        description: What it is, in words.
        rows: Rows of MNIST in an epoch.
        row_shape: Shape that each image is given.
        batch_size: Rows in a step.
    """

    description: str
    rows: int
    row_shape: tuple
    batch_size: int = 100


TASKS = {
    "dense_small": Task("VAE 784-256-2, RMSprop", 60_000, (784,)),
    "dense_large": Task("autoencoder 784-1000-500-250-30, Adam", 20_000, (784,)),
    "adversarial": Task("AAE 784-1000-1000-8 in three phases, Adam", 10_000, (784,)),
    "convolutional": Task("28x28x1, 32 and 64 filters, 16 units, Adam", 3_000, (28, 28, 1)),
    "lstm": Task("28 steps of 28, LSTM 64 both ways, Adam", 6_000, (28, 28)),
}

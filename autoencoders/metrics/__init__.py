"""How good a model is, measured on data that it was not trained on."""

from autoencoders.metrics.reconstruction import (
    pca_squared_error,
    pca_squared_error_at,
    squared_error,
)

__all__ = ["pca_squared_error", "pca_squared_error_at", "squared_error"]

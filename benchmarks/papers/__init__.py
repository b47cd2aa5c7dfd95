"""The rows of the table of published figures, by name."""

from benchmarks.papers.classification import (
    contractive,
    k_sparse,
    semi_supervised_aae,
    stacked_denoising,
)
from benchmarks.papers.disentanglement import sprites
from benchmarks.papers.likelihood import categorical_vae, iwae, vae_400_20, vae_likelihood
from benchmarks.papers.reconstruction import deep_autoencoder, vq_vae

ROWS = {
    row.__name__: row
    for row in (
        deep_autoencoder,
        vae_likelihood,
        iwae,
        stacked_denoising,
        vq_vae,
        categorical_vae,
        vae_400_20,
        sprites,
        semi_supervised_aae,
        k_sparse,
        contractive,
    )
}

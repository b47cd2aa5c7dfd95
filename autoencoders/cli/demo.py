"""`autoencoders demo`: the main job on the embedded digits, with pictures."""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

import autoencoders
from autoencoders.cli.quiet import import_keras

console = Console()


def demo(
    folder: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("demo"),
):
    """Load a pretrained model, reconstruct, generate, fine-tune, find anomalies: under a minute."""
    start = time.perf_counter()
    keras = import_keras()
    keras.utils.set_random_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    train, test = autoencoders.datasets.digits()

    _reconstruct_and_generate(train, test, folder)
    _fine_tune(train, test, folder)
    auroc = _find_anomalies(test, folder)

    console.print(
        f"\nDone in {time.perf_counter() - start:.0f} s. AUROC of the anomaly scores: "
        f"[bold]{auroc:.3f}[/bold].\nThe pictures are in [bold]{folder}/[/bold]. What next:\n"
        "  autoencoders list            every model\n"
        "  autoencoders info vae_mlp    its paper, recipe and figures\n"
        "  autoencoders train ae_mlp --data digits --save my.keras\n"
        "  python -c \"import autoencoders; autoencoders.load('my.keras').summary()\"",
        highlight=False,
    )


def _reconstruct_and_generate(train, test, folder):
    _step("1. A pretrained variational autoencoder reconstructs and generates digits")
    model = autoencoders.get("vae_mlp", weights="digits")
    (x_train, _), (x, y) = train, test
    error = autoencoders.metrics.squared_error(model, x)
    pca = autoencoders.metrics.pca_squared_error(x_train, x, model.latent_shape[0])
    console.print(f"   squared error per test image: {error:.2f}; of PCA as small: {pca:.2f}")
    firsts = [np.flatnonzero(y == digit)[0] for digit in range(10)]
    _save(
        autoencoders.plots.reconstructions(model, x[firsts], titles=y[firsts]),
        folder / "reconstructions.png",
    )
    _save(autoencoders.plots.latent(model, x, y), folder / "latent.png")
    _save(autoencoders.plots.manifold(model), folder / "manifold.png")
    _save(autoencoders.plots.samples(model, seed=0), folder / "samples.png")


def _fine_tune(train, test, folder):
    _step("2. A pretrained autoencoder is fine-tuned on new data: the negatives of the digits")
    (x_train, _), (x_test, _) = train, test
    model = autoencoders.get("ae_mlp", weights="digits")
    before = autoencoders.metrics.squared_error(model, 1.0 - x_test)
    history = model.fit(1.0 - x_train, epochs=10, batch_size=64, validation_data=1.0 - x_test)
    after = autoencoders.metrics.squared_error(model, 1.0 - x_test)
    console.print(f"   squared error per test image: {before:.2f} before, {after:.2f} after")
    _save(autoencoders.plots.history(history), folder / "fine_tuning.png")


def _find_anomalies(test, folder):
    from sklearn.metrics import roc_auc_score

    _step("3. Damaged digits are found by their reconstruction error")
    x, _ = test
    clean, damaged = x[::2], _damage(x[1::2])
    model = autoencoders.get("denoising_mlp", weights="digits")
    normal, anomalous = (model.reconstruction_error(rows) for rows in (clean, damaged))
    scores = np.concatenate([normal, anomalous])
    auroc = roc_auc_score(np.repeat([0, 1], [len(normal), len(anomalous)]), scores)
    console.print(f"   {len(clean)} clean and {len(damaged)} damaged digits: AUROC {auroc:.3f}")
    _save(autoencoders.plots.errors(normal, anomalous), folder / "errors.png")
    _save(autoencoders.plots.reconstructions(model, damaged[:10]), folder / "damaged.png")
    return float(auroc)


def _damage(x, size=3):
    """Turn a random square of each image into its negative."""
    generator = np.random.default_rng(0)
    x = x.copy()
    for image in x:
        top, left = generator.integers(0, np.array(image.shape[:2]) - size, endpoint=True)
        patch = image[top : top + size, left : left + size]
        patch[...] = 1.0 - patch
    return x


def _step(title):
    console.print(f"\n[bold]{title}[/bold]")


def _save(figure, path):
    figure.savefig(path, dpi=110)
    console.print(f"   wrote {path}", highlight=False)

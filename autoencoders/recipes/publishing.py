"""Writing a trained model's weights, with their figures, and putting them into the zoo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoencoders import files, registry
from autoencoders.recipes.figures import Baseline, baseline, deviations, measure, passes, within
from autoencoders.recipes.runs import Data, Run
from autoencoders.zoo import weights

if TYPE_CHECKING:
    from autoencoders.autoencoder import Autoencoder

# How far half precision may move the figures, relatively.
_HALF_PRECISION = 1e-3


def published(name: str, tag: str) -> Path:
    """Where the bundled weights of a tag lie."""
    return registry.zoo_folder() / "weights" / f"{name}.{tag}.weights.h5"


def publish(
    model: Autoencoder, run: Run, data: Data, tolerance: float | None = None
) -> dict[str, Any]:
    """Write a trained model's weights into the zoo, and their entry onto the card.

    Args:
        model: As from `train`.
        run, data: As from `load`.
        tolerance: The relative difference within which a second training is to meet the figures;
            as before unless given.

    Returns:
        The entry, a `registry.WeightsEntry`.

    Raises:
        ValueError: the model is not good enough, by `passes`; nothing was changed.
    """
    path = published(run.name, run.dataset)
    card_file = registry.zoo_folder() / f"{run.name}.json"
    with files.trial(path) as tried:
        entry = save_weights(model, tried, run, data)
        bar = Baseline(**entry["baseline"])
        if not passes(entry["figures"], bar):
            raise ValueError(
                f"{run.name} on {run.dataset} stays out of the zoo: its figures {entry['figures']} "
                f"do not pass {bar}. Change the recipe or the arguments."
            )
        card = files.read_json(card_file)
        earlier = card["weights"].get(run.dataset, {})
        tolerance = earlier.get("tolerance", 0.05) if tolerance is None else tolerance
        entry = {**entry, "file": path.name, "tolerance": tolerance}
        card["weights"] = dict(sorted({**card["weights"], run.dataset: entry}.items()))
    files.write_json(card_file, card)
    return entry


def save_weights(model: Autoencoder, path: Path, run: Run, data: Data) -> dict[str, Any]:
    """Write a trained model's weights, and measure what was written.

    The file has half precision, unless that moves the figures.

    Args:
        model: As from `train`.
        path: File name ending in `.weights.h5`.
        run, data: As from `load`.

    Returns:
        What a card says of them, without a tolerance: a `registry.WeightsEntry` but for that.
    """
    weights.save(model, path, run.name, run.arguments)
    exact = measure(run.name, path, data)
    written = weights.save(model, path, run.name, run.arguments, half=True)
    figures = measure(run.name, path, data)
    if not within(deviations(figures, exact), _HALF_PRECISION):
        written, figures = weights.save(model, path, run.name, run.arguments), exact
    return {
        "file": path.name,
        **written,
        "dataset": run.dataset,
        "parameters": model.count_params(),
        "arguments": run.arguments,
        "recipe": run.recipe,
        "figures": figures,
        "baseline": baseline(model, run.name, data)._asdict(),
    }

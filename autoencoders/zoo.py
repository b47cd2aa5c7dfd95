"""The zoo: models by name, their cards, their weights."""

import copy
import fnmatch
import inspect
from pathlib import Path

from autoencoders import registry
from autoencoders import weights as weights_


def list_models(pattern="*", *, family=None, pretrained=None):
    """Sorted names of the registered models. Imports neither Keras nor TensorFlow.

    Args:
        pattern: Wildcards as in `fnmatch`: `"*_mlp"`.
        family: Only this family: "variational", "denoising", ...
        pretrained: True for models with pretrained weights only, False for those without, or the
            tag that they must have.

    Raises:
        ValueError: no model belongs to such a family.
    """
    cards = registry.cards()
    families = {card["family"] for card in cards.values()}
    if family is not None and family not in families:
        raise ValueError(registry.unknown("family", family, families))

    def wanted(name, card):
        tags = card["weights"]
        has = pretrained in tags if isinstance(pretrained, str) else bool(tags) == pretrained
        return (
            fnmatch.fnmatchcase(name, pattern)
            and family in (None, card["family"])
            and (pretrained is None or has)
        )

    return sorted(name for name, card in cards.items() if wanted(name, card))


def list_weights(name=None):
    """Pretrained tags: of one model as a sorted list, or of all models as a dict of lists.

    Raises:
        ValueError: no model has that name.
    """
    if name is not None:
        return sorted(registry.card(name)["weights"])
    return {model: sorted(registry.card(model)["weights"]) for model in list_models()}


def info(name):
    """The model's card, as a dict of its own.

    Returns:
        `builder`, `family`, `description`, `paper`, `kwargs` (the builder's arguments),
        `recipe` (dataset, optimizer, batch size, epochs, seed) and `weights` (by tag: file,
        sha256, size, dataset, arguments, recipe, and figures measured on the test set).

    Raises:
        ValueError: no model has that name; the message suggests the nearest.
    """
    return copy.deepcopy(registry.card(name))


def get(name, weights=None, *, compile=True, **overrides):
    """Build a model by name.

    >>> model = autoencoders.get("vae_mlp", weights="mnist")
    >>> model = autoencoders.get("ae_mlp", input_shape=(20,), latent_dim=4)

    Args:
        name: One of `list_models()`.
        weights: Pretrained weights: a tag of the card (`list_weights(name)`), a file
            (`.weights.h5` or `.keras`), a folder that holds one, an address
            (`https://...#sha256=...`) or a Hugging Face repository (`hf://owner/repo`).
        compile: Whether to compile the model with its recipe's optimizers.
        overrides: Arguments of the builder. They win over those that the weights were trained
            with, which win over the card's.

    Returns:
        An `Autoencoder`, built and, if asked for, compiled.

    Raises:
        ValueError: unknown name, tag or argument (the message suggests the nearest); weights
            that are corrupt or do not fit.
    """
    card = registry.card(name)
    found = None if weights is None else weights_.find(name, weights)
    _check_arguments(name, overrides)
    trained_with = found.arguments if found else {}
    arguments = {**card["kwargs"], **trained_with, **overrides}
    if found:
        trained = weights_.load(
            found,
            lambda known: _build(name, {**card["kwargs"], **known} if known else arguments),
        )
    if found and arguments == {**card["kwargs"], **trained_with}:
        model = trained
    else:
        model = _build(name, arguments)
        if found:
            weights_.transplant(trained, model, partial="input_shape" in overrides)
    if compile:
        model.compile(**compile_arguments(card["recipe"]))
    return model


def load(path):
    """A model saved with `model.save(path)`, as `keras.saving.load_model` gives it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a readable Keras file.
    """
    import zipfile

    import keras

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no saved model at {path}.")
    if path.is_file() and not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a saved model: a `.keras` file that `model.save` wrote.")
    return keras.saving.load_model(path)


def compile_arguments(recipe):
    """What a recipe says to `compile`: its optimizers, as Keras objects."""
    import keras

    def optimizer(spec):
        return keras.optimizers.get(
            {"class_name": spec["name"], "config": {k: v for k, v in spec.items() if k != "name"}}
        )

    arguments = {"optimizer": optimizer(recipe.get("optimizer", {"name": "adam"}))}
    if "phase_optimizers" in recipe:
        arguments["phase_optimizers"] = {
            phase: optimizer(spec) for phase, spec in recipe["phase_optimizers"].items()
        }
    return arguments


def _build(name, arguments):
    build = registry.builder(name)
    parameters = inspect.signature(build).parameters
    if "name" in parameters:
        arguments = {"name": name, **arguments}
    model = build(**arguments)
    if not model.built:
        default = parameters["input_shape"].default if "input_shape" in parameters else None
        shape = arguments.get("input_shape", default)
        model.build(model.encoder.input_shape if shape is None else (None, *shape))
    return model


def _check_arguments(name, overrides):
    parameters = inspect.signature(registry.builder(name)).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for argument in overrides:
        if argument not in parameters:
            raise ValueError(registry.unknown(f"argument of {name}", argument, parameters))

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
        `builder` and `network` (an objective and an architecture), `family`, `description`,
        `paper`, `kwargs` (the arguments of both), `arguments` (what each of them does),
        `recipe` (dataset, optimizer, batch size, epochs, seed; of stacked models pretraining, too)
        and `weights` (by tag: file, sha256, size, dataset, arguments, recipe, and figures measured
        on the test set).

    Raises:
        ValueError: no model has that name; the message suggests the nearest.
    """
    return {**copy.deepcopy(registry.card(name)), "arguments": registry.arguments(name)}


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
            with, which win over the card's. Any model takes `corruption`, a layer such as
            `layers.MaskingNoise(0.3)` that acts on the input while training.

    Returns:
        An `Autoencoder`, built and, if asked for, compiled.

    Raises:
        ValueError: unknown name, tag or argument (the message suggests the nearest); weights
            that are corrupt or do not fit.
    """
    card = registry.card(name)
    found = None if weights is None else weights_.find(name, weights)
    overrides = _plain(overrides)
    _check_arguments(name, overrides)
    trained_with = _plain({**card["kwargs"], **(found.arguments if found else {})})
    arguments = {**trained_with, **_shapes_of(overrides, trained_with), **overrides}
    if found:
        known = trained_with if found.arguments else arguments
        trained = weights_.load(found, lambda: _build(name, known))
    if found and not found.whole_model and arguments == known:
        model = trained
    else:
        model = _build(name, arguments)
        if found and found.whole_model and not overrides and weights_.same_kind(trained, model):
            model = trained
        elif found:
            weights_.transplant(trained, model)
    if found:
        model.note_pretrained()
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


def compile_arguments(recipe, steps=None):
    """What a recipe says to `compile`: its optimizers, as Keras objects.

    Args:
        recipe: As on a card.
        steps: The steps of a whole training, over which the learning rates fall to 0 if the recipe
            has `"schedule": "cosine"`; without, they are constant, as for fine-tuning.
    """
    schedule = recipe.get("schedule")
    if schedule not in (None, "cosine"):
        raise ValueError(registry.unknown("schedule", schedule, ["cosine"]))

    def optimizer(spec):
        spec = {"name": spec} if isinstance(spec, str) else spec
        return _optimizer(spec, steps if schedule else None)

    arguments = {"optimizer": optimizer(recipe.get("optimizer", "adam"))}
    if "phase_optimizers" in recipe:
        arguments["phase_optimizers"] = {
            phase: optimizer(spec) for phase, spec in recipe["phase_optimizers"].items()
        }
    return arguments


def pretraining_arguments(recipe):
    """What a stacked model's recipe says to `pretrain`, its optimizer as a Keras object."""
    arguments = dict(recipe["pretraining"])
    if "optimizer" in arguments:
        arguments["optimizer"] = _optimizer(arguments["optimizer"])
    return arguments


def _optimizer(spec, steps=None):
    import keras

    spec = {"name": spec} if isinstance(spec, str) else spec
    optimizer = keras.optimizers.get(
        {"class_name": spec["name"], "config": {k: v for k, v in spec.items() if k != "name"}}
    )
    if steps is None:
        return optimizer
    rate = float(optimizer.learning_rate)
    return type(optimizer).from_config(
        {
            **optimizer.get_config(),
            "learning_rate": keras.optimizers.schedules.CosineDecay(rate, steps),
        }
    )


def _plain(arguments):
    """Arguments with lists as tuples, so that those from JSON equal those from Python."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}


def _shapes_of(overrides, arguments):
    """The sizes that the caller's own networks determine, beside other arguments."""
    encoder = getattr(overrides.get("encoder"), "input_shape", None)
    decoder = getattr(overrides.get("decoder"), "input_shape", None)
    shapes = {}
    if encoder is not None:
        shapes["input_shape"] = tuple(encoder[1:])
    if decoder is not None and len(decoder) == 2:
        # The class joins the code on its way into the decoder.
        classes = overrides.get("num_classes", arguments.get("num_classes", 0))
        shapes["latent_dim"] = decoder[1] - classes
    return shapes


def _build(name, arguments):
    build = registry.builder(name)
    parameters = inspect.signature(build).parameters
    arguments = {"name": name, **arguments} if "name" in parameters else dict(arguments)
    corruption = None
    if "corruption" not in parameters and "corruption" in arguments:
        corruption = arguments.pop("corruption")
        if corruption is not None and not callable(corruption):
            raise ValueError(
                "`corruption` must be a layer, such as `layers.GaussianNoise(0.3)`; got "
                f"{corruption!r}."
            )
    model = build(**arguments)
    if corruption is not None:
        model.corruption = corruption
    if not model.built:
        default = parameters["input_shape"].default if "input_shape" in parameters else None
        shape = arguments.get("input_shape", default)
        if shape is not None:
            model.build((None, *((shape,) if isinstance(shape, int) else shape)))
        elif model.known_input_shape:
            model.build(model.known_input_shape)
    return model


def _check_arguments(name, overrides):
    parameters = {"corruption": None, **inspect.signature(registry.builder(name)).parameters}
    if any(
        parameter and parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    ):
        return
    for argument in overrides:
        if argument not in parameters:
            raise ValueError(registry.unknown(f"argument of {name}", argument, parameters))

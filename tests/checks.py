"""The one suite that every model passes: `check_autoencoder(name)`.

    python -m tests.checks vae_mlp

Exact saving is checked for many models at once, because a fresh process takes seconds to start:
`save_interrupted` each, `resume_in_fresh_process` all, `check_resumed` each.
"""

import json
import subprocess
import sys
import warnings
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

import autoencoders
from autoencoders import arguments, callbacks, datasets, layers, networks, registry
from autoencoders.networks import endings
from autoencoders.training import running, state, step
from tests.kept import facts

ROWS = 96
BATCH = 32


# Where an architecture for series is checked as a whole.
_SERIES = ("ae_conv1d", "ae_lstm", "ae_recursive", "vae_lstm")
_SUFFIXES = {"MLPGrid": "mlp", "Recurrent": "lstm"}


def _is_variant(name):
    """Whether it is other arguments of an objective, or the twin of a dense model."""
    card = registry.card(name)
    objective = card["builder"].removesuffix("_ae")
    network = _SUFFIXES.get(card["network"], card["network"].lower())
    twin = network != "mlp" and f"{objective}_mlp" in autoencoders.list_models()
    return name not in _SERIES and (twin or name != f"{objective}_{network}")


# What they are made of has tests of its own.
VARIANTS = [name for name in autoencoders.list_models() if _is_variant(name)]
# The dense autoencoder but for a penalty or a corruption; and the twin of the stacked machines.
# Those parts have tests of their own.
LIKE_OTHERS = ["contractive_mlp", "denoising_mlp", "kl_sparse_mlp", "sparse_mlp", "stacked_mlp"]


def check_autoencoder(name):
    """Run every check that fits into this process on the model `name`."""
    check_uncompiled(name)
    data = _data(name)
    check_gradients(name, data)
    check_seeds(name, data)
    check_mixed_precision(name, data)
    # One model for these: tracing its programs is what takes the time.
    keras.utils.set_random_seed(0)
    model = build(name)
    check_own_networks(name, model, data)
    check_fit_forms(model, data)
    check_loss_terms(model, data)
    check_batch_size(model, data)
    check_bad_input(model, data)
    check_sampling(model, data)


def check_uncompiled(name):
    """The checks that run without `fit`, and trace nothing."""
    keras.utils.set_random_seed(0)
    data = _data(name)
    model = check_order_of_axes(name)
    check_config(model, data)
    check_calls(model, data)
    check_phases(model, data)
    check_directions(model)
    check_numbers(model)
    check_hooks(model)
    check_misfits(name, model)
    check_names_of_metrics(model)
    check_bytes(model, data)


def check_order_of_axes(name):
    """A model built while Keras puts channels first has them last in each layer; return it.

    Its numbers are NumPy's.
    """
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        model = build(name, **_of_numpy(autoencoders.info(name)["kwargs"]))
    finally:
        keras.config.set_image_data_format(before)
    orders = [vars(layer).get("data_format") for layer in model._flatten_layers()]
    assert "channels_first" not in orders
    return model


def check_config(model, data):
    """A model rebuilt from its config, with its weights, computes the same."""
    twin = type(model).from_config(model.get_config())
    twin.build((None, *data.x.shape[1:]))
    twin.set_weights(model.get_weights())
    given = _tensors(data.given)
    np.testing.assert_array_equal(model.encode(given), twin.encode(given))
    np.testing.assert_array_equal(model(given), twin(given))
    assert json.loads(json.dumps(model.get_config())) == json.loads(json.dumps(twin.get_config()))


def check_calls(model, data):
    """A call, even one as in training, only draws: no weight, count or codebook moves."""
    given = _tensors(data.given)
    before = [(v, v.numpy()) for v in model.variables if v.name != "seed_generator_state"]
    assert model(given, training=True).shape == data.x.shape
    for variable, old in before:
        np.testing.assert_array_equal(variable, old, err_msg=variable.path)


def check_round_trip(name, folder):
    """A model that was fitted and saved comes back with the same outputs, state and config."""
    data = _data(name)
    model = build(name)
    with facts.eagerly():  # Tracing takes longer than a step. Like models are fitted in programs.
        history = model.fit(*(part[:BATCH] for part in data.train), verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    path = folder / f"{name}.keras"
    model.save(path)
    loaded = autoencoders.load(path)
    given = _tensors(data.given)
    np.testing.assert_array_equal(model(given), loaded(given))
    for ours, theirs in zip(_state(model), _state(loaded), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(state.snapshot(model), state.snapshot(loaded))
    assert json.loads(json.dumps(model.get_config())) == json.loads(json.dumps(loaded.get_config()))


def check_fit_forms(model, data):
    """Arrays and pipelines train, with weights and validation, and shapes come back as they should.

    Weighted arrays are the business of the fused loop alone, and tested there.
    """
    before = model.get_weights()
    model.fit(*data.train, batch_size=BATCH, verbose=0)
    assert _moved(before, model.get_weights())
    dataset = data.pipeline(shapes=False)
    history = model.fit(dataset, validation_data=data.train, verbose=0).history
    assert np.isfinite([values[-1] for values in history.values()]).all()
    assert {f"val_{key}" for key in history if not key.startswith("val_")} <= set(history)

    # The same rows in the same order give the same loss, array or weighted pipeline.
    plain = model.evaluate(*data.train, batch_size=BATCH, verbose=0)
    assert model.evaluate(dataset, verbose=0) == pytest.approx(plain, rel=1e-5)

    predicted = model.predict(data.given, verbose=0)
    assert predicted.shape == data.x.shape
    np.testing.assert_allclose(model.predict(dataset, verbose=0), predicted, rtol=1e-4, atol=1e-5)
    assert model.encode(data.given).shape == (len(data.x), *model.latent_shape)
    errors = model.reconstruction_error(data.given)
    assert errors.shape == (len(data.x),)
    by_hand = np.square(data.x - predicted).reshape(len(data.x), -1).mean(axis=1)
    np.testing.assert_allclose(errors, by_hand, rtol=1e-4, atol=1e-6)
    every_seventh = keras.tree.map_structure(lambda part: part[::7].copy(), data.given)
    np.testing.assert_array_equal(errors[::7], model.reconstruction_error(every_seventh))


def check_loss_terms(model, data):
    """`loss` is the sum of the first phase's terms; training and evaluation log the same names."""
    declared = ["loss", *(name for phase in model.phases for name in phase.logged)]
    history = model.fit(*data.train, batch_size=BATCH, verbose=0).history
    assert set(history) == set(declared)
    logs = model.evaluate(*data.train, verbose=0, return_dict=True)
    assert set(logs) == set(declared)
    assert logs["loss"] == pytest.approx(
        sum(logs[term] for term in model.phases[0].terms), rel=1e-5
    )
    assert logs == model.evaluate(*data.train, verbose=0, return_dict=True)


def check_gradients(name, data):
    """Each loss term has a gradient in its phase, and each trainable variable moves in some.

    In double precision, which has to hold in every part.
    """
    # Free bits have no gradient while they are not used up.
    spent = {"free_bits": 0.0} if "free_bits" in autoencoders.info(name)["kwargs"] else {}
    with double_precision():
        model = build(name, **spent)
        _check_gradients(model, data)
    assert {variable.dtype for variable in model.trainable_variables} == {"float64"}


@contextmanager
def double_precision():
    """Within it Keras is set to float64."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def _check_gradients(model, data):
    batch = _batch(data)
    for phase in model.phases:
        for term in phase.terms:
            with tf.GradientTape() as tape:
                value = tf.reduce_mean(phase.loss(batch, True)[term])
            variables = [variable.value for variable in phase.variables]
            gradients = [g for g in tape.gradient(value, variables) if g is not None]
            assert any(np.abs(gradient).max() > 0 for gradient in gradients), term

    before = [variable.numpy() for variable in model.trainable_variables]
    train_eagerly(model, data, steps=3)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable, old), f"{variable.path} never moves"


def train_eagerly(model, data, steps):
    """Training step by step, without the time that it takes to trace a program."""
    for number in range(steps):
        step.train(model.phases, model.phase_optimizers, _batch(data, number % (ROWS // BATCH)))


def check_phases(model, data):
    """A phase changes only its own variables, and together the phases have all of them."""
    batch = _batch(data)
    covered = {id(v) for phase in model.phases for v in phase.variables}
    assert covered == {id(v) for v in model.trainable_variables}
    for phase in model.phases:
        before = [variable.numpy() for variable in model.trainable_variables]
        step.train([phase], model.phase_optimizers, batch)
        own = {id(variable) for variable in phase.variables}
        for variable, old in zip(model.trainable_variables, before, strict=True):
            if id(variable) not in own:
                np.testing.assert_array_equal(
                    variable, old, err_msg=f"{phase.name} {variable.path}"
                )


def check_directions(model):
    """Callbacks of Keras's that watch a loss term find out that it gets better downwards."""
    terms = [f"val_{term}" for phase in model.phases for term in phase.terms]
    watching = [
        kind(monitor=term, **more)
        for term in terms
        for kind, more in (
            (keras.callbacks.EarlyStopping, {}),
            (keras.callbacks.ReduceLROnPlateau, {}),
            (keras.callbacks.ModelCheckpoint, {"filepath": "never.keras"}),
        )
    ]
    other = keras.callbacks.EarlyStopping(monitor="val_loss", mode="max")
    running.say_directions(model, [*watching, other])
    assert {callback.mode for callback in watching} == {"min"}
    assert other.mode == "max"


def check_numbers(model):
    """Each number is found on the way by which `Anneal` names it, acts and is saved."""
    names = {
        argument.argument
        for part in arguments.parts(model)
        for argument in arguments.declared(type(part)).values()
        if isinstance(argument, arguments.Number)
    }
    ways = arguments.numbers(model)
    assert {way.rpartition(".")[2] for way in ways} == names
    for way in ways:
        anneal = callbacks.Anneal(way, lambda time: 0.5)
        anneal.set_model(model)
        part, number = anneal.find()
        held = getattr(part, number)
        if not held:  # It is off, and may not go with others that are on.
            continue
        anneal.on_train_begin()
        logs = {}
        anneal.on_epoch_end(0, logs)
        assert logs == {way: 0.5}
        twin = type(model).from_config(model.get_config())
        setattr(part, number, held)
        anneal.set_model(twin)
        assert getattr(*anneal.find()) == 0.5


def check_hooks(model):
    """What training would do without is refused when the model is compiled."""
    for name in ("call", "compute_loss"):
        object.__setattr__(model, name, lambda *args, **kwargs: None)
        with pytest.raises(TypeError, match=f"does not use the `{name}` of .*: override "):
            model.compile("adam")
        object.__delattr__(model, name)


def check_misfits(name, model):
    """Networks of the user's own that do not fit are refused when the model is made."""
    rows = keras.Input(model.row_shape)
    features = keras.layers.Dense(3)(keras.layers.Flatten()(rows))
    more = keras.Input((2,))
    both = keras.Model([rows, more], keras.layers.Concatenate()([features, more]))
    for outputs in ([features, features], {"features": features}):
        with pytest.raises(ValueError, match="`encoder` must put out one tensor"):
            build(name, encoder=keras.Model(rows, outputs))
    with pytest.raises(ValueError, match=r"`encoder` must take one tensor.*conditional"):
        build(name, encoder=both)
    code = keras.Input((2,))
    with pytest.raises(ValueError, match="`decoder` must put out one tensor"):
        build(name, decoder=keras.Model(code, [keras.layers.Dense(3)(code) for _ in range(2)]))
    end = endings.ending(model.decoder)
    assert end is not None
    if model.likelihood is None:
        if end.high > 1:
            with pytest.raises(ValueError, match="takes probabilities, from 0 to 1"):
                model.compile("adam", "binary_crossentropy")
    elif model.likelihood.logits:
        with pytest.raises(ValueError, match=r"ends in 'sigmoid'.*takes logits"):
            build(name, decoder=_with_sigmoid(model))


def _with_sigmoid(model):
    """The model's decoder, anew, with a sigmoid behind it."""
    kind, config = type(model.decoder), model.decoder.get_config()
    if isinstance(model.decoder, networks.SequenceDecoder):
        return kind.from_config({**config, "output": "sigmoid"})
    code = keras.Input(model.decoder.input_shape[1:])
    return keras.Model(code, keras.layers.Activation("sigmoid")(kind.from_config(config)(code)))


def check_names_of_metrics(model):
    """No metric takes the place of what the model logs."""
    for name in ["loss", *(name for phase in model.phases for name in phase.logged)]:
        for clash in (name, f"val_{name}"):
            with pytest.raises(ValueError, match=f"A metric has the name '{clash}'"):
                model.compile("adam", metrics=[keras.metrics.MeanSquaredError(name=clash)])


def check_bytes(model, data):
    """Images whose values go to 255 are not trained on without a word."""
    rows = np.rint(255 * data.x)
    model.expectation.look((data.x,))
    if np.isfinite(model.expectation.high):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            model.expectation.arrays(rows, data.y)
    else:
        with pytest.warns(UserWarning, match="values of 0 to 255|values from 0 to 255"):
            model.expectation.look((rows,))


def check_batch_size(model, data):
    """The loss is a mean over rows: its size does not depend on the batch size."""
    small = model.evaluate(*data.train, batch_size=BATCH // 8, verbose=0, return_dict=True)
    large = model.evaluate(*data.train, batch_size=BATCH, verbose=0, return_dict=True)
    # What is estimated from a batch as a whole is declared so, and the loss may be made of it.
    varying = set(model.batch_statistics)
    if varying & set(model.phases[0].terms):
        varying.add("loss")
    for term, value in small.items():
        if term in varying:
            continue
        # Sampled terms draw other numbers, and the small ones among them differ by a hundredth of
        # the loss; a sum over rows would differ eightfold.
        noise = 0.01 * abs(large["loss"])
        assert value == pytest.approx(large[term], rel=0.1, abs=noise), term


def check_seeds(name, data):
    """The same seed gives the same trained weights; another seed begins with others.

    Step by step: that whole programs repeat is shown by the runs that are resumed.
    """

    def train(seed):
        keras.utils.set_random_seed(seed)
        model = build(name)
        start = model.get_weights()
        train_eagerly(model, data, steps=1)
        return start, model.get_weights()

    begun, trained = train(1)
    for ours, theirs in zip((begun, trained), train(1), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    keras.utils.set_random_seed(2)
    assert _moved(begun, build(name).get_weights())


def check_own_networks(name, model, data):
    """A user's own encoder and decoder take the place of the builder's, and train.

    They are of the kind of this model's.
    """
    parts = (model.encoder, model.decoder)
    encoder, decoder = (type(part).from_config(part.get_config()) for part in parts)
    model = build(name, encoder=encoder, decoder=decoder)
    assert model.encoder is encoder
    assert model.decoder is decoder
    before = model.get_weights()
    train_eagerly(model, data, steps=1)
    assert _moved(before, model.get_weights())
    assert model(_tensors(data.given)).shape == data.x.shape


def check_sampling(model, data):
    """Every model generates: from its prior, or from a density fitted to its codes."""
    if model.prior is None:
        with pytest.raises(ValueError, match="fit_prior"):
            model.sample(2)
        discrete = hasattr(model.bottleneck, "indices")
        model.fit_prior(data.given, **({"epochs": 1, "verbose": 0} if discrete else {}))
    samples = model.sample(3, seed=0)
    assert samples.shape == (3, *data.x.shape[1:])
    assert np.isfinite(samples).all()
    np.testing.assert_array_equal(samples, model.sample(3, seed=0))
    a, b, *_ = zip(*data.given, strict=True) if data.needed else data.given
    assert model.interpolate(a, b, steps=4).shape == (4, *data.x.shape[1:])
    first = keras.tree.map_structure(lambda part: part[:2], data.given)
    assert model.perturb(first, mean=0.1).shape == (2, 1, *data.x.shape[1:])


def check_mixed_precision(name, data):
    """Half-precision arithmetic trains, with float32 variables and a float32 reconstruction."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = build(name)
        model.run_eagerly = True
        history = model.fit(*data.train, batch_size=ROWS, verbose=0).history
        if "warm_up" in autoencoders.info(name)["kwargs"]:
            model.bottleneck.warm_up = 5
        assert np.isfinite(model(_tensors(data.given), training=True)).all()
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert all(np.isfinite(values).all() for values in history.values())
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert model.predict(data.given, verbose=0).dtype == np.float32
    for optimizer in model.phase_optimizers.values():
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def check_bad_input(model, data):
    """NaN, a wrong shape and a wrong dtype raise a ValueError; the weights stay as they were."""
    model.fit(*data.train, batch_size=BATCH, verbose=0)
    before = model.get_weights()
    x = data.x
    hole = x.copy()
    hole[5].flat[0] = np.nan
    cases = {
        r"`x` must be finite.*row 5": hole,
        r"`x` must have shape \(n, 8, 8.*\), got \(96, 7, 8.*\)": x[:, 1:],
        r"`x` must be floating point, got uint8": (x * 255).astype("uint8"),
        r"`x` must be floating point, got (object|<U1|str)": np.full(x.shape, "a"),
        r"`x` has no rows": x[:0],
    }
    for message, bad in cases.items():
        for use in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match=message):
                use(*data.with_x(bad).train, verbose=0)
        for use in (partial(model.predict, verbose=0), model.reconstruction_error):
            with pytest.raises(ValueError, match=message):
                use(data.with_x(bad).given)
    message = (
        r"Labels must be integers from 0" if data.labelled else r"`y` must have shape .*labels"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(x, np.zeros(len(x), "float32"), verbose=0)
    pipelines = [data.with_x(hole).pipeline()]
    if data.labelled:
        wrong = np.full(len(x), 10, "int32")
        with pytest.raises(ValueError, match=message):
            model.fit(x, wrong, verbose=0)
        pipelines.append(data._replace(y=wrong).pipeline())

    def generator():
        yield tuple(part[:BATCH] for part in data.with_x(hole).parts)

    for pipeline in [*pipelines, generator()]:
        with pytest.raises(ValueError, match=r"`x` must be finite|Labels must be integers"):
            model.fit(pipeline, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# Layers that are changed, and models within others ------------------------------------------------


def check_quantised(name, folder, mode):
    """A model that is quantised computes the same from a file and as a copy, or is refused."""
    data = _data(name)
    given = _tensors(data.given)
    model = build(name)
    before = model.get_weights()
    if not dense_layers(model):
        with pytest.raises(ValueError, match="no layer that Keras can quantise"):
            model.quantize(mode)
        for ours, theirs in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        return
    model.quantize(mode)
    assert {layer.quantization_mode for layer in dense_layers(model)} == {mode}
    assert np.isfinite(model(given)).all()
    check_comes_back(model, data, folder)


def check_adapted(name, folder):
    """Adapters (LoRA) are trained, come back as part of their kernels, and are trained on."""
    data = _data(name)
    rows = tuple(part[:BATCH] for part in data.train)
    model = build(name)
    for layer in dense_layers(model):
        layer.enable_lora(2)
    before = {id(layer): layer._kernel.numpy() for layer in dense_layers(model)}
    with facts.eagerly():
        model.fit(*rows, verbose=0)
    for layer in dense_layers(model):
        np.testing.assert_array_equal(layer._kernel, before[id(layer)])
        assert np.any(layer.lora_kernel_b), layer.path
    loaded = check_comes_back(model, data, folder)
    with facts.eagerly():
        loaded.fit(*rows, verbose=0)
    assert all(np.any(layer.lora_kernel_b) for layer in dense_layers(loaded))


def check_comes_back(model, data, folder):
    """A file of a model and a copy of it give its numbers; the model of the file is returned."""
    given = _tensors(data.given)
    trained = model.trained
    path = folder / "model.keras"
    model.save(path)
    loaded = autoencoders.load(path)
    twin = keras.models.clone_model(model)
    twin.build((None, *data.x.shape[1:]))
    twin.set_weights(model.get_weights())
    for other in (loaded, twin):
        np.testing.assert_array_equal(model(given), other(given))
        np.testing.assert_array_equal(model.encode(given), other.encode(given))
    assert loaded.trained is trained
    optimizers = (list(one.phase_optimizers.values()) for one in (model, loaded))
    for ours, theirs in zip(*optimizers, strict=True):
        for a, b in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(a, b)
    return loaded


def check_within_others(name, folder):
    """A model within a larger one: the same numbers there, from its file and as a copy."""
    data = _data(name)
    model = build(name)
    expected = np.asarray(model(_tensors(data.given)))
    if data.needed:
        with pytest.raises(TypeError, match="needs labels beside the rows"):
            keras.Sequential([keras.Input(data.x.shape[1:]), model])
    for larger, given in _larger(model, data):
        np.testing.assert_array_equal(_first(larger(given), data), expected)
        path = folder / "larger.keras"
        larger.save(path)
        loaded = keras.saving.load_model(path)
        twin = keras.models.clone_model(larger)
        twin.set_weights(larger.get_weights())
        for other in (loaded, twin):
            np.testing.assert_array_equal(_first(other(given), data), expected)
    check_trains_within_another(model, data)


def check_trains_within_another(model, data):
    """There its own terms on the code count, and what is missing is said; inference has none."""
    larger, given = next(iter(_larger(model, data)))
    own = [term for phase in model.phases for term in phase.terms]
    penalties = [penalty.loss_term for penalty in model.penalties]
    bottleneck = [] if model.bottleneck is None else list(model.bottleneck.loss_terms)
    missing = set(own) - {"reconstruction_loss", *penalties, *bottleneck}
    larger.compile("sgd", "mse", run_eagerly=True)
    before = model.get_weights()
    said = pytest.warns(UserWarning, match="Something else than its own `fit`")
    with warnings.catch_warnings(), said if missing else nullcontext():
        warnings.filterwarnings("ignore", "Gradients do not exist")
        loss = larger.train_on_batch(given, data.x)
    assert len(larger.losses) == len(penalties) + len(bottleneck)
    assert np.isfinite(loss)
    assert _moved(before, model.get_weights())
    assert model.trained is True
    larger(given)
    assert larger.losses == []
    logs = model.evaluate(*data.train, verbose=0, return_dict=True)
    assert set(logs) == {"loss", *(name for phase in model.phases for name in phase.logged)}


def _larger(model, data):
    """Larger models of one, with what they are called with."""
    shape = data.x.shape[1:]
    if data.needed:
        inputs = [keras.Input(shape), keras.Input((), dtype="int32")]
        yield keras.Model(inputs, model(tuple(inputs))), list(_tensors(data.given))
        return
    inputs = keras.Input(shape)
    yield keras.Model(inputs, model(inputs)), tf.constant(data.x)
    yield keras.Sequential([inputs, keras.layers.Identity(), model]), tf.constant(data.x)
    inputs = keras.Input((2, *shape))
    over_time = keras.layers.TimeDistributed(model)
    yield keras.Model(inputs, over_time(inputs)), tf.stack([data.x, data.x[::-1]], axis=1)


def _first(output, data):
    """Of a series of rows the first of each."""
    return np.asarray(output[:, 0] if len(output.shape) > data.x.ndim else output)


def dense_layers(model):
    return [layer for layer in model._flatten_layers() if type(layer) is keras.layers.Dense]


# Exact saving -------------------------------------------------------------------------------------


def save_interrupted(name, folder):
    """Ten epochs in one go, and five of them saved: what a resumed run has to equal."""
    keras.utils.set_random_seed(3)
    model = build(name)
    data = _data(name)

    def save(epoch, logs):
        if epoch == 4:
            model.save(folder / f"{name}.keras")
            np.save(folder / f"{name}.predicted.npy", model(_tensors(data.given)))

    callback = keras.callbacks.LambdaCallback(on_epoch_end=save)
    model.fit(*data.train, batch_size=BATCH, epochs=10, verbose=0, callbacks=[callback])
    np.savez(folder / f"{name}.expected.npz", *_state(model))


def resume_in_fresh_process(folder, first_import="autoencoders"):
    """Load every saved model in `folder` in one new process, and train each for five epochs more.

    The process imports Keras and this package in the order that `first_import` says.
    """
    second = {"autoencoders": "keras", "keras": "autoencoders"}[first_import]
    code = (
        f"import {first_import}, {second}; from tests.resume import resume; resume({str(folder)!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)


def check_resumed(name, folder):
    """Loading gave the same outputs, and five plus five epochs the same state as ten."""
    expected, resumed = (np.load(folder / f"{name}.{part}.npz") for part in ("expected", "resumed"))
    assert set(expected.files) == set(resumed.files)
    for key in expected.files:
        np.testing.assert_array_equal(expected[key], resumed[key], err_msg=f"{name} {key}")
    predicted = np.load(folder / f"{name}.predicted.npy")
    loaded = np.load(folder / f"{name}.loaded.npy")
    np.testing.assert_array_equal(predicted, loaded, err_msg=name)


# What is checked does not depend on how wide a network is.
_SMALL = {"hidden_units": 16, "discriminator_units": 16, "filters": 4, "units": 8, "num_codes": 16}


def drawn_in_training(bottleneck, features):
    """What a step of training draws; after which what follows the steps goes on."""
    drawn = bottleneck.draw(features, True)
    inputs = layers.Inputs(features)
    bottleneck.advance(layers.Encoding(inputs, features, drawn, True, None, None))
    return drawn


def build(name, **arguments):
    """The model `name`, compiled by its recipe, small, for the digits."""
    card = autoencoders.info(name)["kwargs"]
    small = {
        key: size if isinstance(card[key], int) else (size,) * len(card[key])
        for key, size in _SMALL.items()
        if key in card
    }
    sizes = {key: _of_numpy(size) for key, size in small.items()}
    return autoencoders.get(name, **{"input_shape": _shape(name), **sizes, **arguments})


def _of_numpy(value):
    """Numbers as NumPy has them, in tuples and dicts, too."""
    if isinstance(value, dict):
        sizes = {key: _of_numpy(one) for key, one in value.items()}
        return {key: one for key, one in sizes.items() if key not in {"input_shape", *_SMALL}}
    if isinstance(value, (list, tuple)):
        return tuple(map(_of_numpy, value))
    kinds = {bool: np.bool_, int: np.int64, float: np.float32}
    return kinds[type(value)](value) if type(value) in kinds else value


def _shape(name):
    """That of the digits; the networks of series take an image's rows as time."""
    series = len(autoencoders.info(name)["kwargs"]["input_shape"]) == 2
    return (8, 8) if series else (8, 8, 1)


class Data(NamedTuple):
    """Rows, and labels for a model that takes them."""

    x: np.ndarray
    y: np.ndarray | None = None
    needed: bool = False

    @property
    def labelled(self):
        return self.y is not None

    @property
    def train(self):
        """What `fit` and `evaluate` are given."""
        return (self.x, self.y) if self.labelled else (self.x,)

    @property
    def given(self):
        """What `predict`, `encode` and the like are given."""
        return (self.x, self.y) if self.needed else self.x

    def with_x(self, x):
        return self._replace(x=x, y=self.y[: len(x)] if self.labelled else None)

    @property
    def parts(self):
        """What a pipeline hands out: rows, their targets or labels, and a weight for each."""
        pair = self.train if self.labelled else (self.x, self.x)
        return (*pair, np.ones(len(self.x), "float32"))

    def pipeline(self, shapes=True):
        """Batches of them, which do not tell their shapes where `shapes` is False."""
        known = tf.data.Dataset.from_tensor_slices(self.parts).batch(BATCH)
        if shapes:
            return known
        spec = tuple(tf.TensorSpec(None, part.dtype) for part in known.element_spec)
        hidden = tf.data.Dataset.from_generator(lambda: iter(known), output_signature=spec)
        return hidden.apply(tf.data.experimental.assert_cardinality(len(known)))


def _batch(data, number=0):
    some = slice(number * BATCH, (number + 1) * BATCH)
    rows = tf.constant(data.x[some], keras.config.floatx())
    labels = tf.constant(data.y[some]) if data.labelled else None
    return step.Batch(rows, rows, labels=labels)


@cache
def _labels(name):
    return build(name).labels if "num_classes" in autoencoders.info(name)["kwargs"] else None


def _data(name):
    (x, y), _ = datasets.digits()
    labels = _labels(name)
    x = x[:ROWS].reshape(ROWS, *_shape(name))
    if labels is None:
        return Data(x)
    y = y[:ROWS].astype("int32")
    if not labels.needed:
        y[::2] = -1
    return Data(x, y, labels.needed)


def _tensors(given):
    """What `data.given` is, for a model that is called rather than asked to `predict`."""
    return keras.tree.map_structure(tf.constant, given)


def _variables(model):
    optimizers = model.phase_optimizers.values()
    return [*model.variables, *(v for optimizer in optimizers for v in optimizer.variables)]


def _state(model):
    return [variable.numpy() for variable in _variables(model)]


def snapshot(model):
    """All that training changes, for `put_back`."""
    return _state(model), model._shuffle.state.numpy()


def put_back(model, snapshot):
    """Give a model the state of a snapshot; the programs that it has by now stay."""
    for variable, value in zip(_variables(model), snapshot[0], strict=True):
        variable.assign(value)
    model._shuffle.state.assign(snapshot[1])


def _moved(before, after):
    return any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


if __name__ == "__main__":
    for model_name in sys.argv[1:]:
        check_autoencoder(model_name)
        print(f"{model_name}: all checks passed")

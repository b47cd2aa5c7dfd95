"""What may be set after a model was made: numbers, switches and structure.

A value that is set has to act as one that the constructor was given. The models are those of the
kept files: between them they have every class. A file whose config is changed gives the model that
was made with the other value, with the same weights and the same state.
"""

import copy
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import autoencoders
from autoencoders import Autoencoder, arguments, layers, losses, networks, serialization
from autoencoders.arguments import Declared, Number, Structure, Switch
from autoencoders.training import step
from autoencoders.training.phased_model import PhasedModel
from tests.kept import cases, facts

FOLDER = Path(cases.__file__).parent / autoencoders.__version__
CLASSES = [cases.known(name) for name in serialization.MODULE_OF_CLASS]
NAMES = [name for name, case in cases.CASES.items() if not name.endswith("detector")]

# Turned from on to off or back these would be switches, or ask for other weights.
_OFF = (0, None)


def _path(name):
    return FOLDER / f"{name}.keras"


def _load(name, folder, loop="eager", change=None):
    """A kept model for that loop; `change` is given its config before it is made."""

    def all_changes(config):
        config["compile_config"].update(facts.LOOPS[loop])
        if change is not None:
            change(config)

    return autoencoders.load(facts.changed(_path(name), folder / f"{name}.keras", all_changes))


def _pairs(serialized, live):
    """Config and live object of everything that declares arguments, found by walking configs."""
    if isinstance(serialized, list):
        for item, one in zip(serialized, live, strict=True):
            yield from _pairs(item, one)
    elif isinstance(serialized, dict) and facts.class_of(serialized):
        config = serialized["config"] or {}
        yield config, live
        for name, argument in arguments.declared(type(live)).items():
            if argument.argument in config:
                yield from _pairs(config[argument.argument], getattr(live, name))


def _declared(serialized, live, kind):
    """Config, live object and attribute of every argument of this kind that has a value."""
    for config, part in _pairs(serialized, live):
        for name, argument in arguments.declared(type(part)).items():
            if isinstance(argument, kind):
                yield config, part, name


def _other(argument, value):
    """Another value that the number may have, a little away."""
    larger = [] if argument.name == "high" else [3.0 * value]  # nothing is as high as it is
    for candidate in (
        *larger,
        0.5 + 0.5 * value,
        0.6 * value,
        1.4 * value,
        value + 0.3,
        value - 0.3,
    ):
        if candidate != value and argument._fits(candidate):
            return candidate
    raise AssertionError(f"{argument.name} can have no value but {value}")


def _new_numbers(config, model):
    """Every number that is on, as config, object, attribute and another value."""
    return [
        (found, part, name, _other(arguments.declared(type(part))[name], getattr(part, name)))
        for found, part, name in _declared(config, model, Number)
        if getattr(part, name) not in _OFF or name in ("low", "l2", "radius")
    ]


def _change_numbers(model):
    def change(config):
        for found, part, name, value in _new_numbers(config, model):
            found[arguments.declared(type(part))[name].argument] = value

    return change


def _set_numbers(model):
    for _, part, name, value in _new_numbers(facts.config(model), model):
        setattr(part, name, value)


WITH_NUMBERS = [
    name
    for name in NAMES
    if any(
        isinstance(argument, Number)
        for serialized in facts.objects(facts.config_of_file(_path(name)))
        if facts.class_of(serialized)
        for argument in arguments.declared(cases.known(facts.class_of(serialized))).values()
    )
]


# Their numbers are those of `pretrain`.
_IDLE = {"stacked", "stacked_machines"}

# Declarations -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_argument_is_declared(cls):
    """But those of Keras, and of detectors, which are no parts of a step."""
    if "anomaly" in cls.__module__:
        pytest.skip("detectors hold their arguments as scikit-learn wants them")
    own = {}
    for base in reversed(cls.__mro__):
        code = getattr(vars(base).get("__init__"), "__code__", None)
        if base.__module__.startswith("autoencoders") and code is not None:
            count = code.co_argcount + code.co_kwonlyargcount
            own.update(dict.fromkeys(code.co_varnames[1:count]))
    known = {argument.argument for argument in arguments.declared(cls).values()}
    assert set(own) - {"name", "adapted"} == known  # `adapted` comes from files alone.


def test_what_steers_training_is_a_number():
    """By name: to refuse such an argument would not do."""
    names = {"alpha", "beta", "capacity", "commitment", "diagonal", "free_bits", "gamma", "l1"}
    names |= {"l2", "min_temperature", "off_diagonal", "rate", "stddev", "target", "temperature"}
    names |= {"weight", "weight_decay"}
    found = {}
    for cls in CLASSES:
        for name, argument in arguments.declared(cls).items():
            found.setdefault(name, set()).add(type(argument))
    assert {name: found[name] for name in names} == {name: {Number} for name in names}


# Numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_numbers_that_are_set_act_as_if_the_model_was_made_with_them(name, tmp_path):
    """In eager steps to the bit; in graphs, which are not traced anew, but for their last bits."""
    data = tuple(tf.constant(part[:16]) for part in cases.CASES[name].data())
    model = _load(name, tmp_path)
    expected = _load(name, tmp_path, change=_change_numbers(model))
    before, traced = _state(model), []

    @tf.function(autograph=False)
    def graph(*data):
        traced.append(1)
        return _losses(model, data)

    if name not in _IDLE:
        graph(*data)
    with facts.eagerly():
        _check_that_each_matters(model, data, before)
        _set_numbers(model)
        assert facts.config(model)["config"] == facts.config(expected)["config"]
        _check_equal(_stepped(model, data, before), _stepped(expected, data, before))
        _put_back(expected, before)
        there = _losses(expected, data)
    if name not in _IDLE:
        _put_back(model, before)
        here = graph(*data)
        assert len(traced) == 1
        for key, value in there.items():
            np.testing.assert_allclose(here[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def _losses(model, data):
    """The loss of every phase, of training and of evaluation."""
    batch = step.Batch(data[0], data[0], labels=data[1] if len(data) > 1 else None)
    found = {}
    for phase in model.phases:
        for training in (True, False):
            loss = step.total(phase, phase.loss(batch, training))
            found[f"{phase.name} {training}"] = tf.reduce_mean(loss)
    return found


def _check_that_each_matters(model, data, before):
    """Otherwise that the numbers act alike would say nothing of one that does not act."""
    usual = _trained(model, data, before)
    for _, part, number, value in _new_numbers(facts.config(model), model):
        if not _is_idle(part, number, model):
            held = getattr(part, number)
            setattr(part, number, value)
            now = _trained(model, data, before)
            setattr(part, number, held)
            assert any(not np.array_equal(usual[key], now[key]) for key in usual), (part, number)


def _check_equal(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def _stepped(model, data, before):
    """What a step of training and an evaluation after it log, and the weights between them."""
    trained = _trained(model, data, before)
    tested = model.test_on_batch(*[part.numpy() for part in data], return_dict=True)
    return {**trained, **{f"val_{key}": value for key, value in tested.items()}}


def _trained(model, data, before):
    """What a step of training logs, and the weights after it."""
    _put_back(model, before)
    logs = model.train_on_batch(*[part.numpy() for part in data], return_dict=True)
    return {**logs, **{key: np.array(value) for key, value in facts.variables(model).items()}}


def _is_idle(part, number, model):
    """Whether the number plays no part in `fit`, as the model is."""
    if isinstance(model, cases.known("StackedAutoencoder")):
        # They are of `pretrain`, of which there is a test of its own.
        return part in (model, model.layer_corruption, *model.layer_penalties)
    if isinstance(part, losses.Gaussian):
        # A decoder that is shown the element before asks its likelihood for the mean alone.
        return part is not model.likelihood or (number == "min_stddev" and part.stddev is not None)
    return number == "min_temperature" and not part.anneal_steps


@pytest.mark.parametrize("name", sorted(_IDLE))
def test_numbers_of_pretraining_that_are_set_act_as_if_the_model_was_made_with_them(name, tmp_path):
    with facts.eagerly():
        model = _load(name, tmp_path)
        expected = _load(name, tmp_path, change=_change_numbers(model))
        usual = _load(name, tmp_path)
        _set_numbers(model)
        (rows,) = cases.CASES[name].data()
        logged = [cases.pretrain_the_rest(one, rows) for one in (model, expected, usual)]
    assert logged[0] == logged[1] != logged[2]
    assert facts.values(model) == facts.values(expected) != facts.values(usual)


# A few whole programs in every run of the tests; the rest of them in `make thorough`.
_QUICK = [("variational", "fused"), ("boltzmann", "keras")]


@pytest.mark.parametrize(
    ("name", "loop"),
    [
        pytest.param(name, loop, marks=[] if (name, loop) in _QUICK else pytest.mark.thorough)
        for name in WITH_NUMBERS
        if name not in _IDLE
        for loop in ("fused", "keras", "xla")
    ],
)
@pytest.mark.filterwarnings("ignore:Posterior collapse")
def test_programs_read_numbers_that_are_set_between_epochs(name, loop, tmp_path):
    """Nothing is traced anew, and steps are those of a file saved with the numbers and loaded."""
    case = cases.CASES[name]
    data = tuple(part[:32] for part in case.data())
    model = _load(name, tmp_path, loop)
    expected = _load(name, tmp_path, loop, change=_change_numbers(model))
    before = _state(model)
    traced = _count_traces(model)
    model.fit(*data, batch_size=16, shuffle=False, verbose=0)
    first, count = model.evaluate(*data, batch_size=16, verbose=0), len(traced)
    _set_numbers(model)
    history, evaluated = _trained_and_tested(model, data, before)
    assert len(traced) == count
    assert evaluated != first
    if loop == "xla":  # which draws other numbers than steps outside it
        other, again = _trained_and_tested(expected, data, before)
    else:  # against steps that are not traced at all
        expected.compile_from_config({**expected.get_compile_config(), **facts.LOOPS["eager"]})
        with facts.eagerly():
            other, again = _trained_and_tested(expected, data, before)
    # Programs add up in another order than single steps; two programs of XLA's do not.
    close = {"rtol": 1e-5 if loop == "xla" else 2e-4, "atol": 1e-6}
    for term, values in other.items():
        np.testing.assert_allclose(history[term], values, **close, err_msg=term)
    np.testing.assert_allclose(evaluated, again, **close)


def _trained_and_tested(model, data, before):
    """What an epoch and an evaluation log, from a state."""
    _put_back(model, before)
    history = model.fit(*data, batch_size=16, shuffle=False, verbose=0).history
    return history, model.evaluate(*data, batch_size=16, verbose=0)


def _count_traces(model):
    """A list that grows whenever a step is traced."""
    traced = []
    for kind in ("train", "test"):
        step = getattr(PhasedModel, f"{kind}_step")

        def counted(self, data, step=step, kind=kind):
            traced.append(kind)
            return step(self, data)

        setattr(PhasedModel, f"{kind}_step", counted)
    return traced


@pytest.fixture(autouse=True)
def _steps_as_they_are():
    before = PhasedModel.train_step, PhasedModel.test_step
    yield
    PhasedModel.train_step, PhasedModel.test_step = before


def _state(model):
    variables = list(facts.variables(model).values())
    for optimizer in model.phase_optimizers.values():
        variables += optimizer.variables
    return [np.array(variable) for variable in variables]


def _put_back(model, values):
    variables = list(facts.variables(model).values())
    for optimizer in model.phase_optimizers.values():
        variables += optimizer.variables
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@pytest.mark.parametrize("loop", ["fused", pytest.param("xla", marks=pytest.mark.thorough)])
def test_a_number_may_be_set_at_every_step(loop, digits):
    model = _small_vae(**facts.LOOPS[loop])
    betas, kls = [], []

    class Anneal(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            model.bottleneck.beta = 0.5 + batch
            betas.append(model.bottleneck.beta)

        def on_train_batch_end(self, batch, logs=None):
            kls.append(logs["kl_loss"])

    model.fit(digits[:32], batch_size=8, shuffle=False, callbacks=[Anneal()], verbose=0)
    assert betas == [0.5, 1.5, 2.5, 3.5]
    # What is logged are means over the steps so far, and the weights stay as they are.
    kls = np.diff(np.multiply(kls, np.arange(1, 5)), prepend=0.0)
    model.bottleneck.beta = 1.0
    for number, rows in enumerate(np.split(digits[:32], 4)):
        mean, log_variance = model.posterior(rows)
        kl = 0.5 * (np.exp(log_variance) + mean**2 - 1.0 - log_variance).sum(axis=1).mean()
        assert kls[number] == pytest.approx((0.5 + number) * kl, rel=1e-4)


def _small_vae(**compiled):
    keras.utils.set_random_seed(4)
    sizes = {"latent_dim": 2, "hidden_units": (5,)}
    model = autoencoders.get("vae_mlp", input_shape=(64,), **sizes)
    model.compile(keras.optimizers.SGD(0.0), **compiled)
    return model


@pytest.fixture(scope="module")
def digits():
    return cases.digits()[0].reshape(-1, 64)


def test_copies_have_the_number_that_was_set_and_keep_it():
    model = _small_vae(run_eagerly=True)
    for value in (np.float32(7.5), np.array(7.5), tf.constant(7.5)):
        model.bottleneck.beta = 1.0
        model.bottleneck.beta = value
        assert type(model.bottleneck.beta) is float
    for other in (copy.deepcopy(model), keras.models.clone_model(model)):
        assert other.bottleneck.beta == 7.5
        other.bottleneck.beta = 1.0
    assert model.bottleneck.beta == 7.5


def test_an_exported_program_holds_the_number_as_a_constant(tmp_path):
    """A variable that nothing tracks cannot be exported."""

    class Scaled(Declared, keras.layers.Layer):
        factor = Number()

        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, x):
            return self.factor * x

    scaled = Scaled(2.0)
    x = np.ones((3, 4), "float32")
    inputs = keras.Input((4,))
    encoder = keras.Model(inputs, scaled(inputs))
    model = Autoencoder(encoder, keras.Sequential([keras.Input((4,)), scaled]))
    model.compile("sgd")
    assert (model.predict(x, verbose=0) == 4.0).all()
    scaled.factor = 3.0
    assert (model.predict(x, verbose=0) == 9.0).all()
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    scaled.factor = 5.0
    assert (exported.serve(x).numpy() == 9.0).all()


@pytest.mark.parametrize(
    ("make", "name", "value", "message"),
    [
        (layers.GaussianBottleneck, "beta", -1, "`beta` must be a number of 0 or more, got -1"),
        (layers.GaussianBottleneck, "beta", np.nan, "`beta` must be a number .* got nan"),
        (layers.GaussianBottleneck, "beta", np.inf, "`beta` must be a number .* got inf"),
        (layers.GaussianBottleneck, "beta", "1", "`beta` must be a number .* got '1'"),
        (layers.GaussianBottleneck, "num_samples", 0, "`num_samples` must be a positive integer"),
        (layers.GaussianBottleneck, "capacity_steps", 3, "pass both"),
        (layers.MaskingNoise, "rate", 1.5, "`rate` must be between 0 and 1"),
        (layers.TopK, "k", 0, "`k` must be a positive integer"),
        (layers.DIPPenalty, "kind", 3, "`kind` must be one of 1, 2; got 3"),
        (losses.Laplace, "scale", 0.0, "`scale` must be positive, got 0"),
        (losses.Laplace, "scale", True, "`scale` must be positive, got True"),
        (losses.Laplace, "scale", np.ones(2), "`scale` must be positive, got array"),
    ],
)
def test_setting_checks_what_the_constructor_checks(make, name, value, message):
    part = make(
        *[0.5] if make is layers.MaskingNoise else [2] if "layers" in make.__module__ else []
    )
    before = getattr(part, name)
    with pytest.raises(ValueError, match=message):
        setattr(part, name, value)
    assert getattr(part, name) == before


# Switches and structure ---------------------------------------------------------------------------

# Another value for every switch, of models that have it; "off" turns on what is off by itself.
SWITCHES = [
    ("variational", "bottleneck", "warm_up", 0),
    ("variational", "bottleneck", "warm_up", 3),
    ("variational", "bottleneck", "num_samples", 2),
    ("variational", "bottleneck", "capacity_steps", 0),
    ("variational", "penalties[1]", "kind", 1),
    ("variational", "penalties[0]", "kernel", "radial_basis"),
    ("adversarial", "bottleneck", "free_bits", 0.0),
    ("adversarial", "bottleneck", "warm_up", 4),
    ("gumbel", "bottleneck", "straight_through", False),
    ("gumbel", "bottleneck", "anneal_steps", 5),
    ("gumbel", "bottleneck", "warm_up", 0),
    ("tied", "bottleneck", "k", 1),
    ("tied", "bottleneck", "inference_k", None),
    ("trained_codebook", "bottleneck", "revive", 0),
    ("vector_quantizer", "bottleneck", "revive", None),
    ("boltzmann", "", "cd_steps", 1),
    ("boltzmann", "", "sample_visible", False),
    ("boltzmann", "", "weight_decay", 0.0),
]


def _part(model, path):
    for key in filter(None, path.replace("]", "").replace("[", ".").split(".")):
        model = model[int(key)] if key.isdigit() else getattr(model, key)
    return model


@pytest.mark.parametrize(("name", "path", "switch", "value"), SWITCHES)
def test_a_switch_acts_as_if_the_model_was_made_with_it(name, path, switch, value, tmp_path):
    case = cases.CASES[name]
    with facts.eagerly():
        model = _load(name, tmp_path)
        setattr(_part(model, path), switch, value)
        other = type(model).from_config(model.get_config())
        other.ensure_built(case.data()[0])
        other.compile_from_config(model.get_compile_config())
        assert facts.variables(other).keys() == facts.variables(model).keys()
        _put_back(other, _state(model))
        other._launches.training_loop = model.training_loop
        before, data = _state(model), tuple(tf.constant(part[:16]) for part in case.data())
        _check_equal(_stepped(model, data, before), _stepped(other, data, before))
        model.save(tmp_path / "again.keras")
        again = autoencoders.load(tmp_path / "again.keras")
        assert facts.values(again) == facts.values(model)


def test_every_switch_is_turned():
    turned = {(type(_part(_live(name), path)), switch) for name, path, switch, _ in SWITCHES}
    expected = {
        (cls, name)
        for cls in CLASSES
        for name, argument in arguments.declared(cls).items()
        if isinstance(argument, Switch)
    }
    # A subclass has its base's; pre-training asks for its switches whenever it begins.
    missing = {
        (cls, name)
        for cls, name in expected
        if not any(issubclass(cls, other) and name == switch for other, switch in turned)
    }
    assert missing == {(cases.known("StackedBoltzmannMachines"), "cd_steps")}


def _live(name):
    return keras.saving.deserialize_keras_object(facts.config_of_file(_path(name)))


@pytest.mark.parametrize("loop", ["fused", "keras"])
def test_a_switch_costs_one_trace(loop, digits):
    model = _small_vae(**facts.LOOPS[loop])
    traced = _count_traces(model)
    settings = iter([0, 0.5, 0.5, 0.6, 0.6, 0])
    counts = []

    class Turn(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            counts.append(len(traced))
            model.bottleneck.free_bits = next(settings)

    model.fit(digits, batch_size=16, epochs=6, callbacks=[Turn()], verbose=0)
    counts.append(len(traced))
    assert [*np.diff(counts)] == [1, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("loop", ["fused", "keras"])
def test_a_schedule_that_is_turned_off_and_on_again_begins_anew(loop, digits):
    """Its weight is another one then, though the settings are what they were."""
    model = _small_vae(**facts.LOOPS[loop])
    model.bottleneck.warm_up = 100
    model.fit(digits, batch_size=16, epochs=1, verbose=0)
    assert model.bottleneck.steps.numpy() == 3.0
    model.bottleneck.warm_up = 0
    model.bottleneck.warm_up = 100
    logs = model.fit(digits, batch_size=16, epochs=1, verbose=0).history
    assert model.bottleneck.steps.numpy() == 3.0
    whole = model.evaluate(digits, batch_size=16, verbose=0, return_dict=True)["kl_loss"]
    assert logs["kl_loss"][0] == pytest.approx(0.01 * whole, rel=0.2)  # after 0, 1 and 2 of 100


def test_terms_that_stay_go_on_counting_when_a_switch_is_turned_in_an_epoch():
    machine = cases.boltzmann()
    machine.weight_decay = 0.0
    machine.compile(keras.optimizers.SGD(0.0))
    rows = cases.shares()[0]
    logged = []

    class Turn(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            logged.append(logs["reconstruction_error"])
            machine.weight_decay = 0.01 if batch == 0 else 0.0

    with facts.eagerly():
        before = _state(machine)
        plain = machine.fit(rows, batch_size=16, verbose=0).history["reconstruction_error"]
        _put_back(machine, before)
        turned = machine.fit(rows, batch_size=16, callbacks=[Turn()], verbose=0).history
    assert len(logged) == 3
    assert turned["reconstruction_error"] == plain


def test_what_is_logged_follows_a_switch():
    machine = cases.boltzmann()
    rows = cases.shares()[0]
    with facts.eagerly():
        assert "weight_decay_loss" in machine.fit(rows, verbose=0).history
        machine.weight_decay = 0.0
        assert "weight_decay_loss" not in machine.fit(rows, verbose=0).history


def test_a_bound_refuses_what_its_bottleneck_may_be_set_to():
    model = cases.importance_weighted()
    rows = cases.digits()[0]
    with facts.eagerly():
        model.bottleneck.free_bits = 0.5
        for _ in range(2):
            with pytest.raises(ValueError, match="has no `free_bits`"):
                model.fit(rows, verbose=0)
        model.bottleneck.free_bits = 0.0
        model.fit(rows, verbose=0)


def test_a_number_that_is_set_on_the_whole_says_whose_it_is():
    model = autoencoders.get("vae_mlp", input_shape=(4,))
    with pytest.raises(AttributeError, match=r"no number 'beta'.*mean 'bottleneck\.beta'"):
        model.beta = 0.0
    with pytest.raises(AttributeError, match=r"mean 'penalties\[0\]\.weight'"):
        autoencoders.get("contractive_mlp", input_shape=(4,)).weight = 0.0

    class Own(autoencoders.Autoencoder):
        pass

    own = Own(*networks.mlp((4,), 2, (3,)), bottleneck=layers.GaussianBottleneck(2))
    own.beta = 1.0  # That is the user's.
    assert own.beta == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_structure_that_is_set_says_what_to_do(name):
    model = _live(name)
    model.ensure_built(cases.CASES[name].data()[0])
    found = list(_declared(facts.config(model), model, Structure))
    assert found
    before = facts.config(model), len(model._flatten_layers())
    for _, part, argument in found:
        for value in (object(), keras.layers.Dense(3)):
            with pytest.raises(AttributeError, match="`compile` the model anew"):
                setattr(part, argument, value)
    assert (facts.config(model), len(model._flatten_layers())) == before


def test_a_corruption_may_be_given_until_the_model_is_built():
    encoder, decoder = networks.mlp((6,), 2)
    model = Autoencoder(encoder, decoder)
    model.corruption = layers.MaskingNoise(0.5)
    model.build((None, 6))
    with pytest.raises(
        AttributeError, match="`corruption` of Autoencoder is part of its structure"
    ):
        model.corruption = None


def test_what_is_refused_leaves_no_trace_in_a_model_that_is_not_built():
    model = Autoencoder(*(keras.Sequential([keras.layers.Dense(6)]) for _ in range(2)))
    before = len(model.layers)
    with pytest.raises(AttributeError, match="`encoder` of Autoencoder is part of its structure"):
        model.encoder = keras.Sequential([keras.layers.Dense(6)])
    assert len(model.layers) == before


def test_a_subclass_may_make_a_property_of_an_argument():
    class Doubled(layers.GaussianBottleneck):
        @property
        def beta(self):
            return 2.0 * self._beta

        @beta.setter
        def beta(self, value):
            self._beta = value

    part = Doubled(2, beta=1.5)
    assert part.get_config()["beta"] == part.beta == 3.0
    with pytest.raises(ValueError, match="pass both"):
        part.capacity_steps = 3


def test_numbers_are_read_within_a_graph_that_nothing_surrounds():
    with tf.Graph().as_default():
        drawn = cases.known("SwissRoll")().sample((4, 2), seed=1)
        assert tuple(drawn.shape) == (4, 2)

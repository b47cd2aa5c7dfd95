"""Keras's methods that a subclass may override: honoured as Keras documents, or refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import autoencoders
from autoencoders import losses, networks

RNG = np.random.default_rng(0)


@pytest.fixture
def x():
    return RNG.normal(size=(32, 6)).astype("float32")


def own(name, method, base=autoencoders.Autoencoder, **arguments):
    """A small model whose class has this method or property of its own."""
    keras.utils.set_random_seed(0)
    return type("Own", (base,), {name: method})(*networks.mlp((6,), 3), **arguments)


@pytest.mark.parametrize(
    ("name", "hook"),
    [
        ("call", "`decoder_output`"),
        ("__call__", "`decoder_output`"),
        ("compute_loss", "`objective"),
        ("stateless_compute_loss", "`objective"),
        ("losses", "`objective"),
    ],
)
def test_methods_that_training_would_not_use_are_refused(name, hook):
    def method(self, x, *args, **kwargs):
        return x

    model = own(name, property(lambda self: []) if name == "losses" else method)
    with pytest.raises(TypeError, match=rf"does not use the `{name}` of Own: override .*{hook}"):
        model.compile("adam")


def test_a_regularizer_of_the_models_output_is_refused():
    model = autoencoders.Autoencoder(*networks.mlp((6,), 3), activity_regularizer="l2")
    with pytest.raises(TypeError, match=r"does not use the `activity_regularizer`.*last layer"):
        model.compile("adam")


class AsInTheGuide(autoencoders.Autoencoder):
    """The steps of Keras's guide to customizing `fit`."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


def test_the_train_step_of_kerass_guide_trains_as_ours_does(x):
    def fitted(cls):
        keras.utils.set_random_seed(0)
        encoder, decoder = networks.mlp((6,), 3)
        model = cls(encoder, decoder)
        encoder.layers[-1].kernel_regularizer = keras.regularizers.L2(0.1)
        model.compile("adam", "mae", metrics=["mse"])
        return model.fit(x, x, batch_size=16, epochs=2, verbose=0, validation_data=(x, x)).history

    guide, ours = fitted(AsInTheGuide), fitted(autoencoders.Autoencoder)
    assert {"loss", "mse"} == {key for key in guide if not key.startswith("val_")}
    for key in ("loss", "val_loss", "val_reconstruction_loss", "val_mse"):
        np.testing.assert_allclose(guide[key], ours[key], rtol=1e-5)


def test_compute_loss_says_where_it_does_not_know_the_whole_loss(x):
    keras.utils.set_random_seed(0)
    cls = type("Own", (AsInTheGuide,), {})
    model = cls(*networks.mlp((6,), 3), likelihood=losses.Gaussian())
    model.compile("adam", run_eagerly=True)
    with pytest.raises(TypeError, match=r"needs more: .*`super\(\).train_step"):
        model.fit(x, x, verbose=0)


def test_steps_that_call_ours_and_add_to_what_is_logged(x):
    def train_step(self, data):
        logs = autoencoders.Autoencoder.train_step(self, data)
        return {**logs, "twice": 2.0 * logs["loss"]}

    model = own("train_step", train_step)
    model.compile("adam")
    history = model.fit(x, verbose=0).history
    assert history["twice"] == pytest.approx([2.0 * history["loss"][0]])
    assert history["reconstruction_loss"] == history["loss"]


def test_what_a_step_returns_is_what_is_logged(x):
    """Keras would log its own mean of the loss, which such a step never counts."""
    model = own("test_step", lambda self, data: {"loss": ops.convert_to_tensor(7.0)})
    model.compile("adam")
    assert model.fit(x, validation_data=(x,), verbose=0).history["val_loss"] == [7.0]
    assert model.evaluate(x, verbose=0) == 7.0


def test_a_predict_step_of_ones_own(x):
    def predict_step(self, data):
        return 0.0 * autoencoders.Autoencoder.predict_step(self, data) + 3.0

    model = own("predict_step", predict_step)
    model.compile("adam")
    assert (model.predict(x, verbose=0) == 3.0).all()


def test_a_train_step_of_ones_own_may_use_other_outputs_and_losses(x):
    class Own(autoencoders.Autoencoder):
        def call(self, x, training=None):
            return 2.0 * super().call(x, training)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return ops.mean(ops.square(x - y_pred))

        def train_step(self, data):
            x = data  # As in Keras: rows alone are not packed in a tuple.
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y_pred=self(x, training=True))
            gradients = tape.gradient(loss, [v.value for v in self.trainable_variables])
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"loss": loss}

    model = Own(*networks.mlp((6,), 3))
    with pytest.raises(TypeError, match=r"`evaluate` does not use the `compute_loss` of Own.*test"):
        model.compile("adam")

    def test_step(self, data):
        return {"loss": self.compute_loss(data, y_pred=self(data))}

    Own.test_step = test_step
    model.compile("adam", run_eagerly=True)
    history = model.fit(x, batch_size=len(x), verbose=0).history
    expected = np.mean(np.square(x - model.predict(x, verbose=0)))
    assert history["loss"][0] > expected
    assert model.evaluate(x, verbose=0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loop", ["train", "test", "predict"])
def test_functions_of_loops_that_a_subclass_makes_get_the_data(loop, x):
    seen = []

    def make(self, force=False):
        getattr(autoencoders.Autoencoder, f"make_{loop}_function")(self, force)
        made = getattr(self, f"{loop}_function")

        def function(iterator):
            seen.append(loop)
            return made(iterator)

        setattr(self, f"{loop}_function", function)

    model = own(f"make_{loop}_function", make)
    model.compile("adam")
    getattr(model, {"train": "fit", "test": "evaluate"}.get(loop, loop))(x, batch_size=8, verbose=0)
    assert len(seen) == 4


def test_a_models_own_metrics_are_reset_and_logged(x):
    class Counting(autoencoders.Autoencoder):
        def __init__(self, *args):
            super().__init__(*args)
            self.largest = keras.metrics.Sum(name="rows")

        @property
        def metrics(self):
            return [*super().metrics, self.largest]

        def objective(self, batch, encoding, output):
            self.largest.update_state(ops.ones_like(batch.x[:, 0]))
            return super().objective(batch, encoding, output)

    model = Counting(*networks.mlp((6,), 3))
    model.compile("adam")
    assert model.fit(x, epochs=2, verbose=0).history["rows"] == [len(x), len(x)]


@pytest.mark.parametrize("method", ["apply", "apply_gradients"])
def test_an_optimizers_own_methods_are_used(method, x):
    def nothing(self, *args):
        return None

    optimizer = type("Idle", (keras.optimizers.SGD,), {method: nothing})(0.1)
    model = autoencoders.Autoencoder(*networks.mlp((6,), 3))
    model.compile(optimizer)
    before = model.get_weights()
    model.fit(x, verbose=0)
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_is_set_after_compile_acts_or_is_refused(x):
    model = autoencoders.Autoencoder(*networks.mlp((6,), 3))
    model.compile("adam")
    model.jit_compile = True
    model.fit(x, verbose=0)
    assert model.training_loop.reason == "jit_compile=True"
    model.steps_per_execution = 2
    model.fit(x, verbose=0)
    assert model.training_loop.name == "keras"
    model.optimizer = keras.optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="was replaced after `compile`: compile again"):
        model.fit(x, verbose=0)


def test_metrics_that_leave_out_what_a_step_counts_are_an_error(x):
    """As in Keras's example of a VAE, evaluated."""

    class Own(autoencoders.Autoencoder):
        def __init__(self, *args):
            super().__init__(*args)
            self.total = keras.metrics.Mean(name="total_loss")

        @property
        def metrics(self):
            return [self.total]

        def train_step(self, data):
            with tf.GradientTape() as tape:
                loss = ops.mean(ops.square(data - self(data, training=True)))
            self.optimizer.apply(
                tape.gradient(loss, self.trainable_weights), self.trainable_weights
            )
            self.total.update_state(loss)
            return {"total_loss": self.total.result()}

    model = Own(*networks.mlp((6,), 3))
    model.compile("adam", run_eagerly=True)
    assert model.fit(x, verbose=0).history["total_loss"][0] > 0.0
    with pytest.raises(TypeError, match=r"leave out what its `test_step` counts: .* override"):
        model.evaluate(x, verbose=0)

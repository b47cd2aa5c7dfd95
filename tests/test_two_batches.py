"""Steps of two batches: labelled rows that have a batch of their own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import autoencoders
from autoencoders import datasets
from autoencoders.autoencoder import Autoencoder
from autoencoders.training import pipelines
from autoencoders.training.fused import choice
from autoencoders.training.labels import Labels
from autoencoders.training.step import Phase, TwoBatches
from tests import checks


class Classifying(Autoencoder):
    """Learns to reconstruct from all rows, and from the labelled ones alone what they are."""

    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.logit = keras.layers.Dense(10, name="logit")
        self.seen = []

    @property
    def labels(self):
        return Labels(10, needed=False)

    def run_parts(self, inputs, training):
        code, reconstruction = super().run_parts(inputs, training)
        self.logit(code)
        return code, reconstruction

    @property
    def phases(self):
        (reconstruction,) = super().phases
        own = {id(v) for v in self.logit.trainable_variables}
        others = [v for v in reconstruction.variables if id(v) not in own]
        variables = [*self.encoder.trainable_variables, *self.logit.trainable_variables]
        return [
            reconstruction._replace(variables=others),
            Phase("classification", self.classification, ("classification_loss",), variables),
        ]

    def classification(self, batch, training):
        labelled = batch if batch.labelled is None else batch.labelled
        if self.run_eagerly and training:
            self.seen.append((np.asarray(batch.x), np.asarray(labelled.x), labelled.labels.numpy()))
        codes = self.code(self.features(self.inputs_of_batch(labelled), training))
        errors = ops.sparse_categorical_crossentropy(
            ops.maximum(labelled.labels, 0), self.logit(codes), from_logits=True
        )
        known = ops.cast(labelled.labels >= 0, errors.dtype)
        return {"classification_loss": ops.divide_no_nan(ops.sum(known * errors), ops.sum(known))}


def _model(**options):
    keras.utils.set_random_seed(0)
    encoder, decoder = autoencoders.networks.mlp((8, 8, 1), 8, (32,))
    model = Classifying(encoder, decoder)
    model.build((None, 8, 8, 1))
    model.compile(keras.optimizers.Adam(0.01), **options)
    return model


@pytest.fixture(scope="module")
def digits():
    (x, labels), _ = datasets.digits()
    return x, labels


def test_a_phase_learns_from_the_labelled_batch(digits):
    x, labels = digits
    model = _model()
    few = slice(0, 100)
    history = model.fit(
        TwoBatches((x,), (x[few], labels[few])), batch_size=50, epochs=8, verbose=0
    ).history
    assert history["classification_loss"][-1] < 0.5 < 1.0 < history["classification_loss"][0]
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert model.training_loop == choice.KERAS
    predicted = np.argmax(model.logit(model.encode(x[100:])), axis=1)
    assert np.mean(predicted == labels[100:]) > 0.6


def test_an_epoch_sees_all_rows_once_and_goes_on_in_the_labelled_ones(digits):
    x, labels = (part[:40] for part in digits)
    model = _model(run_eagerly=True)
    model.fit(TwoBatches((x,), (x[:12], labels[:12])), batch_size=8, epochs=3, verbose=0)
    numbers = {row.tobytes(): number for number, row in enumerate(x)}
    assert len(numbers) == 40
    rows = [[numbers[row.tobytes()] for row in batch] for batch, _, _ in model.seen]
    labelled = [[numbers[row.tobytes()] for row in batch] for _, batch, _ in model.seen]
    for epoch in range(3):
        assert sorted(np.concatenate(rows[5 * epoch : 5 * epoch + 5])) == list(range(40))
    # Passes of 8 + 4 rows go on from epoch to epoch.
    assert [len(batch) for batch in labelled] == [8, 4] * 7 + [8]
    passes = [labelled[i] + labelled[i + 1] for i in range(0, 14, 2)]
    assert all(sorted(one) == list(range(12)) for one in passes)
    assert len({tuple(one) for one in passes}) == 7
    for batch, (_, _, given) in zip(labelled, model.seen, strict=True):
        np.testing.assert_array_equal(given, labels[batch])


def test_training_goes_on_as_if_it_had_not_stopped(digits):
    x, labels = (part[:64] for part in digits)
    data = TwoBatches((x,), (x[:10], labels[:10], np.linspace(0.5, 1.5, 10)))
    whole, parts = _model(), _model()
    whole.fit(data, batch_size=16, epochs=4, validation_split=0.25, verbose=0)
    for epochs in (2, 4):
        start = parts.epochs_trained
        parts.fit(
            data,
            batch_size=16,
            epochs=epochs,
            initial_epoch=start,
            validation_split=0.25,
            verbose=0,
        )
    for a, b in zip(checks._state(whole), checks._state(parts), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_pipeline_may_give_two_batches(digits):
    x, labels = (part[:64] for part in digits)
    rows = tf.data.Dataset.from_tensor_slices((x,)).batch(16)
    few = tf.data.Dataset.from_tensor_slices((x[:10], labels[:10])).repeat().batch(5)
    ours, theirs = _model(steps_per_execution=1), _model()
    theirs.fit(tf.data.Dataset.zip(TwoBatches(rows, few)), epochs=2, verbose=0)
    ours.fit(TwoBatches((x,), (x[:10], labels[:10])), batch_size=16, epochs=2, verbose=0)
    assert ours.history.history.keys() == theirs.history.history.keys()
    assert theirs.evaluate(x, labels, verbose=0, return_dict=True)["classification_loss"] < 3
    bad = tf.data.Dataset.zip(TwoBatches(rows, few.map(lambda x, labels: (x, labels - 1))))
    before = checks._state(theirs)
    with pytest.raises(ValueError, match="Labels must be integers from 0 to 9 for all rows"):
        theirs.fit(bad, verbose=0)
    for a, b in zip(before, checks._state(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_pipeline_for_xla_is_checked_and_keeps_its_form(digits):
    """The checks come before XLA's program; a step of a user's own gets what it has asked for."""
    x, labels = digits
    rows = tf.data.Dataset.from_tensor_slices((x,)).batch(16)
    few = tf.data.Dataset.from_tensor_slices((x[:10], labels[:10])).repeat().batch(5)
    model = _model()
    model.jit_compile = True
    pairs = tf.data.Dataset.zip(TwoBatches(rows, few))
    checked = pipelines.checked(model, pairs, "train")
    assert checked.element_spec == pairs.element_spec
    assert isinstance(next(iter(checked)), TwoBatches)
    bad = tf.data.Dataset.zip(TwoBatches(rows, few.map(lambda x, labels: (x, labels - 1))))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Labels must be integers"):
        list(pipelines.checked(model, bad, "train"))

    class Own(Classifying):
        def train_step(self, data):
            return super().train_step(data["pair"])

    model.__class__ = Own
    dicts = pairs.map(lambda pair: {"pair": pair.rows})
    assert pipelines.checked(model, dicts, "train") is dicts


def test_bad_pairs_are_refused(digits):
    x, labels = (part[:20] for part in digits)
    model = _model()
    without = labels.astype("int64") - 1
    for labelled, message in (
        ((x, without), "Labels must be integers from 0 to 9; got -1"),
        ((x,), "one for each of 20 rows; got none"),
        ((x[:, :4], labels), "must have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(TwoBatches((x,), labelled), verbose=0)
    pair = TwoBatches((x,), (x, labels))
    with pytest.raises(ValueError, match="pass no `y`"):
        model.fit(pair, labels, verbose=0)
    with pytest.raises(ValueError, match="must be one dense array"):
        model.fit(TwoBatches((tf.data.Dataset.range(3),), (x, labels)), verbose=0)
    plain = autoencoders.get("ae_mlp", input_shape=(8, 8, 1), hidden_units=(4,))
    with pytest.raises(ValueError, match="takes no labels"):
        plain.fit(pair, verbose=0)

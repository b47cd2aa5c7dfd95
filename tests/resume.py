"""What runs in the fresh process of the resume checks; imports the zoo only through a load."""

import sys
from pathlib import Path


def resume(folder):
    import keras
    import numpy as np

    assert not any(module.startswith("autoencoders.models.") for module in sys.modules)
    loaded = {path: keras.saving.load_model(path) for path in sorted(Path(folder).glob("*.keras"))}

    from tests.checks import BATCH, _data, _state, _tensors

    for path, model in loaded.items():
        data = _data(path.stem)
        np.save(path.with_suffix(".loaded.npy"), model(_tensors(data.given)))
        model.fit(*data.train, batch_size=BATCH, epochs=10, initial_epoch=5, verbose=0)
        np.savez(path.with_suffix(".resumed.npz"), *_state(model))

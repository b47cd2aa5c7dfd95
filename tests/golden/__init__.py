"""Lists of what a registered model's files hold: where weights lie, configs' keys, generators.

    python -m tests.golden

writes those anew that have changed. Each is a promise about files that are written already: see
what `tests/test_golden.py` says before doing so.
"""

import json
import tempfile
from pathlib import Path

from tests import checks
from tests.kept import facts

FOLDER = Path(__file__).parent


def path(name):
    """Where the lists of model `name` are."""
    return FOLDER / f"{name}.json"


def read(name):
    """The lists of model `name` as they were written down."""
    return json.loads(path(name).read_text())


def lists(name):
    """The lists of model `name` as it is now, small and compiled by its recipe.

    Returns:
        Dict of `paths`, the shape of every array in a file by its path; `config`, the keys of each
        class's config; and `generators`, the seed generators in the order of their saved states.
    """
    model = checks.build(name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.weights.h5")
        model.save_weights(file)
        paths = facts.h5_paths(file)
    generators = [owner for owner, _ in facts.random_state(model)]
    return {
        "paths": paths,
        "config": facts.config_keys(facts.config(model)),
        "generators": generators,
    }


def write(name):
    """Write the lists of model `name`."""
    path(name).write_text(json.dumps(lists(name), indent=1) + "\n")

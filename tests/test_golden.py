"""What the registered models' files hold is what it was: weights, configs, generators."""

import pytest

import autoencoders
from tests import golden

_MEANS = {
    "paths": "weights lie elsewhere in a file, by `sorted(dir(...))` of what holds them, or in "
    "another order of `add_weight`",
    "config": "arguments have other names; new ones need a default, for files that lack them",
    "generators": "random states are saved in another order, that in which attributes are "
    "assigned: a resumed run would go on with another part's, without a word",
}


@pytest.mark.parametrize("name", autoencoders.list_models())
def test_files_hold_what_they_held(name):
    before, now = golden.read(name), golden.lists(name)
    for kind, means in _MEANS.items():
        moved = _moved(before[kind], now[kind])
        assert not moved, (
            f"{name}, {kind}: {'; '.join(moved)}.\n"
            f"So {means}. A file that an earlier version saved would not load, or not resume. If "
            "it is meant, let the new code read both, keep a file of each (tests/kept), and write "
            "the lists anew: python -m tests.golden"
        )


def _moved(before, now):
    if isinstance(before, list):
        return [] if before == now else [f"were {before}, are {now}"]
    lines = [f"{key} is gone" for key in before if key not in now]
    lines += [f"{key} is new (fine with a default)" for key in now if key not in before]
    both = [key for key in before if key in now and before[key] != now[key]]
    return lines + [f"{key} was {before[key]}, is {now[key]}" for key in both]


def test_there_are_no_lists_of_other_models():
    assert {file.stem for file in golden.FOLDER.glob("*.json")} == set(autoencoders.list_models())

"""Every registered model through the check suite."""

from functools import cache

import pytest

import autoencoders
from autoencoders import registry
from tests import checks

NAMES = autoencoders.list_models()


def _is_variant(name):
    """Whether it is other arguments of a builder, or the convolutional twin of a dense model."""
    dense = name.replace("_conv", "_mlp")
    return registry.card(name)["builder"] != name or (dense != name and dense in NAMES)


# What they are made of has tests of its own.
VARIANTS = [name for name in NAMES if _is_variant(name)]
BUILDERS = [name for name in NAMES if name not in VARIANTS]


def _checked(name):
    marks = [pytest.mark.thorough] if name in VARIANTS else []
    return pytest.param(name, marks=marks, id=name)


# Nothing here trains for long enough to use its codes.
pytestmark = pytest.mark.filterwarnings("ignore:Posterior collapse")


@pytest.mark.parametrize("name", [_checked(name) for name in NAMES])
def test_passes_every_check(name):
    checks.check_autoencoder(name)


@pytest.fixture(scope="session")
def resumed(tmp_path_factory):
    """Saves and resumes a group of models, in one fresh process for all of them.

    Of the session: a worker runs other modules' tests in between.
    """

    @cache
    def folder_of(group):
        folder = tmp_path_factory.mktemp("resume")
        for name in GROUPS[group]:
            checks.save_interrupted(name, folder)
        checks.resume_in_fresh_process(folder)
        return folder

    return folder_of


GROUPS = [BUILDERS[::2], BUILDERS[1::2], VARIANTS]


# A group's tests share a worker, where several run at once.
def _member(group, name):
    marks = [pytest.mark.xdist_group(f"resumed {group}")]
    if name in VARIANTS:
        marks.append(pytest.mark.thorough)
    return pytest.param(group, name, marks=marks, id=name)


@pytest.mark.parametrize(
    ("group", "name"),
    [_member(number, name) for number, names in enumerate(GROUPS) for name in names],
)
def test_resumes_bit_by_bit(group, name, resumed):
    checks.check_resumed(name, resumed(group))

"""Every registered model through the check suite."""

from functools import cache

import pytest

import autoencoders
from autoencoders import registry
from tests import checks

NAMES = autoencoders.list_models()
BUILDERS = [name for name in NAMES if registry.card(name)["builder"] == name]
# Other arguments of those builders; their parts have tests of their own.
VARIANTS = [name for name in NAMES if name not in BUILDERS]
# Convolutional twins of dense models: other networks in the same parts.
TWINS = [name for name in BUILDERS if "_conv" in name and name.replace("_conv", "_mlp") in BUILDERS]


def _checked(name):
    marks = [pytest.mark.thorough] if name in VARIANTS + TWINS else []
    return pytest.param(name, marks=marks, id=name)


# Nothing here trains for long enough to use its codes.
pytestmark = pytest.mark.filterwarnings("ignore:Posterior collapse")


@pytest.mark.parametrize("name", [_checked(name) for name in NAMES])
def test_passes_every_check(name):
    checks.check_autoencoder(name)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Saves and resumes a group of models, in one fresh process for all of them."""

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

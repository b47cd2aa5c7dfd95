"""Every registered model through the check suite."""

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
# Half a minute to compile its three convolutional networks again and again; the parent of a class
# that is checked as well; and networks and bottleneck of two others.
SLOW = ["vae_gan_conv", "aae_mlp", "vae_lstm"]


def _checked(name):
    marks = [pytest.mark.thorough] if name in VARIANTS + SLOW else []
    return pytest.param(name, marks=marks, id=name)


# Nothing here trains for long enough to use its codes.
pytestmark = pytest.mark.filterwarnings("ignore:Posterior collapse")


@pytest.mark.parametrize("name", [_checked(name) for name in NAMES])
def test_passes_every_check(name):
    checks.check_autoencoder(name)


@pytest.mark.parametrize("name", VARIANTS + SLOW)
def test_passes_the_checks_that_compile_nothing(name):
    checks.check_uncompiled(name)


@pytest.mark.parametrize("name", VARIANTS + SLOW)
def test_is_fitted_and_comes_back_from_a_file(name, tmp_path):
    checks.check_round_trip(name, tmp_path)


def _groups(names, marks=()):
    """Many at once, because a fresh process takes seconds to start."""
    return [pytest.param(names[n::2], marks=marks, id="-".join(names[n::2])) for n in range(2)]


@pytest.mark.parametrize("names", _groups(BUILDERS) + _groups(VARIANTS, pytest.mark.thorough))
def test_resumes_bit_by_bit(names, tmp_path):
    for name in names:
        checks.save_interrupted(name, tmp_path)
    checks.resume_in_fresh_process(tmp_path)
    for name in names:
        checks.check_resumed(name, tmp_path)

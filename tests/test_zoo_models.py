"""Every registered model through the check suite."""

import pytest

import autoencoders
from tests import checks
from tests.checks import LIKE_OTHERS, VARIANTS

NAMES = autoencoders.list_models()
BUILDERS = [name for name in NAMES if name not in VARIANTS + LIKE_OTHERS]
# Half a minute to compile its three convolutional networks again and again; the parent of a class
# that is checked as well; and networks and bottleneck of two others.
SLOW = ["vae_gan_conv", "aae_mlp", "vae_lstm"]
BRIEFLY = VARIANTS + LIKE_OTHERS + SLOW


def _checked(name):
    marks = [pytest.mark.thorough] if name in BRIEFLY else []
    return pytest.param(name, marks=marks, id=name)


# Nothing here trains for long enough to use its codes.
pytestmark = pytest.mark.filterwarnings("ignore:Posterior collapse")


@pytest.mark.parametrize("name", [_checked(name) for name in NAMES])
def test_passes_every_check(name):
    checks.check_autoencoder(name)


@pytest.mark.parametrize("name", BRIEFLY)
def test_passes_the_checks_that_compile_nothing(name):
    checks.check_uncompiled(name)


@pytest.mark.parametrize("name", BRIEFLY)
def test_is_fitted_and_comes_back_from_a_file(name, tmp_path):
    checks.check_round_trip(name, tmp_path)


# A tied decoder, layers within a bottleneck and a decoder, labels, and a codebook that moves.
NESTED = ["k_sparse_mlp", "vae_mlp", "ae_recursive", "cvae_mlp", "vq_vae_conv"]


def _nested(name):
    marks = [] if name in NESTED else [pytest.mark.thorough]
    return pytest.param(name, marks=marks, id=name)


@pytest.mark.parametrize("name", [_nested(name) for name in NAMES])
def test_comes_back_quantised_and_adapted(name, tmp_path):
    checks.check_quantised(name, tmp_path, "int8")
    checks.check_adapted(name, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["int4", "float8"])
@pytest.mark.parametrize("name", NAMES)
def test_comes_back_in_other_modes(name, mode, tmp_path):
    checks.check_quantised(name, tmp_path, mode)


@pytest.mark.parametrize("name", [_nested(name) for name in NAMES])
def test_works_within_others(name, tmp_path):
    checks.check_within_others(name, tmp_path)


def _groups(names, marks=()):
    """Many at once, because a fresh process takes seconds to start."""
    return [pytest.param(names[n::2], marks=marks, id="-".join(names[n::2])) for n in range(2)]


@pytest.mark.parametrize(
    "names", _groups(BUILDERS) + _groups(VARIANTS + LIKE_OTHERS, pytest.mark.thorough)
)
def test_resumes_bit_by_bit(names, tmp_path):
    for name in names:
        checks.save_interrupted(name, tmp_path)
    checks.resume_in_fresh_process(tmp_path)
    for name in names:
        checks.check_resumed(name, tmp_path)

"""Whether another project's files lie in this package's folder.

The distribution `autoencoders` is another project's, and installs into a folder of the same name as
this one, `keras-autoencoders`. Installers do not notice when the one overwrites files of the other.
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_OURS, _OTHER = "keras-autoencoders", "autoencoders"


@cache
def conflict() -> str | None:
    """What to say if both are installed into this folder; None if they are not."""
    try:
        other = distribution(_OTHER)
    except PackageNotFoundError:
        return None
    here = Path(__file__).resolve().parent
    if Path(str(other.locate_file(here.name))).resolve() != here:
        return None
    return (
        f"Two distributions are installed into {here}: {_OURS}, and {_OTHER} {other.version}, "
        "which is another project's. Files of the one may have taken the place of the other's: "
        f"`pip uninstall {_OURS} {_OTHER}`, then `pip install {_OURS}`."
    )

"""A check that the top-level folders of embedonce are not hidden by packages of other projects."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from data.errors import CallError

PACKAGES = ("commandline", "data", "embedonce", "featurestore", "heads", "stages")


def check_packages(names: Sequence[str] = PACKAGES) -> None:
    """Raise CallError if Python finds a package of another project under the name of one of our top-level folders."""
    root = Path(__file__).resolve().parent.parent
    for name in names:
        spec = find_spec(name)
        if spec is None:
            raise CallError(f"embedonce's package '{name}' is missing in this environment. Install embedonce again.")
        if spec.origin is None or Path(spec.origin).resolve().parent.parent != root:
            raise CallError(
                f"Another package named '{name}' hides embedonce's own in this environment. "
                "Install embedonce in an environment of its own."
            )

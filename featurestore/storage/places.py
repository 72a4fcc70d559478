"""The storage at a path or URL, and the folders in it."""

from pathlib import Path

from featurestore.storage.local import LocalStorage
from featurestore.storage.location import Location
from featurestore.storage.storage import Storage


def storage_at(location: Location) -> Storage:
    """The storage at a path or URL; nothing is read yet. Raises ExtraMissing for a URL without the extra cloud."""
    assert isinstance(location, Path)
    return LocalStorage(location)


def child_folders(location: Location) -> list[Location]:
    """The folders in a folder, without those whose name begins with ".". Raises BucketFailed."""
    assert isinstance(location, Path)
    return [path for path in location.glob("*/") if not path.name.startswith(".")]

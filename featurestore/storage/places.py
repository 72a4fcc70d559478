"""The storage at a path or URL, and the folders in it."""

from pathlib import Path

from featurestore.storage.bucket import connect, sentences
from featurestore.storage.local import LocalStorage
from featurestore.storage.location import Location
from featurestore.storage.object_store import ObjectStorage
from featurestore.storage.storage import Storage


def storage_at(location: Location) -> Storage:
    """The storage at a path or URL; nothing is read yet. Raises ExtraMissing for a URL without the extra cloud."""
    return LocalStorage(location) if isinstance(location, Path) else ObjectStorage(location)


def child_folders(location: Location) -> list[Location]:
    """The folders in a folder, without those whose name begins with ".". Raises BucketFailed."""
    if isinstance(location, Path):
        return [path for path in location.glob("*/") if not path.name.startswith(".")]
    client = connect(location.scheme, location.bucket)
    import obstore

    with sentences(location):
        prefixes = obstore.list_with_delimiter(client, location.path or None)["common_prefixes"]
    names = sorted(str(prefix).rstrip("/").rpartition("/")[2] for prefix in prefixes)
    return [location / name for name in names if not name.startswith(".")]

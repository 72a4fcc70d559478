"""The location of a store: a folder, or a URL such as s3://bucket/features/news."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from data.errors import CallError

SCHEMES = ("s3", "gs", "az")
_HINTS = {"s3": "AWS_ACCESS_KEY_ID", "gs": "GOOGLE_APPLICATION_CREDENTIALS", "az": "AZURE_STORAGE_ACCOUNT_KEY"}
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(.*)", re.DOTALL)  # a Path has made one slash of two


@dataclass(frozen=True, order=True)
class StoreUrl:
    """A folder in a bucket, with those members of Path that stores need.

    path: the names below the bucket, without "/" at its ends; "" is the bucket itself.
    """

    scheme: str
    bucket: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.path}" if self.path else "")

    def __truediv__(self, name: object) -> "StoreUrl":
        return StoreUrl(self.scheme, self.bucket, "/".join(part for part in (self.path, str(name)) if part))

    @property
    def name(self) -> str:
        """The last name of the path, or the bucket."""
        return self.path.rpartition("/")[2] or self.bucket

    @property
    def parent(self) -> "StoreUrl":
        """The folder that it is in; a bucket is its own parent."""
        return StoreUrl(self.scheme, self.bucket, self.path.rpartition("/")[0])

    def resolve(self) -> "StoreUrl":
        """The same URL: a bucket has no links."""
        return self


Location: TypeAlias = Path | StoreUrl


def parse_location(text: str | Path | StoreUrl) -> Location:
    """Return the folder or the URL that `text` names.

    Raises CallError for another kind of URL, for one without a bucket, and for one that contains credentials.
    """
    if isinstance(text, StoreUrl):
        return text
    match = _URL.fullmatch(str(text))
    if match is None:
        return Path(text)
    scheme, (bucket, _, path) = match[1].lower(), match[2].partition("/")
    if scheme not in SCHEMES and "://" not in str(text):  # a folder whose name ends with a colon
        return Path(text)
    if scheme not in SCHEMES:
        raise CallError(f"A store cannot be at a URL of {scheme}://; name a folder, or a bucket of {_join(SCHEMES)}.")
    if "@" in bucket or any(sign in match[2] for sign in "?#"):
        raise CallError(
            f"A {scheme}:// URL of a store has no user, password, ? or #. "
            f"Leave them out, and give credentials in the environment, as in {_HINTS[scheme]}."
        )
    names = path.strip("/").split("/") if path.strip("/") else []
    is_odd = any(character == "\\" or ord(character) < 32 for character in match[2])  # servers change or refuse these
    if not bucket or is_odd or any(name in ("", ".", "..") for name in names):
        raise CallError(f"'{text}' does not name a bucket and a folder in it, as in {scheme}://bucket/features/news.")
    return StoreUrl(scheme, bucket, "/".join(names))


def _join(schemes: tuple[str, ...]) -> str:
    return ", ".join(f"{scheme}://" for scheme in schemes[:-1]) + f" or {schemes[-1]}://"

"""A location is a folder or a URL, and a URL has no credentials."""

from pathlib import Path

import pytest

from data.errors import CallError
from featurestore.storage.location import StoreUrl, parse_location


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("stores/news", Path("stores/news")),
        ("odd:/folder", Path("odd:/folder")),
        ("s3://bucket/features/news/", StoreUrl("s3", "bucket", "features/news")),
        (Path("s3://bucket/features"), StoreUrl("s3", "bucket", "features")),
        ("GS://bucket", StoreUrl("gs", "bucket")),
        (StoreUrl("az", "c", "x"), StoreUrl("az", "c", "x")),
    ],
)
def test_a_location_is_a_folder_or_a_url(text: str | Path | StoreUrl, location: Path | StoreUrl) -> None:
    assert parse_location(text) == location


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("http://bucket/x", r"A store cannot be at a URL of http://; name a folder, or a bucket of s3://, gs:// or az"),
        ("s3://user:hidden@bucket/x", "has no user, password"),
        ("az://container/x?sig=hidden", r"has no user, password, \? or #"),
        ("s3:///x", "does not name a bucket"),
        ("s3://bucket/a//b", "does not name a bucket"),
        ("s3://bucket/../b", "does not name a bucket"),
        ("s3://bucket\\features\\b", "does not name a bucket"),
        ("s3://bucket/a\tb", "does not name a bucket"),
    ],
)
def test_another_url_is_refused_without_repeating_a_secret(text: str, sentence: str) -> None:
    with pytest.raises(CallError, match=sentence) as caught:
        parse_location(text)
    assert "hidden" not in str(caught.value)


def test_a_url_has_the_members_of_a_path_that_stores_need() -> None:
    url = StoreUrl("s3", "bucket") / "features" / "news"
    assert (str(url), url.name, str(url.parent)) == ("s3://bucket/features/news", "news", "s3://bucket/features")
    assert url.parent.parent.parent == StoreUrl("s3", "bucket") and url.parent.parent.name == "bucket"

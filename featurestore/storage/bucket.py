"""Buckets of object stores, through obstore: connecting, and its errors as one sentence.

Credentials come from the environment and from the standard files and services of each cloud. They are in no URL, and an
error of obstore is never shown as it is: it has addresses, which may contain them.
"""

import configparser
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import BucketFailed, CallError, EmbedOnceError, ExtraMissing, StorageFailed
from featurestore.storage.location import StoreUrl

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# an address that does not answer is given up after about half a minute
RETRIES = 5
CONNECT_SECONDS = 5.0
# for a shard of 32 MB over a slow line
REQUEST_SECONDS = 180.0
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
# the settings of a profile that are used, and obstore's names of them
_SETTINGS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region": "region",
    "endpoint_url": "endpoint",
}
# the variables that override them; a key belongs to its secret and token
_VARIABLES = dict.fromkeys([name for name in _SETTINGS if name.startswith("aws_")], ("AWS_ACCESS_KEY_ID",)) | {
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "endpoint_url": _ENDPOINTS,
}
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist|container does not exist")
_CODES = (re.compile(r"<Code>(\w{1,60})</Code>"), re.compile(r"status code: (\d{3}) "))
_NO_CREDENTIALS = re.compile(r"169\.254\.|metadata|[Cc]redential|token request|Account must be specified")
_NO_ANSWER = re.compile(r"HTTP error|error sending request|timed out|connection")
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


@lru_cache
def connect(scheme: str, bucket: str) -> "ObjectStore":
    """Return the client of a bucket; nothing is requested yet. Raises ExtraMissing, CallError."""
    try:
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError as error:
        raise ExtraMissing(
            f"A store at {scheme}:// needs the extra cloud: run `pip install embedonce[cloud]`."
        ) from error
    profile = _aws_profile() if scheme == "s3" else {}
    addresses = [profile.get("endpoint", ""), *(os.environ.get(name, "") for name in _ENDPOINTS)]
    options: dict[str, Any] = {
        "client_options": {
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
            "allow_http": any(address.startswith("http://") for address in addresses),
        },
        "retry_config": {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=REQUEST_SECONDS)},
    }
    try:
        match scheme:
            case "s3":
                return S3Store(bucket, **options, **profile)
            case "gs":
                return GCSStore(bucket, **options)
            case _:
                return AzureStore(bucket, **options)
    except Exception as error:  # a variable of the environment has a wrong value, which may be a secret
        raise CallError(
            f"{scheme}://{bucket}: the configuration in the environment is not valid. Check {_CREDENTIALS[scheme]}."
        ) from _without_text(error)


def _aws_profile() -> dict[str, str]:
    """Keys, region and endpoint of a profile in ~/.aws, for what the environment does not set. Raises CallError."""
    name = os.environ.get("AWS_PROFILE", "default")
    values: dict[str, str] = {}
    is_known = False
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "~/.aws/config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name),
    ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(Path(os.environ.get(variable) or file).expanduser(), encoding="utf-8")
        except (configparser.Error, OSError, ValueError):
            continue
        if parser.has_section(section):
            is_known, values = True, values | dict(parser.items(section))
    if not is_known and "AWS_PROFILE" in os.environ and "AWS_ACCESS_KEY_ID" not in os.environ:
        raise CallError(f"AWS_PROFILE is '{name}', but there is no such profile in ~/.aws. Correct it, or unset it.")
    overridden = {setting for setting, variables in _VARIABLES.items() if not os.environ.keys().isdisjoint(variables)}
    return {key: values[name] for name, key in _SETTINGS.items() if name in values and name not in overridden}


@contextmanager
def sentences(url: StoreUrl, *, writing: bool = False) -> Iterator[None]:
    """Raise errors of obstore as BucketFailed, or as StorageFailed if `writing`; FileNotFoundError stays as it is."""
    try:
        yield
    except (EmbedOnceError, KeyboardInterrupt):
        raise
    except FileNotFoundError as error:
        if not _NO_BUCKET.search(str(error)):
            raise FileNotFoundError(f"{url} does not exist") from None
        raise _failure(url, error, writing=writing) from _without_text(error)
    except Exception as error:
        from obstore.exceptions import BaseError

        if not isinstance(error, BaseError | OSError):
            raise
        raise _failure(url, error, writing=writing) from _without_text(error)


def _failure(url: StoreUrl, error: Exception, *, writing: bool) -> EmbedOnceError:
    end = " What was committed before is intact." if writing else ""
    return (StorageFailed if writing else BucketFailed)(f"{url}: {_reason(url, error)}{end}")


def _reason(url: StoreUrl, error: Exception) -> str:
    text = str(error).partition("Debug source:")[0].replace(url.path, "")  # a name may be "credentials"
    code = next((match[1] for pattern in _CODES if (match := pattern.search(text))), "")
    if _NO_BUCKET.search(text):
        return f"there is no bucket {url.bucket}. Make it, or correct the URL."
    if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
        shown = f" ({code})" if code else ""
        return f"access is refused{shown}. Check the credentials and their permissions, and run the same command again."
    if _NO_CREDENTIALS.search(text):
        return f"no credentials were found. Set {_CREDENTIALS[url.scheme]}, and run the same command again."
    if code:
        return f"the server answered {code}. Run the same command again."
    if _NO_ANSWER.search(text):
        variable = next((name for name in _ENDPOINTS if name in os.environ), "")
        place = f"the address in {variable}" if variable else "the network"
        return f"it cannot be reached. Check {place}, and run the same command again."
    return f"the request failed ({type(error).__name__}). Run the same command again."


def _without_text(error: Exception) -> Exception:
    """The class of an error, for a traceback, without its text."""
    return RuntimeError(type(error).__name__)

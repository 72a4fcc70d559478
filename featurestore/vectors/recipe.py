"""The recipe of features: every setting that can change a value, and no other."""

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Self

from data.errors import BadData

KEEP = ("cls", "mean", "max", "segments", "tokens")
NUMBER_TYPES = ("float16", "bfloat16", "float32")
_HASHES = ("weights", "config", "tokenizer")
_OPTIONAL = ("revision", "commit")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that determine the values of features; batch size, device and number of workers do not.

    encoder, revision, commit: where the encoder came from: its name, the requested revision, and the commit on the hub
    that this was; None for a model that is not from a hub. Recipes that differ only in these are equal and have the
    same fingerprint.
    weights, config, tokenizer: hex sha256 of the content, such as the checkpoint's tensors, not of a path.
    window, stride: in tokens, special tokens not counted. long: the windows kept of a long document; "random:7" has a
    seed. max_windows: the most chunks per document.
    layers: counted from the last, so that (-1,) is the last one. keep: of "cls" "mean" "max" "segments" "tokens", in
    this order. segment: tokens per segment. dtype: the stored number type. precision: the encoder's number type.
    """

    encoder: str = field(compare=False)
    revision: str | None = field(default=None, compare=False)
    commit: str | None = field(default=None, compare=False)
    weights: str
    config: str
    tokenizer: str
    window: int
    stride: int
    special_tokens: bool
    long: str
    max_windows: int | None
    prefix: str
    layers: tuple[int, ...]
    keep: tuple[str, ...]
    segment: int
    dtype: str
    precision: str
    backend: str

    @cached_property
    def fingerprint(self) -> str:
        """The hex sha256 of the fields that recipes are compared by, as JSON with sorted names and no spaces."""
        content = {field.name: getattr(self, field.name) for field in fields(self) if field.compare}
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def short(self) -> str:
        """The first 8 digits of the fingerprint, for file names."""
        return self.fingerprint[:8]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, without a revision and a commit that are None."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if name not in _OPTIONAL or value is not None}

    def to_file(self, version: int) -> dict[str, Any]:
        """Return the content of recipe.json in a format version: revision and commit are next to the recipe."""
        recipe = self.to_json()
        hub = {name: recipe.pop(name) for name in _OPTIONAL if name in recipe}
        content = {"format": version, "fingerprint": self.fingerprint, "recipe": recipe}
        return content | ({"hub": hub} if hub else {})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read the result of `to_json`. Raises BadData for a field that is missing, unknown or of another type."""
        if not isinstance(content, Mapping):
            raise BadData("A recipe is not an object with named fields.")
        if wrong := sorted({*content, *_OPTIONAL} ^ {field.name for field in fields(cls)}):
            raise BadData(f"A recipe has these fields missing or unknown: {', '.join(wrong)}.")
        for name in content:
            if not _VALIDATORS[name](content[name]):
                raise BadData(f"A recipe has the invalid value {content[name]!r} as {name}.")
        values: dict[str, Any] = dict(content)
        return cls(**values | {name: tuple(values[name]) for name in ("layers", "keep")})

    def differences(self, requested: "Recipe") -> tuple[str, ...]:
        """Describe each field that differs: "window is 254 in this store, 510 was requested"."""
        return tuple(
            f"{name} is {self._format_field(name)} in this store, {requested._format_field(name)} was requested"
            for name in self._differing(requested)
        )

    def options(self, requested: "Recipe") -> str:
        """Describe the options that turn `requested` into this recipe: "give --stride 0"; "" if there are none."""
        differing = self._differing(requested)
        if any(name in _HASHES for name in differing):
            cause = "commit" if self.encoder == requested.encoder else "encoder"
            if getattr(self, cause) in (None, getattr(requested, cause)):
                return ""
            # another encoder, or another commit of it, explains all three hashes
            differing = [cause, *(name for name in differing if name not in _HASHES)]
        if any(name not in _OPTIONS for name in differing):
            return ""
        clauses = dict.fromkeys(_OPTIONS[name](self) for name in differing)
        options = [clause for clause in clauses if clause.startswith("--")]
        others = [clause for clause in clauses if not clause.startswith("--")]
        return " and ".join([f"give {' '.join(options)}"] * bool(options) + others)

    def covers(self, requested: "Recipe") -> bool:
        """Whether features of this recipe include all features of `requested`."""
        if any(name not in ("keep", "layers", "segment") for name in self._differing(requested)):
            return False
        same_segments = "segments" not in requested.keep or self.segment == requested.segment
        return same_segments and set(self.keep) >= set(requested.keep) and set(self.layers) >= set(requested.layers)

    def surplus(self, other: "Recipe") -> str:
        """Describe what this recipe keeps and `other` does not: "tokens", "layers -4,-1"."""
        kept = [name for name in self.keep if name not in other.keep]
        layers = [layer for layer in self.layers if layer not in other.layers]
        return " and ".join(kept + ([f"layers {','.join(map(str, layers))}"] if layers else []))

    def _differing(self, requested: "Recipe") -> list[str]:
        names = (field.name for field in fields(self) if field.compare)
        return [name for name in names if getattr(self, name) != getattr(requested, name)]

    def _format_field(self, name: str) -> str:
        value = getattr(self, name)
        if name in _HASHES:
            return f"{self.encoder}'s {value[:8]}"
        if isinstance(value, tuple):
            return ",".join(map(str, value))
        if isinstance(value, bool):
            return "on" if value else "off"
        return "not set" if value is None or value == "" else str(value)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_layers(value: Any) -> bool:
    return (
        isinstance(value, list | tuple) and len(value) > 0 and all(type(layer) is int and layer < 0 for layer in value)
    )


def _is_keep(value: Any) -> bool:
    return isinstance(value, list | tuple) and [name for name in KEEP if name in value] == list(value)


_VALIDATORS: dict[str, Callable[[Any], bool]] = {
    "encoder": _is_text,
    "revision": _is_text,
    "commit": _is_text,
    "weights": _is_hash,
    "config": _is_hash,
    "tokenizer": _is_hash,
    "window": _is_count,
    "stride": _is_count,
    "special_tokens": lambda value: isinstance(value, bool),
    "long": _is_text,
    "max_windows": lambda value: value is None or _is_count(value),
    "prefix": _is_text,
    "layers": _is_layers,
    "keep": _is_keep,
    "segment": _is_count,
    "dtype": NUMBER_TYPES.__contains__,
    "precision": _is_text,
    "backend": _is_text,
}


def _keep_option(recipe: Recipe) -> str:
    kept = [f"segments:{recipe.segment}" if name == "segments" else name for name in recipe.keep]
    return f"--keep {','.join(kept)}"


_OPTIONS: dict[str, Callable[[Recipe], str]] = {
    "encoder": lambda recipe: f"--model {shlex.quote(recipe.encoder)}",
    "commit": lambda recipe: f"--revision {recipe.commit}",
    "window": lambda recipe: f"--window {recipe.window}",
    "stride": lambda recipe: f"--stride {recipe.stride}",
    "special_tokens": lambda recipe: "--special-tokens" if recipe.special_tokens else "--no-special-tokens",
    "long": lambda recipe: f"--long {recipe.long}",
    "max_windows": lambda recipe: (
        f"--max-windows {recipe.max_windows}" if recipe.max_windows else "leave --max-windows out"
    ),
    "prefix": lambda recipe: f"--prefix {shlex.quote(recipe.prefix)}",
    "layers": lambda recipe: f"--layers {','.join(map(str, recipe.layers))}",
    "keep": _keep_option,
    "segment": _keep_option,
    "dtype": lambda recipe: f"--dtype {recipe.dtype}",
    "precision": lambda recipe: f"--precision {recipe.precision}",
    "backend": lambda recipe: f"--backend {recipe.backend}",
}

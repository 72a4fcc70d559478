"""How features were made: everything that can change a value, and nothing else."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Self

from data.errors import BadData

KEEP = ("cls", "mean", "max", "segments", "tokens")
NUMBER_TYPES = ("float16", "bfloat16", "float32")
_HASHES = ("weights", "config", "tokenizer")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides a feature's value. Batch size, device and number of workers cannot change one, so are not here.

    encoder: a name to show; two recipes that differ in it alone are equal and have one fingerprint.
    weights, config, tokenizer: hex sha256, of the checkpoint's tensors and not of a path.
    window, stride: tokens, special tokens not counted. long: which windows of a long document, "random:7" with
    its seed. max_windows: chunks a document.
    layers: counted from the last, (-1,) is the last alone. keep: of "cls" "mean" "max" "segments" "tokens", in this
    order. segment: tokens a segment. dtype: number type kept. precision: number type that the encoder computed in.
    """

    encoder: str = field(compare=False)
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
        """64 hex digits: the sha256 of every field but `encoder`, as JSON with sorted names and no spaces."""
        content = {name: value for name, value in asdict(self).items() if name != "encoder"}
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def short(self) -> str:
        """The first 8 digits of the fingerprint, for names."""
        return self.fingerprint[:8]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What `to_json` gave. Raises BadData for a field that is missing, unknown or of another type."""
        names = [each.name for each in fields(cls)]
        if not isinstance(content, Mapping) or set(content) != set(names):
            odd = sorted(set(content) ^ set(names)) if isinstance(content, Mapping) else ["all of it"]
            raise BadData(f"A recipe has these fields missing or unknown: {', '.join(odd)}.")
        for name in names:
            if not _FITS[name](content[name]):
                raise BadData(f"A recipe has {content[name]!r} as {name}.")
        values: dict[str, Any] = dict(content)
        return cls(**values | {name: tuple(values[name]) for name in ("layers", "keep")})

    def differences(self, asked: "Recipe") -> tuple[str, ...]:
        """A clause for each field of another value: "window is 254 in this store, 510 was asked"."""
        return tuple(
            f"{name} is {self._shown(name)} in this store, {asked._shown(name)} was asked"
            for name in self._unlike(asked)
        )

    def options(self, asked: "Recipe") -> str:
        """How `asked` becomes this recipe: "give --stride 0 and leave --max-windows out" or "" if no option does it."""
        unlike = self._unlike(asked)
        if any(name in _HASHES for name in unlike):
            if self.encoder == asked.encoder:
                return ""
            # another encoder explains all three hashes, and the number of layers and the window by the way
            unlike = ["encoder", *(name for name in unlike if name not in _HASHES)]
        if any(name not in _OPTIONS for name in unlike):
            return ""
        clauses = dict.fromkeys(_OPTIONS[name](self) for name in unlike)
        given = [clause for clause in clauses if clause.startswith("--")]
        left = [clause for clause in clauses if not clause.startswith("--")]
        return " and ".join([f"give {' '.join(given)}"] * bool(given) + left)

    def covers(self, asked: "Recipe") -> bool:
        """Whether features of this recipe hold all that those of `asked` would."""
        if any(name not in ("keep", "layers", "segment") for name in self._unlike(asked)):
            return False
        same_segments = "segments" not in asked.keep or self.segment == asked.segment
        return same_segments and set(self.keep) >= set(asked.keep) and set(self.layers) >= set(asked.layers)

    def surplus(self, poorer: "Recipe") -> str:
        """What this recipe keeps and `poorer` does not: "tokens", "layers -4,-1"."""
        kept = [name for name in self.keep if name not in poorer.keep]
        layers = [layer for layer in self.layers if layer not in poorer.layers]
        return " and ".join(kept + ([f"layers {','.join(map(str, layers))}"] if layers else []))

    def _unlike(self, asked: "Recipe") -> list[str]:
        names = (each.name for each in fields(self) if each.compare)
        return [name for name in names if getattr(self, name) != getattr(asked, name)]

    def _shown(self, name: str) -> str:
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


_FITS: dict[str, Callable[[Any], bool]] = {
    "encoder": _is_text,
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
    "encoder": lambda recipe: f"--model {recipe.encoder}",
    "window": lambda recipe: f"--window {recipe.window}",
    "stride": lambda recipe: f"--stride {recipe.stride}",
    "special_tokens": lambda recipe: "--special-tokens" if recipe.special_tokens else "--no-special-tokens",
    "long": lambda recipe: f"--long {recipe.long}",
    "max_windows": lambda recipe: (
        f"--max-windows {recipe.max_windows}" if recipe.max_windows else "leave --max-windows out"
    ),
    "prefix": lambda recipe: f"--prefix '{recipe.prefix}'",
    "layers": lambda recipe: f"--layers {','.join(map(str, recipe.layers))}",
    "keep": _keep_option,
    "segment": _keep_option,
    "dtype": lambda recipe: f"--dtype {recipe.dtype}",
    "precision": lambda recipe: f"--precision {recipe.precision}",
    "backend": lambda recipe: f"--backend {recipe.backend}",
}

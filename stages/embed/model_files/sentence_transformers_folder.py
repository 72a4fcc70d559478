"""What a sentence-transformers folder says of its encoder: pooling, prompts, lengths; read from its files alone.

Its files: modules.json lists what text goes through, each module in a folder of its own; 1_Pooling/config.json says
how vectors of tokens become one; config_sentence_transformers.json has prompts; sentence_bert_config.json the length
of its training. None of it is applied to what is kept but the default prompt and the length: a head reads the
encoder's own states, and what the model does behind them is told.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from data.errors import ModelUnavailable

_ENCODERS = ("Transformer", "StaticEmbedding")
# older versions name this file after the network
_LENGTHS = "sentence_*_config.json"
_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, kw_only=True)
class SentenceTransformersFolder:
    """What sentence-transformers would do with an encoder; of a plain folder, nothing.

    folder: where the encoder itself lies. pools: how the model makes its vector, of "cls", "mean", "max", "lasttoken"
    and others that are not kept here. prompts: name -> text. default: the name of the one that is always set.
    longest: tokens of its training's texts, special ones included. scaled: whether its vector has length 1.
    prompt_pooled: whether its pooling reads the prompt too. others: modules behind the encoder that are not applied.
    """

    folder: Path
    pools: tuple[str, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    longest: int | None = None
    scaled: bool = False
    prompt_pooled: bool = True
    others: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """The text that the model itself sets before every other: its default prompt."""
        return self.prompts.get(self.default or "", "")

    def notes(self, name: str, *, prefix_asked: bool, causal: bool) -> Iterator[str]:
        """Sentences for who embeds with this model, called `name`. causal: cls is the last token's vector."""
        if self.pools:
            yield f"{name} makes its own vectors from {_listed(self.pools, causal)}.{self._behind()}"
        if prefix_asked:
            return
        if self.prefix:
            mean = "" if self.prompt_pooled else " Its own pooling leaves the prompt's tokens out; mean and max do not."
            yield f"{self.prefix!r}, its default prompt, is set before every window; --prefix '' leaves it out.{mean}"
        elif any(self.prompts.values()):
            known = ", ".join(f"{key} {text!r}" for key, text in self.prompts.items() if text)
            yield f"{name} has prompts ({known}), none of them its default: give the one that fits with --prefix."

    def _behind(self) -> str:
        applied = [*self.others, *(["scaling to length 1"] if self.scaled else [])]
        return f" What follows there is not applied to what is kept: {', '.join(applied)}." if applied else ""


def _listed(pools: tuple[str, ...], causal: bool) -> str:
    kept = {"cls", "mean", "max"} | ({"lasttoken"} if causal else set())
    shown = {"lasttoken": "the last token, which is cls here"} if causal else {}
    return " and ".join(shown.get(name, name if name in kept else f"{name}, which is not kept here") for name in pools)


def read_sentence_transformers_folder(folder: Path) -> SentenceTransformersFolder:
    """What the files in `folder` say. Raises ModelUnavailable for one that is damaged."""
    listed = _json(folder / "modules.json", list)
    if not listed:
        return SentenceTransformersFolder(folder=folder)
    modules = [(str(each.get("type", "")).rpartition(".")[2], _inside(folder, each)) for each in map(_entry, listed)]
    encoder = next((path for kind, path in modules if kind in _ENCODERS), folder)
    pooling: dict[str, Any] = next(
        (_json(path / "config.json", dict) for kind, path in modules if kind == "Pooling"), {}
    )
    about = _json(folder / "config_sentence_transformers.json", dict)
    prompts = about.get("prompts")
    return SentenceTransformersFolder(
        folder=encoder,
        pools=tuple(_pools(pooling)),
        prompts={str(key): str(text) for key, text in prompts.items()} if isinstance(prompts, dict) else {},
        default=about.get("default_prompt_name"),
        longest=_longest(encoder),
        scaled=any(kind == "Normalize" for kind, _ in modules),
        prompt_pooled=pooling.get("include_prompt", True) is not False,
        others=tuple(kind for kind, _ in modules if kind not in (*_ENCODERS, "Pooling", "Normalize")),
    )


def _pools(pooling: Mapping[str, Any]) -> Iterator[str]:
    one = pooling.get("pooling_mode")  # a name, or several joined by "+", as newer versions write it
    if isinstance(one, str):
        yield from one.split("+")
    else:
        yield from (name for key, name in _POOLINGS.items() if pooling.get(key) is True)


def _longest(encoder: Path) -> int | None:
    found = (_json(path, dict).get("max_seq_length") for path in sorted(encoder.glob(_LENGTHS)))
    return next((value for value in found if type(value) is int and value > 0), None)


def _entry(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _inside(folder: Path, module: Mapping[str, Any]) -> Path:
    path = PurePosixPath(str(module.get("path", "")))
    if path.is_absolute() or ".." in path.parts:
        raise ModelUnavailable(f"{folder / 'modules.json'} names {path}, which is outside its folder.")
    return folder / path


def _json(path: Path, kind: type) -> Any:
    """What a JSON file holds; an empty `kind` where there is no file. Raises ModelUnavailable for another content."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return kind()
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read ({error}). Copy the model again.") from None
    if not isinstance(value, kind):
        raise ModelUnavailable(f"{path} does not hold what sentence-transformers writes. Copy the model again.")
    return value

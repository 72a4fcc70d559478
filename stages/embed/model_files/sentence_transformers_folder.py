"""The files of a sentence-transformers folder: pooling, prompts and maximum length; read without that package.

modules.json lists the modules that process a text, each with a folder of its own. 1_Pooling/config.json describes how
token vectors are pooled. config_sentence_transformers.json contains prompts, and sentence_bert_config.json the maximum
length. Only the default prompt and the maximum length are applied to what a store keeps: a head reads the encoder's own
hidden states, and notes tell the user which steps of the model are not applied.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from data.errors import ModelUnavailable

_STATIC = "StaticEmbedding"
_ENCODERS = ("Transformer", _STATIC)
# older versions name this file after the network
_LENGTH_FILES = "sentence_*_config.json"
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
    """What sentence-transformers would do with an encoder; nothing for a plain model folder.

    Attributes:
        folder: The encoder's own folder.
        is_static: Whether modules.json says that the encoder is a static model.
        poolings: How the model makes its vector: "cls", "mean", "max", "lasttoken" and others that a store lacks.
        prompts: Name -> text.
        default_prompt: The name of the prompt that is always used.
        max_length: The longest input in tokens, special tokens included.
        normalized: Whether the model scales its vector to length 1.
        includes_prompt: Whether the model's pooling includes the prompt's tokens.
        other_modules: Modules after the encoder that are not applied.
    """

    folder: Path
    is_static: bool = False
    poolings: tuple[str, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    max_length: int | None = None
    normalized: bool = False
    includes_prompt: bool = True
    other_modules: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """The model's default prompt, or ""."""
        return self.prompts.get(self.default_prompt or "", "")

    def notes(self, name: str, *, has_prefix: bool, causal: bool) -> Iterator[str]:
        """Yield sentences that a user of this model should read.

        Args:
            name: The model's name for the user.
            has_prefix: Whether the user set a prefix, so that notes about prompts are not needed.
            causal: Whether "cls" is the vector of the last token.
        """
        if self.poolings:
            yield f"{name} pools by {_describe_poolings(self.poolings, causal)}.{self._skipped_steps()}"
        if has_prefix:
            return
        if self.prefix:
            pooling = "" if self.includes_prompt else " The model's own pooling ignores it; mean and max do not."
            yield f"The default prompt {self.prefix!r} is added to every window; --prefix '' removes it.{pooling}"
        elif any(self.prompts.values()):
            prompts = ", ".join(f"{key} {text!r}" for key, text in self.prompts.items() if text)
            yield f"{name} has prompts ({prompts}), but no default. Choose one with --prefix."

    def _skipped_steps(self) -> str:
        steps = [*self.other_modules, *(["scaling to length 1"] if self.normalized else [])]
        return f" The later steps of the model are not applied: {', '.join(steps)}." if steps else ""


def _describe_poolings(poolings: tuple[str, ...], causal: bool) -> str:
    stored = {"cls", "mean", "max"} | ({"lasttoken"} if causal else set())
    names = {"lasttoken": "the last token, which is cls here"} if causal else {}
    return " and ".join(
        names.get(pooling, pooling if pooling in stored else f"{pooling}, which a store does not keep")
        for pooling in poolings
    )


def read_sentence_transformers_folder(folder: Path) -> SentenceTransformersFolder:
    """Read the files of sentence-transformers in `folder`. Raises ModelUnavailable if one of them is damaged."""
    entries = _read_json(folder / "modules.json", list)
    if not entries:
        return SentenceTransformersFolder(folder=folder)
    modules = [
        (str(entry.get("type", "")).rpartition(".")[2], _module_folder(folder, entry))
        for entry in map(_as_mapping, entries)
    ]
    encoder_kind, encoder = next(((kind, path) for kind, path in modules if kind in _ENCODERS), ("", folder))
    pooling: dict[str, Any] = next(
        (_read_json(path / "config.json", dict) for kind, path in modules if kind == "Pooling"), {}
    )
    config = _read_json(folder / "config_sentence_transformers.json", dict)
    prompts = config.get("prompts")
    return SentenceTransformersFolder(
        folder=encoder,
        is_static=encoder_kind == _STATIC,
        poolings=tuple(_pooling_names(pooling)),
        prompts={str(key): str(text) for key, text in prompts.items()} if isinstance(prompts, dict) else {},
        default_prompt=config.get("default_prompt_name"),
        max_length=_max_length(encoder),
        normalized=any(kind == "Normalize" for kind, _ in modules),
        includes_prompt=pooling.get("include_prompt", True) is not False,
        other_modules=tuple(kind for kind, _ in modules if kind not in (*_ENCODERS, "Pooling", "Normalize")),
    )


def copy_modules(source: Path, encoder: Path, target: Path) -> None:
    """Copy the modules after the encoder, and modules.json, in which the encoder is in `target` itself from now on.

    Args:
        source: The folder of the model; without modules.json, nothing is copied.
        encoder: The folder of the encoder in it.
        target: The folder of a new encoder that takes the place of `encoder`.

    Raises:
        ModelUnavailable: modules.json is damaged.
    """
    modules = [dict(entry) for entry in map(_as_mapping, _read_json(source / "modules.json", list))]
    for module in modules:
        folder = _module_folder(source, module)
        if folder == encoder:
            module["path"] = ""
        elif folder.is_dir():
            shutil.copytree(folder, target / folder.relative_to(source), dirs_exist_ok=True)
    if modules:
        (target / "modules.json").write_text(json.dumps(modules, indent=2) + "\n", encoding="utf-8")


def _pooling_names(pooling: Mapping[str, Any]) -> Iterator[str]:
    names = pooling.get("pooling_mode")  # newer versions write one name, or several joined by "+"
    if isinstance(names, str):
        yield from names.split("+")
    else:
        yield from (name for key, name in _POOLINGS.items() if pooling.get(key) is True)


def _max_length(encoder: Path) -> int | None:
    lengths = (_read_json(path, dict).get("max_seq_length") for path in sorted(encoder.glob(_LENGTH_FILES)))
    return next((length for length in lengths if type(length) is int and length > 0), None)


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _module_folder(folder: Path, module: Mapping[str, Any]) -> Path:
    path = PurePosixPath(str(module.get("path", "")))
    if path.is_absolute() or ".." in path.parts:
        raise ModelUnavailable(
            f"{folder / 'modules.json'} names {path}, which is outside the model folder. Copy the model again."
        )
    return folder / path


def _read_json(path: Path, kind: type) -> Any:
    """Read a JSON file; an empty `kind` if there is no file. Raises ModelUnavailable if it contains another type."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return kind()
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read ({error}). Copy the model again.") from None
    if not isinstance(value, kind):
        raise ModelUnavailable(f"{path} is not in the format of sentence-transformers. Copy the model again.")
    return value

"""Python code that comes with a model: refused, or run because the user trusts it and then part of the recipe."""

import hashlib
from dataclasses import replace
from pathlib import Path

from data.errors import ModelUnavailable
from stages.embed.model_files.checkpoint import Config


def resolve_remote_code(config: Config, *, trust: bool) -> Config:
    """`config`, and where code of the folder is to run, the hashes of its Python files.

    Code runs only with `trust`, and only where config.json's auto_map names some. Without `trust` a network that
    transformers has itself is taken from there; any other is refused with ModelUnavailable. So is code that lies in
    another repository: what it does could change without the recipe knowing.
    """
    named = _named(config)
    if not named:
        return config
    if not trust:
        if _built_in(config.family):
            return config
        raise ModelUnavailable(
            f"{config.folder} needs Python code of its own ({named[0]}), which runs only where you trust it: "
            "read it, then give --trust-remote-code."
        )
    for name in named:
        repository, dashes, _ = name.rpartition("--")
        if dashes:
            raise ModelUnavailable(
                f"{config.folder} takes its code from another repository ({repository}), which may change: copy its "
                "Python files beside config.json and name them there without the repository."
            )
        if not (config.folder / f"{name.partition('.')[0]}.py").is_file():
            raise ModelUnavailable(f"{config.folder} lacks {name.partition('.')[0]}.py. Copy the model again.")
    return replace(config, code=_hashes(config.folder))


def _named(config: Config) -> list[str]:
    """What makes the configuration and the network, as auto_map names it: "modeling_x.XModel"."""
    listed = config.values.get("auto_map")
    found = [listed.get(kind) for kind in ("AutoModel", "AutoConfig")] if isinstance(listed, dict) else []
    return [name for name in found if isinstance(name, str)]


def _built_in(family: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return family in CONFIG_MAPPING_NAMES


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*.py") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

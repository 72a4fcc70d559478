"""The programs that run an encoder: torch itself, or a graph that torch wrote down, in ONNX Runtime or OpenVINO."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from data.errors import CallError, ExtraMissing, UnknownName, suggest_name

AUTO = "auto"

# backend -> packages that it needs beside torch; an extra of the same name brings them
BACKENDS: Mapping[str, tuple[str, ...]] = {
    "torch": (),
    "onnx": ("onnx", "onnxruntime"),
    "openvino": ("onnx", "openvino"),
}
INT8 = "int8"


def resolve_backend(backend: str, precision: str, device: str) -> str:
    """The backend that computes in `precision` on `device`; "auto" is onnx for int8, else torch.

    Raises UnknownName, CallError for what no such backend does, and ExtraMissing where it is not installed. None of
    them is imported.
    """
    if backend == AUTO:
        backend = "onnx" if precision == INT8 else "torch"
    if backend not in BACKENDS:
        raise UnknownName(f"There is no backend called '{backend}'.{suggest_name(backend, (AUTO, *BACKENDS))}")
    if precision == INT8 and backend != "onnx":
        raise CallError(f"{backend} does not compute in int8 here. The backend that does is onnx: --backend onnx.")
    if backend == "torch":
        return backend
    if precision not in ("float32", INT8):
        raise CallError(f"{backend} computes in float32 here, not in {precision}, which torch does: --backend torch.")
    if device not in ("auto", "cpu"):
        raise CallError(f"{backend} runs on the cpu here, not on {device}: leave --device out, or --backend torch.")
    if not is_installed(backend):
        raise ExtraMissing(
            f"The backend {backend} needs {' and '.join(missing_packages(backend))}: "
            f"pip install 'embedonce[{backend}]', or --backend torch."
        )
    return backend


def missing_packages(backend: str) -> list[str]:
    """The packages that `backend` needs and that are not installed."""
    return [name for name in BACKENDS[backend] if find_spec(name) is None]


def is_installed(backend: str) -> bool:
    """Whether `backend` can be used."""
    return not missing_packages(backend)


def package_versions(backend: str) -> dict[str, str]:
    """The versions of what computes with `backend`: torch and transformers wrote its graph."""
    found = {}
    for name in ("torch", "transformers", *BACKENDS[backend]):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # there, but not as a distribution of that name, as onnxruntime-gpu is
            found[name] = "unknown"
    return found

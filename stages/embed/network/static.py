"""Static models: one vector per token from a table, without transformers and without a network."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ModelUnavailable
from stages.embed.model_files.checkpoint import Config, read_config, tensor_shapes
from stages.embed.model_files.model_families import STATIC_FAMILY
from stages.embed.model_files.sentence_transformers_folder import SentenceTransformersFolder

if TYPE_CHECKING:
    import torch

# the names of the matrix in model2vec and in sentence-transformers
_MATRICES = ("embeddings", "embedding.weight")
# since model2vec 0.5: token id -> row of the matrix, and the factor of each token
_ROWS, _WEIGHTS = "mapping", "weights"


def read_static_config(folder: Path) -> Config | None:
    """Return the Config of a static model; None if the folder contains another model.

    The model.safetensors of a static model contains an embedding matrix, and nothing else but its mapping and weights.
    Raises ModelUnavailable for a damaged file.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        return None
    shapes = tensor_shapes(path)
    matrix = next((name for name in _MATRICES if len(shapes.get(name, ())) == 2), None)
    if matrix is None or set(shapes) - {matrix, _ROWS, _WEIGHTS}:
        return None
    rows, dim = shapes[matrix]
    tokens = shapes.get(_ROWS, (rows,))[0]
    if shapes.get(_WEIGHTS, (tokens,)) != (tokens,):
        raise ModelUnavailable(
            f"{path}: the number of its weights is not that of its {tokens:,} tokens. Copy the model again."
        )
    sizes = {"vocab_size": tokens, "hidden_size": dim, "num_hidden_layers": 0}
    return Config(folder, {"model_type": STATIC_FAMILY, **sizes})


def is_static(model: SentenceTransformersFolder) -> bool:
    """Return whether a model is static; known before its weights are downloaded if its JSON files say so."""
    if model.is_static or read_static_config(model.folder) is not None:
        return True
    return (model.folder / "config.json").is_file() and read_config(model.folder).family == STATIC_FAMILY


class StaticNetwork:
    """A table of token vectors on the CPU, with the call of a network.

    A token's vector is its row of the matrix, times its weight if the model has weights (model2vec, Tulkens and van
    Dongen 2024). Unknown tokens have the row of the unknown token; model2vec itself leaves them out.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import load_file

        tensors = load_file(folder / "model.safetensors")
        self._matrix = next(tensors[name] for name in _MATRICES if name in tensors)
        self._rows = tensors[_ROWS].long() if _ROWS in tensors else None
        self._weights = tensors[_WEIGHTS].float() if _WEIGHTS in tensors else None
        if self._rows is not None and not 0 <= int(self._rows.min()) <= int(self._rows.max()) < len(self._matrix):
            raise ModelUnavailable(f"{folder}: its mapping names rows that do not exist. Copy the model again.")

    def __call__(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":  # noqa: ARG002
        """Look up the vectors of ids, int64 (windows, longest); returns one float32 (windows, longest, dim)."""
        vectors = self._matrix[ids if self._rows is None else self._rows[ids]].float()
        return [vectors if self._weights is None else vectors * self._weights[ids][..., None]]

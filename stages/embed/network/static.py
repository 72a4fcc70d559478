"""Static models: a vector a token, looked up. Neither transformers nor a network is needed: the floor of cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ModelUnavailable
from stages.embed.model_files.checkpoint import Config, tensor_shapes
from stages.embed.model_files.model_families import STATIC

if TYPE_CHECKING:
    import torch

# as model2vec and sentence-transformers call the matrix
_MATRICES = ("embeddings", "embedding.weight")
# model2vec since 0.5: id -> row of the matrix, and what the row is multiplied with
_ROWS, _WEIGHTS = "mapping", "weights"


def read_static_config(folder: Path) -> Config | None:
    """What a static model's tensors say of it as a Config; None for a folder that holds no static model.

    A static model is a model.safetensors with an `embeddings` matrix beside nothing but a mapping and weights of it.
    Raises ModelUnavailable for a damaged one.
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
            f"{path}: its weights are not one for each of its {tokens:,} tokens. Copy the model again."
        )
    sizes = {"vocab_size": tokens, "hidden_size": dim, "num_hidden_layers": 0}
    return Config(folder, {"model_type": STATIC, **sizes})


class StaticNetwork:
    """Called with ids, int64 (windows, longest), and lengths; gives one float32 (windows, longest, dim) on the CPU.

    A token's vector is its row of the matrix, times its weight where the model has weights (model2vec, Tulkens and
    van Dongen 2024). Unknown tokens have the row that the model gives them; model2vec itself leaves them out.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import load_file

        tensors = load_file(folder / "model.safetensors")
        self._matrix = next(tensors[name] for name in _MATRICES if name in tensors)
        self._rows = tensors[_ROWS].long() if _ROWS in tensors else None
        self._weights = tensors[_WEIGHTS].float() if _WEIGHTS in tensors else None
        if self._rows is not None and not 0 <= int(self._rows.min()) <= int(self._rows.max()) < len(self._matrix):
            raise ModelUnavailable(f"{folder}: its mapping names rows that it does not have. Copy the model again.")

    def __call__(self, ids: "torch.Tensor", lengths: "torch.Tensor") -> "Sequence[torch.Tensor]":  # noqa: ARG002
        """The vectors of the tokens."""
        vectors = self._matrix[ids if self._rows is None else self._rows[ids]].float()
        return [vectors if self._weights is None else vectors * self._weights[ids][..., None]]

"""The classification layer of a fine-tuned encoder, over the vectors of a store that this encoder made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from featurestore import Bags
from heads.core.head import Examples, Head
from heads.core.hyperparameters import Help
from heads.core.inputs import as_labels
from heads.core.saving import read_arrays, write_arrays

__all__ = ["FinetunedHead", "LogitPooling", "WindowVector"]

WindowVector: TypeAlias = Literal["cls", "mean"]
LogitPooling: TypeAlias = Literal["mean", "max"]

LAYER = "layer.safetensors"


class FittedLayer:
    """The attributes of a fitted FinetunedHead: float32 (classes, dim), and float32 (classes,)."""

    weight_: NDArray[np.float32]
    bias_: NDArray[np.float32]


@dataclass(eq=False, repr=False, kw_only=True)
class FinetunedHead(FittedLayer, Head):
    """The classification layer that `finetune` trained together with the encoder; `fit` does not train it.

    The logits of a document are pooled over its windows. With the mean, they are those of its mean window vector.
    """

    name: ClassVar[str] = "finetuned"

    vector: Annotated[WindowVector, Help("the vector of a window that the layer reads")] = "mean"
    pooling: Annotated[LogitPooling, Help("pooling of the logits of a document's windows")] = "mean"

    def set_layer(
        self, labels: NDArray[Any], weight: NDArray[np.float32], bias: NDArray[np.float32], parameters: int
    ) -> Self:
        """Take over a trained layer, which makes this a fitted head.

        Args:
            labels: of the documents that it was trained on, as `fit` takes them.
            weight: float32 (classes, dim), the classes in the order of `classes_`.
            bias: float32 (classes,).
            parameters: how many numbers were learned, those of the encoder included.

        Returns:
            The head.

        Raises:
            CallError: as `fit` does for such labels.
        """
        self.notes_ = ()
        self.dims_ = {self.vector: weight.shape[1]}
        documents = Bags.from_array(np.zeros((len(labels), 1), np.float32))
        self._examples(documents, as_labels(labels, len(labels)), np.ones(len(labels)), None, None)
        self.weight_, self.bias_ = (np.asarray(values, dtype=np.float32) for values in (weight, bias))
        self.parameter_count_ = parameters
        return self

    def _requested_views(self) -> tuple[str, ...]:
        return (self.vector,)

    def _fit(self, examples: Examples) -> None:
        del examples
        raise CallError("The head finetuned is trained together with its encoder. Use `embedonce finetune`.")

    def _decision_function(self, bags: Bags) -> NDArray[np.float32]:
        if self.pooling == "mean":
            return np.asarray(bags.pooled((self.vector,)) @ self.weight_.T + self.bias_)
        values, offsets = bags.view(self.vector).gather(np.float32)
        logits = values.reshape(-1, self.weight_.shape[1]) @ self.weight_.T + self.bias_
        scores = np.tile(self.bias_, (len(bags), 1))
        rows = np.flatnonzero(np.diff(offsets))
        scores[rows] = np.maximum.reduceat(logits, offsets[rows]) if len(rows) else 0.0
        return scores

    def _save(self, folder: Path) -> None:
        write_arrays(folder / LAYER, {"weight": self.weight_, "bias": self.bias_})

    def _load(self, folder: Path) -> None:
        classes, dim = len(self.classes_), sum(self.dims_.values())
        arrays = read_arrays(folder / LAYER, {"weight": (classes, dim), "bias": (classes,)})
        self.weight_, self.bias_ = arrays["weight"], arrays["bias"]

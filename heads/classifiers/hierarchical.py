"""One network for a hierarchy of labels: a softmax per node over its children, on a shared trunk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data.hierarchy import Hierarchy
from data.tabular import Tabular
from heads.classifiers.layermix import BODIES, check_hidden
from heads.core.class_weights import ClassWeight
from heads.core.detailed_labels import DetailedLabels
from heads.core.hyperparameters import Help, Range, Search, check_hyperparameters
from heads.training.conditional_softmax import Branches, ConditionalSoftmax
from heads.training.document_batches import Sequences
from heads.training.network_head import NetworkHead

__all__ = ["HierarchicalHead"]


@dataclass(eq=False, repr=False, kw_only=True)
class HierarchicalHead(NetworkHead):
    """One network for a hierarchy of labels: a softmax per node over its children, on a shared trunk.

    The score of a label is the sum of log-probabilities along its path, and so is its loss (conditional softmax; Redmon
    & Farhadi 2017, arXiv 1612.08242, section 4; Valmadre 2022, arXiv 2210.10929). A label above others has one more
    child, "end here". A node with several parents is reached through each, and probabilities of paths are added. Logit
    adjustment: Menon et al. 2021, arXiv 2007.07314, with the frequencies of the branches of each node.

    Out of fold on the 1,198 training articles of wikivitals (5 folds, argmax), where `mlp` with one softmax over all
    paths has a micro hF1 of 0.425 and a macro-F1 of 0.068: 0.559 and 0.084 with a `tau` of 0, 0.565 and 0.093 with 0.5,
    0.543 and 0.094 with 1.
    """

    name: ClassVar[str] = "hierarchical"
    supports_multilabel: ClassVar[bool] = False
    uses_tabular: ClassVar[bool] = True

    tree: Annotated[
        Mapping[Any, Sequence[str]] | None,
        Help("node -> its parents, or label -> its path from the top; none for one softmax over all labels"),
    ] = None
    tau: Annotated[
        float,
        Range(0),
        Help("strength of the logit adjustment of each softmax by the frequencies of its branches; 0 for none"),
        Search(0, 1.5),
    ] = 0.5
    trunk: Annotated[
        Literal["mlp", "mil", "attention", "lstm", "gru", "transformer"],
        Help("head whose network all nodes share, with that head's defaults for other hyperparameters"),
    ] = "mlp"
    hidden: Annotated[
        int,
        Range(0),
        Help("hidden (for transformer, width, a multiple of 4) of the trunk"),
        Search(choices=(64, 128, 256, 512, 1024)),  # multiples of a transformer's attention heads
    ] = 256
    dropout: Annotated[float, Range(0, below=1), Help("dropout rate of the trunk"), Search(0, 0.6)] = 0.2
    # rare branches are favored by tau
    class_weight: ClassWeight = "none"

    def build(self, dim: int, labels: int) -> nn.Module:
        """A network that maps a Batch to log-probabilities, float32 (documents, labels)."""
        del labels  # its outputs are those of the hierarchy
        detailed = self.detailed_ or DetailedLabels(self.classes_, self.counts_, np.arange(len(self.classes_)))
        names: list[str] = [str(label) for label in detailed.classes]
        hierarchy = Hierarchy.from_tree(dict.fromkeys(names, ()) if self.tree is None else self.tree, names)
        branches = Branches.of(hierarchy, detailed.counts)
        trunk = self._trunk().build(dim, len(branches))
        return ConditionalSoftmax(trunk, branches, self.tau, None if self.detailed_ is None else detailed.class_of)

    def _trunk(self) -> NetworkHead:
        trunk = BODIES[self.trunk]()
        check_hidden(self.hidden, trunk, "trunk")
        names = trunk.get_params(deep=False).keys()
        values = {"hidden": self.hidden, "width": self.hidden, "dropout": self.dropout}
        trunk.set_params(**{name: value for name, value in values.items() if name in names})
        check_hyperparameters(trunk)
        trunk.tabular_ = self.tabular_
        return trunk

    def _fit_tabular(self, tabular: Tabular | None, weight: NDArray[np.float64]) -> None:
        if tabular is not None and self.trunk != "mlp":
            self._add_note(f"The trunk {self.trunk} reads the text alone, not the tabular columns.")
            tabular = None
        super()._fit_tabular(tabular, weight)

    def _requested_views(self) -> tuple[str, ...]:
        return self._trunk()._requested_views()

    def _position_limit(self) -> int | None:
        return self._trunk()._position_limit()

    def _prepare_sequences(self, sequences: Sequences, mean: torch.Tensor) -> Sequences:
        return self._trunk()._prepare_sequences(sequences, mean)

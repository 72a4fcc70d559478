"""Every metric of one prediction, with its confidence interval, as a run keeps it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.label_set_metrics import LabelSetMetrics

__all__ = ["LabelMetrics", "Scorecard"]


@dataclass(frozen=True)
class LabelMetrics:
    """The metrics of one label; support counts its documents, predicted the documents predicted to have it.

    average_precision, auroc: of the label against all others; None without probabilities, or if they are not defined.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    average_precision: float | None = None
    auroc: float | None = None


@dataclass(frozen=True)
class Scorecard:
    """Every metric of one prediction, with 95 % confidence intervals.

    The metrics are those of `ConfusionCounts` and `ProbabilityTable`. Accuracy is the share of documents whose
    labels are all correct. A metric that the labels do not have is None: `balanced_accuracy`, `mcc` and `kappa` are for
    one label per document, `hamming_loss` and those of samples for several, `absolute_error` and `quadratic_kappa` for
    ordinal labels, and from `hf1` on for labels of a hierarchy, the last three of these for one label per document
    only. `level_accuracy` has a value for each level, from the top, at which there is a document, and `level_documents`
    the number of these documents. `decided_share` and `selective_accuracy` are None unless the decision abstained, and
    `log_loss` to `auroc` without probabilities, and `label_sets` without label sets.
    """

    documents: int
    macro_f1: ConfidenceInterval
    micro_f1: ConfidenceInterval
    accuracy: ConfidenceInterval
    labels: tuple[LabelMetrics, ...]
    weighted_f1: ConfidenceInterval | None = None
    macro_precision: ConfidenceInterval | None = None
    macro_recall: ConfidenceInterval | None = None
    micro_precision: ConfidenceInterval | None = None
    micro_recall: ConfidenceInterval | None = None
    weighted_precision: ConfidenceInterval | None = None
    weighted_recall: ConfidenceInterval | None = None
    balanced_accuracy: ConfidenceInterval | None = None
    mcc: ConfidenceInterval | None = None
    kappa: ConfidenceInterval | None = None
    decided_share: ConfidenceInterval | None = None
    selective_accuracy: ConfidenceInterval | None = None
    hamming_loss: ConfidenceInterval | None = None
    samples_f1: ConfidenceInterval | None = None
    samples_precision: ConfidenceInterval | None = None
    samples_recall: ConfidenceInterval | None = None
    log_loss: ConfidenceInterval | None = None
    brier: ConfidenceInterval | None = None
    ece: ConfidenceInterval | None = None
    average_precision: ConfidenceInterval | None = None
    auroc: ConfidenceInterval | None = None
    absolute_error: ConfidenceInterval | None = None
    quadratic_kappa: ConfidenceInterval | None = None
    hf1: ConfidenceInterval | None = None
    hierarchical_precision: ConfidenceInterval | None = None
    hierarchical_recall: ConfidenceInterval | None = None
    macro_hf1: ConfidenceInterval | None = None
    consistency: ConfidenceInterval | None = None
    tree_distance: ConfidenceInterval | None = None
    lca_f1: ConfidenceInterval | None = None
    wu_palmer: ConfidenceInterval | None = None
    level_accuracy: tuple[ConfidenceInterval, ...] = ()
    level_documents: tuple[int, ...] = ()
    label_sets: LabelSetMetrics | None = None

    @property
    def averaged_labels(self) -> int:
        """How many labels macro-F1 is the mean of: those with a document or a prediction."""
        return sum(bool(label.support or label.predicted) for label in self.labels)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The scorecard that `to_json` returned."""
        values: dict[str, Any] = {each.name: content[each.name] for each in fields(cls) if content.get(each.name)}
        for name, value in values.items():
            if isinstance(value, Mapping):
                is_interval = name != "label_sets"
                values[name] = ConfidenceInterval(**value) if is_interval else LabelSetMetrics.from_json(value)
        values["labels"] = tuple(LabelMetrics(**label) for label in content["labels"])
        values["level_accuracy"] = tuple(ConfidenceInterval(**level) for level in content.get("level_accuracy", ()))
        values["level_documents"] = tuple(content.get("level_documents", ()))
        return cls(**{"documents": 0, **values})

"""The metrics of a prediction, defined once for every command.

A label without predictions has precision 0 and one without documents has recall 0 (scikit-learn's zero_division=0).
Macro-F1 is the mean over the labels that are in truth or prediction. That is scikit-learn's default for single-label
targets, and its zero_division=nan for multi-label ones, where a label in neither would otherwise count as a miss.
Ordinal labels have two more metrics, over label positions: scikit-learn's mean_absolute_error, and its
cohen_kappa_score with quadratic weights. Labels of a hierarchy have those of `document_measures`; hierarchical
precision, recall and F1 equal those of HiClass.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, suggest_name
from data.hierarchy import Hierarchy
from data.target import TargetKind
from heads.evaluation.bca import accelerations, bca_interval
from heads.evaluation.bootstrap import RESAMPLES, ConfidenceInterval, resample_metrics
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.count_table import CountTables
from heads.evaluation.probability_table import ProbabilityTable, resample_probabilities
from heads.evaluation.scorecards import LabelMetrics, Scorecard

__all__ = [
    "ABSOLUTE_ERROR",
    "HF1",
    "MACRO_F1",
    "METRICS",
    "ConfidenceInterval",
    "LabelMetrics",
    "Metric",
    "Scorecard",
    "find_metric",
    "level_accuracy",
    "macro_f1",
    "ranking_metric",
    "scorecard",
]


@dataclass(frozen=True)
class Metric:
    """A metric that selects or ranks.

    Attributes:
        name: its name for a reader.
        attribute: its attribute of `ConfusionCounts` and `Scorecard`; a metric of probabilities has none of the first.
        sign: -1 if lower is better.
        needs: the labels that have it: any, one per document, several, ordinal ones, those of a taxonomy, or one label
            per document of a taxonomy; or any if there are probabilities.
        level: the level of a metric that has one value for each, from 1 at the top; 0 for other metrics.
    """

    name: str
    attribute: str
    sign: int = 1
    needs: Literal["", "one label", "several labels", "order", "taxonomy", "one path", "probabilities"] = ""
    level: int = 0

    @property
    def ignores_undecided(self) -> bool:
        """Whether it is of the documents that a decision does not leave undecided, so that leaving out more helps."""
        return self.needs == "order" or self.attribute.endswith("_precision")

    def value(self, result: ConfusionCounts | Scorecard) -> Any:
        """Its value: a number, one number per resample, or a confidence interval; None if there is none."""
        value = getattr(result, self.attribute)
        if not self.level or value is None:
            return value
        if isinstance(value, tuple):
            return value[self.level - 1] if self.level <= len(value) else None
        return value[..., self.level - 1]

    def signed_value(self, result: ConfusionCounts | Scorecard) -> Any:
        """Its value with the sign for which higher is better: a number, or one number per resample."""
        value = self.value(result)
        return self.sign * (value.value if isinstance(value, ConfidenceInterval) else value)


MACRO_F1 = Metric("macro-F1", "macro_f1")
ABSOLUTE_ERROR = Metric("mean absolute error", "absolute_error", sign=-1, needs="order")
HF1 = Metric("hF1", "hf1", needs="taxonomy")

METRICS: Mapping[str, Metric] = {  # by the name in `--metric`
    "macro-f1": MACRO_F1,
    "micro-f1": Metric("micro-F1", "micro_f1"),
    "accuracy": Metric("accuracy", "accuracy"),
    "weighted-f1": Metric("weighted F1", "weighted_f1"),
    "macro-precision": Metric("macro precision", "macro_precision"),
    "macro-recall": Metric("macro recall", "macro_recall"),
    "micro-precision": Metric("micro precision", "micro_precision"),
    "micro-recall": Metric("micro recall", "micro_recall"),
    "weighted-precision": Metric("weighted precision", "weighted_precision"),
    "weighted-recall": Metric("weighted recall", "weighted_recall"),
    "balanced-accuracy": Metric("balanced accuracy", "balanced_accuracy", needs="one label"),
    "mcc": Metric("MCC", "mcc", needs="one label"),
    "kappa": Metric("kappa", "kappa", needs="one label"),
    "samples-f1": Metric("samples F1", "samples_f1", needs="several labels"),
    "samples-precision": Metric("samples precision", "samples_precision", needs="several labels"),
    "samples-recall": Metric("samples recall", "samples_recall", needs="several labels"),
    "hamming-loss": Metric("Hamming loss", "hamming_loss", sign=-1, needs="several labels"),
    "average-precision": Metric("average precision", "average_precision", needs="probabilities"),
    "auroc": Metric("AUROC", "auroc", needs="probabilities"),
    "log-loss": Metric("log loss", "log_loss", sign=-1, needs="probabilities"),
    "brier": Metric("Brier score", "brier", sign=-1, needs="probabilities"),
    "ece": Metric("ECE", "ece", sign=-1, needs="probabilities"),
    "quadratic-kappa": Metric("quadratic kappa", "quadratic_kappa", needs="order"),
    "absolute-error": ABSOLUTE_ERROR,
    "hf1": HF1,
    "macro-hf1": Metric("macro hF1", "macro_hf1", needs="taxonomy"),
    "tree-distance": Metric("tree distance", "tree_distance", sign=-1, needs="one path"),
    "lca-f1": Metric("LCA F1", "lca_f1", needs="one path"),
    "wu-palmer": Metric("Wu-Palmer similarity", "wu_palmer", needs="one path"),
}


def level_accuracy(level: int) -> Metric:
    """The accuracy at a level of the taxonomy, from 1 at the top."""
    return Metric(f"accuracy at level {level}", "level_accuracy", needs="taxonomy", level=level)


def find_metric(name: str, kind: TargetKind, *, has_taxonomy: bool, of: str) -> Metric:
    """The metric that a user named.

    Args:
        name: a key of METRICS.
        kind: of the labels.
        has_taxonomy: whether the labels have a taxonomy.
        of: the corpus or the run with these labels, for the error.

    Returns:
        The metric.

    Raises:
        CallError: there is no such metric, or these labels do not have it.
    """
    if name not in METRICS:
        raise CallError(f"There is no metric '{name}'.{suggest_name(name, METRICS)}")
    metric = METRICS[name]
    if metric.needs == "one label" and kind == "multilabel":
        raise CallError(
            f"--metric {name} needs one label per document, and {of} is multi-label. Name macro-f1 instead."
        )
    if metric.needs == "several labels" and kind != "multilabel":
        raise CallError(f"--metric {name} is for multi-label runs, and {of} has one label per document. Name accuracy.")
    if metric.needs == "order" and kind != "ordinal":
        raise CallError(f"--metric {name} is for ordinal labels. Fit with --order, which names their order.")
    if metric.needs in ("taxonomy", "one path") and not has_taxonomy:
        raise CallError(
            f"--metric {name} needs a taxonomy, and the labels of {of} have none. Name another metric, "
            "or give the corpus one with `embedonce store label --taxonomy FILE` before you fit."
        )
    if metric.needs == "one path" and kind == "multilabel":
        raise CallError(f"--metric {name} needs one label per document, and {of} is multi-label. Name hf1 instead.")
    return metric


def ranking_metric(scorecards: Iterable[Scorecard], selected_by: Iterable[str] = ()) -> Metric:
    """The metric that ranks predictions.

    Args:
        scorecards: of the predictions.
        selected_by: the name of the metric that selected the decision rule of each prediction.

    Returns:
        The metric that selected every rule, if there is one that all predictions have; else the mean absolute error if
        all have ordinal labels, or macro-F1.
    """
    cards, names = list(scorecards), set(selected_by)
    candidates = [metric for metric in METRICS.values() if {metric.name} == names]
    for metric in (*candidates, ABSOLUTE_ERROR):
        if cards and all(metric.value(card) is not None for card in cards):
            return metric
    return MACRO_F1


def macro_f1(truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> float:
    """Mean F1 over the labels that are in truth or prediction.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        predicted: the same.
        labels: number of labels.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: the shapes differ, or a code is not a label.
    """
    return float(ConfusionCounts.from_predictions(truth, predicted, labels).macro_f1)


def scorecard(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    labels: Sequence[str],
    seed: int = 0,
    resamples: int = RESAMPLES,
    *,
    ordinal: bool = False,
    hierarchy: Hierarchy | None = None,
    probabilities: NDArray[Any] | None = None,
) -> Scorecard:
    """Compute every metric with a 95 % BCa confidence interval over documents (see `bca`).

    Args:
        truth: int codes (documents,) into `labels`, or bool (documents, labels).
        predicted: the same; with a hierarchy, codes of nodes; -1 or -2 if a decision abstained.
        labels: names of the labels; for ordinal labels from the lowest to the highest.
        seed: seed of the resamples.
        resamples: number of resamples.
        ordinal: whether to compute the metrics of ordinal labels.
        hierarchy: of the labels, for the hierarchical metrics; None if they have none.
        probabilities: (documents, labels), for the metrics of probabilities; None for a scorecard without them.

    Returns:
        The scorecard.

    Raises:
        ValueError: the shapes differ, or a code is not a label.
    """
    counts = ConfusionCounts.from_predictions(truth, predicted, len(labels), hierarchy)
    tables = CountTables.build(truth, [predicted], len(labels), hierarchy)
    (resampled,), slopes = resample_metrics(tables, seed, resamples), accelerations(tables, counts)
    skipped = {"level_accuracy", *(() if ordinal else ("absolute_error", "quadratic_kappa"))}
    skipped |= {"decided_share", "selective_accuracy"} if predicted.ndim == 2 or (predicted >= 0).all() else set()
    metrics: dict[str, Any] = {
        name: bca_interval(value, resampled[name], float(slopes[name]))
        for name, value in counts.values().items()
        if name not in skipped
    }
    if "level_accuracy" in resampled:
        metrics |= _level_metrics(counts, resampled["level_accuracy"], slopes["level_accuracy"])
    of_labels = _label_metrics(counts, labels)
    if probabilities is not None:
        table = ProbabilityTable.of(truth, probabilities)
        (drawn,) = resample_probabilities([table], seed, resamples)
        metrics |= {name: table.interval(name, draws) for name, draws in drawn.items()}
        of_labels = _with_rankings(of_labels, table)
    return Scorecard(documents=int(counts.documents), labels=of_labels, **metrics)


def _level_metrics(
    counts: ConfusionCounts, resampled: NDArray[np.float64], slopes: NDArray[np.float64]
) -> dict[str, Any]:
    """The fields of a scorecard for each level at which there is a document.

    resampled: (resamples, levels). slopes: (levels,), the accelerations.
    """
    documents = tuple(int(count) for count in counts.sums["level_documents"] if count)
    levels = zip(counts.level_accuracy, resampled.T, slopes, documents, strict=False)
    intervals = (bca_interval(value, draws, float(slope)) for value, draws, slope, _ in levels)
    return {"level_accuracy": tuple(intervals), "level_documents": documents}


def _label_metrics(counts: ConfusionCounts, labels: Sequence[str]) -> tuple[LabelMetrics, ...]:
    columns = (counts.precision, counts.recall, counts.f1, counts.support, counts.predicted)
    rows = zip(labels, *(np.asarray(column).tolist() for column in columns), strict=True)
    return tuple(LabelMetrics(*row) for row in rows)


def _with_rankings(labels: tuple[LabelMetrics, ...], table: ProbabilityTable) -> tuple[LabelMetrics, ...]:
    """The metrics of labels with their average precision and AUROC, where they are defined."""
    columns = ([None if isnan(value) else value for value in row] for row in table.labels.tolist())
    rows = zip(labels, *columns, strict=False)
    return tuple(replace(label, average_precision=first, auroc=second) for label, first, second in rows) or labels

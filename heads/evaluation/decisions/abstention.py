"""Documents that are left undecided because the decision would be uncertain.

The confidence in a prediction is its calibrated probability: of the predicted label, or of a node of a hierarchy the
sum over the labels at and below it. So a predicted node is right here if the true label is at or below it, while the
metrics of a run count labels. On out-of-fold scores of training documents, the mean accuracy over all coverages
of linear, mlp and knn on Reuters-52 and of tfidf on 20 Newsgroups was 99.31, 99.22, 98.78 and 98.44 with it, 99.32,
99.25, 98.77 and 98.50 with the difference between the two highest probabilities, and 99.28, 99.15, 98.73 and 98.34 with
the entropy. The second differs from the first by less than 0.1 points, so the confidence is the one that is the
probability of being right, which a user can choose without a table.

Chow 1970, On optimum recognition error and reject tradeoff (IEEE Transactions on Information Theory 16): leaving the
documents with the lowest such probability undecided has the lowest error at each coverage.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from data.hierarchy import Hierarchy, Parents
from data.splits import assign_folds
from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.decisions.novelty import OtherRule
from heads.evaluation.proportions import share_interval
from heads.evaluation.risk_coverage import RiskCoverageCurve, prediction_confidence, risk_coverage_curve

__all__ = [
    "ABSTAINED",
    "OTHER",
    "REASONS",
    "Abstention",
    "AbstentionEvidence",
    "AbstentionOptions",
    "check_can_abstain",
    "fit_abstention",
]

ABSTAINED = -1  # the code of a document that is left undecided because of its confidence
OTHER = -2  # the code of a document that is left undecided because it is unlike those of training
REASONS: Mapping[int, str] = {ABSTAINED: "low confidence", OTHER: "unlike training"}
FOLDS = 5
FALSE_ALARMS = 0.05


@dataclass(frozen=True, kw_only=True)
class AbstentionOptions:
    """What the user asks for.

    Attributes:
        min_confidence: the lowest probability of a prediction that is made; None if it follows from `coverage`.
        coverage: the share of documents that is decided; None for all.
        other: whether documents unlike those of training are left undecided.
        false_alarms: the share of documents like those of training that may be left undecided as unlike them.
    """

    min_confidence: float | None = None
    coverage: float | None = None
    other: bool = False
    false_alarms: float = FALSE_ALARMS

    def __post_init__(self) -> None:
        """Check the values. Raises CallError."""
        if self.min_confidence is not None and self.coverage is not None:
            raise CallError(
                "--min-confidence and --coverage both say which documents are left undecided. Leave one of them out."
            )
        _check_share("--min-confidence", self.min_confidence)
        _check_share("--coverage", self.coverage)
        if not 0 < self.false_alarms < 1:  # NaN is refused too
            raise CallError(f"--false-alarms must be above 0 and below 1, got {self.false_alarms:g}.")

    @property
    def is_requested(self) -> bool:
        """Whether any document may be left undecided."""
        return self.other or self.min_confidence is not None or self.coverage is not None


def _check_share(name: str, value: float | None) -> None:
    if value is not None and not 0 < value <= 1:  # NaN is refused too
        raise CallError(f"{name} must be above 0 and at most 1, got {value:g}.")


@dataclass(frozen=True)
class AbstentionEvidence:
    """What abstention does to documents that neither the head nor the threshold was fitted to.

    Attributes:
        documents: number of documents.
        decided: the share that is decided, before documents unlike training are taken out.
        accuracy: of all documents, if all were decided; a node of a hierarchy is right if the true label is at or below
            it.
        selective_accuracy: the same of the decided documents.
        curve: accuracy against coverage, for every threshold.
    """

    documents: int
    decided: ConfidenceInterval
    accuracy: ConfidenceInterval
    selective_accuracy: ConfidenceInterval
    curve: RiskCoverageCurve

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        intervals = {name: asdict(getattr(self, name)) for name in _INTERVALS}
        return {"documents": self.documents, **intervals, "curve": self.curve.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The evidence that `to_json` returned."""
        intervals = {name: ConfidenceInterval(**content[name]) for name in _INTERVALS}
        return cls(content["documents"], **intervals, curve=RiskCoverageCurve.from_json(content["curve"]))


_INTERVALS = ("decided", "accuracy", "selective_accuracy")


@dataclass(frozen=True)
class Abstention:
    """Which documents are left undecided.

    Attributes:
        min_confidence: a prediction with a lower confidence is not made; 0 if all are.
        coverage: the share of documents that was to be decided, from which `min_confidence` follows; None if this was
            given.
        parents: of labels that are nodes of a hierarchy; () if they are not.
        other: which documents count as unlike those of training; None if that is not examined.
        evidence: out of fold; None if there is none.
    """

    min_confidence: float
    coverage: float | None = None
    parents: Parents = ()
    other: OtherRule | None = None
    evidence: AbstentionEvidence | None = field(default=None, compare=False)

    def apply(
        self,
        predicted: NDArray[np.int64],
        probabilities: NDArray[Any],
        distances: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int64]:
        """Leave documents undecided.

        Args:
            predicted: codes of labels or nodes, int64 (documents,).
            probabilities: calibrated, (documents, labels).
            distances: of the documents to those of training, (documents,); None if they are not known, and then no
                document is unlike training.

        Returns:
            The predictions with `ABSTAINED` or `OTHER` for documents that are left undecided, int64 (documents,).
        """
        confidence = prediction_confidence(predicted, probabilities, self._hierarchy(probabilities.shape[1]))
        decided = np.where(confidence < self.min_confidence, ABSTAINED, predicted)
        if self.other is None or distances is None:
            return decided
        return np.where(self.other.is_other(distances), OTHER, decided)

    def _hierarchy(self, labels: int) -> Hierarchy | None:
        return Hierarchy(("",) * len(self.parents), labels, self.parents) if self.parents else None

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is left undecided and what this is good for, in a sentence per part."""
        evidence = self.evidence
        if evidence is None:
            return ()
        decided, accuracy = evidence.decided, evidence.selective_accuracy
        rightly = "correctly" if not self.parents else "correctly (by the true label or a node above it)"
        before = "," if self.other is None else ", and before those unlike training are left out,"
        sentence = (
            f"At a confidence of at least {self.min_confidence:.3f}{before} {100 * decided.value:.1f} % of documents "
            f"are decided, and {100 * accuracy.value:.1f} % of these {rightly}, instead of "
            f"{100 * evidence.accuracy.value:.1f} % of all (out of fold; {_percent(evidence.curve.area)} on average "
            "over all coverages)."
        )
        has_threshold = self.coverage is not None or self.min_confidence > 0
        return (*((sentence,) if has_threshold else ()), *(() if self.other is None else self.other.sentences))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        parts = {name: part and part.to_json() for name, part in (("other", self.other), ("evidence", self.evidence))}
        return {
            "min_confidence": self.min_confidence,
            "coverage": self.coverage,
            "parents": [list(above) for above in self.parents],
            **parts,
            "sentences": list(self.sentences),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The abstention that `to_json` returned."""
        other, evidence = content["other"], content["evidence"]
        return cls(
            content["min_confidence"],
            content["coverage"],
            tuple(tuple(above) for above in content["parents"]),
            other and OtherRule.from_json(other),
            evidence and AbstentionEvidence.from_json(evidence),
        )


def check_can_abstain(truth: NDArray[Any]) -> None:
    """Raise CallError for multi-label documents. truth: int64 (documents,), or bool (documents, labels)."""
    if truth.ndim == 2:
        raise CallError(
            "Documents with any number of labels cannot be left undecided: a label with a low probability is not "
            "predicted anyway. Leave --min-confidence, --coverage and --other out."
        )


def fit_abstention(
    truth: NDArray[Any],
    predicted: NDArray[np.int64],
    probabilities: NDArray[Any],
    options: AbstentionOptions,
    groups: Sequence[Hashable] | NDArray[Any] | None = None,
    seed: int = 0,
    *,
    hierarchy: Hierarchy | None = None,
    other: OtherRule | None = None,
    is_other: NDArray[np.bool_] | None = None,
) -> tuple[Abstention, NDArray[np.int64]]:
    """Find the confidence below which documents are left undecided, and measure it out of fold.

    For a coverage, it is the confidence that at least this share of new documents reaches on average: of n documents,
    the k-th lowest, with the largest k for which k / (n + 1) is at most 1 - coverage. Each document is decided by the
    threshold of the folds without it, so that the measured coverage is that of new documents.

    Args:
        truth: codes of labels, int64 (documents,).
        predicted: out-of-fold predictions, codes of labels or nodes.
        probabilities: calibrated and out-of-fold, (documents, labels).
        options: what is requested.
        groups: (documents,); rows of one group stay in one fold. None if there are no groups.
        seed: of the folds and of the bootstrap.
        hierarchy: of the labels; None if they have none.
        other: the rule for documents unlike training; None if that is not examined.
        is_other: bool (documents,), which documents it finds out of fold.

    Returns:
        The abstention, and the out-of-fold predictions with `ABSTAINED` and `OTHER`.

    Raises:
        CallError: the labels are multi-label.
    """
    check_can_abstain(truth)
    confidence = prediction_confidence(predicted, probabilities, hierarchy)
    threshold = _threshold(confidence, options)
    decided = np.empty(len(truth), dtype=bool)
    fold_of = assign_folds(truth, groups, FOLDS, seed)
    for fold in np.unique(fold_of).tolist():
        rows = fold_of == fold
        decided[rows] = confidence[rows] >= _threshold(confidence[~rows], options)
    correct = truth == predicted
    if hierarchy is not None:
        correct = hierarchy.shared_nodes(truth, predicted) == hierarchy.sizes[predicted]
    evidence = _evidence(correct, confidence, decided, seed)
    parents = () if hierarchy is None else hierarchy.parents
    out_of_fold = np.where(decided, predicted, ABSTAINED)
    out_of_fold = out_of_fold if is_other is None else np.where(is_other, OTHER, out_of_fold)
    return Abstention(threshold, options.coverage, parents, other, evidence), out_of_fold


def _threshold(confidence: NDArray[np.float64], options: AbstentionOptions) -> float:
    if options.coverage is None:
        return options.min_confidence or 0.0
    undecided = int((len(confidence) + 1) * (1 - options.coverage) + 1e-9)  # 1 - 0.9 is slightly below 0.1
    return float(np.partition(confidence, undecided - 1)[undecided - 1]) if undecided else 0.0


def _evidence(
    correct: NDArray[np.bool_], confidence: NDArray[np.float64], decided: NDArray[np.bool_], seed: int
) -> AbstentionEvidence:
    counts = [int(np.count_nonzero(mask)) for mask in (decided, correct, correct & decided)]
    return AbstentionEvidence(
        len(correct),
        share_interval(counts[0], len(correct)),
        share_interval(counts[1], len(correct)),
        share_interval(counts[2], counts[0]),
        risk_coverage_curve(correct, confidence, seed=seed),
    )


def _percent(interval: ConfidenceInterval) -> str:
    return f"{100 * interval.value:.1f} % ({100 * interval.low:.1f}–{100 * interval.high:.1f})"

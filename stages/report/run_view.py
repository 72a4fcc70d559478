"""What the report page shows of a run: a value that `stages/comparing/` fills from a run folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.decisions import ABSTAINED, OTHER, REASONS
from heads.evaluation.metrics import Scorecard

__all__ = ["EvidenceUnit", "ExplainedError", "Finding", "Findings", "RunView"]

# the names of predicted codes below 0: of -1, then of -2
WITHOUT_LABEL = tuple(f"({REASONS[code]})" for code in (ABSTAINED, OTHER))


@dataclass(frozen=True)
class Finding:
    """What a reader should know about a run before using it.

    Attributes:
        run: name of the run; "" if it is about all of them.
        sentence: what was found.
        next_step: what to do about it; "" for nothing.
    """

    run: str
    sentence: str
    next_step: str = ""


@dataclass(frozen=True)
class Findings:
    """What a page says before its numbers.

    Attributes:
        choice: which run to take and why, in one sentence; "" without a choice.
        chosen: name of that run.
        cost: what runs cost: "predict", "fit" or "size".
        costs: name of a run -> this cost of it; {} without a choice.
        checks: what checks found.
        notes: what a reader must know before comparing the runs.
        differences: name of a run -> how it differs from the first one by the metric that ranks them, as text.
    """

    choice: str = ""
    chosen: str = ""
    cost: str = "predict"
    costs: Mapping[str, float] = field(default_factory=dict)
    checks: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    differences: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EvidenceUnit:
    """A part of a document that is evidence for its predicted label.

    Attributes:
        location: where it is, as "chunk 2".
        text: its text, shortened.
        contribution: decrease of the label's log-odds without it.
    """

    location: str
    text: str
    contribution: float


@dataclass(frozen=True)
class ExplainedError:
    """A wrong prediction and its evidence.

    Attributes:
        row: of the document.
        evidence: the strongest first.
        label: what it is evidence for: the predicted label, of several the most probable one.
        remark: why there is no evidence; "" if there is.
    """

    row: int
    evidence: tuple[EvidenceUnit, ...] = ()
    label: str = ""
    remark: str = ""


@dataclass(frozen=True)
class RunView:
    """One run: its name, costs and metrics, and its predictions for the test split, or without one those out of fold.

    Attributes:
        name: name of the run.
        head: name of its head.
        store: name of its feature store.
        reads: what the head reads, as text.
        rule: family of its decision rule.
        parameters: number of fitted parameters.
        fit_seconds: duration of the fit.
        predict_milliseconds: duration of a prediction, per document.
        out_of_fold: metrics on out-of-fold predictions for the training split, or on the validation split.
        test: metrics on the test split; None if it was not scored.
        labels: the labels; ordinal ones from the lowest to the highest.
        truth: int64 (documents,) codes into `labels`; multi-label: bool (documents, labels).
        predicted: the decisions, of the same form; with a hierarchy, codes of its nodes.
        probabilities: float32 (documents, labels); NaN and -inf mean unknown and rank last.
        notes: sentences about the run.
        evidence: the decision rule as JSON, with the comparison of the rule families.
        has_folds: whether `out_of_fold` is out-of-fold.
        training: how a network was trained, as text; empty for other heads.
        marks: what distinguishes its metrics from those of most runs, in a few words each.
        hierarchy: of the labels; None without a taxonomy.
        ids: of the documents; empty if they are not known.
        excerpts: the beginnings of their texts; empty if the texts are not available.
        errors: the most confident wrong predictions, with the evidence for them.
        missing: why texts or evidence are not available, in one sentence; "" if they are.
    """

    name: str
    head: str
    store: str
    reads: str
    rule: str
    parameters: int
    fit_seconds: float
    predict_milliseconds: float
    out_of_fold: Scorecard
    test: Scorecard | None
    labels: tuple[str, ...]
    truth: NDArray[Any]
    predicted: NDArray[Any]
    probabilities: NDArray[Any]
    notes: tuple[str, ...]
    evidence: Mapping[str, Any]
    has_folds: bool = True
    training: str = ""
    marks: tuple[str, ...] = ()
    hierarchy: Hierarchy | None = None
    ids: Sequence[str] = ()
    excerpts: Sequence[str] = ()
    errors: tuple[ExplainedError, ...] = ()
    missing: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the codes in `predicted`: the labels, then the other nodes of the hierarchy."""
        return self.labels if self.hierarchy is None else self.hierarchy.names

    @property
    def scored(self) -> Scorecard:
        """The metrics of the predictions that the page shows."""
        return self.test or self.out_of_fold

    @property
    def scored_split(self) -> str:
        """The split of these predictions, as an adjective."""
        return "test" if self.test else "training" if self.has_folds else "validation"

    @property
    def ranked_on(self) -> str:
        """What the metric that ranks runs is measured on, as an adjective."""
        return "out-of-fold" if self.has_folds else "validation"

    @property
    def is_ordinal(self) -> bool:
        """Whether the labels are ordinal."""
        return self.scored.absolute_error is not None

    @property
    def is_multilabel(self) -> bool:
        """Whether a document may have more than one label."""
        return self.truth.ndim == 2

    @property
    def shown_names(self) -> tuple[str, ...]:
        """`names`, followed by those of predictions without a label."""
        return (*self.names, *WITHOUT_LABEL)

    @property
    def without_label(self) -> dict[int, str]:
        """Code in `shown_codes` -> name of predictions without a label."""
        return dict(enumerate(WITHOUT_LABEL, start=len(self.names)))

    @property
    def shown_codes(self) -> NDArray[Any]:
        """`predicted` with codes into `shown_names`."""
        if self.is_multilabel:
            return self.predicted
        return np.where(self.predicted < 0, len(self.names) - 1 - self.predicted, self.predicted)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is the true label, or exactly the true labels: bool (documents,)."""
        matches = self.predicted == self.truth
        return np.asarray(matches.all(axis=1) if self.is_multilabel else matches, dtype=np.bool_)

    @property
    def true_labels(self) -> NDArray[Any]:
        """`truth` as label strings, which do not depend on the order of the labels; multi-label: as it is."""
        return self.truth if self.is_multilabel else np.array(self.labels, dtype=object)[self.truth]

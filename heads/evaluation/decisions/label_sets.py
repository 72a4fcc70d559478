"""Sets of labels that contain the true one with a requested probability: conformal prediction on score arrays.

A document's set has the labels whose score, here lower if better, is at most a threshold: the score that the requested
share of true labels does not exceed. Three scores:

    probability   minus the probability: the smallest sets on average (Sadinle, Lei & Wasserman 2019, Least ambiguous
                  set-valued classifiers with bounded error levels, JASA 114, arXiv 1609.00451)
    aps           the sum of the probabilities of more probable labels and, times a random number, of the label: larger
                  sets for difficult documents (Romano, Sesia & Candès 2020, Classification with valid and adaptive
                  coverage, arXiv 2006.02544, equations 4 to 6)
    raps          the same, with a penalty for each label beyond the first few (Angelopoulos et al. 2021, Uncertainty
                  sets for image classifiers using conformal prediction, arXiv 2009.14193, equation 4)

The decided label has the lowest score of all, so no set is empty and each has the decided label. Filling empty sets
afterwards would cover more documents than requested. On out-of-fold scores of Reuters-52's training documents (linear,
with temperature scaling), this makes sets of 97 % coverage smaller, too: 1.19 labels instead of 1.79 for aps, and 1.10
in both cases for probability.
A level below the accuracy gives sets of one label, which are right as often as the decision is.

What the level promises depends on the scores that the threshold comes from. Of a head that saw none of these documents
(a run validated on the validation split), a new document like them is covered with at least that probability, on
average over calibration sets: split conformal prediction (Vovk, Gammerman & Shafer 2005). Out-of-fold scores are of as
many heads as there are folds. The threshold is then that of cross-conformal prediction (Vovk 2015, Cross-conformal
predictors, Annals of Mathematics and Artificial Intelligence 74), which also scores a new document with each of these
heads: they cover it with a probability of at least 2 * level - 1 - sqrt(2 / documents), and in practice of about the
level (Barber et al. 2021, Predictive inference with the jackknife+, Annals of Statistics 49, theorem 4). A run keeps
one head, fitted on all documents, which scores new documents in place of the heads of the folds. Then no bound holds
for every head; as that one learned from more documents, its scores are usually better than those of the folds, and sets
cover a little more than the level.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from heads.evaluation.label_set_metrics import LabelSetMetrics
from heads.evaluation.score_matrix import row_blocks

__all__ = [
    "SET_SCORES",
    "LabelSetOptions",
    "LabelSetRule",
    "SetScore",
    "conformal_threshold",
    "first_labels",
    "uniform_numbers",
]

SetScore = Literal["probability", "aps", "raps"]
SET_SCORES: tuple[SetScore, ...] = get_args(SetScore)


@dataclass(frozen=True, kw_only=True)
class LabelSetOptions:
    """What the user asks for.

    Attributes:
        level: the share of documents whose set is to contain the true label.
        score: how labels are ranked for the set.
        per_label: whether that share is to hold for the documents of each label.
        allow_empty: whether a set may be empty, and lack the decided label.
    """

    level: float
    score: SetScore = "probability"
    per_label: bool = False
    allow_empty: bool = False

    def __post_init__(self) -> None:
        """Check the values. Raises CallError."""
        if not 0 < self.level < 1:  # NaN is refused too
            raise CallError(f"--label-sets must be above 0 and below 1, got {self.level:g}.")
        if self.score not in SET_SCORES:
            raise CallError(f"There is no score '{self.score}' of label sets. Known: {', '.join(SET_SCORES)}.")


@dataclass(frozen=True)
class LabelSetRule:
    """The labels of a set are those whose score is at most the threshold of the label.

    Attributes:
        options: what was requested.
        thresholds: (labels,); -inf for a label that is only in the set of a document that is decided to have it.
        penalty: of raps, for each label beyond `free_ranks`.
        free_ranks: of raps, the number of labels without a penalty.
        seed: of the random numbers of documents, which follow from their ids.
        evidence: out of fold; None if there is none.
    """

    options: LabelSetOptions
    thresholds: tuple[float, ...]
    penalty: float = 0.0
    free_ranks: int = 1
    seed: int = 0
    evidence: LabelSetMetrics | None = field(default=None, compare=False)

    def sets(
        self, probabilities: NDArray[Any], ids: Sequence[str] | NDArray[Any], decided: NDArray[np.int64] | None = None
    ) -> NDArray[np.bool_]:
        """The labels in the set of each document.

        Args:
            probabilities: calibrated, (documents, labels).
            ids: of the documents; equal ids have equal random numbers.
            decided: the decided label of each document, int64 (documents,); the most probable one if it is None or no
                label.

        Returns:
            bool (documents, labels).
        """
        sets = np.empty(probabilities.shape, dtype=bool)
        uniform, first = uniform_numbers(ids, self.seed), first_labels(probabilities, decided)
        for rows in row_blocks(probabilities.shape):
            scores = self.label_scores(probabilities[rows], uniform[rows], first[rows])
            sets[rows] = scores <= np.array(self.thresholds)
        return sets

    def label_scores(
        self, probabilities: NDArray[Any], uniform: NDArray[np.float64], first: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The score of each label, lower if it is rather in the set: float64 (documents, labels).

        Args:
            probabilities: (documents, labels).
            uniform: a random number from 0 to 1 of each document, (documents,).
            first: the decided label of each document, which is -inf unless sets may be empty: int64 (documents,).

        Returns:
            The scores.
        """
        exact = np.asarray(probabilities, dtype=np.float64)
        if self.options.score == "probability":
            scores = -exact
        else:
            order = np.argsort(-exact, axis=1, kind="stable")
            highest = np.take_along_axis(exact, order, axis=1)
            before = np.cumsum(highest, axis=1) - highest
            penalties = self.penalty * np.maximum(np.arange(1, exact.shape[1] + 1) - self.free_ranks, 0)
            scores = np.empty_like(exact)
            np.put_along_axis(scores, order, before + uniform[:, None] * highest + penalties, axis=1)
        if not self.options.allow_empty:
            scores[np.arange(len(scores)), first] = -np.inf
        return scores

    @property
    def sentence(self) -> str:
        """What the sets cover and how large they are; "" without evidence."""
        metrics = self.evidence
        if metrics is None:
            return ""
        coverage = metrics.coverage
        return (
            f"{100 * coverage.value:.1f} % ({100 * coverage.low:.1f}–{100 * coverage.high:.1f}) of the label sets "
            f"contain the true label out of fold, requested are {100 * self.options.level:g} %; a set has "
            f"{metrics.mean_size.value:.2f} labels on average, and {100 * metrics.single.value:.0f} % have one."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        evidence = None if self.evidence is None else self.evidence.to_json()
        thresholds = [threshold if np.isfinite(threshold) else None for threshold in self.thresholds]
        content = {"thresholds": thresholds, "evidence": evidence, "sentence": self.sentence}
        return {**asdict(replace(self, evidence=None)), **content}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The rule that `to_json` returned."""
        values = {name: value for name, value in content.items() if name != "sentence"}
        values["options"] = LabelSetOptions(**content["options"])
        values["thresholds"] = tuple(-np.inf if each is None else each for each in content["thresholds"])
        evidence = content["evidence"]
        return cls(**{**values, "evidence": evidence and LabelSetMetrics.from_json(evidence)})


def conformal_threshold(scores: NDArray[np.float64], level: float) -> float:
    """The score that a new one is at most equal to with a probability of at least `level`; inf if these are too few.

    It is the k-th lowest of n, k = (n + 1) * level rounded up.
    """
    rank = int(np.ceil((len(scores) + 1) * level - 1e-9))
    return float(np.partition(scores, rank - 1)[rank - 1]) if rank <= len(scores) else np.inf


def first_labels(probabilities: NDArray[Any], decided: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """The label that each set contains, int64 (documents,): the decided one, or if that is none the most probable."""
    most_probable = probabilities.argmax(axis=1)
    if decided is None:
        return np.asarray(most_probable)
    return np.where((decided >= 0) & (decided < probabilities.shape[1]), decided, most_probable)


def uniform_numbers(ids: Sequence[str] | NDArray[Any], seed: int) -> NDArray[np.float64]:
    """A random number in [0, 1) of each document, float64 (documents,), which follows from its id and the seed."""
    digests = (hashlib.blake2b(f"{seed} {name}".encode("utf-8", "replace"), digest_size=8).digest() for name in ids)
    numbers = np.frombuffer(b"".join(digests), dtype=">u8")
    return np.asarray((numbers >> 11) / 2**53, dtype=np.float64)

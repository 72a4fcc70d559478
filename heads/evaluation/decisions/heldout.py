"""The test split as a type with one operation, allowed once: scoring."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from data.target import Target
from featurestore import Bags
from heads.evaluation.decisions.decision import Decision
from heads.evaluation.decisions.rules import DecisionRule
from heads.evaluation.metrics import Scorecard, scorecard
from heads.evaluation.score_matrix import ScoringHead, align_scores


@dataclass(frozen=True)
class HeldOutResult:
    """The result of scoring the test split, rows in the order of its documents.

    Attributes:
        scorecard: every metric with its confidence interval.
        predicted: int64 (documents,), with a taxonomy the codes of nodes, or bool (documents, labels); negative for a
            document that is left undecided.
        scores: float32 (documents, labels), -inf in the columns that the head lacks.
        seconds: time that the head took to compute its scores.
    """

    scorecard: Scorecard
    predicted: NDArray[Any]
    scores: NDArray[np.float32]
    seconds: float


class HeldOut:
    """Test documents that no fit, early stopping or selection can read: only `score` does, and it works once.

    It has no public attribute, supports no indexing, and can be neither copied nor pickled.
    """

    __slots__ = ("__bags", "__scored", "__target")

    def __init__(self, bags: Bags, target: Target) -> None:
        if len(bags) != len(target):
            raise ValueError(f"there are {len(bags)} documents, but {len(target)} rows of labels")
        self.__bags = bags
        self.__target = target
        self.__scored = False

    def __repr__(self) -> str:
        return "HeldOut(scored)" if self.__scored else "HeldOut(not scored yet)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("the test split can be neither copied nor pickled: a copy could be scored again")

    def score(
        self, head: ScoringHead, decision: Decision | DecisionRule, labels: Sequence[str], seed: int = 0
    ) -> HeldOutResult:
        """Score the documents with a fitted head and its decision.

        Args:
            head: a fitted head; it can miss labels, whose documents then count as errors.
            decision: what turns its scores into labels; a rule alone gives no probabilities.
            labels: the columns of the scores, which must be the labels of the target.
            seed: seed of the bootstrap.

        Returns:
            Metrics, predictions and scores.

        Raises:
            RuntimeError: the split has been scored before.
            ValueError: the target has other labels.
        """
        if self.__scored:
            raise RuntimeError("the test split has been scored already: scoring it again would select by it")
        if tuple(labels) != self.__target.labels:
            raise ValueError("the labels differ from those of the test split's target")
        self.__scored = True
        start = time.perf_counter()
        raw = head.decision_function(self.__bags)
        seconds = time.perf_counter() - start
        scores = align_scores(raw, head.classes_, labels)
        predicted = decision.decide(scores)
        target = self.__target
        ordinal, hierarchy = target.is_ordinal, target.hierarchy
        probabilities = decision.corpus_probabilities(scores) if isinstance(decision, Decision) else None
        card = scorecard(
            target.y,
            predicted,
            labels,
            seed,
            ordinal=ordinal,
            hierarchy=hierarchy,
            probabilities=probabilities,
        )
        return HeldOutResult(card, predicted, scores, seconds)

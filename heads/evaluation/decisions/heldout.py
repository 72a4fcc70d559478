"""The test split as a type that can do one thing, once: be scored."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from data.target import Target
from featurestore import Bags
from heads.evaluation.decisions.rules import DecisionRule
from heads.evaluation.metrics import Scorecard, scorecard
from heads.evaluation.score_matrix import FittedHead, align_scores


@dataclass(frozen=True)
class HeldOutResult:
    """What scoring the test split gave, rows in the order of its documents.

    predicted: int64 (documents,) or bool (documents, labels). scores: float32 (documents, labels), -inf in the columns
    that the head lacks. seconds: of the head's scores alone.
    """

    scorecard: Scorecard
    predicted: NDArray[Any]
    scores: NDArray[np.float32]
    seconds: float


class HeldOut:
    """Test documents that no fit, stop or choice can read: nothing but `score` does, and it works once.

    It has no public attribute, takes no index, and is neither copied nor pickled.
    """

    __slots__ = ("__bags", "__scored", "__target")

    def __init__(self, bags: Bags, target: Target) -> None:
        if len(bags) != len(target):
            raise ValueError(f"{len(bags)} documents have {len(target)} rows of labels")
        self.__bags = bags
        self.__target = target
        self.__scored = False

    def __repr__(self) -> str:
        return "HeldOut(scored)" if self.__scored else "HeldOut(not scored yet)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("the test split is neither copied nor pickled: a copy could be scored again")

    def score(self, head: FittedHead, rule: DecisionRule, labels: Sequence[str], seed: int = 0) -> HeldOutResult:
        """Score the documents with a fitted head and its rule.

        labels: the columns of the scores, with every label of the test split among them; one that the head has never
        seen is missed. Raises RuntimeError when called again, ValueError when the target has other labels.
        """
        if self.__scored:
            raise RuntimeError("the test split has been scored: a second look would choose by it")
        if tuple(labels) != self.__target.labels:
            raise ValueError("the test split's target has other labels than these")
        self.__scored = True
        start = time.perf_counter()
        raw = head.decision_function(self.__bags)
        seconds = time.perf_counter() - start
        scores = align_scores(raw, head.classes_, labels)
        predicted = rule.decide(scores)
        card = scorecard(self.__target.y, predicted, labels, seed, ordinal=self.__target.is_ordinal)
        return HeldOutResult(card, predicted, scores, seconds)

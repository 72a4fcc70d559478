"""The training documents of a task: all that fits read, and all that a process that fits receives."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.target import Target
from featurestore import Bags
from heads.core.head import Head
from heads.evaluation.score_matrix import align_scores
from stages.fitting.copies import Copies
from stages.fitting.encoder_exposure import EncoderExposure

__all__ = ["LabeledBags"]


@dataclass(frozen=True, kw_only=True)
class LabeledBags:
    """Labeled documents with their features, without the test split; pickled without a vector.

    groups: one integer per document; documents of one group are always on the same side of a split.
    exposure: what the encoders learned from these documents.
    copies: augmented copies of documents, which `fit` adds to these; None if there are none.
    """

    labels: tuple[str, ...]
    train: Bags
    target: Target
    groups: NDArray[np.int64]
    exposure: EncoderExposure
    copies: Copies | None = None

    def features(self, fold: int | None) -> Bags:
        """The training documents as the fits without a fold read them, or as the last fit does."""
        folds = self.exposure.folds
        return folds[fold].features if folds and fold is not None else self.train

    def fit(
        self,
        head: Head,
        rows: NDArray[np.int64],
        sample_weight: NDArray[np.float64] | None = None,
        validation: NDArray[np.int64] | None = None,
        fold: int | None = None,
    ) -> Head:
        """Fit a head on some training documents and their copies, and return it.

        Args:
            head: an unfitted head; it is fitted in place.
            rows: int64, the rows of the training split to fit on.
            sample_weight: float64 (training documents,), of the whole split; None for equal weights.
            validation: int64, the rows by which a network stops early; None takes some of `rows`.
            fold: the fold that is left out; None for the last fit.

        Returns:
            The same head.

        Raises:
            What the head's `fit` raises.
        """
        if validation is not None and hasattr(head, "validation"):
            head.validation = (self.train[validation], self.target.names[validation])
        bags, fit_only = self.features(fold)[rows], self.exposure.fit_only(fold)
        is_seen = None if fit_only is None else fit_only[rows]
        if self.copies is None:
            weight = None if sample_weight is None else sample_weight[rows]
            optional = {} if is_seen is None else {"fit_only": is_seen}
            return head.fit(bags, self.target.names[rows], weight, self.groups[rows], **optional, **self._detail(rows))
        copies = self.copies.of(rows)
        bags = Bags.concatenate([bags, self.copies.bags[copies]])
        fits_only = np.ones(len(bags), dtype=bool)
        fits_only[: len(rows)] = False if is_seen is None else is_seen
        rows = np.concatenate([rows, self.copies.copied[copies]])
        weight = None if sample_weight is None else sample_weight[rows]
        groups = self.copies.groups[rows]
        return head.fit(bags, self.target.names[rows], weight, groups, fits_only, **self._detail(rows))

    def _detail(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """The detailed labels of documents, for `fit`; nothing if the labels are not those of a level."""
        return {} if self.target.detailed is None else {"detailed": self.target.detailed.names[rows]}

    def scores(self, head: Head, rows: NDArray[np.int64], fold: int | None = None) -> NDArray[np.float32]:
        """Scores of training documents, float32 (rows, labels): -inf for a label that the head has never seen."""
        return align_scores(head.decision_function(self.features(fold)[rows]), head.classes_, self.labels)

    def labeled_bags(self) -> "LabeledBags":
        """What fits need, without anything else that a subclass has."""
        return LabeledBags(
            labels=self.labels,
            train=self.train,
            target=self.target,
            groups=self.groups,
            exposure=replace(self.exposure, trainings=()),  # the keys of texts, which only the record of a run needs
            copies=self.copies,
        )

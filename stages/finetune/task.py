"""The labeled training documents of a corpus as texts: which are learned from, and which validate.

The order of the documents is that of `stages.fitting.task.Task`, which has their features once they are encoded. Test
documents have no text here, so nothing in this folder can learn from them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Documents
from data.errors import BadData, CallError
from data.splits import Split, assign_folds
from data.target import Target
from data.text_format import plural
from featurestore import CorpusTable
from heads.training.training_data import split_validation
from stages.adapt.documents import TrainingDocuments
from stages.finetune.settings import FinetuneSettings
from stages.fitting.scored_splits import check_test_target
from stages.fitting.task import hash_rows, labeled_rows, number_groups

__all__ = ["FinetuneTask", "Fold"]

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """One training: the rows to learn from, and those that are scored. number: of the fold, None for the last one."""

    number: int | None
    learned: Rows
    scored: Rows


@dataclass(frozen=True, eq=False, kw_only=True)
class FinetuneTask:
    """The labeled training documents, validation documents included.

    ids, texts, keys, groups: of each document; groups as numbers.
    labels: of the whole corpus, the columns of `target`.
    is_learnable: bool (documents,), False for a document whose text or group is also in the test split.
    is_seen: bool (documents,), whether the encoder learned from its label before.
    is_validation: bool (documents,), whether it is of the corpus's validation split.
    documents_hash: of all labeled documents, those of the test split included.
    notes: sentences for the user.
    """

    corpus: str
    ids: tuple[str, ...]
    texts: Sequence[str]
    keys: tuple[str, ...]
    target: Target
    groups: NDArray[np.int64]
    is_learnable: NDArray[np.bool_]
    is_seen: NDArray[np.bool_]
    is_validation: NDArray[np.bool_]
    documents_hash: str
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        table: CorpusTable,
        *,
        skip_unlabeled: bool,
        order: Sequence[str],
        with_test: bool = True,
        seen_keys: frozenset[str] = frozenset(),
    ) -> Self:
        """The training documents of a corpus.

        Args:
            corpus: documents with splits.
            table: the same corpus with the keys of its texts.
            skip_unlabeled: leave out documents without a label instead of raising an error.
            order: the labels of an ordinal task, the lowest first; empty if they have no order.
            with_test: whether the test split will be scored; if not, its labels are not read.
            seen_keys: of the texts whose labels the encoder learned from.

        Raises:
            BadData: for documents without a label, and for a test split that cannot be scored.
            CallError: what `Target.to_ordinal` raises.
        """
        rows, notes = labeled_rows(table, skip_unlabeled=skip_unlabeled, with_test=with_test)
        target = Target.from_labels([table.labels[row] or () for row in rows], table.kind, taxonomy=table.taxonomy)
        target = target.to_ordinal(order) if order else target
        is_test = np.array([table.splits[row] == Split.TEST for row in rows], dtype=bool)
        if with_test:
            check_test_target(table.name, target[~is_test], target[is_test])
        train, groups = np.flatnonzero(~is_test), number_groups(table, rows)
        used = [rows[row] for row in train.tolist()]
        keys = tuple(table.keys[row] for row in used)
        is_related = TrainingDocuments(corpus, with_labels=False).is_related[used]
        documents = Documents.from_documents(corpus.documents)
        return cls(
            corpus=corpus.name,
            ids=tuple(table.ids[row] for row in used),
            texts=documents.texts_at(used),
            keys=keys,
            target=target[train],
            groups=groups[train],
            is_learnable=~is_related,
            is_seen=np.array([key in seen_keys for key in keys], dtype=bool),
            is_validation=np.array([table.splits[row] == Split.VALIDATION for row in used], dtype=bool),
            documents_hash=hash_rows(table, labeled_rows(table, skip_unlabeled=True)[0]),
            notes=(*notes, *_related_notes(int(is_related.sum()))),
        )

    def folds(self, settings: FinetuneSettings) -> list[Fold]:
        """The trainings that the settings ask for, the one whose encoder is kept last.

        Raises:
            BadData: there are too few documents to learn from, or to validate on.
            CallError: there are no documents whose labels the encoder has not seen; or more folds than documents.
        """
        has_folds = settings.validate_on == "folds"
        folds = list(self._folds(settings)) if has_folds else [self._with_validation(settings)]
        for fold in folds:
            self._check(fold)
        return folds

    def _folds(self, settings: FinetuneSettings) -> Iterator[Fold]:
        if settings.folds > len(self.ids):
            raise CallError(f"folds is {settings.folds}, but there are {plural(len(self.ids), 'training document')}.")
        if self.is_seen.any():
            raise CallError(
                f"The encoder learned from the labels of {int(self.is_seen.sum()):,} of the training documents, so "
                "out-of-fold scores on them would be too high. Leave out --folds, or use the original encoder."
            )
        fold_of = assign_folds(self.target.strata, self.groups.tolist(), settings.folds, settings.seed)
        for fold in range(settings.folds):
            yield Fold(fold, np.flatnonzero((fold_of != fold) & self.is_learnable), np.flatnonzero(fold_of == fold))
        yield Fold(None, np.flatnonzero(self.is_learnable), np.arange(0))

    def _with_validation(self, settings: FinetuneSettings) -> Fold:
        may_validate = self.is_learnable & ~self.is_seen
        if settings.validate_on == "split":
            validation = np.flatnonzero(may_validate & self.is_validation)
        else:
            labels = len(self.target.labels if self.target.hierarchy is None else self.target.hierarchy.names)
            _, validation = split_validation(
                self.target.strata, labels, self.groups.tolist(), settings.validation, settings.seed, ~may_validate
            )
        if not len(validation):
            raise BadData(self._no_validation(settings, may_validate))
        related = np.isin(self.groups, self.groups[validation])
        return Fold(None, np.flatnonzero(self.is_learnable & ~related & ~self._is_held_out(settings)), validation)

    def _is_held_out(self, settings: FinetuneSettings) -> NDArray[np.bool_]:
        """Documents of the validation split, also those that do not validate: bool (documents,)."""
        return self.is_validation if settings.validate_on == "split" else np.zeros_like(self.is_validation)

    def _no_validation(self, settings: FinetuneSettings, may_validate: NDArray[np.bool_]) -> str:
        if not may_validate.any():
            return (
                f"{self.corpus}: the encoder has learned from the labels of every training document, so none can "
                "validate. Use the original encoder, or one that was adapted with --hold-out."
            )
        if settings.validate_on == "split":
            return (
                f"{self.corpus} has no validation split. Name it with --validation-file or in the split column, or "
                "leave out --validate-on."
            )
        return (
            f"{self.corpus} has too few documents per label for a validation share of {settings.validation:g}: a label "
            f"needs {1 / settings.validation:.0f}. Raise --validation, use --folds, or add documents."
        )

    def _check(self, fold: Fold) -> None:
        present = self.target[fold.learned].counts > 0
        if not len(fold.learned) or (present.sum() < 2 and self.target.kind != "multilabel"):
            where = "" if fold.number is None else f" outside fold {fold.number + 1}"
            raise BadData(
                f"{self.corpus}: the documents to learn from{where} have fewer than two labels. Add documents, or make "
                "the groups smaller."
            )


def _related_notes(count: int) -> list[str]:
    if not count:
        return []
    verb = "is" if count == 1 else "are"
    return [f"{plural(count, 'training document')} with a text or a group of the test split {verb} not learned from."]

"""What a user should know of a split: texts in two parts, labels that a part lacks; and splits that cannot be used."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data.documents import Documents, Labels
from data.errors import BadData
from data.packed import CategoricalColumn
from data.splits import Split
from data.text_format import join_names, plural
from data.text_hashes import TextHashes

RARE_LABEL_DOCUMENTS = 5  # a label with fewer training documents is reported; of fewer, a fifth is no document
MOST_LISTED_LABELS = 10  # in one note


@dataclass(frozen=True)
class LabelCounts:
    """Documents per label: `train` of training and validation documents, `test` of the `test_documents`.

    train_documents: those of the training split alone.
    """

    train: Counter[str]
    test: Counter[str]
    test_documents: int
    train_documents: int

    @classmethod
    def of(cls, documents: Documents) -> Self:
        """Count the labels of documents that have a split."""
        splits, labels = CategoricalColumn.of(documents.splits), CategoricalColumn.of(documents.labels)
        is_test = splits.flags(lambda split: split == Split.TEST)
        train, test = (_count_labels(labels, rows) for rows in (~is_test, is_test))
        in_train = splits.count_if(lambda split: split == Split.TRAIN)
        return cls(train, test, int(np.count_nonzero(is_test)), in_train)

    @property
    def has_known_test_labels(self) -> bool:
        """Whether a label of the test split occurs in training, so that a prediction can be right."""
        return not self.test.keys().isdisjoint(self.train)


def _count_labels(labels: CategoricalColumn[Labels], rows: NDArray[np.bool_]) -> Counter[str]:
    """The documents of each label that occurs in these rows."""
    counts: Counter[str] = Counter()
    documents = np.bincount(labels.codes[rows], minlength=len(labels.categories)).tolist()
    for names, count in zip(labels.categories, documents, strict=True):
        if count:
            counts.update(dict.fromkeys(names or (), count))
    return counts


def check_test_split(source: str, counts: LabelCounts, *, is_drawn: bool, has_column: bool = False) -> None:
    """Check that the test split of a labeled corpus can tell how good a head is.

    Labels with fewer than five documents may be missing: of a split at random a fifth of the documents is in the test
    split. A test split without any label of training passes: its labels are hidden, as in GLUE, and a fit without it is
    possible.

    Args:
        source: The corpus.
        counts: Its labels.
        is_drawn: Whether the split was drawn; if not, the source has it.
        has_column: Whether the source has it in a column, not in files of their own.

    Raises:
        BadData: The test split is empty, or it lacks at least half of the labels.
    """
    stay = "documents of one group or with the same text stay together"
    ignore = 'name another column with --group, or ignore it with --group ""'
    otherwise = ', or leave it out (--split ""), so that one is drawn by label' if has_column else ""
    if counts.train and not counts.test_documents and not counts.train_documents:
        raise BadData(
            f"{source}: the test split is empty, because all documents are in the validation split. Correct the "
            f"split{otherwise}."
        )
    if counts.train and not counts.test_documents:
        raise BadData(
            f"{source}: the test split is empty, because no label has two documents that can be separated: {stay}. Add "
            f"documents; if they have groups, {ignore}."
        )
    total = counts.train + counts.test
    expected = {label for label in counts.train if total[label] >= RARE_LABEL_DOCUMENTS}
    missing = sorted(expected - counts.test.keys())
    if not expected or not counts.has_known_test_labels or 2 * len(missing) < len(expected):
        return
    problem = (
        f"{source}: the test split lacks {len(missing):,} of the {len(expected):,} labels that have at least "
        f"{RARE_LABEL_DOCUMENTS} documents ({_list_labels(missing)})"
    )
    if is_drawn:
        raise BadData(f"{problem}: {stay}. If they have groups, {ignore}.")
    raise BadData(f"{problem}. Correct the split{otherwise}.")


def duplicate_notes(documents: Documents, texts: TextHashes) -> Iterator[str]:
    """Count the texts that are in two splits, also if they differ in case or white space."""
    splits = CategoricalColumn.of(documents.splits)
    others = {Split.TEST: (Split.TRAIN, Split.VALIDATION), Split.VALIDATION: (Split.TRAIN,)}
    for split, rest in others.items():
        inside, outside = (splits.flags(names.__contains__) & ~texts.is_blank for names in ((split,), rest))
        count, exact = (len(np.intersect1d(each[inside], each[outside])) for each in (texts.folded, texts.exact))
        if count:
            variants = f", {count - exact:,} of them with other case or white space" if count > exact else ""
            yield f"{plural(count, 'text')} {_verb(count, 'occur')} in both train and {split}{variants}"


def label_notes(counts: LabelCounts) -> Iterator[str]:
    """Name the labels that one part lacks, and those that are rare."""
    train, test = counts.train, counts.test
    if train and counts.test_documents and not counts.has_known_test_labels:
        labels = f"their labels ({_list_labels(sorted(test))}) do not occur in training" if test else "they have none"
        yield f"test documents cannot be predicted correctly, because {labels}: fit with --no-test"
    elif unseen := sorted(test.keys() - train.keys()):
        effect = "it cannot be predicted and counts" if len(unseen) == 1 else "they cannot be predicted and count"
        yield f"{_name_labels(unseen)} only in the test split: {effect} as missed"
    if counts.has_known_test_labels and (untested := sorted(train.keys() - test.keys())):
        yield f"{_describe_untested(untested, len(train))} only if predicted by mistake"
    if rare := sorted((count, label) for label, count in train.items() if count < RARE_LABEL_DOCUMENTS):
        names = _list_labels([f"{label} ({count})" for count, label in rare])
        yield f"Labels with fewer than {RARE_LABEL_DOCUMENTS} training documents: {names}"


def _describe_untested(labels: Sequence[str], known: int) -> str:
    if len(labels) == 1:
        return f"label '{labels[0]}' has no test document: test metrics include it"
    return (
        f"{len(labels):,} of {known:,} labels have no test document ({_list_labels(labels)}): test metrics include them"
    )


def _name_labels(labels: Sequence[str]) -> str:
    return f"label '{labels[0]}' is" if len(labels) == 1 else f"{len(labels)} labels ({_list_labels(labels)}) are"


def _list_labels(labels: Sequence[str]) -> str:
    return join_names(labels, MOST_LISTED_LABELS, quoted=False)


def _verb(count: int, verb: str) -> str:
    return f"{verb}s" if count == 1 else verb

"""Where two runs differ: documents that only one of them gets right, labels won and lost, and how much they agree."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, EmbedOnceError
from data.source_spec import SourceSpec
from featurestore import Location
from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.document_measures import is_right
from heads.evaluation.metrics import scorecard
from heads.evaluation.paired_counts import PairedCounts
from heads.evaluation.randomization import adjust_holm, mcnemar_p_value
from stages.explain.source_text import read_texts
from stages.fitting import runs
from stages.fitting.predictions import CsvWriter, Predictions, format_labels
from stages.fitting.record import SPLITS
from stages.stores import open_corpus, open_store

__all__ = ["Disagreement", "DocumentDifference", "LabelDifference", "ScoredSplit", "add_texts", "find_differences"]

ScoredSplit: TypeAlias = Literal["train", "validation", "test"]
EXCERPT = 160  # characters of a text
CLEAR = 0.05  # adjusted p-value up to which a label is won or lost by more than chance


@dataclass(frozen=True)
class DocumentDifference:
    """A document that only one run gets right.

    right: the name of that run.
    truth, first, second: the labels as in predictions.csv, of the document and predicted by each run.
    text: its beginning; "" if it is not available.
    """

    id: str
    right: str
    truth: str
    first: str
    second: str
    text: str = ""


@dataclass(frozen=True)
class LabelDifference:
    """How two runs differ in one label.

    documents: that have the label.
    first_f1, second_f1: of the label.
    only_first, only_second: the documents for which only that run is right about having the label or not.
    p_value: of these two numbers by McNemar's test, Holm-adjusted over all labels.
    """

    label: str
    documents: int
    first_f1: float
    second_f1: float
    only_first: int
    only_second: int
    p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether the runs differ by more than chance."""
        return self.p_value <= CLEAR


@dataclass(frozen=True)
class Disagreement:
    """Where two runs differ.

    split: of the documents: train for out of fold.
    only_first, only_second: how many documents only that run gets right; both, neither: how many both, or none.
    accuracy_difference: of the first run minus the second.
    p_value: of this difference, by McNemar's exact test.
    agreement: share of documents with the same prediction.
    kappa: Cohen's kappa of both predictions; None if multi-label.
    labels: those that the first run wins most clearly first, those that it loses most clearly last.
    documents: those that only one run gets right, in the order of the corpus.
    notes: what is missing.
    """

    first: str
    second: str
    split: ScoredSplit
    both: int
    only_first: int
    only_second: int
    neither: int
    accuracy_difference: ConfidenceInterval
    p_value: float
    agreement: float
    kappa: ConfidenceInterval | None
    labels: tuple[LabelDifference, ...]
    documents: tuple[DocumentDifference, ...]
    notes: tuple[str, ...] = ()

    @property
    def scored(self) -> int:
        """The number of documents that both runs scored."""
        return self.both + self.only_first + self.only_second + self.neither

    def to_json(self) -> dict[str, Any]:
        """The values as plain ones."""
        return asdict(self)

    def to_csv(self) -> str:
        """The documents that only one run gets right, a row each; no cell is a formula for a spreadsheet."""
        out = io.StringIO()
        table = CsvWriter(out)
        table.writerow(["id", "right", "truth", self.first, self.second, "text"])
        for document in self.documents:
            values = (document.id, document.right, document.truth, document.first, document.second, document.text)
            table.writerow(values)
        return out.getvalue()


def find_differences(first: runs.Run, second: runs.Run, split: ScoredSplit | None = None) -> Disagreement:
    """Compare two runs document by document and label by label.

    Args:
        first: a run.
        second: another run on the same documents and labels.
        split: of the documents; None for those that rank runs, out of fold or on the validation split.

    Returns:
        The differences on documents that both runs scored.

    Raises:
        CallError: the runs have different labels, or one of them was not scored on that split.
    """
    if (first.record.kind, first.record.labels) != (second.record.kind, second.record.labels):
        raise CallError(
            f"{first.name} and {second.name} have different labels, so their predictions cannot be compared."
        )
    split = split or first.record.ranking_split.value
    one, other = _shared_documents([_scored(run, split) for run in (first, second)], first, second, split)
    names, truth = first.record.node_names, one.truth
    right = [is_right(truth, each.predicted) for each in (one, other)]
    counts = PairedCounts.of(*right)
    return Disagreement(
        first.name,
        second.name,
        split,
        **asdict(counts),
        accuracy_difference=counts.difference,
        p_value=mcnemar_p_value(truth, one.predicted, other.predicted),
        agreement=float(is_right(one.predicted, other.predicted).mean()),
        kappa=_kappa(one.predicted, other.predicted, names),
        labels=tuple(_label_differences(truth, one.predicted, other.predicted, first.record.labels)),
        documents=tuple(_documents(one, other, right, (first.name, second.name), names)),
    )


def _scored(run: runs.Run, split: ScoredSplit) -> Predictions:
    if next(name for name, of_name in SPLITS.items() if of_name == split) not in run.scorecards:
        known = [str(SPLITS[name].value) for name in run.scorecards]
        raise CallError(f"{run.name} was not scored on the split {split}. Choose --split {' or '.join(known)}.")
    return run.predictions().of(split)


def _shared_documents(
    predictions: Sequence[Predictions], first: runs.Run, second: runs.Run, split: str
) -> list[Predictions]:
    """Both predictions on the documents that both have, in the order of the first."""
    rows = [{identifier: row for row, identifier in enumerate(each.ids)} for each in predictions]
    shared = [identifier for identifier in predictions[0].ids if identifier in rows[1]]
    if not shared:
        raise CallError(f"{first.name} and {second.name} were scored on no common document of the split {split}.")
    return [
        each[np.array([row_of[identifier] for identifier in shared])]
        for each, row_of in zip(predictions, rows, strict=True)
    ]


def _kappa(first: NDArray[Any], second: NDArray[Any], names: Sequence[str]) -> ConfidenceInterval | None:
    if first.ndim == 2:
        return None
    codes = [np.where(each < 0, len(names) - 1 - each, each) for each in (first, second)]  # undecided is one more label
    return scorecard(codes[0], codes[1], [*names, "undecided", "other"]).kappa


def _label_differences(
    truth: NDArray[Any], first: NDArray[Any], second: NDArray[Any], labels: Sequence[str]
) -> Iterator[LabelDifference]:
    counts = [ConfusionCounts.from_predictions(truth, each, len(labels)) for each in (first, second)]
    matrices = [_has_label(each, len(labels)) for each in (truth, first, second)]
    right = [matrices[0] == each for each in matrices[1:]]
    only = [np.asarray((ours & ~theirs).sum(axis=0)) for ours, theirs in (right, right[::-1])]
    p_values = adjust_holm([mcnemar_p_value(*(each[:, column] for each in matrices)) for column in range(len(labels))])
    balance = np.argsort(only[1] - only[0], kind="stable")
    for column in balance[(only[0] + only[1])[balance] > 0].tolist():
        yield LabelDifference(
            label=labels[column],
            documents=int(counts[0].support[column]),
            first_f1=float(counts[0].f1[column]),
            second_f1=float(counts[1].f1[column]),
            only_first=int(only[0][column]),
            only_second=int(only[1][column]),
            p_value=p_values[column],
        )


def _has_label(codes: NDArray[Any], labels: int) -> NDArray[np.bool_]:
    """Whether each document has each label, bool (documents, labels)."""
    return np.asarray(codes) if codes.ndim == 2 else codes[:, None] == np.arange(labels)


def _documents(
    one: Predictions,
    other: Predictions,
    right: Sequence[NDArray[np.bool_]],
    runs_of: tuple[str, str],
    names: Sequence[str],
) -> Iterator[DocumentDifference]:
    for row in np.flatnonzero(right[0] != right[1]).tolist():
        labels = (format_labels(each[row], names) for each in (one.truth, one.predicted, other.predicted))
        yield DocumentDifference(one.ids[row], runs_of[0 if right[0][row] else 1], *labels)


def add_texts(found: Disagreement, run: runs.Run, stores: Location) -> Disagreement:
    """Add the beginnings of the texts, from the source of the corpus; a note says why if they are not available.

    Args:
        found: the differences.
        run: one of the runs.
        stores: the folder of the stores.

    Returns:
        The differences with texts.
    """
    try:
        texts = _read_texts([document.id for document in found.documents], run, stores)
    except EmbedOnceError as error:
        return replace(found, notes=(*found.notes, f"The texts are not available: {error}"))
    documents = (replace(each, text=_excerpt(texts.get(each.id, ""))) for each in found.documents)
    return replace(found, documents=tuple(documents))


def _read_texts(ids: Sequence[str], run: runs.Run, stores: Location) -> Mapping[str, str]:
    """The texts of documents by id."""
    if not ids:
        return {}
    store = open_store(Path(run.record.store), stores)
    table = open_corpus(store, run.record.corpus)
    keys = dict(zip(ids, table.keys_of(ids), strict=True))
    texts = read_texts(table, set(keys.values()), table.source, SourceSpec())
    return {identifier: texts[key] for identifier, key in keys.items()}


def _excerpt(text: str) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: 4 * EXCERPT].split())
    return line if len(line) <= EXCERPT else f"{line[:EXCERPT].rstrip()} …"

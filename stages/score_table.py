"""Decisions on the probabilities of another system, which a table has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Documents
from data.errors import BadData, CallError
from data.label_cells import canonical_label
from data.labels import cell_text
from data.readers.column_roles import resolve_columns
from data.readers.corpus_from_table import corpus_from_table
from data.readers.tables import read_table
from data.source_spec import SourceSpec
from data.splits import Split
from data.splitting.train_test_split import parse_split_name
from data.table import Table
from data.target import Target
from data.text_format import join_names, plural
from heads.evaluation.calibration import Calibration
from heads.evaluation.decisions import Decision
from heads.evaluation.metrics import Scorecard
from heads.evaluation.score_matrix import probabilities_to_scores
from stages.deciding.decide import DecisionValues
from stages.deciding.inputs import DecisionInputs
from stages.deciding.plan import DecisionPlan
from stages.fitting.predictions import Predictions, score_predictions
from stages.predict import Prediction, describe_predictions

__all__ = ["DecidedTable", "ScoreTable", "decide_table"]

PREFIX = "probability:"
TOLERANCE = 0.01  # by which probabilities of a document may miss a sum of 1 without a note
MIN_LABELS = 2
NEW = "new"  # the split of documents without a label
OTHER_COLUMNS = {"text", "texts", "truth", "prediction", "predicted", "abstained", "label_set", "set_size"}


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """The rows of a table with a column of probabilities per label.

    ids, groups: of all rows.
    labels: the names of the columns of probabilities.
    scores: logarithms of probabilities, or logits if multi-label: float32 (documents, labels).
    target: the true labels of the documents that have any.
    split: of each document: test, train for every other document with a label, or NEW for one without.
    """

    source: str
    ids: Sequence[str]
    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    target: Target
    split: NDArray[np.str_]
    groups: NDArray[np.int64]
    notes: tuple[str, ...]

    @classmethod
    def read(cls, source: str) -> Self:
        """Read a table: columns for the id, label, split and group as in a corpus, and one of probabilities per label.

        Those are all other columns, or those that begin with "probability:" if there are any.

        Args:
            source: a .csv, .tsv, .jsonl, .parquet or .xlsx file.

        Returns:
            The table.

        Raises:
            BadData: a cell is no probability, a label has no column, or no document has a label.
            EmbedOnceError: what `read_table` raises.
        """
        table = read_table(source)
        columns = dict(sorted(_probability_columns(table).items()))  # in the order of the labels of a target
        others = replace(table, names=tuple(name for name in table.names if name not in columns.values()))
        spec = SourceSpec(path_separator="")  # a label is named like its column, whatever is in it
        corpus = corpus_from_table(others, Path(source), spec, with_texts=False, advise=False)
        documents = Documents.from_documents(corpus.documents)
        labeled = [row for row, labels in enumerate(documents.labels) if labels is not None]
        if not labeled:
            raise BadData(f"{source} has no true labels. Give them in a column 'label', of some rows at least.")
        target = _target(corpus, [documents.labels[row] or () for row in labeled], tuple(columns))
        probabilities = np.stack([_read_probabilities(table, name) for name in columns.values()], axis=1)
        is_multilabel = target.kind == "multilabel"
        split = _splits(source, documents)
        split[[labels is None for labels in documents.labels]] = NEW
        if not np.count_nonzero(split == Split.TRAIN.value):
            raise BadData(f"{source} has true labels of the test split alone, on which nothing can be chosen.")
        return cls(
            source=source,
            ids=documents.ids,
            labels=tuple(columns),
            scores=probabilities_to_scores(probabilities, multilabel=is_multilabel).astype(np.float32),
            target=target,
            split=split,
            groups=_group_numbers(documents.groups),
            notes=tuple(_notes(corpus, probabilities, multilabel=is_multilabel)),
        )

    def rows(self, split: str) -> NDArray[np.int64]:
        """The rows of a split, int64 (documents,)."""
        return np.flatnonzero(self.split == split)

    def target_of(self, rows: NDArray[np.int64]) -> Target:
        """The labels of some rows, all of which have any."""
        position = np.cumsum(self.split != NEW) - 1
        return self.target[position[rows]]

    def inputs(self, seed: int) -> DecisionInputs:
        """What a decision is chosen on."""
        rows = self.rows(Split.TRAIN.value)
        return DecisionInputs(
            ids=[self.ids[row] for row in rows.tolist()],
            scores=self.scores[rows],
            target=self.target_of(rows),
            groups=self.groups[rows],
            seed=seed,
            calibration=Calibration(),
        )

    def predict(self, decision: Decision, rows: NDArray[np.int64]) -> Predictions:
        """The predictions of rows that the decision was not chosen on; their `truth` has no meaning."""
        ids, scores = [self.ids[row] for row in rows.tolist()], self.scores[rows]
        predicted = decision.decide(scores)
        return Predictions(
            ids=ids,
            splits=self.split[rows].tolist(),
            truth=predicted,
            predicted=predicted,
            scores=scores,
            decision=decision,
            label_sets=decision.sets(scores, ids),
        )


@dataclass(frozen=True, kw_only=True)
class DecidedTable:
    """A decision on the probabilities of a table.

    values, scorecards: of documents with a label; of the test split only if it was requested.
    predictions: of the documents in the order of the table, out of fold for those that the decision was chosen on;
        without those of a test split that was not requested.
    """

    decision: Decision
    labels: tuple[str, ...]
    values: DecisionValues
    scorecards: dict[str, Scorecard]
    predictions: list[Prediction]


def decide_table(table: ScoreTable, plan: DecisionPlan, *, final: bool = False, seed: int = 0) -> DecidedTable:
    """Choose a decision on the probabilities of a table.

    Args:
        table: the probabilities, of documents that the system did not learn from.
        plan: what is decided and how; the calibration is chosen unless the plan names one.
        final: whether the documents of the test split are scored.
        seed: of the folds.

    Returns:
        The decision, what it is worth, and the predictions.

    Raises:
        CallError: an option needs a head or features, or does not fit the labels.
    """
    if plan.abstention.other:
        raise CallError(f"--other needs the features of a run, and {table.source} has probabilities.")
    test_rows = table.rows(Split.TEST.value)
    if final and not len(test_rows):
        raise CallError(f"--final scores the test split, and {table.source} has no row of it in a column 'split'.")
    inputs = table.inputs(seed)
    plan = replace(plan.for_target(inputs.target), calibration=plan.calibration or "auto")
    decision = plan.decide(inputs)
    train, new = table.rows(Split.TRAIN.value), table.rows(NEW)
    parts = [(train, inputs.predictions(decision, Split.TRAIN)), (new, table.predict(decision, new))]
    cards, test = {"out_of_fold": score_predictions(parts[0][1], inputs.target, seed)}, None
    if final:
        decided, target = table.predict(decision, test_rows), table.target_of(test_rows)
        cards["test"] = score_predictions(decided, target, seed)
        test = plan.rule.value(target, decision.decide_all(decided.scores))
        parts.append((test_rows, decided))
    predictions: dict[int, Prediction] = {}
    for rows, decided in parts:
        predictions |= zip(rows.tolist(), _describe(decided, inputs.target), strict=True)
    values = DecisionValues.of_evidence(decision.evidence, test)
    return DecidedTable(
        decision=decision,
        labels=table.labels,
        values=values,
        scorecards=cards,
        predictions=[predictions[row] for row in sorted(predictions)],
    )


def _describe(predictions: Predictions, target: Target) -> Iterator[Prediction]:
    """The prediction of each document as `predict` writes it."""
    names = target.labels if target.hierarchy is None else target.hierarchy.names
    return describe_predictions(
        predictions.ids, predictions.predicted, predictions.probabilities, target.labels, names, predictions.label_sets
    )


def _probability_columns(table: Table) -> dict[str, str]:
    """Label -> the column of its probabilities."""
    prefixed = _by_label(table.source, [name for name in table.names if name.startswith(PREFIX)])
    if prefixed:
        return prefixed
    roles, _ = resolve_columns(SourceSpec(), table, with_texts=False)
    used = {roles.label, roles.id, roles.split, roles.group, *OTHER_COLUMNS}
    columns = _by_label(table.source, [name for name in table.names if name not in used])
    if len(columns) < MIN_LABELS:
        raise BadData(
            f"{table.source} has {plural(len(columns), 'column')} of probabilities. A column per label is needed, "
            "named for the label, next to the column 'label' of true labels."
        )
    return columns


def _by_label(source: str, names: Sequence[str]) -> dict[str, str]:
    """Columns by the labels that they are named for, in the form that cells of labels are read in: "1" for "1.0".

    Raises BadData for two columns of one label.
    """
    columns: dict[str, str] = {}
    for name in names:
        word = name.removeprefix(PREFIX)
        label = canonical_label(word.strip()) or word
        if label in columns:
            raise BadData(
                f"{source} has the columns '{columns[label]}' and '{name}' for one label. Remove one of them."
            )
        columns[label] = name
    return columns


def _read_probabilities(table: Table, name: str) -> NDArray[np.float64]:
    """A column of probabilities, float64 (rows,). Raises BadData for a cell that is none."""
    values = np.empty(table.rows)
    for row, cell in enumerate(table.cells(name)):
        text = cell_text(cell, row, table.location)
        try:
            values[row] = float(text or "nan")
        except ValueError:
            values[row] = np.nan
        if not 0 <= values[row] <= 1:
            raise BadData(
                f"{table.location(row)} has {text!r} in column '{name}', which is no probability between 0 and 1. If "
                f"this is no column of a label, name those of labels '{PREFIX}LABEL'."
            )
    return values


def _target(corpus: Corpus, of_documents: Sequence[tuple[str, ...]], labels: tuple[str, ...]) -> Target:
    """The true labels of the documents that have any. Raises BadData for a label without a column."""
    if unknown := sorted({label for each in of_documents for label in each} - set(labels)):
        raise BadData(
            f"{corpus.source} has documents of {join_names(unknown)}, but no column of probabilities of that name."
        )
    return Target.from_labels(of_documents, "multilabel" if corpus.kind == "multilabel" else "single", labels=labels)


def _splits(source: str, documents: Documents) -> NDArray[np.str_]:
    """Test or train of each document, str (documents,): a decision is chosen on validation documents too.

    Raises BadData for another word; a document without one is a training document.
    """
    names = {word: parse_split_name(word) if word else Split.TRAIN for word in set(documents.splits)}
    if unknown := [word for word, split in names.items() if word and split is None]:
        raise BadData(f"{source} has {join_names(sorted(unknown))} as a split. Write train, validation or test.")
    tested = [names[word] == Split.TEST for word in documents.splits]
    return np.where(tested, Split.TEST.value, Split.TRAIN.value)


def _group_numbers(groups: Sequence[str | None]) -> NDArray[np.int64]:
    """The group of each document, int64 (documents,); a document without one is a group of its own."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault((row,) if name is None else name, row) for row, name in enumerate(groups)])


def _notes(corpus: Corpus, probabilities: NDArray[np.float64], *, multilabel: bool) -> Iterator[str]:
    yield from corpus.notes
    if not multilabel:
        off = np.count_nonzero(np.abs(probabilities.sum(axis=1) - 1) > TOLERANCE)
        if off:
            yield f"The probabilities of {plural(int(off), 'document')} do not sum to 1; they are divided by their sum."

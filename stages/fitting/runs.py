"""What a run folder holds; nothing else reads or writes one.

    runs/lstm-7c2e41b0/
      run.json          the record: what was asked, on which features, what it took; and the hash of every other file
      head/             the weights, no pickle
      decision.json     the rule and its evidence
      predictions.csv   id, split, truth, prediction, the probability of each label
      scorecard.json    every metric with its interval, out of fold and on the test split

A run is complete or absent: it is built under a temporary name and renamed. Its name is the head's and a hash of
all that decides its result, so that the same command finds the run that it made before.
"""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import TEMPORARY_PREFIX, build_folder, hash_file, write_atomically
from data.errors import BadData, FileMissing, RunDamaged, suggest_name
from data.target import TargetKind
from featurestore import Recipe

if TYPE_CHECKING:
    from heads.core.head import Head
    from heads.evaluation.decisions import Decision
    from heads.evaluation.metrics import Scorecard

FORMAT = 2
RECORDED_PACKAGES = ("embedonce", "numpy", "scikit-learn", "torch", "lightgbm")


@dataclass(frozen=True, kw_only=True)
class Record:
    """run.json: enough to run the command again, and to compare it with any run on the same documents."""

    head: str
    hyperparameters: Mapping[str, Any]
    inputs: Sequence[str]
    layer: int | None  # None: every layer that is kept
    seed: int
    folds: int
    tuned: bool
    store: str
    recipe: Mapping[str, Any]
    shards: Sequence[str]
    corpus: str
    documents: Mapping[str, int]  # of each split
    documents_hash: str  # of ids, keys, splits, groups and labels
    kind: TargetKind
    labels: Sequence[str]  # in the order of every column; of kind ordinal the lowest first
    parameter_count: int
    seconds: Mapping[str, float]  # out_of_fold, decision, fit, test
    predict_milliseconds: float  # a document, from features in the store
    notes: Sequence[str]
    command: str
    created: str
    versions: Mapping[str, str]
    base_runs: Sequence[str] = ()  # the runs beside it whose scores it reads, in their order
    further_recipes: Sequence[Mapping[str, Any]] = ()  # of the further stores that it reads, in their order


def short_hash(parts: Mapping[str, Any]) -> str:
    """Eight hex digits of the hash of `parts` as canonical JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:8]


def versions() -> dict[str, str]:
    """Of the packages that a run's figures may depend on, those that are installed."""
    found = {}
    for package in RECORDED_PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@dataclass(frozen=True)
class Predictions:
    """One row a document: the test split, and the training split out of fold.

    truth, predicted: int64 (documents,) indices into `labels`, or bool (documents, labels) for several labels.
    probabilities: float32 (documents, labels).
    """

    ids: Sequence[str]
    splits: Sequence[str]
    truth: NDArray[Any]
    predicted: NDArray[Any]
    probabilities: NDArray[np.float32]

    def of(self, split: str) -> Self:
        """The rows of one split."""
        rows = [row for row, side in enumerate(self.splits) if side == split]
        ids, splits = ([values[row] for row in rows] for values in (self.ids, self.splits))
        return type(self)(ids, splits, self.truth[rows], self.predicted[rows], self.probabilities[rows])


def label_names(row: Any, labels: Sequence[str]) -> str:
    """One document's labels as predictions.csv has them: a name, or a JSON list of several."""
    if np.ndim(row) == 0:
        return labels[int(row)]
    return json.dumps([labels[column] for column in np.flatnonzero(row).tolist()], ensure_ascii=False)


def _write_predictions(path: Path, predictions: Predictions, labels: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "split", "truth", "prediction", *labels])
        for row, identifier in enumerate(predictions.ids):
            truth, predicted = (label_names(codes[row], labels) for codes in (predictions.truth, predictions.predicted))
            shares = [f"{share:.6g}" for share in predictions.probabilities[row].tolist()]
            table.writerow([identifier, predictions.splits[row], truth, predicted, *shares])


def _codes(cells: Sequence[str], labels: Sequence[str], kind: TargetKind) -> NDArray[Any]:
    columns = {label: column for column, label in enumerate(labels)}
    if kind != "multilabel":
        return np.array([columns[cell] for cell in cells], dtype=np.int64)
    codes = np.zeros((len(cells), len(labels)), dtype=bool)
    for row, cell in enumerate(cells):
        codes[row, [columns[label] for label in json.loads(cell)]] = True
    return codes


def _read_predictions(path: Path, labels: Sequence[str], kind: TargetKind) -> Predictions:
    with path.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    ids, splits, truth, predicted = ([row[column] for row in rows] for column in range(4))
    probabilities = np.array([row[4:] for row in rows], dtype=np.float32).reshape(len(rows), len(labels))
    return Predictions(ids, splits, _codes(truth, labels, kind), _codes(predicted, labels, kind), probabilities)


@dataclass(frozen=True)
class Run:
    """A complete run on disk. Every file is held against its hash before it is read."""

    folder: Path
    record: Record
    files: Mapping[str, str]

    @property
    def name(self) -> str:
        """The folder's name, as the command line takes it."""
        return self.folder.name

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """How the features that this run reads were made, in each store."""
        return tuple(map(Recipe.from_json, (self.record.recipe, *self.record.further_recipes)))

    def head(self) -> "Head":
        """The fitted head."""
        from heads.registry import head_class

        for file in self.files:
            if file.startswith("head/"):
                self._checked(file)
        return head_class(self.record.head).load(self.folder / "head")

    def predictions(self) -> Predictions:
        """What the run said of the test split, and of the training split out of fold."""
        return _read_predictions(self._checked("predictions.csv"), self.record.labels, self.record.kind)

    @cached_property
    def decision(self) -> "Decision":
        """The rule that makes labels of scores, and the evidence for it."""
        from heads.evaluation.decisions import decision_from_json

        return decision_from_json(json.loads(self._checked("decision.json").read_text(encoding="utf-8")))

    @cached_property
    def scorecards(self) -> dict[str, "Scorecard"]:
        """The figures `out_of_fold` and `test`."""
        from heads.evaluation.metrics import Scorecard

        cards = json.loads(self._checked("scorecard.json").read_text(encoding="utf-8"))
        return {split: Scorecard.from_json(card) for split, card in cards.items()}

    def _checked(self, file: str) -> Path:
        path = self.folder / file
        if not path.is_file() or hash_file(path) != self.files.get(file):
            raise RunDamaged(
                f"{path} is missing or was changed since the run was made. Remove {self.folder} and fit again."
            )
        return path


def save(
    folder: Path,
    record: Record,
    head: "Head",
    decision: "Decision",
    predictions: Predictions,
    scorecards: Mapping[str, "Scorecard"],
) -> Run:
    """Write a whole run and return it; where a run of that name was finished meanwhile, that one stays.

    Raises StorageFailed, leaving nothing behind, when the disk is full or refuses.
    """
    with build_folder(folder, next_step="Make room and fit again.") as temporary:
        (temporary / "head").mkdir()
        head.save(temporary / "head")
        _write_json(temporary / "decision.json", decision.to_json())
        _write_json(temporary / "scorecard.json", {split: card.to_json() for split, card in scorecards.items()})
        _write_predictions(temporary / "predictions.csv", predictions, record.labels)
        written = sorted(path for path in temporary.rglob("*") if path.is_file())
        files = {path.relative_to(temporary).as_posix(): hash_file(path) for path in written}
        _write_json(temporary / "run.json", {"format": FORMAT, **asdict(record), "files": files})
    return load(folder)


def replace_notes(run: Run, notes: Sequence[str]) -> Run:
    """The run with these notes in the place of its own, on disk too. Raises StorageFailed when it cannot be written."""
    record = replace(run.record, notes=tuple(notes))
    content = {"format": FORMAT, **asdict(record), "files": dict(run.files)}
    write_atomically(run.folder / "run.json", _json(content).encode())
    return replace(run, record=record)


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(_json(content), encoding="utf-8")


def load(folder: Path) -> Run:
    """The run in `folder`. Raises FileMissing when there is none, RunDamaged when it cannot be read."""
    path = folder / "run.json"
    if not path.is_file():
        raise FileMissing(
            f"{folder} is not a run.{suggest_name(folder.name, (run.name for run in runs_in(folder.parent)))}"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] > FORMAT:
            raise BadData(f"{folder} was made by a newer embedonce. Update embedonce to read it.")
        if content["format"] < FORMAT:
            raise BadData(f"{folder} was written by an older embedonce and cannot be read. Remove it and fit again.")
        del content["format"]
        files = content.pop("files")
        return Run(folder, Record(**content), files)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, BadData):
            raise
        raise RunDamaged(f"{path} cannot be read ({error}). Remove {folder} and fit again.") from error


def runs_in(folder: Path) -> list[Run]:
    """The complete runs in a folder, by name."""
    if not folder.is_dir():
        return []
    return [
        load(path.parent)
        for path in sorted(folder.glob("*/run.json"))
        if not path.parent.name.startswith(TEMPORARY_PREFIX)
    ]

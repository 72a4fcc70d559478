"""Run folders: a fitted head with its record, predictions and metrics. No other module reads or writes them.

    runs/lstm-7c2e41b0/
      run.json          the record: hyperparameters, features, times, notes; and the SHA-256 of every other file
      head/             the fitted head, without pickle
      decision.json     the decision rule and the evidence for it
      folds.npy         int32 (documents,), the fold of each document that is scored out of fold; of runs with folds
      scores.npy        float32 (documents, labels); with predictions.csv, see stages/fitting/predictions.py
      predictions.csv   id, split, true label, predicted label, probabilities
      scorecard.json    every metric with its confidence interval, out-of-fold and on the test split

A run is complete or absent: it is written under a temporary name and renamed. The name of a run is the head and a hash
of everything that decides the result, so the same command finds the run that exists already.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import TEMPORARY_PREFIX, build_folder, hash_file, write_atomically
from data.errors import BadData, EmbedOnceError, FileMissing, RunDamaged, suggest_name
from data.hierarchy import Hierarchy
from data.target import TargetKind
from data.taxonomy import Taxonomy
from featurestore import Recipe
from stages.fitting.predictions import Predictions, read_predictions, write_predictions

if TYPE_CHECKING:
    from heads.core.head import Head
    from heads.evaluation.decisions import Decision
    from heads.evaluation.metrics import Scorecard

FORMAT = 4
FOLDS = "folds.npy"
RECORDED_PACKAGES = ("embedonce", "numpy", "scikit-learn", "torch", "lightgbm")


@dataclass(frozen=True, kw_only=True)
class Record:
    """The content of run.json: enough to repeat the command and to compare runs on the same documents."""

    head: str
    hyperparameters: Mapping[str, Any]
    inputs: Sequence[str]  # the views that the head read, or the base runs of a stacking ensemble
    layer: int | None  # None: every stored layer
    seed: int
    folds: int
    tuned: bool
    store: str
    recipe: Mapping[str, Any]
    shards: Sequence[str]
    corpus: str
    documents: Mapping[str, int]  # split -> number of documents
    documents_hash: str  # of ids, texts, splits, groups and labels
    kind: TargetKind
    labels: Sequence[str]  # in the order of the columns of scores; the lowest first if they are ordinal
    parameter_count: int
    seconds: Mapping[str, float]  # out_of_fold, decision, fit, test
    predict_milliseconds: float  # per document, from features in the store
    corpus_notes: Sequence[str]  # on the corpus and how it is used; they are the same for every head
    run_notes: Sequence[str]  # on this run
    command: str
    created: str
    package_versions: Mapping[str, str]
    base_runs: Sequence[str] = ()  # runs in the same folder whose scores a stacking ensemble reads, in this order
    tabular: Sequence[str] = ()  # the tabular columns that the head or its base runs read, as in "price:number"
    further_recipes: Sequence[Mapping[str, Any]] = ()  # of the second and every further store, in this order
    source: str = ""  # from which the corpus was read, as the user wrote it
    spec: Mapping[str, Any] = field(default_factory=dict)  # how: a SourceSpec
    scored_level: int | None = None  # the level of the taxonomy that the labels are nodes of; None for all labels
    validate_on: str = "folds"  # or "split", the validation split; `folds` is 0 then
    copies: Mapping[str, int] = field(default_factory=dict)  # corpus of augmented copies -> how many it was fitted on
    encoder_trainings: Sequence[Mapping[str, Any]] = ()  # what encoders made here learned from, without texts' keys
    unscored: int = 0  # training documents that are only fitted on, because an encoder learned from their labels
    training: Mapping[str, Any] = field(default_factory=dict)  # of a network: epochs, steps, batch size, precision
    test_texts: int = 0  # test documents whose texts an encoder learned from
    fold_stores: Sequence[str] = ()  # of an encoder that was cross-fitted: the store of each fold
    objective: str = ""  # what the decision rule was chosen for; "" for the metric of the kind of labels
    labels_only: bool = False  # whether nodes of the taxonomy that are no label are never predicted
    taxonomy: Mapping[str, Sequence[str]] = field(default_factory=dict)  # node -> its parents; {} without a taxonomy
    parent: str = ""  # of a decided run: the run in the same folder that has its weights and scores
    decisions_scored_before: int = 0  # how many decisions of the parent had test metrics before this one was scored
    diagnostics: Mapping[str, Any] = field(default_factory=dict)  # for checks: FitDiagnostics
    search: Sequence[Mapping[str, Any]] = ()  # of a sweep that chose it: each range of numbers, a SearchedRange
    final: bool = False  # of a decided run: whether the test split was scored

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything that a reader of the run's metrics must know."""
        return (*self.corpus_notes, *self.run_notes)

    @cached_property
    def hierarchy(self) -> Hierarchy | None:
        """The labels and the nodes above them as numbers, as in the run's target; None without a taxonomy."""
        return Hierarchy.of(Taxonomy.from_json(self.taxonomy), tuple(self.labels)) if self.taxonomy else None

    @property
    def node_names(self) -> Sequence[str]:
        """The names of the codes that a prediction may have: the labels, then the other nodes of the taxonomy."""
        return self.labels if self.hierarchy is None else self.hierarchy.names


def short_hash(parts: Mapping[str, Any]) -> str:
    """Eight hex digits of the SHA-256 of `parts` as canonical JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:8]


def package_versions() -> dict[str, str]:
    """The versions of the installed packages that a run's result may depend on."""
    versions = {}
    for package in RECORDED_PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


@dataclass(frozen=True)
class Run:
    """A complete run on disk. Each file is checked against its hash before it is read."""

    folder: Path
    record: Record
    files: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name of the folder, which names the run on the command line."""
        return self.folder.name

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipes of the features that this run reads, one per store."""
        return tuple(map(Recipe.from_json, (self.record.recipe, *self.record.further_recipes)))

    def head(self) -> "Head":
        """The fitted head."""
        from heads.registry import head_class

        self.check("head/")
        return head_class(self.record.head).load(self.folder / "head")

    def predictions(self) -> Predictions:
        """The predictions on the test split, and the out-of-fold ones on the training split."""
        table, record = self._verified_path("predictions.csv"), self.record
        return read_predictions(table, self.scores(), record.labels, record.kind, record.node_names, self.decision)

    def scores(self) -> NDArray[np.float32]:
        """The scores of the documents of `predictions`, float32 (documents, labels), memory-mapped."""
        scores: NDArray[np.float32] = np.load(self._verified_path("scores.npy"), mmap_mode="r", allow_pickle=False)
        return scores

    def folds(self) -> NDArray[np.int32] | None:
        """The fold of each prediction on the training split, int32 (documents,), in their order; None without folds."""
        return np.load(self._verified_path(FOLDS), allow_pickle=False) if FOLDS in self.files else None

    @cached_property
    def decision(self) -> "Decision":
        """The rule that turns scores into labels, and the evidence for it."""
        from heads.evaluation.decisions import Decision

        return Decision.from_json(json.loads(self._verified_path("decision.json").read_text(encoding="utf-8")))

    @cached_property
    def scorecards(self) -> dict[str, "Scorecard"]:
        """The metrics: `out_of_fold`, or `validation` of the validation split; and `test`, unless it was not scored."""
        from heads.evaluation.metrics import Scorecard

        cards = json.loads(self._verified_path("scorecard.json").read_text(encoding="utf-8"))
        return {split: Scorecard.from_json(card) for split, card in cards.items()}

    def check(self, *prefixes: str) -> None:
        """Raise RunDamaged if a file whose name starts with one of `prefixes` is missing or was changed."""
        for file in self.files:
            if file.startswith(prefixes):
                self._verified_path(file)

    @property
    def ranking_scorecard(self) -> "Scorecard":
        """The metrics that runs are ranked by: those of training documents that a head was not fitted on."""
        return self.scorecards["out_of_fold" if self.record.validate_on == "folds" else "validation"]

    @property
    def scored_split(self) -> str:
        """The split whose predictions a report shows: the test split, or the validated documents without one."""
        return "test" if "test" in self.scorecards else "train" if self.record.validate_on == "folds" else "validation"

    def _verified_path(self, file: str) -> Path:
        path = self.folder / file
        if not path.is_file() or hash_file(path) != self.files.get(file):
            raise RunDamaged(
                f"{path} is missing or was changed after the run was made. Remove {self.folder} and fit again."
            )
        return path


def save(
    folder: Path,
    record: Record,
    head: "Head",
    decision: "Decision",
    predictions: Predictions,
    scorecards: Mapping[str, "Scorecard"],
    folds: NDArray[np.int32] | None = None,
) -> Run:
    """Write a run and return it. If another process has written a run of that name in the meantime, that one stays.

    Args:
        folder: where to write the run; the name of the folder is the name of the run.
        record: the content of run.json.
        head: the fitted head.
        decision: the decision rule and its evidence.
        predictions: of both splits.
        scorecards: as in `Run.scorecards`.
        folds: as in `Run.folds`.

    Returns:
        The run in `folder`.

    Raises:
        StorageFailed: if the disk is full or refuses to write; nothing is left behind.
    """
    with build_folder(folder, next_step=" and fit again.") as temporary:
        (temporary / "head").mkdir()
        head.save(temporary / "head")
        _write_json(temporary / "decision.json", decision.to_json())
        _write_json(temporary / "scorecard.json", {split: card.to_json() for split, card in scorecards.items()})
        write_predictions(temporary, predictions, record.labels, record.node_names)
        if folds is not None:
            np.save(temporary / FOLDS, folds, allow_pickle=False)
        written = sorted(path for path in temporary.rglob("*") if path.is_file())
        files = {path.relative_to(temporary).as_posix(): hash_file(path) for path in written}
        _write_json(temporary / "run.json", {"format": FORMAT, **asdict(record), "files": files})
    return load(folder)


def replace_run_notes(run: Run, notes: Sequence[str], search: Sequence[Mapping[str, Any]]) -> Run:
    """Replace the notes on the run, and what a sweep searched, on disk too, and return the run.

    Args:
        run: a run.
        notes: as in `Record.run_notes`.
        search: as in `Record.search`.

    Returns:
        The run with the new record.

    Raises:
        StorageFailed: it cannot be written.
    """
    record = replace(run.record, run_notes=tuple(notes), search=tuple(search))
    content = {"format": FORMAT, **asdict(record), "files": dict(run.files)}
    write_atomically(run.folder / "run.json", _json(content))
    return replace(run, record=record)


def _json(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # a path's bytes that are not UTF-8 become JSON's own escapes


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_bytes(_json(content))


def load(folder: Path) -> Run:
    """The run in `folder`.

    Raises FileMissing if there is none, BadData if it has another format, RunDamaged if it cannot be read.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise FileMissing(
            f"{folder} is not a run.{suggest_name(folder.name, (run.name for run in _run_folders(folder.parent)))}"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        run_format, files = content.pop("format"), content.pop("files")
        _check_format(folder, run_format)
        return Run(folder, Record(**content), files)
    except BadData:
        raise
    except OSError as error:
        raise RunDamaged(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunDamaged(f"{path} cannot be read ({error}). Remove {folder} and fit again.") from error


def _check_format(folder: Path, run_format: int) -> None:
    if run_format > FORMAT:
        raise BadData(f"{folder} was made by a newer embedonce (run format {run_format}). Update embedonce to read it.")
    if run_format < FORMAT:
        raise BadData(
            f"{folder} was made by an older embedonce (run format {run_format}, now {FORMAT}). Remove it and fit again."
        )


def runs_in(folder: Path, *files: str, notify: Callable[[str], None] = lambda _: None) -> list[Run]:
    """The runs in a folder, by name, without those that cannot be read.

    Args:
        folder: the folder of the runs.
        files: prefixes of the files of each run that are checked too, as in `Run.check`.
        notify: called with a sentence on each run that is left out, which names it and the reason.

    Returns:
        The runs, none if there is no such folder.
    """
    readable = []
    for path in _run_folders(folder):
        try:
            run = load(path)
            run.check(*files)
        except EmbedOnceError as error:
            notify(f"The run {path.name} is left out: {error}")
        else:
            readable.append(run)
    return readable


def _run_folders(folder: Path) -> list[Path]:
    """The folders of the runs in a folder, by name, whether they can be read or not."""
    paths = sorted(folder.glob("*/run.json")) if folder.is_dir() else []
    return [path.parent for path in paths if not path.parent.name.startswith(TEMPORARY_PREFIX)]

"""Run folders: a fitted head with its record, predictions and metrics. `saving` writes them.

    runs/lstm-7c2e41b0/
      run.json          the record: hyperparameters, features, times, notes; and the SHA-256 of every other file
      head/             the fitted head, without pickle
      decision.json     the decision and the evidence for it
      folds.npy         int32 (documents,), the fold of each document that is scored out of fold; of runs with folds
      scores.npy        float32 (documents, labels); with predictions.csv, see stages/fitting/predictions.py
      groups.npy        int64 (documents,), the groups of the documents that the decision was chosen on
      predictions.csv   id, split, true label, predicted label, probabilities
      scorecard.json    every metric with its confidence interval, out-of-fold and on the test split

A run is complete or absent: it is written under a temporary name and renamed. The name of a run is the head and a hash
of everything that decides the result, so the same command finds the run that exists already.

A decided run (`embedonce decide`) is another decision on the scores of its parent, a run in the same folder. It has no
head/, scores.npy and groups.npy: these are read from the parent. Its scores are the last rows of the parent's, which
are those of training documents, or all rows if it was scored on the test split. Then it has two more files:

      final/            predictions.csv and scorecard.json of the test split

A run that leaves documents unlike training undecided has `training_distance.safetensors`, see
stages/fitting/training_distance.py.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import TEMPORARY_PREFIX, hash_file
from data.errors import BadData, EmbedOnceError, FileMissing, RunDamaged, suggest_name
from featurestore import Recipe
from stages.fitting.predictions import Predictions, read_predictions
from stages.fitting.record import RECORDED_PACKAGES, Record, package_versions, short_hash
from stages.fitting.training_distance import TRAINING_DISTANCE, load_training_distance

if TYPE_CHECKING:
    from heads.core.head import Head
    from heads.evaluation.decisions import Decision
    from heads.evaluation.metrics import Scorecard

__all__ = [
    "FINAL",
    "FORMAT",
    "RECORDED_PACKAGES",
    "Record",
    "Run",
    "load",
    "package_versions",
    "readable",
    "runs_in",
    "short_hash",
]

FORMAT = 4
FINAL = "final"  # the folder in a decided run that has its test metrics and predictions
FOLDS = "folds.npy"
_OF_ORIGIN = ("head/", "scores.npy", "groups.npy", FOLDS)  # files that a decided run reads from its parent


@dataclass(frozen=True)
class Run:
    """A complete run on disk. Each file is checked against its hash before it is read for the first time."""

    folder: Path
    record: Record
    files: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name of the folder, which names the run on the command line."""
        return self.folder.name

    @property
    def folder_option(self) -> tuple[str, ...]:
        """The words that name the folder of the runs on the command line; none for the default."""
        return () if self.folder.parent == Path("runs") else ("--runs", str(self.folder.parent))

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipes of the features that this run reads, one per store."""
        return tuple(map(Recipe.from_json, (self.record.recipe, *self.record.further_recipes)))

    def head(self) -> "Head":
        """The fitted head."""
        from heads.registry import head_class

        self.origin.check("head/")
        return head_class(self.record.head).load(self.origin.folder / "head")

    @cached_property
    def origin(self) -> "Run":
        """The run that has the weights and the scores: the parent of a decided run, else this run.

        Raises FileMissing if the parent is gone, and RunDamaged if it is another one.
        """
        parent = self.folder.parent / self.record.parent
        if not self.record.parent:
            return self
        if not (parent / "run.json").is_file():
            raise FileMissing(
                f"{self.name} is a decision on the scores of {parent.name}, which is not in {parent.parent}. Put it "
                f"back, or remove {self.folder}."
            )
        origin = load(parent)
        if origin.files.get("scores.npy") != self.record.parent_scores:
            raise RunDamaged(
                f"{self.name} is a decision on the scores of {parent}, which has other scores now. Remove "
                f"{self.folder} and decide again."
            )
        return origin

    def predictions(self) -> Predictions:
        """The predictions on the test split, and the out-of-fold ones on the training split; they are read once."""
        return self._predictions

    @cached_property
    def _predictions(self) -> Predictions:
        tables = [self._verified_path(file) for file in self._parts("predictions.csv")]
        record, scores = self.record, self._load("scores.npy")
        return read_predictions(tables, scores, record.labels, record.kind, record.node_names, self.decision)

    def groups(self) -> NDArray[np.int64]:
        """The groups of the documents that a decision is chosen on, int64 (documents,)."""
        return self._load("groups.npy")

    def _parts(self, file: str) -> list[str]:
        """A file, after the one of the test split if that is apart."""
        return [each for each in (f"{FINAL}/{file}", file) if each in self.files]

    def _load(self, file: str) -> NDArray[Any]:
        array: NDArray[Any] = np.load(self.origin._verified_path(file), mmap_mode="r", allow_pickle=False)
        return array

    def folds(self) -> NDArray[np.int32] | None:
        """The fold of each prediction on the training split, int32 (documents,), in their order; None without folds."""
        return self._load(FOLDS) if FOLDS in self.origin.files else None

    @cached_property
    def decision(self) -> "Decision":
        """The rule that turns scores into labels, and the evidence for it."""
        from heads.evaluation.decisions import Decision

        decision = Decision.from_json(json.loads(self._verified_path("decision.json").read_text(encoding="utf-8")))
        if TRAINING_DISTANCE not in self.files:
            return decision
        return replace(decision, training_distance=load_training_distance(self._verified_path(TRAINING_DISTANCE)))

    @cached_property
    def scorecards(self) -> dict[str, "Scorecard"]:
        """The metrics: `out_of_fold`, or `validation` of the validation split; and `test`, unless it was not scored."""
        from heads.evaluation.metrics import Scorecard

        parts = [json.loads(self._verified_path(file).read_bytes()) for file in self._parts("scorecard.json")]
        return {split: Scorecard.from_json(card) for cards in reversed(parts) for split, card in cards.items()}

    def check(self, *prefixes: str) -> None:
        """Raise RunDamaged if a file whose name starts with one of `prefixes` is missing or was changed.

        Those that a decided run reads from its parent are checked there, and FileMissing is raised without the parent.
        """
        of_origin = [file for file in self.origin.files if file.startswith(_OF_ORIGIN)]
        for run, files in ((self, self.files), (self.origin, of_origin)):
            for file in files:
                if file.startswith(prefixes):
                    run._verified_path(file)

    @cached_property
    def _verified(self) -> set[str]:
        """The files that were checked against their hashes."""
        return set()

    @property
    def ranking_scorecard(self) -> "Scorecard":
        """The metrics that runs are ranked by: those of training documents that a head was not fitted on."""
        return self.scorecards[self.record.ranking_metrics]

    @property
    def scored_split(self) -> str:
        """The split whose predictions a report shows: the test split, or the validated documents without one."""
        return "test" if "test" in self.scorecards else self.record.ranking_split.value

    def _verified_path(self, file: str) -> Path:
        path = self.folder / file
        if file in self._verified:
            return path
        if not path.is_file() or hash_file(path) != self.files.get(file):
            again = "decide" if self.record.parent else "fit"
            raise RunDamaged(
                f"{path} is missing or was changed after the run was made. Remove {self.folder} and {again} again."
            )
        self._verified.add(file)
        return path


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
    return readable(_run_folders(folder), *files, notify=notify)


def readable(found: Iterable[Path | Run], *files: str, notify: Callable[[str], None] = lambda _: None) -> list[Run]:
    """The runs that can be read. found: their folders, or the runs. Further arguments as for `runs_in`."""
    left = []
    for each in found:
        try:
            run = each if isinstance(each, Run) else load(each)
            run.check(*files)
        except EmbedOnceError as error:
            notify(f"The run {each.name} is left out: {error}")
        else:
            left.append(run)
    return left


def _run_folders(folder: Path) -> list[Path]:
    """The folders of the runs in a folder, by name, whether they can be read or not."""
    paths = sorted(folder.glob("*/run.json")) if folder.is_dir() else []
    return [path.parent for path in paths if not path.parent.name.startswith(TEMPORARY_PREFIX)]

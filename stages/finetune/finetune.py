"""The command `finetune`: from the source that a user names to a fine-tuned encoder, a store of its vectors, and a run.

The order of the steps keeps the metrics honest: training reads only training documents; then the encoder encodes the
corpus; then the scores of documents that were not learned from choose the decision rule, and the test split is scored
once, as `fit_head` does it.
"""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import build_folder, check_writable
from data.text_format import plural
from featurestore import FeatureStore, list_stores
from heads.evaluation.score_matrix import align_scores
from stages.embed.model_files.saved_encoders import encoders_folder
from stages.embed.network.backends import AUTO
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.embed.pipeline.encode_corpus import EmbedProgress
from stages.finetune.preparation import FinetuneRequest, Preparation, prepare
from stages.finetune.processes import Processes
from stages.finetune.task import Fold
from stages.fitting import runs
from stages.fitting.cross_fitting import CrossFitResult, FitJob
from stages.fitting.fit_checkpoint import FitCheckpoint
from stages.fitting.fit_head import Clock, complete_run
from stages.fitting.plan import FitPlan
from stages.fitting.task import Task, load_task, rare_label_notes

if TYPE_CHECKING:
    from heads.classifiers.finetuned import FinetunedHead
    from stages.finetune.trainer import StepProgress
    from stages.finetune.training import TrainedFold, Training

__all__ = ["FinetuneProgress", "FinetuneResult", "finetune"]


@dataclass(frozen=True)
class FinetuneProgress:
    """How far all trainings are. seconds_left: None before the first step. interrupted: this step is the last one."""

    step: int
    steps: int
    activity: str
    seconds_left: float | None
    interrupted: bool = False


@dataclass(frozen=True, kw_only=True)
class FinetuneResult:
    """The run, the names of the fine-tuned encoder and of the store of its vectors, and whether they are new."""

    run: runs.Run
    encoder: str
    store: str
    is_new: bool


def finetune(
    request: FinetuneRequest,
    *,
    notify: Callable[[str], None],
    on_training: Callable[[FinetuneProgress], None],
    on_encoding: Callable[[EmbedProgress], None],
) -> FinetuneResult | None:
    """Fine-tune an encoder, encode the corpus with it, and write the run; an interrupted call is resumed by the next.

    Args:
        request: what to do.
        notify: called with sentences for the user, as they arise.
        on_training: called after each step of training.
        on_encoding: called after each batch of encoding.

    Returns:
        The result; None in a process of data-parallel training that is not the first.

    Raises:
        EmbedOnceError: of `prepare`, training, `embed_source` and `complete_run`.
    """
    if not Processes.of_environment().is_first:
        notify, on_training = _ignore, _ignore
    prepared = prepare(request, notify)
    if prepared.run_folder.exists():
        run = runs.load(prepared.run_folder)
        return FinetuneResult(run=run, encoder=run.recipes[0].encoder, store=run.record.store, is_new=False)
    for folder in (request.runs, request.stores, encoders_folder()):
        if isinstance(folder, Path):
            check_writable(folder)
        else:
            list_stores(folder)  # whether the bucket exists and answers
    checkpoint = FitCheckpoint(prepared.run_folder)
    run_notes = checkpoint.notes()
    for sentence in (*prepared.task.notes, *run_notes):
        notify(sentence)
    trained = _Trainings(prepared, checkpoint, on_training).run()
    if not prepared.processes.is_first:
        return None
    store = _encode(prepared, notify, on_encoding)
    run = _complete(prepared, trained, store, run_notes)
    checkpoint.remove()
    return FinetuneResult(run=run, encoder=prepared.name, store=store.name, is_new=True)


def _ignore(_: object) -> None:
    """Report nothing: the first process does."""


@dataclass(frozen=True, eq=False)
class _Trained:
    """The layer, the out-of-fold scores of all training documents if there are folds, and the seconds of both."""

    head: "FinetunedHead"
    scores: NDArray[np.float32]
    fit_seconds: float
    fold_seconds: float
    notes: tuple[str, ...] = ()


class _Trainings:
    """The trainings of a run, one after the other; those that a checkpoint has the result of are not repeated."""

    def __init__(
        self, prepared: Preparation, checkpoint: FitCheckpoint, on_progress: Callable[[FinetuneProgress], None]
    ) -> None:
        self._prepared, self._checkpoint, self._on_progress = prepared, checkpoint, on_progress

    @cached_property
    def _training(self) -> "Training":
        return self._prepared.open_training()

    def run(self) -> _Trained:
        """Train for each fold, then the encoder that is kept, and save it."""
        prepared, started = self._prepared, time.perf_counter()
        labels = prepared.task.target.labels
        scores = np.full((len(prepared.task.ids), len(labels)), -np.inf, dtype=np.float32)
        *folds, last = prepared.folds
        for number, fold in enumerate(folds):
            scores[fold.scored] = self._score_fold(number, fold)
        fold_seconds, started = time.perf_counter() - started, time.perf_counter()
        head, notes = self._train_last(len(folds), last)
        return _Trained(head, scores, time.perf_counter() - started, fold_seconds, notes)

    def _score_fold(self, number: int, fold: Fold) -> NDArray[np.float32]:
        labels = self._prepared.task.target.labels
        saved = self._checkpoint.load_scores(number, (len(fold.scored), len(labels)))
        if saved is not None:
            return saved
        trained = self._train(number, fold)
        scores = align_scores(self._training.scores(trained.classifier, fold.scored), trained.head.classes_, labels)
        if self._prepared.processes.is_first:
            self._checkpoint.save_scores(number, scores)
            shutil.rmtree(self._folder(number), ignore_errors=True)
        return scores

    def _train_last(self, number: int, fold: Fold) -> "tuple[FinetunedHead, tuple[str, ...]]":
        from heads.classifiers.finetuned import FinetunedHead
        from stages.adapt.saving import save_adapted_encoder

        prepared, folder = self._prepared, self._prepared.layer_folder
        if prepared.is_trained:
            return FinetunedHead.load(folder), ()
        trained = self._train(number, fold)
        if prepared.processes.is_first:
            shutil.rmtree(folder, ignore_errors=True)
            with build_folder(folder, next_step=" and run the same command again.") as temporary:
                trained.head.save(temporary)
            save_adapted_encoder(prepared.name, prepared.record, prepared.base, trained.classifier.encoder)
        return trained.head, trained.notes

    def _train(self, number: int, fold: Fold) -> "TrainedFold":
        batch_size, epochs = self._prepared.request.settings.batch_size, self._prepared.request.settings.epochs
        steps = [epochs * math.ceil(len(each.learned) / batch_size) for each in self._prepared.folds]
        done, total = sum(steps[:number]), sum(steps)
        which = "" if len(steps) == 1 else f"training {number + 1} of {len(steps)}, "

        def show(now: "StepProgress") -> None:
            left = None if now.seconds_per_step is None else now.seconds_per_step * (total - done - now.step)
            activity = f"{which}epoch {now.epoch} of {now.epochs}"
            self._on_progress(FinetuneProgress(done + now.step, total, activity, left, now.interrupted))

        return self._training.run(fold, self._folder(number), show)

    def _folder(self, number: int) -> Path:
        return self._checkpoint.folder / f"training-{number + 1}"


def _encode(
    prepared: Preparation, notify: Callable[[str], None], on_encoding: Callable[[EmbedProgress], None]
) -> FeatureStore:
    request = prepared.request
    options = replace(request.options, model=prepared.name, revision=None, precision=AUTO, backend=AUTO)
    embed_request = EmbedRequest(
        source=prepared.corpus, options=options, stores=request.stores, seed=request.settings.seed
    )
    store, report = embed_source(embed_request, notify=notify, progress=on_encoding)
    for sentence in report.notes:
        notify(sentence)
    return store


def _complete(prepared: Preparation, trained: _Trained, store: FeatureStore, run_notes: Sequence[str]) -> runs.Run:
    """Score the documents that were not learned from, from their features in the store, and write the run."""
    request, settings, clock = prepared.request, prepared.request.settings, Clock()
    table = store.corpus(prepared.corpus.name)
    task = load_task(store, table, skip_unlabeled=request.skip_unlabeled, order=request.order, with_test=request.test)
    has_folds = settings.validate_on == "folds"
    plan = FitPlan(
        head=trained.head,
        folds=settings.folds,
        seed=settings.seed,
        tune=request.tune,
        decision=request.decision,
        skip_unlabeled=request.skip_unlabeled,
        order=request.order,
        validate_on="folds" if has_folds else "split",
        test=request.test,
    )
    row_of = {identifier: row for row, identifier in enumerate(task.train_ids)}
    # a document may have no finite vectors
    kept = [(row_of[each], row) for row, each in enumerate(prepared.task.ids) if each in row_of]
    fold_of = None
    if has_folds:
        rows, scores = np.arange(len(kept)), trained.scores[[row for _, row in kept]]
        fold_of = prepared.fold_of[[row for _, row in kept]]
    else:
        scored = set(prepared.folds[-1].scored.tolist())
        rows = np.array([new for new, row in kept if row in scored], dtype=np.int64)
        task = replace(task, is_validation=np.isin(np.arange(len(task.train_ids)), rows))
        scores = task.scores(trained.head, rows)
    clock.laps |= {"fit": round(trained.fit_seconds, 3), "out_of_fold": round(trained.fold_seconds, 3)}
    return complete_run(
        FitJob(store, table, plan, prepared.run_folder),
        task,
        CrossFitResult(rows, scores, trained.head, trained.fit_seconds, fold_of),
        clock,
        [*task.notes, *prepared.task.notes, *_validation_notes(prepared, task)],
        [*run_notes, *trained.notes],
        command=request.command,
        settings={"finetune": prepared.record.steps[-1].summary()["settings"]},
    )


def _validation_notes(prepared: Preparation, task: Task) -> list[str]:
    settings, fold = prepared.request.settings, prepared.folds[-1]
    learned = f"{prepared.encoder.recipe.encoder} was fine-tuned on {len(fold.learned):,} training documents"
    notes = [] if prepared.request.test else ["The test split was not read (--no-test): there are no test metrics."]
    if task.train.tabular is not None:
        notes.append("A fine-tuned classifier reads the text alone, not the tabular columns.")
    if settings.validate_on == "folds":
        return [
            *notes,
            f"{learned}. The out-of-fold scores are of {settings.folds} other encoders, each fine-tuned without one "
            "fold; all epochs were run.",
            *rare_label_notes(task.target, settings.folds),
        ]
    which = "drawn by label" if settings.validate_on == "share" else "of the validation split"
    return [
        *notes,
        f"{learned}. {plural(len(fold.scored), 'other')} {which} chose the best epoch and the decision rule, which "
        "makes the validation metrics slightly too high.",
    ]

"""Adapting an encoder: the order of the steps, from a corpus and an encoder to encoders in the folder of encoders."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from data.documents import Corpus
from data.errors import BadData
from data.readers import read_corpus
from data.splitting.train_test_split import assign_splits
from data.target import Target
from data.text_format import plural
from featurestore import EncoderTraining, KeyList, TrainingStep
from stages.adapt.documents import Rows, Selection, TrainingDocuments, hash_labels
from stages.adapt.methods import make_epoch, make_objective
from stages.adapt.objective import Objective
from stages.adapt.plan import HOLD_OUT, AdaptRequest
from stages.adapt.saving import save_adapted_encoder
from stages.adapt.support import check_packages, find_base_encoder
from stages.adapt.training import Schedule, TrainingReport, plan_batches, remove_checkpoints, run_training
from stages.adapt.windows import TrainingWindows
from stages.embed.encoder.encoder import Encoder, open_encoder
from stages.embed.model_files.checkpoint import weights_hash
from stages.embed.model_files.saved_encoders import check_new_name, encoders_folder, find_saved_encoder, read_training

if TYPE_CHECKING:
    from stages.adapt.trainer import TrainingProgress

UNFINISHED = ".unfinished"  # in the folder of encoders
LEAST_WORDS = {"mlm": 2, "tsdae": 2, "simcse": 1, "supervised": 1}  # of a window that is learned from
LEAST_TEXTS = {"mlm": 1, "tsdae": 1, "simcse": 2, "supervised": 2}  # that a batch needs, for simcse different ones
LEAST_JUDGED = 5  # documents that heads are compared on: one per fold
_WHY_WORDS = {
    "mlm": "a masked word is predicted from the others",
    "tsdae": "some words are deleted",
}


@dataclass(frozen=True)
class Training:
    """One encoder to be trained. name: under which it is saved. fold: which part of the documents is held out."""

    name: str
    selection: Selection
    fold: int | None = None


@dataclass(frozen=True)
class TrainedEncoder:
    """An encoder that was trained, or was found as it would become. report: None if it was found."""

    training: Training
    folder: Path
    report: TrainingReport | None


@dataclass(frozen=True)
class AdaptProgress:
    """How far the trainings are: the encoder that is trained, its number of all, and its steps."""

    name: str
    number: int
    count: int
    now: "TrainingProgress"


class Adaptation:
    """The encoders that a request makes, and the documents that each learns from; everything is checked.

    Attributes:
        request: What was requested.
        source: The corpus as it was read.
        corpus: The same with splits.
        documents: Those that may be learned from.
        base: The encoder to start from.
        trainings: One per encoder, those of folds first.
    """

    def __init__(self, request: AdaptRequest) -> None:
        """Read the corpus and find the encoder.

        Raises:
            EmbedOnceError: Anything that would let the training fail: a missing extra, a name that exists, no
                documents to learn from, text that is too short, an encoder that the method cannot train.
        """
        plan = request.plan
        check_packages(plan)
        self.request = request
        self.base = find_base_encoder(request.encoding.model, request.encoding.revision, plan)
        self.source = read_corpus(request.source, request.spec)
        self.corpus: Corpus = assign_splits(self.source, plan.seed)
        self.documents = TrainingDocuments(self.corpus, with_labels=plan.uses_labels, include_test=plan.include_test)
        self.encoder: Encoder = open_encoder(request.encoding)
        self._keys = KeyList.from_texts(self.documents.documents.texts)
        self._windows_of: dict[str, TrainingWindows] = {}
        self.trainings = list(self._plan_trainings())
        for training in self.trainings:
            if self.find_finished(training) is None:
                check_new_name(training.name)
        self._check_texts()
        self._check_verdict()

    def _plan_trainings(self) -> Iterator[Training]:
        plan, name = self.request.plan, self.request.name
        if plan.cross_fit:
            folds = self.documents.folds(plan.cross_fit, plan.seed)
            yield from (Training(f"{name}.fold{fold + 1}", each, fold) for fold, each in enumerate(folds))
        yield Training(name, self.documents.hold_out(self._held_out_share(), plan.seed))

    def _held_out_share(self) -> float:
        """The plan's share; 0 if it is a default that no document would be held out by."""
        plan = self.request.plan
        is_default = plan.hold_out is None and not plan.uses_labels
        return 0.0 if is_default and len(self.documents.rows) < 1 / HOLD_OUT else plan.held_out_share

    def _check_texts(self) -> None:
        """Raise BadData if no text is long enough for the method, or if too few are for one of the encoders."""
        method = self.request.plan.method
        if not len(self._windows):
            need = LEAST_WORDS[method]
            reason = f", because {_WHY_WORDS[method]}" if method in _WHY_WORDS else ""
            raise BadData(
                f"{self.corpus.source}: no training document has a text of at least {plural(need, 'word')}, which "
                f"--method {method} needs{reason}. Choose another --method, or name the column of the text with --text."
            )
        if method == "simcse" and len(self._windows.first_of_each_text()) < LEAST_TEXTS[method]:
            raise BadData(
                f"{self.corpus.source}: all training documents have the same text, and simcse learns to tell texts "
                "apart. Add documents."
            )
        for training in self.trainings:
            windows = self.windows(training)
            texts = len(np.unique(windows.document)) if self.request.plan.uses_labels else len(windows)
            if texts < LEAST_TEXTS[method]:
                remedy = "Choose a smaller --hold-out" if training.fold is None else "Leave --cross-fit out"
                raise BadData(
                    f"{self.corpus.source}: {training.name} would learn from {plural(texts, 'text')}, but --method "
                    f"{method} needs at least {LEAST_TEXTS[method]}. {remedy}, or add documents."
                )

    def _check_verdict(self) -> None:
        """Raise BadData if labels are learned and too few documents would be left to compare encoders on."""
        plan = self.request.plan
        if not (plan.uses_labels and self.request.verdict):
            return
        held_out = np.concatenate([training.selection.held_out for training in self.trainings])
        labels = int(np.count_nonzero(self.documents.target(held_out).counts)) if len(held_out) else 0
        if len(held_out) < LEAST_JUDGED or labels < 2:
            remedy = "Add documents" if plan.cross_fit else "Choose a larger --hold-out"
            raise BadData(
                f"{self.corpus.source}: {plural(len(held_out), 'document')} with {plural(labels, 'label')} are held "
                f"out, and the verdict needs {LEAST_JUDGED} with two labels that the encoder did not learn. {remedy}, "
                "or leave the verdict out with --no-verdict."
            )

    @property
    def has_labels(self) -> bool:
        """Whether heads can be compared on the corpus, which they are on documents outside the test split."""
        rows = self.documents.rows[~self.documents.is_test[self.documents.rows]].tolist()
        labels = [self.documents.documents.labels[row] for row in rows]
        return len(labels) - labels.count(None) >= LEAST_JUDGED and len({*labels} - {None}) > 1

    @cached_property
    def _rows(self) -> Rows:
        """The documents that may be learned from, by key: batches do not depend on the order of the source."""
        keys, labels = self._keys.array, self.documents.documents.labels
        by_key = sorted(self.documents.rows.tolist(), key=lambda row: (keys[row], labels[row] or ()))
        return np.array(by_key, dtype=np.int64)

    @cached_property
    def _windows(self) -> TrainingWindows:
        texts = self.documents.documents.texts_at(self._rows.tolist())
        return TrainingWindows.of(texts, self.encoder, least_words=LEAST_WORDS[self.request.plan.method])

    def notes(self) -> Iterator[str]:
        """Yield what a user should know before the training starts."""
        yield from self.corpus.notes
        selection, documents = self.trainings[-1].selection, self.documents
        held_out = f", {len(selection.held_out):,} held out" if len(selection.held_out) else ""
        yield f"{plural(len(selection.learned), 'document')} to learn from{held_out}"
        if self.request.plan.include_test:
            yield f"learned from, too: the texts of the test split ({plural(int(documents.is_test.sum()), 'document')})"
        elif related := int(documents.is_related.sum()):
            yield f"not read: {plural(related, 'training document')} with a text or a group of the test split"
        if self.request.plan.uses_labels and documents.unlabeled:
            yield f"left out: {plural(documents.unlabeled, 'document')} without a label"
        yield from self.encoder.notes

    def windows(self, training: Training) -> TrainingWindows:
        """What an encoder learns from: each text once, unless its labels are learned."""
        if training.name not in self._windows_of:
            windows = self._windows.of_documents(self.positions(training.selection.learned))
            self._windows_of[training.name] = windows if self.request.plan.uses_labels else windows.first_of_each_text()
        return self._windows_of[training.name]

    def positions(self, rows: Rows) -> Rows:
        """Where rows of the corpus are among the documents whose texts `windows` has: int64."""
        position = np.empty(len(self.documents.documents), dtype=np.int64)
        position[self._rows] = np.arange(len(self._rows))
        return position[rows]

    def record(self, training: Training) -> EncoderTraining:
        """What an encoder will have learned from; without fold encoders."""
        plan, learned = self.request.plan, training.selection.learned
        labels = (
            {"labels": hash_labels(self._keys[learned], self.documents.target(learned))} if plan.uses_labels else {}
        )
        step = TrainingStep(
            method=plan.method,
            corpus=self.corpus.name,
            uses_labels=plan.uses_labels,
            includes_test=plan.include_test,
            keys=frozenset(self._keys[learned]),
            settings=plan.settings(self.encoder.dim)
            | labels
            | {"fold": training.fold, "base_weights": self.encoder.recipe.weights, "pooling": self.base.pooling}
            | {name: getattr(self.encoder.recipe, name) for name in ("window", "long", "prefix")},
        )
        return (self.encoder.training or EncoderTraining(base=self.base.name)).then(step)

    def find_finished(self, training: Training) -> Path | None:
        """The folder of the encoder if an earlier call of the same command made it."""
        folder = find_saved_encoder(training.name)
        if folder is None:
            return None
        made = read_training(folder)
        return folder if made is not None and made.steps == self.record(training).steps else None

    def checkpoints(self, training: Training) -> Path:
        """The folder of a training's checkpoints, named for all that decides its result."""
        return encoders_folder() / UNFINISHED / f"{training.name}-{self.record(training).hash[:8]}"

    def schedule(self, training: Training) -> Schedule:
        """The batches of a training, and how they are learned."""
        plan, windows = self.request.plan, self.windows(training)
        batches = plan_batches(
            make_epoch(plan, windows, self._target()),
            plan.batch_size,
            epochs=plan.resolved_epochs,
            steps=plan.steps,
            seed=plan.seed,
        )
        positions = max(len(batch) * int(windows.lengths[batch].max()) for batch in batches)
        return Schedule(batches, plan.resolved_lr(self.encoder.dim), plan.seed, plan.device, plan.train, positions)

    def objective(self, training: Training) -> Objective:
        """Load the network and make the objective of the method."""
        return make_objective(self.base, self.request.plan, self.encoder, self.windows(training), self._target())

    def _target(self) -> Target | None:
        return self.documents.target(self._rows) if self.request.plan.uses_labels else None


def train_encoders(
    adaptation: Adaptation, *, notify: Callable[[str], None], progress: Callable[[AdaptProgress], None]
) -> list[TrainedEncoder]:
    """Train and save every encoder of a request; those that an interrupted call has finished are kept.

    Args:
        adaptation: What is to be done.
        notify: Called with sentences for the user.
        progress: Called after steps.

    Returns:
        The encoders, that of the requested name last.

    Raises:
        EmbedOnceError: What `run_training` and `save_adapted_encoder` raise.
    """
    trained: list[TrainedEncoder] = []
    for number, training in enumerate(adaptation.trainings, 1):
        folder, report = adaptation.find_finished(training), None
        if folder is None:

            def show(now: "TrainingProgress", training: Training = training, number: int = number) -> None:
                progress(AdaptProgress(training.name, number, len(adaptation.trainings), now))

            report = _train(adaptation, training, _fold_encoders(trained, training), show)
            folder = encoders_folder() / training.name
        else:
            notify(f"{folder} was trained before")
        trained.append(TrainedEncoder(training, folder, report))
    return trained


def _fold_encoders(trained: Sequence[TrainedEncoder], training: Training) -> dict[str, str]:
    """The names of the encoders of the folds and the hashes of their weights, for the encoder of all documents."""
    return {} if training.fold is not None else {each.training.name: weights_hash(each.folder) for each in trained}


def _train(
    adaptation: Adaptation,
    training: Training,
    fold_encoders: dict[str, str],
    progress: "Callable[[TrainingProgress], None]",
) -> TrainingReport:
    torch.manual_seed(adaptation.request.plan.seed)  # a decoder and LoRA matrices start from random weights
    objective, checkpoints = adaptation.objective(training), adaptation.checkpoints(training)
    report = run_training(objective, adaptation.schedule(training), checkpoints, progress)
    record = replace(adaptation.record(training), fold_encoders=fold_encoders)
    save_adapted_encoder(training.name, record, adaptation.base, objective.saved)
    remove_checkpoints(checkpoints)
    return report

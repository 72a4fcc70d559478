"""What is known of a fine-tuning before it starts: the request, documents, encoder, and names of the results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.devices import computes_bfloat16_well
from data.documents import Corpus, Documents
from data.errors import CallError, ModelUnavailable, UnknownName, suggest_name
from data.source_spec import SourceSpec
from featurestore import CorpusTable, EncoderTraining, KeyList, Location, TrainingStep
from stages.adapt.documents import hash_labels
from stages.adapt.support import BaseEncoder, find_trainable_encoder
from stages.embed.encoder.encoder import Encoder, open_encoder
from stages.embed.encoder.options import Options
from stages.embed.model_files.checkpoint import read_config
from stages.embed.model_files.model_families import ENCODER_DECODER_FAMILIES
from stages.embed.model_files.saved_encoders import check_new_name, find_saved_encoder, read_training
from stages.embed.network.backends import AUTO
from stages.embed.pipeline.corpus import create_corpus_table
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.finetune.processes import Processes
from stages.finetune.settings import FinetuneSettings
from stages.finetune.task import FinetuneTask, Fold
from stages.fitting import runs
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.fit_checkpoint import FitCheckpoint

if TYPE_CHECKING:
    from stages.finetune.training import Training

__all__ = ["HEAD", "FinetuneRequest", "Preparation", "prepare"]

HEAD = "finetuned"


@dataclass(frozen=True, kw_only=True)
class FinetuneRequest:
    """What to fine-tune, on which documents, and where the results are kept.

    source, spec: the corpus, as `embed` reads it.
    options: the encoder to start from and its windows; also what the store keeps of the fine-tuned encoder.
    settings: how to train.
    name: of the new encoder; None for one made of corpus, encoder and a hash.
    precision: "auto", "float32" or "bfloat16", to train in.
    stores, runs: the folders.
    skip_unlabeled, order, test, tune, decision: as in `FitPlan`.
    command: the command line, for the record.
    """

    source: str | Corpus
    spec: SourceSpec = field(default_factory=SourceSpec)
    options: Options = field(default_factory=Options)
    settings: FinetuneSettings = field(default_factory=FinetuneSettings)
    name: str | None = None
    precision: str = AUTO
    stores: Location = Path("stores")
    runs: Path = Path("runs")
    skip_unlabeled: bool = False
    order: Sequence[str] = ()
    test: bool = True
    tune: bool = True
    decision: DecisionOptions = field(default_factory=DecisionOptions)
    command: str = ""

    @property
    def opening(self) -> Options:
        """The options that open the encoder for training: its last layer, in float32, by PyTorch."""
        keep = tuple({*self.options.keep, self.settings.vector})
        return replace(self.options, keep=keep, precision="float32", backend="torch", layers="last")


@dataclass(frozen=True, eq=False, kw_only=True)
class Preparation:
    """What is known before training.

    base: the encoder to start from.
    folds: the trainings; the encoder of the last one is kept.
    bfloat16: whether training computes in it.
    name: of the new encoder.
    run_folder: where the run will be.
    """

    request: FinetuneRequest
    corpus: Corpus
    table: CorpusTable
    encoder: Encoder
    base: BaseEncoder
    task: FinetuneTask
    folds: list[Fold]
    processes: Processes
    bfloat16: bool
    name: str
    run_folder: Path

    @property
    def fold_of(self) -> NDArray[np.int32]:
        """The fold of each document, int32 (documents,); -1 for one that is scored in none."""
        fold_of = np.full(len(self.task.ids), -1, dtype=np.int32)
        for fold in self.folds:
            if fold.number is not None:
                fold_of[fold.scored] = fold.number
        return fold_of

    @property
    def layer_folder(self) -> Path:
        """Where the layer is saved before the encoder of this name."""
        return FitCheckpoint(self.run_folder).folder / f"layer-{self.name}"

    @property
    def is_trained(self) -> bool:
        """Whether an interrupted call has saved the layer and the encoder, which another training may have made."""
        encoder = find_saved_encoder(self.name)
        return encoder is not None and self.layer_folder.is_dir() and read_training(encoder) == self.record

    def open_training(self) -> "Training":
        """What the trainings share; the texts are tokenized now."""
        from stages.finetune.training import Training

        return Training(
            folder=self.base.files.folder,
            encoder=self.encoder,
            options=self.request.opening,
            task=self.task,
            windows=self.encoder.tokenizer.tokenize(self.task.texts, self.encoder.windowing),
            settings=self.request.settings,
            processes=self.processes,
            bfloat16=self.bfloat16,
        )

    @property
    def record(self) -> EncoderTraining:
        """What the new encoder will have learned from."""
        learned = self.folds[-1].learned
        keys, settings = [self.task.keys[row] for row in learned.tolist()], self.request.settings
        step = TrainingStep(
            method="finetune",
            corpus=self.corpus.name,
            uses_labels=True,
            includes_test=False,
            keys=frozenset(keys),
            settings=settings.to_json(self.encoder.dim)
            | {"bfloat16": self.bfloat16, "labels": hash_labels(keys, self.task.target[learned])},
        )
        return (self.encoder.training or EncoderTraining(base=self.encoder.recipe.encoder)).then(step)


def prepare(request: FinetuneRequest, notify: Callable[[str], None]) -> Preparation:
    """Read the corpus, open the encoder, and check everything that can be checked before training.

    Args:
        request: what to do.
        notify: called with sentences on the corpus and the encoder.

    Raises:
        ExtraMissing: a package is not installed.
        CallError: an option does not fit the encoder, the labels, or another option.
        EmbedOnceError: what reading the corpus and `open_encoder` raise.
    """
    settings, processes = request.settings, Processes.of_environment()
    _check_request(request)
    device = processes.device(request.options.device)
    base = find_trainable_encoder(request.options.model, request.options.revision, _check_family)
    encoder = open_encoder(request.opening)
    corpus = EmbedRequest(source=request.source, spec=request.spec, seed=settings.seed).read()
    for sentence in (*corpus.notes, *encoder.notes):
        notify(sentence)
    table = create_corpus_table(corpus, KeyList.from_texts(Documents.from_documents(corpus.documents).texts))
    task = FinetuneTask.of(
        corpus,
        table,
        skip_unlabeled=request.skip_unlabeled,
        order=request.order,
        with_test=request.test,
        seen_keys=encoder.training.label_keys if encoder.training else frozenset(),
    )
    _check_class_weight(settings, task)
    request.decision.for_target(task.target)
    bfloat16 = computes_bfloat16_well(device) if request.precision == AUTO else request.precision == "bfloat16"
    identity = _identity(request, encoder, task, bfloat16=bfloat16)
    name = request.name or f"{corpus.name}-{Path(request.options.model).name}-finetuned-{identity}"
    run_folder = request.runs / f"{HEAD}-{identity}"
    prepared = Preparation(
        request=request,
        corpus=corpus,
        table=table,
        encoder=encoder,
        base=base,
        task=task,
        folds=task.folds(settings),
        processes=processes,
        bfloat16=bfloat16,
        name=name,
        run_folder=run_folder,
    )
    if not run_folder.exists() and not prepared.is_trained:
        check_new_name(name)
    return prepared


def _check_request(request: FinetuneRequest) -> None:
    from heads.training.losses import BATCH_LOSSES  # imports torch

    settings = request.settings
    settings.check_extra()
    request.options.check()
    if settings.imbalance.loss in BATCH_LOSSES:
        raise CallError(
            f"The loss {settings.loss} needs all documents of a batch at once, which fine-tuning divides by memory and "
            "among processes. Choose another --loss."
        )
    if settings.imbalance.loss == "emd" and not request.order:
        raise CallError("The loss emd needs ordinal labels. Name their order with --order, or choose cross_entropy.")
    if settings.vector not in request.options.keep:
        raise CallError(f"The classification layer reads {settings.vector}: add it to --keep.")


def _check_family(base: BaseEncoder) -> None:
    family = read_config(base.files.folder).family
    if family in ENCODER_DECODER_FAMILIES:
        raise ModelUnavailable(
            f"{base.name} is an encoder-decoder of the family '{family}', which cannot be fine-tuned. Choose an "
            "encoder."
        )


def _check_class_weight(settings: FinetuneSettings, task: FinetuneTask) -> None:
    for label in settings.class_weight if not isinstance(settings.class_weight, str) else ():
        if label not in task.target.labels:
            raise UnknownName(f"No label is called '{label}'.{suggest_name(label, task.target.labels)}")


def _identity(request: FinetuneRequest, encoder: Encoder, task: FinetuneTask, *, bfloat16: bool) -> str:
    """Eight hex digits that differ if the result could differ."""
    return runs.short_hash(
        {
            "format": runs.FORMAT,
            "settings": request.settings.to_json(encoder.dim),
            "bfloat16": bfloat16,
            "encoder": encoder.recipe.fingerprint,
            "layers": request.options.layers,  # of the store; training reads the last one
            "documents": task.documents_hash,
            "order": task.target.labels if request.order else (),
            "tune": request.tune,
            "test": request.test,
        }
        | request.decision.identity(task.target)
    )

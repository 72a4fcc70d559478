"""One training: an encoder and a layer on some documents, with checkpoints from which it resumes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from featurestore import keep_freed_memory
from heads.classifiers.finetuned import FinetunedHead
from heads.core.class_weights import loss_weights
from heads.core.inputs import encode
from heads.evaluation.metrics import macro_f1
from heads.evaluation.score_matrix import align_scores
from heads.training.loop import make_losses
from heads.training.losses import Losses
from heads.training.network_head import seeded
from heads.training.optimizers import learning_rate_factor
from heads.training.samplers import EpochBatches
from stages.adapt.training_defaults import POSITIONS
from stages.embed.encoder.encoder import Encoder
from stages.embed.encoder.options import Options
from stages.embed.model_files.checkpoint import read_config
from stages.embed.model_files.log_silencing import silence_transformers
from stages.embed.model_files.trust import resolve_remote_code
from stages.embed.network.torch_network import TorchNetwork
from stages.embed.windows.window_arrays import Windows
from stages.finetune.batches import DocumentDataset, EpochSampler, MicroBatches
from stages.finetune.classifier import EncoderClassifier
from stages.finetune.processes import Processes
from stages.finetune.settings import FinetuneSettings
from stages.finetune.task import FinetuneTask, Fold

if TYPE_CHECKING:
    from stages.finetune.trainer import DocumentTrainer, StepProgress

__all__ = ["TrainedFold", "Training"]

MAX_GRAD_NORM = 1.0


@dataclass(frozen=True, eq=False)
class TrainedFold:
    """The result of one training.

    head: the layer. classifier: the network, with the weights of the best epoch. notes: sentences for the user.
    """

    head: FinetunedHead
    classifier: EncoderClassifier
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Training:
    """What all trainings of a run share.

    folder, encoder, options: the encoder to start from, and how it was opened.
    windows: of the training documents, in the order of `task`.
    bfloat16: whether to compute in bfloat16.
    """

    folder: Path
    encoder: Encoder
    options: Options
    task: FinetuneTask
    windows: Windows
    settings: FinetuneSettings
    processes: Processes
    bfloat16: bool

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """What the encoder reads of each document, special tokens included: int64 (documents,)."""
        special = np.diff(self.windows.offsets) * self.encoder.extra_positions
        return np.asarray(self.windows.tokens_to_encode + special)

    @keep_freed_memory()
    def run(self, fold: Fold, folder: Path, on_progress: "Callable[[StepProgress], None]") -> TrainedFold:
        """Train on the documents of a fold, or resume that.

        Args:
            fold: the documents.
            folder: of the checkpoints.
            on_progress: called after each step.

        Raises:
            EmbedOnceError: memory runs out for a single document, or the disk is full.
            CallError: for a loss that does not fit the labels, and if the loss is no longer finite.
            KeyboardInterrupt: after Ctrl-C, when a checkpoint is saved.
        """
        from stages.adapt.trainer import last_checkpoint
        from stages.finetune.trainer import TrainingCallback

        names = self.task.target.names[fold.learned]
        classes, y = encode(names)
        callback = TrainingCallback(on_progress)
        with seeded(self.settings.seed), silence_transformers():
            classifier = self.build(len(classes))
            trainer = self._trainer(classifier, fold, y, classes.tolist(), folder)
            trainer.add_callback(callback)
            with callback.interrupts if self.processes.ranks == 1 else nullcontext():
                trainer.train_from(last_checkpoint(folder))
        trained = classifier.trained_parameters
        classifier.merge_adapter()
        head = FinetunedHead(vector=self.settings.vector, pooling=self.settings.pooling, seed=self.settings.seed)
        layer = classifier.layer
        weight, bias = (values.detach().float().cpu().numpy() for values in (layer.weight, layer.bias))
        return TrainedFold(head.set_layer(names, weight, bias, trained), classifier, tuple(self._notes()))

    def build(self, classes: int) -> EncoderClassifier:
        """The network with a layer of random weights, on the device of this process."""
        config = resolve_remote_code(read_config(self.folder), trust=self.options.trust_remote_code)
        device, layers = self.processes.device(self.options.device), self.encoder.recipe.layers
        network = TorchNetwork(self.folder, layers, "float32", device, trust=bool(config.code_hashes), onednn=False)
        return EncoderClassifier(network, self.encoder, classes, self.settings).to(network.device)

    @cached_property
    def micro_batches(self) -> MicroBatches:
        """Batches divided by what the device usually has memory for, or by what it turned out to have."""
        device = torch.device(self.processes.device(self.options.device))
        return MicroBatches(self.windows, self.encoder, POSITIONS[device.type])

    def scores(self, classifier: EncoderClassifier, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits of documents in float32, (rows, classes). Raises EmbedOnceError if one does not fit into memory."""
        return self.micro_batches.retry(rows, lambda: self._scores(classifier, rows))

    def _scores(self, classifier: EncoderClassifier, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        scores = np.empty((len(rows), classifier.layer.out_features), dtype=np.float32)
        classifier.eval()
        with torch.inference_mode():
            for documents, batch in self.micro_batches.split(rows):
                scores[documents] = classifier(batch).cpu().numpy()
        return scores

    def losses(self, y: NDArray[Any], classes: list[Any]) -> tuple[Losses, torch.Tensor, torch.Tensor]:
        """The loss of documents with these labels, their targets, and their weights in the shape of the targets."""
        target, imbalance = self.task.target, self.settings.imbalance
        multilabel = y.ndim == 2
        targets = torch.from_numpy(y.astype(np.float32 if multilabel else np.int64))
        weight = loss_weights(y, self._class_weight(), classes, np.ones(len(y))).astype(np.float32)
        order = None
        if target.is_ordinal:
            order = torch.tensor([classes.index(label) for label in target.labels if label in classes])
        losses = make_losses(imbalance, targets, torch.ones(targets.shape), len(classes), order)
        return losses, targets, torch.from_numpy(weight)

    def _class_weight(self) -> Any:
        """The class weights; those of a mapping by column if multi-label."""
        weights, target = self.settings.class_weight, self.task.target
        if isinstance(weights, Mapping) and target.kind == "multilabel":
            return {target.labels.index(label): weight for label, weight in weights.items()}
        return weights

    def batches(self, fold: Fold, y: NDArray[Any], weight: torch.Tensor) -> EpochBatches:
        """The batches of every epoch."""
        settings = self.settings
        return EpochBatches(
            y=y,
            lengths=self.positions[fold.learned],
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            sampler=settings.imbalance.sampler,
            weight=weight.numpy() if settings.sampler == "weighted" else None,
            seed=settings.seed,
        )

    def _trainer(
        self,
        classifier: EncoderClassifier,
        fold: Fold,
        y: NDArray[Any],
        classes: list[Any],
        folder: Path,
    ) -> "DocumentTrainer":
        from stages.finetune.trainer import DocumentTrainer

        losses, targets, weight = self.losses(y, classes)
        batches = self.batches(fold, y, weight)
        weight = torch.ones_like(weight) if self.settings.sampler == "weighted" else weight
        rank, ranks = self.processes.rank, self.processes.ranks

        def evaluate() -> dict[str, float]:
            return {"macro_f1": self._macro_f1(classifier, fold.scored, classes)}

        return DocumentTrainer(
            classifier,
            self._arguments(folder, classifier.device.type, validates=self._validates),
            DocumentDataset(fold.learned, targets, weight, ranks),
            EpochSampler(batches, rank, ranks),
            self.micro_batches,
            losses,
            self.optimizers(classifier, len(batches) * self.settings.epochs),
            bfloat16=self.bfloat16,
            evaluation=evaluate if self._validates else None,
            patience=self.settings.patience,
        )

    @property
    def _validates(self) -> bool:
        """Whether the best epoch is chosen; folds choose the decision rule only."""
        return self.settings.validate_on != "folds"

    def _macro_f1(self, classifier: EncoderClassifier, rows: NDArray[np.int64], classes: list[Any]) -> float:
        target = self.task.target
        scores = align_scores(self.scores(classifier, rows), classes, target.labels)
        predicted = scores > 0 if target.kind == "multilabel" else scores.argmax(axis=1)
        return macro_f1(target.y[rows], predicted, len(target.labels))

    def _arguments(self, folder: Path, device: str, *, validates: bool) -> Any:
        from transformers import TrainingArguments

        strategy = "epoch" if validates else "no"
        arguments = TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=self.settings.epochs,
            per_device_train_batch_size=self.settings.batch_size,
            max_grad_norm=MAX_GRAD_NORM,
            eval_strategy=strategy,
            save_strategy=strategy,
            save_total_limit=2,
            load_best_model_at_end=validates,
            metric_for_best_model="macro_f1" if validates else None,
            greater_is_better=True if validates else None,
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            use_cpu=device == "cpu",
            ddp_find_unused_parameters=False,
            seed=self.settings.seed,
        )
        arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs are several processes
        return arguments

    def optimizers(
        self, classifier: EncoderClassifier, steps: int
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """AdamW with a learning rate for the encoder and one for the layer; warm-up and cosine decay."""
        settings = self.settings
        lr = settings.resolved_lr(self.encoder.dim)
        encoder = [weight for weight in classifier.encoder.parameters() if weight.requires_grad]
        layer = list(classifier.layer.parameters())
        groups = [
            {"params": [weight for weight in weights if (weight.dim() > 1) == is_matrix], "lr": rate}
            | {"weight_decay": settings.weight_decay if is_matrix else 0.0}
            for weights, rate in ((encoder, lr), (layer, settings.layer_lr))
            for is_matrix in (True, False)
        ]
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], fused=classifier.device.type != "mps"
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, steps, settings.warmup_ratio)
        )
        return optimizer, schedule

    def _notes(self) -> Iterator[str]:
        if self.micro_batches.halvings:
            yield (
                f"Memory ran out: batches were divided into parts of at most {self.micro_batches.limit:,} tokens, "
                "which does not change the result."
            )

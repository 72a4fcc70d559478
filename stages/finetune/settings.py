"""How an encoder is fine-tuned: everything that decides the result, together with the encoder and the documents."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from data.errors import CallError, ExtraMissing
from data.ranges import MAX_COUNT, MAX_SEED, check_whole_number
from stages.adapt.training_defaults import DefaultLearningRate

if TYPE_CHECKING:
    from heads.training.config import Imbalance

__all__ = ["FinetuneSettings", "Validation", "parse_train"]

Validation: TypeAlias = Literal["share", "split", "folds"]

# the first is from the grid of Devlin et al. 2019, appendix A.3
_LEARNING_RATE = DefaultLearningRate(3e-5, 1.2e-4)


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """How an encoder and its classification layer are trained.

    Attributes:
        epochs: at most this many.
        batch_size: documents per step, of all processes together.
        lr: the peak learning rate of the encoder; None for one that suits its size.
        layer_lr: the peak learning rate of the classification layer, which starts from random weights.
        weight_decay: of matrices, as in AdamW.
        warmup_ratio: fraction of all steps with a rising learning rate; it then decays along a cosine.
        dropout: of the vectors that the layer reads; the encoder's own dropout is that of its configuration.
        train: what of the encoder is trained: "all", "lora", or "last:N" for its last N layers.
        vector: the vector of a window that the layer reads, "mean" or "cls".
        pooling: of the logits of a document's windows, "mean" or "max".
        class_weight: a strategy of heads/core/class_weights.py, or a weight per label.
        loss, gamma, label_smoothing, sampler: as in `Imbalance`, without the losses of whole batches.
        validate_on: what chooses the epoch and the decision rule: a "share" of the training documents, the validation
            "split" of the corpus, or "folds", which choose the decision rule only.
        validation: that share.
        folds: how many.
        patience: epochs without a better macro-F1 before training stops.
        seed: of everything that is random.
    """

    epochs: int = 3
    batch_size: int = 32
    lr: float | None = None
    layer_lr: float = 2e-3
    weight_decay: float = 0.01
    warmup_ratio: float = 0.1
    dropout: float = 0.1
    train: str = "all"
    vector: Literal["cls", "mean"] = "mean"
    pooling: Literal["mean", "max"] = "mean"
    class_weight: str | Mapping[str, float] = "none"
    loss: str = "cross_entropy"
    gamma: float = 2.0
    label_smoothing: float | None = None
    sampler: str = "instance"
    validate_on: Validation = "share"
    validation: float = 0.15
    folds: int = 5
    patience: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise CallError for a value out of range."""
        for name, least in (("epochs", 1), ("batch_size", 1), ("folds", 2), ("patience", 1)):
            check_whole_number(name.replace("_", "-"), getattr(self, name), least, MAX_COUNT)
        check_whole_number("seed", self.seed, 0, MAX_SEED)
        for name in ("lr", "layer_lr"):
            if (value := getattr(self, name)) is not None and not 0 < value < float("inf"):
                raise CallError(f"{name.replace('_', '-')} is {value:g}. It must be above 0.")
        if not 0 < self.validation < 1:
            raise CallError(f"validation is {self.validation:g}. It must be between 0 and 1.")
        parse_train(self.train)

    @property
    def fits(self) -> int:
        """The number of trainings."""
        return self.folds + 1 if self.validate_on == "folds" else 1

    @property
    def imbalance(self) -> "Imbalance":
        """The loss and the sampler as the heads that are networks know them. Raises UnknownName or CallError."""
        from heads.core.hyperparameters import check_hyperparameters
        from heads.training.config import Imbalance

        imbalance = Imbalance(
            loss=self.loss,  # type: ignore[arg-type]  # checked in the next line
            gamma=self.gamma,
            label_smoothing=self.label_smoothing,
            sampler=self.sampler,  # type: ignore[arg-type]
        )
        check_hyperparameters(imbalance)
        return imbalance

    def check_extra(self) -> None:
        """Raise ExtraMissing if a package that training needs is not installed."""
        for package in ("accelerate", *(("peft",) if self.train == "lora" else ())):
            if find_spec(package) is None:
                raise ExtraMissing(f"Fine-tuning needs {package}, which is missing: pip install 'embedonce[adapt]'.")

    def resolved_lr(self, dim: int) -> float:
        """The peak learning rate of an encoder with vectors of length `dim`."""
        return self.lr or _LEARNING_RATE.resolve(dim, lora=self.train == "lora")

    def to_json(self, dim: int) -> dict[str, Any]:
        """The settings as JSON values, without those that have no effect. dim: the length of the encoder's vectors."""
        unused = {"share": ("folds",), "split": ("folds", "validation"), "folds": ("validation", "patience")}
        values = asdict(self) | {"lr": self.resolved_lr(dim)}
        return {name: value for name, value in values.items() if name not in unused[self.validate_on]}


def parse_train(text: str) -> int | None:
    """The number of layers of "last:N"; None for "all" and "lora". Raises CallError for anything else."""
    kind, colon, number = text.partition(":")
    if kind in ("all", "lora") and not colon:
        return None
    if kind != "last" or not number.isascii() or not number.isdigit() or not int(number[:9]):
        raise CallError(f"--train {text} is not valid: write all, lora, or last:N for the last N layers, as in last:2.")
    return int(number[:9])

"""What `adapt` shall do: the method, how long it trains, and which documents are held out."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from data.errors import CallError
from data.ranges import MAX_COUNT, MAX_SEED, check_whole_number
from data.source_spec import SourceSpec
from featurestore import Location
from stages.adapt.training_defaults import DefaultLearningRate
from stages.embed.encoder.options import Options

Method = Literal["mlm", "tsdae", "simcse", "supervised"]
Train = Literal["all", "lora", "embeddings"]

SUPERVISED: Method = "supervised"

HOLD_OUT_WITH_LABELS = 0.3  # of the documents that can be scored, without which nothing could be tuned or compared
HOLD_OUT = 0.05  # for pseudo-perplexity on new text

# the papers train tsdae and simcse for one epoch; masked words differ from epoch to epoch
_EPOCHS = {"mlm": 3.0, "tsdae": 1.0, "simcse": 1.0, "supervised": 3.0}
_LEARNING_RATE = {
    "mlm": DefaultLearningRate(5e-5, 1e-4),
    "tsdae": DefaultLearningRate(3e-5, 6e-5),
    "simcse": DefaultLearningRate(3e-5, 6e-5),
    "supervised": DefaultLearningRate(5e-5, 1e-4),
}


@dataclass(frozen=True, kw_only=True)
class AdaptPlan:
    """How an encoder is adapted: everything that decides the result, together with the encoder and the documents.

    train: all parameters, LoRA matrices that are merged at the end, or only the input embeddings.
    epochs: passes over the training windows; None for the method's default. Without effect if `steps` is given.
    steps: optimizer steps.
    batch_size: windows per step.
    lr: the highest learning rate; None for the method's default.
    seed: of everything random; and of the train/test split, if the source has none, as in `embed`.
    device: a device name of PyTorch, or "auto".
    hold_out: share of the training documents that is not learned from; None for the method's default.
    cross_fit: number of encoders that are each trained without one fold; 0 for none.
    include_test: whether the texts of the test split are learned from, too.
    """

    method: Method
    train: Train = "all"
    epochs: float | None = None
    steps: int | None = None
    batch_size: int = 32
    lr: float | None = None
    seed: int = 0
    device: str = "auto"
    hold_out: float | None = None
    cross_fit: int = 0
    include_test: bool = False

    def __post_init__(self) -> None:
        """Raise CallError for a value out of range, and for options that exclude each other."""
        check_whole_number("seed", self.seed, 0, MAX_SEED)
        check_whole_number("batch-size", self.batch_size, 2, MAX_COUNT)
        if self.steps is not None:
            check_whole_number("steps", self.steps, 1, MAX_COUNT)
            if self.epochs is not None:
                raise CallError("--epochs and --steps are two ways to say how long to train. Leave one out.")
        if self.epochs is not None and not 0 < self.epochs < MAX_COUNT:
            raise CallError(f"epochs is {self.epochs:g}, but it must be more than 0.")
        if self.lr is not None and not 0 < self.lr < 1:
            raise CallError(f"lr is {self.lr:g}, but it must be between 0 and 1.")
        if self.hold_out is not None and not 0 <= self.hold_out < 1:
            raise CallError(f"hold-out is {self.hold_out:g}, but it must be at least 0 and less than 1.")
        if self.cross_fit:
            check_whole_number("cross-fit", self.cross_fit, 2, 20)
            if self.hold_out:
                raise CallError(
                    "With --cross-fit every document is held out from one encoder, and --hold-out has no place. Leave "
                    "one of them out."
                )
        if self.include_test and self.uses_labels:
            raise CallError("--include-test-text is for methods without labels. Remove it, or choose another --method.")

    @property
    def uses_labels(self) -> bool:
        """Whether labels are learned."""
        return self.method == SUPERVISED

    @property
    def held_out_share(self) -> float:
        """The share of the training documents that is not learned from."""
        if self.cross_fit:
            return 0.0
        default = HOLD_OUT_WITH_LABELS if self.uses_labels else HOLD_OUT
        return default if self.hold_out is None else self.hold_out

    @property
    def resolved_epochs(self) -> float:
        """Passes over the training windows, if `steps` is not given."""
        return _EPOCHS[self.method] if self.epochs is None else self.epochs

    def resolved_lr(self, dim: int) -> float:
        """The highest learning rate of an encoder with `dim` dimensions."""
        return self.lr or _LEARNING_RATE[self.method].resolve(dim, lora=self.train == "lora")

    def settings(self, dim: int) -> dict[str, Any]:
        """What decides the result, as JSON values for the record."""
        fields = asdict(self)
        for name in ("method", "device", "include_test"):
            del fields[name]
        epochs = None if self.steps is not None else self.resolved_epochs
        return fields | {"epochs": epochs, "lr": self.resolved_lr(dim), "hold_out": self.held_out_share}


@dataclass(frozen=True, kw_only=True)
class AdaptRequest:
    """An encoder to adapt, to which corpus, and under which name.

    source, spec: the corpus, as in `EmbedRequest`.
    encoding: the encoder, and how documents are cut into windows; also for the stores of the verdict.
    name: of the new encoder.
    stores: folder of the stores of the verdict.
    verdict: whether heads are compared on both encoders at the end.
    """

    source: str
    spec: SourceSpec = field(default_factory=SourceSpec)
    encoding: Options = field(default_factory=Options)
    name: str
    plan: AdaptPlan
    stores: Location = Path("stores")
    verdict: bool = True

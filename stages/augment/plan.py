"""How documents are copied: a method with its options, checked."""

from dataclasses import dataclass
from typing import Literal, get_args

from data.errors import CallError, UnknownName, suggest_name
from data.ranges import MAX_SEED, check_whole_number

__all__ = ["DEFAULT_RATES", "METHODS", "AugmentPlan"]

MethodName = Literal["deletion", "mlm", "sentences", "keyword-exchange", "keyword-shuffle"]
METHODS: tuple[str, ...] = get_args(MethodName)
DEFAULT_RATES = {"deletion": 0.1, "mlm": 0.15, "keyword-exchange": 1.0, "keyword-shuffle": 1.0}


@dataclass(frozen=True, kw_only=True)
class AugmentPlan:
    """How documents are copied.

    copies: copies of each document; None for 1, or for none if `to` is given.
    to: labels with fewer training documents are filled up to this many.
    rate: the share of the words (mlm, deletion) or of the keywords that changes; None for the method's default.
    model: the encoder of `mlm`; None for that of the store.
    """

    method: str
    copies: int | None = None
    to: int | None = None
    rate: float | None = None
    seed: int = 0
    model: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        """Raise UnknownName for another method, CallError for a value out of range or without a meaning."""
        if self.method not in METHODS:
            raise UnknownName(f"There is no method '{self.method}'.{suggest_name(self.method, METHODS)}")
        check_whole_number("seed", self.seed, 0, MAX_SEED)
        if self.rate is not None and self.method not in DEFAULT_RATES:
            raise CallError(f"--rate has no meaning for {self.method}. Leave it out.")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise CallError(f"rate is {self.rate:g}. It must be above 0 and at most 1.")
        if self.model is not None and self.method != "mlm":
            raise CallError(f"--model is for mlm: {self.method} needs no encoder. Leave it out.")

    @property
    def share(self) -> float:
        """The rate, or the method's default."""
        return DEFAULT_RATES.get(self.method, 1.0) if self.rate is None else self.rate

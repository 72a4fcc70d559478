"""What an encoder learned from after its publication: it is kept with the encoder, with a store and with a run.

Out-of-fold scores on documents whose labels an encoder learned from are optimistic, and a test split whose texts it
read is not new to it. So every command can look up which texts an encoder learned from.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

from data.errors import BadData

__all__ = ["TRAINING_FILE", "EncoderTraining", "TrainingStep"]

TRAINING_FILE = "encoder_training.json"  # in the folder of an encoder, and of a store
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """One training of an encoder.

    method: "mlm", "tsdae", "simcse", "supervised" or "finetune".
    corpus: the name of the corpus.
    uses_labels: whether the labels of the documents were used.
    includes_test: whether texts of the test split were used.
    keys: of the texts that were learned from, as `text_key` makes them.
    settings: what else decided the result, as JSON values.
    """

    method: str
    corpus: str
    uses_labels: bool
    includes_test: bool
    keys: frozenset[str] = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """The fields as JSON values, with the number of the texts instead of their keys."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return values | {"keys": len(self.keys), "settings": dict(self.settings)}

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values; the keys are sorted."""
        return self.summary() | {"keys": sorted(self.keys)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read the result of `to_json`. Raises TypeError or KeyError for other content."""
        return cls(**{**content, "keys": frozenset(map(str, content["keys"]))})


@dataclass(frozen=True, kw_only=True)
class EncoderTraining:
    """Every training of an encoder, the first one first.

    base: the name of the encoder that the first step started from.
    fold_encoders: of an encoder that was also trained without each fold of its documents: the name of each fold's
        encoder -> the hash of its weights, as in a recipe.
    """

    base: str
    steps: tuple[TrainingStep, ...] = ()
    fold_encoders: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def hash(self) -> str:
        """The hex sha256 of the record."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    @cached_property
    def label_keys(self) -> frozenset[str]:
        """The keys of the texts whose labels the encoder learned from."""
        return frozenset().union(*(step.keys for step in self.steps if step.uses_labels))

    @property
    def includes_test(self) -> bool:
        """Whether a step read texts of a test split."""
        return any(step.includes_test for step in self.steps)

    def then(self, step: TrainingStep) -> "EncoderTraining":
        """The record after a further step."""
        return replace(self, steps=(*self.steps, step), fold_encoders={})

    def summary(self) -> dict[str, Any]:
        """The record as JSON values, with the number of each step's texts instead of their keys."""
        steps = [step.summary() for step in self.steps]
        return {"base": self.base, "steps": steps, "fold_encoders": dict(self.fold_encoders)}

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return self.summary() | {"format": _FORMAT, "steps": [step.to_json() for step in self.steps]}

    def to_bytes(self) -> bytes:
        """The content of its file."""
        return (json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n").encode(errors="surrogatepass")

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read the result of `to_bytes`. Raises BadData for anything else."""
        try:
            values = json.loads(content.decode(errors="surrogatepass"))
            if (version := values.pop("format")) != _FORMAT:
                raise ValueError(f"its format is {version}, not {_FORMAT}")
            return cls(**values | {"steps": tuple(map(TrainingStep.from_json, values["steps"]))})
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise BadData(f"The record of an encoder's training cannot be read ({error}).") from error

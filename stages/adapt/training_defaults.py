"""What `adapt` and `finetune` have in common: the default learning rate, LoRA, and how much is read at once."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["POSITIONS", "DefaultLearningRate", "add_lora"]

# positions that are read at once, by type of device; the caches of a CPU hold a few thousand
POSITIONS = {"cpu": 4_096, "mps": 16_384, "cuda": 65_536}

# Hu et al. 2022 (arXiv 2106.09685): rank and scale of their GLUE experiments, on every linear layer
LORA_RANK, LORA_ALPHA, LORA_DROPOUT = 8, 16, 0.1
# LoRA's matrices start from zero and need larger steps (Hu et al. 2022, table 9)
LORA_FACTOR = 10.0
MAX_LR = 2e-4
_WIDE, _NARROW = 768, 384


@dataclass(frozen=True)
class DefaultLearningRate:
    """The peak learning rate of an encoder, if the user sets none: it depends on the length of its vectors.

    BERT-base is trained with 2e-5 to 5e-5 (Devlin et al. 2019, appendix A.3), and smaller encoders with more: compact
    BERTs with up to 3e-4 (Turc et al. 2019), ELECTRA-small of 256 numbers with three times the rate of ELECTRA-base
    (Clark et al. 2020). So a method has a rate for 768 numbers, that of its paper, and one for 384, that of its
    measurements in benchmarks/before_freeze.py. Other encoders are on the line through both on logarithmic axes.

    Attributes:
        wide: for 768 numbers.
        narrow: for 384 numbers.
    """

    wide: float
    narrow: float

    def resolve(self, dim: int, *, lora: bool) -> float:
        """The rate for vectors of `dim` numbers, at most 2e-4; ten times as much for LoRA's matrices."""
        slope = math.log(self.narrow / self.wide) / math.log(_NARROW / _WIDE)
        rate: float = min(self.wide * (dim / _WIDE) ** slope, MAX_LR)
        return rate * LORA_FACTOR if lora else rate


def add_lora(encoder: Any) -> "PeftModel":
    """Add LoRA matrices to every linear layer of an encoder, in place; only they are trained.

    Returns:
        The wrapper, whose `merge_and_unload` adds the matrices to the encoder's own.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=LORA_RANK, lora_alpha=LORA_ALPHA, lora_dropout=LORA_DROPOUT, target_modules="all-linear")
    return get_peft_model(encoder, config)

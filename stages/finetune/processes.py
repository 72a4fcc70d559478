"""The processes of data-parallel training, as `torchrun` or `accelerate launch` start them, and their devices."""

import os
from dataclasses import dataclass
from typing import Self

from data.errors import CallError
from stages.embed.network.torch_network import resolve_device

__all__ = ["Processes"]


@dataclass(frozen=True)
class Processes:
    """This process among those that train together. rank: its number. local_rank: its number on this machine."""

    rank: int = 0
    ranks: int = 1
    local_rank: int = 0

    @classmethod
    def of_environment(cls) -> Self:
        """As the variables RANK, WORLD_SIZE and LOCAL_RANK say; one process without them."""
        rank, ranks, local_rank = (os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        if rank is None or ranks is None:
            return cls()
        return cls(int(rank), int(ranks), int(local_rank or 0))

    @property
    def is_first(self) -> bool:
        """Whether this process saves the result."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device of this process: each has a GPU of its own. Raises CallError for a device that is not there."""
        if ":" in name or "," in name or name == "all":
            raise CallError(
                f"--device {name}: fine-tuning computes on auto, cpu, cuda or mps. Choose a GPU with the variable "
                "CUDA_VISIBLE_DEVICES, and use several with torchrun."
            )
        device = resolve_device(name)
        return f"cuda:{self.local_rank}" if device == "cuda" else device

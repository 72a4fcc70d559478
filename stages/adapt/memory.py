"""The memory of a training: what happens if it runs out, and how much of it was used."""

import sys
from collections.abc import Callable
from typing import TypeVar

import torch

from data.errors import EmbedOnceError
from stages.embed.batching.budget import empty_gpu_cache, is_out_of_memory

Result = TypeVar("Result")


def divide_until_they_fit(
    attempt: Callable[[int], Result], largest: int, device: str, parts: int = 1
) -> tuple[Result, int]:
    """Try with batches in some parts, and with twice as many whenever memory runs out.

    Args:
        attempt: Called with the number of parts that each batch is divided into.
        largest: The size of the largest batch.
        device: For the message.
        parts: How many parts to begin with.

    Returns:
        What `attempt` returned, and how often memory ran out.

    Raises:
        EmbedOnceError: Two windows do not fit into memory.
    """
    halvings = 0
    while True:
        try:
            return attempt(parts), halvings
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if 4 * parts > largest:
                raise EmbedOnceError(
                    f"Two windows do not fit into the memory of {device}. Use --train lora, a shorter --window, a "
                    "smaller encoder or another --device."
                ) from error
        parts, halvings = 2 * parts, halvings + 1
        empty_gpu_cache()  # behind the block of the error, which keeps the tensors of the attempt


def peak_memory(device: str) -> int:
    """Bytes that were used at most: on the GPU, or by this process."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

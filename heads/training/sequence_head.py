"""What heads over the steps of a document share: which views are its steps."""

from typing import Literal, TypeAlias

from heads.training.network_head import NetworkHead

__all__ = ["Over", "SequenceHead"]

Over: TypeAlias = Literal["segments", "chunks", "tokens"]

STEPS: dict[Over, tuple[str, ...]] = {"segments": ("segments",), "chunks": ("cls", "mean"), "tokens": ("tokens",)}


class SequenceHead(NetworkHead):
    """A network over a document's segments, chunks (cls and mean side by side, those that are kept) or tokens.

    Parameters that every such head has: over, which of them; max_steps, how many are read, from the document's start.
    """

    over: Over

    def _views(self) -> tuple[str, ...]:
        return STEPS[self.over]

"""The base class of networks over the segments, chunks or tokens of a document."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from heads.core.hyperparameters import Help, Range
from heads.training.network_head import NetworkHead

__all__ = ["Positions", "SequenceHead"]

Positions: TypeAlias = Annotated[
    Literal["segments", "chunks", "tokens"],
    Help("positions that the network reads; chunks are cls and mean concatenated, as far as the store keeps them"),
]

VIEWS: dict[str, tuple[str, ...]] = {"segments": ("segments",), "chunks": ("cls", "mean"), "tokens": ("tokens",)}


@dataclass(eq=False, repr=False, kw_only=True)
class SequenceHead(NetworkHead):
    """A network over the positions of a document: segments, chunks or tokens."""

    over: Positions = "segments"
    max_positions: Annotated[
        int, Range(1), Help("maximum number of positions per document; longer ones are truncated")
    ] = 512

    def _requested_views(self) -> tuple[str, ...]:
        return VIEWS[self.over]

    def _position_limit(self) -> int:
        return self.max_positions

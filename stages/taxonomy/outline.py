"""The rows of a drawn tree: each node below its parent, a node with several parents below each of them."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from data.taxonomy import Taxonomy

__all__ = ["OutlineRow", "outline"]


@dataclass(frozen=True)
class OutlineRow:
    """One row of a drawn tree.

    Attributes:
        node: the node.
        continues: for the node and each node above it, from the top, whether a sibling is drawn further below.
        is_repeated: whether the node was drawn below another parent before, so that nothing is drawn below it here.
        hidden: number of nodes below it that are not drawn, because the tree is cut at its depth.
    """

    node: str
    continues: tuple[bool, ...]
    is_repeated: bool = False
    hidden: int = 0

    @property
    def depth(self) -> int:
        """The level at which the node is drawn, 1 at the top."""
        return len(self.continues)


def outline(
    taxonomy: Taxonomy,
    key: Callable[[str], object],
    *,
    depth: int | None = None,
    shown: Collection[str] | None = None,
) -> Iterator[OutlineRow]:
    """Yield the nodes of a taxonomy in the order in which a tree is drawn.

    Args:
        taxonomy: the nodes and their parents.
        key: sorts siblings.
        depth: the number of levels that are drawn; None for all.
        shown: the nodes that may be drawn; None for all. A node whose parents are not drawn is not drawn either.

    Yields:
        One row per node and parent.
    """

    def sort(nodes: Collection[str]) -> list[str]:
        return sorted((node for node in nodes if shown is None or node in shown), key=key)  # type: ignore[arg-type]

    drawn, top = set[str](), sort(taxonomy.top)
    waiting: list[tuple[str, tuple[bool, ...]]] = [(node, (node != top[-1],)) for node in reversed(top)]
    while waiting:
        node, continues = waiting.pop()
        is_repeated = node in drawn
        below = [] if is_repeated else sort(taxonomy.children[node])
        if below and depth is not None and len(continues) >= depth:
            yield OutlineRow(node, continues, hidden=len(_descendants(taxonomy, node)))
            continue
        drawn.add(node)
        yield OutlineRow(node, continues, is_repeated)
        waiting += [(child, (*continues, child != below[-1])) for child in reversed(below)]


def _descendants(taxonomy: Taxonomy, node: str) -> set[str]:
    found, waiting = set[str](), [node]
    while waiting:
        new = [child for child in taxonomy.children[waiting.pop()] if child not in found]
        found.update(new)
        waiting += new
    return found

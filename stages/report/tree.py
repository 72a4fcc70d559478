"""The taxonomy of a run on the page: F1 of each node and its mistakes, as nested rows that a reader opens."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from heads.evaluation.coverage import CoverageCurve
from heads.evaluation.metrics import ConfidenceInterval
from stages.report.formatting import format_metric, format_percent
from stages.report.line_chart import Axis, Line, LineChart, Marker, common_axis
from stages.taxonomy.mistakes import BranchConfusion, LevelMistakes, Mistakes, NodeMistakes

__all__ = ["Tree", "TreeNode"]

MAX_SHOWN_NODES = 2000  # on the page; deeper levels are left out if there are more
MAX_CONFUSIONS = 12
MARKED = (0.25, 0.5, 0.75, 1.0)  # coverages whose hF1 a tooltip tells


@dataclass(frozen=True)
class TreeNode:
    """A node of the drawn tree.

    Attributes:
        title: the full name of the node.
        name: its name without those above it.
        counts: its documents and mistakes.
        children: the nodes below it with a mistake at or below them, those that lost the most documents first.
        correct: the nodes below it without such a mistake, those with the most documents first.
        is_repeated: whether it was drawn below another parent before.
    """

    title: str
    name: str
    counts: NodeMistakes
    children: tuple["TreeNode", ...]
    correct: tuple["TreeNode", ...]
    is_repeated: bool = False


@dataclass(frozen=True)
class Tree:
    """The mistakes of a run as its page shows them, and hF1 of its most confident predictions."""

    mistakes: Mistakes
    coverage: CoverageCurve

    @property
    def coverage_chart(self) -> LineChart:
        """hF1 against the share of documents that are covered."""
        coverage, hf1 = self.coverage.coverage.tolist(), self.coverage.hf1.tolist()
        places = sorted({min(range(len(coverage)), key=lambda at: abs(coverage[at] - share)) for share in MARKED})
        markers = tuple(Marker(coverage[at], hf1[at], self._marker_title(at)) for at in places)
        axis = common_axis([ConfidenceInterval(value, value, value) for value in hf1])
        return LineChart(
            description=f"hF1 of the most confident predictions: {'; '.join(marker.title for marker in markers)}.",
            x_axis=Axis(0.0, 1.0),
            y_axis=axis,
            x_label="coverage",
            y_label="hF1",
            lines=(Line(name="", x=coverage, y=hf1, markers=markers),),
            width=400,
            height=220,
        )

    def _marker_title(self, at: int) -> str:
        share, threshold = format_percent(self.coverage.coverage[at]), format_metric(self.coverage.confidence[at])
        hf1 = format_metric(self.coverage.hf1[at])
        return f"{hf1} for {share} of the documents, whose confidence is at least {threshold}"

    @property
    def levels(self) -> Sequence[LevelMistakes]:
        """The mistakes of each level."""
        return self.mistakes.levels

    @property
    def confusions(self) -> Sequence[BranchConfusion]:
        """The most frequent confusions between nodes of one parent."""
        return self.mistakes.confusions[:MAX_CONFUSIONS]

    @property
    def without_mistakes(self) -> int:
        """Number of nodes without a mistake at or below them."""
        return len(self.mistakes.nodes) - len(self.mistakes.concerned)

    @property
    def depth(self) -> int:
        """The number of levels that are drawn: all of them, unless they have too many nodes."""
        per_level = Counter(self.mistakes.taxonomy.depths.values())
        counts = accumulate(per_level[level] for level in sorted(per_level))
        return max(1, sum(count <= MAX_SHOWN_NODES for count in counts))

    @property
    def cut(self) -> int:
        """Number of levels that are not drawn."""
        return len(self.levels) - self.depth

    @property
    def top(self) -> tuple[TreeNode, ...]:
        """The nodes at the top with a mistake at or below them."""
        taxonomy = self.mistakes.taxonomy
        return tuple(self._nodes([node for node in taxonomy.top if node in self.mistakes.concerned], 1, set()))

    @property
    def correct_top(self) -> tuple[TreeNode, ...]:
        """The nodes at the top without one."""
        return tuple(self._correct(self.mistakes.taxonomy.top))

    def _nodes(self, nodes: Sequence[str], level: int, drawn: set[str]) -> Iterator[TreeNode]:
        for node in sorted(nodes, key=self.mistakes.rank):
            is_repeated = node in drawn
            below = () if is_repeated else self.mistakes.taxonomy.children[node]
            if below and level >= self.depth:
                below = ()  # it may be drawn in full below another parent, on a higher level
            else:
                drawn.add(node)
            wrong = [child for child in below if child in self.mistakes.concerned]
            children, correct = tuple(self._nodes(wrong, level + 1, drawn)), tuple(self._correct(below))
            yield self._node(node, children, correct, is_repeated=is_repeated)

    def _correct(self, nodes: Sequence[str]) -> Iterator[TreeNode]:
        correct = [node for node in nodes if node not in self.mistakes.concerned]
        return (self._node(node, (), ()) for node in sorted(correct, key=self.mistakes.rank))

    def _node(
        self, node: str, children: tuple[TreeNode, ...], correct: tuple[TreeNode, ...], *, is_repeated: bool = False
    ) -> TreeNode:
        mistakes = self.mistakes
        name = mistakes.taxonomy.short_name(node)
        return TreeNode(node, name, mistakes.nodes[node], children, correct, is_repeated)

    def short_name(self, node: str) -> str:
        """The name of a node without those above it."""
        return self.mistakes.taxonomy.short_name(node) if node else node

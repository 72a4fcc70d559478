"""The set of nodes with the highest expected hF-beta, among all sets that contain each node above one of their nodes.

The expected value of a set S of m nodes is the sum over a in S of

    Q_m(a) = sum over d of P(a, d) (1 + beta^2) / (beta^2 d + m),

in the notation of `node_values`. A label below a node is also below the nodes above that one, so Q_m never rises from a
node to one below it. The m nodes with the highest Q_m are therefore a closed set, if ties are resolved towards the top,
and no set of m nodes has a higher value. The best m is found by trying each. This is exact for trees and graphs, with
one label per document.

Few nodes have to be tried. Let S be the best set with value V, and a one of its nodes with no other of S below it. With
D the largest d, a set that loses a has at least (V - Q_m(a)) (beta^2 D + m) / (beta^2 D + m - 1), which must not exceed
V: Q_m(a) (beta^2 D + m) >= V. As Q_m(a) <= P(a) (1 + beta^2) / (beta^2 s + m), where s <= m is the number of nodes at
and above a, and (beta^2 s + m) / (beta^2 D + m) is lowest for m = s,

    P(a) >= V s / (beta^2 D + s),

for a and, with their larger P and smaller s, the nodes above it. V is at least the value of the best single node.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.decisions.hierarchical import BestExpectedHF
from heads.evaluation.decisions.node_values import Codes, Floats, document_blocks
from heads.evaluation.decisions.rules import Scores


@dataclass(frozen=True, eq=False)
class _Entries:
    """Nodes that may be in the best set of a document, those of a document together and smaller sizes first.

    documents, nodes: int64 (entries,). masses: (entries, distinct d), their P(a, d).
    """

    documents: Codes
    nodes: Codes
    masses: Floats


@dataclass(frozen=True, kw_only=True)
class BestClosedSet(BestExpectedHF):
    """The closed set of nodes with the highest expected hF-beta of a document; empty if it has only scores of -inf."""

    family: ClassVar[str] = "highest expected hF of a closed set"

    def decide(self, scores: Scores) -> NDArray[np.bool_]:
        """bool (documents, nodes)."""
        self.check_columns(scores)
        predicted = np.zeros((len(scores), len(self.parents)), dtype=bool)
        entries = [
            self._find_entries(self.probabilities(scores[rows]), rows.start) for rows in document_blocks(scores.shape)
        ]
        if entries:
            together = _sorted(entries, self.candidates.node_sizes)
            best = self._choose_entries(together)
            predicted[together.documents[best], together.nodes[best]] = True
        return predicted

    @cached_property
    def _truth_sizes(self) -> Codes:
        return np.unique(self.candidates.node_sizes[: self.labels])

    @cached_property
    def _pair_rows(self) -> Codes:
        """The row of pairs that P(a, d) is in, or the number of pairs for none: int64 (branches, distinct d)."""
        candidates = self.candidates
        rows = np.full((len(candidates.nodes), len(self._truth_sizes)), len(candidates.pair_sizes))
        node, pair = candidates.own_pairs.nonzero()
        rows[node, np.searchsorted(self._truth_sizes, candidates.pair_sizes[pair])] = pair
        return rows

    @cached_property
    def _lowest_share(self) -> float:
        """The lowest s / (beta^2 D + s) of all nodes, and a little less: both sides of the bound are rounded."""
        sizes = self.candidates.node_sizes
        return float(0.999 * sizes.min() / (self.beta**2 * self._truth_sizes[-1] + sizes.min()))

    def _find_entries(self, probabilities: Floats, first: int) -> _Entries:
        """The entries of a block of documents. first: the number of its first document."""
        candidates, masses = self.candidates, self.candidates.masses(probabilities)
        bound = self.expected_values.of(masses).max(axis=0) * probabilities.dtype.type(self._lowest_share)
        bound = np.maximum(bound, np.finfo(bound.dtype).tiny)
        rows = np.concatenate([masses.pairs, np.zeros((1, len(bound)), dtype=masses.pairs.dtype)])
        is_leaf = np.isin(np.arange(self.labels), candidates.members)
        leaf, leaf_document = (probabilities >= bound).nonzero()
        leaf, leaf_document = leaf[is_leaf[leaf]], leaf_document[is_leaf[leaf]]
        of_leaves = np.zeros((len(leaf), len(self._truth_sizes)), dtype=rows.dtype)
        column = np.searchsorted(self._truth_sizes, candidates.node_sizes[leaf])
        of_leaves[np.arange(len(leaf)), column] = probabilities[leaf, leaf_document]
        branch, document = (candidates.node_masses(masses)[: len(candidates.nodes)] >= bound).nonzero()
        of_branches = rows[self._pair_rows[branch], document[:, None]]
        return _Entries(
            first + np.append(document, leaf_document),
            np.append(candidates.nodes[branch], leaf),
            np.concatenate([of_branches, of_leaves]),
        )

    def _choose_entries(self, entries: _Entries) -> NDArray[np.bool_]:
        """Which entries are in the best set of their document, bool (entries,)."""
        starts = np.flatnonzero(np.diff(entries.documents, prepend=-1))
        counts = np.diff(starts, append=len(entries.documents))
        chosen = np.zeros(len(entries.documents), dtype=bool)
        widths = 2 ** np.ceil(np.log2(counts)).astype(np.int64)  # so that few slots are empty
        for width in np.unique(widths).tolist():
            alike = widths == width
            slots = np.arange(width)
            is_used = slots < counts[alike, None]
            places = np.where(is_used, starts[alike, None] + slots, 0)
            masses = np.where(is_used[..., None], entries.masses[places], 0)
            chosen[places[self._best_of(masses) & is_used]] = True
        return chosen

    def _best_of(self, masses: Floats) -> NDArray[np.bool_]:
        """The best slots of each document, bool (documents, slots). masses: (documents, slots, distinct d)."""
        documents, slots, _ = masses.shape
        highest, count = np.zeros(documents), np.zeros(documents, dtype=np.int64)
        for size in range(1, slots + 1):
            values = np.partition(-self._values(masses, size), size - 1, axis=1)[:, :size].sum(axis=1)
            better = -values > highest
            highest[better], count[better] = -values[better], size
        chosen = np.zeros((documents, slots), dtype=bool)
        for size in np.unique(count[count > 0]).tolist():
            alike = np.flatnonzero(count == size)
            ranked = np.argsort(-self._values(masses[alike], size), axis=1, kind="stable")
            chosen[alike[:, None], ranked[:, :size]] = True
        return chosen

    def _values(self, masses: Floats, size: int) -> Floats:
        """Q of sets of this size, (documents, slots)."""
        weights = (1 + self.beta**2) / (self.beta**2 * self._truth_sizes + size)
        return np.asarray(masses @ weights.astype(masses.dtype))


def _sorted(blocks: list[_Entries], sizes: Codes) -> _Entries:
    documents, nodes = (np.concatenate([getattr(each, name) for each in blocks]) for name in ("documents", "nodes"))
    order = np.lexsort((sizes[nodes], documents))
    return _Entries(documents[order], nodes[order], np.concatenate([each.masses for each in blocks])[order])

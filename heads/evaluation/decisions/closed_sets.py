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
class _Lookup:
    """Where each P(a, d) is among the rows of pairs, labels and zeros.

    Attributes:
        nodes: int64 (nodes,), the codes of a; those that stand for fewer nodes come first.
        sizes: int64 (nodes,), for how many nodes they stand.
        rows: int64 (nodes, distinct d).
        truth_sizes: int64 (distinct d,).
    """

    nodes: Codes
    sizes: Codes
    rows: Codes
    truth_sizes: Codes

    def probabilities(self, masses: Floats) -> Floats:
        """P(a), (nodes, documents). masses: of the rows; those of the last one are 0."""
        total = np.zeros((len(self.nodes), masses.shape[1]), dtype=masses.dtype)
        for column in self.rows.T:
            used = np.flatnonzero(column < len(masses) - 1)
            total[used] += masses[column[used]]
        return total


@dataclass(frozen=True, kw_only=True)
class BestClosedSet(BestExpectedHF):
    """The closed set of nodes with the highest expected hF-beta of a document; empty if it has only scores of -inf."""

    family: ClassVar[str] = "highest expected hF of a closed set"

    def decide(self, scores: Scores) -> NDArray[np.bool_]:
        """bool (documents, nodes)."""
        self.check_columns(scores)
        predicted = np.zeros((len(scores), len(self.parents)), dtype=bool)
        for rows in document_blocks(scores.shape):
            documents, nodes = self._decide_block(self.probabilities(scores[rows]))
            predicted[rows.start + documents, nodes] = True
        return predicted

    @cached_property
    def _lookup(self) -> _Lookup:
        candidates = self.candidates
        sizes = candidates.node_sizes
        truth_sizes, pairs = np.unique(sizes[: self.labels]), len(candidates.pair_sizes)
        rows = np.full((len(sizes), len(truth_sizes)), pairs + self.labels)
        node, pair = candidates.own_pairs.nonzero()
        rows[candidates.nodes[node], np.searchsorted(truth_sizes, candidates.pair_sizes[pair])] = pair
        leaves = candidates.members
        rows[leaves, np.searchsorted(truth_sizes, sizes[leaves])] = pairs + leaves
        nodes = np.argsort(sizes, kind="stable")
        return _Lookup(nodes, sizes[nodes], rows[nodes], truth_sizes)

    def _decide_block(self, probabilities: Floats) -> tuple[Codes, Codes]:
        """The documents and nodes of all predictions, int64 (predictions,) each."""
        masses, lookup = self.candidates.masses(probabilities), self._lookup
        lowest_value = self.expected_values.of(masses).max(axis=0)
        rows = np.concatenate([masses.pairs, probabilities, np.zeros((1, len(lowest_value)), probabilities.dtype)])
        share = lookup.sizes / (self.beta**2 * lookup.truth_sizes[-1] + lookup.sizes)
        total = lookup.probabilities(rows)
        # a little less than the bound, because both sides are rounded
        kept = (total >= (0.999 * share).astype(rows.dtype)[:, None] * lowest_value) & (total > 0)
        documents, nodes = kept.T.nonzero()
        slots = np.arange(len(nodes)) - np.searchsorted(documents, documents)
        padded = np.full((kept.shape[1], slots.max(initial=-1) + 1), -1)
        padded[documents, slots] = nodes
        best = self._best_sets(rows, padded)
        return best.nonzero()[0], lookup.nodes[padded[best]]

    def _best_sets(self, rows: Floats, padded: Codes) -> NDArray[np.bool_]:
        """Which of the nodes of each document are in its best set, bool (documents, slots).

        padded: int64 (documents, slots), places in the lookup, those that stand for fewer nodes first; -1 for none.
        """
        lookup = self._lookup
        places = np.where((padded >= 0)[..., None], lookup.rows[padded], len(rows) - 1)
        masses = rows[places, np.arange(len(padded))[:, None, None]]  # (documents, slots, distinct d)
        order, count, highest = np.zeros(padded.shape, dtype=np.int64), np.zeros(len(padded), dtype=np.int64), 0.0
        for size in range(1, padded.shape[1] + 1):
            values = masses @ ((1 + self.beta**2) / (self.beta**2 * lookup.truth_sizes + size)).astype(rows.dtype)
            ranked = np.argsort(-values, axis=1, kind="stable")
            value = np.take_along_axis(values, ranked[:, :size], axis=1).sum(axis=1)
            better = value > highest
            order[better], count[better], highest = ranked[better], size, np.maximum(value, highest)
        chosen = np.zeros(padded.shape, dtype=bool)
        np.put_along_axis(chosen, order, np.arange(padded.shape[1]) < count[:, None], axis=1)
        return chosen

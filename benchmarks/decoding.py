"""Decision rules for hierarchies: exact against brute force, fast, and how far a greedy closure is from the best set.

    python -m benchmarks.decoding [--trees 1000] [--leaves 1000] [--documents 10000] [--json]

Exact: random trees of at most 12 leaves with 20 documents each; a mismatch is a prediction whose expected value is more
than 1e-12 below the best one, of all nodes or of all labels. Fast: CPU seconds of a rule that is
made anew, over those of one `numpy.sort` of the rows of the same scores. Gap: random graphs, in which documents have
one to three labels with the nodes above them, drawn from a random distribution over sets; the closure knows the
probabilities of nodes alone, the brute force the distribution.
"""

import time
from collections.abc import Callable, Iterator

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.brute_force_decoding import (
    OBJECTIVES,
    RandomHierarchies,
    closed_sets,
    closures,
    expected_values,
    hierarchical_f,
)
from benchmarks.measuring import Claim, Topic, print_topic
from data.hierarchy import Hierarchy
from heads.evaluation.decisions.hierarchical import (
    BestExpectedDistance,
    BestExpectedHF,
    BestExpectedSimilarity,
    NodeRule,
)
from heads.evaluation.decisions.rules import Argmax, BestExpectedSet, DecisionRule

RULES: dict[str, type[NodeRule]] = {
    "hf1": BestExpectedHF,
    "distance": BestExpectedDistance,
    "wu-palmer": BestExpectedSimilarity,
}
SORTS = 3.0  # bar


def count_mismatches(objective: str, trees: int) -> int:
    """Predictions on random trees that are not the best ones. objective: of OBJECTIVES."""
    hierarchies = RandomHierarchies(inner_labels=objective != "leaf")
    return sum(_mismatches(objective, *hierarchies.draw(seed)) for seed in range(trees))


def _mismatches(objective: str, hierarchy: Hierarchy, probabilities: NDArray[np.float64]) -> int:
    with np.errstate(divide="ignore"):
        scores = np.log(probabilities)
    values = expected_values(hierarchy, probabilities, OBJECTIVES[objective])
    if objective == "leaf":
        return _count_worse(values[:, : hierarchy.labels], Argmax().decide(scores))
    labels_only = _rule(objective, hierarchy, labels_only=True).decide(scores)
    return _count_worse(values, _rule(objective, hierarchy).decide(scores)) + _count_worse(
        values[:, : hierarchy.labels], labels_only
    )


def _count_worse(values: NDArray[np.float64], predicted: NDArray[np.int64]) -> int:
    return int((values[np.arange(len(values)), predicted] < values.max(axis=1) - 1e-12).sum())


def _rule(objective: str, hierarchy: Hierarchy, *, labels_only: bool = False) -> DecisionRule:
    if objective == "leaf":
        return Argmax()
    return RULES[objective](labels=hierarchy.labels, parents=hierarchy.parents, labels_only=labels_only)


def make_tree(leaves: int, seed: int = 0) -> Hierarchy:
    """A tree of five levels with labels at its leaves, in random order; nodes above them have about 4 children each."""
    per_level = [max(1, leaves // 4**step) for step in range(4, -1, -1)]
    starts = np.cumsum([0, *per_level])
    above: list[tuple[int, ...]] = [() for _ in range(per_level[0])]
    for level in range(1, 5):
        places = np.arange(per_level[level]) * per_level[level - 1] // per_level[level]
        above += [(int(starts[level - 1] + place),) for place in places]
    first_leaf = int(starts[4])
    order = [*(first_leaf + np.random.default_rng(seed).permutation(leaves)), *range(first_leaf)]
    code = {int(node): place for place, node in enumerate(order)}
    parents = tuple(tuple(code[parent] for parent in above[int(node)]) for node in order)
    return Hierarchy(tuple(map(str, order)), leaves, parents)


def measure_speed(leaves: int, documents: int, rounds: int) -> Iterator[tuple[str, float, float]]:
    """For each objective: CPU seconds of a decision and of a sort, the smallest of the rounds."""
    hierarchy = make_tree(leaves)
    scores = np.random.default_rng(0).normal(scale=3, size=(documents, leaves)).astype(np.float32)
    for objective in OBJECTIVES:
        decide, sort = [], []
        for _ in range(rounds):
            sort.append(_cpu_seconds(lambda: np.sort(scores, axis=1)))
            decide.append(_cpu_seconds(lambda name=objective: _rule(name, hierarchy).decide(scores)))  # type: ignore[misc]
        yield objective, min(decide), min(sort)


def _cpu_seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def closure_gaps(graphs: int) -> NDArray[np.float64]:
    """How much less than the best closed set the greedy closure gains in expected hF1, for each graph."""
    return np.array([_gap(seed) for seed in range(graphs)])


def _gap(seed: int) -> float:
    hierarchy, _ = RandomHierarchies(graph=True, max_leaves=8).draw(seed)
    random, paths = np.random.default_rng(seed), closures(hierarchy)
    truths = [frozenset[int]().union(*(paths[code] for code in _labels(random, hierarchy.labels))) for _ in range(8)]
    weights = random.dirichlet(np.full(8, 0.5))
    sets = closed_sets(hierarchy)
    table = np.array([[hierarchical_f(1.0)(truth, nodes) for nodes in sets] for truth in truths])
    has_node = np.array([[code in truth for code in range(len(hierarchy))] for truth in truths])
    probabilities = np.clip(weights @ has_node, 1e-9, 1 - 1e-9)
    logits = np.log(probabilities) - np.log1p(-probabilities)
    (row,) = BestExpectedSet(parents=hierarchy.parents).decide(logits[None])
    values = weights @ table
    return float(values.max() - values[sets.index(frozenset(np.flatnonzero(row).tolist()))])


def _labels(random: np.random.Generator, labels: int) -> list[int]:
    chosen: list[int] = random.choice(labels, size=min(labels, int(random.integers(1, 4))), replace=False).tolist()
    return chosen


@click.command()
@click.option("--trees", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--graphs", type=click.IntRange(1), default=500, show_default=True)
@click.option("--leaves", type=click.IntRange(4), default=1000, show_default=True)
@click.option("--documents", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(trees: int, graphs: int, leaves: int, documents: int, rounds: int, as_json: bool) -> None:
    """Print tables and claims."""
    rows: list[tuple[str, ...]] = [("objective", "mismatches")]
    claims: list[Claim] = []
    for objective in OBJECTIVES:
        count = count_mismatches(objective, trees)
        rows.append((objective, str(count)))
        claims.append(Claim(f"{objective}: mismatches with brute force, {trees:,} trees", count, 0, count == 0))
    print_topic(Topic("exact decoding", rows, claims), as_json=as_json)
    table, claims = [("objective", "CPU seconds", "of one sort", "ratio")], []
    for objective, decide, sort in measure_speed(leaves, documents, rounds):
        table.append((objective, f"{decide:.3f}", f"{sort:.3f}", f"{decide / sort:.2f}"))
        name = f"{objective}: sorts of {documents:,} x {leaves:,} scores"
        claims.append(Claim(name, round(decide / sort, 2), SORTS, decide <= SORTS * sort))
    print_topic(Topic("speed of decoding", table, claims), as_json=as_json)
    gaps = closure_gaps(graphs)
    exact = float((gaps < 1e-12).mean())
    header = ("mean gap of expected hF1", "largest", "share without a gap")
    row = (f"{gaps.mean():.4f}", f"{gaps.max():.4f}", f"{exact:.2f}")
    claims = [Claim("greedy closure: mean gap to brute force", round(float(gaps.mean()), 4), 0.02, gaps.mean() <= 0.02)]
    print_topic(Topic("greedy closure of graphs and several paths", [header, row], claims), as_json=as_json)


if __name__ == "__main__":
    main()

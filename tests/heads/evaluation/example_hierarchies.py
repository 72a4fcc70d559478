"""A small hierarchy, random ones, and random truth and predictions of them."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy

#        sport        art
#       /     \        |
#   hockey   golf    film       labels: film, golf, hockey, sport
SMALL = Hierarchy.of(
    Taxonomy.from_parents({"sport": (), "hockey": ("sport",), "golf": ("sport",), "art": (), "film": ("art",)}),
    ("film", "golf", "hockey", "sport"),
)
FILM, GOLF, HOCKEY, SPORT, ART = range(5)


@st.composite
def hierarchies(draw: st.DrawFn, *, most_parents: int = 1) -> Hierarchy:
    parents: dict[str, tuple[str, ...]] = {}
    for node in range(draw(st.integers(2, 12))):
        above = draw(st.sets(st.sampled_from(sorted(parents)), max_size=most_parents)) if parents else set()
        parents[f"n{node}"] = tuple(sorted(above))
    taxonomy = Taxonomy.from_parents(parents)
    inner = draw(st.sets(st.sampled_from(taxonomy.nodes)))
    return Hierarchy.of(taxonomy, tuple(sorted(inner | set(taxonomy.leaves))))


def draw_nodes(hierarchy: Hierarchy, seed: int, documents: int = 25) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    return random.integers(hierarchy.labels, size=documents), random.integers(len(hierarchy), size=documents)


def draw_labels(hierarchy: Hierarchy, seed: int, documents: int = 25) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    return tuple(random.random((2, documents, hierarchy.labels)) < 0.3)

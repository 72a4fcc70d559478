"""Trees of labels."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadData
from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy

STEP = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1).filter(str.strip)
LABELS = st.lists(st.lists(STEP, min_size=1, max_size=4).map("/".join), max_size=10)


@given(LABELS)
def test_a_path_grows_by_a_step_and_ends_in_its_label(labels: list[str]) -> None:
    taxonomy = Taxonomy.from_separator(labels, "/")
    assert set(labels) <= set(taxonomy.nodes) and taxonomy.is_tree
    for label in labels:
        path = taxonomy.ancestors(label)
        assert path[-1] == label
        assert [node.count("/") for node in path] == list(range(label.count("/") + 1))
        assert all(below.startswith(f"{above}/") for above, below in pairwise(path))


@given(LABELS)
def test_a_tree_survives_json(labels: list[str]) -> None:
    for tree in (Taxonomy.from_separator(labels, "/"), Taxonomy.two_level(labels, "/")):
        assert Taxonomy.from_json(tree.to_json()) == tree


@given(LABELS)
def test_two_levels_are_the_first_step_and_the_label(labels: list[str]) -> None:
    taxonomy = Taxonomy.two_level(labels, "/")
    for label in labels:
        assert taxonomy.ancestors(label) == ((label.split("/")[0], label) if "/" in label else (label,))


def test_paths_are_as_in_the_newsgroups() -> None:
    deep = Taxonomy.from_separator(["rec/sport/hockey"], "/")
    flat = Taxonomy.two_level(["rec.sport.hockey"], ".")
    assert deep.ancestors("rec/sport/hockey") == ("rec", "rec/sport", "rec/sport/hockey")
    assert flat.parents == {"rec": (), "rec.sport.hockey": ("rec",)}


@pytest.mark.parametrize("label", ["rec//hockey", "/rec", "rec/", "rec/ /hockey", ""])
def test_an_empty_step_is_refused(label: str) -> None:
    with pytest.raises(BadData, match=f"Label '{label}' has an empty level"):
        Taxonomy.from_separator([label], "/")


def test_json_that_is_no_tree_is_refused() -> None:
    with pytest.raises(BadData, match="'b' below 'a' and below 'c'"):
        Taxonomy.from_json({"x": ["a", "b", "x"], "y": ["c", "b", "y"]})
    with pytest.raises(BadData, match="must be a list of names"):
        Taxonomy.from_json({"x": "a"})
    with pytest.raises(BadData, match=r"each node is above the next: (a > b > a|b > a > b)"):
        Taxonomy.from_json({"a": ["b"], "b": ["a"]})


GRAPHS = st.integers(1, 8).flatmap(
    lambda size: st.tuples(*(st.sets(st.integers(0, node - 1)) if node else st.just(set()) for node in range(size)))
)


@given(GRAPHS)
def test_the_numbers_of_a_graph_agree_with_its_names(graph: tuple[set[int], ...]) -> None:
    taxonomy = Taxonomy.from_parents({str(node): map(str, above) for node, above in enumerate(graph)})
    assert list(taxonomy.nodes) == sorted(taxonomy.nodes, key=lambda node: taxonomy.nodes.index(node))
    for node, above in taxonomy.parents.items():
        assert all(taxonomy.nodes.index(parent) < taxonomy.nodes.index(node) for parent in above)
    labels = taxonomy.leaves
    hierarchy = Hierarchy.of(taxonomy, labels)
    assert hierarchy.names[: hierarchy.labels] == labels and set(hierarchy.names) == set(taxonomy.nodes)
    closure = hierarchy.closure.toarray()
    for code, name in enumerate(hierarchy.names):
        assert {hierarchy.names[column] for column in np.flatnonzero(closure[code])} == set(taxonomy.ancestors(name))
        assert hierarchy.depths[code] == taxonomy.depths[name]
    probabilities = np.random.default_rng(0).dirichlet(np.ones(len(labels)), size=3)
    expected = probabilities @ closure[: len(labels)]
    assert np.allclose(hierarchy.node_probabilities(probabilities), expected)
    codes = np.arange(len(hierarchy))
    shared = hierarchy.shared_nodes(codes, codes[::-1])
    assert shared.tolist() == (closure & closure[::-1]).sum(axis=1).tolist()


def test_the_probability_of_a_node_is_at_most_one() -> None:
    labels = ("a/b", "a/c", "a/d")
    hierarchy = Hierarchy.of(Taxonomy.from_separator(labels, "/"), labels)
    thirds = np.full((1, 3), 1 / 3, dtype=np.float32)
    assert thirds.astype(np.float64).sum() > 1
    assert hierarchy.node_probabilities(thirds)[0, hierarchy.names.index("a")] == 1


def test_a_name_that_is_a_path_is_shortened_to_its_last_level() -> None:
    paths = Taxonomy.from_separator(["rec > sport > hockey", "sci > space"], " > ")
    assert paths.separator == " > "
    assert [paths.short_name(node) for node in ("rec", "rec > sport > hockey")] == ["rec", "hockey"]
    named = Taxonomy.from_parents({"recreation": ("rec",), "hockey": ("recreation",)})
    assert named.separator == "" and named.short_name("recreation") == "recreation"
    assert Taxonomy.from_separator(["a/x1", "a/x2"], "/").separator == "/"


def test_signs_that_all_levels_begin_with_are_part_of_their_names() -> None:
    signed = Taxonomy.from_separator(["num/-1", "num/-2"], "/")
    assert signed.separator == "/" and signed.short_name("num/-1") == "-1"
    assert Taxonomy.from_separator(["a//b", "a//c"], "//").separator == "//"

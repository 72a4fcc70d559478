"""Trees of labels."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadData
from data.taxonomy import Taxonomy

STEP = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1).filter(str.strip)
LABELS = st.lists(st.lists(STEP, min_size=1, max_size=4).map("/".join), max_size=10)


@given(LABELS)
def test_a_path_grows_by_a_step_and_ends_in_its_label(labels: list[str]) -> None:
    paths = Taxonomy.from_separator(labels, "/").paths
    assert set(paths) == set(labels)
    for label, path in paths.items():
        assert path[-1] == label
        assert [node.count("/") for node in path] == list(range(label.count("/") + 1))
        assert all(below.startswith(f"{above}/") for above, below in pairwise(path))


@given(LABELS)
def test_a_tree_survives_json(labels: list[str]) -> None:
    for tree in (Taxonomy.from_separator(labels, "/"), Taxonomy.two_level(labels, "/")):
        assert Taxonomy.from_json(tree.to_json()) == tree


@given(LABELS)
def test_two_levels_are_the_first_step_and_the_label(labels: list[str]) -> None:
    for label, path in Taxonomy.two_level(labels, "/").paths.items():
        assert path == ((label.split("/")[0], label) if "/" in label else (label,))


def test_paths_are_as_in_the_newsgroups() -> None:
    deep = Taxonomy.from_separator(["rec/sport/hockey"], "/")
    flat = Taxonomy.two_level(["rec.sport.hockey"], ".")
    assert deep.paths == {"rec/sport/hockey": ("rec", "rec/sport", "rec/sport/hockey")}
    assert flat.paths == {"rec.sport.hockey": ("rec", "rec.sport.hockey")}


@pytest.mark.parametrize("label", ["rec//hockey", "/rec", "rec/", "rec/ /hockey", ""])
def test_an_empty_step_is_refused(label: str) -> None:
    with pytest.raises(BadData, match=f"Label '{label}' has an empty level"):
        Taxonomy.from_separator([label], "/")


def test_json_that_is_no_tree_is_refused() -> None:
    with pytest.raises(BadData, match="'b' under both 'a' and 'c'"):
        Taxonomy.from_json({"x": ["a", "b", "x"], "y": ["c", "b", "y"]})
    with pytest.raises(BadData, match="a path is a list that ends in its label"):
        Taxonomy.from_json({"x": ["a", "b"]})

"""The rows of a drawn tree, and the documents of each node."""

from data.taxonomy import Taxonomy
from stages.taxonomy.counts import CountedTaxonomy
from stages.taxonomy.outline import OutlineRow, outline

GRAPH = Taxonomy.from_parents({"pets": (), "farm": (), "cat": ("pets",), "pony": ("pets", "farm"), "foal": ("pony",)})


def test_nodes_follow_their_parents_and_a_shared_node_is_drawn_in_full_once() -> None:
    drawn = [f"{row.depth} {row.node}" for row in outline(GRAPH, str)]
    assert drawn == ["1 farm", "2 pony", "3 foal", "1 pets", "2 cat", "2 pony"]
    assert [row.is_repeated for row in outline(GRAPH, str)] == [False] * 5 + [True]


def test_a_row_knows_whether_a_sibling_follows_on_each_level() -> None:
    taxonomy = Taxonomy.from_separator(["a/b/x", "a/b/y", "a/c"], "/")
    guides = {row.node: row.continues for row in outline(taxonomy, str)}
    assert guides["a/b/x"] == (False, True, True) and guides["a/b/y"] == (False, True, False)
    assert guides["a/c"] == (False, False)


def test_a_tree_cut_at_a_depth_counts_the_nodes_below() -> None:
    assert list(outline(GRAPH, str, depth=1)) == [
        OutlineRow("farm", (True,), hidden=2),
        OutlineRow("pets", (False,), hidden=3),
    ]


def test_a_node_that_the_depth_cuts_is_drawn_in_full_where_it_is_higher() -> None:
    taxonomy = Taxonomy.from_parents({"b": ("a",), "d": ("b", "c"), "x": ("d",)})
    rows = [(row.node, row.depth, row.is_repeated, row.hidden) for row in outline(taxonomy, str, depth=3)]
    assert rows[:3] == [("a", 1, False, 0), ("b", 2, False, 0), ("d", 3, False, 1)]
    assert rows[3:] == [("c", 1, False, 0), ("d", 2, False, 0), ("x", 3, False, 0)]


def test_a_document_counts_at_its_label_and_once_at_each_node_above() -> None:
    labels = [("foal",), ("pony", "cat"), None, ("pony",)]
    counted = CountedTaxonomy.of_corpus("zoo", GRAPH, labels, ["train", "train", "train", "test"])
    named = CountedTaxonomy.of_corpus("zoo", GRAPH, labels, ["Training", "train", None, " TEST"])
    assert named.splits == counted.splits and [*named.splits] == ["train", "test"]
    assert counted.documents == 3
    assert counted.below == {"foal": 1, "pony": 3, "farm": 3, "pets": 3, "cat": 1}
    assert counted.labeled == {"foal": 1, "pony": 2, "cat": 1}
    assert counted.splits["test"] == {"pony": 1, "farm": 1, "pets": 1}
    assert counted.inner_labels == {"pony"}
    assert counted.single_children == {"farm", "pony"}

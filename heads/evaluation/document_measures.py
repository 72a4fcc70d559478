"""What metrics sum over documents: distances between ordinal labels, and how much of a path in a hierarchy is right.

In a hierarchy, the truth and the prediction of a document are sets of nodes: its labels and all nodes above them. The
root, which is above the nodes at the top, is in no set.

shared_nodes, predicted_nodes, true_nodes: sizes of the intersection and of both sets (Kiritchenko et al. 2005,
    Functional annotation of genes using hierarchical text categorization).
document_precision, document_recall, document_f1: their ratios for each document; 1 if both sets are empty, 0 if one is.
level_correct, level_documents: (documents, levels), whether a document has nodes at this depth, and whether its
    predicted nodes at this depth are the same.
consistent: whether the predicted labels contain each label that is above one of them. A single predicted node is
    consistent, because it stands for all nodes above it.

And for one node per document:

tree_distance: edges on the shortest way from the predicted node up to a common node, which may be the root, and down to
    the true one.
lca_f1: F1 of the nodes on both halves of that way, the common node included (Kosmopoulos et al. 2015, Evaluation
    measures for hierarchical classification, section 4.2); the halves share only the common node.
wu_palmer: 2 * depth of the deepest common node / (depth of the predicted node + depth of the true one), where the root
    has depth 1 (Wu & Palmer 1994, Verb semantics and lexical selection). Of several parents, the deepest counts.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy

Measures: TypeAlias = Mapping[str, NDArray[Any]]  # name -> (documents,), or (documents, levels)


def measure_documents(truth: NDArray[Any], predicted: NDArray[Any], hierarchy: Hierarchy | None) -> Measures:
    """Measure each document.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        predicted: the same; with a hierarchy its codes may be those of any node.
        hierarchy: of the labels, if they have one.

    Returns:
        Distances between ordinal labels, unless truth is bool, and the measures of the hierarchy.
    """
    ordinal = {} if truth.ndim == 2 else _ordinal_measures(truth, predicted)
    if hierarchy is None:
        return ordinal
    measure = _measure_sets if truth.ndim == 2 else _measure_nodes
    return {**ordinal, **measure(truth, predicted, hierarchy)}


def sum_documents(truth: NDArray[Any], predicted: NDArray[Any], hierarchy: Hierarchy | None) -> Measures:
    """The sums of `measure_documents` over documents: () or (levels,)."""
    if hierarchy is None or truth.ndim == 2:
        return {name: values.sum(axis=0) for name, values in measure_documents(truth, predicted, hierarchy).items()}
    # few pairs of codes are distinct, and the sum of floats must not depend on the order of documents
    pairs, counts = np.unique(truth.astype(np.int64) * len(hierarchy) + predicted, return_counts=True)
    measures = measure_documents(*np.divmod(pairs, len(hierarchy)), hierarchy)
    return {name: np.asarray(counts @ values) for name, values in measures.items()}


def _ordinal_measures(truth: NDArray[Any], predicted: NDArray[Any]) -> Measures:
    distance = np.abs(truth.astype(np.int64) - predicted)
    return {"absolute_distance": distance, "squared_distance": distance**2}


def _measure_nodes(truth: NDArray[Any], predicted: NDArray[Any], hierarchy: Hierarchy) -> Measures:
    """The measures of one node per document."""
    shared, sizes = hierarchy.shared_nodes(truth, predicted), hierarchy.sizes
    if hierarchy.is_tree:
        distance, common_depth = sizes[truth] + sizes[predicted] - 2 * shared, shared
        levels = np.arange(1, hierarchy.depths.max(initial=0) + 1)
        level_correct, level_documents = shared[:, None] >= levels, sizes[truth][:, None] >= levels
    else:
        distance, common_depth = (
            _shortest_ways(truth, predicted, hierarchy),
            _common_depths(truth, predicted, hierarchy),
        )
        level_correct, level_documents = _compare_levels(
            hierarchy.closure[truth], hierarchy.closure[predicted], hierarchy
        )
    depths = hierarchy.depths[truth] + hierarchy.depths[predicted]
    return {
        **_overlap(shared, sizes[predicted], sizes[truth]),
        "level_correct": level_correct,
        "level_documents": level_documents,
        "consistent": np.ones(len(truth), dtype=np.int64),
        "tree_distance": distance,
        "lca_f1": 2 / (distance + 2),
        "wu_palmer": 2 * (common_depth + 1) / (depths + 2),
    }


def _measure_sets(truth: NDArray[Any], predicted: NDArray[Any], hierarchy: Hierarchy) -> Measures:
    """The measures of any number of labels per document."""
    true_sets, predicted_sets = hierarchy.complete(truth), hierarchy.complete(predicted)
    shared = np.asarray(true_sets.multiply(predicted_sets).sum(axis=1)).ravel()
    level_correct, level_documents = _compare_levels(true_sets, predicted_sets, hierarchy)
    labels = np.diff(predicted_sets[:, : hierarchy.labels].indptr)
    return {
        **_overlap(shared, np.diff(predicted_sets.indptr), np.diff(true_sets.indptr)),
        "level_correct": level_correct,
        "level_documents": level_documents,
        "consistent": labels == np.count_nonzero(predicted, axis=1),
    }


def _overlap(shared: NDArray[Any], predicted: NDArray[Any], true: NDArray[Any]) -> Measures:
    """How much two sets of these sizes share."""
    both_empty = predicted + true == 0
    return {
        "shared_nodes": shared,
        "predicted_nodes": predicted.astype(np.int64),
        "true_nodes": true.astype(np.int64),
        "document_precision": np.where(both_empty, 1.0, shared / np.maximum(predicted, 1)),
        "document_recall": np.where(both_empty, 1.0, shared / np.maximum(true, 1)),
        "document_f1": np.where(both_empty, 1.0, 2 * shared / np.maximum(predicted + true, 1)),
    }


def _compare_levels(
    true_sets: Any, predicted_sets: Any, hierarchy: Hierarchy
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether both sets have the same nodes at each depth at which the true one has any, and whether it has any."""
    at_depth = hierarchy.depths[:, None] == np.arange(1, hierarchy.depths.max(initial=0) + 1)
    has_nodes = true_sets @ at_depth.astype(np.int64) > 0
    differing = abs(true_sets - predicted_sets) @ at_depth.astype(np.int64)
    return has_nodes & (differing == 0), has_nodes


def _shortest_ways(truth: NDArray[Any], predicted: NDArray[Any], hierarchy: Hierarchy) -> NDArray[np.int64]:
    """The edges on the shortest way between two nodes over a node that is above both: int64 (documents,)."""
    up, down = hierarchy.steps[predicted], hierarchy.steps[truth]
    ways = (up.multiply(down.sign()) + down.multiply(up.sign())).tocsr()  # only the nodes that are above both
    return (
        np.minimum.reduceat(ways.data, ways.indptr[:-1]).astype(np.int64) - 2 if len(truth) else np.zeros(0, np.int64)
    )


def _common_depths(truth: NDArray[Any], predicted: NDArray[Any], hierarchy: Hierarchy) -> NDArray[np.int64]:
    """The depth of the deepest node that is above both nodes, 0 if it is the root: int64 (documents,)."""
    common = hierarchy.closure[truth].multiply(hierarchy.closure[predicted]).multiply(hierarchy.depths).tocsr()
    return np.asarray(common.max(axis=1).toarray()).ravel() if len(truth) else np.zeros(0, dtype=np.int64)

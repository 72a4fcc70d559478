"""What metrics sum over documents: distances between ordinal labels, and how much of a label set or a path is right.

decided: whether a document has a predicted label or node. A negative code is a prediction of none.
absolute_distance, squared_distance: between the columns of ordinal labels; true_position, true_square: the column of
    the true label, and its square. They are 0 for a document that is not decided.
sample_precision, sample_recall, sample_f1: of the labels of a multi-label document; 1 if it has none and none is
    predicted, 0 if only one of both is so. scikit-learn's `average="samples"` equals them with zero_division=0 if each
    document has a label or a predicted one, and its F1 with zero_division=1 always.

In a hierarchy, the truth and the prediction of a document are sets of nodes: its labels and all nodes above them. The
root, which is above the nodes at the top, is in no set, and is what a document that is not decided is predicted as.

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


# of ordinal labels alone
ORDINAL_MEASURES = ("absolute_distance", "squared_distance", "true_position", "true_square")


def measure_documents(truth: NDArray[Any], predicted: NDArray[Any], hierarchy: Hierarchy | None) -> Measures:
    """Measure each document.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        predicted: the same; with a hierarchy its codes may be those of any node.
        hierarchy: of the labels, if they have one.

    Returns:
        Those of one label per document, or of samples if truth is bool; and those of the hierarchy.
    """
    if truth.ndim == 2:
        samples = _sample_measures(truth, predicted)
        return samples if hierarchy is None else {**samples, **_measure_sets(truth, predicted, hierarchy)}
    decided = predicted >= 0
    measures: Measures = {"decided": decided, **_ordinal_measures(truth, predicted, decided)}
    if hierarchy is None:
        return measures
    if decided.all():
        return {**measures, **_measure_nodes(truth, predicted, hierarchy)}
    of_nodes = _measure_nodes(truth, np.where(decided, predicted, truth), hierarchy)
    of_root = _measure_root(truth, hierarchy)
    return {**measures, **{name: _choose(decided, values, of_root[name]) for name, values in of_nodes.items()}}


def is_right(truth: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether all labels of each document are right, bool (documents,). Both: codes, or bool (documents, labels)."""
    right = truth == predicted
    return np.asarray(right.all(axis=1) if right.ndim == 2 else right)


def sum_documents(truth: NDArray[Any], predicted: NDArray[Any], hierarchy: Hierarchy | None) -> Measures:
    """The sums of `measure_documents` over documents: () or (levels,)."""
    if hierarchy is None or truth.ndim == 2:
        return {name: values.sum(axis=0) for name, values in measure_documents(truth, predicted, hierarchy).items()}
    # few pairs of codes are distinct, and the sum of floats must not depend on the order of documents
    lowest = min(0, int(predicted.min(initial=0)))
    codes = len(hierarchy) - lowest
    pairs, counts = np.unique(truth.astype(np.int64) * codes + (predicted - lowest), return_counts=True)
    of_truth, of_predicted = np.divmod(pairs, codes)
    measures = measure_documents(of_truth, of_predicted + lowest, hierarchy)
    return {name: np.asarray(counts @ values) for name, values in measures.items()}


def _sample_measures(truth: NDArray[Any], predicted: NDArray[Any]) -> Measures:
    shared, of_predicted, of_truth = (_count_labels(labels) for labels in (truth & predicted, predicted, truth))
    precision, recall, f1 = _ratios(shared, of_predicted, of_truth)
    return {"sample_precision": precision, "sample_recall": recall, "sample_f1": f1}


def _count_labels(labels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The labels of each document, int64 (documents,); of bits, which takes a tenth of the time of counting bools."""
    return np.asarray(np.bitwise_count(np.packbits(labels, axis=1)).sum(axis=1, dtype=np.int64))


def _ordinal_measures(truth: NDArray[Any], predicted: NDArray[Any], decided: NDArray[np.bool_]) -> Measures:
    position = np.where(decided, truth, 0).astype(np.int64)
    distance = np.abs(position - np.where(decided, predicted, 0))
    squares = {"squared_distance": distance**2, "true_square": position**2}
    return {"absolute_distance": distance, "true_position": position, **squares}


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


def _measure_root(truth: NDArray[Any], hierarchy: Hierarchy) -> Measures:
    """The measures of documents that are predicted as the root, so as no node."""
    depths, sizes = hierarchy.depths[truth], hierarchy.sizes[truth]
    distance = sizes if hierarchy.is_tree else hierarchy.steps[truth][:, [len(hierarchy)]].toarray().ravel() - 1
    levels = hierarchy.closure[truth] @ _at_depth(hierarchy) > 0
    nothing = np.zeros(len(truth), dtype=np.int64)
    return {
        **_overlap(nothing, nothing, sizes),
        "level_correct": np.zeros_like(levels),
        "level_documents": levels,
        "consistent": np.ones(len(truth), dtype=np.int64),
        "tree_distance": distance,
        "lca_f1": 2 / (distance + 2),
        "wu_palmer": 2 / (depths + 2),
    }


def _choose(mask: NDArray[np.bool_], values: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """The values of documents in the mask, and the others of the rest: (documents,) or (documents, levels)."""
    chosen: NDArray[Any] = np.where(mask if values.ndim == 1 else mask[:, None], values, others)
    return chosen


def _at_depth(hierarchy: Hierarchy) -> NDArray[np.int64]:
    """int64 (nodes, levels), 1 for a node at this depth."""
    levels = np.arange(1, hierarchy.depths.max(initial=0) + 1)
    return np.asarray(hierarchy.depths[:, None] == levels, dtype=np.int64)


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
    precision, recall, f1 = _ratios(shared, predicted, true)
    return {
        "shared_nodes": shared,
        "predicted_nodes": predicted.astype(np.int64),
        "true_nodes": true.astype(np.int64),
        "document_precision": precision,
        "document_recall": recall,
        "document_f1": f1,
    }


def _ratios(shared: NDArray[Any], predicted: NDArray[Any], true: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
    """Precision, recall and F1 of two sets of these sizes: 1 if both are empty, 0 if one is."""
    both_empty = predicted + true == 0
    sizes = (predicted, true, (predicted + true) / 2)
    return tuple(np.where(both_empty, 1.0, shared / np.where(size > 0, size, 1)) for size in sizes)


def _compare_levels(
    true_sets: Any, predicted_sets: Any, hierarchy: Hierarchy
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether both sets have the same nodes at each depth at which the true one has any, and whether it has any."""
    at_depth = _at_depth(hierarchy)
    has_nodes = true_sets @ at_depth > 0
    differing = abs(true_sets - predicted_sets) @ at_depth
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

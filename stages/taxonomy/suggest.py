"""A taxonomy for flat labels: those that a run confuses form a group."""

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, CallError
from data.taxonomy import Taxonomy
from data.text_format import join_names, plural
from stages.fitting.runs import Run
from stages.taxonomy.counts import CountedTaxonomy

__all__ = ["confusion_similarity", "group_labels", "propose_taxonomy", "suggest_taxonomy"]

FEWEST_LABELS = 4  # with fewer, there are no two groups of two labels


def suggest_taxonomy(run: Run) -> CountedTaxonomy:
    """Propose a taxonomy for the labels of a run by `propose_taxonomy`, from its confusions on training documents.

    Its out-of-fold predictions are read, or those for the validation split, never those for the test split. Raises
    CallError if the labels have a taxonomy already, and what `propose_taxonomy` raises.
    """
    if run.record.taxonomy:
        command = shlex.join(["embedonce", "taxonomy", "--run", run.name, *run.folder_option])
        raise CallError(
            f"The labels of {run.name} have a taxonomy already. Name a run with flat labels, or draw this one with "
            f"`{command}`."
        )
    scored = run.predictions().of(run.record.ranking_split)
    return propose_taxonomy(run.name, tuple(run.record.labels), scored.truth, scored.predicted)


def propose_taxonomy(name: str, labels: Sequence[str], truth: NDArray[Any], predicted: NDArray[Any]) -> CountedTaxonomy:
    """Propose a taxonomy of two levels for flat labels, in which labels that were confused have one parent.

    Args:
        name: name of the run.
        labels: the labels.
        truth: int codes (documents,), or bool (documents, labels).
        predicted: the same; a code is negative if no label is predicted.

    Returns:
        The taxonomy, with these documents. A label that was never confused stays at the top.

    Raises:
        CallError: there are fewer than 4 labels.
        BadData: no two labels were confused.
    """
    if len(labels) < FEWEST_LABELS:
        raise CallError(
            f"{name} has {len(labels)} labels; a taxonomy is proposed for at least {FEWEST_LABELS}. Name a run with "
            "more labels."
        )
    true_labels, predicted_labels = (_label_matrix(codes, len(labels)) for codes in (truth, predicted))
    similarity = confusion_similarity(true_labels, predicted_labels)
    if not similarity.any():
        raise BadData(
            f"{name} confused no two labels in {plural(len(truth), 'document')}, so nothing says which belong "
            "together. Name a run of a head that makes mistakes."
        )
    taxonomy = _two_levels(labels, np.asarray(true_labels.sum(axis=0)), group_labels(similarity))
    names = [tuple(labels[code] for code in row.indices) for row in true_labels]
    return CountedTaxonomy.of_corpus(name, taxonomy, names, [None] * len(names))


def _label_matrix(codes: NDArray[Any], labels: int) -> Any:
    """csr_array int64 (documents, labels), from codes (documents,), negative for none, or bool (documents, labels)."""
    from scipy.sparse import csr_array

    if codes.ndim == 2:
        return csr_array(codes, dtype=np.int64)
    (rows,) = np.nonzero(codes >= 0)
    return csr_array((np.ones(len(rows), dtype=np.int64), (rows, codes[rows])), shape=(len(codes), labels))


def confusion_similarity(truth: Any, predicted: Any) -> NDArray[np.float64]:
    """How often two labels were confused, from 0 to 1.

    Args:
        truth: csr_array int64 (documents, labels), 1 for each true label.
        predicted: the same for each predicted label.

    Returns:
        float64 (labels, labels), symmetric: the mean of the share of the documents of one label that were predicted as
        the other one instead, and of the reverse. The diagonal is 0.
    """
    correct = truth.multiply(predicted)
    confused = ((truth - correct).T @ (predicted - correct)).toarray().astype(np.float64)
    shares = confused / np.maximum(np.asarray(truth.sum(axis=0)), 1)[:, None]
    return np.asarray((shares + shares.T) / 2)


def group_labels(similarity: NDArray[np.float64]) -> list[list[int]]:
    """Group similar labels by agglomerative clustering with average linkage, cut where the modularity is highest.

    The modularity is the similarity inside groups minus that which labels as similar to others would have by chance
    (Newman 2004, Fast algorithm for detecting community structure in networks), so no number of groups is needed.

    Args:
        similarity: float64 (labels, labels), symmetric with a zero diagonal, and not all 0.

    Returns:
        The groups of two labels or more, as codes.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    merges = linkage(squareform(similarity.max() - similarity, checks=False), method="average")[:, :2].astype(int)
    shares = similarity / similarity.sum()
    between, members = shares.copy(), [[code] for code in range(len(similarity))]
    modularity, best, clusters = 0.0, -np.inf, {code: code for code in range(len(similarity))}
    groups: list[list[int]] = []
    for step, (one, two) in enumerate(merges.tolist()):
        first, second = clusters.pop(one), clusters.pop(two)
        modularity += 2 * (between[first, second] - between[first].sum() * between[second].sum())
        between[first] += between[second]
        between[:, first] += between[:, second]
        between[second] = between[:, second] = 0
        members[first] += members[second]
        clusters[len(similarity) + step] = first
        if modularity > best:
            best, groups = modularity, [sorted(members[code]) for code in clusters.values() if len(members[code]) > 1]
    return groups


def _two_levels(labels: Sequence[str], counts: NDArray[np.int64], groups: Sequence[Sequence[int]]) -> Taxonomy:
    """The labels below a node per group, which has the names of its most frequent labels."""
    parents: dict[str, tuple[str, ...]] = dict.fromkeys(labels, ())
    for group in groups:
        names = [labels[code] for code in sorted(group, key=lambda code: (-counts[code], labels[code]))]
        parent = join_names(names, 2, quoted=False)
        while parent in parents:
            parent += " (group)"
        parents |= {parent: ()} | dict.fromkeys(names, (parent,))
    return Taxonomy.from_parents(parents)

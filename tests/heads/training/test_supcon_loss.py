"""The supervised contrastive loss, held against plain loops over the papers' formulas."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.errors import CallError
from data.hierarchy import Hierarchy
from heads.training.supcon_loss import Pretraining, Projection, contrastive_loss, label_similarity, tree_levels

TEMPERATURE, ABOVE = 0.3, 0.6


def projected(documents: int, seed: int = 0) -> torch.Tensor:
    numbers = np.random.default_rng(seed).normal(size=(documents, 4)).astype(np.float32)
    return torch.nn.functional.normalize(torch.from_numpy(numbers))


def levels(paths: list[tuple[str, ...]]) -> NDArray[np.int64]:
    """`tree_levels` of these paths, the nodes of each depth numbered in the order in which they occur."""
    hierarchy = Hierarchy.from_tree({path[-1]: path for path in paths}, [path[-1] for path in paths])
    columns = tree_levels(hierarchy).T.tolist()
    return np.array([[list(dict.fromkeys(column)).index(node) for node in column] for column in columns]).T


def minus_log_share(z: NDArray[Any], i: int, p: int) -> float:
    """The bracket of eq. 2: document p's share among all but i."""
    others = sum(math.exp(float(z[i] @ z[a]) / TEMPERATURE) for a in range(len(z)) if a != i)
    return -math.log(math.exp(float(z[i] @ z[p]) / TEMPERATURE) / others)


def by_loops(z: NDArray[Any], pairs: NDArray[Any], weight: NDArray[Any]) -> float:
    """The weighted mean of  sum_p pairs_ip (-log share) / sum_p pairs_ip  over documents that have a pair."""
    total = counted = 0.0
    for i in range(len(z)):
        friends = [p for p in range(len(z)) if p != i and pairs[i, p] > 0]
        if friends:
            strength = sum(pairs[i, p] for p in friends)
            total += weight[i] * sum(pairs[i, p] * minus_log_share(z, i, p) for p in friends) / strength
            counted += weight[i]
    return total / counted if counted else 0.0


def loss(z: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor | None = None) -> float:
    counts = torch.ones(len(z)) if weight is None else weight
    return float(contrastive_loss(z, label_similarity(truth, ABOVE), counts, TEMPERATURE))


@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_of_one_label_it_is_equation_2(labels: list[int], seed: int) -> None:
    z, y = projected(len(labels), seed), np.array(labels)
    weight = np.random.default_rng(seed).uniform(0.5, 2, len(labels)).astype(np.float32)
    expected = by_loops(z.numpy(), y[:, None] == y, weight)
    assert loss(z, torch.from_numpy(y[:, None]), torch.from_numpy(weight)) == pytest.approx(expected, abs=1e-4)


@given(seed=st.integers(0, 99), documents=st.integers(1, 9))
def test_of_several_labels_pairs_count_by_their_overlap(seed: int, documents: int) -> None:
    y = np.random.default_rng(seed).random((documents, 4)) < 0.4
    overlap = np.zeros((documents, documents))
    for i, one in enumerate(y):
        for p, other in enumerate(y):
            overlap[i, p] = sum(one & other) / sum(one | other) if (one & other).any() else 0
    z = projected(documents, seed)
    assert loss(z, torch.from_numpy(y)) == pytest.approx(by_loops(z.numpy(), overlap, np.ones(documents)), abs=1e-4)


def test_of_paths_it_is_the_mean_of_equation_2_over_depths_by_their_weight() -> None:
    nodes = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 1, 2], [1, 2, 4], [0, 0, 1]])
    z = projected(len(nodes))
    # only documents with a friend at every depth, for which the formula needs no word on what is missing
    full = [0, 1, 2, 3, 5, 7]
    whom = np.where(np.isin(np.arange(len(nodes)), full), 1.0, 0.0).astype(np.float32)
    of_depth = [by_loops(z.numpy(), node[:, None] == node, whom) for node in nodes.T]
    weights = [0.36, 0.6, 1.0]
    expected = sum(weight * found for weight, found in zip(weights, of_depth, strict=True)) / sum(weights)
    assert loss(z, torch.from_numpy(nodes), torch.from_numpy(whom)) == pytest.approx(expected, abs=1e-4)


def test_who_shares_more_of_the_path_is_closer() -> None:
    tree = [
        ("rec", "rec/sport", "rec/sport/golf"),
        ("rec", "rec/sport", "rec/sport/rugby"),
        ("rec", "rec/cars"),
        ("sci",),
    ]
    of_label = levels(tree)
    assert of_label.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    close = label_similarity(torch.from_numpy(of_label[[0, 0, 1, 2, 3]]), ABOVE)
    assert close[0, 1] > close[0, 2] > close[0, 3] > close[0, 4] == 0
    assert close.sum(dim=1).tolist() == pytest.approx([1, 1, 1, 1, 0])


def test_with_nothing_above_a_path_is_its_label() -> None:
    nodes = torch.tensor([[0, 0], [0, 0], [0, 1], [0, 1], [1, 2]])
    torch.testing.assert_close(label_similarity(nodes, 0.0), label_similarity(nodes[:, -1:], ABOVE))


@pytest.mark.parametrize(
    ("paths", "nodes"),
    [
        ([("a",), ("b",)], [[0], [1]]),
        # a depth that all share says nothing
        ([("x", "a"), ("x", "b")], [[0], [1]]),
        # a label that is a node above another
        ([("a",), ("a", "a/b"), ("c",)], [[0, 0], [0, 1], [1, 2]]),
    ],
)
def test_depths_of_trees_of_any_shape(paths: list[tuple[str, ...]], nodes: list[list[int]]) -> None:
    assert levels(paths).tolist() == nodes


def test_a_document_alone_of_its_label_is_pushed_away_by_others_but_has_no_loss_of_its_own() -> None:
    z = projected(3).requires_grad_()
    close = label_similarity(torch.tensor([[0], [0], [1]]), ABOVE)
    contrastive_loss(z, close, torch.tensor([0.0, 0.0, 1.0]), TEMPERATURE).backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None and not z.grad.any()


@pytest.mark.parametrize("truth", [torch.tensor([[0]]), torch.tensor([[0], [1]]), torch.zeros(3, 2, dtype=torch.bool)])
def test_a_batch_without_a_pair_has_a_loss_of_0(truth: torch.Tensor) -> None:
    assert loss(projected(len(truth)), truth) == 0


@pytest.mark.parametrize("sampler", ["instance", "balanced"])
def test_batches_are_as_many_as_asked_and_no_larger_and_balanced_ones_hold_the_rare(sampler: Any) -> None:
    truth = np.array([[0]] * 95 + [[1]] * 5)
    batches = _Rows()
    course = course_of(steps=7, sampler=sampler)
    course.run(Projection(2, 3, 2, 0.0), batches, truth, np.ones(100), np.random.default_rng(0))
    assert len(batches.seen) == 7
    assert max(map(len, batches.seen)) <= 30
    one_pass = np.concatenate(batches.seen[:4])
    assert (truth[one_pass] == 1).sum() == {"instance": 5, "balanced": 50}[sampler]


def test_a_loss_beyond_all_numbers_names_the_rate() -> None:
    course = course_of(steps=20, lr=1e30)
    with pytest.raises(CallError, match=r"^The contrastive loss is not finite with lr=1e\+30\. Choose a lower lr\.$"):
        course.run(Projection(2, 3, 2, 0.0), _Rows(), np.array([[0], [1]] * 9), np.ones(18), np.random.default_rng(0))


def course_of(steps: int, lr: float = 1e-3, sampler: Any = "instance") -> Pretraining:
    return Pretraining(
        steps=steps, batch_size=30, lr=lr, weight_decay=0.0, temperature=0.1, parent_weight=ABOVE, sampler=sampler
    )


class _Rows:
    """Vectors of rows, and which rows were asked for."""

    def __init__(self) -> None:
        self.seen: list[NDArray[np.int64]] = []

    def __call__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        self.seen.append(rows)
        return torch.from_numpy(np.column_stack([np.sin(rows), np.cos(rows)]).astype(np.float32))

"""The conditional softmax: probabilities of labels from one softmax per node."""

import numpy as np
import pytest
import torch
from torch import nn

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from heads.training.conditional_softmax import Branches, ConditionalSoftmax, group_logsumexp

GRAPH = {"a": [], "b": [], "a1": ["a"], "a2": ["a"], "b1": ["b"], "x": ["a", "b"], "x1": ["x"], "x2": ["x"]}


def conditional_softmax(
    parents: dict[str, list[str]], labels: tuple[str, ...], counts: list[float] | None = None, tau: float = 0.0
) -> tuple[ConditionalSoftmax, Branches]:
    hierarchy = Hierarchy.of(Taxonomy.from_parents(parents), labels)
    branches = Branches.of(hierarchy, np.array(counts or [1.0] * len(labels)))
    return ConditionalSoftmax(nn.Identity(), branches, tau), branches


def test_the_probability_of_a_label_is_the_product_along_its_path() -> None:
    # "rec" is a label and a node above two labels: it has the third child "end here"
    network, branches = conditional_softmax(
        {"rec": [], "sci": [], "rec/autos": ["rec"], "rec/sport": ["rec"]}, ("rec", "rec/autos", "rec/sport", "sci")
    )
    assert branches.origin.tolist() == [0, 0, 1, 1, 1]
    odds = torch.tensor([[3.0, 1.0, 1.0, 2.0, 5.0]])  # rec, sci; then autos, sport and the end of rec
    probabilities = network.eval().log_probabilities(odds.log()).exp()
    torch.testing.assert_close(probabilities, torch.tensor([[0.75 * 5 / 8, 0.75 / 8, 0.75 * 2 / 8, 0.25]]))


def test_the_loss_of_a_label_is_the_sum_of_the_losses_on_its_path() -> None:
    network, _ = conditional_softmax({"a": [], "b": [], "a1": ["a"], "a2": ["a"]}, ("a1", "a2", "b"))
    logits = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    log_probability = network.eval().log_probabilities(logits)[0, 1]
    first, second = logits[0, :2].log_softmax(0), logits[0, 2:].log_softmax(0)  # b and a, labels first; then a1 and a2
    torch.testing.assert_close(log_probability, first[1] + second[1])


@pytest.mark.parametrize("labels", [("a1", "a2", "b1", "x1", "x2"), ("a", "a1", "b", "x", "x1", "x2")])
def test_the_probabilities_of_all_labels_sum_to_1_in_a_graph(labels: tuple[str, ...]) -> None:
    network, branches = conditional_softmax(GRAPH, labels)
    logits = 20 * torch.randn(5, len(branches), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network.eval().log_probabilities(logits).exp().sum(1), torch.ones(5))


def test_a_node_with_two_parents_is_reached_through_both() -> None:
    network, _ = conditional_softmax({"a": [], "b": [], "x": ["a", "b"], "y": ["a"]}, ("x", "y"))
    odds = torch.tensor([[2.0, 3.0, 1.0, 1.0, 4.0]])  # a, b; x from a, x from b, y from a
    probabilities = network.eval().log_probabilities(odds.log()).exp()
    torch.testing.assert_close(probabilities, torch.tensor([[0.4 * 1 / 5 + 0.6, 0.4 * 4 / 5]]))


def test_without_levels_it_is_one_softmax() -> None:
    network, _ = conditional_softmax({"a": [], "b": [], "c": []}, ("a", "b", "c"))
    logits = torch.tensor([[1.0, 2.0, 4.0]])
    torch.testing.assert_close(network.eval().log_probabilities(logits), logits.log_softmax(1))


def test_logit_adjustment_adds_the_frequency_of_each_branch_in_training_only() -> None:
    # 8 of 10 documents are below a, of which 6 are a1
    parents, labels = {"a": [], "b": [], "a1": ["a"], "a2": ["a"]}, ("a1", "a2", "b")
    network, _ = conditional_softmax(parents, labels, [6.0, 2.0, 2.0], tau=1.0)
    logits = torch.zeros(1, 4)
    torch.testing.assert_close(network.train().log_probabilities(logits).exp(), torch.tensor([[0.6, 0.2, 0.2]]))
    torch.testing.assert_close(network.eval().log_probabilities(logits).exp(), torch.tensor([[0.25, 0.25, 0.5]]))


def test_far_apart_logits_neither_overflow_nor_stop_the_gradient() -> None:
    values = torch.tensor([[500.0, 499.0, -500.0, -501.0]], requires_grad=True)
    total = group_logsumexp(values, torch.tensor([0, 0, 1, 1]), 3)
    torch.testing.assert_close(total, torch.tensor([[500.3132617, -499.6867383, 0.0]]))
    total.sum().backward()  # type: ignore[no-untyped-call]  # torch's own gap
    assert values.grad is not None
    torch.testing.assert_close(values.grad, torch.tensor([[0.7310586, 0.2689414, 0.7310586, 0.2689414]]))

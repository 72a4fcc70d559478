"""Losses against figures worked out by hand."""

import math

import pytest
import torch

from heads.losses import document_losses


def test_cross_entropy_is_the_log_probability_of_the_truth_times_the_weight() -> None:
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])  # probabilities 3/4 and 1/4
    losses = document_losses(logits, torch.tensor([0, 1]), torch.tensor([1.0, 5.0]))
    assert losses.tolist() == pytest.approx([math.log(4 / 3), 5 * math.log(4)])


def test_a_heavy_document_takes_nothing_from_the_others_in_its_batch() -> None:
    logits, truth = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2])
    light = document_losses(logits, truth, torch.ones(3))
    heavy = document_losses(logits, truth, torch.tensor([1.0, 1.0, 100.0]))
    assert heavy[:2].tolist() == light[:2].tolist()


def test_label_smoothing_mixes_in_the_mean_loss_of_all_labels() -> None:
    logits = torch.tensor([[math.log(3), 0.0]])
    loss = document_losses(logits, torch.tensor([0]), torch.ones(1), label_smoothing=0.2)
    assert float(loss) == pytest.approx(0.8 * math.log(4 / 3) + 0.2 * (math.log(4 / 3) + math.log(4)) / 2)


def test_binary_cross_entropy_is_the_mean_over_labels_each_with_its_weight() -> None:
    logits = torch.tensor([[math.log(3), 0.0]])  # probabilities 3/4 and 1/2
    losses = document_losses(logits, torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 1.0]]))
    assert float(losses) == pytest.approx((2 * math.log(4 / 3) + math.log(2)) / 2)


def test_smoothing_of_several_labels_draws_truth_towards_a_half() -> None:
    logits = torch.tensor([[math.log(3)]])
    loss = document_losses(logits, torch.tensor([[1.0]]), torch.ones(1, 1), label_smoothing=0.5)
    assert float(loss) == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))

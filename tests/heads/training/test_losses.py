"""Losses against figures worked out by hand."""

import math

import numpy as np
import pytest
import torch

from data.errors import CallError
from heads.core.class_weights import loss_weights
from heads.training.losses import Losses, LossName

plain = Losses(torch.ones(4))
THREE_TO_ONE = torch.tensor([[math.log(3), 0.0]])  # probabilities 3/4 and 1/4


def test_cross_entropy_is_the_log_probability_of_the_truth_times_the_weight() -> None:
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])  # probabilities 3/4 and 1/4
    losses = plain(logits, torch.tensor([0, 1]), torch.tensor([1.0, 5.0]))
    assert losses.tolist() == pytest.approx([math.log(4 / 3), 5 * math.log(4)])


def test_a_heavy_document_takes_nothing_from_the_others_in_its_batch() -> None:
    logits, truth = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2])
    light = plain(logits, truth, torch.ones(3))
    heavy = plain(logits, truth, torch.tensor([1.0, 1.0, 100.0]))
    assert heavy[:2].tolist() == light[:2].tolist()


def test_label_smoothing_mixes_in_the_mean_loss_of_all_labels() -> None:
    logits = torch.tensor([[math.log(3), 0.0]])
    loss = Losses(torch.ones(2), smoothing=0.2)(logits, torch.tensor([0]), torch.ones(1))
    assert float(loss) == pytest.approx(0.8 * math.log(4 / 3) + 0.2 * (math.log(4 / 3) + math.log(4)) / 2)


def test_binary_cross_entropy_is_the_mean_over_labels_each_with_its_weight() -> None:
    logits = torch.tensor([[math.log(3), 0.0]])  # probabilities 3/4 and 1/2
    losses = plain(logits, torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 1.0]]))
    assert float(losses) == pytest.approx((2 * math.log(4 / 3) + math.log(2)) / 2)


def test_smoothing_of_several_labels_draws_truth_towards_a_half() -> None:
    logits = torch.tensor([[math.log(3)]])
    loss = Losses(torch.ones(1), smoothing=0.5)(logits, torch.tensor([[1.0]]), torch.ones(1, 1))
    assert float(loss) == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))


@pytest.mark.parametrize("truth", [torch.tensor([0, 3]), torch.tensor([[1.0, 0, 0, 1], [0, 0, 1, 0]])])
def test_focal_without_gamma_is_cross_entropy(truth: torch.Tensor) -> None:
    logits = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    weight = torch.ones(truth.shape)
    focal = Losses(torch.ones(4), "focal", gamma=0.0)(logits, truth, weight)
    torch.testing.assert_close(focal, plain(logits, truth, weight))


def test_emd_is_the_squared_distance_of_what_is_cumulated_from_the_lowest_label_on() -> None:
    logits = torch.tensor([[0.5, 0.2, 0.3]]).log().repeat(3, 1)
    losses = Losses(torch.ones(3), "emd", order=torch.tensor([2, 0, 1]))(logits, torch.tensor([2, 0, 1]), torch.ones(3))
    # in order 0.3, 0.5, 0.2, cumulated 0.3, 0.8, 1; the truth 1, 1, 1, then 0, 1, 1, then 0, 0, 1
    assert losses.tolist() == pytest.approx([0.7**2 + 0.2**2, 0.3**2 + 0.2**2, 0.3**2 + 0.8**2])


def test_emd_costs_more_the_farther_off() -> None:
    sure = 9.0 * torch.eye(4)
    losses = Losses(torch.ones(4), "emd", order=torch.arange(4))(sure, torch.zeros(4, dtype=torch.int64), torch.ones(4))
    assert losses.tolist() == sorted(losses.tolist())
    assert losses.tolist() == pytest.approx([0, 1, 2, 3], abs=0.01)


def test_emd_without_an_order_is_refused() -> None:
    with pytest.raises(CallError, match=r"The loss emd needs ordinal labels\. Name their order with --order"):
        Losses(torch.ones(2), "emd").check(multilabel=False)


def test_focal_makes_little_of_what_is_sure() -> None:
    losses = Losses(torch.ones(2), "focal")(THREE_TO_ONE, torch.tensor([0]), torch.ones(1))
    assert float(losses) == pytest.approx((1 / 4) ** 2 * math.log(4 / 3))


def test_the_margin_of_ldam_is_a_half_for_the_rarest_and_falls_with_the_fourth_root() -> None:
    losses = Losses(torch.tensor([16.0, 1.0]), "ldam")
    rare = losses(THREE_TO_ONE, torch.tensor([1]), torch.ones(1))
    common = losses(THREE_TO_ONE, torch.tensor([0]), torch.ones(1))
    assert float(rare) == pytest.approx(math.log(1 + 3 * math.exp(0.5)))
    assert float(common) == pytest.approx(math.log(1 + math.exp(0.25) / 3))


def test_adjusted_logits_meet_the_labels_shares() -> None:
    losses = Losses(torch.tensor([3.0, 1.0]), "logit_adjusted")(torch.zeros(1, 2), torch.tensor([1]), torch.ones(1))
    assert float(losses) == pytest.approx(math.log(4))


def test_the_asymmetric_loss_is_blind_to_absent_labels_that_are_sure() -> None:
    logits = torch.tensor([[math.log(3), -4.0, 0.0]])  # probabilities 3/4, 0.018, 1/2
    losses = Losses(torch.ones(3), "asymmetric", gamma=4.0)(logits, torch.tensor([[1.0, 0, 0]]), torch.ones(1, 3))
    assert float(losses) == pytest.approx((math.log(4 / 3) - 0.45**4 * math.log(0.55)) / 3)


def test_soft_f1_is_what_f1_is_of_certain_scores() -> None:
    logits = 50 * torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]])
    # label 0: two expected of which both are right, one missed: F1 = 4/5; label 1: one right of two: 2/3
    truth = torch.tensor([0, 0, 0, 1])
    losses = Losses(torch.ones(3), "soft_f1")(logits, truth, torch.ones(4))
    assert losses.tolist() == pytest.approx([1 - (4 / 5 + 2 / 3) / 2] * 4)
    multilabel = torch.nn.functional.one_hot(truth, 3).float()
    losses = Losses(torch.ones(3), "soft_f1")(logits - 25, multilabel, torch.ones(4, 3))
    assert losses.tolist() == pytest.approx([1 - (4 / 5 + 2 / 3) / 2] * 4)


def test_sigmoid_f1_is_soft_f1_of_the_labels_taken_one_by_one() -> None:
    logits, truth = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1])
    multilabel = torch.nn.functional.one_hot(truth, 3).float()
    one = Losses(torch.ones(3), "sigmoid_f1")(logits, truth, torch.ones(5))
    torch.testing.assert_close(one, Losses(torch.ones(3), "soft_f1")(logits, multilabel, torch.ones(5, 3)))
    assert not torch.allclose(one, Losses(torch.ones(3), "soft_f1")(logits, truth, torch.ones(5)))


def test_balanced_weights_of_several_labels_are_the_positive_weights_of_torch_but_for_a_scale_a_label() -> None:
    y = np.array([[True, False], [False, True], [False, True], [False, False]])
    logits, truth = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)), torch.from_numpy(y).float()
    weight = torch.from_numpy(loss_weights(y, "balanced", [0, 1], np.ones(4))).float()
    positive = torch.tensor([3.0, 1.0])  # absent by present documents
    peer = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, truth, pos_weight=positive, weight=weight[-1], reduction="none"
    )
    torch.testing.assert_close(plain(logits, truth, weight), peer.mean(dim=1))


@pytest.mark.parametrize(
    ("name", "multilabel", "smoothing", "sentence"),
    [
        ("ldam", True, 0.0, "ldam needs one label per document"),
        ("logit_adjusted", True, 0.0, "logit_adjusted needs one label per document"),
        ("emd", True, 0.0, "emd needs one label per document"),
        ("asymmetric", False, 0.0, "asymmetric needs multi-label documents"),
        ("focal", False, 0.1, "focal has no label_smoothing"),
    ],
)
def test_a_loss_that_makes_no_sense_is_refused(
    name: LossName, multilabel: bool, smoothing: float, sentence: str
) -> None:
    with pytest.raises(CallError, match=sentence):
        Losses(torch.ones(2), name, smoothing=smoothing).check(multilabel=multilabel)


@pytest.mark.parametrize("multilabel", [False, True])
def test_focal_has_a_gradient_where_nothing_is_in_doubt(multilabel: bool) -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    truth = torch.tensor([[1.0, 0.0]]) if multilabel else torch.tensor([0])
    loss = Losses(torch.ones(2), "focal", gamma=0.5)(logits, truth, torch.ones(1)).sum()
    assert torch.isfinite(torch.autograd.grad(loss, logits)[0]).all()


@pytest.mark.parametrize("name", ["ldam", "logit_adjusted"])
def test_labels_that_weigh_less_than_one_document_keep_their_ratio(name: LossName) -> None:
    light, heavy = (
        Losses(scale * torch.tensor([8.0, 1.0]), name)(THREE_TO_ONE, torch.tensor([0]), torch.ones(1))
        for scale in (0.05, 5.0)
    )
    assert float(light) == pytest.approx(float(heavy))

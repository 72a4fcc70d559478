"""The one loop: what it learns from, when it stops, what it keeps."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from data.errors import CallError
from heads.evaluation.metrics import macro_f1
from heads.testing import training_of
from heads.training.config import Training
from heads.training.document_batches import Batch, Sequences
from heads.training.loop import Trainer, find_device, network_scores
from heads.training.losses import Losses
from heads.training.optimizers import learning_rate_factor
from heads.training.position_storage import InMemory
from heads.training.state import Epoch, History
from heads.training.training_data import DetailedTargets, TrainingData


class FirstStep(nn.Module):
    """A linear classifier of each document's first step."""

    def __init__(self, dim: int, labels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(dim, labels)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = self.layer(batch.padded_vectors[:, 0])
        return logits


def lesson(documents: int = 300, labels: int = 3, noise: float = 1.0) -> TrainingData:
    """One step a document, its label's axis plus noise."""
    rng = np.random.default_rng(0)
    y = np.arange(documents) % labels
    steps = (np.eye(labels)[y] + noise * rng.normal(size=(documents, labels))).astype(np.float32)
    sequences = Sequences.of(steps, np.arange(documents + 1))
    return TrainingData(sequences, torch.from_numpy(y), torch.ones(documents), torch.ones(documents), labels)


def trained(given: TrainingData, training: Training, seed: int = 0) -> tuple[FirstStep, History]:
    network = FirstStep(given.sequences.dim, given.labels)
    trainer = Trainer.of(training)
    rows = given.split(trainer.stopping.validation_fraction, seed)
    return network, trainer.run(network, given, rows, np.random.default_rng(seed))


QUICK: dict[str, Any] = {"device": "cpu", "min_steps": 5, "lr": 0.02}


def test_it_learns() -> None:
    given = lesson(noise=0.3)
    network, _ = trained(given, training_of(**QUICK))
    scores = network_scores(network, given.sequences, torch.arange(300))
    assert macro_f1(given.targets.numpy(), scores.argmax(dim=1).numpy(), 3) > 0.95


def test_the_figures_of_the_kept_epoch_are_those_of_the_kept_weights_on_the_validation_part_alone() -> None:
    given, training = lesson(), training_of(**QUICK, epochs=5, validation_fraction=0.1, label_smoothing=0.0)
    network, history = trained(given, training)
    held = given.split(0.1, 0)[1]
    scores, kept = network_scores(network, given.sequences, held), history.epochs[history.best - 1]
    loss = float(Losses(torch.ones(given.labels))(scores, given.targets[held], given.weight[held]).mean())
    assert kept.validation_loss == pytest.approx(loss)
    assert kept.macro_f1 == macro_f1(given.targets[held].numpy(), scores.argmax(dim=1).numpy(), 3)


def test_the_validation_part_teaches_nothing() -> None:
    given, training = lesson(), training_of(**QUICK, epochs=4, patience=4, validation_fraction=0.1)
    held = given.split(0.1, 0)[1]
    other = given.targets.clone()
    other[held] = other[held].flip(0)
    again = replace(given, targets=other)
    parts = given.split(0.1, 0)
    losses = [
        [epoch.loss for epoch in Trainer.of(training).run(FirstStep(3, 3), one, parts, np.random.default_rng(0)).epochs]
        for one in (given, again)
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("monitor", ["macro_f1", "accuracy", "loss"])
def test_the_best_epoch_is_kept_and_patience_ends_the_wait_for_a_better_one(monitor: Any) -> None:
    _, history = trained(
        lesson(), training_of(**{**QUICK, "lr": 1.0}, epochs=40, patience=3, monitor=monitor, validation_fraction=0.1)
    )
    metrics = [
        (0.0 if monitor == "loss" else getattr(epoch, monitor), -(epoch.validation_loss or 0.0))
        for epoch in history.epochs
    ]
    assert history.best == metrics.index(max(metrics)) + 1
    assert len(history.epochs) == min(history.best + 3, 40)
    assert len(history.epochs) < 40


def test_without_a_validation_part_all_epochs_run_on_all_documents_and_the_last_is_kept() -> None:
    training = training_of(**QUICK, epochs=3, validation_fraction=0.0)
    fitting, held = lesson().split(0.0, 0)
    assert (len(fitting), len(held)) == (300, 0)
    _, history = trained(lesson(), training)
    assert history.best == len(history.epochs) == 3
    assert history.epochs[-1].macro_f1 is None


def test_the_validation_part_has_its_share_of_each_label() -> None:
    given = lesson(documents=300)
    fitting, held = given.split(0.2, 0)
    assert sorted([*fitting.tolist(), *held.tolist()]) == list(range(300))
    assert torch.bincount(given.targets[held]).tolist() == pytest.approx([20, 20, 20], abs=2)


def test_labels_with_too_few_documents_stay_in_the_training_part() -> None:
    truth = torch.tensor([0] * 100 + [1] * 9 + [2] * 10)
    given = replace(lesson(documents=119), targets=truth)
    held = given.split(0.1, 0)[1]
    counts = torch.bincount(truth[held], minlength=3).tolist()
    assert counts[1] == 0
    assert counts[0] > 0
    assert counts[2] > 0


def test_groups_stay_together_even_where_one_member_has_a_rare_label() -> None:
    groups = [number // 4 for number in range(120)]
    truth = torch.tensor([0, 1, 0, 1] * 27 + [0, 1, 0, 2] * 3)
    fitting, held = replace(lesson(120), targets=truth, groups=groups).split(0.3, 0)
    assert not {groups[row] for row in fitting.tolist()} & {groups[row] for row in held.tolist()}
    assert set(range(108, 120)) <= set(fitting.tolist())
    assert len(held) > 20


def test_documents_that_may_not_validate_are_fitted_on_unless_their_group_validates() -> None:
    groups = np.arange(300) // 2
    fit_only = np.zeros(300, dtype=bool)
    fit_only[:100], fit_only[101::2] = True, True  # fifty whole groups, and one document of every other group
    fitting, held = (
        rows.numpy() for rows in replace(lesson(), groups=groups.tolist(), fit_only=fit_only).split(0.2, 0)
    )
    assert len(held) == pytest.approx(20, abs=2) and not fit_only[held].any()
    assert sorted([*fitting, *held, *(held + 1)]) == list(range(300))
    fitting, held = (rows.numpy() for rows in replace(lesson(), fit_only=np.ones(300, dtype=bool)).split(0.2, 0))
    assert (len(fitting), len(held)) == (300, 0)


def test_too_few_documents_for_a_validation_part_all_teach() -> None:
    fitting, held = lesson(documents=6).split(0.1, 0)
    assert (len(fitting), len(held)) == (6, 0)


def test_several_labels_are_learned_each_by_itself() -> None:
    rng = np.random.default_rng(0)
    y = rng.random((300, 2)) < 0.4
    sequences = Sequences.of((y + 0.2 * rng.normal(size=y.shape)).astype(np.float32), np.arange(301))
    given = TrainingData(sequences, torch.from_numpy(y.astype(np.float32)), torch.ones(300, 2), torch.ones(300, 2), 2)
    network, history = trained(given, training_of(**{**QUICK, "lr": 0.2}, validation_fraction=0.1))
    assert macro_f1(y, (network_scores(network, sequences, torch.arange(300)) > 0).numpy(), 2) > 0.95
    assert (history.epochs[-1].macro_f1 or 0) > 0.95


def test_what_is_watched_is_reported_and_chooses_nothing() -> None:
    given, trainer, told = lesson(), Trainer.of(training_of(**QUICK, epochs=3)), list[Epoch]()
    everything = given.split(0.0, 0)
    rng = np.random.default_rng
    alone = FirstStep(3, 3)
    plain = trainer.run(alone, given, everything, rng(0))
    network = FirstStep(3, 3)
    tracked = lesson(documents=60, noise=0.3)
    history = trainer.run(network, given, everything, rng(0), on_epoch=told.append, tracked=tracked)
    assert history == plain and torch.equal(alone.layer.weight, network.layer.weight)
    assert all(epoch.macro_f1 is None for epoch in history.epochs)
    assert [epoch.loss for epoch in told] == [epoch.loss for epoch in history.epochs]
    scores = network_scores(network, lesson(documents=60, noise=0.3).sequences, torch.arange(60))
    assert told[-1].macro_f1 == macro_f1(lesson(60).targets.numpy(), scores.argmax(dim=1).numpy(), 3)


def test_labels_are_smoothed_where_cross_entropy_has_one_a_document() -> None:
    given = lesson()
    weights = {
        smoothing: trained(given, training_of(**QUICK, epochs=2, label_smoothing=smoothing))[0].layer.weight
        for smoothing in (None, 0.1, 0.0)
    }
    assert torch.equal(weights[None], weights[0.1]) and not torch.equal(weights[None], weights[0.0])
    trained(given, training_of(**QUICK, epochs=2, loss="focal"))


def test_weights_decide_between_documents_that_contradict_each_other() -> None:
    given = replace(lesson(), targets=torch.arange(300) % 2, weight=torch.tensor([3.0, 1.0]).repeat(150))
    network, _ = trained(replace(given, labels=2), training_of(**QUICK, validation_fraction=0.0))
    assert (network_scores(network, given.sequences, torch.arange(300)).argmax(dim=1) == 0).float().mean() > 0.9


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    # all documents teach, so that the seed has only their order to change
    weights = [
        trained(lesson(), training_of(**QUICK, validation_fraction=0.0), seed)[0].layer.weight for seed in (0, 0, 1)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_gradient_clipped_to_almost_nothing_moves_almost_nothing() -> None:
    # AdamW divides by the gradient's own size plus 1e-8, beside which a norm of 1e-12 is nothing
    moved = [
        float(
            trained(lesson(), training_of(**QUICK, max_grad_norm=clip, epochs=1))[0].layer.weight.detach().abs().max()
        )
        for clip in (1e-12, 1.0)
    ]
    assert moved[0] < 1e-4
    assert moved[1] > 1e-2


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    shares = [learning_rate_factor(step, 100, 0.1) for step in range(101)]
    assert shares[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert (shares[10], shares[55], shares[100]) == pytest.approx((1.0, 0.5, 0.0))
    assert shares[10:] == sorted(shares[10:], reverse=True)


def test_a_small_set_is_read_several_times_an_epoch() -> None:
    seen: list[int] = []

    class Counting(FirstStep):
        def forward(self, batch: Batch) -> torch.Tensor:
            seen.append(len(batch.lengths))
            return super().forward(batch)

    given, training = (
        lesson(documents=30),
        training_of(epochs=1, batch_size=10, min_steps=7, validation_fraction=0.0, device="cpu"),
    )
    Trainer.of(training).run(Counting(3, 3), given, given.split(0.0, 0), np.random.default_rng(0))
    assert seen == [10] * 9  # three batches a reading, so three readings for seven steps


def test_every_epoch_is_told() -> None:
    told: list[Epoch] = []
    given, training = lesson(), training_of(**QUICK, epochs=3)
    rows = given.split(0.0, 0)
    history = Trainer.of(training).run(FirstStep(3, 3), given, rows, np.random.default_rng(0), on_epoch=told.append)
    assert tuple(told) == history.epochs
    assert [(epoch.number, epoch.epochs) for epoch in told] == [(1, 3), (2, 3), (3, 3)]


def test_a_loss_beyond_all_numbers_is_a_sentence() -> None:
    given = lesson()
    assert isinstance(given.sequences.storage, InMemory)
    given.sequences.storage.vectors[7] = torch.inf
    with pytest.raises(CallError, match=r"^The loss of epoch 1 is not finite with lr=0\.02\. Choose a lower lr\.$"):
        trained(given, training_of(**QUICK, validation_fraction=0.0))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(
        CallError, match=r"^device is 'cuda', which this machine does not have\. Leave it out, or choose 'cpu'\.$"
    ):
        find_device("cuda")


@pytest.mark.parametrize("settings", [{"optimizer": "adam"}, {"optimizer": "sgd", "lr": 0.5}, {"ema_decay": 0.9}])
def test_other_ways_of_moving_the_weights_learn_too(settings: dict[str, Any]) -> None:
    given = lesson(noise=0.3)
    network, _ = trained(given, training_of(**QUICK | settings))
    scores = network_scores(network, given.sequences, torch.arange(300))
    assert macro_f1(given.targets.numpy(), scores.argmax(dim=1).numpy(), 3) > 0.95


def test_the_average_of_weights_lags_behind_them_and_is_what_is_kept() -> None:
    kept = [
        float(
            trained(lesson(), training_of(**QUICK, epochs=1, validation_fraction=0.0, ema_decay=average))[0]
            .layer.weight.detach()
            .norm()
        )
        for average in (0.0, 0.9, 0.9999)
    ]
    assert kept[0] > kept[1] > kept[2] > 0


def test_no_epoch_is_kept_and_none_ends_the_training_before_weights_count() -> None:
    settings: dict[str, Any] = {**QUICK, "lr": 1.0, "epochs": 20, "patience": 3, "validation_fraction": 0.1}
    _, usual = trained(lesson(), training_of(**settings))
    assert len(usual.epochs) < 15
    _, deferred = trained(lesson(), training_of(**settings, defer_class_weights=0.75))
    assert deferred.best > 15 and len(deferred.epochs) == min(deferred.best + 3, 20)


@pytest.mark.parametrize("loss", ["ldam", "logit_adjusted"])
def test_a_weight_of_nine_is_having_the_document_nine_times_for_what_counts_labels(loss: Any) -> None:
    given = replace(lesson(labels=2), sample_weight=torch.tensor([9.0, 1.0]).repeat(150))
    counts = Trainer.of(training_of(loss=loss))._losses(given, torch.arange(300)).counts
    assert counts.tolist() == [9 * 150, 150]


def test_a_label_of_one_group_is_fitted_on_although_half_of_the_documents_validate() -> None:
    given = lesson(documents=60)
    by_label = replace(given, groups=given.targets.tolist())
    fitting, held = by_label.split(0.5, 0)
    assert set(given.targets[fitting].tolist()) == {0, 1, 2}
    assert not set(given.targets[fitting].tolist()) & set(given.targets[held].tolist())


def test_documents_that_are_sampled_by_weight_are_not_weighted_again_by_their_detailed_labels() -> None:
    given = lesson(documents=120)
    weight = torch.tensor([3.0, 1.0, 0.1]).repeat(40)
    given = replace(given, weight=weight, sample_weight=weight)
    given = replace(given, detailed=DetailedTargets(given.targets, 1.0))
    rows = given.split(0.0, 0)
    network = FirstStep(given.sequences.dim, 2 * given.labels)
    sampled = Trainer.of(training_of(sampler="weighted", epochs=1, min_steps=1, batch_size=120, label_smoothing=0.0))
    history = sampled.run(network, given, rows, np.random.default_rng(0))
    assert history.epochs[0].loss == pytest.approx(2 * math.log(3), rel=1e-5)  # all logits are 0

"""What holds for every head that is a network, in each of its forms, in addition to the contract for heads."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from data.errors import CallError
from featurestore import Bags, Ragged
from heads.classifiers.attention import AttentionHead
from heads.classifiers.gated import GatedHead
from heads.classifiers.gru import GRUHead
from heads.classifiers.layermix import LayerMixHead
from heads.classifiers.lstm import LSTMHead
from heads.classifiers.mil import MILHead
from heads.classifiers.mlp import MLPHead
from heads.classifiers.transformer import TransformerHead
from heads.planted_signals import make_bags, mean_signal
from heads.testing import training_of
from heads.training.initialization import InitName
from heads.training.network_head import NetworkHead
from heads.training.state import Epoch

QUICK = training_of(epochs=3, min_steps=10, device="cpu")
SHORTEST = training_of(epochs=1, min_steps=2, device="cpu")  # for what does not depend on what was learned
FORMS = {
    "mlp": MLPHead(),
    "mlp sum": MLPHead(pooling="sum", hidden=0),
    "attention": AttentionHead(hidden=8, gate=4),
    "attention queries": AttentionHead(queries=3, hidden=0, gate=4),
    "gated": GatedHead(hidden=8),
    "gru": GRUHead(hidden=8),
    "gru last": GRUHead(hidden=8, readout="last", layers=2),
    "layermix": LayerMixHead(hidden=8),
    "lstm": LSTMHead(hidden=8),
    "lstm last": LSTMHead(hidden=8, readout="last", layers=2),
    "lstm mean": LSTMHead(hidden=8, readout="mean", bidirectional=False),
    "mil": MILHead(hidden=8),
    "mil max": MILHead(pooling="max", over="segments"),
    "mil logsumexp": MILHead(pooling="logsumexp", hidden=0),
    "transformer": TransformerHead(width=8),
    "transformer cls": TransformerHead(width=8, pooling="cls", position_embedding="learned", layers=2),
}
every_form = pytest.mark.parametrize("form", FORMS)
sequence_form = pytest.mark.parametrize("form", [form for form in FORMS if not form.startswith(("mlp", "gated"))])


def head_of(form: str, **settings: Any) -> NetworkHead:
    head: NetworkHead = clone(FORMS[form]).set_params(**{"training": clone(QUICK), **settings})
    return head


@every_form
def test_a_document_scores_the_same_alone_and_beside_longer_ones(form: str) -> None:
    planted = mean_signal(documents=18, chunks=(1, 30))
    head = head_of(form, training=SHORTEST).fit(planted.bags, planted.y)
    together = head.decision_function(planted.bags)
    rows = np.arange(0, len(planted), 4)
    alone = np.concatenate([head.decision_function(planted.bags[[row]]) for row in rows])
    np.testing.assert_allclose(alone, together[rows], atol=1e-5)


@every_form
def test_a_document_without_steps_is_scored_like_any_other(form: str) -> None:
    planted = mean_signal(documents=18)
    head = head_of(form, training=SHORTEST).fit(planted.bags, planted.y)
    empty = head.decision_function(make_bags([np.zeros((0, 6)), np.ones((2, 6))]))
    assert empty.shape == (2, 3)
    assert np.isfinite(empty).all()


@every_form
def test_the_same_seed_gives_the_same_scores_whatever_was_drawn_before(form: str) -> None:
    planted = mean_signal(documents=18)
    scores = []
    for other in (1, 2):
        torch.manual_seed(other)
        head = head_of(form, seed=5, training=SHORTEST).fit(planted.bags, planted.y)
        scores.append(head.decision_function(planted.bags))
    np.testing.assert_array_equal(scores[0], scores[1])
    another = head_of(form, seed=6, training=SHORTEST).fit(planted.bags, planted.y).decision_function(planted.bags)
    assert not np.array_equal(scores[0], another)


@every_form
def test_fitting_leaves_torchs_own_random_numbers_alone(form: str) -> None:
    planted = mean_signal(documents=18)
    before = torch.random.get_rng_state()
    head_of(form, training=SHORTEST).fit(planted.bags, planted.y)
    assert torch.equal(torch.random.get_rng_state(), before)


@every_form
def test_it_starts_from_a_truncated_normal_when_asked(form: str) -> None:
    planted = mean_signal()
    head = head_of(form, training=training_of(init="truncated_normal", lr=1e-12, epochs=1, min_steps=1, device="cpu"))
    head.fit(planted.bags, planted.y)
    for name, weight in head.network_.named_parameters():
        if weight.dim() > 1 and "weight_hh" not in name:
            assert 0 < float(weight.detach().abs().max()) <= 0.0455, name


@every_form
@pytest.mark.parametrize("how", ["xavier", "kaiming"])
def test_every_matrix_but_recurrent_ones_and_positions_starts_anew(form: str, how: InitName) -> None:
    planted = mean_signal()
    choices: tuple[InitName, ...] = ("default", how)
    start = {
        init: head_of(form, training=training_of(init=init, lr=1e-12, epochs=1, min_steps=1, device="cpu"))
        .fit(planted.bags, planted.y)
        .network_.state_dict()
        for init in choices
    }
    for name, weight in start[how].items():
        if weight.dim() > 1:
            kept = "weight_hh" in name or "position" in name
            assert torch.allclose(weight, start["default"][name], atol=1e-6) == kept, name


@sequence_form
def test_steps_beyond_the_most_are_not_read_and_counted_aloud(form: str) -> None:
    planted = mean_signal(documents=18, chunks=(3, 6))
    head = head_of(form, max_positions=3, training=SHORTEST).fit(planted.bags, planted.y)
    longer = int((planted.bags.view("segments").length > 3).sum())
    note = (
        f"{longer} of 18 documents have more than 3 positions and were truncated. "
        "Raise max_positions to read all of them."
    )
    assert head.notes_.count(note) == 1
    start = make_bags([planted.bags.view("segments").row(row)[:3] for row in range(len(planted))])
    np.testing.assert_allclose(head.decision_function(start), head.decision_function(planted.bags), atol=1e-6)


@sequence_form
@pytest.mark.parametrize(
    ("over", "views"), [("segments", ("segments",)), ("chunks", ("cls", "mean")), ("tokens", ("tokens",))]
)
def test_it_reads_the_steps_it_is_told_to(form: str, over: str, views: tuple[str, ...]) -> None:
    planted = mean_signal(documents=18)
    assert head_of(form, over=over).reads == views
    only = Bags({view: planted.bags.view(view) for view in views})
    head = head_of(form, over=over, training=SHORTEST).fit(only, planted.y)
    assert head.decision_function(only).shape == (18, 3)


def test_inputs_are_standardised_by_the_documents_that_teach() -> None:
    planted = mean_signal()
    training = training_of(epochs=1, min_steps=1, validation_fraction=0.0, device="cpu")
    network = LSTMHead(hidden=4, training=training).fit(planted.bags, planted.y).network_
    steps = np.concatenate([planted.bags.view("segments").row(row) for row in range(len(planted))])
    np.testing.assert_allclose(network.mean, steps.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(network.deviation, steps.std(axis=0), atol=1e-5)


def test_half_precision_features_give_nearly_the_scores_of_full_ones() -> None:
    planted = mean_signal()
    steps, offsets = planted.bags.view("segments").gather(np.float32)
    half = Bags({"segments": Ragged.from_flat(steps.astype(np.float16), offsets)})
    full = Bags({"segments": Ragged.from_flat(steps.astype(np.float16).astype(np.float32), offsets)})
    scores = [LSTMHead(hidden=4, training=QUICK).fit(bags, planted.y).decision_function(bags) for bags in (half, full)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)


def test_too_few_documents_for_an_early_stop_are_told() -> None:
    planted = mean_signal(documents=12)
    head = head_of("mlp", training__stopping__validation_fraction=0.1).fit(planted.bags, planted.y)
    assert head.notes_ == ("Too few documents per label for a validation split: all epochs were run.",)
    head.fit(planted.bags, planted.y, fit_only=np.ones(len(planted.y), dtype=bool))
    assert head.notes_[0].startswith("Too few documents per label that may validate, which copies and documents that")
    assert len(head.history_.epochs) == 3


@pytest.mark.parametrize(("name", "value"), [("patience", 2), ("monitor", "accuracy")])
def test_what_waits_for_a_validation_part_that_is_not_there_is_told(name: str, value: Any) -> None:
    planted, asked = mean_signal(), {f"training__stopping__{name}": value}
    said = f"{name} has no effect without a validation split. Set validation_fraction, for example to 0.1."
    assert head_of("mlp", **asked).fit(planted.bags, planted.y).notes_ == (said,)
    assert (
        head_of("mlp", **asked, training__stopping__validation_fraction=0.1).fit(planted.bags, planted.y).notes_ == ()
    )


def test_what_is_watched_is_told_without_labels_that_were_not_learned() -> None:
    planted, told = mean_signal(), list[Epoch]()
    head = head_of("mlp")
    head.tracked, head.on_epoch = (planted.bags, np.where(planted.y == planted.y[0], "unheard", planted.y)), told.append
    head.fit(planted.bags, planted.y)
    assert [epoch.macro_f1 is not None for epoch in told] == [True] * 3
    rows = planted.y != planted.y[0]
    assert told[-1].accuracy == pytest.approx(head.score(planted.bags[rows], planted.y[rows]))
    assert clone(head).tracked is None


def test_validation_documents_of_unknown_labels_alone_are_left_out_with_a_note() -> None:
    planted, epochs = mean_signal(), list[Epoch]()
    head = head_of("mlp")
    head.on_epoch = epochs.append
    unknown = (planted.bags, np.full(len(planted.y), "unknown"))
    head.validation = head.tracked = unknown
    head.fit(planted.bags, planted.y)
    assert head.notes_ == ("No validation document has a label of the training documents: all epochs were run.",)
    assert [epoch.macro_f1 for epoch in epochs] == [None] * 3


def test_progress_is_told_and_is_no_parameter() -> None:
    planted, told = mean_signal(), list[Epoch]()
    head = head_of("mlp")
    head.on_epoch = told.append
    head.fit(planted.bags, planted.y)
    assert tuple(told) == head.history_.epochs
    assert "on_epoch" not in head.get_params()
    assert clone(head).on_epoch is None


def test_a_fitted_head_can_be_copied() -> None:
    planted = mean_signal()
    head = head_of("transformer").fit(planted.bags, planted.y)
    scores = copy.deepcopy(head).decision_function(planted.bags)
    np.testing.assert_array_equal(scores, head.decision_function(planted.bags))


def test_an_order_that_names_a_label_twice_is_refused() -> None:
    planted = mean_signal()
    order = ("label-0", "label-1", "label-1", "label-2")
    with pytest.raises(CallError, match=r"^order names the label 'label-1' twice\."):
        MLPHead(training=training_of(loss="emd", order=order)).fit(planted.bags, planted.y)

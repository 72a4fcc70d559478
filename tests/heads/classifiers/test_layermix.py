"""The layermix head: which layers it comes to read, and what it makes of them."""

from pathlib import Path
from typing import ClassVar, get_args, get_type_hints

import numpy as np
import pytest
import torch

from data.errors import CallError
from featurestore import Bags, Ragged
from heads.classifiers.layermix import BODIES, WEIGHT_SCALE, LayerMix, LayerMixHead
from heads.classifiers.linear import LinearHead
from heads.planted_signals import Planted, mean_signal
from heads.testing import MINI_BATCHES, HeadContract, training_of
from heads.training.document_batches import Batch

TRAINING = training_of(lr=0.02, epochs=8, min_steps=20, device="cpu")
every_body = pytest.mark.parametrize("body", BODIES)

SHORT = training_of(epochs=1, min_steps=1)


def in_one_layer(planted: Planted, layer: int = 1, layers: int = 3, seed: int = 0) -> Planted:
    """The signal of `planted` in one layer of several, the others noise, ten times as loud."""
    rng, views = np.random.default_rng(seed), {}
    for view in ("cls", "mean", "max", "segments"):
        values, offsets = planted.bags.view(view).gather(np.float32)
        multilabel = 10 * rng.normal(size=(len(values), layers, values.shape[1])).astype(np.float32)
        multilabel[:, layer] = values
        views[view] = Ragged.from_flat(multilabel, offsets)
    views["token_ids"] = planted.bags.view("token_ids")
    return Planted(Bags(views), planted.y)


class TestLayerMixHeadKeepsTheContract(HeadContract):
    """`signal` has several layers; rare, shuffled and multi-label documents, and plain arrays, have one."""

    head = LayerMixHead(hidden=16, training=TRAINING)
    exceptions: ClassVar = MINI_BATCHES

    @classmethod
    def signal(cls) -> Planted:
        return in_one_layer(mean_signal(documents=180))


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("over", ["chunks", "segments"])
def test_the_layer_that_holds_the_signal_comes_to_weigh_most(layer: int, over: str) -> None:
    train, test = in_one_layer(mean_signal(documents=600), layer).halves()
    head = LayerMixHead(over=over, training=TRAINING).fit(train.bags, train.y)  # type: ignore[arg-type]  # a choice
    assert head.layer_weights_.sum() == pytest.approx(1)
    assert head.layer_weights_.argmax() == layer
    assert head.layer_weights_[layer] > 0.6
    assert head.score(test.bags, test.y) > 0.9
    shares = ", ".join(f"{share:.2f}" for share in head.layer_weights_)
    assert head.notes_ == (f"Layer weights, from the encoder's first layer to its last: {shares}.",)


@every_body
def test_any_body_reads_the_sum_and_is_saved_with_it(body: str, tmp_path: Path) -> None:
    train, test = in_one_layer(mean_signal(documents=300)).halves()
    head = LayerMixHead(body=body, hidden=16, training=TRAINING)  # type: ignore[arg-type]  # a choice
    scores = head.fit(train.bags, train.y).decision_function(test.bags)
    assert head.score(test.bags, test.y) > 0.8
    head.save(tmp_path)
    loaded = LayerMixHead.load(tmp_path)
    np.testing.assert_array_equal(loaded.decision_function(test.bags), scores)
    np.testing.assert_array_equal(loaded.layer_weights_, head.layer_weights_)


@every_body
def test_it_has_its_bodys_parameters_and_one_a_layer_and_the_scale(body: str) -> None:
    one = mean_signal()
    multilabel = in_one_layer(one, layers=3)
    training = training_of(epochs=1, min_steps=1, device="cpu")
    alone = BODIES[body](training=training)
    over = "chunks" if body in ("mlp", "mil") else "segments"
    mixed = LayerMixHead(body=body, over=over, training=training)  # type: ignore[arg-type]  # choices
    views = mixed.reads if body == "mlp" else alone.reads  # mlp reads max beside cls and mean
    counts = [
        head.fit(planted.bags.select_views(views), planted.y).parameter_count_
        for head, planted in ((mixed, multilabel), (alone, one))
    ]
    assert counts[0] == counts[1] + 3 + 1


def test_bodies_are_those_that_the_parameter_names() -> None:
    assert get_args(get_type_hints(LayerMixHead.__init__)["body"]) == tuple(BODIES)


def test_the_sum_is_the_formula_of_elmo_for_each_view() -> None:
    seen: list[torch.Tensor] = []

    class Body(torch.nn.Module):
        def forward(self, batch: Batch) -> torch.Tensor:
            seen.append(batch.padded_vectors)
            return batch.padded_vectors[:, 0]

    mix = LayerMix(layers=3, views=2, body=Body())
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([1.0, 2.0, 4.0]).log() / WEIGHT_SCALE)
        mix.scale.fill_(7.0)
    layers = torch.randn(5, 4, 2, 3, 6)
    mix(Batch.of_padded(layers.flatten(2), torch.full((5,), 4)))
    expected = layers[..., 0, :] + 2 * layers[..., 1, :] + 4 * layers[..., 2, :]
    torch.testing.assert_close(seen[0], expected.flatten(2))


def test_one_layer_is_told() -> None:
    planted = mean_signal()
    head = LayerMixHead(body="lstm", over="segments", training=SHORT).fit(planted.bags, planted.y)
    assert (
        head.notes_[-1] == "These features keep one layer, so layermix equals its body lstm. Embed with --layers all."
    )


def test_views_of_unlike_layers_are_refused() -> None:
    one = mean_signal()
    bags = Bags({"cls": one.bags.view("cls"), "mean": in_one_layer(one).bags.view("mean")})
    with pytest.raises(
        CallError, match=r"^layermix needs views of one shape, but cls, mean have 2 shapes\. Read one of them\.$"
    ):
        LayerMixHead().fit(bags, one.y)


def test_a_size_that_the_body_cannot_have_is_refused() -> None:
    planted = mean_signal()
    with pytest.raises(CallError, match=r"^hidden is 0; it must be at least 1\.$"):
        LayerMixHead(body="lstm", hidden=0).fit(planted.bags, planted.y)


def test_other_heads_read_several_layers_side_by_side() -> None:
    train, test = in_one_layer(mean_signal(documents=300)).halves()
    assert train.bags.pooled(("mean",)).shape == (150, 3 * 6)
    assert LinearHead(pooling=("mean",)).fit(train.bags, train.y).score(test.bags, test.y) > 0.8

"""Losses, samplers and class weights that `fit-head` refuses: one sentence that names the head and the option."""

import pytest

from data.errors import CallError, UnknownName
from stages.fitting.head_options import parse_heads


@pytest.mark.parametrize("head", ["linear", "lightgbm", "cascade"])
@pytest.mark.parametrize("option", ["loss=focal", "sampler=balanced"])
def test_a_head_that_has_no_training_loop_has_neither_loss_nor_sampler(head: str, option: str) -> None:
    name = option.partition("=")[0]
    with pytest.raises(CallError, match=rf"^{head} has no hyperparameter {name}\. Leave it out, and use"):
        parse_heads([head], [option])


def test_a_head_that_is_no_network_has_no_init() -> None:
    with pytest.raises(CallError, match=r"^linear has no hyperparameter init\. Leave it out\.$"):
        parse_heads(["linear"], ["init=kaiming"])


def test_an_init_reaches_the_training_of_a_network() -> None:
    (head,) = parse_heads(["lstm"], ["init=kaiming"])
    assert head.get_params()["training__optimization__init"] == "kaiming"


def test_a_sampler_and_an_init_reach_a_head_that_has_them_itself_and_a_loss_does_not() -> None:
    (head,) = parse_heads(["supcon"], ["sampler=balanced", "init=xavier"])
    assert (head.get_params()["sampler"], head.get_params()["init"]) == ("balanced", "xavier")
    with pytest.raises(CallError, match="supcon has no hyperparameter loss"):
        parse_heads(["supcon"], ["loss=focal"])


def test_a_loss_and_a_sampler_reach_the_training_of_a_network() -> None:
    (head,) = parse_heads(["lstm"], ["loss=ldam", "sampler=progressive", "gamma=1.5"], "sqrt")
    found = head.get_params()
    assert [found[f"training__imbalance__{name}"] for name in ("loss", "sampler", "gamma")] == [
        "ldam",
        "progressive",
        1.5,
    ]
    assert found["class_weight"] == "sqrt"


def test_a_misspelt_sampler_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"sampler is 'ballanced'\. Did you mean 'balanced'\?"):
        parse_heads(["mlp"], ["sampler=ballanced"])


def test_a_loss_reaches_the_local_head_of_a_cascade() -> None:
    (head,) = parse_heads(["cascade"], ["local=lstm", "loss=focal"])
    assert head.get_params()["local__training__imbalance__loss"] == "focal"


def test_only_a_cascade_has_local_heads() -> None:
    with pytest.raises(CallError, match=r"^linear has no local classifiers: local is for cascade\. Leave it out\.$"):
        parse_heads(["linear"], ["local=lstm"])

from typing import Any

import pytest

from data.errors import CallError, UnknownName
from stages.embed.encoder.options import Options, parse_keep, parse_layers, parse_long


def test_what_is_kept_is_in_one_order_however_it_is_asked() -> None:
    assert parse_keep("segments:16, mean,cls") == (("cls", "mean", "segments"), 16)
    assert parse_keep("cls") == (("cls",), 32)
    assert parse_keep("tokens,segments") == (("segments", "tokens"), 32)


@pytest.mark.parametrize("text", ["segments:", "segments:x", "segments:-3", "cls:4"])
def test_a_length_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CallError, match=f"'{text}' is not understood: only segments takes a length, as in segments:32"):
        parse_keep(text)


def test_a_misspelt_thing_to_keep_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"There is nothing to keep called 'means'\. Did you mean 'mean'\?"):
        parse_keep("cls,means")


@pytest.mark.parametrize(
    ("text", "layers"),
    [("last", (-1,)), ("all", (-4, -3, -2, -1)), ("-1,-4", (-4, -1)), ("0", (-4,)), ("3,-1", (-1,)), ("1", (-3,))],
)
def test_layers_of_an_encoder_of_three(text: str, layers: tuple[int, ...]) -> None:
    assert parse_layers(text, 3) == layers


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("-5", "There is no layer -5: the encoder has 3"), ("4", "There is no layer 4"), ("top", "'top' is not a layer")],
)
def test_a_layer_that_is_not_there_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        parse_layers(text, 3)


def test_a_seed_is_read_from_the_way() -> None:
    assert parse_long("random:7") == ("random", 7)
    assert parse_long("head-tail") == ("head-tail", 0)


@pytest.mark.parametrize("text", ["random", "random:", "random:x", "random:-1", "head:3"])
def test_a_seed_too_many_or_too_few_is_refused(text: str) -> None:
    with pytest.raises(CallError, match=f"'{text}' is not understood: random takes a seed, as in random:7, and only"):
        Options(long=text).check()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"long": "head", "stride": 3}, "stride is 3, but windows of --long head share nothing"),
        ({"long": "sentences", "stride": 3}, "stride is 3, but windows of --long sentences share nothing"),
        ({"long": "random:1", "max_windows": 2}, "max-windows is 2, but --long random:1 takes a fixed number"),
        ({"long": "head-tail", "max_windows": 2}, "max-windows is 2, but --long head-tail takes a fixed number"),
        ({"long": "model", "window": 20}, "window is 20, but --long model takes the encoder's longest"),
    ],
)
def test_what_has_no_effect_beside_the_way_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        Options(**options).check()

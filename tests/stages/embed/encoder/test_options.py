from typing import Any

import pytest

from data.errors import CallError, UnknownName
from stages.embed.encoder.options import Options, parse_keep, parse_layers, parse_long


def test_names_to_keep_have_one_order_however_they_are_given() -> None:
    assert parse_keep("segments:16, mean,cls") == (("cls", "mean", "segments"), 16)
    assert parse_keep("cls") == (("cls",), 32)
    assert parse_keep("tokens,segments") == (("segments", "tokens"), 32)


@pytest.mark.parametrize("text", ["segments:", "segments:x", "segments:-3", "cls:4"])
def test_an_invalid_length_raises_an_error(text: str) -> None:
    with pytest.raises(CallError, match=f"--keep {text} is not valid: only segments has a length, as in segments:32"):
        parse_keep(text)


def test_a_misspelled_name_to_keep_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"There is no kind of vector to keep called 'means'\. Did you mean 'mean'\?"):
        parse_keep("cls,means")


@pytest.mark.parametrize(
    ("text", "layers"),
    [("last", (-1,)), ("all", (-4, -3, -2, -1)), ("-1,-4", (-4, -1)), ("0", (-4,)), ("3,-1", (-1,)), ("1", (-3,))],
)
def test_layers_of_an_encoder_with_three_layers(text: str, layers: tuple[int, ...]) -> None:
    assert parse_layers(text, 3) == layers


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("-5", "There is no layer -5: the encoder has 3, from -1 to -3, and its embeddings are -4"),
        ("4", "There is no layer 4"),
        ("top", "'top' is not a layer"),
    ],
)
def test_a_missing_layer_raises_an_error(text: str, sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        parse_layers(text, 3)


def test_the_seed_follows_the_strategy() -> None:
    assert parse_long("random:7") == ("random", 7)
    assert parse_long("head-tail") == ("head-tail", 0)


@pytest.mark.parametrize("text", ["random", "random:", "random:x", "random:-1", "head:3"])
def test_a_missing_invalid_or_superfluous_seed_raises_an_error(text: str) -> None:
    with pytest.raises(CallError, match=f"--long {text} is not valid: random needs a seed, as in random:7"):
        Options(long=text).check()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"long": "head", "stride": 3}, "stride is 3, but the windows of --long head do not overlap"),
        ({"long": "sentences", "stride": 3}, "stride is 3, but the windows of --long sentences do not overlap"),
        ({"long": "random:1", "max_windows": 2}, "max-windows is 2, but --long random:1 has a fixed number"),
        (
            {"long": "head-tail", "max_windows": 2},
            "max-windows is 2, but --long head-tail has a fixed number",
        ),
        ({"long": "model", "window": 20}, "window is 20, but --long model uses the encoder's longest"),
    ],
)
def test_an_option_without_effect_on_the_strategy_raises_an_error(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        Options(**options).check()

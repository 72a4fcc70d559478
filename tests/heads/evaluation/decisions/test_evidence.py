"""What a person is told of each family."""

from dataclasses import replace

import pytest

from heads.evaluation.decisions.evidence import Evidence, Trial

TRIAL = Trial(
    "per-label offsets", "argmax", 0.87, 0.775, apparent_gain=0.098, gain=0.003, standard_error=0.006, taken=False
)


def test_a_sentence_says_what_happened() -> None:
    assert TRIAL.sentence == (
        "An offset a label gains 9.8 points where it was fitted and 0.3 ± 0.6 where it was not: not taken."
    )


def test_a_loss_is_called_one() -> None:
    worse = replace(TRIAL, family="one threshold", apparent_gain=-0.012, gain=-0.02)
    assert worse.sentence == (
        "One threshold loses 1.2 points where it was fitted and -2.0 ± 0.6 where it was not: not taken."
    )


def test_what_rounds_to_nothing_is_no_loss() -> None:
    assert "gains 0.0 points" in replace(TRIAL, apparent_gain=-0.0001).sentence


def test_a_gain_of_an_error_is_that_it_is_lower() -> None:
    error = Trial(
        "weighted median", "argmax", 0.41, 0.41, 0.062, gain=0.062, standard_error=0.011, taken=True,
        metric="mean absolute error",
    )  # fmt: skip
    assert error.sentence == "Weighted median lowers the mean absolute error by 0.062 ± 0.011 out of fold: taken."
    assert "raises the mean absolute error by 0.020" in replace(error, gain=-0.02).sentence
    assert "lowers the mean absolute error by 0.000" in replace(error, gain=-0.0002).sentence
    assert replace(error, against=None).sentence.startswith(
        "Weighted median, for which nothing is fitted, has a mean absolute error of 0.410"
    )


def test_what_is_taken_is_said_to_be() -> None:
    assert replace(TRIAL, gain=0.05, taken=True).sentence.endswith("5.0 ± 0.6 where it was not: taken.")


def test_the_first_family_is_what_others_are_held_against() -> None:
    first = Trial("argmax", None, 0.772, 0.772, 0.0, 0.0, 0.0, taken=True)
    assert first.sentence == "Argmax, for which nothing is fitted, has a macro-F1 of 0.772 out of fold."


@pytest.mark.parametrize(("few", "start"), [(1, "1 label of"), (7, "7 labels of")])
def test_labels_that_fell_back_are_counted(few: int, start: str) -> None:
    evidence = Evidence(100, 5, 3, few, (TRIAL,))
    assert evidence.sentences == (
        TRIAL.sentence,
        f"{start} fewer than 4 documents cannot be tuned alone: the common value holds there.",
    )
    assert evidence.to_json()["sentences"] == list(evidence.sentences)

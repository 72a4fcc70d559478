"""The sentences that describe each family of rules."""

from dataclasses import replace

import pytest

from heads.evaluation.decisions.evidence import Evidence, RuleComparison

OFFSETS = RuleComparison(
    "per-label offsets",
    "argmax",
    0.87,
    0.775,
    in_sample_gain=0.098,
    cross_fitted_gain=0.003,
    standard_error=0.006,
    selected=False,
)


def test_a_sentence_gives_both_gains_and_the_outcome() -> None:
    assert OFFSETS.describe() == (
        'The rule "per-label offsets" changes the macro-F1 by +9.8 points in-sample and by +0.3 ± 0.6 points '
        "out of fold; it was not selected."
    )


def test_a_loss_has_a_minus_sign() -> None:
    worse = replace(OFFSETS, family="single threshold", in_sample_gain=-0.012, cross_fitted_gain=-0.02)
    assert worse.describe() == (
        'The rule "single threshold" changes the macro-F1 by -1.2 points in-sample and by -2.0 ± 0.6 points '
        "out of fold; it was not selected."
    )


def test_a_loss_that_rounds_to_zero_has_no_minus_sign() -> None:
    assert "by +0.0 points in-sample" in replace(OFFSETS, in_sample_gain=-0.0001).describe()


def test_a_gain_of_an_error_lowers_it() -> None:
    error = RuleComparison(
        "weighted median", "argmax", 0.41, 0.41, 0.062, cross_fitted_gain=0.062, standard_error=0.011, selected=True,
        metric="mean absolute error", sign=-1,
    )  # fmt: skip
    assert error.describe() == (
        'The rule "weighted median" lowers the mean absolute error by 0.062 ± 0.011 out of fold; it was selected.'
    )
    assert "raises the mean absolute error by 0.020" in replace(error, cross_fitted_gain=-0.02).describe()
    assert "lowers the mean absolute error by 0.000" in replace(error, cross_fitted_gain=-0.0002).describe()
    assert replace(error, baseline=None).describe() == (
        'The rule "weighted median" has no fitted parameter; its mean absolute error is 0.410 out of fold.'
    )


def test_a_selected_rule_is_reported_as_selected() -> None:
    sentence = replace(OFFSETS, cross_fitted_gain=0.05, selected=True).describe()
    assert sentence.endswith("+5.0 ± 0.6 points out of fold; it was selected.")


def test_the_first_family_is_the_baseline_of_the_others() -> None:
    first = RuleComparison("argmax", None, 0.772, 0.772, 0.0, 0.0, 0.0, selected=True)
    assert first.describe() == 'The rule "argmax" has no fitted parameter; its macro-F1 is 0.772 out of fold.'


@pytest.mark.parametrize(("few", "start", "verb"), [(1, "1 label", "uses"), (7, "7 labels", "use")])
def test_labels_that_use_the_common_value_are_counted(few: int, start: str, verb: str) -> None:
    evidence = Evidence(100, 5, 3, few, (OFFSETS,))
    assert evidence.sentences == (
        OFFSETS.describe(),
        f"{start} with fewer than 4 documents that have or lack {'it' if few == 1 else 'them'} cannot be tuned "
        f"separately and {verb} the common value.",
    )
    assert evidence.to_json()["sentences"] == list(evidence.sentences)


def test_a_rule_that_replaced_one_as_simple_says_why() -> None:
    sentence = replace(OFFSETS, selected=True, is_alternative=True).describe()
    assert sentence.endswith('+0.3 ± 0.6 points out of fold; it was selected, because it is as simple as "argmax".')


def test_a_selected_rule_that_was_replaced_says_so_and_later_rules_name_what_they_are_compared_with() -> None:
    first = replace(OFFSETS, family="argmax", baseline=None, selected=True)
    second = replace(OFFSETS, family="greedy", selected=True)
    third = replace(OFFSETS, family="exact", baseline="greedy", selected=True)
    fourth = replace(OFFSETS, baseline="exact")
    _, replaced, last, refused = Evidence(100, 5, 1, 0, (first, second, third, fourth)).sentences
    assert replaced.endswith('points out of fold; it was selected, until "exact" replaced it.')
    assert last.endswith('points out of fold, compared with "greedy"; it was selected.')
    assert refused.endswith('points out of fold, compared with "exact"; it was not selected.')

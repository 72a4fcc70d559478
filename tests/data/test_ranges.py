"""Whole numbers out of range are one sentence, from the command line and from Python."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from data.errors import CallError
from data.ranges import MAX_COUNT, MAX_SEED, check_whole_number
from heads.classifiers.linear import LinearHead
from heads.core.hyperparameters import check_hyperparameters
from stages.curve import CurvePlan
from stages.embed.encoder.options import Options, parse_long
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.windows.corpus_part import CorpusPart
from stages.fitting.plan import FitPlan


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (0, "folds is 0; it must be at least 2."),
        (11, "folds is 11; it must be at most 10."),
        (2.0, "folds is 2.0; it must be a whole number."),
        (True, "folds is True; it must be a whole number."),
        ("3", "folds is '3'; it must be a whole number."),
    ],
)
def test_a_number_out_of_range_is_a_sentence(value: Any, sentence: str) -> None:
    with pytest.raises(CallError) as refused:
        check_whole_number("folds", value, 2, 10)
    assert str(refused.value) == sentence


def test_the_ends_of_a_range_and_numbers_of_numpy_are_accepted() -> None:
    for value in (2, 10, np.int64(3)):
        check_whole_number("folds", value, 2, 10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: FitPlan(head=LinearHead(), seed=-1),
        lambda: FitPlan(head=LinearHead(), seed=MAX_SEED + 1),
        lambda: FitPlan(head=LinearHead(), folds=1),
        lambda: check_hyperparameters(LinearHead(seed=MAX_SEED + 1)),
        lambda: CurvePlan(heads=[LinearHead()], seed=-1),
        lambda: CurvePlan(heads=[LinearHead()], seed=MAX_SEED, seeds=2),
        lambda: CurvePlan(heads=[LinearHead()], seeds=10**9),
        lambda: EmbedRequest(source="t.csv", seed=-1),
        lambda: EmbedRequest(source="t.csv", seed=MAX_SEED + 1),
        lambda: Options(max_windows=MAX_COUNT + 1).check(),
        lambda: Options(batch_tokens=10**30).check(),
        lambda: Options(segment=10**30).check(),
        lambda: Options(window="8").check(),  # type: ignore[arg-type]
        lambda: parse_long(f"random:{MAX_SEED + 1}"),
        lambda: parse_long("random:" + "9" * 5000),
        lambda: CorpusPart.parse(f"1/{10**30}"),
        lambda: CorpusPart.parse("1/" + "9" * 5000),
    ],
)
def test_what_takes_a_number_states_its_range(call: Callable[[], object]) -> None:
    with pytest.raises(CallError, match=r"; it (must be|is) (at least|at most|a whole)"):
        call()

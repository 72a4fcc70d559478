"""A batch's size: tried on the corpus itself, remembered, and halved where memory runs out."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.embed.batching import budget
from stages.embed.batching.budget import Budget, BudgetTuner, find_known_budget, is_out_of_memory, save_budget
from stages.embed.pipeline import encode_corpus as loop
from stages.embed.pipeline.encode_corpus import embed
from tests.stages.embed.conftest import Open
from tests.stages.embed.fakes import corpus, counting
from tests.stages.embed.pipeline.test_encode_corpus import MANY, store_of

SMALL = (8, 16, 32)


class Clock:
    """A clock that only moves when a batch is said to have taken time."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr(budget, "time", SimpleNamespace(perf_counter=made.perf_counter))
    monkeypatch.setattr(budget, "CANDIDATES", SMALL)
    yield made


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60))
def test_a_trial_encodes_every_window_once(lengths: list[int]) -> None:
    positions = np.array(lengths, dtype=np.int64)
    trial = BudgetTuner(Budget(20))
    trial._candidates = SMALL
    found = [row for rows in trial.batches(positions) for row in rows.tolist()]
    assert sorted(found) == [row for row, length in enumerate(lengths) if length]


@pytest.mark.parametrize(
    ("seconds_a_batch", "seconds_a_position", "best"),
    [(1.0, 0.0, 32), (0.0, 1.0, 8), (0.1, 1.0, 8), (0.4, 1.0, 16), (1.0, 1.0, 32)],
)
def test_the_fastest_is_taken_or_the_smallest_within_two_percent(
    clock: Clock, seconds_a_batch: float, seconds_a_position: float, best: int
) -> None:
    # of the fourth: 8 positions take 8.4 s, 16 take 16.4, 32 take 32.4, so 16 is within 2 % of the best, 8 is not
    found = Budget(8)
    trial = BudgetTuner(found)
    for rows in trial.batches(np.full(32 * 9 // 2, 2)):
        clock.now += seconds_a_batch + 2 * len(rows) * seconds_a_position
    assert trial.settle()
    assert found.positions == best


def test_too_few_windows_are_no_trial(clock: Clock) -> None:
    trial = BudgetTuner(Budget(20))
    assert [len(rows) for rows in trial.batches(np.full(3, 10))] == [2, 1]
    assert not trial.settle()


def test_a_budget_that_memory_does_not_hold_is_not_taken(clock: Clock) -> None:
    found = Budget(16)
    trial = BudgetTuner(found)
    positions = np.full(200, 2)
    for rows in trial.batches(positions):
        clock.now += 1
        if 2 * len(rows) > 16:
            trial.halve(2 * len(rows))
            break
    for rows in trial.batches(positions):
        assert 2 * len(rows) <= 16
        clock.now += 1
    assert trial.settle()
    assert (found.positions, found.halvings) == (16, 1)


def test_what_was_found_is_remembered_for_this_encoder_alone(tiny: Open, own_cache: Path) -> None:
    encoder = tiny()
    assert find_known_budget(encoder) is None
    save_budget(encoder, 8192)
    assert find_known_budget(encoder) == 8192
    assert find_known_budget(tiny(precision="bfloat16")) is None
    assert find_known_budget(tiny("roberta")) is None
    assert find_known_budget(replace(encoder, batch_tokens=7)) == 7


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"budget": 0}', '{"budget": "many"}', '{"budget": true}'])
def test_a_damaged_memory_is_none(tiny: Open, own_cache: Path, content: str) -> None:
    save_budget(tiny(), 8192)
    (path,) = own_cache.rglob("*.json")
    path.write_text(content)
    assert find_known_budget(tiny()) is None


def test_a_cache_that_refuses_is_done_without(tiny: Open, own_cache: Path) -> None:
    (own_cache / "budgets").write_text("a file")
    save_budget(tiny(), 8192)
    assert find_known_budget(tiny()) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB."), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("expected scalar type Float but found Half"), False),
        (ValueError("a window"), False),
    ],
)
def test_libraries_that_lack_memory_are_understood(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.fixture
def quick_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "CANDIDATES", (32, 64, 128))
    monkeypatch.setattr(budget, "DEFAULT", 100)
    monkeypatch.setattr(loop, "SLICE_SECONDS", 1e-9)
    monkeypatch.setattr(loop, "TRIAL_SLICES", 500)


def test_a_trial_runs_once_where_there_is_enough_and_wastes_nothing(
    tiny: Open, tmp_path: Path, own_cache: Path, quick_trial: None
) -> None:
    encoder, network = counting(tiny())
    store = store_of(tmp_path, encoder)
    report = embed(corpus(MANY), encoder, store)
    assert network.windows == report.encoded == 60
    assert report.batch_tokens in (32, 64, 128)
    assert find_known_budget(encoder) == report.batch_tokens
    (path,) = (own_cache / "budgets").iterdir()
    path.write_text('{"budget": 40}')
    assert embed(corpus([f"{text} again" for text in MANY]), encoder, store).batch_tokens == 40


def test_no_trial_where_a_budget_is_asked_or_too_little_is_left(
    tiny: Open, tmp_path: Path, own_cache: Path, quick_trial: None
) -> None:
    encoder, _ = counting(tiny(batch_tokens=50))
    store = store_of(tmp_path, encoder)
    assert embed(corpus(MANY), encoder, store).batch_tokens == 50
    assert embed(corpus(["oil", "wheat"]), replace(encoder, batch_tokens=None), store).batch_tokens == 100
    assert not (own_cache / "budgets").exists()

"""The token budget: tuned on the corpus itself, remembered, and halved when memory runs out."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.embed.batching import budget
from stages.embed.batching.budget import BudgetTuner, TokenBudget, find_known_budget, is_out_of_memory, save_budget
from stages.embed.pipeline import encode_corpus
from stages.embed.pipeline.encode_corpus import embed
from tests.stages.embed.conftest import Open
from tests.stages.embed.fakes import corpus, counting
from tests.stages.embed.pipeline.test_encode_corpus import MANY, store_of

SMALL = (8, 16, 32)


class Clock:
    """A clock that moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(budget, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    monkeypatch.setattr(budget, "CPU_CANDIDATES", SMALL)
    yield clock


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60))
def test_a_tuner_encodes_every_window_once(lengths: list[int]) -> None:
    positions = np.array(lengths, dtype=np.int64)
    tuner = BudgetTuner(TokenBudget(20))
    tuner._candidates = SMALL
    encoded = [row for rows in tuner.split(positions) for row in rows.tolist()]
    assert sorted(encoded) == [row for row, length in enumerate(lengths) if length]


@pytest.mark.parametrize(
    ("seconds_per_batch", "seconds_per_position", "best"),
    [(1.0, 0.0, 32), (0.0, 1.0, 8), (0.1, 1.0, 8), (0.4, 1.0, 16), (1.0, 1.0, 32)],
)
def test_the_smallest_budget_within_two_percent_of_the_fastest_is_chosen(
    clock: Clock, seconds_per_batch: float, seconds_per_position: float, best: int
) -> None:
    # of the fourth: 8 positions take 8.4 s, 16 take 16.4, 32 take 32.4, so 16 is within 2 % of the best, 8 is not
    tuned = TokenBudget(8)
    tuner = BudgetTuner(tuned)
    for rows in tuner.split(np.full(32 * 9 // 2, 2)):
        clock.now += seconds_per_batch + 2 * len(rows) * seconds_per_position
    assert tuner.apply_fastest()
    assert tuned.positions == best


def test_too_few_windows_are_not_used_for_tuning(clock: Clock) -> None:
    tuner = BudgetTuner(TokenBudget(20))
    assert [len(rows) for rows in tuner.split(np.full(3, 10))] == [2, 1]
    assert not tuner.apply_fastest()


def test_a_budget_that_does_not_fit_into_memory_is_not_chosen(clock: Clock) -> None:
    tuned = TokenBudget(16)
    tuner = BudgetTuner(tuned)
    positions = np.full(200, 2)
    for rows in tuner.split(positions):
        clock.now += 1
        if 2 * len(rows) > 16:
            tuner.halve(2 * len(rows))
            break
    for rows in tuner.split(positions):
        assert 2 * len(rows) <= 16
        clock.now += 1
    assert tuner.apply_fastest()
    assert (tuned.positions, tuned.halvings) == (16, 1)


def test_a_saved_budget_is_used_for_the_same_encoder_only(tiny: Open, own_cache: Path) -> None:
    encoder = tiny()
    assert find_known_budget(encoder) is None
    save_budget(encoder, 8192)
    assert find_known_budget(encoder) == 8192
    assert find_known_budget(tiny(precision="bfloat16")) is None
    assert find_known_budget(tiny("roberta")) is None
    assert find_known_budget(replace(encoder, batch_tokens=7)) == 7


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"budget": 0}', '{"budget": "many"}', '{"budget": true}'])
def test_a_damaged_cache_file_is_ignored(tiny: Open, own_cache: Path, content: str) -> None:
    save_budget(tiny(), 8192)
    (path,) = own_cache.rglob("*.json")
    path.write_text(content)
    assert find_known_budget(tiny()) is None


def test_a_cache_that_cannot_be_written_is_not_used(tiny: Open, own_cache: Path) -> None:
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
def test_out_of_memory_errors_of_all_libraries_are_recognized(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.fixture
def quick_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "CPU_CANDIDATES", (32, 64, 128))
    monkeypatch.setattr(budget, "CPU_DEFAULT", 100)
    monkeypatch.setattr(encode_corpus, "SLICE_SECONDS", 1e-9)
    monkeypatch.setattr(encode_corpus, "TUNING_SLICES", 500)


def test_tuning_runs_once_if_there_is_enough_work_and_wastes_nothing(
    tiny: Open, tmp_path: Path, own_cache: Path, quick_tuning: None
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


def test_a_requested_budget_or_too_little_work_is_not_tuned(
    tiny: Open, tmp_path: Path, own_cache: Path, quick_tuning: None
) -> None:
    encoder, _ = counting(tiny(batch_tokens=50))
    store = store_of(tmp_path, encoder)
    assert embed(corpus(MANY), encoder, store).batch_tokens == 50
    assert embed(corpus(["oil", "wheat"]), replace(encoder, batch_tokens=None), store).batch_tokens == 100
    assert not (own_cache / "budgets").exists()

"""On an asynchronous device the next batch is started before the vectors of the last one are fetched."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stages.embed.batching.token_batches import split_into_batches
from stages.embed.encoder.encoder import Encoder
from stages.embed.pipeline.encode_slice import _run_batches
from stages.embed.windows.window_arrays import Windows
from tests.stages.embed.conftest import Open
from tests.stages.embed.reference import TEXTS


class RecordingEncoder(Encoder):
    """Records what was started and fetched, in order."""

    def start_batch(self, windows: Windows, rows: NDArray[np.int64]) -> Callable[[], dict[str, NDArray[np.float32]]]:
        """Started now; fetched when the result is called."""
        fetch, events = super().start_batch(windows, rows), self.__dict__.setdefault("events", [])
        events.append("started")
        return lambda: (events.append("fetched"), fetch())[1]


def test_the_next_batch_is_started_before_the_last_is_fetched_and_all_come_in_order(tiny: Open) -> None:
    encoder = tiny("bert")
    recording = RecordingEncoder(**vars(replace(encoder)))
    windows = encoder.tokenizer.tokenize(TEXTS, encoder.windowing)
    batches = list(split_into_batches(windows.length + encoder.extra_positions, 60))
    assert len(batches) > 2
    encoded = list(_run_batches(batches, windows, recording, overlap=True))
    assert recording.__dict__["events"][:3] == ["started", "started", "fetched"]
    assert recording.__dict__["events"][-2:] == ["fetched", "fetched"]
    for (rows, pooled, seconds), expected in zip(encoded, batches, strict=True):
        np.testing.assert_array_equal(rows, expected)
        np.testing.assert_array_equal(pooled["mean"], encoder.encode_batch(windows, expected)["mean"])
        assert seconds >= 0


def test_a_cpu_encodes_one_batch_at_a_time(tiny: Open) -> None:
    encoder = tiny("bert")
    recording = RecordingEncoder(**vars(replace(encoder)))
    windows = encoder.tokenizer.tokenize(TEXTS, encoder.windowing)
    list(
        _run_batches(
            split_into_batches(windows.length + encoder.extra_positions, 60),
            windows,
            recording,
            overlap=encoder.is_asynchronous,
        )
    )
    assert recording.__dict__["events"][:3] == ["started", "fetched", "started"]

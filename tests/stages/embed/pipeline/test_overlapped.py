"""A device that computes beside the processor: the next batch is begun before the last one's vectors are fetched."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stages.embed.batching.token_batches import batches
from stages.embed.encoder.encoder import Encoder
from stages.embed.pipeline.encode_slice import _overlapped
from stages.embed.windows.window_arrays import Windows
from tests.stages.embed.conftest import Open
from tests.stages.embed.plain import TEXTS


class Told(Encoder):
    """Keeps what was begun and fetched, in order."""

    def start_batch(self, windows: Windows, rows: NDArray[np.int64]) -> Callable[[], dict[str, NDArray[np.float32]]]:
        """Begun now; fetched when the result is called."""
        finish, told = super().start_batch(windows, rows), self.__dict__.setdefault("told", [])
        told.append("begun")
        return lambda: (told.append("fetched"), finish())[1]


def test_the_next_batch_is_begun_before_the_last_is_fetched_and_all_come_in_order(tiny: Open) -> None:
    encoder = tiny("bert")
    told = Told(**vars(replace(encoder)))
    windows = encoder.tokenizer.tokenize(TEXTS, encoder.windowing)
    cut = list(batches(windows.length + encoder.extra_positions, 60))
    assert len(cut) > 2
    found = list(_overlapped(cut, windows, told, beside=True))
    assert told.__dict__["told"][:3] == ["begun", "begun", "fetched"]
    assert told.__dict__["told"][-2:] == ["fetched", "fetched"]
    for (rows, pooled, seconds), asked in zip(found, cut, strict=True):
        np.testing.assert_array_equal(rows, asked)
        np.testing.assert_array_equal(pooled["mean"], encoder.encode_batch(windows, asked)["mean"])
        assert seconds >= 0


def test_a_processor_has_one_batch_in_work(tiny: Open) -> None:
    encoder = tiny("bert")
    told = Told(**vars(replace(encoder)))
    windows = encoder.tokenizer.tokenize(TEXTS, encoder.windowing)
    list(
        _overlapped(
            batches(windows.length + encoder.extra_positions, 60), windows, told, beside=encoder.is_asynchronous
        )
    )
    assert told.__dict__["told"][:3] == ["begun", "fetched", "begun"]

"""A progress bar on stderr, which a terminal and a notebook show alike; a file gets none."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(description: str, *, visible: bool) -> Iterator[Callable[[float, float, str], None]]:
    """Inside, call what this gives with the work done, all the work, and a word for its unit."""
    from tqdm import tqdm

    layout = "{desc} {percentage:3.0f}%|{bar:30}| {elapsed}<{remaining}{postfix}"
    is_shown = visible and (sys.stderr.isatty() or "ipykernel" in type(sys.stderr).__module__)
    with tqdm(desc=description, total=1.0, bar_format=layout, disable=not is_shown, leave=False) as bar:

        def show(done: float, total: float, unit: str) -> None:
            bar.set_postfix_str(unit, refresh=False)
            bar.update(min(done / max(total, 1), 1.0) - bar.n)

        yield show

"""The ranges of whole numbers that options and arguments accept.

This module imports only the standard library, so that `embedonce --help` may import it.
"""

from numbers import Integral
from typing import Any

from data.errors import CallError

__all__ = ["MAX_COUNT", "MAX_SEED", "MAX_SEEDS", "check_whole_number"]

MAX_SEED = 2**32 - 1  # the largest seed that NumPy's older generators and scikit-learn accept
MAX_SEEDS = 1000  # of a learning curve; the standard deviation of a metric needs far fewer
MAX_COUNT = 2**31 - 1  # of tokens, windows, parts: arrays and libraries hold larger counts in no type that all share


def check_whole_number(name: str, value: Any, low: int, high: int) -> None:
    """Raise CallError unless `value` is a whole number from `low` to `high`.

    Args:
        name: of the option or argument, as the message shows it.
        value: what the user passed.
        low: the smallest number that is accepted.
        high: the largest number that is accepted.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise CallError(f"{name} is {value!r}; it must be a whole number.")
    if int(value) < low:
        raise CallError(f"{name} is {value}; it must be at least {low}.")
    if int(value) > high:
        raise CallError(f"{name} is {value}; it must be at most {high}.")

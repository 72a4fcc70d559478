"""Messages for a Python user: `validate_on` for --validate-on, and `test=False` for --no-test.

Messages of the layers below name options as the command line spells them. An option that no function of the Python
interface has as a parameter stays as it is.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from data.errors import EmbedOnceError

__all__ = ["PARAMETERS", "names_parameters", "spell_parameters"]

P = ParamSpec("P")
R = TypeVar("R")

# what embed, augment, fit_head, compare, load_corpus and Run.decide have, as options of commands
_NAMES = """
text template label levels taxonomy model id split test_file validation_file group tabular separator path_separator
delimiter quoting header encoding label_names stores store name seed sample revision window stride max_windows long
special_tokens prefix layers keep segment dtype precision backend device batch_tokens trust_remote_code corpus method
copies to rate out folds validate_on test runs jobs augmented scored_level objective labels_only metric common margin
cost beta costs at for_label per_label tune calibration min_confidence coverage other false_alarms label_sets set_score
sets_per_label empty_sets unlabelled final
"""
PARAMETERS = frozenset(_NAMES.split())
# a word of its own: names of columns and stores may have two dashes, too
_OPTION = re.compile(r"(?<![^\s(])--(no-)?([a-z]+(?:-[a-z]+)*)")


def names_parameters(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose errors name parameters, not options of the command line."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except EmbedOnceError as error:
            error.args = (spell_parameters(str(error)),)
            raise

    return call


def spell_parameters(sentence: str) -> str:
    """A sentence with the parameters of the Python interface instead of options; commands in backticks stay."""
    parts = sentence.split("`")
    parts[::2] = [_OPTION.sub(_spell_parameter, part) for part in parts[::2]]
    return "`".join(parts)


def _spell_parameter(option: re.Match[str]) -> str:
    name = option[2].replace("-", "_")
    if name not in PARAMETERS:
        return option[0]
    return f"`{name}=False`" if option[1] else f"`{name}`"

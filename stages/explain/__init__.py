"""Why a run gives a document its label: which chunks, segments or tokens spoke for it, and which against.

`places.py` says where these lie in a document, `evidence.py` weighs each of them, one function a method; `texts.py`
brings the words, `explanation.py` sets all of it together, `marks.py` and `page.py` show a text with what was found.
"""

from stages.explain.attribution import METHODS
from stages.explain.explanation import Asked, Explanation, Item, changed_since, check_explainable, explain
from stages.explain.highlighting import Piece, pieces
from stages.explain.levels import LEVELS
from stages.explain.page import page
from stages.explain.source_text import Words, words_of

__all__ = [
    "LEVELS",
    "METHODS",
    "Asked",
    "Explanation",
    "Item",
    "Piece",
    "Words",
    "changed_since",
    "check_explainable",
    "explain",
    "page",
    "pieces",
    "words_of",
]

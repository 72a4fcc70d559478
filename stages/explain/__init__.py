"""Why a run gives a document its label: which chunks, segments or tokens spoke for it, and which against.

`places.py` says where these lie in a document, `evidence.py` weighs each of them, one function a method; `texts.py`
brings the words, `explanation.py` sets all of it together, `marks.py` and `page.py` show a text with what was found.
"""

from stages.explain.attribution import METHODS
from stages.explain.explanation import (
    Attribution,
    Explanation,
    ExplanationOptions,
    check_explainable,
    describe_corpus_change,
    explain_documents,
)
from stages.explain.highlighting import TextSpan, split_into_spans
from stages.explain.levels import LEVELS
from stages.explain.page import render_page
from stages.explain.source_text import SourceTexts, read_source_texts

__all__ = [
    "LEVELS",
    "METHODS",
    "Attribution",
    "Explanation",
    "ExplanationOptions",
    "SourceTexts",
    "TextSpan",
    "check_explainable",
    "describe_corpus_change",
    "explain_documents",
    "read_source_texts",
    "render_page",
    "split_into_spans",
]

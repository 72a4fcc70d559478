"""Why a run predicts a label for a document: the contribution of each chunk, segment or token to the label.

`levels` says where these units lie in a document, `source_text` reads the text that a store does not keep,
`attribution` holds the attribution methods, `explanation` combines them, `highlighting` and `page` show the result.
Nothing here encodes a text or fits a head.
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

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.source_spec import SourceSpec

names = st.none() | st.text(max_size=3)


@given(st.builds(SourceSpec, text=st.none() | st.lists(st.text(max_size=3)).map(tuple), label=names, separator=names))
def test_a_spec_survives_json(spec: SourceSpec) -> None:
    assert SourceSpec.from_json(spec.to_json()) == spec


def test_json_holds_only_what_was_said() -> None:
    assert SourceSpec(text=("title", "body"), id="").to_json() == {"text": ["title", "body"], "id": ""}


@pytest.mark.parametrize("content", [{"label": 3}, {"text": [1]}, {"colour": "red"}])
def test_other_json_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="does not describe a source"):
        SourceSpec.from_json(content)

"""Folders from the environment, and how files are written and named by their content."""

import hashlib
import json

import pytest
from crosstrain import paths
from crosstrain.data import published


def test_an_empty_variable_is_none(monkeypatch):
    for variable in ("RUNS", "FIGURES", "PUBLISHED", "WEIGHTS"):
        monkeypatch.setenv(f"CROSSTRAIN_{variable}", "")
    assert paths.runs() == paths.root() / "runs"
    assert paths.figures() == paths.root() / "runs" / "interactive" / "figures"
    assert paths.published() is None and paths.weights() is None


@pytest.mark.parametrize("name", ["published", "weights"])
def test_a_folder_that_is_named_must_be_there(tmp_path, monkeypatch, name):
    variable, lost = f"CROSSTRAIN_{name.upper()}", tmp_path / "lost"
    monkeypatch.setenv(variable, str(tmp_path))
    assert getattr(paths, name)() == tmp_path
    monkeypatch.setenv(variable, str(lost))
    with pytest.raises(ValueError, match=f"^{variable} '{lost}': no such folder"):
        getattr(paths, name)()


def test_a_wrong_folder_of_published_data_is_told_where_they_are_missed(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSTRAIN_PUBLISHED", str(tmp_path / "lost"))
    with pytest.raises(ValueError, match=r"^CROSSTRAIN_PUBLISHED .*lost': no such folder"):
        published.path("ECEMC.xyz", download=False)


def test_the_same_value_is_the_same_json(tmp_path):
    file = tmp_path / "new" / "a.json"
    paths.write_json(file, {"b": 1, "a": [2]})
    text = file.read_bytes()
    assert text.startswith(b'{\n "a"') and text.endswith(b"}\n")
    assert json.loads(text) == {"a": [2], "b": 1}
    paths.write_json(file, {"a": [2], "b": 1})
    assert file.read_bytes() == text
    assert paths.sha256(file) == hashlib.sha256(text).hexdigest()

import json
from pathlib import Path

import pytest

from cisfa_slicer.model_catalogue import CatalogueError, CatalogueModel, read_catalogue

ENTRY = {
    "name": "Abdomen",
    "description": "CT to MR",
    "file_name": "abdomen.zip",
    "url": "https://example.org/abdomen.zip",
    "size_bytes": 12,
    "sha256": "a" * 64,
}


def written(folder: Path, *models: object, version: object = 1) -> Path:
    path = folder / "Katalog ä.json"
    path.write_text(json.dumps({"schema_version": version, "models": list(models)}), encoding="utf-8")
    return path


def test_the_models_are_read_in_order(tmp_path: Path) -> None:
    other = {**ENTRY, "file_name": "heart.zip"}
    assert read_catalogue(written(tmp_path, other, ENTRY)) == (CatalogueModel(**other), CatalogueModel(**ENTRY))


def test_the_extensions_own_catalogue_can_be_read(root: Path) -> None:
    read_catalogue(root / "CISFASegmentation" / "Resources" / "CISFASegmentationCatalogue.json")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"file_name": "../evil.zip"}, "plain name"),
        ({"file_name": "model.exe"}, "plain name"),
        ({"sha256": "short"}, "64 hexadecimal digits"),
        ({"size_bytes": 0}, "the file's size"),
        ({"size_bytes": "12"}, "size_bytes is '12'"),
        ({"size_bytes": True}, "size_bytes is True"),
        ({"surprise": 1}, "and nothing else"),
    ],
)
def test_a_wrong_entry_is_named(change: dict[str, object], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="Entry 2 of the catalogue") as raised:
        read_catalogue(written(tmp_path, ENTRY, {**ENTRY, "file_name": "b.zip", **change}))
    assert complaint in str(raised.value)


def test_two_models_cannot_become_one_file(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="one file_name"):
        read_catalogue(written(tmp_path, ENTRY, {**ENTRY, "file_name": "ABDOMEN.zip"}))


def test_a_newer_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="schema_version 2"):
        read_catalogue(written(tmp_path, version=2))


@pytest.mark.parametrize(("content", "complaint"), [("{", "is not JSON"), ("[]", "schema_version None")])
def test_what_is_no_catalogue_is_refused(content: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CatalogueError, match=complaint):
        read_catalogue(path)
    with pytest.raises(CatalogueError, match="cannot be read"):
        read_catalogue(tmp_path / "missing.json")

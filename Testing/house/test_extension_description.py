"""What the catalogue of 3D Slicer's extensions will show: the entry, CMake and the files agree with one another."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json#"
)
# that schema: what there may be, of what kind
KINDS: dict[str, type] = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "dicom_support_rule": str,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
REQUIRED = ("$schema", "category", "scm_url")
# as the catalogue's own check reads them: without running CMake, so a variable would stay one
METADATA = re.compile(r'set\s*\(EXTENSION_(\w+)\s*"([^"]+)"[ ]*\)')


def offences(entry: dict[str, Any]) -> list[str]:
    """Where an entry breaks the catalogue's schema."""
    wrong = [f"{name} is missing" for name in REQUIRED if name not in entry]
    for name, value in entry.items():
        if name not in KINDS:
            wrong.append(f"{name} is not known")
        elif type(value) is not KINDS[name]:
            wrong.append(f"{name} is no {KINDS[name].__name__}")
    if not all(isinstance(name, str) for name in entry.get("build_dependencies", [])):
        wrong.append("build_dependencies are no names")
    if entry.get("tier", 1) not in range(1, 6):
        wrong.append("tier is not 1 to 5")
    return wrong


@pytest.fixture
def entry(root: Path) -> dict[str, Any]:
    """Our entry, ready to be handed in."""
    loaded = json.loads((root / "Resources" / "ExtensionsIndex" / "CISFA.json").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture
def metadata(root: Path) -> dict[str, str]:
    """What the top-level CMakeLists.txt says."""
    return dict(METADATA.findall((root / "CMakeLists.txt").read_text(encoding="utf-8")))


def test_the_entry_keeps_the_catalogues_schema(entry: dict[str, Any]) -> None:
    assert entry["$schema"] == SCHEMA
    assert offences(entry) == []


def test_the_entry_agrees_with_cmake(root: Path, entry: dict[str, Any], metadata: dict[str, str]) -> None:
    project = re.findall(r"project\(([^)\s]+)", (root / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert project == ["CISFA"]
    assert metadata["DEPENDS"].split() == entry["build_dependencies"]
    assert metadata["HOMEPAGE"] == entry["scm_url"]


def test_the_addresses_lead_to_files_of_this_repository(
    root: Path, entry: dict[str, Any], metadata: dict[str, str]
) -> None:
    repository = entry["scm_url"].removeprefix("https://github.com/")
    raw = f"https://raw.githubusercontent.com/{repository}/{entry['scm_revision']}/"
    for address in [metadata["ICONURL"], *metadata["SCREENSHOTURLS"].split()]:
        assert address.startswith(raw)
        assert (root / address.removeprefix(raw)).is_file()


def test_the_names_are_what_the_catalogue_asks_for(entry: dict[str, Any], metadata: dict[str, str]) -> None:
    assert entry["scm_url"].rpartition("/")[2].startswith("Slicer")
    assert {"HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"} == metadata.keys()


@pytest.mark.parametrize("icon", ["Resources/CISFA.png", "CISFASegmentation/Resources/Icons/CISFASegmentation.png"])
def test_icons_have_the_catalogues_size(root: Path, icon: str) -> None:
    content = (root / icon).read_bytes()
    assert content[1:4] == b"PNG"
    assert [int.from_bytes(content[at : at + 4], "big") for at in (16, 20)] == [128, 128]


@pytest.mark.parametrize(
    ("change", "offence"),
    [
        ({"category": None}, "category is no str"),
        ({"scmurl": "a"}, "scmurl is not known"),
        ({"tier": 0}, "tier is not 1 to 5"),
        ({"tier": True}, "tier is no int"),
        ({"build_dependencies": [1]}, "build_dependencies are no names"),
    ],
)
def test_an_offence_against_the_schema_is_found(change: dict[str, Any], offence: str) -> None:
    right = {"$schema": SCHEMA, "category": "Segmentation", "scm_url": "https://example.org/a"}
    assert offences(right) == []
    assert offences({**right, **change}) == [offence]
    assert offences({"category": "Segmentation"}) == ["$schema is missing", "scm_url is missing"]

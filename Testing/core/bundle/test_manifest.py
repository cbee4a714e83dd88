import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisfa.bundle.bundle_folder import write_bundle
from cisfa.bundle.manifest import (
    Domain,
    FileDigest,
    Manifest,
    SegmenterSpec,
    from_json,
    to_json,
    utc_now,
)
from cisfa.bundle.manifest_file import read_manifest
from cisfa.errors import BundleError
from cisfa.imaging.organs import Organ, catalogue_organ

DIGEST = FileDigest("ab" * 32, 12)


def written(manifest: Manifest) -> Manifest:
    return dataclasses.replace(manifest, files={"weights.safetensors": DIGEST})


def changed(manifest: Manifest, change: Callable[[dict[str, Any]], object]) -> bytes:
    values = json.loads(to_json(written(manifest)))
    change(values)
    return json.dumps(values).encode()


def test_a_manifest_comes_back_from_json_as_it_was(manifest: Manifest) -> None:
    whole = written(manifest)

    assert from_json(to_json(whole), where="a bundle") == whole


def test_the_same_manifest_gives_the_same_bytes(manifest: Manifest) -> None:
    assert to_json(written(manifest)) == to_json(from_json(to_json(written(manifest)), where="a bundle"))


def test_what_is_not_stated_comes_back_as_none(manifest: Manifest) -> None:
    bare = dataclasses.replace(written(manifest), body_region=None, scores=None, reference=None)

    assert from_json(to_json(bare), where="a bundle") == bare


LINES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=30).filter(
    lambda text: text.strip() and not set(text) & set("/\\:~")
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=LINES,
    labels=st.lists(st.integers(1, 65535), min_size=1, max_size=6, unique=True).map(sorted),
    organ_name=LINES,
    cases=st.integers(10, 2**40),
    values=st.dictionaries(LINES, NUMBERS, max_size=4),
    versions=st.dictionaries(LINES, LINES, max_size=4),
)
def test_any_valid_manifest_comes_back_as_it_was(
    manifest: Manifest,
    name: str,
    labels: list[int],
    organ_name: str,
    cases: int,
    values: dict[str, float],
    versions: dict[str, str],
) -> None:
    whole = dataclasses.replace(
        written(manifest),
        name=name,
        organs=tuple(catalogue_organ(organ_name, label) for label in labels),
        segmenter=SegmenterSpec(width=3, classes=len(labels) + 1),
        target=Domain(name=name, modality="MR", cases=cases, intensity=values),
        versions=versions,
        reference=None,
    )

    assert from_json(to_json(whole), where="a bundle") == whole


def test_a_bundle_of_a_newer_version_asks_for_an_update(manifest: Manifest) -> None:
    content = changed(manifest, lambda values: values.update(schema_version=3, something_new={"x": 1}))

    with pytest.raises(BundleError, match=r"my bundle was made by a newer version.*schema 3.*Update CISFA"):
        from_json(content, where="my bundle")


def test_a_bundle_of_the_first_schema_is_read_and_written_as_it_was(manifest: Manifest) -> None:
    old = dataclasses.replace(written(manifest), schema_version=1, reference=None)

    assert "reference" not in json.loads(to_json(old))
    assert from_json(to_json(old), where="a bundle") == old


def test_a_reference_stands_in_no_bundle_of_the_first_schema(manifest: Manifest) -> None:
    with pytest.raises(BundleError, match="schema_version is 1; it must be 2 with a reference"):
        from_json(changed(manifest, lambda values: values.update(schema_version=1)), where="a bundle")


@pytest.mark.parametrize("values", [{"largest_component": True}, {"segmenter": {"coordinates": True}}])
def test_what_older_readers_do_not_know_stands_in_no_bundle_of_the_first_schema(
    manifest: Manifest, values: dict[str, Any]
) -> None:
    old = json.loads(to_json(dataclasses.replace(written(manifest), schema_version=1, reference=None)))
    segmenter = {**old["segmenter"], **values.get("segmenter", {})}
    with pytest.raises(BundleError, match="schema_version is 1; it must be 2 with largest_component or"):
        from_json(json.dumps({**old, **values, "segmenter": segmenter}).encode(), where="a bundle")


OPTIONAL = ("body_region", "scores", "reference", "largest_component")
ALL_FIELDS = [one.name for one in dataclasses.fields(Manifest) if one.name not in OPTIONAL]


@pytest.mark.parametrize("name", ALL_FIELDS)
def test_a_missing_field_is_named(manifest: Manifest, name: str) -> None:
    with pytest.raises(BundleError, match=name):
        from_json(changed(manifest, lambda values: values.pop(name)), where="a bundle")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda values: values.update(surprise=1), "surprise"),
        (lambda values: values.update(schema_version=0), "schema_version is 0"),
        (lambda values: values["reference"]["volumes_ml"].update(tumour={}), "reference.volumes_ml.tumour"),
        (lambda values: values["reference"]["volumes_ml"].update(x=values["reference"]["volumes_ml"]["liver"]), "'x'"),
        (lambda values: values["reference"]["volumes_ml"]["liver"].update(low_ml=9000), "reference.volumes_ml"),
        (lambda values: values["reference"]["volumes_ml"]["liver"].update(cases=0), "reference.cases"),
        (lambda values: values["reference"]["solidity"].update(x=values["reference"]["solidity"]["liver"]), "'x'"),
        (lambda values: values["reference"]["solidity"]["liver"].update(high=1.01), "reference.solidity"),
        (lambda values: values["reference"]["solidity"]["liver"].update(low=0), "reference.solidity"),
        (lambda values: values["reference"]["solidity"]["liver"].update(cases=0), "reference.cases"),
        (lambda values: values["reference"]["intensity"]["quantiles"].pop(), "reference.intensity.quantiles"),
        (lambda values: values["reference"]["intensity"]["deviations"].append(-1), "intensity.deviations"),
        (lambda values: values.update(schema_version=True), "schema_version"),
        (lambda values: values.update(schema_version="1"), "no schema_version"),
        (lambda values: values.update(name=""), "name"),
        (lambda values: values.update(name="two\nlines"), "name"),
        (lambda values: values.update(name="\x1b[31mred"), "name.*control"),
        (lambda values: values.update(name="half \ud800"), "name.*control"),
        (lambda values: values.update(name="x" * 201), "name"),
        (lambda values: values.update(name=7), "name is 7"),
        (lambda values: values.update(created="yesterday"), "created"),
        (lambda values: values.update(created="2026-01-31T12:00:00+01:00"), "created"),
        (lambda values: values.update(organs=[]), "organs"),
        (lambda values: values.update(organs={"1": "liver"}), "organs"),
        (lambda values: values["organs"].reverse(), "organs.*rising"),
        (lambda values: values["organs"].pop(), "segmenter.classes is 4.*must be 3"),
        (lambda values: values["organs"][0].update(label=0), "organs"),
        (lambda values: values["organs"][2].update(label=65536), "organs"),
        (lambda values: values["organs"][0].update(colour=[1, 2, 256]), "liver.colour"),
        (lambda values: values["organs"][0].update(colour=[1, 2]), r"organs\[0\].colour"),
        (lambda values: values["organs"][0]["type"].pop("value"), r"organs\[0\].type.value is missing"),
        (lambda values: values["organs"][0]["type"].update(value="\x00"), "organs"),
        (lambda values: values["source"].update(modality="US"), "source.modality"),
        (lambda values: values["source"].update(cases=-1), "cases is -1"),
        (lambda values: values["source"].update(intensity={"mean": "high"}), "source.intensity.mean"),
        (lambda values: values["preprocessing"].update(size=1), "preprocessing.size"),
        (lambda values: values["preprocessing"].pop("crop_to_body"), "preprocessing.crop_to_body is missing"),
        (lambda values: values.update(preprocessing=None), "preprocessing"),
        (lambda values: values["segmenter"].update(width=0), "segmenter.width"),
        (lambda values: values["training"].update(minutes=-1), "training.minutes"),
        (lambda values: values["training"].update(source_cases=13), "source_cases is 13.*at most the 12"),
        (lambda values: values["training"].update(batch_size=0), "batch_size"),
        (lambda values: values["scores"].update(cases=0), "scores.cases"),
        (lambda values: values.update(files={}), "files"),
        (lambda values: values["files"].update({"../x": values["files"]["weights.safetensors"]}), "files"),
        (lambda values: values["files"].update({"manifest.json": values["files"]["weights.safetensors"]}), "files"),
        (lambda values: values["files"]["weights.safetensors"].update(sha256="AB" * 32), "sha256"),
        (lambda values: values["files"]["weights.safetensors"].update(size_bytes=-1), "size_bytes"),
    ],
)
def test_a_wrong_field_is_named(manifest: Manifest, change: Callable[[dict[str, Any]], object], complaint: str) -> None:
    with pytest.raises(BundleError, match=complaint) as caught:
        from_json(changed(manifest, change), where="my bundle")

    assert "my bundle" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"null",
        b"[" * 100_000,
        b'{"schema_version": 1, "schema_version": 1}',
        b'{"schema_version": NaN}',
        b'{"schema_version": 1e999}',
        b'{"schema_version": ' + b"9" * 5000 + b"}",
        b'{"schema_version": 1' + b"0" * 400 + b"}",
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="my bundle"):
        from_json(content, where="my bundle")


def test_an_error_about_an_endless_value_stays_short(manifest: Manifest) -> None:
    content = changed(manifest, lambda values: values.update(organs=["x" * 100_000]))

    with pytest.raises(BundleError) as caught:
        from_json(content, where="my bundle")

    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "path",
    [
        "/home/someone/data/ct",
        "~/data",
        r"C:\Users\someone",
        "C:/data",
        r"\\server\share",
        "made from /data/doe/ct.nii",
    ],
)
def test_paths_do_not_get_into_a_manifest(manifest: Manifest, path: str) -> None:
    for field in ("name", "description", "licence", "body_region"):
        with pytest.raises(BundleError, match=field):
            dataclasses.replace(manifest, **{field: path})
    with pytest.raises(BundleError, match="domain"):
        Domain(name=path, modality="CT", cases=1)
    with pytest.raises(BundleError, match="training"):
        dataclasses.replace(manifest.training, hardware=path)


@pytest.mark.parametrize("text", ["CT/MR of the liver and/or spleen", "see https://example.org/models/1", "a: b / c"])
def test_ordinary_text_is_no_path(manifest: Manifest, text: str) -> None:
    assert dataclasses.replace(manifest, description=text).description == text


def test_organs_must_rise_so_that_channels_are_unambiguous(manifest: Manifest) -> None:
    liver, spleen = Organ("liver", 1, (1, 2, 3)), Organ("spleen", 1, (3, 2, 1))

    with pytest.raises(BundleError, match="rising"):
        dataclasses.replace(manifest, organs=(liver, spleen), segmenter=SegmenterSpec(width=1, classes=3))


def test_a_loss_that_is_no_number_cannot_be_written(manifest: Manifest) -> None:
    diverged = dataclasses.replace(manifest.training, losses={"segmentation": float("nan")})

    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(dataclasses.replace(manifest, training=diverged))


def test_now_is_a_valid_time(manifest: Manifest) -> None:
    assert dataclasses.replace(manifest, created=utc_now()).created.endswith("Z")


@pytest.mark.parametrize("name", ["model", "model.zip"])
def test_the_manifest_alone_can_be_read_from_a_bundle(
    manifest: Manifest, weights: bytes, tmp_path: Path, name: str
) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / name)

    found = read_manifest(bundle)

    assert dataclasses.replace(found, files={}) == manifest
    assert sorted(found.files) == ["MODEL_CARD.md", "weights.safetensors"]


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        read_manifest(tmp_path)


def test_a_manifest_of_a_gigabyte_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "manifest.json").open("wb") as file:
        file.truncate(1 << 30)

    with pytest.raises(BundleError, match="larger than 1 MiB"):
        read_manifest(tmp_path)


def test_slicer_can_read_manifests_without_torch_and_numpy() -> None:
    code = (
        "import sys, cisfa.bundle.manifest;"
        "print([name for name in ('torch', 'numpy', 'safetensors', 'SimpleITK') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)

    assert done.stdout.strip() == "[]"

import dataclasses
import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from cisfa.bundle.bundle_folder import open_bundle, verify_bundle, write_bundle
from cisfa.bundle.manifest import Manifest
from cisfa.errors import BundleError

BUNDLE_FILES = ["MODEL_CARD.md", "manifest.json", "weights.safetensors"]
FORMS = pytest.mark.parametrize("name", ["Leber & Niere ü", "Leber & Niere ü.zip"])


def files_of(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def content_of(bundle: Path) -> dict[str, bytes]:
    if bundle.is_dir():
        return {path.name: path.read_bytes() for path in bundle.iterdir()}
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def store(bundle: Path, content: Mapping[str, bytes]) -> Path:
    """Write a bundle's files as they are, a folder or a zip file like the bundle."""
    if bundle.suffix == ".zip":
        with zipfile.ZipFile(bundle, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    else:
        shutil.rmtree(bundle)
        bundle.mkdir()
        for name, data in content.items():
            (bundle / name).write_bytes(data)
    return bundle


@FORMS
def test_a_bundle_comes_back_as_it_was_written(manifest: Manifest, weights: bytes, tmp_path: Path, name: str) -> None:
    destination = tmp_path / "mit Leerzeichen und é" / name

    assert write_bundle(manifest, weights, destination) == destination

    bundle = open_bundle(destination)
    assert bundle.path == destination
    assert dataclasses.replace(bundle.manifest, files={}) == manifest
    assert bundle.weights_bytes() == weights
    assert load(bundle.weights_bytes())["encoder.weight"].shape == (8, 1, 3, 5)
    assert sorted(content_of(destination)) == BUNDLE_FILES
    assert files_of(destination.parent) == [name]


def test_weights_can_be_given_as_a_file(manifest: Manifest, weights: bytes, tmp_path: Path) -> None:
    (tmp_path / "trained.safetensors").write_bytes(weights)

    write_bundle(manifest, tmp_path / "trained.safetensors", tmp_path / "model")

    assert open_bundle(tmp_path / "model").weights_bytes() == weights


@FORMS
def test_the_checksum_is_that_of_the_manifest(manifest: Manifest, weights: bytes, tmp_path: Path, name: str) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / name)

    assert open_bundle(bundle).checksum == hashlib.sha256(content_of(bundle)["manifest.json"]).hexdigest()


def test_folder_and_zip_are_the_same_bundle(manifest: Manifest, weights: bytes, tmp_path: Path) -> None:
    folder = write_bundle(manifest, weights, tmp_path / "model")
    archive = write_bundle(manifest, weights, tmp_path / "model.ZIP")

    assert archive.is_file()
    assert content_of(folder) == content_of(archive)
    assert open_bundle(folder).checksum == open_bundle(archive).checksum


def test_the_same_model_gives_the_same_zip_file(manifest: Manifest, weights: bytes, tmp_path: Path) -> None:
    first = write_bundle(manifest, weights, tmp_path / "first.zip").read_bytes()
    second = write_bundle(manifest, weights, tmp_path / "second.zip").read_bytes()

    assert first == second


def test_verifying_says_what_was_checked(zipped: Path) -> None:
    checked = "\n".join(verify_bundle(zipped))

    assert open_bundle(zipped).checksum in checked
    for name in BUNDLE_FILES:
        assert name in checked
    assert "2 tensors" in checked


def test_the_model_card_says_what_matters(manifest: Manifest, weights: bytes, tmp_path: Path) -> None:
    card = content_of(write_bundle(manifest, weights, tmp_path / "model"))["MODEL_CARD.md"].decode("utf-8")

    for text in (
        manifest.name,
        "CT → MR",
        "| 5 | right kidney | SCT 64033007 (Kidney), SCT 24028007 (Right) |",
        "| 9 | a new organ | none known |",
        "Body region: abdomen",
        "12 cases",
        "600 steps",
        "2-core CPU",
        "| liver | 1.400 | 0.910 |",
        "target cases held out",
        "Research only",
        "not a medical device",
        "CC-BY-4.0",
    ):
        assert text in card


def test_the_model_card_of_an_unscored_model_says_so(manifest: Manifest, weights: bytes, tmp_path: Path) -> None:
    unscored = dataclasses.replace(manifest, scores=None, body_region=None)

    card = content_of(write_bundle(unscored, weights, tmp_path / "model"))["MODEL_CARD.md"].decode("utf-8")

    assert "not scored" in card
    assert "Body region" not in card


@FORMS
@pytest.mark.parametrize("file", BUNDLE_FILES)
def test_any_changed_byte_is_detected(manifest: Manifest, weights: bytes, tmp_path: Path, name: str, file: str) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / name)
    content, checksum = content_of(bundle), open_bundle(bundle).checksum
    length = len(content[file])
    for place in sorted({0, 1, 7, 8, length // 3, length // 2, length - 2, length - 1}):
        tampered = bytearray(content[file])
        tampered[place] ^= 0x01
        store(bundle, {**content, file: bytes(tampered)})
        try:
            found = open_bundle(bundle).checksum
        except BundleError:
            continue
        # a changed manifest may still be a valid one, but it names another bundle
        assert file == "manifest.json"
        assert found != checksum


@FORMS
@pytest.mark.parametrize("file", BUNDLE_FILES)
def test_a_missing_file_is_named(manifest: Manifest, weights: bytes, tmp_path: Path, name: str, file: str) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / name)
    content = content_of(bundle)
    del content[file]
    store(bundle, content)

    with pytest.raises(BundleError, match=file):
        open_bundle(bundle)


@FORMS
def test_a_file_that_the_manifest_does_not_list_is_named(
    manifest: Manifest, weights: bytes, tmp_path: Path, name: str
) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / name)
    store(bundle, {**content_of(bundle), "plugin.py": b"print('hello')"})

    with pytest.raises(BundleError, match=r"plugin\.py.*not list"):
        open_bundle(bundle)


@FORMS
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_file_of_another_length_is_named(
    manifest: Manifest, weights: bytes, tmp_path: Path, name: str, difference: int
) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / name)
    longer = weights + b"\0" if difference > 0 else weights[:difference]
    store(bundle, {**content_of(bundle), "weights.safetensors": longer})

    with pytest.raises(BundleError, match=rf"weights\.safetensors.*{len(longer)} bytes.*lists {len(weights)}"):
        open_bundle(bundle)


@FORMS
def test_pickled_weights_are_refused_even_when_the_manifest_lists_them(
    manifest: Manifest, weights: bytes, tmp_path: Path, name: str
) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / name)
    content, marker = content_of(bundle), tmp_path / "the pickle was run"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (marker,))

    content["weights.safetensors"] = pickle.dumps(Trap())
    values = json.loads(content["manifest.json"])
    values["files"]["weights.safetensors"] = {
        "sha256": hashlib.sha256(content["weights.safetensors"]).hexdigest(),
        "size_bytes": len(content["weights.safetensors"]),
    }
    content["manifest.json"] = json.dumps(values).encode()
    store(bundle, content)

    with pytest.raises(BundleError, match="no valid safetensors"):
        open_bundle(bundle)
    assert not marker.exists()


def test_only_safetensors_are_written(manifest: Manifest, tmp_path: Path) -> None:
    pickled = io.BytesIO()
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "weights.pt").write_bytes(pickle.dumps({"weight": [1.0]}))

    for weights in (pickled.getvalue(), tmp_path / "weights.pt", b"", b"{}"):
        with pytest.raises(BundleError, match="no valid safetensors"):
            write_bundle(manifest, weights, tmp_path / "model")
    with pytest.raises(BundleError, match="no tensor"):
        write_bundle(manifest, (2).to_bytes(8, "little") + b"{}", tmp_path / "model")
    with pytest.raises(BundleError, match=r"missing\.safetensors cannot be read"):
        write_bundle(manifest, tmp_path / "missing.safetensors", tmp_path / "model")
    assert files_of(tmp_path) == ["weights.pt"]


def test_a_newer_bundle_asks_for_an_update(zipped: Path) -> None:
    content = content_of(zipped)
    values = json.loads(content["manifest.json"])
    values["schema_version"] = 99
    store(zipped, {**content, "manifest.json": json.dumps(values).encode()})

    with pytest.raises(BundleError, match=r"newer version.*99.*Update"):
        open_bundle(zipped)


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere does not exist"):
        open_bundle(tmp_path / "nowhere")


def symlink(link: Path, target: Path) -> None:
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("this account may not make links")


def test_a_link_in_a_folder_is_refused(manifest: Manifest, weights: bytes, tmp_path: Path) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / "model")
    (bundle / "weights.safetensors").rename(tmp_path / "elsewhere")
    symlink(bundle / "weights.safetensors", tmp_path / "elsewhere")

    with pytest.raises(BundleError, match="a link"):
        open_bundle(bundle)


def test_a_folder_in_a_folder_is_refused(manifest: Manifest, weights: bytes, tmp_path: Path) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / "model")
    (bundle / "more").mkdir()

    with pytest.raises(BundleError, match="'more'"):
        open_bundle(bundle)


def test_what_file_browsers_leave_behind_does_no_harm(manifest: Manifest, weights: bytes, tmp_path: Path) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / "model")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (bundle / name).write_bytes(b"x")

    assert open_bundle(bundle).weights_bytes() == weights


@FORMS
def test_weights_changed_after_opening_are_not_handed_out(
    manifest: Manifest, weights: bytes, tmp_path: Path, name: str
) -> None:
    bundle = open_bundle(write_bundle(manifest, weights, tmp_path / name))
    content = content_of(bundle.path)
    store(bundle.path, {**content, "weights.safetensors": weights[:-1] + bytes([weights[-1] ^ 1])})

    with pytest.raises(BundleError, match="changed or damaged"):
        bundle.weights_bytes()

    store(bundle.path, {"manifest.json": content["manifest.json"]})
    with pytest.raises(BundleError, match="gone"):
        bundle.weights_bytes()


@FORMS
def test_nothing_is_written_where_nothing_can_be(manifest: Manifest, weights: bytes, tmp_path: Path, name: str) -> None:
    (tmp_path / "a file").write_text("mine", encoding="utf-8")

    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(manifest, weights, tmp_path / "a file" / name)

    assert files_of(tmp_path) == ["a file"]
    assert (tmp_path / "a file").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs permissions that bind this account")
@FORMS
def test_a_folder_that_may_not_be_written_stays_as_it_was(
    manifest: Manifest, weights: bytes, tmp_path: Path, name: str
) -> None:
    locked = tmp_path / "locked"
    write_bundle(manifest, weights, locked / name)
    locked.chmod(0o500)
    try:
        with pytest.raises(BundleError, match="cannot be written"):
            write_bundle(dataclasses.replace(manifest, name="new"), weights, locked / name, overwrite=True)
        assert open_bundle(locked / name).manifest.name == manifest.name
        assert files_of(locked) == [name]
    finally:
        locked.chmod(0o700)


@FORMS
def test_a_bundle_is_replaced_only_when_told_to(manifest: Manifest, weights: bytes, tmp_path: Path, name: str) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / name)
    newer = dataclasses.replace(manifest, version="2.0")

    with pytest.raises(BundleError, match="there already"):
        write_bundle(newer, weights, bundle)
    assert open_bundle(bundle).manifest.version == "1.0"

    write_bundle(newer, weights, bundle, overwrite=True)
    assert open_bundle(bundle).manifest.version == "2.0"
    assert files_of(tmp_path) == [name]


@FORMS
def test_a_replacement_that_fails_leaves_the_former_bundle(
    manifest: Manifest, weights: bytes, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle(manifest, weights, tmp_path / name)
    rename = os.replace

    def fail_for_new_ones(source: Path, target: Path) -> None:
        if Path(source).name.startswith(".writing-"):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail_for_new_ones)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(dataclasses.replace(manifest, version="2.0"), weights, bundle, overwrite=True)

    assert open_bundle(bundle).manifest.version == "1.0"
    assert files_of(tmp_path) == [name]


def test_a_folder_that_is_no_bundle_is_never_replaced(manifest: Manifest, weights: bytes, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work", encoding="utf-8")
    (tmp_path / "thesis" / "manifest.json").write_text("{}", encoding="utf-8")
    (tmp_path / "a folder.zip").mkdir()
    (tmp_path / "a file").write_text("mine", encoding="utf-8")

    for name in ("thesis", "a folder.zip", "a file"):
        with pytest.raises(BundleError, match="is no bundle"):
            write_bundle(manifest, weights, tmp_path / name, overwrite=True)

    assert (tmp_path / "thesis" / "chapter.tex").read_text(encoding="utf-8") == "years of work"
    assert files_of(tmp_path) == ["a file", "a folder.zip", "thesis"]


def test_an_empty_folder_is_filled(manifest: Manifest, weights: bytes, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()

    assert open_bundle(write_bundle(manifest, weights, tmp_path / "new")).manifest.name == manifest.name


def test_no_path_of_this_computer_gets_into_a_bundle(manifest: Manifest, weights: bytes, tmp_path: Path) -> None:
    content = content_of(write_bundle(manifest, weights, tmp_path / "model"))

    assert not any(str(part).encode() in data for part in (tmp_path, Path.home()) for data in content.values())

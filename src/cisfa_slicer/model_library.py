"""The models that a user can choose from: a folder of bundles, the demo, and what a catalogue offers to download."""

import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cisfa.bundle.manifest import MANIFEST, Manifest
from cisfa.bundle.manifest_file import read_manifest
from cisfa.errors import BundleError, CisfaError
from cisfa_slicer.data_folder import data_folder
from cisfa_slicer.model_catalogue import CatalogueModel, read_catalogue
from cisfa_slicer.settings import CATALOGUE, MODEL_FOLDER, read_setting

DEMO_KEY = "demo"
_ARCHIVE_SUFFIX = ".zip"


class ModelLibraryError(CisfaError):
    """A model cannot be added or removed."""


@dataclass(frozen=True)
class Model:
    """A bundle on this computer.

    Attributes:
        key: What a scene remembers it by: its name in the model folder, or :data:`DEMO_KEY`.
        path: The zip file or folder.
        manifest: What it says about itself; None when that cannot be read.
        problem: Why it cannot be used, in a sentence; empty when it can.
        size_bytes: On the disk.
    """

    key: str
    path: Path
    manifest: Manifest | None
    problem: str
    size_bytes: int

    @property
    def name(self) -> str:
        """For a list."""
        return self.manifest.name if self.manifest else f"{self.path.name} (cannot be used)"

    def require_manifest(self) -> Manifest:
        """What it says about itself.

        Raises:
            ModelLibraryError: It cannot be used.
        """
        if self.manifest is None:
            raise ModelLibraryError(self.problem)
        return self.manifest


class ModelLibrary:
    """The model folder with the demo bundle before it."""

    def __init__(self, demo_bundle: Path, catalogue: Path) -> None:
        """Look at nothing yet.

        Args:
            demo_bundle: That comes with the extension, so that there is always a model.
            catalogue: That comes with the extension; the user's settings can name another one.
        """
        self._demo_bundle, self._catalogue = demo_bundle, catalogue

    @property
    def folder(self) -> Path:
        """Where bundles are kept, as the user's settings say; it need not exist yet."""
        return data_folder("models", MODEL_FOLDER)

    def demo(self) -> Model:
        """The model that is always there."""
        return _model(DEMO_KEY, self._demo_bundle)

    def models(self) -> tuple[Model, ...]:
        """The demo, then what lies in the model folder by name; broken bundles too, so that nobody misses them.

        Raises:
            ModelLibraryError: The folder cannot be read.
        """
        return (self.demo(), *(_model(path.name, path) for path in self._bundles()))

    def find(self, key: str) -> Model | None:
        """The model with this key; None when it is gone."""
        return next((model for model in self.models() if model.key == key), None)

    def add(self, bundle: Path) -> Model:
        """Copy a bundle into the model folder.

        Raises:
            BundleError: It is no bundle.
            ModelLibraryError: There is one of that name already, or it cannot be copied.
        """
        manifest_folder = bundle.parent if bundle.name == MANIFEST else bundle
        read_manifest(manifest_folder)
        target = self.folder / manifest_folder.name
        if os.path.lexists(target):
            raise ModelLibraryError(
                f"There is a model called {target.name} already. Remove it first, or rename the new one's file."
            )
        unfinished = self.folder / f".adding-{uuid.uuid4().hex[:12]}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if manifest_folder.is_dir() else shutil.copyfile)(manifest_folder, unfinished)
            os.replace(unfinished, target)
        except OSError as error:
            _delete(unfinished)
            raise ModelLibraryError(
                f"{manifest_folder.name} cannot be copied into {self.folder}: {error.strerror or error}. Check the free"
                " space and that you may write there."
            ) from error
        return _model(target.name, target)

    def require_removable(self, key: str) -> None:
        """Say no before anybody is asked whether to remove the demo.

        Raises:
            ModelLibraryError: It is the demo.
        """
        if key == DEMO_KEY:
            raise ModelLibraryError("The demo model belongs to the extension and stays.")

    def remove(self, key: str) -> None:
        """Delete a model's file.

        Raises:
            ModelLibraryError: It is the demo, or cannot be deleted.
        """
        self.require_removable(key)
        path = self.folder / Path(key).name
        try:
            _delete(path)
        except OSError as error:
            raise ModelLibraryError(f"{path.name} cannot be removed: {error.strerror or error}.") from error

    def downloadable(self) -> tuple[CatalogueModel, ...]:
        """What the catalogue offers and the model folder does not have.

        Raises:
            CatalogueError: The catalogue cannot be read.
        """
        chosen = read_setting(CATALOGUE)
        there = {path.name for path in self._bundles()}
        offered = read_catalogue(Path(chosen) if chosen else self._catalogue)
        return tuple(model for model in offered if model.file_name not in there)

    def _bundles(self) -> Iterator[Path]:
        if not self.folder.is_dir():
            return
        try:
            paths = sorted(self.folder.iterdir(), key=lambda each: each.name.casefold())
        except OSError as error:
            raise ModelLibraryError(
                f"The model folder {self.folder} cannot be read: {error.strerror or error}. Choose another one under"
                " Advanced."
            ) from error
        for path in paths:
            is_bundle = path.suffix.lower() == _ARCHIVE_SUFFIX or (path / MANIFEST).is_file()
            if is_bundle and not path.name.startswith("."):
                yield path


def _model(key: str, path: Path) -> Model:
    manifest, problem = None, ""
    try:
        manifest = read_manifest(path)
    except BundleError as error:
        problem = str(error)
    return Model(key, path, manifest, problem, _size_of(path))


def _size_of(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

"""The fields of the export window: the destination, and what of it is remembered. Credentials never are."""

from typing import Any

from cisfa_slicer.settings import (
    DICOMWEB_ADDRESS,
    DIMSE_CALLED,
    DIMSE_CALLING,
    DIMSE_HOST,
    DIMSE_PORT,
    EXPORT_KIND,
    EXPORT_TARGET,
    read_setting,
    write_setting,
)
from CISFASegmentationLib.export_run import Kind
from CISFASegmentationLib.export_targets import (
    DatabaseTarget,
    Target,
    dicomweb_target,
    dimse_target,
    folder_target,
)

_KINDS: tuple[Kind, ...] = ("binary", "labelmap")


class ExportFields:
    """Destination and kind, as the user has chosen them."""

    def __init__(self, ui: Any) -> None:
        """Show what was chosen last.

        Args:
            ui: Holds the radio buttons, their pages' fields and kindSelector.
        """
        self._ui = ui
        # in the order of the pages
        self._radios = {
            "folder": ui.folderRadio, "database": ui.databaseRadio, "dicomweb": ui.dicomWebRadio, "dimse": ui.dimseRadio
        }  # fmt: skip
        self._texts = {
            DICOMWEB_ADDRESS: ui.addressEdit,
            DIMSE_HOST: ui.hostEdit,
            DIMSE_CALLED: ui.calledEdit,
            DIMSE_CALLING: ui.callingEdit,
        }
        for page, radio in enumerate(self._radios.values()):
            radio.connect("toggled(bool)", lambda checked, page=page: self._show_page(page) if checked else None)
        self._recall()

    @property
    def kind(self) -> Kind:
        """How the voxels are kept."""
        return _KINDS[self._ui.kindSelector.currentIndex]

    def target(self) -> Target:
        """The destination.

        Raises:
            TargetError: It is not complete.
        """
        ui = self._ui
        match self._chosen:
            case "folder":
                return folder_target(ui.folderEdit.currentPath)
            case "dicomweb":
                return dicomweb_target(ui.addressEdit.text, ui.userEdit.text, ui.passwordEdit.text)
            case "dimse":
                return dimse_target(ui.hostEdit.text, ui.portSpinBox.value, ui.calledEdit.text, ui.callingEdit.text)
            case _:
                return DatabaseTarget()

    def remember(self) -> None:
        """For the next time: all but user and password."""
        write_setting(EXPORT_TARGET, self._chosen)
        write_setting(EXPORT_KIND, self.kind)
        write_setting(DIMSE_PORT, str(self._ui.portSpinBox.value))
        for name, field in self._texts.items():
            write_setting(name, field.text.strip())

    def forget_credentials(self) -> None:
        """The window is closed."""
        self._ui.userEdit.text = self._ui.passwordEdit.text = ""

    @property
    def _chosen(self) -> str:
        return next(name for name, radio in self._radios.items() if radio.checked)

    def _recall(self) -> None:
        self._radios.get(read_setting(EXPORT_TARGET), self._ui.folderRadio).checked = True
        kind, port = read_setting(EXPORT_KIND), read_setting(DIMSE_PORT)
        self._ui.kindSelector.currentIndex = [*_KINDS].index(kind) if kind in _KINDS else 0
        if port.isdecimal():
            self._ui.portSpinBox.value = int(port)
        for name, field in self._texts.items():
            field.text = read_setting(name)

    def _show_page(self, page: int) -> None:
        self._ui.destinationStack.currentIndex = page

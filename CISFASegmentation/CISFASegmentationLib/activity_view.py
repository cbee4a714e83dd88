"""The button that starts and cancels, the progress bar under it, and the sentence that says how it went."""

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from cisfa.events import Event, Progress


class ActivityView:
    """What is going on, of which there is one thing at a time."""

    def __init__(self, ui: Any, others: tuple[Any, ...], log: Callable[[str], object]) -> None:
        """Show that nothing is going on.

        Args:
            ui: Holds segmentButton, progressBar, stageLabel and messageLabel.
            others: Widgets that must not be used meanwhile.
            log: Takes what is said of failures, too.
        """
        self._ui, self._others, self._log = ui, others, log
        self._cancel: Callable[[], object] | None = None
        self._prefix, self._is_stopping = "", False
        self._show_idle()

    @property
    def is_busy(self) -> bool:
        """True while something is going on."""
        return self._cancel is not None

    def begin(self, what: str, cancel: Callable[[], object]) -> None:
        """Something starts.

        Args:
            what: In words: "Segmenting".
            cancel: Stops it when the user says so.
        """
        self._cancel, self._prefix, self._is_stopping = cancel, "", False
        self._ui.segmentButton.text = _("Cancel")
        self._ui.segmentButton.toolTip = _("Stop; the scene stays as it is")
        self._ui.progressBar.visible = True
        self._ui.progressBar.setRange(0, 0)  # busy, while nobody knows for how long
        self._ui.stageLabel.visible = True
        self._ui.stageLabel.text = what
        self.show_message("")
        for widget in self._others:
            widget.enabled = False

    def begin_what_cannot_be_cancelled(self, what: str) -> None:
        """Something starts that has to run to its end."""
        self.begin(what, lambda: None)
        self._ui.segmentButton.enabled = False

    def show_prefix(self, prefix: str) -> None:
        """Say which of several things is going on: "2 of 5: name"."""
        self._prefix = prefix
        self._ui.stageLabel.text = prefix

    def show_event(self, event: Event) -> None:
        """Show how far it is, and how long it will take; other events are not for this place."""
        if not isinstance(event, Progress) or self._is_stopping:
            return
        self._ui.progressBar.setRange(0, 100)
        self._ui.progressBar.setValue(round(100 * event.fraction))
        words = [self._prefix, event.stage, _in_words(event.remaining_s)]
        self._ui.stageLabel.text = ", ".join(word for word in words if word)

    def cancel(self) -> None:
        """The user wants to stop."""
        if self._cancel is not None:
            self._is_stopping = True
            self._ui.segmentButton.enabled = False
            self._ui.stageLabel.text = _("Stopping …")
            self._cancel()

    def end(self, message: str, *, is_failure: bool = False) -> None:
        """It is over; the button is back."""
        self._cancel = None
        self._show_idle()
        self.show_message(message, is_failure=is_failure)

    def show_message(self, message: str, *, is_failure: bool = False) -> None:
        """Say a sentence under the button."""
        if is_failure:
            self._log(message)
        self._ui.messageLabel.text = message
        self._ui.messageLabel.visible = bool(message)
        self._ui.messageLabel.styleSheet = "color: #b00020; font-weight: bold;" if is_failure else ""

    def _show_idle(self) -> None:
        self._ui.segmentButton.text = _("Segment")
        self._ui.segmentButton.toolTip = _("Segment the input volume with the chosen model")
        self._ui.segmentButton.enabled = True
        self._ui.progressBar.visible = False
        self._ui.stageLabel.text = ""
        self._ui.stageLabel.visible = False
        for widget in self._others:
            widget.enabled = True


def _in_words(remaining_s: float | None) -> str:
    if remaining_s is None:
        return ""
    if remaining_s < 90:
        return _("about {count} s left").format(count=max(1, round(remaining_s)))
    return _("about {count} min left").format(count=round(remaining_s / 60))

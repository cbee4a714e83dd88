"""Dialogs that would wait for a person: a test says beforehand what that person answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6 import QtWidgets

from slicer_host import slot_errors
from slicer_host.special_members import method, static
from slicer_host.wrapped import Wrapped, wrapped


class UnexpectedDialogError(AssertionError):
    """A dialog opened, and the test had not said what to answer."""


@dataclass(frozen=True)
class Shown:
    """What a dialog said.

    Attributes:
        kind: Its class.
        title: Of the window.
        text: The message or question.
        dialog: The dialog; None where there is only a static function.
    """

    kind: str
    title: str
    text: str
    dialog: Any = None


class Dialogs:
    """The queue of answers, and what was shown."""

    def __init__(self) -> None:
        self._answers: list[Any] = []
        self.shown: list[Shown] = []

    @property
    def texts(self) -> list[str]:
        """What was said and asked so far."""
        return [each.text for each in self.shown]

    def answer_next(self, *answers: Any) -> None:
        """Answer the next dialogs.

        Args:
            answers: For a message box a button ("Yes", "Cancel", qt.QMessageBox.Ok); for any other dialog its result,
                True or False; for file and input dialogs what is chosen, "" for Cancel. Or a function, which gets the
                dialog (a :class:`Shown`) and returns such an answer.
        """
        self._answers += answers

    def clear(self) -> None:
        self._answers.clear()
        self.shown.clear()

    def require_all_used(self) -> None:
        """Fail when a dialog that was to be answered never came."""
        answers, self._answers = self._answers, []
        if answers:
            raise AssertionError(f"These dialogs never came: their answers would have been {answers}.")

    def take_answer(self, shown: Shown) -> Any:
        self.shown.append(shown)
        if not self._answers:
            error = UnexpectedDialogError(
                f"A {shown.kind} opened that nobody expected. Title: {shown.title!r}, text: {shown.text!r}."
            )
            # whoever opened it may swallow the error; the test is to fail all the same
            slot_errors.collect(error)
            raise error
        answer = self._answers.pop(0)
        return answer(shown) if callable(answer) else answer


queue = Dialogs()


def ask(kind: str, text: str, *, title: str = "", default: Any) -> Any:
    """The answer to a dialog that there is only a function for."""
    answer = queue.take_answer(Shown(kind, title, text))
    return default if answer is None else answer


def _code_of_button(answer: Any) -> int:
    if isinstance(answer, str):
        return int(getattr(QtWidgets.QMessageBox.StandardButton, answer).value)
    return int(answer)


@method("QDialog", "exec")
def run_dialog(wrapper: Wrapped) -> int:
    dialog = wrapper._native
    labels = [label.text() for label in dialog.findChildren(QtWidgets.QLabel)]
    shown = Shown(type(dialog).__name__, dialog.windowTitle(), "\n".join(filter(None, labels)), wrapper)
    code = int(queue.take_answer(shown) or 0)
    dialog.done(code)
    return code


@method("QMessageBox", "exec")
def run_message_box(wrapper: Wrapped) -> int:
    box = wrapper._native
    text = "\n".join(filter(None, (box.text(), box.informativeText())))
    answer = queue.take_answer(Shown(type(box).__name__, box.windowTitle(), text, wrapper))
    own = next((button for button in box.buttons() if button.text() == answer), None)
    if own is not None:
        own.click()
        return box.result()
    code = _code_of_button(answer)
    button = box.button(QtWidgets.QMessageBox.StandardButton(code))
    if button is None:
        raise AssertionError(f"The message box {text!r} has no button {answer!r}.")
    button.click()
    return code


def _message_function(name: str) -> Callable[..., int]:
    def show(parent: Any, title: str, text: str, *buttons: Any) -> int:
        return _code_of_button(queue.take_answer(Shown(f"QMessageBox.{name}", title, text)))

    return show


for _name in ("information", "question", "warning", "critical", "about"):
    static("QMessageBox", _name)(_message_function(_name))


def _choosing_function(cls: str, name: str, text_at: int, when_cancelled: Any) -> None:
    def choose(parent: Any = None, title: str = "", *more: Any) -> Any:
        text = str(more[text_at]) if len(more) > text_at else ""
        return wrapped(ask(f"{cls}.{name}", text or title, title=title, default=when_cancelled))

    static(cls, name)(choose)


for _name in ("getOpenFileName", "getSaveFileName", "getExistingDirectory"):
    _choosing_function("QFileDialog", _name, 9, "")
_choosing_function("QFileDialog", "getOpenFileNames", 9, [])
for _name, _empty in (("getText", ""), ("getItem", ""), ("getMultiLineText", ""), ("getInt", 0), ("getDouble", 0.0)):
    _choosing_function("QInputDialog", _name, 0, _empty)

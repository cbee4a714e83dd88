"""What a check has found, for the user to read: errors, warnings, and what a training would cost."""

import html
from collections.abc import Iterator

from slicer.i18n import tr as _

from cisfa.cases.check_report import CheckReport, Estimate, Finding
from CISFATrainingLib.run_words import duration

# of errors, of warnings, of what is good; on a light background, and on a dark one
_ON_LIGHT, _ON_DARK = ("#b00020", "#a06000", "#1b7a3d"), ("#ff6b6b", "#ffb74d", "#81c784")


def findings_as_html(report: CheckReport, *, is_dark: bool = False) -> str:
    """The report as a page, for a light or a dark background."""
    error, warning, good = _ON_DARK if is_dark else _ON_LIGHT
    parts = [
        *(_finding(finding, error, _("Error")) for finding in report.errors),
        *(_finding(finding, warning, _("Warning")) for finding in report.warnings),
    ]
    if not parts:
        parts.append(f'<p style="color: {good}">{html.escape(_("Nothing is wrong with the cases and settings."))}</p>')
    if report.estimate is not None:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td><b>{html.escape(value)}</b></td></tr>"
            for name, value in _lines(report.estimate)
        )
        parts.append(f'<table cellpadding="2">{rows}</table>')
    return "".join(parts)


def _finding(finding: Finding, colour: str, word: str) -> str:
    return f'<p><b style="color: {colour}">{html.escape(word)}:</b> {html.escape(finding.message)}</p>'


def _lines(estimate: Estimate) -> Iterator[tuple[str, str]]:
    yield _("Runs on"), estimate.device
    yield _("Steps"), f"{estimate.steps}"
    if estimate.total_s is not None:
        how = {"measured": _("measured"), "extrapolated": _("from smaller slices")}.get(estimate.time_basis, "")
        yield _("Time"), f"{duration(estimate.total_s)} ({how}, {estimate.step_s:.2g} s a step)"
    yield _("Memory"), _of_free(estimate.memory_mib, estimate.free_memory_mib)
    yield _("Disk"), _of_free(estimate.disk_mib, estimate.free_disk_mib)


def _of_free(needed_mib: float, free_mib: float | None) -> str:
    if free_mib is None:
        return _size(needed_mib)
    return _("{needed} of {free} that are free").format(needed=_size(needed_mib), free=_size(free_mib))


def _size(mib: float) -> str:
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB"

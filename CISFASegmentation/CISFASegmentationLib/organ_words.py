"""What is known of organs, in the user's language. "Good" is not among the words: nobody has compared with a truth."""

from collections.abc import Sequence

from slicer.i18n import tr as _

from CISFASegmentationLib.organ_results import Level, OrganResult

_WORDS = {Level.GREEN: "Plausible", Level.AMBER: "Check", Level.RED: "Doubtful"}
_MEANINGS = {
    Level.GREEN: "Plausible: nothing was found that speaks against this organ. That is no proof.",
    Level.AMBER: "Check: something speaks against this organ.",
    Level.RED: "Doubtful: this organ is probably wrong, in part or as a whole.",
}
_NOT_FOUND = (
    "Not found: the model drew nothing of this organ. Look whether it is there; the volume and the model do not tell."
)
_CAUTION = (
    "An estimate from the volume and the model alone, without knowing the truth. It is no diagnosis, and does not"
    " replace looking at the organ."
)


def quality_word(organ: OrganResult) -> str:
    """An organ's quality in a word or two."""
    if organ.is_edited:
        return str(_("Edited"))
    if _is_not_found(organ):
        return str(_("Not found"))
    return str(_(_WORDS[organ.quality.level])) if organ.quality else str(_("Not estimated"))


def said_of_all(organs: Sequence[OrganResult]) -> tuple[str, ...]:
    """Reasons that hold for all organs that were found, so that they are better said once than in every row.

    None, when without them somebody would look in vain for why an organ is doubtful.
    """
    found = [
        set(organ.quality.reasons) for organ in organs if organ.quality and organ.components and not organ.is_edited
    ]
    if len(found) < 2:
        return ()
    shared = set.intersection(*found)
    if any(organ.is_doubtful and organ.quality and set(organ.quality.reasons) == shared for organ in organs):
        return ()
    first = next(organ.quality.reasons for organ in organs if organ.quality and shared.issubset(organ.quality.reasons))
    return tuple(reason for reason in first if reason in shared)


def remarks_of(organ: OrganResult, leave_out: Sequence[str] = ()) -> list[str]:
    """An organ's remarks, each complete in itself.

    Args:
        organ: Of a result.
        leave_out: Reasons that are said elsewhere.
    """
    if organ.is_edited:
        return [_("changed by hand since; volume, intensity and quality were those before")]
    remarks = [_(remark) for remark in organ.remarks if remark not in leave_out]
    # beside sentences, a few words are a sentence too
    return [_as_sentence(remark) for remark in remarks] if organ.quality and organ.quality.reasons else remarks


def explanation_of(organ: OrganResult) -> list[str]:
    """All that is known of an organ's quality, line by line."""
    if organ.is_edited:
        return remarks_of(organ)
    if organ.quality is None:
        missing = _(
            "The quality was not estimated: memory ran out, or the version of CISFA that made this result does not do"
            " so."
        )
        return [missing, *remarks_of(organ)]
    if _is_not_found(organ):
        return [_(_NOT_FOUND), *remarks_of(organ), caution()]
    score = _(
        "Score {score}: the overlap with the truth (Dice, from 0 to 1) is probably not above it, and may be below."
    )
    score = score.format(score=f"{organ.quality.score:.2f}")
    return [_(_MEANINGS[organ.quality.level]), *remarks_of(organ), score, caution()]


def caution() -> str:
    """What every reader of a quality has to know."""
    return str(_(_CAUTION))


def verdict_on(organs: Sequence[OrganResult]) -> str:
    """A sentence or two about all organs of a result; empty when none is to be looked at for its quality."""
    judged = [organ for organ in organs if organ.quality and not organ.is_edited]
    levels = [organ.quality.level for organ in judged if organ.quality and not _is_not_found(organ)]
    doubts, lost = _doubts(levels.count(Level.RED), levels.count(Level.AMBER), len(organs)), len(judged) - len(levels)
    if not lost:
        return doubts
    if doubts:
        told = _("1 was not found.") if lost == 1 else _("{count} were not found.")
    elif lost == 1:
        told = _("1 of {total} organs was not found: look whether it is there.")
    else:
        told = _("{count} of {total} organs were not found: look whether they are there.")
    return f"{doubts} {told.format(count=lost, total=len(organs))}".strip()


def _doubts(red: int, amber: int, total: int) -> str:
    """A sentence about the organs that were found and are doubtful; empty for none."""
    if red == 1:
        sentence = _("1 of {total} organs is doubtful: look at it before you use it.").format(total=total)
    elif red:
        sentence = _("{count} of {total} organs are doubtful: look at them before you use them.")
        sentence = sentence.format(count=red, total=total)
    elif amber == 1:
        return str(_("Check 1 of {total} organs before you use it.").format(total=total))
    elif amber:
        return str(_("Check {count} of {total} organs before you use them.").format(count=amber, total=total))
    else:
        return ""
    return str(sentence) + (" " + _("Check {count} more.").format(count=amber) if amber else "")


def names_of_doubtful(organs: Sequence[OrganResult], *, with_reasons: bool = True) -> list[str]:
    """The organs to look at twice, each with why.

    Args:
        organs: Of one result.
        with_reasons: False for a word each, where a table beside it gives the reasons.
    """
    shared = said_of_all(organs)
    return [f"{organ.name} ({_why(organ, shared, with_reasons=with_reasons)})" for organ in organs if organ.is_doubtful]


def _why(organ: OrganResult, leave_out: Sequence[str], *, with_reasons: bool) -> str:
    if organ.quality is None:
        return ", ".join(remarks_of(organ))
    word, reasons = quality_word(organ).lower(), [remark.rstrip(".") for remark in remarks_of(organ, leave_out)]
    return f"{word}: {'; '.join(reasons)}" if with_reasons and reasons else word


def _is_not_found(organ: OrganResult) -> bool:
    """True where the job judged that there is nothing, which is another thing than to judge what is there."""
    return organ.quality is not None and organ.components == 0 and not organ.is_edited


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def look_at(things: Sequence[str]) -> str:
    """A sentence that names what to look at twice and can follow another one; empty for nothing."""
    return " " + _("Look twice at: {things}.").format(things=", ".join(things)) if things else ""

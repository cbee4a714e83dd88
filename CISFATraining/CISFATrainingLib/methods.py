"""The training methods as the panel offers them."""

from dataclasses import dataclass

from slicer.i18n import tr as _


@dataclass(frozen=True)
class MethodChoice:
    """One method.

    Attributes:
        name: As after ``--method``.
        title: For the list.
        about: What it does, in a sentence.
        has_target: False when it learns from the source alone.
    """

    name: str
    title: str
    about: str
    has_target: bool = True


def method_choices() -> tuple[MethodChoice, ...]:
    """All methods, the recommended one first."""
    return (
        MethodChoice(
            "cisfa-plus",
            _("CISFA+ (adapts to the target; recommended)"),
            _(
                "Learns the organs on source slices with many looks, translated ones among them, and on target slices"
                " that a teacher labels."
            ),
        ),
        MethodChoice(
            "cisfa",
            _("CISFA (adapts to the target, as published)"),
            _("Translates source slices into the target's style and learns the organs on them."),
        ),
        MethodChoice(
            "source-only",
            _("Source only (no adaptation)"),
            _("Learns from the source and is applied to the target as it is: what CISFA has to beat."),
        ),
        MethodChoice(
            "supervised",
            _("Supervised (annotated cases of the target's own kind)"),
            _("Learns from the source table alone, which holds annotated cases of the kind to segment."),
            has_target=False,
        ),
        MethodChoice(
            "supervised-plus",
            _("Supervised, with random looks (annotated cases of the target's own kind)"),
            _("As Supervised, with the looks, losses and network of CISFA+."),
            has_target=False,
        ),
    )

"""Choosing how to repair differences, and confirming it."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from amp_console.console.dialogs.base import (
    DIALOG_SHEET,
    Answer,
    Confirm,
    Question,
    Sheets,
    typeable,
)
from amp_console.console.texts import MUTED, WARN, safe_lines, safe_text
from amp_console.console.widgets.button_row import ButtonRow
from amp_console.console.widgets.key_footer import FooterKey
from amp_console.ledger.comparisons import EXTRA, DifferenceKind
from amp_console.ledger.repairs import RepairChoice
from amp_console.sync.reconcile.plan import RepairPlan
from amp_console.text import clean, plural

SAMPLES = 3
NAMED = 8  # audiences that are named; more are only counted
NOT_OURS = "Users who appear in no event may have been added by a colleague or another tool."
NEXT = "next"  # in the footer: move to the next answer
FOLLOW = "Make the ledger follow the list"
_IN_SHORT = {
    "both": "Add and remove",
    "add": "Add",
    "remove": "Remove",
    "replace": "Replace",
    "follow": "Follow the list",
}


class OfferParts(NamedTuple):
    """Users in a repair who are neither missing nor extra, or who are already pending.

    The next sync sends the `unsent` ones, whose events had not been sent when the cohort was
    compared, and the `due` ones, which the comparison made pending. Amplitude rejected the
    `rejected` ones. For the `disagreeing` ones, the cohort matches the list, but the ledger does
    not.
    """

    unsent: int = 0
    rejected: int = 0
    due: int = 0
    disagreeing: int = 0

    def sentences(self, differing: int) -> Iterator[str]:
        """Say what a repair of everyone sends, and why; `differing` are missing or extra."""
        if self.unsent:
            them = "them" if self.unsent > 1 else "it"
            yield (
                f"{plural(self.unsent, 'change')} not sent yet: the next sync or live session "
                f"sends {them}, a repair sends {them} now."
            )
        if self.rejected:
            yield f"A repair tries again to add {plural(self.rejected, 'rejected user')}."
        if self.due:
            are, them = ("is", "it") if self.due == 1 else ("are", "them")
            yield (
                f"{self.due:,} of {plural(differing, 'difference')} {are} pending already: the "
                f"next sync or live session sends {them}, with or without a repair."
            )
        if self.disagreeing:
            people = plural(self.disagreeing, "person", "people")
            yield (
                f"The cohort is as the list says for {people} that the ledger disagrees about: a "
                "repair makes the ledger follow the list."
            )


class Offer(NamedTuple):
    """What a repair can do: additions, removals, and whether only for the marked people."""

    title: str
    add: int
    remove: int
    is_marked: bool
    can_replace: bool
    quota: str
    parts: OfferParts = OfferParts()
    cohorts: int = 1
    """The number of cohorts."""
    audiences: tuple[str, ...] = ()
    """For several audiences, each one's numbers from `audience_numbers`."""

    @property
    def sends_nothing(self) -> bool:
        """Whether a repair would change only the ledger."""
        return bool(self.parts.disagreeing and not (self.add or self.remove))


class RepairRequest(NamedTuple):
    """What the operator chose."""

    choice: RepairChoice
    replace: bool
    verify: bool


class ChoiceDialog(Question[RepairRequest | None]):
    """Asks what to repair. Nothing is sent yet.

    Arrows choose, Enter or y confirms; other letters have other meanings on the screen below.
    """

    CSS_PATH: ClassVar[Sheets] = [DIALOG_SHEET, "choice.tcss"]

    def __init__(self, offer: Offer) -> None:
        super().__init__()
        self._offer = offer
        self._is_proven = False

    @property
    def box_title(self) -> str:
        return f"Repair: {self._offer.title}"

    def answers(self) -> Sequence[Answer]:
        """The choices that affect anyone; all differences come first."""
        offer = self._offer
        is_plain = not offer.parts.unsent and not offer.parts.rejected
        add, remove = f"{offer.add:,} missing", f"{offer.remove:,} extra"
        if not is_plain:
            add, remove = plural(offer.add, "user"), plural(offer.remove, "user")
        both = f"Add {offer.add:,} and remove {offer.remove:,}"
        ways = [
            (offer.add and offer.remove, Answer("both", both)),
            (offer.add, Answer("add", f"Add {add}")),
            (offer.remove, Answer("remove", f"Remove {remove}")),
            (offer.sends_nothing, Answer("follow", FOLLOW)),
            (offer.can_replace, Answer("replace", "Replace the entire cohort in one upload")),
            (True, Answer("verify", self._proof(), "space")),
        ]
        return tuple(answer for is_offered, answer in ways if is_offered)

    def footer_keys(self) -> Iterator[FooterKey]:
        """The answers with short labels, so that all keys fit, and how to move between them."""
        glyphs = self.services.glyphs
        *answers, leaving = super().footer_keys()
        for answer in answers:
            label = _IN_SHORT.get(answer.name, answer.label)
            key = answer.key or ("y" if answer.name == self.enter_does else "")
            yield answer._replace(key=key, label=label.replace(" again afterwards", " again"))
        yield FooterKey(NEXT, f"{glyphs.up}{glyphs.down}", "Choose")
        yield leaving

    def on_key(self, event: events.Key) -> None:
        """Give the focused answer, as Enter does."""
        if event.key == "y" and self.enter_does:
            event.stop()
            self.choose(self.enter_does)

    async def press_key(self, name: str) -> None:
        if name == NEXT:
            self.focus_next()
        else:
            await super().press_key(name)

    def box(self) -> ComposeResult:
        offer = self._offer
        says = "A repair changes the cohort in Amplitude. Before it starts, you are asked again."
        if offer.sends_nothing:
            says = "Nothing is sent."
        if offer.is_marked:
            says = f"Only the marked people. {says}"
        else:
            parts = offer.parts
            differing = offer.add + offer.remove - parts.unsent - parts.rejected
            says = " ".join([*parts.sentences(differing), says])
        shown = offer.audiences[:NAMED]
        if more := len(offer.audiences) - len(shown):
            shown = (*shown, f"and {plural(more, 'more audience')}")
        if shown:
            yield Static(safe_lines(shown), id="audiences")
        yield Static(safe_text(says, max_length=900))
        with Vertical(id="ways"):
            for answer in self.answers():
                yield self.button(answer)
        most = "at most " if offer.cohorts > 1 else ""  # a choice may skip some
        downloads = f"{most}{plural(offer.cohorts, 'more download')}"
        cost = f"Comparing again uses {downloads}: {offer.quota}."
        yield Static(safe_text((cost, MUTED)))
        with ButtonRow():
            yield self.button(self.leaving)

    def give(self, name: str) -> None:
        """Answer with a choice, or switch the second comparison on or off."""
        if name == self.LEAVE:
            self.dismiss(None)
        elif name == "verify":
            self._is_proven = not self._is_proven
            self.rename_answers()
        else:
            choice = RepairChoice(add=name != "remove", remove=name != "add")
            self.dismiss(RepairRequest(choice, name == "replace", self._is_proven))

    def _proof(self) -> str:
        return f"Compare again afterwards: {'yes' if self._is_proven else 'no'}"


def audience_numbers(plan: RepairPlan) -> str:
    """An audience and what a repair sends: "Cart abandoners: add 535, remove 278"."""
    sent = [f"add {plan.add:,}"] if plan.add else []
    sent += [f"remove {plan.remove:,}"] if plan.remove else []
    sent += ["follow the list"] if plan.followed else []
    return f"{clean(plan.name, 40)}: {', '.join(sent) or 'nothing to send'}"


def confirm(plans: Sequence[RepairPlan], *, verify: bool) -> Confirm:
    """Ask before a repair is sent; for a large removal, the cohort's name has to be typed.

    Enter does not confirm removals. `verify`: the cohorts are compared again afterwards.
    """
    large = [plan for plan in plans if plan.is_large_removal]
    rows: list[str | Content] = []
    for plan in plans:
        rows += _says(plan)
    for plan in large:
        rows += ["", f"This {plan.removal_warning}."]
    foreign = [plan for plan in plans if plan.foreign_list_warning]
    for plan in foreign:
        rows += ["", f"{plan.foreign_list_warning}."]
    if verify:
        rows += ["", f"Then compares again, which uses {plural(len(plans), 'more download')}."]
    only = plans[0]
    requests = sum(plan.requests for plan in plans)
    verb = f"Send {plural(requests, 'request')}" if requests else "Follow the list"
    title = f"Repair “{only.name}”?" if len(plans) == 1 else f"Repair {len(plans)} audiences?"
    typed = "remove" if large else None
    if foreign:
        typed = typeable(foreign[0].list_name, "repair")
    elif len(large) == 1:
        typed = typeable(large[0].cohort_name, "remove")
    removes = any(plan.removals if plan.replace else plan.remove for plan in plans)
    return Confirm(title, rows, yes=verb, typed=typed, is_danger=removes)


def _says(plan: RepairPlan) -> list[str | Content]:
    name = f"“{plan.cohort_name}”"
    if plan.replace:
        add, remove = plural(plan.add, "user"), plural(plan.removals, "user")
        says = f"Replaces all of {name} in one upload: adds {add}, removes {remove}."
    else:
        add, remove = plural(plan.add, "user"), plural(plan.remove, "user")
        says = f"Adds {add} to {name} and removes {remove} from it."
        if not (plan.add and plan.remove):
            says = f"Adds {add} to {name}." if plan.add else f"Removes {remove} from {name}."
    rows: list[str | Content] = [] if plan.sends_nothing else [says]
    if plan.followed:
        people = plural(plan.followed, "person", "people")
        rows.append(f"Makes the ledger follow {plan.list_name} for {people}, which sends nothing.")
    for verb, kinds in (("Adds", (DifferenceKind.MISSING,)), ("Removes", EXTRA)):
        some = [sample.id for sample in plan.samples if sample.kind in kinds][:SAMPLES]
        if some:
            rows.append(safe_text((f"{verb}, for example: {', '.join(some)}", MUTED)))
    if any(sample.kind is DifferenceKind.STRANGER for sample in plan.samples):
        rows.append(safe_text((NOT_OURS, WARN)))
    return rows

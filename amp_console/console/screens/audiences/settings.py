"""The settings of one audience, their defaults, and its link to a cohort."""

from typing import ClassVar

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from amp_console.console import audience_changes
from amp_console.console.audience_changes import (
    EnteredSettings,
    ask_and_unlink,
    change_asked,
    consequences,
    mistakes,
)
from amp_console.console.badges import gone_text, held_text, size_text
from amp_console.console.dialogs.base import Confirm
from amp_console.console.routes import OpenLink
from amp_console.console.screens.actions import Need
from amp_console.console.screens.form import F1, FormScreen
from amp_console.console.texts import ACCENT, BAD, MUTED, Part, facts, lines, safe_text
from amp_console.console.widgets.fields import Choice, Field, Form, chosen, entered, yes_no
from amp_console.ledger.audiences import Audience, Link
from amp_console.ledger.counts import other_id_type
from amp_console.ledger.event_log import last_changed_by
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.delivery.plan import PREFIX
from amp_console.sync.queries.status import AudienceSummary, audience_summary
from amp_console.text import clean
from amp_console.values import IdType

SEED = "none: amp-console chooses a user of Amplitude if needed"
HINTS = {
    "id-type": "Choose User ID if Amplitude identifies users by the same ID as Segment's userId, "
    "and Amplitude ID to match users by Amplitude's own number, which the events must contain. "
    "Switching replaces the members of a synced cohort.",
    "cohort-name": "The name of the cohort that the next sync creates. An existing cohort keeps "
    "its name.",
    "owner": "The login email of the owner of a new cohort. An existing cohort keeps its owner.",
    "seed": "Amplitude can't create an empty cohort. If the audience has no members, this user "
    "creates it and is removed again. A User ID that Amplitude knows.",
    "enabled": "Sync all skips disabled audiences. Their events are still read.",
}
LINKS = {
    Link.CREATED: "created by amp-console",
    Link.EXISTING: "existed before: it may have other members",
    Link.NONE: "no cohort: the next sync creates one",
    Link.UNLINKED: "no cohort (unlinked): the next sync creates one",
}


class AudienceSettings(FormScreen):
    """The settings of one audience."""

    NAME = "Settings of an audience"
    HELP = """\
Settings for this audience only. An empty field uses the default, shown in grey; "override" marks
what you set.

If you switch the ID type of an audience that was synced, the next sync removes its people by the
old identifier and adds them by the new one. The console shows how many before it saves anything.

Link chooses an existing cohort in Amplitude. Unlink forgets the cohort, which stays in Amplitude as
it is. The next sync creates a new one."""
    CSS_PATH = "settings.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f3", "link", "Link…", key_display="F3", id="audience.link"),
        Binding("f4", "unlink", "Unlink", key_display="F4", id="audience.unlink"),
        F1,
    ]

    NEEDS = dict.fromkeys(("save", "link", "unlink"), (Need.WRITABLE,))

    def __init__(self, audience_id: int) -> None:
        super().__init__()
        self._audience_id = audience_id
        self._standing: AudienceSummary | None = None
        self._seen: Audience | None = None
        """The audience with the settings that the fields initially showed."""

    def body(self) -> ComposeResult:
        glyphs = self.services.glyphs
        with Vertical(id="settings", classes="panel"):
            with Form():
                types = [(str(item), item.label) for item in IdType]
                id_type = Choice(types, IdType.USER_ID, glyphs=glyphs, id="id-type")
                yield Field("ID type", id_type)
                yield _line("cohort-name", "Cohort name")
                yield _line("owner", "Cohort owner")
                yield _line("seed", "Seed user", SEED)
                enabled = yes_no(True, "disabled", "enabled", glyphs=glyphs, id="enabled")
                yield Field("Audience", enabled)
            yield Static(id="hint")
        with Vertical(id="cohort", classes="panel") as panel:
            panel.border_title = "Cohort"
            yield Static(id="cohort-text")
            with Horizontal(id="buttons"):
                yield Button("Save", id="save", variant="primary", compact=True)
                yield Button("Link…", id="link", compact=True)
                yield Button("Unlink", id="unlink", compact=True)

    # Reading and showing.

    async def load(self) -> None:
        """Read the audience, without touching what is being entered."""
        session = self.session
        now = await session.read(
            audience_summary, session.connection, self._audience_id, self.services.timing.now
        )
        self._standing = now
        if self._seen is None:
            self._fill(now.audience)
        elif (changed := self._follow(now.audience)) and self._seen != now.audience:
            by = await session.read(last_changed_by, self._audience_id)
            who = by or "Another amp-console"
            for name in changed:
                self.warn(name, f"{who} has changed this to {_in_words(now.audience, name)}.")
        self._show_defaults(now.audience)
        self.query_one("#cohort-text", Static).update(self._cohort(now))
        title = safe_text("Settings of ", now.audience.name, max_length=50)
        self.query_one("#settings").border_title = title
        self.query_one("#unlink", Button).disabled = self.disabled_reason("unlink") is not None

    def _fill(self, known: Audience) -> None:
        for name, value in _values(known).items():
            self._enter(name, value)
        self._seen = known
        self.begin()

    def _enter(self, name: str, value: str) -> None:
        control = self.field(name).control
        assert isinstance(control, Input | Choice)
        control.value = value

    def _follow(self, now: Audience) -> list[str]:
        """Show what someone else has set, except in fields that the operator has edited.

        Return the names of those fields if someone else has changed them.
        """
        assert self._seen is not None
        before, after = _values(self._seen), _values(now)
        entered_now = _values_entered(self._entered())
        differing = []
        for name, value in after.items():
            if entered_now[name] in {before[name], value}:
                self._enter(name, value)
            elif value != before[name]:
                differing.append(name)
        kept = {_FIELDS[name]: getattr(self._seen, _FIELDS[name]) for name in differing}
        self._seen = msgspec.structs.replace(now, **kept)
        return differing

    @property
    def is_changed(self) -> bool:
        """Whether there are unsaved entries."""
        return self._seen is not None and change_asked(self._entered(), self._seen) is not None

    def _show_defaults(self, known: Audience) -> None:
        connection = self.session.connection
        prefix = PREFIX if connection.prefix else ""
        is_linked = known.cohort_id is not None
        name, owner = prefix + known.own_name, connection.owner_email
        self.query_one("#cohort-name", Input).placeholder = _default(name, is_linked=is_linked)
        self.query_one("#owner", Input).placeholder = _default(owner, is_linked=is_linked)
        self._mark()

    def _mark(self) -> None:
        """Mark each field that overrides the default."""
        for name in ("cohort-name", "owner", "seed"):
            self.field(name).mark(("override" if entered(self, name) else "", ACCENT))

    def _cohort(self, summary: AudienceSummary) -> Content:
        known, glyphs = summary.audience, self.services.glyphs
        if known.cohort_id is None:
            return facts([("cohort", safe_text((LINKS[known.link], MUTED)))], 10)
        size = size_text(self.services, known)
        there: Part = (
            (f", {size}", MUTED) if size else (" (press u under Audiences to check)", MUTED)
        )
        holds = ("holds", safe_text(*held_text(summary.held, glyphs), there))
        if known.broken:
            holds = ("state", gone_text(summary.held))
        rows: list[tuple[str, Content | str]] = [
            ("cohort", safe_text(known.linked_name or known.cohort_id, max_length=50)),
            ("id", safe_text(known.cohort_id, (f"  {LINKS[known.link]}", MUTED))),
            holds,
        ]
        shown = facts(rows, 10)
        return lines(shown, safe_text((known.broken, BAD))) if known.broken else shown

    def show_ages(self) -> None:
        """Update the age of the size."""
        super().show_ages()
        if self._standing is not None:
            self.query_one("#cohort-text", Static).update(self._cohort(self._standing))

    def on_input_changed(self) -> None:
        """Mark the field as an override from its first letter on."""
        self._mark()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Describe the focused field."""
        hint = HINTS.get(event.widget.id or "")
        if hint is not None:
            self.query_one("#hint", Static).update(safe_text(hint))

    # Actions.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to unlink if there is a link."""
        known = self._standing
        if action == "unlink" and known is not None and known.audience.cohort_id is None:
            return False
        return super().check_action(action, parameters)

    def disabled_reason(self, action: str) -> str | None:
        """Why an action is unavailable now."""
        if action in {"save", "link", "unlink"}:
            if (reason := super().disabled_reason(action)) is not None:
                return reason
            if self._standing is None:
                return "The audience is still loading."
        if action == "unlink" and self._standing and self._standing.audience.cohort_id is None:
            return "The audience has no cohort."
        return None

    def _entered(self) -> EnteredSettings:
        return EnteredSettings(
            IdType(chosen(self, "id-type")),
            entered(self, "cohort-name"),
            entered(self, "owner"),
            entered(self, "seed"),
            chosen(self, "enabled") == "yes",
        )

    def mistakes(self) -> dict[str, str]:
        """What is wrong with the current entries, keyed by field."""
        return mistakes(self._entered())

    def action_save(self) -> None:
        """Save the entries, after explaining the effect of a new ID type."""
        assert self._seen is not None
        made = self._entered()
        wrong = mistakes(made)
        self.show_mistakes(wrong)
        if wrong:
            return
        change = change_asked(made, self._seen)
        if change is None:
            self.services.notifications.post("Nothing was changed.", is_kept=False)
            self.leave()
            return
        self.early_keys.ask_soon(self._save(self._seen, change), "save")

    async def _save(self, known: Audience, change: SettingsChange) -> None:
        if change.id_type is not None and not await self._agrees(known):
            return
        changed = await audience_changes.apply(self.services, known, change)
        if changed is not None:
            text = f"Saved the settings of “{clean(changed.name)}”."
            if change.id_type is not None:
                text += f" The next sync adds its users by {change.id_type.label}."
                self.session.retried.setdefault(changed.id, 0)  # Errors offers that sync
            self.services.notifications.post(text, is_kept=False)
            self.leave()

    async def _agrees(self, known: Audience) -> bool:
        """Ask whether to switch the ID type, explaining the effect on people in the cohort."""
        other = await self.session.read(other_id_type, known)
        if known.cohort_id is None and not other.leave and not other.unknown:
            return True
        has_path = self.session.connection.amplitude_id_path is not None
        question = Confirm(
            f"Match by {known.id_type.other.label} from now on?",
            consequences(known, other, has_path=has_path),
            yes=f"Switch to {known.id_type.other.label}",
            is_danger=other.leave > 0,
        )
        is_meant = await self.services.ask(question)
        return bool(is_meant)

    def action_link(self) -> None:
        """Choose an existing cohort."""
        self.services.navigate(OpenLink(self._audience_id))

    def action_unlink(self) -> None:
        """Unlink the cohort, after confirmation."""
        assert self._standing is not None
        known = self._standing.audience
        self.early_keys.ask_soon(ask_and_unlink(self.services, known), "save")


_FIELDS = {
    "id-type": "id_type",
    "cohort-name": "cohort_name",
    "owner": "owner_email",
    "seed": "seed_user",
    "enabled": "enabled",
}
"""The settings of an audience, by field of the form."""


def _values(known: Audience) -> dict[str, str]:
    """The values of the fields for an audience."""
    texts = (known.cohort_name or "", known.owner_email or "", known.seed_user or "")
    return _values_entered(EnteredSettings(known.id_type, *texts, known.enabled))


def _values_entered(entered: EnteredSettings) -> dict[str, str]:
    """The entered values of the fields."""
    return {
        "id-type": str(entered.id_type),
        "cohort-name": entered.cohort_name,
        "owner": entered.owner_email,
        "seed": entered.seed_user,
        "enabled": "yes" if entered.enabled else "no",
    }


def _in_words(known: Audience, name: str) -> str:
    """A field's value, in words."""
    if name == "id-type":
        return known.id_type.label
    if name == "enabled":
        return "enabled" if known.enabled else "disabled"
    text = _values(known)[name]
    return f"“{clean(text, 60)}”" if text else "the default"


def _line(name: str, label: str, placeholder: str = "") -> Field:
    line = Input(placeholder=placeholder, id=name, select_on_focus=False)
    return Field(label, line)


def _default(text: str, *, is_linked: bool) -> str:
    """A default as the placeholder of a field: on one line, without control characters.

    An existing cohort keeps its own.
    """
    of_new = "default for a new cohort" if is_linked else "default"
    return f"{of_new}: {safe_text(text, max_length=120).plain}"

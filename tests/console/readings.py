"""Where the console and its commands show numbers, and how to read them there.

Each reading returns facts: what is counted, and the number shown there. A fact has the same value
wherever it is read. A new screen with numbers adds a row to `READINGS`; one that shows a number
twice distinguishes the places with @.
"""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from amp_console.console.routes import (
    MainScreen,
    OpenPlan,
    OpenReconcile,
    OpenReconcileAll,
    OpenRun,
    Visit,
)
from amp_console.console.widgets.grid import Grid
from amp_console.ledger.audiences import Audience, all_audiences
from amp_console.ledger.runs import all_runs
from tests.cli.inside import run_inside
from tests.console.harness import ConsoleHarness, console, picture, services

Facts = Mapping[str, object]
NEWEST = 2  # runs whose screens are read
FUNNEL = (
    ("read", "filtered", "invalid", "valid"),
    ("users", "pending", "retrying", "failed", "delivered"),
)
"""What the lines of a funnel count: a total, then its parts."""
RUN_COUNTS = ("added", "removed", "rejected", "requests")


class Reading(NamedTuple):
    """One place with numbers: its name, the screen to go to first, and how to read it."""

    where: str
    screen: MainScreen | None
    read: Callable[["Reader"], Awaitable[Facts]]


class Reader:
    """Reads what one console shows, and what commands print about the same ledger."""

    def __init__(self, harness: ConsoleHarness, pilot: Pilot[None]) -> None:
        self.harness = harness
        self.pilot = pilot
        self.said: dict[str, dict[str, object]] = {}
        """The last value of each fact in each place."""

    async def go_to(self, screen: MainScreen) -> None:
        services(self.pilot).navigate(Visit(screen))
        await self.settle()

    async def settle(self) -> None:
        """Wait until the screen in front has read what it shows."""
        app = console(self.pilot)
        await self.pilot.pause()
        while waiting := [worker for worker in app.workers if worker.group in LOADING]:
            with suppress(WorkerCancelled):  # a newer one reads the same
                await app.workers.wait_for_complete(waiting)
            await self.pilot.pause()

    def grid(self, selector: str) -> Grid:
        return self.pilot.app.screen.query_one(selector, Grid)

    def rows(self, selector: str) -> list[dict[str, str]]:
        """The rows of a grid, by the labels of its columns."""
        grid = self.grid(selector)
        labels = [column.label for column in grid.columns]
        rows = (grid.rows.get(index) for index in range(len(grid.rows)))
        return [
            dict(zip(labels, (cell.text for cell in row.cells), strict=True))
            for row in rows
            if row is not None
        ]

    def text(self, selector: str) -> str:
        """The text of a widget."""
        return str(self.pilot.app.screen.query_one(selector).render())

    def title(self, selector: str) -> str:
        """The texts in a panel's border."""
        panel = self.pilot.app.screen.query_one(selector)
        return f"{panel.border_title} {panel.border_subtitle}"

    def command(self, *arguments: str) -> Any:
        """The document that a command prints."""
        ended = run_inside((*arguments, "--json"), self.harness.environ)
        assert ended.status == 0, ended
        return ended.document

    def is_syncing(self, run_id: int) -> bool:
        """Whether this run is a sync that this console carries out now."""
        job = services(self.pilot).jobs.sync
        return job is not None and not job.is_over and job.run_id == run_id

    @property
    def audiences(self) -> list[Audience]:
        session = services(self.pilot).session
        assert session is not None
        return session.screen_ledger.read(all_audiences)

    @property
    def run_ids(self) -> list[int]:
        session = services(self.pilot).session
        assert session is not None
        return [run.id for run in session.screen_ledger.read(all_runs)]


LOADING = {"look", "users", "detail", "requests", "counts", "lines", "load", "page"}
"""Groups of workers that read what a screen shows."""


def number(text: str) -> int:
    """Parse a number such as "1,204"; "" and a dash are None."""
    digits = re.sub(r"[^\d]", "", text)
    return int(digits) if digits else 0


def counted(text: str, noun: str) -> int:
    """The number before a noun, 0 if the text does not contain it."""
    found = re.search(rf"([\d,]+) {noun}", text)
    return number(found[1]) if found else 0


# The places.


async def _place_bar(reader: Reader) -> Facts:
    shown = picture(reader.pilot).splitlines()[1]
    audiences = re.search(r"Audiences +([\d,]+)", shown)
    errors = re.search(r"Errors +([\d,]+)", shown)
    return {
        "audiences": number(audiences[1]) if audiences else 0,
        "rejected": number(errors[1]) if errors else 0,
    }


async def _home_rows(reader: Reader) -> Facts:
    facts: dict[str, object] = {}
    rows = reader.rows("#list")
    for row in rows:
        name = row["Audience"]
        add, _, remove = row["Pending"].partition("−")
        facts[f"{name}: members"] = number(row["Members"])
        facts[f"{name}: pending"] = number(add) + number(remove)
        facts[f"{name}: to add"] = number(add)
        facts[f"{name}: under way"] = _under_way(row["Status"])
        if odd := re.search(r"≠ Segment ([+−])([\d,]+)", row["Status"]):
            facts[f"{name}: more in Segment"] = (1 if odd[1] == "+" else -1) * number(odd[2])
        facts[f"{name}: rejected"] = number(row["Rejected"])
        facts[f"{name}: differs by"] = _differs_by(row["Status"])
    facts["audiences"] = len(rows)
    facts["rejected"] = sum(number(row["Rejected"]) for row in rows)
    detail = " ".join(reader.text("#detail-text").split())
    if compared := re.search(r"run (\d+): ([\d,]+) users? differed", detail):
        facts[f"run {compared[1]}: differing"] = number(compared[2])
    return facts


async def _audiences_command(reader: Reader) -> Facts:
    facts: dict[str, object] = {}
    documents = reader.command("audiences")
    for document in documents:
        name = document["name"]
        facts[f"{name}: members"] = document["members"]
        facts[f"{name}: pending"] = document["pending_add"] + document["pending_remove"]
        facts[f"{name}: rejected"] = document["rejected"]
        states = {state["state"]: state["users"] for state in document["states"]}
        facts[f"{name}: differs by"] = states.get("differs", 0)
        facts[f"{name}: in Segment"] = (document["segment"] or {"size": 0})["size"]
    facts["audiences"] = len(documents)
    facts["rejected"] = sum(document["rejected"] for document in documents)
    return facts


async def _errors_groups(reader: Reader) -> Facts:
    of_audience: dict[str, int] = defaultdict(int)
    total = 0
    for row in reader.rows("#groups"):
        if row["Reason"] == "All reasons":
            total = number(row["Users"])
        else:
            of_audience[row["Audience"]] += number(row["Users"])
    names = [audience.name for audience in reader.audiences]
    return {
        "rejected": total,
        "invalid": counted(reader.title("#groups-panel"), "invalid event"),
        **{f"{name}: rejected": of_audience[name] for name in names},
    }


async def _errors_users(reader: Reader) -> Facts:
    if not reader.rows("#groups"):
        return {}
    return {"rejected": counted(reader.title("#users-panel"), "users?")}


async def _errors_command(reader: Reader) -> Facts:
    document = reader.command("errors")
    return {"rejected": len(document["rejected"]), "invalid": document["invalid"]}


async def _runs_rows(reader: Reader) -> Facts:
    facts: dict[str, object] = {}
    for row in reader.rows("#list"):
        run = f"run {row['Run']}"
        for word, sign in (("added", r"\+"), ("removed", "−")):
            found = re.search(rf"{sign}([\d,]+)", row["Changed"])
            facts[f"{run}: {word}"] = number(found[1]) if found else 0
        for word in ("rejected", "requests"):
            facts[f"{run}: {word}"] = number(row[word.capitalize()])
        facts[f"{run}: outcome"] = row["Outcome"].split(" ", 1)[1]
        if row["Kind"] in {"compare", "repair"} and "differ" in row["Reason"]:
            facts[f"{run}: differing"] = counted(row["Reason"], "users? differs?")
        for word in ("rejected", "pending"):
            is_of_run = (
                row["Kind"] not in {"compare", "repair"} and "before it" not in row["Reason"]
            )
            if word in row["Reason"] and is_of_run:
                facts[f"{run}: {word} @reason"] = counted(row["Reason"], f"{word}(?! earlier)")
    return facts


async def _runs_command(reader: Reader) -> Facts:
    documents = reader.command("runs")
    counts = {
        f"run {document['run']}: {word}": document[word]
        for document in documents
        for word in RUN_COUNTS
    }
    delivered = {
        f"run {document['run']}: delivered": document["added"] + document["removed"]
        for document in documents
    }
    differing = {
        f"run {document['run']}: differing": document["differing"]
        for document in documents
        if document["compared"]
    }
    outcomes = {f"run {document['run']}: outcome": document["outcome"] for document in documents}
    return counts | delivered | differing | outcomes


async def _run_screens(reader: Reader) -> Facts:
    """The newest runs' own screens: sentence, table, funnel and list of requests."""
    facts: dict[str, object] = {}
    for run_id in reader.run_ids[:NEWEST]:
        services(reader.pilot).navigate(OpenRun(run_id))
        await reader.settle()
        rows = reader.rows("#bars")
        facts[f"run {run_id}: rejected"] = sum(number(row["Rejected"]) for row in rows)
        facts[f"run {run_id}: requests"] = sum(number(row["Requests"]) for row in rows)
        facts[f"run {run_id}: requests @title"] = number(reader.title("#requests"))
        facts[f"run {run_id}: audiences @title"] = counted(reader.title("#progress"), "audiences?")
        facts[f"run {run_id}: audiences @rows"] = len(rows)
        facts[f"run {run_id}: rejected @requests"] = sum(
            number(row["Rejected"]) for row in reader.rows("#log")
        )
        facts[f"run {run_id}: requests @rows"] = len(reader.grid("#log").rows)
        sizes = [row["Users"] for row in reader.rows("#log")]
        facts[f"run {run_id}: users sent @requests"] = sum(
            number(size) for size in sizes if "(" not in size
        )
        sentence = reader.text("#headline")
        if "compared" in sentence:
            facts[f"run {run_id}: differing"] = counted(sentence, "users? differs?")
            facts[f"run {run_id}: differing @rows"] = sum(
                counted(line, "missing") + counted(line, "extra")
                for line in (" ".join(row.values()) for row in rows)
            )
        if not reader.is_syncing(run_id):
            outcome = sentence.partition("  ")[0].split(" ", 1)[1]
            facts[f"run {run_id}: outcome"] = outcome
            rejected = re.search(r"Rejected by this run \(([\d,]+)\)", reader.title("#rejected"))
            facts[f"run {run_id}: rejected @panel"] = number(rejected[1]) if rejected else 0
        if "added" in sentence:
            for word in ("added", "removed"):
                facts[f"run {run_id}: {word}"] = counted(sentence, word)
            facts[f"run {run_id}: requests @sentence"] = counted(sentence, "request")
        funnel = {
            word: count
            # The last line counts changes; a run that read nothing has no other.
            for words, line in zip(
                reversed(FUNNEL), reversed(reader.text("#funnel").splitlines()), strict=False
            )
            for word, count in zip(words, _numbers(line), strict=True)
        }
        facts[f"run {run_id}: delivered"] = funnel["delivered"]
        facts[f"run {run_id}: rejected @funnel"] = funnel["failed"]
        facts[f"run {run_id}: pending"] = funnel["pending"] + funnel["retrying"]
        facts[f"run {run_id}: users @rows"] = sum(
            number(row["Delivered"].rpartition("/")[2]) for row in rows
        )
        for total, *parts in (words for words in FUNNEL if words[0] in funnel):
            facts[f"run {run_id}: {total} @total"] = funnel[total]
            facts[f"run {run_id}: {total} @parts"] = sum(funnel[part] for part in parts)
        if not reader.is_syncing(run_id):
            sent = funnel["delivered"] + funnel["failed"]
            facts[f"run {run_id}: users sent @funnel"] = sent
        console(reader.pilot).pop_screen()
        await reader.settle()
    return facts


def _numbers(line: str) -> list[int]:
    """The numbers on one line of a funnel."""
    return [number(item) for item in re.findall(r"[\d,]+", line)]


async def _plan(reader: Reader) -> Facts:
    """The plan of all audiences that are enabled."""
    ids = tuple(audience.id for audience in reader.audiences)
    services(reader.pilot).navigate(OpenPlan(ids))
    await reader.settle()
    facts = {
        f"{row['Audience']}: pending": number(row["Add"]) + number(row["Remove"])
        for row in reader.rows("#audiences")
    }
    console(reader.pilot).pop_screen()
    await reader.settle()
    return facts


async def _plan_command(reader: Reader) -> Facts:
    return {
        f"{audience['name']}: pending": audience["add"] + audience["remove"]
        for audience in reader.command("sync", "--dry-run")["audiences"]
    }


async def _progress(reader: Reader) -> Facts:
    """The progress of the sync under way: the top line, and the run's sentence."""
    job = services(reader.pilot).jobs.sync
    if job is None or job.is_over:
        return {}
    services(reader.pilot).navigate(OpenRun())
    await reader.settle()
    share = re.search(r"sync (\d+)%", picture(reader.pilot).splitlines()[0])
    done = re.search(
        r"([\d,]+) of ([\d,]+) changes delivered(?:, ([\d,]+) rejected)?", reader.text("#headline")
    )
    rows = [row["Delivered"].split("/") for row in reader.rows("#bars")]
    console(reader.pilot).pop_screen()
    await reader.settle()
    if share is None or done is None:
        return {}
    return {
        "sync: percent @top": int(share[1]),
        "sync: percent @sentence": 100
        * (number(done[1]) + number(done[3] or ""))
        // number(done[2]),
        "sync: done @sentence": number(done[1]),
        "sync: done @rows": sum(number(row[0]) for row in rows),
        "sync: total @sentence": number(done[2]),
        "sync: total @rows": sum(number(row[1]) for row in rows if len(row) > 1),
    }


async def _home_title(reader: Reader) -> Facts:
    return {"audiences": counted(reader.title("#audiences"), "audiences?")}


async def _home_details(reader: Reader) -> Facts:
    """The detail of each audience."""
    facts: dict[str, object] = {}
    grid = reader.grid("#list")
    for audience in reader.audiences:
        grid.go_to(audience.id)
        await reader.settle()
        assert audience.name in reader.title("#detail")
        pending = re.search(
            r"^pending +([\d,]+) changes?", reader.text("#detail-text"), re.MULTILINE
        )
        facts[f"{audience.name}: pending"] = number(pending[1]) if pending else 0
        of_members = re.search(r"^ +(= .*)$", reader.text("#detail-text"), re.MULTILINE)
        assert of_members is not None
        facts[f"{audience.name}: to add"] = number(
            "".join(re.findall(r"([\d,]+) pending", of_members[1]))
        )
        facts[f"{audience.name}: under way @state"] = _under_way(
            reader.text("#detail-text").splitlines()[0]
        )
        under_way = re.search(r"^under way +(.*?),", reader.text("#detail-text"), re.MULTILINE)
        facts[f"{audience.name}: under way @fact"] = under_way[1] if under_way else ""
        sizes = re.search(
            r"^sizes +Segment ([\d,]+|—)[^·]* · members ([\d,]+)",
            reader.text("#detail-text"),
            re.MULTILINE,
        )
        if sizes is not None:
            facts[f"{audience.name}: in Segment"] = number(sizes[1])
            facts[f"{audience.name}: members"] = number(sizes[2])
            facts[f"{audience.name}: more in Segment"] = number(sizes[1]) - number(sizes[2])
    return facts


def _under_way(states: str) -> str:
    """The run working on an audience, and its progress: "sync 40%"."""
    found = re.search(r"» (sync \d+%)", states)
    return found[1] if found else ""


def _differs_by(status: str) -> int:
    found = re.search(r"([\d,]+) (?:extra|differs?)", status)
    return number(found[1]) if found else 0


def _compared(texts: Iterable[str]) -> dict[str, int]:
    """How many users differed in the last comparison of an audience; none after its repair."""
    found: dict[str, int | None] = {}
    for text in texts:  # the newest first
        if ended := re.search(r"^(Comparison|Repair) of “(.*)” ended: ", text):
            is_comparison = ended[1] == "Comparison"
            found.setdefault(ended[2], counted(text, "users? differs?") if is_comparison else None)
    return {name: count for name, count in found.items() if count is not None}


async def _reconcile(reader: Reader) -> Facts:
    """The kinds of differences of each audience that was compared last, not repaired."""
    texts = [entry["text"] for entry in reader.command("log", "--limit", "0")["entries"]]
    compared, facts = _compared(texts), {}
    for audience in reader.audiences:
        if audience.name in compared:
            services(reader.pilot).navigate(OpenReconcile(audience.id))
            await reader.settle()
            facts[f"{audience.name}: differed"] = sum(
                number(row["Found"])
                for row in reader.rows("#kinds")
                if row["Difference"].startswith(("Missing", "Extra"))
            )
            console(reader.pilot).pop_screen()
            await reader.settle()
    return facts


async def _verdicts(reader: Reader) -> Facts:
    """The results of comparisons without differences, in the list of several and of one."""
    facts: dict[str, object] = {}
    ids = {audience.name: audience.id for audience in reader.audiences}
    services(reader.pilot).navigate(OpenReconcileAll(tuple(ids.values())))
    await reader.settle()
    for row in reader.rows("#list"):
        said, name = row[""], row["Audience"]
        if "same" not in said and "as expected" not in said:
            continue
        facts[f"{name}: verdict @row"] = said
        reader.grid("#list").go_to(ids[name])
        await reader.settle()
        facts[f"{name}: verdict @detail"] = reader.text("#detail-text").split("  ")[0]
        services(reader.pilot).navigate(OpenReconcile(ids[name]))
        await reader.settle()
        facts[f"{name}: verdict @screen"] = reader.text("#headline").split("  ")[0]
        console(reader.pilot).pop_screen()
        await reader.settle()
    console(reader.pilot).pop_screen()
    await reader.settle()
    return facts


async def _log_lines(reader: Reader) -> Facts:
    entries = reader.rows("#lines")
    return _facts_of_log([row["What happened"] for row in entries]) | {
        "log entries": counted(reader.title("#log"), "entr(?:y|ies)"),
        "log entries of all kinds": number(reader.text("KindBar").split("   ")[0]),
    }


async def _log_command(reader: Reader) -> Facts:
    document = reader.command("log", "--limit", "0")
    facts = _facts_of_log([entry["text"] for entry in document["entries"]])
    total = document["total"]
    return facts | {"log entries": total, "log entries of all kinds": len(document["entries"])}


def _facts_of_log(texts: Sequence[str]) -> dict[str, object]:
    facts: dict[str, object] = {
        f"{name}: differed": count for name, count in _compared(texts).items()
    }
    for text in texts:
        if refreshed := re.match(r"Refresh of “(.+)” from .+: applied", text):
            for word in ("entering", "leaving"):
                facts.setdefault(f"{refreshed[1]}: {word}", counted(text, word))
        if ended := re.search(r" ended: run (\d+)(?:, ([a-z ]+))?\. (.*)", text):
            run, figures = f"run {ended[1]}", ended[3]
            facts[f"{run}: outcome"] = ended[2] or "ended"
            if "compared" in figures:
                facts[f"{run}: differing"] = counted(figures, "users? differs?")
            if " compared, " not in figures:
                for word in RUN_COUNTS:
                    facts[f"{run}: {word}"] = counted(figures, word.removesuffix("s"))
    return facts


async def _live(reader: Reader) -> Facts:
    live = services(reader.pilot).jobs.live
    if live is None or live.snapshot is None:
        return {}
    run, rows = f"run {live.snapshot.run_id}", reader.rows("#list")
    said = reader.text("#headline")
    facts: dict[str, object] = {
        "audiences": counted(reader.title("#audiences"), "audiences?"),
        f"{run}: read": counted(said, "events? read in"),
        f"{run}: audiences": len(rows),
    }
    pending = re.search(r"(?:pending|=|\+) ([\d,]+)(?: pending (?:now|at its end))", said)
    facts[f"{run}: pending @headline"] = number(pending[1]) if pending else 0
    for word in RUN_COUNTS:
        facts[f"{run}: {word} @rows"] = sum(number(row[word.capitalize()]) for row in rows)
        facts[f"{run}: {word} @headline"] = _named(said, word)
    by_name = {row["Audience"].strip(): row for row in rows}
    assert len(by_name) == len(live.snapshot.audiences)
    for audience in live.snapshot.audiences:
        row = by_name[audience.name]
        reader.grid("#list").go_to(audience.audience_id)
        await reader.settle()
        of_audience = f"{run}, {audience.name}"
        facts[f"{of_audience}: requests @row"] = number(row["Requests"])
        sent = str(reader.pilot.app.screen.query_one("#requests").border_subtitle or "")
        facts[f"{of_audience}: requests @deliveries"] = number(sent.partition("(")[0])
        for word in ("pending", "added", "removed", "rejected"):
            facts[f"{of_audience}: {word} @row"] = number(row[word.capitalize()])
            facts[f"{of_audience}: {word} @detail"] = _named(reader.text("#detail-text"), word)
    return facts


async def _sources(reader: Reader) -> Facts:
    """The list of sources and the detail of each query: rows, and who entered and left."""
    facts: dict[str, object] = {}
    grid = reader.grid("#list")
    rows = reader.rows("#list")
    of_queries = [number(row["Read"]) for row in rows if row["Kind"] == "query"]
    for row in rows:
        if row["Kind"] == "SQLite":
            facts["rows of all queries"] = number(row["Read"])
    facts["rows of all queries @sum"] = sum(of_queries)
    for index, row in enumerate(rows):
        name = row["Source"].strip()
        facts[f"{name}: rows"] = number(row["Read"])
        grid.cursor = index
        await reader.settle()
        assert name[:50] in reader.title("#detail")
        text = reader.text("#detail-text")
        if row["Kind"] == "query":
            facts[f"{name}: rows @detail"] = counted(text, "rows? in ")
            facts[f"{name}: entering @detail"] = counted(text, "entering")
            facts[f"{name}: leaving @detail"] = counted(text, "leaving")
        elif row["Kind"] == "Segment space":
            facts[f"{name}: rows @detail"] = counted(text, "audiences?,")
    return facts


async def _queries_command(reader: Reader) -> Facts:
    """What `audience --json` says of each query."""
    found = {item.name: reader.command("audience", item.key) for item in reader.audiences}
    queries = {name: item["query"] for name, item in found.items() if item["query"]}
    return {f"{name}: rows": query["rows"] for name, query in queries.items()}


def _named(text: str, name: str) -> int | None:
    """The number after a name; None if the text does not contain it."""
    found = re.search(rf"{name} ([\d,]+)", text)
    return number(found[1]) if found else None


READINGS = (
    Reading("the place bar", MainScreen.AUDIENCES, _place_bar),
    Reading("home's rows", MainScreen.AUDIENCES, _home_rows),
    Reading("home's title", MainScreen.AUDIENCES, _home_title),
    Reading("home's detail", MainScreen.AUDIENCES, _home_details),
    Reading("the plan", MainScreen.AUDIENCES, _plan),
    Reading("reconcile", MainScreen.AUDIENCES, _reconcile),
    Reading("comparisons", MainScreen.AUDIENCES, _verdicts),
    Reading("audiences --json", None, _audiences_command),
    Reading("the groups under Errors", MainScreen.ERRORS, _errors_groups),
    Reading("the users under Errors", MainScreen.ERRORS, _errors_users),
    Reading("the place bar at Errors", MainScreen.ERRORS, _place_bar),
    Reading("errors --json", None, _errors_command),
    Reading("the list of runs", MainScreen.RUNS, _runs_rows),
    Reading("runs --json", None, _runs_command),
    Reading("the screen of each run", MainScreen.RUNS, _run_screens),
    Reading("the sync under way", MainScreen.RUNS, _progress),
    Reading("sync --dry-run --json", None, _plan_command),
    Reading("the log", MainScreen.EVENTS, _log_lines),
    Reading("log --json", None, _log_command),
    Reading("live", MainScreen.LIVE, _live),
    Reading("sources", MainScreen.SOURCES, _sources),
    Reading("audience --json", None, _queries_command),
)


async def contradictions(reader: Reader) -> dict[str, dict[str, object]]:
    """Read every place; return the facts on which places disagree, with the values."""
    said: dict[str, dict[str, object]] = defaultdict(dict)
    shown: MainScreen | None = None  # each reading returns to the screen where it began
    for reading in READINGS:
        if reading.screen is not None and reading.screen is not shown:
            await reader.go_to(reading.screen)
            shown = reading.screen
        for fact, value in (await reading.read(reader)).items():
            name, _, detail = fact.partition(" @")
            said[name][f"{reading.where} {detail}".strip()] = value
    assert len(said["rejected"]) > 4, "too little was read"
    reader.said = dict(said)
    return {fact: values for fact, values in said.items() if len(set(values.values())) > 1}

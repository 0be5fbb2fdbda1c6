"""The command line: `flexpeer COMMAND`. Exit status 0 done, 1 the answer is no, 2 bad input with its findings.

Results go to standard output (one JSON object with `--json`), progress and findings to standard error.
"""

import gc
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from flexpeer import __version__, narration, trading
from flexpeer.adapters.folders import beside, replaced_folder
from flexpeer.adapters.meeting_place import MeetingPlace
from flexpeer.adapters.reading import problem_of
from flexpeer.errors import BadInput, Unusable, bad_input
from flexpeer.interrupts import INTERRUPT, end_interrupted
from flexpeer.loading import when_used
from flexpeer.market.machine import state_hash
from flexpeer.terminal import ERRORS, AsJson, say, show, taken, told, with_progress

if TYPE_CHECKING:
    from flexpeer import beginning, bench_service, bootstrap, day_nodes, day_story, playing, serving
    from flexpeer.adapters import store
    from flexpeer.laboratory import bench_clearing, clearings, nodes
else:
    beginning, bench_service, bootstrap, day_nodes, day_story, playing, serving = (
        when_used(f"flexpeer.{name}")
        for name in ("beginning", "bench_service", "bootstrap", "day_nodes", "day_story", "playing", "serving")
    )
    store = when_used("flexpeer.adapters.store")
    bench_clearing, clearings, nodes = map(
        when_used, [f"flexpeer.laboratory.{name}" for name in ("bench_clearing", "clearings", "nodes")]
    )

FINDINGS_SHOWN = 30
INTERRUPTED = {"node": "no results were written; promises that were made are kept"}
ROLES = "--dso with --problem or --scenario, the same with --peer and --problem, or --market-operator"
DAY_ROLES = "--dso with --scenario, or --market-operator with --out"


class _Edge(TyperGroup):
    """What goes wrong outside the program, in one place: findings, a full disk, no memory, an interrupt."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Whether the answer is to be JSON is known before the command is."""
        ctx.meta["as_json"] = "--json" in args
        with _interrupts(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Exit status 2 with findings, 130 when interrupted."""
        try:
            with taken():
                pass
            with _interrupts(ctx):
                return super().invoke(ctx)
        except BadInput as error:
            raise _refuse(error, ctx.meta["as_json"]) from error
        except (OSError, MemoryError, RecursionError) as error:
            place = str(getattr(error, "filename", None) or ctx.invoked_subcommand or "flexpeer")
            raise _refuse(Unusable(place, problem_of(error), "a file that can be read"), ctx.meta["as_json"]) from error


@contextmanager
def _interrupts(ctx: Any) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        told(f"interrupted: {INTERRUPTED.get(ctx.invoked_subcommand or '', 'nothing was written')}")
        raise typer.Exit(INTERRUPT) from error


app = typer.Typer(
    name="flexpeer",
    cls=_Edge,
    help="Trade flexibility peer to peer in a congested grid, every trade checked by AC power flow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
grid_app = typer.Typer(help="Look at grid files.", no_args_is_help=True)
audit_app = typer.Typer(help="Check event logs.", no_args_is_help=True)
app.add_typer(grid_app, name="grid")
app.add_typer(audit_app, name="audit")
app.add_typer(trading.order_app, name="order")
app.add_typer(trading.book_app, name="book")
app.command()(trading.trades)
app.command()(trading.settlement)

Data = Annotated[str, typer.Argument(help="A market's folder, or the URL of its database.")]
Out = Annotated[Path, typer.Option("--out", help="New or empty folder for the results.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flexpeer {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False) -> None:
    del version


def _refuse(error: BadInput, as_json: bool) -> typer.Exit:
    """Every finding, on standard error or as the JSON object."""
    if as_json:
        rows = [finding._asdict() for finding in error.findings]
        with suppress(BadInput):
            say(json.dumps({"error": "bad input", "findings": rows}, ensure_ascii=False))
    for finding in error.findings[:FINDINGS_SHOWN]:
        told(str(finding))
    if isinstance(error, Unusable):
        return typer.Exit(2)
    more = len(error.findings) - FINDINGS_SHOWN
    tail = f", {more} more not shown (all with --json)" if more > 0 else ""
    with suppress(OSError):
        ERRORS.print(f"bad input: {len(error.findings)} finding(s){tail}", style="bold red", soft_wrap=True)
    return typer.Exit(2)


def _shower(out: Path, as_json: bool) -> Callable[[Any, dict[str, Any]], None]:
    """What tells how a day went."""

    def shown(outcome: Any, result: dict[str, Any]) -> None:
        if as_json:
            say(json.dumps(result, ensure_ascii=False))
            return
        show(day_story.story(outcome, result, out))

    return shown


@app.command("init")
def init_scenario(
    grid: Annotated[str, typer.Argument(help="A grid file or folder, cigre_mv, cigre_lv or simbench:CODE.")],
    folder: Annotated[Path, typer.Argument(help="New or empty folder for the scenario.")],
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Delivery day; tomorrow.")] = None,
    mtu_minutes: Annotated[int, typer.Option(help="15 or 60.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Make a scenario folder from a grid file: who is there and what is forecast, ready to be edited and run."""
    facts = beginning.begin(grid, folder, (day or datetime.now() + timedelta(days=1)).date(), mtu_minutes)
    say(json.dumps(facts, ensure_ascii=False) if as_json else narration.begun(facts))


@app.command()
def run(
    scenario: Annotated[Path, typer.Argument(help="Scenario folder.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the results; SCENARIO-results.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace results that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a market day on a scenario folder and write its results."""
    place = out or beside(scenario)
    with replaced_folder(place, "result.json") if force else nullcontext(place) as target:
        with_progress(lambda tell: bootstrap.run_folder(scenario, target, tell, show=_shower(place, as_json)))


@app.command()
def sweep(
    scenario: Annotated[Path, typer.Argument(help="Scenario folder.")],
    rule: Annotated[list[str], typer.Option(help="RULE=VALUE,VALUE of the rulebook; may be repeated.")],
    out: Annotated[Path | None, typer.Option("--out", help="File for the rows, CSV.")] = None,
    processes: Annotated[int | None, typer.Option(help="Processes that run variants.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Run a market day under every combination of rules, a row for each; exit 1 if one fails."""
    from flexpeer.library import variants  # noqa: PLC0415 - it loads all that a day needs

    rows = with_progress(lambda tell: variants.sweep_folder(scenario, rule, processes, tell, out), "variants")
    if as_json:
        say(json.dumps({"rows": rows}, ensure_ascii=False, default=float))
    else:
        show(narration.variants(rows, [each.partition("=")[0] for each in rule], out))
    raise typer.Exit(1 if any(row["error"] for row in rows) else 0)


@app.command()
def demo(out: Out = Path("out/demo"), as_json: AsJson = False) -> None:
    """Run the built-in market day and write its scenario and results."""
    with_progress(lambda tell: bootstrap.run_demo(out, tell, _shower(out, as_json)))


@app.command()
def serve(  # noqa: PLR0913 - what may be set about a service
    *,
    data: Annotated[Path | None, typer.Option(help="Folder of the market.")] = None,
    database: Annotated[str | None, typer.Option(help="PostgreSQL URL in place of the store in the folder.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at; 0 takes one that is free.")] = None,
    clock: Annotated[str | None, typer.Option(help="virtual or system.")] = None,
    speed: Annotated[float | None, typer.Option(help="Times real time that a virtual clock runs.")] = None,
    start: Annotated[str | None, typer.Option(help="Instant at which a virtual clock starts.")] = None,
    scenario: Annotated[
        list[Path] | None, typer.Option(help="Scenario folder of a day, to make the market or the day from, once.")
    ] = None,
    every_day: Annotated[
        bool | None, typer.Option("--every-day", help="Every day follows the last scenario's, one after the other.")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="The built-in market day, with a virtual clock.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve a market to FSPs and DSOs until it is interrupted; on the same folder it goes on where it was."""
    given = {"data": data, "database": database, "host": host, "port": port, "speed": speed, "start": start}
    given |= {"clock": clock or ("virtual" if demo else None), "every_day": every_day}
    settings = serving.settings_of(given)
    if demo and not as_json:
        say("making the market and opening its gate: some seconds, the first time up to two minutes ...")
    ended_well = serving.serve(settings, scenario or (), demo=demo, tell=_ready(as_json, logins=demo))
    raise typer.Exit(0 if ended_well else 1)


def _ready(as_json: bool, *, logins: bool) -> Callable[[dict[str, Any]], None]:
    """What tells where a service is, and in the demo who may come in."""

    def tell(facts: dict[str, Any]) -> None:
        say(json.dumps(facts) if as_json else f"serving at {facts['url']}, credentials in {facts['credentials']}")
        if "link" in facts and not as_json:
            say(f"one-time link for the market operator: {facts['link']}")
        if logins and not as_json:
            credentials = Path(facts["credentials"])
            say(narration.logins(json.loads(credentials.read_text(encoding="utf-8")), str(credentials)))

    return tell


@app.command()
def play(
    scenario: Annotated[Path, typer.Argument(help="Scenario folder.")],
    credentials: Annotated[Path, typer.Option(help="The file of credentials that flexpeer serve wrote.")],
    url: Annotated[str, typer.Option(help="Address of the service.")] = "http://127.0.0.1:8080",
    clients: Annotated[int, typer.Option(help="Programs that send orders.", min=1)] = 4,
    as_json: AsJson = False,
) -> None:
    """Send a scenario's orders over the API as its FSPs would, move the virtual clock on, and tell the day's result."""
    result = with_progress(lambda tell: playing.play(scenario, credentials, url, clients, tell))
    say(json.dumps(result, ensure_ascii=False) if as_json else narration.played(result))


@app.command()
def replay(log: Annotated[Path, typer.Argument(help="An events.log.")], as_json: AsJson = False) -> None:
    """Rebuild the state from a log and print its hash."""
    state = bootstrap.replay(log)
    facts = {"state_hash": state_hash(state), "events": state.events, "trades": len(state.trades.trades)}
    if as_json:
        say(json.dumps(facts))
    else:
        say(f"{facts['events']} events, {facts['trades']} trades, state hash {facts['state_hash']}")


@audit_app.command("verify")
def audit_verify(
    log: Annotated[Path, typer.Argument(help="An events.log.")],
    head: Annotated[Path | None, typer.Option(help="A file of signed heads that this log must have.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find any changed, removed, added or reordered record of a log; exit 1 if there is one."""
    events, seal, damages = bootstrap.audit(log, head)
    if as_json:
        rows = [damage._asdict() for damage in damages]
        say(json.dumps({"whole": not damages, "records": events, "damages": rows}))
    else:
        for damage in damages[:FINDINGS_SHOWN]:
            record = f"record {damage.record}" if damage.record is not None else "the log"
            say(f"{log}{f':{damage.line}' if damage.line else ''}: {record}: {damage.problem}")
        sealed = f", sealed with state hash {seal.state_hash}" if seal else ""
        say(f"damaged: {len(damages)} finding(s)" if damages else f"whole: {events} events{sealed}")
    raise typer.Exit(1 if damages else 0)


@app.command()
def backup(data: Data, file: Annotated[Path, typer.Argument(help="A new file.")], as_json: AsJson = False) -> None:
    """Copy all of a market's store into a file, also while a server runs."""
    counts = store.backup(_place(data), file)
    say(json.dumps(counts) if as_json else f"{file}: {narration.store_counts(counts)}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What backup has written.")], data: Data, as_json: AsJson = False
) -> None:
    """Make a market's store from a backup, in a new or empty place."""
    counts = store.restore(file, _place(data))
    say(json.dumps(counts) if as_json else f"{data}: {narration.store_counts(counts)}")


def _place(data: str) -> Path | str:
    return data if "://" in data else Path(data)


@grid_app.command("check")
def grid_check(
    file: Annotated[str, typer.Argument(help="A grid file or folder, cigre_mv, cigre_lv or simbench:CODE.")],
    as_json: AsJson = False,
) -> None:
    """Read a grid, run its own power flow and print a summary."""
    summary = bootstrap.check_grid(file)
    say(json.dumps(summary, ensure_ascii=False) if as_json else narration.grid_summary(summary))
    raise typer.Exit(0 if summary["converged"] else 1)


@grid_app.command("needs")
def grid_needs(
    scenario: Annotated[Path, typer.Argument(help="Scenario folder with a grid.")],
    conditional: Annotated[
        bool, typer.Option("--conditional", help="Move resources with a conditional agreement only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find where relief is needed, and the least power that gives it; exit 1 if nothing gives all of it."""
    needs = bootstrap.grid_needs(scenario, conditional)
    if as_json:
        say(json.dumps(needs, ensure_ascii=False))
    else:
        show(narration.needs_summary(needs))
        say(f"Next: flexpeer run {scenario}")
    raise typer.Exit(0 if not needs["left"] else 1)


@app.command("clear")
def clear_problem(
    *,
    problem: Annotated[Path, typer.Argument(help="A clearing problem, .npz; to verify, also a publication's folder.")],
    out: Annotated[Path | None, typer.Option("--out", help="File for allocation and prices, .npz.")] = None,
    publish: Annotated[Path | None, typer.Option(help="New or empty folder for what all may see.")] = None,
    engine: Annotated[str, typer.Option(help="auto, price-newton, price-posting, tree-sweep or central.")] = "auto",
    verify: Annotated[bool, typer.Option("--verify", help="Check the certificate.")] = False,
    as_json: AsJson = False,
) -> None:
    """Clear what bids are left within all grid limits, with a bound on the distance from the optimum."""
    if verify and problem.is_dir():
        facts, damages = clearings.verify_publication(problem)
    else:
        found = with_progress(lambda tell: clearings.clear_file(problem, engine, out, tell), "clearing")
        facts, damages = found.facts, clearings.verify_clearing(problem, found) if verify else []
        if publish is not None:
            clearings.publish_clearing(found, publish)
    facts |= {"verified": not damages, "damages": damages} if verify else {}
    told = narration.publication_story(facts) if "parties" in facts else narration.clearing_story(facts, out)
    say(json.dumps(facts) if as_json else told)
    raise typer.Exit(1 if damages else 0)


@app.command("split")
def split_problem(
    problem: Annotated[Path, typer.Argument(help="A clearing problem, .npz, or a scenario folder with a grid.")],
    out: Annotated[Path, typer.Option("--out", help="New or empty folder for what each organisation gets.")],
    agent: Annotated[list[int] | None, typer.Option(help="A peer with an agent of its own; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Split a clearing problem, or a market day, by its DSOs: a share for everybody, and keys."""
    of_day = problem.is_dir()
    facts = day_nodes.split_scenario(problem, out) if of_day else nodes.split_file(problem, out, agent or ())
    story = narration.day_split_story if of_day else narration.split_story
    say(json.dumps(facts, ensure_ascii=False) if as_json else story(facts, out))


@app.command()
def node(  # noqa: PLR0913 - options of any role
    *,
    dso: Annotated[str | None, typer.Option(help="Run as this DSO, or as the agent of one of its peers.")] = None,
    peer: Annotated[str | None, typer.Option(help="Run as this peer's agent.")] = None,
    market_operator: Annotated[
        Path | None,
        typer.Option(help="Run as market operator of this outline.json, or of this folder of a market day."),
    ] = None,
    problem: Annotated[Path | None, typer.Option(help="The DSO's or the peer's part of the problem, .npz.")] = None,
    scenario: Annotated[Path | None, typer.Option(help="The DSO's folder of a market day.")] = None,
    agents: Annotated[Path | None, typer.Option(help="Folder of a DSO's agents: agents.json, keys, bids left.")] = None,
    keys: Annotated[Path, typer.Option(help="Folder with one's own NAME.key and public-keys.json.")] = Path(),
    server: Annotated[str | None, typer.Option(help="Address of a NATS server that runs.")] = None,
    hub: Annotated[str | None, typer.Option(help="HOST:PORT of the hub that a DSO's own server joins.")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT where one's own server listens.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds until who does not answer is silent.", min=0.1)] = 10.0,
    state: Annotated[Path | None, typer.Option(help="Folder for what must survive the program, of one day.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File for what stands, .npz; a market day's results folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take part in one clearing, or one market day, between organisations; exit 1 if nothing stands."""
    place = MeetingPlace(server, keys, timeout, state, hub, listen)
    of_day = scenario is not None or (market_operator is not None and market_operator.is_dir())
    with _ended_in_order():
        match market_operator, dso, peer, problem:
            case Path() | None, _, None, None if of_day and agents is None:
                facts = _day_node(dso, scenario, market_operator, place, out)
            case Path(), None, None, None if agents is None and out is None:
                facts = nodes.run_market_operator(market_operator, place, told)
            case None, str(), None, Path():
                facts = nodes.run_dso(dso, problem, place, out, told, agents)
            case None, str(), str(), Path() if agents is None:
                facts = nodes.run_agent(peer, dso, problem, place, out)
            case _:
                raise bad_input("node", "has no role", ROLES, field="dso")
    story = narration.day_node_story if "status" not in facts or "in_doubt" in facts else narration.node_story
    say(json.dumps(facts, ensure_ascii=False) if as_json else story(facts))
    raise typer.Exit(0 if facts["accepted"] else 1)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Told to end (SIGTERM), end what was started first, then with the status a shell expects."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _day_node(
    dso: str | None, scenario: Path | None, market_operator: Path | None, place: MeetingPlace, out: Path | None
) -> dict[str, Any]:
    """Either role of a market day."""
    if dso is not None and scenario is not None and market_operator is None:
        return day_nodes.run_day_dso(dso, scenario, place, out, told)
    if market_operator is not None and dso is None and scenario is None and out is not None:
        found: dict[str, Any] = with_progress(
            lambda tell: day_nodes.run_day_operator(market_operator, place, out, tell)
        )
        return found
    raise bad_input("node", "has no role in a market day", DAY_ROLES, field="dso")


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="clearing, grid, market, screening or service")],
    case: Annotated[str | None, typer.Option(help="One case by its name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure an engine beside its rivals in one run."""
    others = {"clearing": lambda only, _tell: bench_clearing.rows(case=only), "service": bench_service.rows}
    rows, missing = bootstrap.bench(name, case, told, others)
    if missing and not as_json:
        told(f"not installed: {', '.join(missing)} (make bench-deps)")
    say(json.dumps({"rows": rows, "missing": missing}) if as_json else narration.bench_table(rows))


def main() -> None:
    """Run the program; its memory goes as a whole when it ends, which saves a quarter of a second of collecting."""
    try:
        app()
    except SystemExit as ending:
        if ending.code == INTERRUPT:
            end_interrupted()
        raise
    finally:
        gc.freeze()

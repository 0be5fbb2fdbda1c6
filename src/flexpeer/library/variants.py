"""A day under many rulebooks: one row for each, with the figures of `result.json`, or why there are none."""

import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from flexpeer.adapters.scenario_files.rules import changed_rulebook
from flexpeer.app.scenario import Scenario
from flexpeer.errors import BadInput, Finding
from flexpeer.library.days import PlannedDay, Progress, read
from flexpeer.library.tables import Record

WHERE: Final = "sweep"
NOT_SHOWN: Final = ("timings_s",)
Rules = Mapping[str, Any]


def combined(scenario: Scenario, rules: Mapping[str, Iterable[Any]]) -> list[Rules]:
    """Every combination of the rules' values, the last rule's fastest; `BadInput` for those that are none."""
    values = {rule: [given] if isinstance(given, str) else list(given) for rule, given in rules.items()}
    findings: list[Finding] = []
    for rule, each in values.items():
        if not each:
            findings.append(Finding(WHERE, 0, f"rulebook.{rule}", "there is no value", "one value or more"))
        for value in each:
            try:
                changed_rulebook(scenario.rulebook, {rule: value}, WHERE)
            except BadInput as error:
                findings += error.findings
    if findings:
        raise BadInput(findings)
    return [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]


def run_variants(
    day: PlannedDay, folder: Path, variants: Sequence[Rules], processes: int, progress: Progress
) -> list[Record]:
    """A row per variant, in order; with more processes than one, each of them runs one variant after the other."""
    count = min(processes, len(variants))
    done = _here(day, variants) if count <= 1 else _elsewhere(folder, variants, count)
    rows: dict[int, Record] = {}
    for number, row in done:
        rows[number] = row
        progress(len(rows), len(variants))
    return [{"variant": number, **variants[number - 1], **rows[number]} for number in sorted(rows)]


def _here(day: PlannedDay, variants: Sequence[Rules]) -> Iterator[tuple[int, Record]]:
    for number, rules in enumerate(variants, 1):
        yield number, outcome_of(day, rules)


def outcome_of(day: PlannedDay, rules: Rules) -> Record:
    """The figures of the day under these rules, and an `error`: None, or why there are none."""
    try:
        return {**dict(_flat(day.run(rules).figures)), "error": None}
    except BadInput as error:
        return {"error": "; ".join(map(str, error.findings))}
    except Exception as error:  # whatever ended it, the other variants have theirs
        return {"error": f"{type(error).__name__}: {error}"}


def _flat(figures: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Figures by name; one inside another as `kpi.opex`; no lists, no times, nothing with an order to it."""
    for name, value in figures.items():
        if isinstance(value, Mapping) and name not in NOT_SHOWN:
            yield from _flat(value, f"{above}{name}.")
        elif not isinstance(value, list | Mapping):
            yield f"{above}{name}", value


class _Process:
    """A process that runs one variant after the other; a new one after one that ended by itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool: ProcessPoolExecutor | None = None

    def run(self, rules: Rules) -> Record:
        """The row of a variant, whatever became of the process."""
        self._pool = self._pool or ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            return self._pool.submit(_outcome_in, self._folder, rules).result()
        except BrokenProcessPool:
            self.close()
            return {"error": "its process ended before the day did, as for want of memory"}

    def close(self) -> None:
        """End it."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def _elsewhere(folder: Path, variants: Sequence[Rules], count: int) -> Iterator[tuple[int, Record]]:
    """Rows as they come; a thread waits for each process."""
    processes = [_Process(folder) for _ in range(count)]
    idle: SimpleQueue[_Process] = SimpleQueue()
    for process in processes:
        idle.put(process)

    def run(number: int, rules: Rules) -> tuple[int, Record]:
        process = idle.get()
        try:
            return number, process.run(rules)
        finally:
            idle.put(process)

    with ThreadPoolExecutor(count) as threads:
        try:
            waiting = [threads.submit(run, number, rules) for number, rules in enumerate(variants, 1)]
            yield from (each.result() for each in as_completed(waiting))
        finally:
            threads.shutdown(cancel_futures=True)
            for process in processes:
                process.close()


@lru_cache(maxsize=1)
def _day_in(folder: Path) -> PlannedDay:
    return read(folder)


def _outcome_in(folder: Path, rules: Rules) -> Record:
    """The row of a variant, in a process of its own."""
    return outcome_of(_day_in(folder), rules)


def columns_of(rows: Sequence[Record]) -> list[str]:
    """The columns of all rows, in order of appearance; `error` last."""
    return [name for name in dict.fromkeys(name for row in rows for name in row) if name != "error"] + ["error"]


def as_table(rows: Sequence[Record]) -> Any:
    """A data frame, or the records without pandas; a variant without figures has empty cells."""
    columns = columns_of(rows)
    whole = [{name: row.get(name) for name in columns} for row in rows]
    if not find_spec("pandas"):
        return whole
    import pandas as pd  # noqa: PLC0415 - an optional extra

    return pd.DataFrame(whole, columns=columns)

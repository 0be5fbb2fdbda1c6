"""A day under many rulebooks: one row for each, with the figures of `result.json`, or why there are none."""

import csv
import multiprocessing
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from decimal import Decimal
from functools import lru_cache
from itertools import islice, product
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, Final

from flexpeer.adapters.folders import whole_file
from flexpeer.adapters.scenario_files.rules import changed_rulebook
from flexpeer.errors import BadInput, Finding, Unusable, bad_input
from flexpeer.library.days import PlannedDay, Progress, read
from flexpeer.library.tables import Record, installed_pandas
from flexpeer.market.rulebook import Rulebook

WHERE: Final = "sweep"
NOT_SHOWN: Final = ("timings_s",)
WORTH_A_START_S: Final = 15.0
"""Work that is worth starting processes for; each takes some seconds until it has loaded what a day needs."""
Rules = Mapping[str, Any]
Numbered = Mapping[int, Rules]


def sweep(
    day: PlannedDay, rules: Mapping[str, Iterable[Any]], processes: int | None, progress: Progress
) -> list[Record]:
    """A row for every combination of the rules' values."""
    return run_variants(day, combined(rules), processes, progress)


def combined(rules: Mapping[str, Iterable[Any]]) -> list[Rules]:
    """Every combination of the rules' values, the last rule's fastest; `BadInput` for those that are none."""
    values = {rule: [given] if isinstance(given, str) else list(given) for rule, given in rules.items()}
    findings: list[Finding] = []
    for rule, each in values.items():
        if not each:
            findings.append(Finding(WHERE, 0, f"rulebook.{rule}", "there is no value", "one value or more"))
        for value in each:
            try:
                changed_rulebook(Rulebook(), {rule: value}, WHERE)
            except BadInput as error:
                findings += error.findings
    if findings:
        raise BadInput(findings)
    return [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]


def run_variants(day: PlannedDay, variants: Sequence[Rules], processes: int | None, progress: Progress) -> list[Record]:
    """A row per variant, in order; with more processes than one, each of them runs one variant after the other.

    With None, as many as there are cores where that is sooner: the first variant, which runs here, tells.
    """
    numbered = dict(enumerate(variants, 1))
    rows: dict[int, Record] = {}

    def note(done: Iterable[tuple[int, Record]]) -> None:
        for number, row in done:
            rows[number] = row
            progress(len(rows), len(numbered))

    if processes is None:
        began = perf_counter()
        note(_here(day, dict(islice(numbered.items(), 1))))
        left = len(numbered) - len(rows)
        processes = os.cpu_count() or 1 if (perf_counter() - began) * left > WORTH_A_START_S else 1
    others = {number: rules for number, rules in numbered.items() if number not in rows}
    count = min(processes, len(others))
    note(_here(day, others) if count <= 1 else _elsewhere(day.folder, others, count))
    return [{"variant": number, **rules, **rows[number]} for number, rules in numbered.items()]


def _here(day: PlannedDay, variants: Numbered) -> Iterator[tuple[int, Record]]:
    for number, rules in variants.items():
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


def _end_with_parent() -> None:
    """End this process when the one that started it is there no more, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only a process that was started runs this"

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


class _Process:
    """A process that runs one variant after the other; a new one after one that ended by itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool: ProcessPoolExecutor | None = None

    def run(self, rules: Rules) -> Record:
        """The row of a variant, whatever became of the process."""
        self._pool = self._pool or ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _end_with_parent)
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


def _elsewhere(folder: Path, variants: Numbered, count: int) -> Iterator[tuple[int, Record]]:
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
            waiting = [threads.submit(run, number, rules) for number, rules in variants.items()]
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


_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def sweep_folder(
    folder: Path, rules: Iterable[str], processes: int | None, progress: Progress, out: Path | None
) -> list[Record]:
    """`flexpeer sweep`: the rows of a scenario folder's variants, and in a file; a rule is `priority=time,price_time`.

    `Unusable`, before a day has run, where the file could not be written.
    """
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise Unusable(str(out), "it is no file of a folder that is there", "a file that can be written")
    rows = sweep(read(folder), _rules_in(rules), processes, progress)
    if out is not None:
        _write_rows(rows, out)
    return rows


def _rules_in(texts: Iterable[str]) -> dict[str, list[Any]]:
    """Values by rule; a number is one, whatever it is for."""
    rules: dict[str, list[Any]] = {}
    for text in texts:
        rule, equals, values = text.partition("=")
        if not equals or rule in rules:
            problem = "stands there twice" if rule in rules else "is no rule with its values"
            raise bad_input(WHERE, f"{text!r} {problem}", "RULE=VALUE,VALUE, each rule once", field="rule")
        rules[rule] = [_value(value.strip()) for value in values.split(",")]
    return rules


def _value(text: str) -> Any:
    number = _NUMBER.fullmatch(text)
    return text if number is None else Decimal(text) if number[1] else int(text)


def _write_rows(rows: Sequence[Record], file: Path) -> None:
    """The rows as a CSV file."""
    with whole_file(file) as work, work.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, columns_of(rows), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def columns_of(rows: Sequence[Record]) -> list[str]:
    """The columns of all rows, in order of appearance; `error` last."""
    return [name for name in dict.fromkeys(name for row in rows for name in row) if name != "error"] + ["error"]


def as_table(rows: Sequence[Record]) -> Any:
    """A data frame, or the records without pandas; a variant without figures has empty cells."""
    columns = columns_of(rows)
    whole = [{name: row.get(name) for name in columns} for row in rows]
    pandas = installed_pandas()
    return whole if pandas is None else pandas.DataFrame(whole, columns=columns)

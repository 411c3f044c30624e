"""Great Expectations judges the tables: its results, read from its JSON, and its own pages. Defines no expectation.

Its pages stay as it builds them. They fetch styles and scripts from other servers; our own page, `checks/report`,
shows the same results without a network.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, TypeAdapter

from pipeline.checks.expectations import KEYS, Check, TableName
from pipeline.checks.faults import FAULTS, NOUNS, spelled
from pipeline.core.text import counted, named
from pipeline.storage.files import read_json

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.data_context import EphemeralDataContext

EXAMPLES = 20  # rows that miss an expectation and are named


class Judgement(BaseModel):
    """How one expectation was judged: an entry of `reports/expectations.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: TableName
    fault: str  # the key in params.yaml
    words: str  # what is expected, and what to do
    expected: str  # the range
    status: Literal["met", "warning", "error"]
    found: str  # in a word or two
    rows: int
    unknown: int  # rows without a value; they miss nothing
    missed: int  # rows that miss it
    examples: tuple[str, ...]  # the keys of the first of these rows: paths, labels, measures
    values: tuple[float, ...]  # what they have instead
    error: str  # why it could not be judged
    wrong: str = ""  # what is wrong; goes on from `1 of 340 files`. Empty: written by an earlier version
    remedy: str = ""  # what to do about them

    @property
    def met(self) -> bool:
        """Whether the data are as expected."""
        return self.status == "met"

    @property
    def expectation(self) -> str:
        """What is expected, in a sentence."""
        return self.words.partition(". ")[0].rstrip(".") + "."

    @property
    def finding(self) -> str:
        """What was found, in a sentence: how many rows miss it, and the first of them."""
        if self.error:
            return f"{self.expectation} It could not be checked: {self.error}"
        if not self.wrong:
            return f"{self.words} Found: {self.found}."
        if self.table == "dataset":
            return f"{self.wrong}."
        return (
            f"{self.missed:,} of {counted(self.rows, *NOUNS[self.table])} {self.wrong}: "
            f"{named(self.examples, self.missed)}."
        )

    @property
    def sentence(self) -> str:
        """One line for a missed expectation: what was found, and what to do."""
        return f"{self.finding} {self.remedy}".rstrip()


def read_judgements(file: Path) -> list[Judgement]:
    """The judgements that `validate` wrote."""
    return TypeAdapter(list[Judgement]).validate_python(read_json(file))


def judge(
    found: Mapping[TableName, pd.DataFrame], every: list[Check], data_docs: Path | None = None
) -> list[Judgement]:
    """Let Great Expectations judge the tables, and build its Data Docs in the folder `data_docs`; None: no pages."""
    import great_expectations as gx

    context = _context(data_docs)
    source = context.data_sources.add_pandas("raw")
    judged: list[Judgement] = []
    for name, frame in found.items():
        asked = [check for check in every if check.table == name]
        columns = [KEYS[name], *dict.fromkeys(check.column for check in asked)]
        numbers = frame[columns].astype(dict.fromkeys(columns[1:], "float64"))
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
        suite = context.suites.add(_suite(name, asked))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        checkpoint = gx.Checkpoint(
            name=name,
            validation_definitions=[definition],
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [KEYS[name]]},
        )
        run = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": numbers})
        (result,) = run.run_results.values()
        as_json = result.to_json_dict()  # type: ignore[no-untyped-call]
        judged.extend(_judgements(as_json["results"], asked, frame))
    if data_docs:
        context.build_data_docs()
    return judged


def _context(data_docs: Path | None) -> "EphemeralDataContext":
    """Great Expectations with nothing of its own on disk but its pages, in `data_docs`, if there is one."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for site in list(context.list_data_docs_sites()):
        context.delete_data_docs_site(site)
    if data_docs is None:
        return context
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(data_docs.absolute())}
    context.add_data_docs_site(
        "nightshift",
        {
            "class_name": "SiteBuilder",
            "store_backend": backend,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    return context


def _suite(name: str, asked: Iterable[Check]) -> "ExpectationSuite":
    from great_expectations import ExpectationSuite
    from great_expectations import expectations as gxe
    from great_expectations.expectations.metadata_types import FailureSeverity

    severities = {"error": FailureSeverity.CRITICAL, "warning": FailureSeverity.WARNING}
    expectations = [
        gxe.ExpectColumnValuesToBeBetween(
            column=check.column, min_value=check.low, max_value=check.high, mostly=1 - check.max_share,
            severity=severities[check.severity], notes=check.words,
        )
        for check in asked
    ]  # fmt: skip
    return ExpectationSuite(name=name, expectations=expectations)


def _judgements(results: list[dict[str, Any]], asked: list[Check], frame: pd.DataFrame) -> Iterator[Judgement]:
    """The judgement of each check that was asked of the table `frame`; results: of Great Expectations' JSON."""
    by_column = {result["expectation_config"]["kwargs"]["column"]: result for result in results}
    for check in asked:
        result = by_column[check.column]
        figures = result["result"]
        missing = figures.get("unexpected_index_list") or []
        whole = check.table == "dataset"
        yield Judgement(
            table=check.table,
            fault=check.fault,
            words=check.words,
            expected=check.expected,
            status="met" if result["success"] else "error" if check.severity == "error" else "warning",
            found=f"{frame[check.column].iloc[0]:g}" if whole else f"{len(missing)} of {len(frame)}",
            rows=len(frame),
            unknown=figures.get("missing_count", 0),
            missed=len(missing),
            examples=tuple(str(row[KEYS[check.table]]) for row in missing[:EXAMPLES]),
            values=tuple(row[check.column] for row in missing[:EXAMPLES]),
            error=_exception(result["exception_info"]),
            **_in_words(check, len(missing), float(frame[check.column].iloc[0]) if whole and len(frame) else 0.0),
        )


def _in_words(check: Check, missed: int, value: float) -> dict[str, str]:
    """What is wrong and what to do, for so many rows, or for the data set's value."""
    limits = {
        "low": check.low,
        "high": check.high,
        "value": value,
        "percent": 100 * value,
        "most": 100 * (check.high or 0),
    }
    shown = {name: f"{limit:.4g}" for name, limit in limits.items() if limit is not None}
    count, fault = value if check.table == "dataset" else missed, FAULTS[check.fault]
    wrong, remedy = (spelled(words, count).format(**shown, baseline=check.baseline) for words in fault)
    return {"wrong": wrong, "remedy": remedy}


def _exception(info: dict[str, Any]) -> str:
    """Great Expectations' own failure, wherever it hides it."""
    inner = [info, *(value for value in info.values() if isinstance(value, dict))]
    return next((str(part["exception_message"]) for part in inner if part.get("exception_message")), "")

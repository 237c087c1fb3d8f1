"""Pages by Jinja2; everything that came from data is escaped for the format it goes into."""

import re
from typing import TYPE_CHECKING

from relkit.domain.estimates import Estimate
from relkit.domain.reports import EvalReport
from relkit.domain.slices import OVERALL
from relkit.rules.presenting import interval, number, overall, primary_metric, worst_first

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

# A colon is special only before a character (":emoji:", "https://"), so the others stay readable.
# A dot is only after "www", which GitHub makes a link of.
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>()#+!|~$@&]|:(?=\S)|(?<=www)\.")
_MOST_METRICS = 3


class JinjaPages:
    """Implements the ``Renderer`` port with the templates that ship with relkit."""

    def report_markdown(self, report: EvalReport) -> str:
        """Return a report as Markdown: overall, slices worst first, masking, extremes."""
        primary = primary_metric(report)
        slices = [item for item in report.slices if item.slice != OVERALL]
        if primary is not None:
            slices = worst_first(slices, primary)
        template = _environment().get_template("report.md.j2")
        return template.render(
            report=report,
            overall=overall(report),
            primary=primary,
            slices=slices if primary is not None else [],
            metrics=_shown_metrics(report, primary),
        )


def _shown_metrics(report: EvalReport, primary: str | None) -> list[str]:
    """Return the primary metric and the next ones: a page is only so wide."""
    names = [name for name in overall(report).metrics if name != primary]
    return [*([primary] if primary is not None else []), *names][:_MOST_METRICS]


def _environment() -> "ImmutableSandboxedEnvironment":
    from jinja2 import PackageLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=PackageLoader("relkit", "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown: the filters below escape for it
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "md": markdown,
        "code": code,
        "value": _value,
        "interval": interval,
        "percent": lambda value: number(value, "fraction"),
    }
    return environment


def markdown(text: str) -> str:
    """Return text that stays text in Markdown, in a table cell, too."""
    flat = "".join(char if char.isprintable() else " " for char in text)
    return _MARKDOWN.sub(r"\\\g<0>", flat)


def code(text: str) -> str:
    """Return text for a code span: back-ticks and line ends have no escape there."""
    return "".join(char if char.isprintable() and char not in "`|" else " " for char in text)


def _value(estimate: Estimate) -> str:
    return number(estimate.value, estimate.unit)

"""JUnit XML of a decision, for CI systems that show tests: one test case per check.

The shape is the one Jenkins and Maven Surefire read (``testsuites`` > ``testsuite`` > ``testcase``
> ``failure`` | ``error`` | ``skipped``). A check that does not count towards the verdict is
``skipped``: nobody's build turns red by it, and it never looks like a pass either.
"""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from relkit.core.wording import NONE, each_asked, interval, number, xml_text
from relkit.evaluation.types import EvalReport
from relkit.gate.types import GateDecision, Override, Verdict
from relkit.gate.view import GateView, ShownResult
from relkit.monitoring.types import LiveCheck, LiveFinding
from relkit.report.github_view import shared_headline, shared_slice
from relkit.report.types import SharedDocument

_NOT_JUDGED = "measured, judged by no gate"


def decision_junit(decision: GateDecision, overrides: Sequence[Override] = ()) -> bytes:
    """Return the JUnit XML of a decision, UTF-8.

    A decision that is no pass has a failing test case even where no single check says why, so
    that a reader of the XML alone is never told more than the verdict.
    """
    view = GateView(decision, overrides)
    suite = _suite(f"relkit gate {decision.policy.name}", decision.created)
    _properties(
        suite,
        [
            ("policy", decision.policy.name),
            ("policy_digest", decision.policy.digest),
            ("verdict", view.verdict.value),
            ("enforcement", decision.policy.enforcement),
            ("serial", str(decision.serial)),
            ("expires", decision.expires),
            *(("remark", remark) for remark in view.remarks),
        ],
    )
    case = _testcase(suite, "gate", "verdict")
    if view.shadow:
        _add(case, "skipped", message=view.headline)
    elif view.verdict is not Verdict.PASS:
        _blocked(case, view.verdict, view.headline)
    for item in (*view.blocking, *view.passed, *view.aside):
        _case(suite, item, shadow=view.shadow)
    return _document(suite)


def finding_junit(finding: LiveFinding) -> bytes:
    """Return the JUnit XML of a look at live traffic, UTF-8: one test case per check."""
    suite = _suite(f"relkit {finding.kind} {finding.policy.name}", finding.created)
    _properties(
        suite,
        [
            ("policy", finding.policy.name),
            ("policy_digest", finding.policy.digest),
            ("verdict", finding.verdict),
            ("enforcement", finding.enforcement),
        ],
    )
    shadow = finding.enforcement == "shadow"
    whole = LiveCheck(name=finding.kind, verdict=finding.gate_verdict, reason=finding.reason)
    for check in (whole, *finding.checks):
        case = _testcase(suite, check.name, "verdict" if check is whole else check.slice)
        if shadow or check.advisory:
            why = "shadow" if shadow else "advisory"
            _add(case, "skipped", message=f"{why}: {check.verdict}: {check.reason}")
        elif check.verdict != "pass":
            _blocked(case, Verdict(check.verdict), check.reason)
        _add(case, "system-out", text=f"verdict: {check.verdict}\nreason: {check.reason}")
    return _document(suite)


def report_junit(report: EvalReport) -> bytes:
    """Return the JUnit XML of a report: every number as a skipped test case, for nothing judged it.

    Where nothing could be scored there is an error instead of numbers.
    """
    suite = _suite(f"relkit report {report.suite.name}", report.created)
    named = [("run", report.run), ("suite_digest", report.suite.digest), ("verdict", "not_judged")]
    _properties(suite, named)
    for item in report.slices if report.scored else ():
        for name, estimate in item.metrics.items():
            value = number(estimate.value, estimate.unit)
            span = interval(estimate.low, estimate.high, estimate.unit)
            beside = "" if span == NONE else f" ({span})"
            note = f", {estimate.note}" if estimate.note else ""
            case = _testcase(suite, item.slice, name)
            _add(case, "skipped", message=f"{value}{beside}{note}; {_NOT_JUDGED}")
    case = _testcase(suite, "coverage", "scored")
    text = each_asked(report.items, report.repeats)
    text += f"{report.scored} of {report.expected} scored, {report.unusable} unusable"
    if report.scored:
        _add(case, "skipped", message=f"{text}; {_NOT_JUDGED}")
    else:
        _add(case, "error", type="no_data", message=text)
    return _document(suite)


def shared_junit(document: SharedDocument) -> bytes:
    """Return what may be shown of something as JUnit XML, UTF-8: its verdict, then every row."""
    suite = _suite(document.title, document.created)
    _properties(
        suite,
        [
            ("verdict", document.verdict or "not_judged"),
            ("subjects", document.subjects),
            ("hidden", str(document.hidden)),
            *(("about", line) for line in document.about),
            *(("remark", remark) for remark in document.remarks),
        ],
    )
    if document.outcome is not None:
        _shared_case(
            _testcase(suite, "gate", "verdict"),
            document.outcome,
            shared_headline(document),
            skipped="" if document.blocks or document.outcome is Verdict.PASS else "shadow",
        )
    for row in document.rows:
        case = _testcase(suite, row.name, f"{shared_slice(row)} {row.metric}")
        words = f"{row.observed}; allowed {row.allowed}; {row.basis}"
        shadow = document.outcome is not None and not document.blocks
        aside = row.mode or ("shadow" if shadow and row.verdict is not Verdict.PASS else "")
        _shared_case(case, row.verdict, words, skipped=aside)
    return _document(suite)


def _shared_case(case: ET.Element, verdict: Verdict | None, message: str, *, skipped: str) -> None:
    if verdict is None or skipped:
        _add(case, "skipped", message=f"{skipped or _NOT_JUDGED}: {message}")
    elif verdict is not Verdict.PASS:
        _blocked(case, verdict, message)
    _add(case, "system-out", text=message)


def _case(suite: ET.Element, item: ShownResult, *, shadow: bool) -> None:
    result = item.result
    case = _testcase(suite, item.name, f"{result.slice} {result.metric}")
    if item.mode or shadow:
        why = item.mode or "shadow"
        _add(case, "skipped", message=f"{why}: {item.verdict}: {item.reason}")
    elif result.verdict is not Verdict.PASS:
        _blocked(case, result.verdict, item.reason, code=result.code)
    # As lines: the common schemas know no properties of a test case.
    lines = {
        "verdict": result.verdict.value,
        "code": result.code,
        "mode": result.mode,
        "test": result.test,
        "observed": item.observed,
        "interval": item.span,
        "allowed": item.allowed,
        "rests on": item.basis,
        "reason": item.reason,
    }
    numbers = "\n".join(f"{name}: {value}" for name, value in lines.items())
    _add(case, "system-out", text=numbers)


def _blocked(case: ET.Element, verdict: Verdict, message: str, *, code: str = "") -> None:
    """Add what ended a case: a failure, or an error where nothing was shown to be bad."""
    kind = "failure" if verdict is Verdict.FAIL else "error"
    text = f"{verdict.value}: {code}" if code else verdict.value
    _add(case, kind, type=text, message=message, text=message)


def _suite(name: str, created: str) -> ET.Element:
    suite = ET.Element("testsuite", name=xml_text(name))
    if created:
        # The schema's xs:dateTime has no zone: times are UTC everywhere in relkit.
        suite.set("timestamp", xml_text(created.removesuffix("Z")))
    return suite


def _testcase(suite: ET.Element, group: str, name: str) -> ET.Element:
    return ET.SubElement(
        suite, "testcase", classname=xml_text(group), name=xml_text(name), time="0"
    )


def _properties(parent: ET.Element, values: Sequence[tuple[str, str]]) -> None:
    block = ET.SubElement(parent, "properties")
    for name, value in values:
        ET.SubElement(block, "property", name=name, value=xml_text(value))


def _add(case: ET.Element, tag: str, *, text: str = "", **attributes: str) -> None:
    cleaned = {name: xml_text(value) for name, value in attributes.items()}
    child = ET.SubElement(case, tag, cleaned)
    if text:
        child.text = xml_text(text)


def _document(suite: ET.Element) -> bytes:
    cases = suite.findall("testcase")
    counted = {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }
    for name, count in counted.items():
        suite.set(name, str(count))
    suite.set("time", "0")
    attributes = {name: str(count) for name, count in counted.items() if name != "skipped"}
    root = ET.Element("testsuites", {"name": "relkit", "time": "0", **attributes})
    root.append(suite)
    ET.indent(root)
    data: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return data + b"\n"

"""A smoke test's report as JUnit XML, which CI systems read: pure."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from dsv4_launch.run.smoke.suite import Outcome, Report


def junit(report: Report) -> str:
    """One test suite, a test case for each check; what did not apply is skipped, with its reason."""
    about = {
        "name": "dsv4 smoke",
        "tests": str(len(report.checks)),
        "failures": str(len(report.failed)),
        "errors": "0",
        "skipped": str(report.count("not applicable")),
        "time": f"{report.seconds:.2f}",
    }
    told = {
        "endpoint": report.base_url,
        "model": report.model,
        "vllm": report.version,
        "judged": "protocol only" if report.random else "protocol and content",
    }
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", f"  <testsuite{_attributes(about)}>"]
    lines.append("    <properties>")
    lines += [f"      <property{_attributes({'name': name, 'value': value})}/>" for name, value in told.items()]
    lines.append("    </properties>")
    for check in report.checks:
        lines += _case(check)
    return "\n".join([*lines, "  </testsuite>", "</testsuites>", ""])


def unasked(base_url: str, why: str) -> str:
    """The report of a server that could not be tested: one test case, in error."""
    about = {"name": "dsv4 smoke", "tests": "1", "failures": "0", "errors": "1", "skipped": "0", "time": "0.00"}
    case = {"classname": "dsv4.smoke", "name": "server", "time": "0.00"}
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<testsuites>",
        f"  <testsuite{_attributes(about)}>",
        f"    <testcase{_attributes(case)}>",
        f"      <error{_attributes({'message': why, 'type': 'smoke'})}>{_escaped(base_url)}</error>",
        "    </testcase>",
        "  </testsuite>",
        "</testsuites>",
        "",
    ]
    return "\n".join(lines)


def _case(check: Outcome) -> list[str]:
    head = {"classname": "dsv4.smoke", "name": check.key, "time": f"{check.seconds:.2f}"}
    opening = f"    <testcase{_attributes(head)}>"
    if check.status == "fail":
        failure = {"message": check.why, "type": check.advisory or "smoke"}
        inside = f"      <failure{_attributes(failure)}>{_escaped(check.title)}</failure>"
    elif check.status == "not applicable":
        inside = f"      <skipped{_attributes({'message': check.why})}/>"
    else:
        inside = f"      <system-out>{_escaped(check.why or check.title)}</system-out>"
    return [opening, inside, "    </testcase>"]


def _attributes(values: dict[str, str]) -> str:
    return "".join(f" {name}={quoteattr(_allowed(value))}" for name, value in values.items())


def _escaped(text: str) -> str:
    return escape(_allowed(text))


def _allowed(text: str) -> str:
    """XML 1.0 has no control characters, not even escaped; what a server said may hold any."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)

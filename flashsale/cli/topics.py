"""`flashsale topics`: creates every topic, or checks all of them."""

from __future__ import annotations

from typing import Annotated

import typer

from flashsale.admin import Finding, Severity, check_topics, create_topics
from flashsale.cli.console import complain, configured, print_table


def topics(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when something is wrong.")
    ] = False,
) -> int:
    """Create or check the topics; 1 when something is wrong. Raises ConfigurationError."""
    return _check_all() if check else _create_all()


def _create_all() -> int:
    """Create what is missing and show every topic; 1 when one that was there keeps a worker from starting."""
    settings = configured()
    created = create_topics(settings)
    rows = [(topic.topic, str(topic.partitions), "created" if topic.new else "exists") for topic in created]
    print_table(("topic", "partitions", "state"), rows, numbers=("partitions",))
    wrong = [finding for finding in check_topics(settings) if not finding.ok]
    for finding in wrong:
        complain(f"{finding.severity}: {finding.sentence}")
    return int(any(finding.severity is Severity.ERROR for finding in wrong))


def _check_all() -> int:
    """One line for each topic, more where more is wrong; 1 when anything is wrong."""
    findings = check_topics(configured())
    print_table(("topic", "state", "problem", "remedy"), map(_row, findings))
    return int(any(not finding.ok for finding in findings))


def _row(finding: Finding) -> tuple[str, str, str, str]:
    state = "ok" if finding.ok else finding.severity.value
    return finding.topic, state, finding.problem, finding.remedy

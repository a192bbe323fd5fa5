"""An auditor that shares no code with what it audits.

It reads what anybody outside can read: the input topics, the output topics, the changelog, and Fluent's
own figures. From these it works out by itself what must be true, one invariant after the other, and reports
each by its name (`tests.audit.report.INVARIANTS`). Nothing here imports anything of the program, and
tests/test_tidy.py sees to it. The worlds that it audits (tests/simulation, tests/faults) gather the evidence.
"""

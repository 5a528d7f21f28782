"""The results as JSON (schema.md) and as JUnit's XML. Everything in them is plain ASCII: text of the machine was escaped
when the records were made, and is escaped again here for the format at hand."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from judge.grade import LabResult, Result
from judge.record import Record, write_json

SCHEMA = 1


def number(points: float) -> int | float:
    """7.0 is 7, 7.5 stays."""
    return int(points) if float(points).is_integer() else round(points, 4)


def lab_object(result: LabResult) -> dict[str, Any]:
    """One lab's results, without the schema's number."""
    return {"lab": result.lab.name, "title": result.lab.title, "seed": f"{result.seed:#x}", "points": number(result.points),
            "max_points": number(result.max_points), "not_judged": number(result.not_judged), "refused": result.refused, "warnings": result.warnings,
            "tests": [_test(record) for record in result.records], "provenance": result.provenance}


def _test(record: Record) -> dict[str, Any]:
    data = record.to_json()
    data["points"], data["max_points"] = number(record.points), number(record.max_points)
    return data


def result_object(result: Result) -> dict[str, Any]:
    """The object of --json: one lab's, or for several {"schema": 1, "labs": [...]}."""
    state = {"exit_status": result.exit_status, "interrupted": result.interrupted, "trouble": result.trouble}
    if len(result.labs) == 1:
        return {"schema": SCHEMA, **lab_object(result.labs[0]), **state}
    return {"schema": SCHEMA, "labs": [lab_object(lab) for lab in result.labs], **state}


def write_result(file: Path, result: Result) -> None:
    write_json(file, result_object(result))


def write_junit(file: Path, result: Result) -> None:
    """One test suite per lab."""
    suites = ElementTree.Element("testsuites", name="faultline")
    for lab in result.labs:
        failures = sum(record.status in ("fail", "partial", "blocked") for record in lab.records)
        errors = sum(record.status == "error" for record in lab.records) + bool(lab.refused)
        suite = ElementTree.SubElement(suites, "testsuite", name=lab.lab.name, tests=str(len(lab.lab.tests)), failures=str(failures),
                                       errors=str(errors), skipped=str(len(lab.skipped)))
        if lab.refused:
            case = ElementTree.SubElement(suite, "testcase", classname=lab.lab.name, name="build")
            ElementTree.SubElement(case, "error", message="not built").text = _xml(lab.refused)
        for record in lab.records:
            _case(suite, record)
    ElementTree.indent(suites)
    text = ElementTree.tostring(suites, encoding="us-ascii", xml_declaration=True)
    temporary = file.with_name(f".{file.name}.partial")
    try:
        temporary.write_bytes(text + b"\n")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _case(suite: ElementTree.Element, record: Record) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=record.lab, name=record.id)
    text = _xml(f"expected: {record.expected}\nseen: {record.seen}\nhint: {record.hint}\nrepeat: {record.repeat}")
    if record.status in ("fail", "partial", "blocked"):
        message = f"{record.status}: {record.blocked_by or record.expected}"
        ElementTree.SubElement(case, "failure", message=_xml(message)).text = text
    elif record.status == "error":
        ElementTree.SubElement(case, "error", message=_xml(record.seen)).text = text
    elif record.status == "skipped":
        ElementTree.SubElement(case, "skipped", message=_xml(record.seen))
    if record.tables:
        lines = [line for table in record.tables for line in (*table.lines, "")]
        ElementTree.SubElement(case, "system-out").text = _xml("\n".join(lines))


def _xml(text: str) -> str:
    """XML 1.0 has no way to write control characters, not even as references."""
    return "".join(char if char in "\n\t" or char.isprintable() else char.encode("unicode_escape").decode() for char in text)

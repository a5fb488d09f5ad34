"""Compares what the stand-in billed with what the table calls says, and runs the SQL judge."""

import contextlib
import pathlib

from psycopg2.extras import execute_values

CHECK = pathlib.Path(__file__).resolve().parents[1] / "chaos" / "check.sql"


def sql_judge(stack, ids):
    """Returns {rule: how often it is broken}, broken ones only."""
    with contextlib.closing(stack.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE expected (id uuid PRIMARY KEY)")
        execute_values(cursor, "INSERT INTO expected VALUES %s", [(i,) for i in ids])
        cursor.execute(CHECK.read_text())
        return {rule: broken for rule, broken in cursor.fetchall() if broken}


def compare_ledger(stack, standin):
    """Returns (faults, facts): faults must be empty; facts say what was found."""
    rows = stack.sql(
        "SELECT id::text, state, input_tokens, cached_tokens, output_tokens FROM millrace.calls"
        " WHERE provider <> 'local'"
    )
    calls = {row[0]: row for row in rows}
    billed, seen, faults = {}, set(), []
    for entry in standin.ledger():
        if entry["call"] in seen:
            faults.append(f"call {entry['call']} was sent twice")
        seen.add(entry["call"])
        if entry["billed"]:
            billed[entry["call"]] = entry
    for call in seen - calls.keys():
        faults.append(f"the provider knows call {call}, the database does not")
    for call, state, given, cached, output in rows:
        entry = billed.get(call)
        if state == "settled":
            if not entry:
                faults.append(f"call {call} is settled, but was never billed")
            elif (given, cached or 0, output) != (entry["input"], entry["cached"], entry["output"]):
                faults.append(f"call {call}: {(given, cached, output)} tokens, billed {entry}")
        elif state == "released" and entry:
            faults.append(f"call {call} is released, but was billed")
    states = [row[1] for row in rows]
    facts = {state: states.count(state) for state in sorted(set(states))}
    facts["billed"] = len(billed)
    facts["ambiguous and billed"] = sum(
        1 for call, state, *_ in rows if state == "ambiguous" and call in billed
    )
    if len(billed) > facts.get("settled", 0) + facts.get("ambiguous", 0) + facts.get("open", 0):
        faults.append(f"more was billed than is accounted for: {facts}")
    return faults, facts

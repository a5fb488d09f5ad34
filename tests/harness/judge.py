"""Compares what the stand-in billed with what the table calls says, and runs the SQL judge."""

import contextlib
import pathlib

from psycopg2.extras import execute_values

CHAOS = pathlib.Path(__file__).resolve().parents[1] / "chaos"
CHECK, WITNESS = CHAOS / "check.sql", CHAOS / "witness.sql"
# What the shipped pipeline `document` must do.
DOCUMENT = (
    ("document", "extract", False, []),
    ("document", "summarize", True, ["extract"]),
    ("document", "entities", True, ["extract", "summarize"]),
)


def watch(stack):
    """Calls the witness, who must be there before anything happens."""
    stack.sql(WITNESS.read_text().replace("%", "%%"))


def prepare(cursor, confirmed, known, plan, allowed, strict):
    """Makes the tables that check.sql wants."""
    cursor.execute(
        "CREATE TEMP TABLE expected (id uuid PRIMARY KEY);"
        "CREATE TEMP TABLE known (id uuid PRIMARY KEY);"
        "CREATE TEMP TABLE plan (pipeline text, step text, paid bool, after_steps text[]);"
        "CREATE TEMP TABLE allowed (class text);"
        "CREATE TEMP TABLE prompt AS SELECT %s AS strict;",
        (strict,),
    )
    for table, rows in (
        ("expected", [(i,) for i in confirmed]),
        ("known", [(i,) for i in known]),
        ("plan", plan),
        ("allowed", [(i,) for i in allowed]),
    ):
        if rows:
            template = "(%s, %s, %s, %s::text[])" if table == "plan" else None
            execute_values(cursor, f"INSERT INTO {table} VALUES %s", rows, template)


def check(cursor):
    """[(rule, how often it is broken, some jobs)], broken ones only."""
    cursor.execute(CHECK.read_text())
    return cursor.fetchall()


def witness_judge(stack, confirmed, known, plan=DOCUMENT, allowed=(), strict=True):
    """Returns what is broken, in words. The witness must have been there."""
    with contextlib.closing(stack.connect()) as connection, connection.cursor() as cursor:
        prepare(cursor, confirmed, known, plan, allowed, strict)
        return [f"{rule}: broken {n} times, as by {jobs}" for rule, n, jobs in check(cursor)]


def read_ledger(standin):
    """({call: what was billed}, calls seen, faults)"""
    billed, seen, faults = {}, set(), []
    for entry in standin.ledger():
        if entry["call"] in seen:
            faults.append(f"call {entry['call']} was sent twice")
        seen.add(entry["call"])
        if entry["billed"]:
            billed[entry["call"]] = entry
    return billed, seen, faults


def compare_ledger(stack, standin):
    """Returns (faults, facts): faults must be empty; facts say what was found."""
    rows = stack.sql(
        "SELECT id::text, state, input_tokens, cached_tokens, output_tokens FROM millrace.calls"
        " WHERE provider <> 'local' AND cached_from IS NULL"
    )
    calls = {row[0]: row for row in rows}
    billed, seen, faults = read_ledger(standin)
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


def bill(entry, rates):
    """What the provider wants for it, in pico-dollars; rates as (input, cached, output) a token."""
    given, cached, output = rates[entry["model"]]
    return entry["input"] * given + entry["cached"] * cached + entry["output"] * output


def compare_money(stack, standin, rates):
    """compare_ledger to the last pico-dollar: settled calls cost what was billed for them, and what
    was billed for an ambiguous one is below its hold. rates: {model: rates}."""
    faults, facts = compare_ledger(stack, standin)
    billed, _, _ = read_ledger(standin)
    rows = stack.sql("SELECT id::text, state, cost_pico, hold_pico FROM millrace.calls WHERE cached_from IS NULL")
    settled = ambiguous = 0
    for call, state, cost, hold in rows:
        want = bill(billed[call], rates) if call in billed else 0
        if state == "settled" and cost != want:
            faults.append(f"call {call} costs {cost}, billed {want}")
        elif state == "ambiguous" and want > hold:
            faults.append(f"call {call} is ambiguous at {hold}, billed {want}")
        settled += want if state == "settled" else 0
        ambiguous += want if state == "ambiguous" else 0
    total = sum(bill(entry, rates) for entry in billed.values())
    if total != settled + ambiguous:
        faults.append(f"billed {total}, of which {settled} settled and {ambiguous} ambiguous")
    facts["usd"] = f"{total / 10**12:.6f}"
    return faults, facts

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


def prepare(cursor, confirmed, known, plan, allowed, strict, chosen=()):
    """Makes the tables that check.sql wants."""
    cursor.execute(
        "CREATE TEMP TABLE expected (id uuid PRIMARY KEY);"
        "CREATE TEMP TABLE known (id uuid PRIMARY KEY);"
        "CREATE TEMP TABLE plan (pipeline text, step text, paid bool, after_steps text[]);"
        "CREATE TEMP TABLE allowed (class text);"
        "CREATE TEMP TABLE chosen (job uuid, alias text, models text[]);"
        "CREATE TEMP TABLE prompt AS SELECT %s AS strict;",
        (strict,),
    )
    for table, rows in (
        ("expected", [(i,) for i in confirmed]),
        ("known", [(i,) for i in known]),
        ("plan", plan),
        ("allowed", [(i,) for i in allowed]),
        ("chosen", chosen),
    ):
        if rows:
            template = "(%s, %s, %s, %s::text[])" if table == "plan" else None
            execute_values(cursor, f"INSERT INTO {table} VALUES %s", rows, template)


def check(cursor):
    """[(rule, how often it is broken, some jobs)], broken ones only."""
    cursor.execute(CHECK.read_text())
    return cursor.fetchall()


def witness_judge(stack, confirmed, known, plan=DOCUMENT, allowed=(), strict=True, chosen=()):
    """Returns what is broken, in words. The witness must have been there. The arguments are the
    tables that check.sql wants."""
    with contextlib.closing(stack.connect()) as connection, connection.cursor() as cursor:
        prepare(cursor, confirmed, known, plan, allowed, strict, chosen)
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


# ---- limits, as the provider saw them


def excess(moments, per_second):
    """How much more than flows in at this rate came at once, at most: (second, amount) each."""
    worst = total = 0
    low = float("inf")
    for second, amount in sorted(moments):
        low = min(low, total - per_second * second)
        total += amount
        worst = max(worst, total - per_second * second - low)
    return worst


def at_once(spans):
    """The most of (from, to) at the same moment; where one ends another may begin."""
    most = now = 0
    for _, change in sorted([(a, 1) for a, b in spans if a < b] + [(b, -1) for a, b in spans if a < b]):
        now += change
        most = max(most, now)
    return most


def used(entry):
    return entry["input"] + entry["cached"] + entry["output"] if entry["billed"] else 0


def limit_faults(name, entries, limits, slack):
    """A second's worth may come at once, and what was had before and is still good, slack seconds'
    worth; one call may be larger than that."""
    faults = []
    largest = max(map(used, entries), default=0)
    for limit, unit, amount, one in (("rpm", "requests", lambda _: 1, 1), ("tpm", "tokens", used, largest)):
        if not limits.get(limit):
            continue
        rate = limits[limit] / 60
        most, bound = excess([(e["at_ms"] / 1000, amount(e)) for e in entries], rate), max(1, rate) + one + slack * rate
        if most > bound:
            faults.append(f"{name}: {most:.0f} {unit} more than {limit} {limits[limit]} lets through, {bound:.0f} would be well")
    if limits.get("concurrency"):
        most = at_once([(e["at_ms"], e["at_ms"] + e["delay_ms"]) for e in entries])
        if most > limits["concurrency"]:
            faults.append(f"{name}: {most} calls at once, allowed are {limits['concurrency']}")
    return faults


def limits_kept(stack, standin, models, tenants, slack):
    """What of the limits was not kept. models: {name: {rpm, tpm, concurrency}}, each at each endpoint,
    which is what the path begins with; tenants: {name: {rpm, tpm}}."""
    if not models and not tenants:
        return []
    scopes = {}
    whose = dict(stack.sql("SELECT id::text, tenant FROM millrace.calls"))
    for entry in standin.ledger():
        model, tenant = entry["model"], whose.get(entry["call"])
        if model in models:
            scopes.setdefault((f"{model} at {entry['path']}", "m", model), []).append(entry)
        if tenant in tenants:
            scopes.setdefault((f"tenant {tenant}", "t", tenant), []).append(entry)
    faults = []
    for (name, kind, key), entries in scopes.items():
        faults += limit_faults(name, entries, (models if kind == "m" else tenants)[key], slack)
    return faults


def flood_bounded(quiet, flood):
    """(faults, facts). quiet: (made, ended) of each job, flood: when each ended, of those that came
    before; all in seconds. In turn with the flood the quiet ones are soon done; behind it they end
    last, however fast or slow the machine is."""
    if not quiet or not flood:
        return [], "nobody"
    made, ended = min(a for a, _ in quiet), max(b for _, b in quiet)
    before = sum(end > made for end in flood)
    left = sum(end > ended for end in flood)
    slowest = max(b - a for a, b in quiet)
    facts = f"slowest beside it {slowest:.1f} s, {before} jobs of it before, {left} after, {max(flood) - made:.1f} s in all"
    if before < len(flood) / 2:
        return [], f"was over too soon: {facts}"
    return ([f"a flood held another tenant up: {facts}"] if left < before / 4 else []), facts

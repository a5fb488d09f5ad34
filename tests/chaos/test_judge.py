"""Every rule of the judge can fail: a small history that keeps them all, and one that breaks each."""

import contextlib
import re

import judge
import millrace

JOB = "00000000-0000-7000-8000-000000000001"
OTHER = "00000000-0000-7000-8000-000000000002"
CALLS = [f"00000000-0000-7000-8000-0000000001{i:02}" for i in range(4)]
PLAN = [("p", "a", True, []), ("p", "b", True, ["a"])]
CHOSEN = [(JOB, "m", ["m", "n"])]
RULES = re.findall(r"^    select '(.+)',", judge.CHECK.read_text(), re.M)


def job(state="running"):
    return f"insert into millrace.jobs (id, tenant, pipeline, version, priority, pool, state, epoch, worker) values ('{JOB}', 'acme', 'p', 1, 5, 'main', '{state}', 1, %(me)s)"


def begin(call, step, attempt=1, hold=100, epoch=1, job_id=JOB):
    return (
        "insert into millrace.calls (id, job_id, step, attempt, epoch, worker, tenant, pipeline, provider, endpoint, alias, model,"
        f" state, hold_pico, cost_pico, price_unknown, expires_at) values ('{CALLS[call]}', '{job_id}', '{step}', {attempt},"
        f" {epoch}, %(me)s, 'acme', 'p', 'x', 'x', 'm', 'm', 'open', {hold}, 0, false, now())"
    )


def settle(call, cost=60, state="settled", error=None):
    error = f"'{error}'" if error else "null"
    return f"update millrace.calls set state = '{state}', cost_pico = {cost}, class = {error}, settled_at = now() where id = '{CALLS[call]}'"


def step(name):
    return f"insert into millrace.steps (job_id, name, state, output, degraded, attempts, ended_at) values ('{JOB}', '{name}', 'done', '1', false, 1, now())"


def end(state="done", error="null"):
    return f"update millrace.jobs set state = '{state}', error_class = {error}, ended_at = now() where id = '{JOB}'"


def counter(pico):
    return f"insert into millrace.spend (tenant, period, starts, spent_pico) values ('acme', 'day', (now() at time zone 'utc')::date, {pico})"


def caps(day=1000, job_cap=550):
    return f"update millrace.tenants set cap_day_pico = {day}, cap_job_pico = {job_cap}"


def elsewhere(model, route):
    """The first call, of another model."""
    return begin(0, "a").replace("model,", "model, route,").replace("'m', 'm',", f"'m', '{model}', '{route}',")


def lease(epoch):
    return f"update millrace.jobs set epoch = {epoch}, worker = %(me)s where id = '{JOB}'"


FREE = "alter table millrace.jobs disable trigger jobs_moves"
# A list of transactions; a statement (1, sql) is another worker's.
FIRST = [settle(0), step("a"), begin(1, "b")]
LAST = [settle(1), step("b"), end(), counter(120)]
GOOD = [[job()], [begin(0, "a")], FIRST, LAST]

BROKEN = {
    "a confirmed job is in SQL": [],
    "no job came from nowhere": GOOD,
    "every job has ended": [*GOOD[:3], [settle(1), step("b"), counter(120)]],
    "a job ends once": [*GOOD, [FREE, f"update millrace.jobs set state = 'running', ended_at = null where id = '{JOB}'"], [end()]],
    "a job dies only of what it met": [*GOOD[:3], [settle(1), end("dead", "'internal'"), counter(120)]],
    "a job is cancelled only when that was asked for": [*GOOD[:3], [settle(1), end("cancelled"), counter(120)]],
    "a done job has exactly one result a step": [*GOOD[:3], [settle(1), end(), counter(120)]],
    "no step that the pipeline does not have": [*GOOD[:3], [step("c"), *LAST]],
    "a result and the money for it are of one transaction": [*GOOD[:2], [settle(0)], FIRST[1:], LAST],
    "the last result and the end of a job are of one transaction": [*GOOD[:3], LAST[:2], LAST[2:]],
    "a result and the next intent are of one transaction": [*GOOD[:2], FIRST[:2], FIRST[2:], LAST],
    "no call of a step after it had finished": [*GOOD[:3], [begin(2, "a", 2)], [settle(2, 0, "released", "server")], LAST],
    "a finished paid step was answered exactly once": [*GOOD[:2], [begin(2, "a", 2)], [settle(2)], FIRST, [*LAST[:3], counter(180)]],
    "a step begins when all before it have ended": [[job()], [begin(0, "a"), begin(1, "b")], FIRST[:2], LAST],
    "a step ends once": [*GOOD[:3], [f"delete from millrace.steps where job_id = '{JOB}'"], [step("a")], LAST],
    "no call is open": [*GOOD[:2], [*FIRST, begin(2, "b", 2)], [*LAST[:3], counter(220)]],
    "no call without its job": [*GOOD[:3], [begin(2, "a", job_id=OTHER)], [settle(2, 0, "released", "server")], LAST],
    "no row of a call is taken away": [*GOOD[:3], [f"delete from millrace.calls where id = '{CALLS[0]}'"], LAST],
    "attempts of a step are numbered without a gap": [[job()], [begin(0, "a", 2)], FIRST, LAST],
    "a call costs nothing when released, its hold when ambiguous": [
        *GOOD[:2], [begin(2, "a", 2)], [settle(2, 99, "ambiguous", "ambiguous")], FIRST, [*LAST[:3], counter(220)],
    ],
    "no call costs more than its hold": [*GOOD[:2], [settle(0, 101), *FIRST[1:]], [*LAST[:3], counter(161)]],
    "a cap holds at every commit": [
        [job()], [begin(0, "a")], [begin(2, "a", 2, 450)], [begin(3, "a", 3, 451)],
        [settle(2, 0, "released", "server"), settle(3, 0, "released", "server")], FIRST, LAST,
    ],
    "a job keeps its cap": [
        *GOOD[:2], [begin(2, "a", 2, 451)], [settle(2, 0, "released", "server")], FIRST, LAST,
    ],
    "the counter of a cap says what was spent": [*GOOD[:3], [*LAST[:3], counter(119)]],
    "views and tables agree on the cost": [*GOOD[:3], [begin(2, "a", job_id=OTHER)], [settle(2)], [*LAST[:3], counter(180)]],
    "a call goes where rules and fallbacks send it": [GOOD[0], [elsewhere("n", "fallback 2: x/n server")], *GOOD[2:]],
    "a call belongs to the epoch it was begun in": [*GOOD[:2], [*FIRST[:2], begin(1, "b", epoch=2)], LAST],
    "a call is begun by the owner of the lease": [*GOOD[:2], [*FIRST[:2], (1, FIRST[2])], LAST],
    "a result is written by the owner of the lease": [*GOOD[:2], [(1, sql) for sql in FIRST[:2]] + FIRST[2:], LAST],
    "a result is written under the epoch of its call": [*GOOD[:2], [lease(2)], [*FIRST[:2], begin(1, "b", epoch=2)], LAST],
    "a lease changes hands one epoch at a time": [[job()], [lease(3)], [begin(0, "a", epoch=3)], [*FIRST[:2], begin(1, "b", epoch=3)], LAST],
    "a job is moved by the owner of the lease": [*GOOD[:3], LAST[:2], [(1, sql) for sql in LAST[2:]]],
}  # fmt: skip


class Ledger:
    """A stand-in that billed what the test says."""

    def __init__(self, *entries):
        self.entries = entries

    def ledger(self):
        return self.entries


def entry(call, given=10, output=5, billed=True):
    return {"call": CALLS[call], "billed": billed, "model": "m", "input": given, "cached": 0, "output": output}


class JudgeTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        judge.watch(cls.stack)

    def tell(self, history):
        """Makes it happen: each transaction by the first worker, or where told so by the second."""
        self.stack.sql("SELECT witness.forget()")
        self.stack.sql("alter table millrace.jobs enable trigger jobs_moves")
        self.stack.sql("insert into millrace.tenants (name, cap_day_pico, cap_job_pico) values ('acme', 1000, 550)")
        with contextlib.ExitStack() as stack:
            sessions = [stack.enter_context(contextlib.closing(self.stack.connect())) for _ in range(2)]
            workers = []
            for session in sessions:
                with session, session.cursor() as cursor:
                    cursor.execute("insert into millrace.workers (name, host, pid, pool, version) values ('w', 'h', 1, 'main', '1') returning id")
                    workers.append(cursor.fetchone()[0])
            for transaction in history:
                whose = {who for who, _ in (s if isinstance(s, tuple) else (0, s) for s in transaction)}
                # Statements of two workers cannot be of one transaction: each has its own, in order.
                for who in sorted(whose, reverse=True):
                    with sessions[who] as session, session.cursor() as cursor:
                        for statement in transaction:
                            if isinstance(statement, tuple) != bool(who):
                                continue
                            cursor.execute(statement[1] if who else statement, {"me": workers[who]})

    def broken(self, confirmed=(JOB,), known=(JOB,)):
        with contextlib.closing(self.stack.connect()) as connection, connection.cursor() as cursor:
            judge.prepare(cursor, confirmed, known, PLAN, (), True, CHOSEN)
            return {rule for rule, _, _ in judge.check(cursor)}

    def test_good(self):
        self.tell(GOOD)
        self.assertEqual(self.broken(), set())

    def test_every_rule_is_tried(self):
        self.assertEqual(set(RULES), set(BROKEN))

    def test_rules(self):
        for rule, history in BROKEN.items():
            with self.subTest(rule=rule):
                self.tell(history)
                known = () if rule == "no job came from nowhere" else (JOB, OTHER)
                self.assertIn(rule, self.broken(known=known))

    def test_a_call_never_sent_is_no_attempt(self):
        """A drain releases a call it had begun and not sent; the next one takes its number."""
        released = settle(2, 0, "released")
        self.tell([[job()], [begin(2, "a")], [released], [begin(0, "a")], FIRST, LAST])
        self.assertEqual(self.broken(), set())

    def test_an_answer_may_come_too_late(self):
        """A lease was lost while a call was out: its answer is paid, and the step asks again."""
        lost = [settle(2, 100, "ambiguous", "ambiguous")]
        self.tell([[job()], [begin(2, "a")], lost, [settle(2)], [begin(0, "a", 2)], FIRST, [*LAST[:3], counter(180)]])
        self.assertEqual(self.broken(), set())

    def test_witness_weighs_at_commit(self):
        """What a transaction holds for a moment only is no breach."""
        self.tell([[job()], [begin(0, "a")], [begin(2, "a", 2, 950), settle(2, 0, "released")], FIRST, LAST])
        self.assertNotIn("a cap holds at every commit", self.broken())

    def test_routes(self):
        """The rule's model, then its fallbacks."""
        for model, route, good in (("n", "fallback 1: x/m server", True), ("m", "rule: priority > 1", True),
                                   ("n", "rule: priority > 1", False), ("m", "fallback 1: x/m server", False)):  # fmt: skip
            with self.subTest(model=model, route=route):
                self.tell([GOOD[0], [elsewhere(model, route)], *GOOD[2:]])
                self.assertEqual(self.broken(), set() if good else {"a call goes where rules and fallbacks send it"})

    def test_caps_that_change(self):
        """What was in force when a call was begun counts. A cap below what is spent may be exceeded,
        but not added to."""
        lowered = [*GOOD[:3], [caps(50, 50)], LAST]
        self.tell(lowered)
        self.assertEqual(self.broken(), set())
        self.tell([*GOOD[:2], [caps(100, 100)], FIRST, LAST])
        self.assertEqual(self.broken(), {"a cap holds at every commit", "a job keeps its cap"})
        raised = [[job()], [begin(0, "a")], [caps(1500, 1500)], [begin(2, "a", 2, 1000)], [settle(2, 0, "released", "server")], FIRST, LAST]
        self.tell(raised)
        self.assertEqual(self.broken(), set())
        self.tell([*raised[:2], *raised[3:5], raised[2], *raised[5:]])
        self.assertEqual(self.broken(), {"a cap holds at every commit", "a job keeps its cap"})

    def limits(self, times, delay=0, tokens=10, **limits):
        entries = [
            {**entry(0, tokens, 0), "at_ms": 10**12 + at, "delay_ms": delay, "path": "/v1/chat/completions"} for at in times
        ]  # fmt: skip
        of_models = judge.limits_kept(self.stack, Ledger(*entries), {"m": limits}, {}, 2)
        self.tell(GOOD)
        of_tenants = judge.limits_kept(self.stack, Ledger(*entries), {}, {"acme": limits}, 2)
        self.assertEqual(len(of_models), len(of_tenants))
        return " ".join(of_models)

    def test_limits(self):
        # 60 a minute, one at once, and what of the last two seconds was still good.
        self.assertEqual(self.limits([0, 0, 0, 0], rpm=60), "")
        self.assertIn("requests more than rpm 60 lets", self.limits([0, 0, 0, 0, 0], rpm=60))
        self.assertEqual(self.limits([0, 0, 0, 0, 1000, 2000], rpm=60), "")
        self.assertIn("requests more", self.limits([0, 1000, 5000, 5100, 5200, 5300, 5400, 5500], rpm=60))
        self.assertEqual(self.limits([0, 0, 0, 0], tpm=600), "")
        self.assertIn("tokens more", self.limits([0, 0, 0, 0, 0], tpm=600))
        self.assertEqual(self.limits([0], tokens=900, tpm=600), "")
        self.assertIn("tokens more", self.limits([0, 0], tokens=900, tpm=600))
        self.assertEqual(self.limits([0, 0, 0], rpm=None, tpm=None), "")

    def test_calls_at_once(self):
        one = [{**entry(0), "at_ms": at, "delay_ms": 100, "path": "/v1"} for at in (0, 100, 150, 250)]
        kept = judge.limits_kept(self.stack, Ledger(*one), {"m": {"concurrency": 2}}, {}, 2)
        self.assertEqual(kept, [])
        (fault,) = judge.limits_kept(self.stack, Ledger(*one), {"m": {"concurrency": 1}}, {}, 2)
        self.assertIn("2 calls at once", fault)
        apart = [*one[:3], {**one[2], "path": "/b/v1"}, {**one[2], "model": "other"}]
        self.assertEqual(judge.limits_kept(self.stack, Ledger(*apart), {"m": {"concurrency": 2}}, {}, 2), [])

    def test_flood(self):
        flood = [i / 10 for i in range(100)]  # ends one job every tenth of a second
        self.assertEqual(judge.flood_bounded([(1, 1.2), (1, 3)], flood)[0], [])
        self.assertIn("held another tenant up", judge.flood_bounded([(1, 1.2), (1, 9)], flood)[0][0])
        self.assertEqual(judge.flood_bounded([(8, 11)], flood), ([], "was over too soon: slowest beside it 3.0 s, 19 jobs of it before, 0 after, 1.9 s in all"))

    def money(self, history, *entries):
        self.tell(history)
        faults, _ = judge.compare_money(self.stack, Ledger(*entries), {"m": (4, 2, 4)})
        return " ".join(faults)

    def test_ledger(self):
        usage = f"update millrace.calls set input_tokens = 10, cached_tokens = 0, output_tokens = 5 where id in ('{CALLS[0]}', '{CALLS[1]}')"
        free = "alter table millrace.calls {} trigger calls_moves"
        good = [*GOOD[:3], [free.format("disable"), *LAST, usage, free.format("enable")]]
        both = (entry(0), entry(1))
        self.assertEqual(self.money(good, *both), "")
        self.assertIn("sent twice", self.money(good, *both, entry(1)))
        self.assertIn("the database does not", self.money(good, *both, entry(3, billed=False)))
        self.assertIn("never billed", self.money(good, entry(0)))
        self.assertIn("tokens, billed", self.money(good, entry(0), entry(1, output=6)))
        lost = [*good[:2], [begin(2, "a", 2, 59)], [settle(2, 59, "ambiguous", "ambiguous")], *good[2:]]
        self.assertEqual(self.money(lost, *both), "")
        self.assertEqual(self.money(lost, *both, entry(2, output=4)), "")
        self.assertIn("ambiguous at 59, billed 60", self.money(lost, *both, entry(2)))
        gone = [*good[:2], [begin(2, "a", 2, 59)], [settle(2, 0, "released", "server")], *good[2:]]
        self.assertIn("is released, but was billed", self.money(gone, *both, entry(2)))
        dear = [*good[:-1], [*good[-1][:1], settle(0, 61), *good[-1][1:]]]
        self.assertIn("costs 61, billed 60", self.money(dear, *both))


if __name__ == "__main__":
    millrace.main()

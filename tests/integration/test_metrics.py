"""What a worker says of itself over HTTP: its numbers agree with SQL, and it knows when it cannot work."""

import decimal
import json
import signal
import subprocess

import millrace
from scrape import ANYWHERE, Scrape

PICO = decimal.Decimal(10) ** -12
TEXT = "The mill by the river was sold in 1912."
# Odd ones, so that every pico-dollar shows.
MONEY = 'money: { ceiling_input = "0.123457"; ceiling_output = "1.000003"; };\n'
RETRY = 'retry: ( { class = "ambiguous"; tries = 2; first = "50ms"; factor = 1.0; max = "50ms"; }, { class = "server"; tries = 2; first = "50ms"; factor = 1.0; max = "50ms"; } );\n'
MODELS = {
    "good": "good+cached=30",
    "flaky": "flaky+error=500@50",
    "bad": "bad+error=400",
    "lost": "lost+hangup=after*1",
    "empty": "empty+empty*1",
    "slow": "slow+delay=800",
    "steady": "steady",
}


def pipeline(name, model, more=""):
    return (
        f'{{ name = "{name}"; steps = ( {{ name = "ask"; kind = "chat"; model = "{model}"; prompt = "{{{{input.text}}}}"; {more} }} ); }}'
    )


PIPELINES = ", ".join(
    [
        pipeline("good", "good", 'max_tokens = 64;'),
        pipeline("flaky", "flaky", 'on_error = "skip";'),
        pipeline("bad", "bad"),
        pipeline("lost", "lost"),
        pipeline("empty", "empty"),
        pipeline("slow", "slow"),
        pipeline("steady", "steady"),
        pipeline("cached", "good", 'cache = "1h";'),
        pipeline("local", "local", 'task = "summary";'),
    ]
)


def configuration(standin, more=""):
    aliases = ", ".join(f'{{ alias = "{a}"; provider = "standin"; model = "{m}"; }}' for a, m in MODELS.items())
    return (
        f'providers: ( {{ name = "standin"; kind = "openai"; base_url = "{standin.url}/v1"; }} );\n'
        f"models: ( {aliases} );\npipelines: ( {PIPELINES} );\n{MONEY}{RETRY}{more}"
    )


class MetricsCase(millrace.StackCase):
    more = ""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.standin = cls.stack.standin()
        cls.config = cls.stack.config(configuration(cls.standin, cls.more))
        cls.stack.env["MILLRACE_CONFIG"] = str(cls.config)

    def setUp(self):
        self.workers = []

    def tearDown(self):
        for worker in self.workers:
            worker.kill()

    def worker(self, **more):
        self.workers.append(self.stack.worker(config=self.config, args=more.pop("args", ANYWHERE), **more))
        return self.workers[-1]

    def enqueue(self, pipeline, *texts, tenant="acme", **more):
        args = [word for text in texts or [TEXT] for word in ("--text", text)]
        return self.stack.enqueue("--pipeline", pipeline, "--tenant", tenant, *args, **more)

    def in_flight(self, scrape, n):
        millrace.wait_until("calls in flight", lambda: scrape.total("ai_active_requests") == n)

    def promtool(self, scrape):
        status, kind, text = scrape.get("/metrics")
        self.assertEqual((status, kind), (200, "text/plain; version=0.0.4; charset=utf-8"))
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


class NumbersTest(MetricsCase):
    """All that one worker has done, from the first job on."""

    def sums(self, query):
        return {tuple(row[:-1]): decimal.Decimal(row[-1]) for row in self.stack.sql(query) if row[-1]}

    def agree(self, scrape, name, labels, query):
        """The metric, by these labels, is what SQL says; the last commit's may be a moment behind."""
        want = self.sums(query)
        try:
            millrace.wait_until(name, lambda: scrape.by(name, *labels) == want, 10)
        except AssertionError:
            self.assertEqual(scrape.by(name, *labels), want, name)

    def test_00_numbers_agree_with_sql(self):
        scrape = Scrape(self.worker())
        scrape.wait_ready()
        self.promtool(scrape)
        ids = []
        ids += self.enqueue("good", *[f"{TEXT} {n}" for n in range(60)])
        ids += self.enqueue("good", *[f"{TEXT} {n}" for n in range(7)], tenant="globex")
        ids += self.enqueue("flaky", *[f"{TEXT} {n}" for n in range(20)])
        ids += self.enqueue("bad", TEXT, TEXT)
        ids += self.enqueue("lost", TEXT)
        ids += self.enqueue("empty", TEXT)
        ids += self.enqueue("local", TEXT)
        first = self.enqueue("cached", "the same")
        self.stack.wait_ended(first)
        ids += first + self.enqueue("cached", "the same", "the same", "another")
        self.stack.publish(b"this is no job")
        states = self.stack.wait_ended(ids, 120)
        self.assertEqual(set(states), {"done", "dead"})

        self.agree(scrape, "millrace_jobs_total", ("pipeline", "state"), "SELECT pipeline, state, count(*) FROM millrace.jobs GROUP BY 1, 2")
        self.agree(scrape, "millrace_tenant_jobs_total", ("tenant", "state"), "SELECT tenant, state, count(*) FROM millrace.jobs GROUP BY 1, 2")
        self.agree(scrape, "millrace_steps_total", ("pipeline", "step", "state"), "SELECT pipeline, s.name, s.state, count(*) FROM millrace.steps s JOIN millrace.jobs ON id = job_id GROUP BY 1, 2, 3")
        calls = "FROM millrace.calls WHERE cached_from IS NULL"
        self.agree(scrape, "millrace_calls_total", ("provider", "model", "class"), f"SELECT provider, model, coalesce(class, 'none'), count(*) {calls} GROUP BY 1, 2, 3")
        self.agree(scrape, "ai_requests_total", ("model", "status"), f"SELECT model, CASE WHEN class IS NULL THEN 'success' ELSE 'error' END, count(*) {calls} GROUP BY 1, 2")
        self.agree(scrape, "millrace_call_duration_seconds_count", ("provider", "model"), f"SELECT provider, model, count(*) {calls} GROUP BY 1, 2")
        self.agree(scrape, "ai_request_duration_seconds_sum", ("model",), f"SELECT model, sum(latency_ms) / 1000.0 {calls} GROUP BY 1")
        for kind, column in (("input", "input"), ("input_cached", "cached"), ("output", "output")):
            tokens = {key[:2]: n for key, n in scrape.by("millrace_tokens_total", "provider", "model", "type").items() if key[2] == kind}
            self.assertEqual(tokens, self.sums(f"SELECT provider, model, sum({column}_tokens) {calls} AND state = 'settled' GROUP BY 1, 2"), kind)
            self.assertEqual(scrape.by("ai_tokens_total", "type").get((kind,), 0), sum(tokens.values()))
        # To the pico-dollar.
        self.agree(scrape, "millrace_cost_dollars_total", ("provider", "model"), f"SELECT provider, model, sum(cost_pico) / 1e12 {calls} AND state = 'settled' GROUP BY 1, 2")
        self.agree(scrape, "millrace_tenant_cost_dollars_total", ("tenant",), f"SELECT tenant, sum(cost_pico) / 1e12 {calls} AND state = 'settled' GROUP BY 1")
        self.agree(scrape, "millrace_ambiguous_dollars_total", ("cause",), f"SELECT 'answer_lost', sum(cost_pico) / 1e12 {calls} AND state = 'ambiguous'")
        self.agree(scrape, "millrace_job_cost_dollars_sum", ("pipeline",), "SELECT pipeline, sum(cost_pico) / 1e12 FROM millrace.calls GROUP BY 1")
        cost = scrape.total("millrace_cost_dollars_total")
        self.assertGreater(cost, 0)
        self.assertNotEqual(cost % (PICO * 10**6), 0, "a sum whose last digits matter")
        print(f"# {cost} dollars settled, {scrape.total('millrace_ambiguous_dollars_total')} ambiguous")
        self.agree(scrape, "millrace_unpriced_calls_total", ("provider", "model"), f"SELECT provider, model, count(*) {calls} AND state = 'settled' AND price_unknown GROUP BY 1, 2")

        hits = self.stack.value("SELECT count(*) FROM millrace.calls WHERE cached_from IS NOT NULL")
        self.assertEqual(scrape.by("millrace_cache_requests_total", "result"), {("hit",): hits, ("miss",): 2})
        self.assertEqual(hits, 2)
        self.assertEqual(scrape.by("millrace_holds_total", "outcome"), {("granted",): self.stack.value(f"SELECT count(*) {calls}")})
        for nothing in ("millrace_held_dollars", "ai_active_requests", "millrace_slots_used", "millrace_jobs_waiting", "millrace_database_waiting"):
            self.assertEqual(scrape.total(nothing), 0, nothing)
        millrace.wait_until("the reject", lambda: scrape.total("millrace_messages_rejected_total") == 1)
        self.assertEqual(scrape.by("millrace_queue_age_seconds_count", "lane"), {("normal",): len(ids)})
        self.assertGreaterEqual(scrape.by("millrace_database_batch_items_sum", "kind")[("claim",)], len(ids))
        self.assertEqual(scrape.by("millrace_claims_total", "verdict")[("run",)], len(ids))
        dead = states["dead"] + 1
        millrace.wait_until("confirmed dead letters", lambda: scrape.by("millrace_publish_confirm_seconds_count", "kind").get(("dead",)) == dead)
        self.assertGreaterEqual(scrape.by("millrace_published_total", "kind")[("event",)], len(ids))
        self.promtool(scrape)

    def test_tenants_are_bounded(self):
        scrape = Scrape(self.worker(env={"MILLRACE_WORKER_METRICS_TENANTS": "3"}))
        ids = [i for n in range(8) for i in self.enqueue("local", tenant=f"tenant-{n}")]
        self.stack.wait_ended(ids)
        millrace.wait_until("all of them", lambda: scrape.total("millrace_tenant_jobs_total") == 8)
        names = {key[0] for key in scrape.by("millrace_tenant_jobs_total", "tenant")}
        self.assertEqual(len(names), 4)
        self.assertEqual(scrape.by("millrace_tenant_jobs_total", "tenant")[("other",)], 5)
        self.assertEqual(scrape.by("millrace_metrics_folded_total", "family")[("millrace_tenant_cost_dollars_total",)] >= 5, True)
        self.promtool(scrape)

    def test_caps(self):
        """A tenant at its cap shows, with its name."""
        self.stack.ok("tenant", "set", "poor", "--cap-day", "0.0005", "--on-cap", "dead")
        scrape = Scrape(self.worker())
        ids = self.enqueue("good", *[f"{TEXT} {n}" for n in range(12)], tenant="poor")
        when = millrace.wait_until("the news", lambda: scrape.by("millrace_cap_alert_timestamp_seconds", "tenant", "period", "level").get(("poor", "day", "reached")))
        now = self.stack.value("SELECT extract(epoch FROM now())")
        self.assertAlmostEqual(float(when), float(now), delta=60 * millrace.PATIENCE)
        self.stack.wait_ended(ids)
        self.assertGreaterEqual(scrape.by("millrace_holds_total", "outcome")[("refused",)], 1)

    def test_a_dead_workers_calls(self):
        """What its calls may have cost is ambiguous, and whoever finds them says so."""
        before = self.stack.value("SELECT coalesce(sum(cost_pico), 0) FROM millrace.calls WHERE state = 'ambiguous'")
        tuning = {"MILLRACE_WORKER_HEARTBEAT": "200ms", "MILLRACE_WORKER_DEAD_AFTER": "1s"}
        first = self.worker(env=tuning)
        ids = self.enqueue("slow", TEXT, TEXT, TEXT)
        self.in_flight(Scrape(first), 3)
        first.kill()
        scrape = Scrape(self.worker(env=tuning))
        self.assertEqual(self.stack.wait_ended(ids, 120), {"done": 3})
        after = self.stack.value("SELECT sum(cost_pico) FROM millrace.calls WHERE state = 'ambiguous'")
        self.assertGreater(after, before)
        self.assertEqual(scrape.by("millrace_ambiguous_dollars_total", "cause"), {("worker_lost",): (after - before) * PICO})


class HealthTest(MetricsCase):
    more = 'breaker: { failures = 2; open = "2s"; };\nworker: { heartbeat = "500ms"; };\n'

    def settle(self, ids):
        self.assertEqual(self.stack.wait_ended(ids, 120), {"done": len(ids)})

    def test_broker_stops(self):
        worker = self.worker()
        scrape = Scrape(worker)
        scrape.wait_ready()
        self.assertEqual(scrape.total("millrace_ready"), 1)
        self.assertEqual(scrape.total("millrace_broker_connected"), 1)
        self.stack.ops("stop", "broker")
        try:
            scrape.wait_not_ready("broker: not connected")
            scrape.wait_not_ready("broker: the publisher is not connected")
            self.assertEqual(scrape.get("/healthz")[0], 200, "it lives")
            self.assertEqual(scrape.total("millrace_ready"), 0)
            self.assertEqual(scrape.total("millrace_broker_connected"), 0)
            self.assertEqual(scrape.total("millrace_publisher_connected"), 0)
            self.assertEqual(scrape.total("millrace_database_connected"), 1)
        finally:
            self.stack.ops("start", "broker")
        scrape.wait_ready(120)
        self.settle(self.enqueue("good"))

    def test_broker_without_memory(self):
        scrape = Scrape(self.worker(env={"MILLRACE_WORKER_SLOTS": "1"}))
        scrape.wait_ready()
        self.standin.script("delay=1000", model="steady")
        self.addCleanup(self.standin.script, "", model="steady")
        ids = self.enqueue("steady", *[f"{TEXT} {n}" for n in range(30)])
        self.stack.ops("rabbitmqctl", "-q", "set_vm_memory_high_watermark", "0.000001")
        try:
            # The broker tells a connection when it publishes: here the event of a job that is done.
            scrape.wait_not_ready("broker: takes no messages")
        finally:
            self.stack.ops("rabbitmqctl", "-q", "set_vm_memory_high_watermark", "0.4")
        self.standin.script("", model="steady")
        scrape.wait_ready()
        self.settle(ids)

    def test_database_stops(self):
        scrape = Scrape(self.worker())
        scrape.wait_ready()
        self.stack.ops("stop", "database")
        try:
            scrape.wait_not_ready("database: not connected")
            self.assertEqual(scrape.get("/healthz")[0], 200)
            self.assertEqual(scrape.total("millrace_database_connected"), 0)
            self.assertEqual(scrape.total("millrace_broker_connected"), 1)
            self.promtool(scrape)
        finally:
            self.stack.ops("start", "database")
        scrape.wait_ready()
        self.settle(self.enqueue("good"))

    def test_database_hangs(self):
        """Connected, but nobody answers."""
        scrape = Scrape(self.worker())
        scrape.wait_ready()
        self.stack.ops("pause", "database")
        try:
            scrape.wait_not_ready("database: no answer")
        finally:
            self.stack.ops("resume", "database")
        scrape.wait_ready()

    def test_starts_before_the_services(self):
        self.stack.ops("stop", "database")
        try:
            scrape = Scrape(self.worker())
            self.assertEqual(scrape.ready(), (False, ["starting: the database has not been reached yet"]))
            self.assertEqual(scrape.get("/healthz")[0], 200)
            self.assertEqual(scrape.total("millrace_ready"), 0)
            self.promtool(scrape)
        finally:
            self.stack.ops("start", "database")
        scrape.wait_ready()

    def test_providers_breaker(self):
        """No endpoint takes calls: the worker is no use, though it lives; and is again when one does."""
        standin = self.stack.standin()
        config = self.stack.config(configuration(standin, self.more.replace('"2s"', '"5s"')), name="breaker.cfg")
        self.workers.append(self.stack.worker(config=config, args=ANYWHERE))
        scrape = Scrape(self.workers[-1])
        scrape.wait_ready()
        self.assertEqual(scrape.by("millrace_breaker_state", "provider"), {})
        standin.process.kill()
        standin.process.wait()
        ids = self.enqueue("good", TEXT, TEXT, TEXT)
        scrape.wait_not_ready("every endpoint's breaker is open")
        self.assertEqual(scrape.get("/healthz")[0], 200)
        # The breaker does not stay open for ever: it asks again.
        millrace.wait_until("an open breaker", lambda: scrape.by("millrace_breaker_state", "provider", "endpoint") == {("standin", "standin"): 2})
        again = self.stack.standin("--port", str(standin.port))
        self.settle(ids)
        scrape.wait_ready()
        self.assertGreater(len(again.ledger()), 0)
        self.assertGreaterEqual(scrape.by("millrace_calls_total", "class")[("network",)], 2)

    def test_drain(self):
        self.standin.script(f"delay={int(3000 * millrace.PATIENCE)}", model="steady")
        self.addCleanup(self.standin.script, "", model="steady")
        worker = self.worker()
        scrape = Scrape(worker)
        scrape.wait_ready()
        ids = self.enqueue("steady")
        self.in_flight(scrape, 1)
        worker.signal(signal.SIGTERM)
        scrape.wait_not_ready("draining")
        self.assertEqual(scrape.ready(), (False, ["draining"]), "and for no other reason")
        self.assertEqual(scrape.get("/healthz")[0], 200)
        self.assertEqual(scrape.total("ai_active_requests"), 1)
        self.promtool(scrape)
        self.assertEqual(worker.process.wait(60 * millrace.PATIENCE), 0)
        self.worker()
        self.settle(ids)

    def test_where_it_listens(self):
        quiet = self.worker(args=())
        millrace.wait_until("it to work", lambda: "worker.started" in quiet.text())
        self.assertNotIn("http.listening", quiet.text())
        first = self.worker(args=(), env={"MILLRACE_WORKER_LISTEN": "127.0.0.1:0"})
        scrape = Scrape(first)
        scrape.wait_ready()
        address = scrape.url.removeprefix("http://")
        second = self.worker(args=("--listen", address))
        self.assertEqual(second.process.wait(30 * millrace.PATIENCE), 1)
        self.assertIn("another program does", second.text())
        third = self.worker(args=("--listen", "nobody knows"))
        self.assertEqual(third.process.wait(30 * millrace.PATIENCE), 2)
        self.assertIn("worker.listen", third.text())
        # A reload changes what may change, and goes on where it was.
        first.signal(signal.SIGHUP)
        millrace.wait_until("the reload", lambda: "reload.done" in first.text())
        self.assertNotIn("reload.partial", first.text())
        scrape.wait_ready()
        self.assertEqual(scrape.get("/")[0], 404)
        self.assertEqual(json.loads(scrape.get("/healthz")[2])["alive"], True)


if __name__ == "__main__":
    millrace.main()

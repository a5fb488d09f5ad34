"""Pipelines of one's own: branches and joins, pools, lanes, what is skipped, cancelled or late."""

import json
import signal
import time

import judge
import millrace

TEXT = "The mill by the river was sold in 1912. Acme Ltd paid 900 pounds for it."

PIPELINES = """
pipelines: (
    { name = "fan"; steps = (
        { name = "extract"; kind = "extract"; },
        { name = "a"; kind = "chat"; model = "slow"; prompt = "A: {{extract.text}}"; after = ["extract"]; },
        { name = "b"; kind = "chat"; model = "slow"; prompt = "B: {{extract.text}}"; after = ["extract"]; },
        { name = "c"; kind = "chat"; model = "slow"; prompt = "C: {{extract.text}}"; after = ["extract"]; },
        { name = "alone"; kind = "chat"; model = "slow"; prompt = "{{input.text}}"; after = []; },
        { name = "join"; kind = "chat"; model = "quick"; prompt = "J: {{a.text}} {{b.text}} {{c.text}}"; after = ["a", "b", "c"]; }
    ); },
    { name = "pools"; steps = (
        { name = "extract"; kind = "extract"; },
        { name = "think"; kind = "chat"; model = "quick"; prompt = "T: {{extract.text}}"; pool = "gpu"; },
        { name = "tell"; kind = "chat"; model = "quick"; prompt = "U: {{think.text}}"; }
    ); },
    { name = "skip"; steps = (
        { name = "maybe"; kind = "chat"; model = "broken"; prompt = "{{input.text}}"; on_error = "skip"; },
        { name = "last"; kind = "chat"; model = "quick"; prompt = "L: {{maybe.text}} {{input.text}}"; }
    ); },
    { name = "degrade"; steps = (
        { name = "sum"; kind = "chat"; task = "summary"; model = "broken"; prompt = "S: {{input.text}}"; on_error = "degrade"; },
        { name = "last"; kind = "chat"; model = "quick"; prompt = "L: {{sum.text}}"; }
    ); },
    { name = "ask"; steps = (
        { name = "answer"; kind = "chat"; model = "quick"; prompt = "{{metadata.question}}"; }
    ); },
    { name = "one"; steps = (
        { name = "only"; kind = "chat"; model = "brief"; prompt = "{{input.text}}"; }
    ); },
    { name = "two"; steps = (
        { name = "first"; kind = "chat"; model = "steady"; prompt = "{{input.text}}"; },
        { name = "second"; kind = "chat"; model = "quick"; prompt = "{{first.text}}"; }
    ); },
    { name = "later"; steps = (
        { name = "only"; kind = "chat"; model = "throttled"; prompt = "{{input.text}}"; }
    ); }
);
"""
STEADY = f"delay={int(1500 * millrace.PATIENCE)}"  # long enough to do something meanwhile
MODELS = {
    "quick": "quick",
    "slow": "slow+delay=400",
    "brief": "brief+delay=30",
    "steady": f"steady+{STEADY}",
    "broken": "broken+error=400",
    "throttled": "throttled+error=429+retry_after=90",
}


def configuration(standin):
    aliases = ", ".join(
        f'{{ alias = "{a}"; provider = "standin"; model = "{m}"; }}' for a, m in MODELS.items()
    )
    return (
        f'providers: ( {{ name = "standin"; kind = "openai"; base_url = "{standin.url}/v1"; }} );\n'
        f"models: ( {aliases} );\n{PIPELINES}"
    )


class FlowTest(millrace.StackCase):
    init = False
    tuning = 'worker: { heartbeat = "200ms"; dead_after = "1s"; };\n'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.standin = cls.stack.standin()
        cls.config = cls.stack.config(configuration(cls.standin) + cls.tuning)
        cls.stack.env["MILLRACE_CONFIG"] = str(cls.config)
        cls.stack.ok("init")
        cls.worker = cls.stack.worker(config=cls.config)

    def setUp(self):
        if not self.worker.alive():
            type(self).worker = self.stack.worker(config=self.config)

    def enqueue(self, pipeline, *args, **more):
        more_args = () if any(a in ("--text", "--jsonl") for a in args) else ("--text", TEXT)
        return self.stack.enqueue("--pipeline", pipeline, *more_args, *args, **more)

    def outputs(self, job):
        return dict(self.stack.sql("SELECT step, output FROM millrace.results WHERE job_id = %s", job))

    def sent(self, ids, model=None):
        """Requests the provider saw for these jobs: [(step, billed)]."""
        rows = self.stack.sql("SELECT id::text, step FROM millrace.calls WHERE job_id = ANY(%s::uuid[])", ids)
        steps = dict(rows)
        return [(steps[e["call"]], e["billed"]) for e in self.standin.ledger(model) if e["call"] in steps]

    def step_running(self, job, step):
        rows = self.stack.sql("SELECT state FROM millrace.calls WHERE job_id = %s AND step = %s", job, step)
        return rows and rows[0][0] == "open"

    # ---- branches and joins

    def test_branches_run_together_and_join(self):
        ids = self.enqueue("fan", *(["--text", TEXT] * 20))
        self.assertEqual(self.stack.wait_ended(ids), {"done": 20})
        rows = self.stack.sql(
            "SELECT job_id::text, name, started_at, ended_at FROM millrace.steps WHERE job_id = ANY(%s::uuid[])", ids
        )
        for job in ids:
            steps = {name: (start, end) for j, name, start, end in rows if j == job}
            self.assertEqual(sorted(steps), ["a", "alone", "b", "c", "extract", "join"])
            branches = [steps[name] for name in "abc"]
            # They overlap: the last to start did so before the first one ended.
            self.assertLess(max(s for s, _ in branches), min(e for _, e in branches))
            self.assertLess(steps["alone"][0], min(e for _, e in branches))
            self.assertGreaterEqual(steps["join"][0], max(e for _, e in branches))
        self.assertIn("[a.text]", self.outputs(ids[0])["join"]["text"])
        self.assertEqual(sorted(step for step, _ in self.sent(ids[:1])), ["a", "alone", "b", "c", "join"])

    def test_a_failed_branch_keeps_what_the_others_paid_for(self):
        """The job is dead, its good branches are kept, and a replay runs only what is missing."""
        self.standin.script("error=400@100*1+delay=50", MODELS["slow"])
        (job,) = self.enqueue("fan")
        self.assertEqual(self.stack.wait_ended([job]), {"dead": 1})
        self.standin.script("delay=400", MODELS["slow"])
        steps = dict(self.stack.sql("SELECT name, state FROM millrace.steps WHERE job_id = %s", job))
        good = [name for name, state in steps.items() if state == "done"]
        self.assertIn("extract", good)
        before = self.sent([job])
        plan = self.stack.ok("dlq", "replay", job, "--dry-run")
        self.assertIn(f"will reuse {len(good)} steps and run {6 - len(good)}", plan)
        millrace.wait_until("the dead letter", lambda: self.stack.dead_letters([job]))
        self.stack.ok("dlq", "replay", job, "--yes")
        millrace.wait_until("the replay", lambda: self.stack.states([job]) == {"done": 1})
        again = [step for step, _ in self.sent([job])[len(before) :]]
        self.assertEqual(set(again) & set(good), set())
        self.assertEqual(len(again), len(set(again)))

    # ---- pools

    def test_hand_over_between_pools(self):
        ids = self.enqueue("pools", *(["--text", TEXT] * 30), "--priority", 9)
        millrace.wait_until("the hand-over", lambda: self.stack.ready("millrace.gpu.high") == 30)
        self.assertEqual(self.stack.states(ids), {"waiting": 30})
        gpu = self.stack.worker(config=self.config, env={"MILLRACE_WORKER_POOL": "gpu"})
        self.assertEqual(self.stack.wait_ended(ids), {"done": 30})
        self.assertEqual(gpu.stop(), 0)
        rows = self.stack.sql(
            "SELECT c.step, w.pool, count(*) FROM millrace.calls c JOIN millrace.workers w ON w.id = c.worker"
            " WHERE c.job_id = ANY(%s::uuid[]) GROUP BY 1, 2 ORDER BY 1", ids)  # fmt: skip
        self.assertEqual(rows, [("tell", "main", 30), ("think", "gpu", 30)])
        lost = self.stack.value("SELECT sum(redeliveries) FROM millrace.jobs WHERE id = ANY(%s::uuid[])", ids)
        self.assertEqual(lost, 0)

    # ---- on_error

    def test_skip(self):
        (job,) = self.enqueue("skip")
        self.assertEqual(self.stack.wait_ended([job]), {"done": 1})
        self.assertEqual(list(self.outputs(job)), ["last"])
        rows = self.stack.sql("SELECT name, state, error_class FROM millrace.steps WHERE job_id = %s ORDER BY 1", job)
        self.assertEqual(rows, [("last", "done", None), ("maybe", "skipped", "invalid")])

    def test_degrade(self):
        """The local provider answers instead, and the result says so."""
        (job,) = self.enqueue("degrade")
        self.assertEqual(self.stack.wait_ended([job]), {"done": 1})
        rows = dict(self.stack.sql("SELECT step, degraded FROM millrace.results WHERE job_id = %s", job))
        self.assertEqual(rows, {"sum": True, "last": False})
        self.assertTrue(self.stack.value("SELECT degraded FROM millrace.jobs WHERE id = %s", job))
        self.assertIn("mill", self.outputs(job)["sum"]["text"])

    # ---- what a job carries

    def test_metadata_in_a_prompt(self):
        (job,) = self.enqueue("ask", "-m", "question=Who sold the mill?", "-m", "lang=en")
        self.assertEqual(self.stack.wait_ended([job]), {"done": 1})
        self.assertEqual(self.outputs(job)["answer"]["text"], "In short: Who sold the mill?")
        self.assertEqual(
            self.stack.value("SELECT metadata FROM millrace.job_overview WHERE job_id = %s", job),
            {"question": "Who sold the mill?", "lang": "en"},
        )

    def test_metadata_that_is_missing(self):
        (job,) = self.enqueue("ask")
        self.assertEqual(self.stack.wait_ended([job]), {"dead": 1})
        message = self.stack.value("SELECT error_message FROM millrace.dead_jobs WHERE job_id = %s", job)
        self.assertIn("metadata.question", message)

    def test_lines_sent_twice_run_once(self):
        """A file of lines with ids of their own can be sent again without harm."""
        lines = "".join(
            json.dumps({"id": f"01890000-0000-7000-8000-{i:012x}", "pipeline": "one", "input": {"text": f"line {i}"}}) + "\n"
            for i in range(40)
        )
        ids = self.enqueue("one", "--jsonl", "-", stdin=lines)
        self.assertEqual(self.enqueue("one", "--jsonl", "-", stdin=lines), ids)
        self.assertEqual(self.stack.wait_ended(ids), {"done": 40})
        self.assertEqual(len(self.sent(ids)), 40)

    def test_one_of_many_with_a_key(self):
        """Two workers, forty jobs, one key: one of them runs."""
        second = self.stack.worker(config=self.config)
        lines = "".join(
            json.dumps({"pipeline": "one", "tenant": "keys", "idempotency_key": "same", "input": {"text": "x"}}) + "\n"
            for _ in range(40)
        )
        ids = self.enqueue("one", "--jsonl", "-", stdin=lines)
        self.assertEqual(self.stack.wait_ended(ids), {"done": 1, "cancelled": 39})
        self.assertEqual(second.stop(), 0)
        self.assertEqual(len(self.sent(ids)), 1)
        (other,) = self.stack.sql("SELECT DISTINCT duplicate_of::text FROM millrace.jobs WHERE id = ANY(%s::uuid[]) AND state = 'cancelled'", ids)
        self.assertEqual(self.stack.states([other[0]]), {"done": 1})

    # ---- cancelled and late

    def test_cancel_while_it_runs(self):
        """The running call is paid and kept; the next one never leaves."""
        (job,) = self.enqueue("two")
        millrace.wait_until("the first call", lambda: self.step_running(job, "first"))
        (row,) = self.stack.json("cancel", job)
        self.assertEqual(row["state"], "cancelling")
        self.assertEqual(self.stack.wait_ended([job]), {"cancelled": 1})
        self.assertEqual(self.sent([job]), [("first", True)])
        self.assertEqual(self.stack.sql("SELECT state FROM millrace.calls WHERE job_id = %s", job), [("settled",)])
        self.assertEqual(list(self.outputs(job)), ["first"])

    def test_deadline_while_it_runs(self):
        (job,) = self.enqueue("two", "--deadline", "1s")
        self.assertEqual(self.stack.wait_ended([job]), {"dead": 1})
        row = self.stack.sql("SELECT error_class, steps_done FROM millrace.dead_jobs WHERE job_id = %s", job)
        self.assertEqual(row, [("deadline", 1)])
        self.assertEqual(self.sent([job]), [("first", True)])
        plan = self.stack.ok("dlq", "replay", job, "--dry-run")
        self.assertIn("deadline has passed", plan)

    def test_a_long_wait_leaves_the_worker(self):
        """Ninety seconds are not spent in a slot: the message waits in a delay tier."""
        (job,) = self.enqueue("later", "--tenant", "patient")
        millrace.wait_until("the wait", lambda: self.stack.states([job]) == {"waiting": 1})
        waiting = [q for q in ("30s", "2m") if self.stack.ready(f"millrace.delay.{q}")]
        self.assertEqual(len(waiting), 1)
        (row,) = self.stack.json("status", job)
        self.assertEqual(row["state"], "waiting")
        self.assertIsNotNone(row["delay_until"])
        (row,) = self.stack.json("cancel", job)
        self.assertEqual(row["state"], "cancelled")
        self.stack.purge(f"millrace.delay.{waiting[0]}")

    # ---- lanes

    def test_lanes(self):
        """High goes first; low is not starved."""
        self.worker.stop()
        low = self.enqueue("one", *(["--text", "x"] * 80), "--priority", 1)
        high = self.enqueue("one", *(["--text", "x"] * 80), "--priority", 10)
        type(self).worker = self.stack.worker(config=self.config, env={"MILLRACE_WORKER_SLOTS": "4"})
        self.assertEqual(self.stack.wait_ended(low + high), {"done": 160})
        self.worker.stop()
        order = [
            row[0] for row in self.stack.sql(
                "SELECT priority FROM millrace.jobs WHERE id = ANY(%s::uuid[]) ORDER BY ended_at", low + high)
        ]  # fmt: skip
        early = order[:80].count(1)
        self.assertGreater(early, 80 * 0.05)
        self.assertLess(early, 80 * 0.4)

    # ---- the end of a worker

    def test_drain_under_load(self):
        """Workers come and go by SIGTERM: no job is lost, no finished step is called again."""
        self.worker.stop()
        env = {"MILLRACE_WORKER_SLOTS": "24"}
        type(self).worker = self.stack.worker(config=self.config, env=env)
        ids = self.enqueue("fan", *(["--text", TEXT] * 150))
        for target in (1, 40, 80):
            millrace.wait_until("progress", lambda: self.stack.states(ids).get("done", 0) >= target, 60)
            old = self.worker
            type(self).worker = self.stack.worker(config=self.config, env=env)
            self.assertEqual(old.stop(), 0)
            self.assertIn("worker.drained", old.text())
        self.assertEqual(self.stack.wait_ended(ids, 120), {"done": 150})
        # An intent that was written just before the end is released, and its request never left.
        rows = self.stack.sql(
            "SELECT state, class, count(*) FROM millrace.calls WHERE job_id = ANY(%s::uuid[])"
            " AND state <> 'released' GROUP BY 1, 2", ids)  # fmt: skip
        self.assertEqual(rows, [("settled", None, 750)])
        self.assertEqual(len(self.sent(ids)), 750)

    def test_grace_is_over(self):
        """A call that outlives the grace period is given up, counted in full, and the job goes on."""
        self.standin.script("delay=20000", MODELS["steady"])
        self.worker.stop()
        worker = self.stack.worker(config=self.config, env={"MILLRACE_WORKER_GRACE": "500ms"})
        (job,) = self.enqueue("two")
        millrace.wait_until("the first call", lambda: self.step_running(job, "first"))
        started = time.monotonic()
        self.assertEqual(worker.stop(), 0)
        self.assertLess(time.monotonic() - started, 8 * millrace.PATIENCE)
        (call,) = self.stack.sql("SELECT state, cost_pico = hold_pico FROM millrace.calls WHERE job_id = %s", job)
        self.assertEqual(call, ("ambiguous", True))
        self.standin.script(STEADY, MODELS["steady"])
        type(self).worker = self.stack.worker(config=self.config)
        self.assertEqual(self.stack.wait_ended([job]), {"done": 1})
        (overview,) = self.stack.json("status", job)
        self.assertNotEqual(overview["ambiguous_usd"], "0")

    def test_poison(self):
        """A job whose worker dies again and again is a dead letter, not an endless loop."""
        self.worker.stop()
        env = {"MILLRACE_WORKER_MAX_REDELIVERIES": "2"}
        (job,) = self.enqueue("two")
        for crash in range(3):
            worker = self.stack.worker(config=self.config, env=env)
            epoch = crash + 1
            millrace.wait_until(
                "the call", lambda: self.stack.sql("SELECT 1 FROM millrace.calls WHERE job_id = %s AND epoch >= %s AND state = 'open'", job, epoch)
            )
            worker.kill()
        type(self).worker = self.stack.worker(config=self.config, env=env)
        self.assertEqual(self.stack.wait_ended([job], 60), {"dead": 1})
        letters = millrace.wait_until("the dead letter", lambda: self.stack.dead_letters([job]))
        self.assertEqual(letters[0][0].headers["x-millrace-error-class"], "redelivered")
        states = self.stack.sql("SELECT state, count(*) FROM millrace.calls WHERE job_id = %s GROUP BY 1", job)
        self.assertEqual(states, [("ambiguous", 3)])
        self.worker.stop()

    # ---- reload

    def test_reload_brings_a_pipeline_and_a_price(self):
        self.worker.stop()
        type(self).worker = worker = self.stack.worker(config=self.config)
        millrace.wait_until("the start", lambda: "worker.started" in worker.text())
        body = {"v": 1, "id": "01890000-0000-7000-8000-00000000beef", "tenant": "acme", "pipeline": "fresh", "input": {"text": "x"}}
        self.stack.publish(json.dumps(body))
        self.assertEqual(self.stack.wait_ended([body["id"]]), {"dead": 1})
        millrace.wait_until("the dead letter", lambda: self.stack.dead_letters([body["id"]]))

        good = self.config.read_text()
        self.addCleanup(self.config.write_text, good)
        fresh = '{ name = "fresh"; steps = ( { name = "only"; kind = "chat"; model = "quick"; prompt = "F: {{input.text}}"; } ); },'
        self.config.write_text(good.replace("pipelines: (", "pipelines: (" + fresh))
        self.stack.sql(
            "INSERT INTO millrace.prices (provider, model, effective_from, input_pico, cached_pico, cache_write_pico,"
            " cache_write_1h_pico, output_pico) VALUES ('standin', 'quick', '2000-01-01', 7, 7, 7, 7, 11)"
        )
        worker.signal(signal.SIGHUP)
        millrace.wait_until("the reload", lambda: "reload.done" in worker.text())
        self.stack.ok("dlq", "replay", body["id"], "--yes")
        millrace.wait_until("the replay", lambda: self.stack.states([body["id"]]) == {"done": 1})
        (call,) = self.stack.sql(
            "SELECT price_unknown, cost_pico, input_tokens, output_tokens FROM millrace.calls WHERE job_id = %s", body["id"]
        )
        self.assertEqual(call[:2], (False, 7 * call[2] + 11 * call[3]))
        cost = self.stack.json("status", body["id"])[0]["cost_usd"]
        self.assertEqual(round(float(cost) * 1e12), call[1])

    def test_zz_ledger_equals_calls(self):
        self.stack.purge("millrace.dead")
        self.stack.wait_queues_empty(60)
        faults, facts = judge.compare_ledger(self.stack, self.standin)
        print(f"# {facts}")
        self.assertEqual(faults, [])
        self.assertNotIn("open", facts)


if __name__ == "__main__":
    millrace.main()

"""The worker as a process: signals, and neighbours that go away."""

import os
import shutil
import signal
import subprocess
import time

import judge
import millrace

TEXT = "The mill by the river was sold in 1912. Acme Ltd paid 900 pounds for it."


class WorkerTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        judge.watch(cls.stack)

    def setUp(self):
        self.standin = self.stack.standin()
        self.config = self.stack.config(self.standin.config())
        self.stack.sql("SELECT witness.forget()")
        self.workers = []

    def tearDown(self):
        for worker in self.workers:
            worker.kill()
        self.standin.stop()
        self.stack.purge("millrace.main.normal", "millrace.dead", "millrace.delay.5s", "millrace.delay.30s")

    def worker(self, **more):
        self.workers.append(self.stack.worker(config=more.pop("config", self.config), **more))
        return self.workers[-1]

    def in_flight(self, n=1):
        millrace.wait_until("calls in flight", lambda: self.stack.value("SELECT count(*) FROM millrace.calls WHERE state = 'open'") >= n)

    def settle_up(self, ids):
        """All is done, nothing was paid twice, and the ledger agrees."""
        self.assertEqual(self.stack.wait_ended(ids, 120), {"done": len(ids)})
        self.stack.wait_queues_empty(60)
        # A worker's first calls wait until it knows the fleet's limits, which holds their intents back.
        self.assertEqual(judge.witness_judge(self.stack, ids, ids, strict=False), [])
        faults, facts = judge.compare_ledger(self.stack, self.standin)
        self.assertEqual(faults, [])
        return facts

    def test_result_and_next_intent_are_one(self):
        self.worker()
        first = self.stack.enqueue("--text", TEXT)
        self.stack.wait_ended(first)  # now it knows that there are no limits
        self.stack.sql("SELECT witness.forget()")
        lines = "".join(f'{{"input": {{"text": "{TEXT} {n}"}}}}\n' for n in range(50))
        ids = self.stack.enqueue("--jsonl", "-", stdin=lines)
        self.assertEqual(self.stack.wait_ended(ids, 120), {"done": 50})
        self.assertEqual(judge.witness_judge(self.stack, ids, first + ids, strict=True), [])

    def test_without_init(self):
        self.stack.ok("init")  # the schema is there; now hide the queues from the worker
        with self.stack.broker() as connection:
            connection.channel().queue_delete("millrace.main.low.0")
        worker = self.worker()
        millrace.wait_until("the hint", lambda: "millrace init" in worker.text())
        self.assertTrue(worker.alive())
        self.stack.ok("init")
        ids = self.stack.enqueue("--text", TEXT)
        self.settle_up(ids)

    def test_sigterm_lets_calls_finish(self):
        self.standin.script("delay=1500")
        worker = self.worker()
        ids = self.stack.enqueue("--text", TEXT)
        self.in_flight()
        self.assertEqual(worker.stop(), 0)
        states = self.stack.sql("SELECT DISTINCT state FROM millrace.calls")
        self.assertEqual(states, [("settled",)])
        self.worker()
        facts = self.settle_up(ids)
        self.assertEqual(facts.get("ambiguous"), None)

    def test_second_sigterm_is_at_once(self):
        self.standin.script("delay=30000")
        worker = self.worker()
        self.stack.enqueue("--text", TEXT)
        self.in_flight()
        started = time.monotonic()
        worker.signal(signal.SIGTERM)
        time.sleep(0.3)
        worker.signal(signal.SIGTERM)
        worker.process.wait(10 * millrace.PATIENCE)
        self.assertLess(time.monotonic() - started, 10 * millrace.PATIENCE)

    def test_idle_worker_stops_fast(self):
        worker = self.started()
        started = time.monotonic()
        self.assertEqual(worker.stop(), 0)
        self.assertLess(time.monotonic() - started, 5 * millrace.PATIENCE)

    def test_kill_resumes_after_the_last_checkpoint(self):
        self.standin.script("delay=300")
        worker = self.worker()
        ids = self.stack.enqueue("--text", TEXT)
        millrace.wait_until("the summary", lambda: self.stack.value("SELECT count(*) FROM millrace.steps WHERE name = 'summarize'"))
        worker.kill()
        self.worker()
        self.settle_up(ids)
        self.assertEqual(len([e for e in self.standin.ledger() if e["output"]]) <= 3, True)

    def test_database_restart(self):
        self.standin.script("delay=500-1500")
        self.worker()
        ids = self.stack.enqueue(*(["--text", TEXT] * 50))
        self.in_flight(10)
        self.stack.ops("restart", "database")
        facts = self.settle_up(ids)
        self.assertEqual(facts.get("ambiguous"), None, facts)

    def test_database_down_for_a_while(self):
        self.standin.script("delay=500")
        worker = self.worker()
        ids = self.stack.enqueue(*(["--text", TEXT] * 20))
        self.in_flight(5)
        self.stack.ops("kill", "database")
        time.sleep(4)
        self.assertTrue(worker.alive())
        self.stack.ops("start", "database")
        facts = self.settle_up(ids)
        self.assertEqual(facts.get("ambiguous"), None, facts)

    def test_broker_restart_pays_nothing_twice(self):
        self.standin.script("delay=1000-4000")
        self.worker()
        self.worker()
        ids = self.stack.enqueue(*(["--text", TEXT] * 60))
        self.in_flight(30)
        self.stack.ops("restart", "broker")
        facts = self.settle_up(ids)
        self.assertEqual(facts["settled"], 120, facts)
        self.assertEqual(facts.get("ambiguous"), None, facts)

    def started(self):
        """A worker that takes signals."""
        worker = self.worker()
        millrace.wait_until("the start", lambda: "worker.started" in worker.text())
        return worker

    def test_reload(self):
        worker = self.started()
        self.settle_up(self.stack.enqueue("--text", TEXT))
        self.config.write_text(self.config.read_text().replace('model = "standin"', 'model = "other"'))
        worker.signal(signal.SIGHUP)
        millrace.wait_until("a job of the new model", lambda: self._served_by("other"))

    def test_a_reload_asked_for_too_early_comes_later(self):
        pipe = self.config.with_name("first.cfg")
        os.mkfifo(pipe)
        worker = self.worker(config=pipe)
        with open(pipe, "w") as first:  # it has begun to read
            os.kill(worker.process.pid, signal.SIGHUP)
            next_one = self.config.with_name("next.cfg")
            next_one.write_text(self.config.read_text() + 'worker: { log_level = "debug"; };')
            next_one.rename(pipe)
            first.write(self.config.read_text())
        millrace.wait_until("the reload", lambda: "reload.done" in worker.text())
        self.settle_up(self.stack.enqueue("--text", TEXT))
        self.assertIn('"level":"debug"', worker.text())

    def test_reload_keeps_what_needs_a_restart(self):
        worker = self.started()
        good = self.config.read_text()
        self.config.write_text(good + 'worker: { pool = "other"; log_level = "debug"; };')
        worker.signal(signal.SIGHUP)
        millrace.wait_until("the reload", lambda: "reload.done" in worker.text())
        self.assertIn('"needs_restart":"worker.pool"', worker.text())
        self.settle_up(self.stack.enqueue("--text", TEXT))  # by this worker, still of pool main
        self.assertIn('"level":"debug"', worker.text())

    def test_without_the_extractor(self):
        alone = self.stack.folder / "alone"
        alone.mkdir()
        shutil.copy(millrace.BUILD / "worker" / "millrace-worker", alone)
        done = subprocess.run(
            [alone / "millrace-worker"], env={**self.stack.env, "MILLRACE_CONFIG": str(self.config)},
            check=False, capture_output=True, text=True, timeout=30 * millrace.PATIENCE,
        )  # fmt: skip
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("millrace-extract", done.stderr)

    def _served_by(self, model):
        self.stack.wait_ended(self.stack.enqueue("--text", TEXT))
        return bool(self.standin.ledger(model))

    def test_reload_of_a_broken_file_changes_nothing(self):
        worker = self.started()
        good = self.config.read_text()
        self.config.write_text(good + "worker: { slots = \"many\"; };")
        worker.signal(signal.SIGHUP)
        millrace.wait_until("the complaint", lambda: "reload.refused" in worker.text())
        self.settle_up(self.stack.enqueue("--text", TEXT))


if __name__ == "__main__":
    millrace.main()

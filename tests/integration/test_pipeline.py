"""Jobs from the command to rows in SQL, with the local provider: no network, no key, no cost."""

import json

import millrace

TEXT = (
    "Ada Lovelace met Charles Babbage in London on 5 June 1833. The Analytical Engine was never"
    " built in her lifetime. She wrote the first program for it. Mail ada@example.org for 25 EUR."
)
STEPS = ["entities", "extract", "summarize"]


class PipelineTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.worker = cls.stack.worker()

    def done(self, *args, **more):
        ids = self.stack.enqueue(*args, **more)
        self.assertEqual(self.stack.wait_ended(ids), {"done": len(ids)})
        return ids

    def results(self, job):
        return dict(self.stack.sql("SELECT step, output FROM millrace.results WHERE job_id = %s", job, user="millrace_reader"))

    def test_document(self):
        (job,) = self.done("--text", TEXT, "--tenant", "acme")
        results = self.results(job)
        self.assertEqual(sorted(results), STEPS)
        self.assertIn("Lovelace", results["extract"]["text"])
        self.assertTrue(results["summarize"]["text"])
        found = {(e["type"], e["text"]) for e in results["entities"]["entities"]}
        self.assertIn(("email", "ada@example.org"), found)
        calls = self.stack.sql("SELECT step, state, cost_pico FROM millrace.calls WHERE job_id = %s ORDER BY 1", job)
        self.assertEqual(calls, [("entities", "settled", 0), ("summarize", "settled", 0)])
        self.assertEqual(self.stack.value("SELECT cost_usd FROM millrace.job_overview WHERE job_id = %s", job), 0)

    def test_samples(self):
        """Every document that ships ends well, whatever its format and language."""
        files = sorted(p for p in (millrace.DATA / "documents").iterdir() if p.is_file())
        self.assertGreaterEqual(len(files), 4)
        ids = self.done(*files, "--tenant", "samples")
        self.assertEqual(len(ids), len(files))
        for job in ids:
            results = self.results(job)
            self.assertEqual(sorted(results), STEPS)
            self.assertGreater(len(results["extract"]["text"]), 50)

    def test_wait_and_read(self):
        (job,) = self.stack.json("enqueue", "--text", TEXT, "--wait")
        self.assertEqual((job["state"], sorted(job["results"])), ("done", STEPS))
        for command in (("status", job["job"]), ("results", job["job"]), ("jobs", "list"), ("costs",)):
            self.assertTrue(self.stack.json(*command))

    def test_prompt_pipeline(self):
        (job,) = self.done("--text", TEXT, "--pipeline", "prompt")
        self.assertEqual(list(self.results(job)), ["answer"])

    def test_many_lanes_and_tenants(self):
        lines = "".join(
            json.dumps({"input": {"text": TEXT}, "tenant": f"t{i % 5}", "priority": i % 10 + 1}) + "\n"
            for i in range(500)
        )
        ids = self.done("--jsonl", "-", stdin=lines)
        count = self.stack.value("SELECT count(*) FROM millrace.results WHERE job_id = ANY(%s::uuid[])", ids)
        self.assertEqual(count, 3 * 500)
        self.stack.wait_queues_empty(but=("millrace.dead",))

    def test_events(self):
        with self.stack.broker() as connection:
            channel = connection.channel()
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.queue_bind(queue, "millrace.events", "job.#")
            (job,) = self.done("--text", TEXT)
            body = millrace.wait_until("the event", lambda: channel.basic_get(queue, auto_ack=True)[2])
        event = json.loads(body)
        self.assertEqual((event["v"], event["event"], event["job"]), (1, "job.done", job))

    def test_idempotency_key(self):
        (first,) = self.done("--text", TEXT, "--idempotency-key", "once", "--tenant", "acme")
        (second,) = self.stack.enqueue("--text", TEXT, "--idempotency-key", "once", "--tenant", "acme")
        self.assertEqual(self.stack.wait_ended([second]), {"cancelled": 1})
        self.assertEqual(self.stack.value("SELECT duplicate_of::text FROM millrace.jobs WHERE id = %s", second), first)
        (other,) = self.done("--text", TEXT, "--idempotency-key", "once", "--tenant", "other")
        self.assertNotEqual(other, first)

    def test_same_message_twice(self):
        (job,) = self.done("--text", TEXT)
        body = json.dumps({"v": 1, "id": job, "tenant": "default", "pipeline": "document", "input": {"text": TEXT}})
        self.stack.publish(body, message_id=job)
        self.stack.wait_queues_empty(but=("millrace.dead",))
        self.assertEqual(self.stack.value("SELECT count(*) FROM millrace.calls WHERE job_id = %s", job), 2)

    def test_cancel_before_a_worker_sees_it(self):
        self.worker.stop()
        try:
            (job,) = self.stack.enqueue("--text", TEXT)
            self.stack.ok("cancel", job)
        finally:
            type(self).worker = self.stack.worker()
        self.assertEqual(self.stack.wait_ended([job]), {"cancelled": 1})
        self.assertEqual(self.stack.value("SELECT count(*) FROM millrace.calls WHERE job_id = %s", job), 0)


if __name__ == "__main__":
    millrace.main()

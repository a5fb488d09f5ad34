"""Jobs against the scripted provider: what goes wrong there, and what it costs."""

import judge
import millrace

TEXT = "The mill by the river was sold in 1912. Acme Ltd paid 900 pounds for it."


class ProviderTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.key = "sk-very-secret-123456"
        cls.standin = cls.stack.standin("--key", cls.key)
        key_file = cls.stack.state / "standin.key"
        key_file.write_text(cls.key + "\n")
        key_file.chmod(0o600)
        cls.config = cls.stack.config(
            cls.standin.config(more='key_file = "standin.key";', summarizer="sum", extractor="ent")
        )
        cls.worker = cls.stack.worker(config=cls.config)

    def setUp(self):
        for model in ("sum", "ent", "standin"):
            self.standin.script("", model)

    def run_job(self, state="done", **scripts):
        for model, script in scripts.items():
            self.standin.script(script, model)
        ids = self.stack.enqueue("--text", TEXT)
        self.assertEqual(self.stack.wait_ended(ids, 90), {state: 1})
        return ids[0]

    def calls(self, job, step):
        return self.stack.sql(
            "SELECT state, class FROM millrace.calls WHERE job_id = %s AND step = %s ORDER BY attempt", job, step
        )

    def test_good(self):
        job = self.run_job()
        self.assertEqual(self.calls(job, "summarize"), [("settled", None)])
        self.assertEqual(self.calls(job, "entities"), [("settled", None)])

    def test_cost_is_the_bill(self):
        """No price is known for this model: the ceiling counts, and the row says so."""
        job = self.run_job(sum="output=1000+cached=50")
        (row,) = self.stack.sql(
            "SELECT c.id::text, price_unknown, cost_pico, input_tokens, cached_tokens, output_tokens"
            " FROM millrace.calls c WHERE job_id = %s AND step = 'summarize'", job)  # fmt: skip
        (entry,) = [e for e in self.standin.ledger("sum") if e["call"] == row[0]]
        self.assertTrue(row[1])
        self.assertGreater(row[2], 0)
        self.assertEqual(row[3:], (entry["input"], entry["cached"], entry["output"]))

    def test_throttled_then_good(self):
        job = self.run_job(sum="error=429*1+retry_after=1")
        self.assertEqual(self.calls(job, "summarize"), [("released", "rate_limited"), ("settled", None)])

    def test_overloaded_then_good(self):
        job = self.run_job(sum="error=529*1")
        self.assertEqual(self.calls(job, "summarize"), [("released", "overloaded"), ("settled", None)])

    def test_proxy_page_then_good(self):
        job = self.run_job(sum="html*1")
        self.assertEqual(self.calls(job, "summarize")[1], ("settled", None))
        self.assertEqual(self.calls(job, "summarize")[0][1], "server")

    def test_hang_up_is_ambiguous(self):
        job = self.run_job(sum="hangup=after*1")
        self.assertEqual(self.calls(job, "summarize"), [("ambiguous", "ambiguous"), ("settled", None)])
        overview = self.stack.sql("SELECT ambiguous_usd > 0, cost_usd > 0 FROM millrace.job_overview WHERE job_id = %s", job)
        self.assertEqual(overview, [(True, True)])

    def test_truncated_answer_is_ambiguous(self):
        job = self.run_job(ent="truncate*1")
        self.assertEqual(self.calls(job, "entities")[0][0], "ambiguous")

    def test_empty_answer_is_an_error(self):
        job = self.run_job(sum="empty*1")
        self.assertEqual(self.calls(job, "summarize"), [("settled", "bad_output"), ("settled", None)])

    def test_cut_answer_is_an_error(self):
        job = self.run_job(ent="length*1")
        self.assertEqual(self.calls(job, "entities"), [("settled", "bad_output"), ("settled", None)])

    def test_refusal_is_dead(self):
        job = self.run_job("dead", sum="refusal")
        self.assertEqual(self.stack.sql("SELECT error_class, error_step FROM millrace.jobs WHERE id = %s", job), [("refused", "summarize")])

    def test_bad_request_is_dead_at_once(self):
        job = self.run_job("dead", sum="error=400")
        self.assertEqual(self.calls(job, "summarize"), [("released", "invalid")])
        message = self.stack.value("SELECT error_message FROM millrace.jobs WHERE id = %s", job)
        self.assertIn("as the script says", message)

    def test_quota_is_not_tried_again(self):
        job = self.run_job("dead", sum="quota")
        self.assertEqual(self.calls(job, "summarize"), [("released", "quota")])

    def test_replay_pays_nothing_twice(self):
        job = self.run_job("dead", ent="error=400")
        (entry,) = self.stack.json("dlq", "list", "--class", "invalid", "-n", 1)
        self.assertEqual(entry["job"], job)
        self.standin.script("", "ent")
        before = len(self.standin.ledger("sum"))
        done = self.stack.run("dlq", "replay", job, "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout + done.stderr, r"will reuse 2 steps? and run 1")
        self.stack.wait_ended([job])
        millrace.wait_until("the replayed job", lambda: self.stack.states([job]) == {"done": 1})
        self.assertEqual(len(self.standin.ledger("sum")), before)
        self.assertEqual(self.stack.dead_letters([job]), [])

    def test_zz_ledger_equals_calls(self):
        self.stack.wait_queues_empty(60, but=("millrace.dead",))
        faults, facts = judge.compare_ledger(self.stack, self.standin)
        print(f"# {facts}")
        self.assertEqual(faults, [])

    def test_zz_no_secret_in_the_log(self):
        self.assertNotIn(self.key, self.worker.text())
        self.assertNotIn((self.stack.state / "secrets" / "pg_worker").read_text().strip(), self.worker.text())

    def test_open_key_file_is_refused(self):
        path = self.stack.state / "open.key"
        path.write_text("sk-open\n")
        path.chmod(0o644)
        config = self.stack.config(self.standin.config(more='key_file = "open.key";'), name="open.cfg")
        worker = self.stack.worker(config=config)
        self.assertNotEqual(worker.process.wait(30), 0)
        self.assertIn("chmod 600", worker.text())
        self.assertNotIn("sk-open", worker.text())


if __name__ == "__main__":
    millrace.main()

"""What a person sees of jobs: waiting, reading, cancelling, and bringing the dead back."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import time
import uuid

import millrace

DEAD = "millrace.dead"


class CliTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.standin = cls.stack.standin()
        alias = '{{ alias = "{}"; provider = "standin"; model = "{}"; }}'
        text = (
            f'providers: ( {{ name = "standin"; kind = "openai"; base_url = "{cls.standin.url}/v1"; }} );\n'
            f'models: ( {alias.format("summarizer", "good")}, {alias.format("extractor", "moody")} );\n'
        )
        cls.models = text
        cls.config = cls.stack.config(text)
        cls.stack.env["MILLRACE_CONFIG"] = str(cls.config)
        cls.worker = cls.stack.worker(config=cls.config)

    def setUp(self):
        self.standin.script("", model="moody")
        self.stack.purge(DEAD)

    def kill(self, text="some text"):
        """A job that dies at its third step; returns its id."""
        self.standin.script("error=400", model="moody")
        before = self.stack.ready(DEAD)
        ids = self.stack.enqueue("--text", text)
        self.assertEqual(self.stack.wait_ended(ids), {"dead": 1})
        millrace.wait_until("a dead letter", lambda: self.stack.ready(DEAD) > before)
        self.standin.script("", model="moody")
        return ids[0]

    def asked(self, model):
        return sum(1 for line in self.standin.ledger() if line["model"] == model)

    # ---- waiting

    def test_wait_shows_steps_and_the_result(self):
        done = self.stack.run("enqueue", "--wait", "--text", "The mill was sold.")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = re.findall(r"^[0-9a-f-]{36}  (\S+) +(\S+) +[\d.]+  \$", done.stdout, re.M)
        queued, first = re.findall(r"^([0-9a-f-]{36})  (.*)", done.stdout, re.M)[:2]
        self.assertEqual(queued, (first[0], "(job)       queued"))
        table = [line for line in done.stdout.splitlines() if not line.startswith("    ")]
        self.assertLessEqual(max(map(len, table)), 80)
        self.assertEqual(
            rows, [("extract", "done"), ("summarize", "done"), ("entities", "done"), ("(job)", "done")]
        )  # fmt: skip
        self.assertIn("    The mill was sold.", done.stdout)
        self.assertIn("1 done, 0 dead or cancelled", done.stderr)

    def test_wait_for_many(self):
        lines = "".join(json.dumps({"input": {"text": f"text {i}"}}) + "\n" for i in range(300))
        jobs = self.stack.json("enqueue", "--wait", "--jsonl", "-", stdin=lines)
        self.assertEqual(len({job["job"] for job in jobs}), 300)
        self.assertEqual({job["state"] for job in jobs}, {"done"})
        self.assertEqual({len(job["results"]) for job in jobs}, {3})

    def test_wait_for_a_duplicate_gives_the_first_result(self):
        args = ("enqueue", "--wait", "--text", "once", "--idempotency-key", uuid.uuid4().hex)
        (first,), (second,) = self.stack.json(*args), self.stack.json(*args)
        self.assertNotEqual(first["job"], second["job"])
        self.assertEqual(second["duplicate_of"], first["job"])
        self.assertEqual(second["results"], first["results"])

    def test_wait_for_a_job_that_dies(self):
        self.standin.script("error=400", model="moody")
        done = self.stack.run("enqueue", "--wait", "--text", "x", "-o", "json")
        (job,) = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1)
        self.assertEqual((job["state"], job["error_step"]), ("dead", "entities"))
        self.assertEqual(set(job["results"]), {"extract", "summarize"})

    def interrupt_a_wait(self, *more):
        """Ctrl-C once the job is confirmed and no worker takes it; returns stdout and stderr."""
        process = subprocess.Popen(
            [str(millrace.BUILD / "producer" / "millrace"), "enqueue", "--wait", "--text", "x", *more],
            env=self.stack.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        millrace.wait_until("the job", lambda: self.stack.ready("millrace.main.normal") > 0)
        with process.stdout, process.stderr:
            heading = process.stdout.readline() + process.stdout.readline() if not more else ""
            time.sleep(0.5)  # for the confirm
            process.send_signal(signal.SIGINT)
            out, err = heading + process.stdout.read(), process.stderr.read()
        self.assertEqual(process.wait(30), 130, err)
        return out, err

    def test_interrupted_wait_tells_how_to_go_on(self):
        self.assertEqual(self.worker.stop(), 0)
        out, err = self.interrupt_a_wait()
        job = re.search(r"^([0-9a-f-]{36})  \(job\) +queued$", out, re.M)[1]
        self.assertIn(f"still running: millrace status {job}\n", err)
        self.stack.purge("millrace.main.normal")
        out, err = self.interrupt_a_wait("-o", "json")
        (row,) = json.loads(out)
        self.assertEqual((row["source"], row["state"]), ("--text", "queued"))
        self.assertIn(f"still running: millrace status {row['job']}\n", err)
        self.stack.purge("millrace.main.normal")
        type(self).worker = self.stack.worker(config=self.config)

    def wait_on(self, words, *args, stderr=None):
        """Runs an enqueue --wait until stderr holds the words, then Ctrl-C; returns what it held."""
        reader, writer = stderr or os.pipe()
        process = subprocess.Popen(
            [str(millrace.BUILD / "producer" / "millrace"), "enqueue", "--wait", "--text", "x", *args],
            env={**self.stack.env, "TERM": "xterm"}, stdout=subprocess.DEVNULL, stderr=writer,
        )  # fmt: skip
        self.addCleanup(process.kill)
        os.close(writer)
        said = b""
        while words not in said:
            more = os.read(reader, 4096)
            self.assertTrue(more, said)
            said += more
        process.send_signal(signal.SIGINT)
        while more:
            with contextlib.suppress(OSError):  # what a terminal says at its end
                more = b""
                more = os.read(reader, 4096)
            said += more
        os.close(reader)
        self.assertEqual(process.wait(30 * millrace.PATIENCE), 130, said)
        return said.decode()

    def test_wait_says_what_a_job_waits_for(self):
        self.stack.ok("tenant", "set", "tiny", "--cap-day", "0.000001")
        said = self.wait_on(b"waits until", "--tenant", "tiny")
        job, until = re.search(r"^([0-9a-f-]{36}) waits until (\S+ \S+Z) \(\d+ s more\), since there is no room under a cap: ", said, re.M).groups()
        self.assertIn(f"It waits until {until}", self.stack.ok("explain", job))
        self.stack.ok("cancel", job)
        said = self.wait_on(b"2 of 2 jobs wait", "--text", "y", "--tenant", "tiny")
        self.assertRegex(said, r"2 of 2 jobs wait: 2 since there is no room under a cap; the first goes on at \S+ \S+Z\n")
        self.stack.ok("cancel", *re.search("millrace status (.*)", said)[1].split())

    def test_wait_draws_on_a_terminal(self):
        self.stack.ok("tenant", "set", "tiny", "--cap-day", "0.000001")
        said = self.wait_on(b"waits until", "--tenant", "tiny", stderr=pty.openpty())
        line = re.search(r"[0-9a-f-]{36} waits until[^\r\n]*", said)[0]
        self.assertEqual((len(line), line[-1]), (79, "…"))
        self.assertIn("\r\x1b[K", said.split(line)[1])
        self.stack.ok("cancel", line[:36])

    def test_wait_without_a_worker(self):
        self.assertEqual(self.worker.stop(), 0)
        said = self.wait_on(b"none is running\n")
        self.assertIn("1 has not been taken by a worker yet, and none is running\n", said)
        self.stack.purge("millrace.main.normal")
        type(self).worker = self.stack.worker(config=self.config)

    def test_wait_marks_what_was_cached_or_degraded(self):
        steps = (
            '{ name = "sum"; kind = "chat"; model = "summarizer"; task = "summary"; prompt = "Sum {{input.text}}"; cache = "1h"; }, '
            '{ name = "more"; kind = "chat"; model = "extractor"; task = "summary"; prompt = "More {{input.text}}"; on_error = "degrade"; }'
        )
        config = self.stack.config(self.models + f'pipelines: ( {{ name = "marked"; steps: ( {steps} ); }} );\n', name="marked.cfg")
        self.assertEqual(self.worker.stop(), 0)
        worker = self.stack.worker(config=config)
        self.standin.script("error=400", model="moody")
        args = ("--config", config, "enqueue", "--wait", "--text", uuid.uuid4().hex, "-p", "marked")
        (first,), (second,) = self.stack.json(*args), self.stack.json(*args)
        marks = [(job["degraded"], job["degraded_steps"], job["cached_steps"]) for job in (first, second)]
        self.assertEqual(marks, [(True, ["more"], []), (True, ["more"], ["sum"])])
        rows = re.findall(r"^[0-9a-f-]{36}  (\S+) +(\S+) +[\d.]+  \$", self.stack.ok(*args), re.M)
        self.assertEqual(rows, [("sum", "cached"), ("more", "degraded"), ("(job)", "done")])
        (status,) = self.stack.json("status", second["job"])
        self.assertEqual([(s["cached"], s["degraded"]) for s in status["steps"]], [(True, False), (False, True)])
        (call, *_) = self.stack.json("explain", second["job"])["calls"]
        self.assertEqual((call["step"], call["hit"], call["alias"]), ("sum", True, "summarizer"))
        self.assertEqual(worker.stop(), 0)
        type(self).worker = self.stack.worker(config=self.config)

    # ---- reading

    def test_status_results_and_lists(self):
        tenant = "t" + uuid.uuid4().hex[:8]
        ids = self.stack.enqueue("--text", "read me", "--tenant", tenant, "-m", "k=v")
        self.stack.wait_ended(ids)
        (job,) = self.stack.json("status", *ids)
        self.assertEqual((job["job"], job["state"], job["tenant"]), (ids[0], "done", tenant))
        self.assertEqual(job["metadata"], {"k": "v"})
        self.assertEqual([s["step"] for s in job["steps"]], ["extract", "summarize", "entities"])
        self.assertTrue(all(0 <= s["ms"] < 60000 for s in job["steps"]))
        self.assertIn("summarize", self.stack.ok("status", *ids))
        outputs = {row["step"]: row["output"] for row in self.stack.json("results", *ids)}
        self.assertEqual(outputs["extract"]["text"], "read me")
        (only,) = self.stack.json("results", *ids, "--step", "extract")
        self.assertEqual(only["output"], outputs["extract"])
        self.assertEqual(self.stack.ok("results", *ids, "--step", "extract"), "read me\n")
        listed = self.stack.json("jobs", "list", "--tenant", tenant, "--state", "done", "--since", "1h")
        self.assertEqual([row["job"] for row in listed], ids)
        self.assertEqual(self.stack.json("jobs", "list", "--tenant", tenant, "--state", "dead"), [])

    def test_costs_agree_whatever_they_are_added_up_by(self):
        self.stack.wait_ended(self.stack.enqueue("--text", "costly"))
        sums = set()
        for by in ("tenant", "day", "pipeline", "step", "model", "provider"):
            rows = self.stack.json("costs", "--by", by, "--since", "24h")
            self.assertTrue(all(by in row for row in rows))
            sums.add((sum(row["calls"] for row in rows), sum(int(float(row["cost_usd"]) * 1e12 + 0.5) for row in rows)))
        self.assertEqual(len(sums), 1)
        self.assertGreater(sums.pop()[0], 0)

    def test_unknown_jobs(self):
        missing = str(uuid.uuid4())
        for args, code in (
            (("status", missing), 1), (("results", missing), 1), (("status", "no-id"), 2),
            (("dlq", "show", missing), 1), (("dlq", "replay", missing, "--yes"), 1),
            (("dlq", "replay"), 2), (("dlq", "list", "--class", "nosuch"), 2), (("jobs",), 2),
        ):  # fmt: skip
            with self.subTest(args=args):
                self.assertEqual(self.stack.run(*args).returncode, code)

    def test_cancel(self):
        self.assertEqual(self.worker.stop(), 0)
        ids = self.stack.enqueue("--text", "never to run")
        (row,) = self.stack.json("cancel", *ids)
        self.assertEqual(row, {"job": ids[0], "state": "cancelled"})
        type(self).worker = self.stack.worker(config=self.config)
        self.assertEqual(self.stack.wait_ended(ids), {"cancelled": 1})
        finished = self.stack.enqueue("--text", "too late")
        self.stack.wait_ended(finished)
        self.assertEqual(self.stack.run("cancel", *finished).returncode, 1)

    def test_database_down(self):
        self.stack.ops("stop", "database")
        self.addCleanup(self.stack.ops, "start", "database")
        for args in (("jobs", "list"), ("enqueue", "--wait", "--text", "x"), ("dlq", "list")):
            with self.subTest(args=args):
                done = self.stack.run(*args)
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertIn("PostgreSQL", done.stderr)

    # ---- the dead

    def test_replay_reuses_finished_steps(self):
        job = self.kill()
        before = self.asked("good")
        (row,) = [r for r in self.stack.json("dlq", "list") if r["job"] == job]
        self.assertEqual((row["error_class"], row["step"], row["steps_done"]), ("invalid", "entities", 2))
        (shown,) = self.stack.json("dlq", "show", job, "--message")
        self.assertEqual(shown["message"]["id"], job)
        self.assertEqual((shown["replay_reuses"], shown["replay_runs"]), (2, 1))

        unasked = self.stack.run("dlq", "replay", job)
        self.assertEqual(unasked.returncode, 1)
        self.assertIn(f"job {job}: will reuse 2 steps and run 1", unasked.stdout)
        self.assertIn("--yes", unasked.stderr)
        self.assertEqual(self.stack.ready(DEAD), 1)

        self.assertIn("will reuse 2 steps and run 1", self.stack.ok("dlq", "replay", job, "--yes"))
        millrace.wait_until("the end", lambda: self.stack.states([job]) == {"done": 1})
        self.assertEqual(self.asked("good"), before)
        self.assertEqual(self.stack.ready(DEAD), 0)
        self.assertEqual(self.stack.json("status", job)[0]["replays"], 1)
        self.assertNotIn(job, [r["job"] for r in self.stack.json("dlq", "list")])

    def test_replay_and_drop_leave_the_others(self):
        one, two, three = self.kill("one"), self.kill("two"), self.kill("three")
        self.assertIn("millrace dlq replay runs it again", self.stack.ok("explain", two))
        self.stack.ok("dlq", "drop", two, "--yes")
        self.assertRegex(self.stack.ok("explain", two), r"Its dead letter was dropped, so it cannot be replayed\.\n")
        self.assertEqual(self.stack.ready(DEAD), 2)
        self.stack.ok("dlq", "replay", three, "--yes")
        millrace.wait_until("the end", lambda: self.stack.states([three]) == {"done": 1})
        self.assertEqual(self.stack.ready(DEAD), 1)
        self.assertEqual(self.stack.run("dlq", "replay", two, "--yes").returncode, 1)
        (row,) = self.stack.json("dlq", "replay", one, "--yes")
        self.assertEqual(row["outcome"], "replayed")
        millrace.wait_until("the end", lambda: self.stack.states([one]) == {"done": 1})

    def test_plans(self):
        job = self.kill()
        for verb in ("drop", "replay"):
            plan = self.stack.json("dlq", verb, job, "--dry-run")
            self.assertEqual(plan, [{"job": job, "reuses": 2, "runs": 1}])
        self.assertIn("its dead letter will be deleted; 2 results", self.stack.ok("dlq", "drop", job, "--dry-run"))
        unasked = self.stack.run("dlq", "drop", job, "-o", "json")
        self.assertEqual((unasked.returncode, json.loads(unasked.stdout)), (1, []))
        self.assertEqual(self.stack.ready(DEAD), 1)

    def test_replay_twice(self):
        job = self.kill()
        self.standin.script("error=400", model="moody")
        self.stack.ok("dlq", "replay", "--class", "invalid", "--since", "1h", "--yes")
        millrace.wait_until("a second death", lambda: self.stack.ready(DEAD) == 1)
        self.standin.script("", model="moody")
        self.stack.ok("dlq", "replay", job, "--yes")
        millrace.wait_until("the end", lambda: self.stack.states([job]) == {"done": 1})
        self.assertEqual(self.stack.json("status", job)[0]["replays"], 2)

    def test_no_control_characters_reach_a_terminal(self):
        self.stack.publish(b'{"v":1,"\x1b[31m\xc2\x9b":"\x07"')
        millrace.wait_until("a reject", lambda: self.stack.ready(DEAD) > 0)
        for args in (("dlq", "list"), ("dlq", "list", "-o", "json")):
            text = self.stack.ok(*args)
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        ids = self.stack.enqueue("--text", "red \x1b[31m and \x9b31m and \u202e")
        self.stack.wait_ended(ids)
        for args in (("results", *ids), ("results", *ids, "-o", "json")):
            self.assertNotRegex(self.stack.ok(*args), "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")

    # ---- manners

    def test_groups_explain_themselves(self):
        for args in (("dlq", "--help"), ("dlq", "-h"), ("help", "dlq")):
            self.assertIn("  dlq replay ", self.stack.ok(*args))
        self.assertIn("  jobs list ", self.stack.ok("jobs", "--help"))

    def test_config_check(self):
        provider = (
            '{ name = "far"; kind = "openai"; base_url = "https://api.example.com/v1"; key_env = "NO_SUCH_KEY"; }'
        )
        path = self.stack.config(f"providers: ( {provider} );\n", name="keyless.cfg")
        done = self.stack.run("--config", path, "config", "check")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, "warning: .*NO_SUCH_KEY.*worker")
        for sample in ("millrace.sample.cfg", "providers.cfg"):
            done = self.stack.run("--config", millrace.ROOT / "ops/config" / sample, "config", "check")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("The configuration is good", done.stdout)
        step = '{ name = "s"; kind = "chat"; model = "summarizer"; prompt = "x {{nosuch.text}}"; }'
        pipeline = f'{{ name = "p"; version = 1; steps: ( {step} ); }}'
        path = self.stack.config(f"pipelines: ( {pipeline} );\n", name="wrong.cfg")
        done = self.stack.run("--config", path, "config", "check")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn('pipeline "p", step "s": {{nosuch.text}}', done.stderr)

    def test_inputs_that_were_never_sent_have_failed(self):
        env = {"MILLRACE_BROKER_HOSTS": "localhost:1"}
        inputs = ("--text", "x", "--url", "https://example.com/")
        done = self.stack.run("enqueue", *inputs, "--timeout", "0s", "-o", "json", env=env)
        self.assertEqual(done.returncode, 3)
        self.assertEqual([row["state"] for row in json.loads(done.stdout)], ["failed", "failed"])
        self.assertIn("0 confirmed, 0 refused, 2 failed", done.stderr)

    def test_lines_with_a_byte_order_mark(self):
        lines = '\ufeff{"input":{"text":"a"}}\n{"input":{"text":"a\\u0000"}}\n'
        done = self.stack.run("enqueue", "--jsonl", "-", stdin=lines.encode())
        self.assertIn(b"1 confirmed, 1 refused, 0 failed", done.stderr)
        self.assertNotIn(b"JSON_", done.stderr)

    def test_interrupt(self):
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [str(millrace.BUILD / "producer" / "millrace"), "enqueue", "--jsonl", "-", "-o", "json"],
            env=self.stack.env, stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.close(reader)
        os.write(writer, b'{"input":{"text":"x"}}\n' * 10)
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        with process.stdout, process.stderr:
            jobs, err = json.loads(first + process.stdout.read()), process.stderr.read()
        os.close(writer)
        self.assertEqual(process.wait(30), 130, err)
        self.assertTrue(all(job["state"] == "confirmed" for job in jobs))
        self.assertIn(f"{len(jobs)} confirmed, 0 refused, 0 failed", err)

    def test_a_reader_that_leaves(self):
        lines = '{"input":{"text":"x"}}\n' * 20000
        script = f"'{millrace.BUILD}/producer/millrace' enqueue --jsonl - -o ids | head -n 1"
        done = subprocess.run(
            ["bash", "-c", script], env=self.stack.env, input=lines, text=True, capture_output=True, timeout=60
        )  # fmt: skip
        self.assertIn("20000 confirmed, 0 refused, 0 failed", done.stderr)

    def test_init_again(self):
        told = self.stack.json("init")
        self.assertEqual((told["broker"], told["database"], told["migrations_applied"]), (True, True, 0))
        self.assertIn("main", told["pools"])


if __name__ == "__main__":
    millrace.main()

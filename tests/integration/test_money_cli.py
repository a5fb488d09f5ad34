"""What a person sees of money: prices, caps, costs, estimates, and what is wrong with them."""

import json
import re

import millrace


class MoneyCase(millrace.StackCase):
    """A stack whose shipped pipelines ask the stand-in: model "good" and model "moody"."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.standin = cls.stack.standin()
        cls.config = cls.stack.config(cls.standin.config(summarizer="good", extractor="moody", default="good"))
        cls.stack.env["MILLRACE_CONFIG"] = str(cls.config)

    @classmethod
    def prices(cls, *entries, name="prices.cfg"):
        """A price file of these entries, "standin" "good" unless they say otherwise; returns its path."""
        head = 'provider = "standin"; models = ["good", "moody"]; '
        path = cls.stack.folder / name
        path.write_text("prices: (" + ", ".join(f"{{ {head if 'models' not in e else ''}{e} }}" for e in entries) + ");")
        return path


class PricesTest(MoneyCase):
    def setUp(self):
        self.stack.sql("DELETE FROM millrace.prices WHERE provider = 'standin'")

    def check(self, code):
        done = self.stack.run("prices", "check", "-o", "json")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return [(row["level"], row["check"], row["found"].split()[-1]) for row in json.loads(done.stdout)]

    def test_import_then_list(self):
        self.assertEqual({row[:2] for row in self.check(1)}, {("fail", "missing")})
        file = self.prices('input = "1.25"; output = "5"; batch_percent = 40; source = "a letter";')
        dry = self.stack.json("prices", "import", file, "--dry-run")
        self.assertEqual((dry["new"], dry["written"], dry["prices"][0]["rates"]["input"]), (2, 0, "1.25"))
        self.assertEqual(self.stack.run("prices", "list", "--provider", "standin").returncode, 1)
        self.assertIn("2 new, 0 differ, 0 are there already, 0 skipped; 2 written", self.stack.ok("prices", "import", file))
        (row,) = self.stack.json("prices", "list", "--provider", "standin", "--model", "good")
        self.assertEqual((row["input"], row["cached"], row["output"]), ("1.25", "1.25", "5"))
        self.assertEqual((row["batch_percent"], row["source"]), (40, "a letter"))
        again = self.stack.json("prices", "import", file)
        self.assertEqual((again["new"], again["same"], again["written"]), (0, 2, 0))
        self.assertEqual(self.check(0), [])

    def test_other_rates_for_the_same_time_are_refused(self):
        self.stack.ok("prices", "import", self.prices('input = "1"; output = "5";'))
        file = self.prices('input = "1"; output = "6";', 'models = ["new"]; provider = "standin"; input = "1"; output = "1";')
        done = self.stack.run("prices", "import", file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("differs  standin/good from always: input 1, output 6; the table has input 1, output 5", done.stdout)
        self.assertIn("nothing was written: 2 prices differ", done.stderr)
        self.assertEqual(len(self.stack.json("prices", "list", "--provider", "standin")), 2)
        ids = [row["id"] for row in self.stack.json("prices", "list", "--provider", "standin")]
        self.stack.ok("prices", "import", file, "--replace")
        rows = self.stack.json("prices", "list", "--provider", "standin")
        self.assertEqual([row["output"] for row in rows], ["6", "6", "1"])
        self.assertEqual([row["id"] for row in rows][:2], ids)

    def test_dates(self):
        self.stack.ok("prices", "import", self.prices(
            'to = "2030-01-01"; input = "1"; output = "5";', 'from = "2030-01-01"; input = "2"; output = "5";'
        ))  # fmt: skip
        at = lambda when: [r["input"] for r in self.stack.json("prices", "list", "--model", "good", "--provider", "standin", *when)]
        self.assertEqual(at([]), ["1"])
        self.assertEqual(at(["--at", "2029-12-31T23:59:59Z"]), ["1"])
        self.assertEqual(at(["--at", "2030-01-01"]), ["2"])
        self.assertEqual(at(["--all"]), ["1", "2"])

    def test_check_tells_what_ends_and_what_was_charged(self):
        soon = self.stack.value("SELECT to_char(now() + interval '9 days', 'YYYY-MM-DD')")
        self.stack.ok("prices", "import", self.prices(f'to = "{soon}"; input = "1"; output = "5";'))
        self.assertEqual([row[:2] for row in self.check(1)], [("fail", "ending")] * 2)
        self.stack.ok("prices", "import", self.prices(f'from = "{soon}"; input = "2"; output = "5";'))
        self.assertEqual(self.check(0), [("ok", "changing", soon)] * 2)

    def test_litellm(self):
        file = self.stack.folder / "litellm.json"
        file.write_text(json.dumps({
            "standin/good": {"litellm_provider": "standin", "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07},
            "other": {"litellm_provider": "else", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
        }))  # fmt: skip
        self.stack.ok("prices", "import", file, "--provider", "standin", "--from", "2026-01-01")
        (row,) = self.stack.json("prices", "list", "--provider", "standin")
        self.assertEqual((row["model"], row["input"], row["output"]), ("good", "0.15", "0.6"))
        self.assertEqual(row["effective_from"], "2026-01-01")
        self.assertEqual(self.stack.json("prices", "list", "--provider", "standin", "--at", "2026-01-01"), [row])
        self.assertEqual(self.stack.run("prices", "list", "--provider", "standin", "--at", "2025-12-31").returncode, 1)

    def test_errors_say_what_to_do(self):
        for content, words in (
            ("", "must hold one list"), ('{"a": [', "wrong.cfg"), ("prices: (3);", "wrong.cfg:1"),
        ):  # fmt: skip
            file = self.stack.folder / "wrong.cfg"
            file.write_text(content)
            done = self.stack.run("prices", "import", file)
            self.assertEqual((done.returncode, words in done.stderr), (2, True), done.stderr)
        self.assertEqual(self.stack.run("prices", "import", "/nowhere").returncode, 2)
        self.assertEqual(self.stack.run("prices", "list", "--at", "soon").returncode, 2)


class TenantTest(MoneyCase):
    """Caps and limits as they are set and shown."""

    def test_set_show_list(self):
        shown = self.stack.json("tenant", "set", "acme", "--cap-day", "1.50", "--cap-job", "0.000001", "--rpm", "60")
        self.assertEqual(
            (shown["cap_day_usd"], shown["cap_month_usd"], shown["cap_job_usd"]), ("1.500000", None, "0.000001")
        )
        self.assertEqual((shown["on_cap"], shown["rpm"], shown["tpm"], shown["day_percent"]), ("park", 60, None, "0.0"))
        self.stack.ok("tenant", "set", "acme", "--on-cap", "dead", "--rpm", "none", "--tpm", "5000000000")
        shown = self.stack.json("tenant", "show", "acme")
        self.assertEqual((shown["cap_day_usd"], shown["on_cap"], shown["rpm"], shown["tpm"]), ("1.500000", "dead", None, 5000000000))
        self.stack.ok("tenant", "set", "acme", "--cap-day", "none", "--cap-month", "40")
        rows = {row["tenant"]: row for row in self.stack.json("tenant", "list")}
        self.assertEqual((rows["acme"]["cap_day_usd"], rows["acme"]["cap_month_usd"]), (None, "40.000000"))
        self.assertRegex(self.stack.ok("tenant", "show", "acme"), r"Cap a month +\$40\.000000\n")

    def test_a_cap_of_nothing(self):
        self.stack.ok("tenant", "set", "broke", "--cap-day", "0")
        self.assertEqual(self.stack.json("tenant", "show", "broke")["day_percent"], None)

    def test_errors(self):
        for args, words in (
            (("set", "acme"), "nothing to set"), (("set", "acme", "--cap-day", "-1"), "dollars"),
            (("set", "acme", "--cap-day", "1e3"), "dollars"), (("set", "acme", "--rpm", "0"), "whole number"),
            (("set", "acme", "--rpm", "3000000000"), "whole number"), (("set", "a b", "--rpm", "1"), "tenant"),
            (("set", "acme", "--on-cap", "none"), "park|dead|degrade"), (("set",), "missing"),
        ):  # fmt: skip
            done = self.stack.run("tenant", *args)
            self.assertEqual((done.returncode, words in done.stderr), (2, True), done.stderr)
        done = self.stack.run("tenant", "show", "nobody")
        self.assertEqual((done.returncode, "has no caps" in done.stderr), (1, True))

    def test_other_roles_are_told_of_the_owner(self):
        secret = self.stack.state / "secrets" / "pg_producer"
        env = {"MILLRACE_DATABASE_OWNER_USER": "millrace_producer", "MILLRACE_DATABASE_OWNER_PASSWORD_FILE": str(secret)}
        prices = self.prices('input = "7"; output = "7";')
        export = self.stack.folder / "one.csv"
        export.write_text("id,cost\nr,1\n")
        for args in (("tenant", "set", "acme", "--rpm", "1"), ("prices", "import", prices),
                     ("prices", "recost", "--since", "1h"), ("reconcile", "--file", export)):  # fmt: skip
            done = self.stack.run(*args, env=env)
            words = "needs the database's owner: set database.owner_user and its password file"
            self.assertEqual((done.returncode, done.stderr.count(words)), (3, 1), done.stderr)

    def test_only_the_owner_sets_caps(self):
        for user in ("millrace_producer", "millrace_worker"):
            with self.assertRaises(millrace.psycopg2.errors.InsufficientPrivilege):
                self.stack.sql("SELECT millrace.tenant_set('acme', p_rpm => 1)", user=user)


class ExplainTest(MoneyCase):
    """The same job at the places where it can stand."""

    def explain(self, job, code=0):
        done = self.stack.run("explain", job, "-o", "json")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        found = json.loads(done.stdout)
        self.assertEqual(found["job"], job)
        self.assertEqual("\n".join(found["why"]), self.stack.run("explain", job).stdout.split("\n\n")[0].strip())
        return found, " ".join(found["why"])

    def test_from_the_lane_to_the_end(self):
        self.standin.script("hang=before", model="good")
        self.stack.ok("prices", "import", self.prices('input = "1"; output = "10";'))
        jobs = self.stack.enqueue(*sum((["--text", f"text {i}"] for i in range(3)), []))
        found, why = self.explain(jobs[0], 1)
        self.assertEqual((found["known"], sum(lane["messages"] for lane in found["lanes"])), (False, 3))
        self.assertIn("has not been seen by any worker yet", why)
        self.assertIn("3 messages wait in the lanes", why)
        self.assertIn("is one running?", why)
        worker = self.stack.worker(config=self.config)
        open_calls = "SELECT count(*) FROM millrace.calls WHERE job_id = %s AND state = 'open' AND provider = 'standin'"
        millrace.wait_until("a call that hangs", lambda: self.stack.value(open_calls, jobs[0]))
        found, why = self.explain(jobs[0])
        self.assertRegex(why, r"^Worker \S+ runs it, now at step summarize\.$")
        self.assertEqual((found["state"], found["worker_alive"], found["calls"][-1]["state"]), ("running", True, "open"))
        self.assertGreater(float(found["held_usd"]), 0)
        worker.kill()
        dead = "SELECT count(*) FROM millrace.worker_overview WHERE alive"
        millrace.wait_until("the worker to be seen dead", lambda: self.stack.value(dead) == 0)
        found, why = self.explain(jobs[0])
        self.assertRegex(why, r"^Worker \S+ held it and is gone \(last seen \d+ s ago\)")
        self.assertRegex(why, "[^1] messages stand before it| 1 message stands before it")
        self.standin.script("", model="good")
        self.standin.script("error=400", model="moody")
        self.worker = self.stack.worker(config=self.config)
        self.stack.wait_ended(jobs)
        found, why = self.explain(jobs[0])
        self.assertRegex(why, r"^It died at .* at step entities of invalid: .*millrace dlq replay")
        self.standin.script("", model="moody")
        (done,) = self.stack.enqueue("--text", "a fourth")
        self.stack.wait_ended([done])
        self.assertIn("It was done at", self.explain(done)[1])
        self.assertEqual(self.worker.stop(), 0)

    def waiting(self, job):
        """Explained once the job waits in its worker's hands."""
        query = "SELECT count(*) FROM millrace.job_waits WHERE job_id = %s AND state = 'running'"
        millrace.wait_until("a wait", lambda: self.stack.value(query, job))
        return self.explain(job)

    def with_models(self, more, tail=""):
        """A worker whose model "good" has this too; both end with the case."""
        config = self.stack.config(self.standin.config(summarizer="good", extractor="moody", default="good").replace(
            'model = "good";', f'model = "good"; {more}') + tail, name="more.cfg")
        worker = self.stack.worker(config=config)
        self.addCleanup(worker.kill)
        self.stack.env["MILLRACE_CONFIG"] = str(config)
        self.addCleanup(self.stack.env.update, MILLRACE_CONFIG=str(self.config))

    def test_waiting_for_the_next_try(self):
        self.standin.script("error=503", model="good")
        self.addCleanup(self.standin.script, "", model="good")
        self.with_models("", 'retry: ( { class = "overloaded"; tries = 4; first = "20s"; } );\n')
        (job,) = self.stack.enqueue("--text", "later")
        found, why = self.waiting(job)
        self.assertRegex(why, r"At step summarize it waits for its next try at about \S+ \S+Z \(\d+ s more\), since the provider is overloaded: ")
        self.assertLessEqual(int(why.split(" s more")[0].rsplit("(")[-1]), 20)
        (call,) = found["calls"]
        self.assertEqual((call["alias"], call["model"], call["endpoint"]), ("summarizer", "standin/good", "standin"))
        self.assertEqual((call["hit"], call["route"], call["class"]), (False, None, "overloaded"))
        text = self.stack.ok("explain", job)
        self.assertRegex(text, r"\nSTEP +TRY +STATE +ALIAS +MODEL +ENDPOINT +COST +SECONDS +ERROR +MESSAGE\n")
        self.stack.ok("cancel", job)

    def test_waiting_in_the_line_of_a_limit(self):
        self.standin.script("hang=before", model="good")
        self.addCleanup(self.standin.script, "", model="good")
        self.with_models("concurrency = 1;")
        self.stack.enqueue("--text", "first", "-p", "prompt")
        jobs = self.stack.enqueue("--text", "second", "--text", "third", "-p", "prompt")
        query = "SELECT coalesce(sum(waiting), 0) FROM millrace.limit_overview WHERE scope LIKE '%%/good'"
        millrace.wait_until("two in the line", lambda: self.stack.value(query) == 2)
        line = r"it waits in the line of the limit model:standin/standin/good \(1 call at once\), behind at most 1 other\."
        whys = [self.waiting(job)[1] for job in jobs]
        self.assertEqual(len([why for why in whys if re.search(line, why)]), 2, whys)

    def test_waiting_for_room_under_a_cap(self):
        self.stack.ok("prices", "import", self.prices('input = "1"; output = "10";'), "--replace")
        self.stack.ok("tenant", "set", "poor", "--cap-day", "0.02", "--on-cap", "park")
        job = self.stack.value("SELECT gen_random_uuid()::text")
        self.stack.sql(
            "INSERT INTO millrace.jobs (id, tenant, pipeline, version, priority, pool, state, error_class, error_message,"
            " error_step, delay_until) VALUES (%s, 'poor', 'document', 1, 5, 'main', 'waiting', 'capped', 'no room',"
            " 'summarize', now() + interval '5 minutes')", job,
        )  # fmt: skip
        found, why = self.explain(job)
        self.assertRegex(why, r"^It waits until .* \((5 min|300 s|299 s) more\), since there is no room under a cap: no room\.")
        self.assertIn("It stands at step summarize.", why)
        self.assertIn("Tenant poor has spent $0.000000 of its cap of $0.020000 today", why)
        self.stack.sql("UPDATE millrace.jobs SET delay_until = now() - interval '1 minute' WHERE id = %s", job)
        found, why = self.explain(job)
        self.assertIn("Its wait was over at", why)
        self.assertIn("At most", why)
        self.stack.sql("DELETE FROM millrace.jobs WHERE id = %s", job)

    def test_waiting_for_a_breaker(self):
        job = self.stack.value("SELECT gen_random_uuid()::text")
        self.stack.sql(
            "INSERT INTO millrace.jobs (id, tenant, pipeline, version, priority, pool, state, error_class,"
            " error_step, delay_until) VALUES (%s, 'acme', 'document', 1, 5, 'main', 'waiting', 'unavailable',"
            " 'summarize', now() + interval '5 minutes')", job,
        )  # fmt: skip
        self.assertIn("No breaker is open any more.", self.explain(job)[1])
        worker = self.stack.value(
            "INSERT INTO millrace.workers (name, host, pid, pool, version) VALUES ('w', 'h', 1, 'main', '0') RETURNING id"
        )
        self.stack.sql("INSERT INTO millrace.breakers VALUES (%s, 'standin', 'east', 'open', now(), now(), 'five 503s')", worker)
        found, why = self.explain(job)
        self.assertIn("The breaker of standin/east is open: five 503s.", why)
        self.assertEqual([b["workers"] for b in found["breakers"]], [1])
        self.stack.sql("INSERT INTO millrace.breakers VALUES (%s, 'elsewhere', 'west', 'open', now(), now(), 'unused')", worker)
        message = 'no route to model "good" is open: every breaker on the way has tripped'
        self.stack.sql("UPDATE millrace.jobs SET error_message = %s WHERE id = %s", message, job)
        found, why = self.explain(job)
        self.assertEqual([b["provider"] for b in found["breakers"]], ["standin"])
        self.assertNotIn("elsewhere", why)
        self.assertIn(f"since {message}.", why)
        self.assertEqual((why.count("no route"), why.count("every")), (1, 1))
        self.stack.sql("DELETE FROM millrace.jobs WHERE id = %s", job)
        self.stack.sql("DELETE FROM millrace.breakers")

    def test_no_id(self):
        self.assertEqual(self.stack.run("explain", "x").returncode, 2)


class EstimateTest(MoneyCase):
    """What jobs will cost, compared with what they then cost and what was held for them."""

    TEXT = " ".join(["The mill by the river was sold in 1912, and its wheel with it."] * 30)

    def dry(self, *args, **more):
        done = self.stack.run("enqueue", "--dry-run", *args, "-o", "json", **more)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return json.loads(done.stdout), done

    def test_bounds_what_then_happens(self):
        self.stack.ok("prices", "import", self.prices('input = "1"; output = "10";'), "--replace")
        self.standin.script("output=100", model="good")
        self.standin.script("output=40", model="moody")
        jobs = sum((["--text", f"{i} {self.TEXT}"] for i in range(25)), [])
        first, _ = self.dry(*jobs)
        self.assertEqual((first["jobs"], first["refused"], first["sizes_guessed"]), (25, 0, 0))
        self.assertEqual([s["basis"] for s in first["steps"]], ["size only"] * 2)
        self.assertEqual(self.stack.value("SELECT count(*) FROM millrace.jobs"), 0)
        self.assertEqual(self.stack.run("explain", "00000000-0000-7000-8000-000000000000").stdout.count("0 messages wait"), 1)
        worker = self.stack.worker(config=self.config)
        self.stack.wait_ended(self.stack.enqueue(*jobs))
        held, cost = self.stack.sql(
            "SELECT sum(hold_pico)::bigint, sum(cost_pico)::bigint FROM millrace.calls WHERE provider = 'standin'"
        )[0]  # fmt: skip
        pico = lambda usd: int(usd.replace(".", "").ljust(len(usd.split(".")[0]) + 12, "0"))
        self.assertEqual(pico(first["worst_usd"]), held)
        self.assertLess(pico(first["low_usd"]), pico(first["expected_usd"]))
        self.assertLessEqual(cost, held)
        second, _ = self.dry(*jobs)
        self.assertEqual([s["basis"] for s in second["steps"]], ["25 calls"] * 2)
        self.assertEqual(second["worst_usd"], first["worst_usd"])
        self.assertAlmostEqual(pico(second["expected_usd"]) / cost, 1, places=4)
        self.assertLess(pico(second["low_usd"]), cost)
        self.assertEqual(worker.stop(), 0)

    def test_against_the_caps(self):
        self.stack.ok("prices", "import", self.prices('input = "1"; output = "10";'), "--replace")
        jobs = [{"input": {"text": f"{i} {self.TEXT}"}, "tenant": t} for i in range(4) for t in ("rich", "poor", "free")]
        lines = "".join(json.dumps(job) + "\n" for job in jobs)
        found, _ = self.dry("--jsonl", "-", stdin=lines)
        self.assertEqual(found["caps"], [])
        worst, expected = (float(found[key]) / 3 for key in ("worst_usd", "expected_usd"))
        between = (worst + expected) / 2
        self.stack.ok("tenant", "set", "rich", "--cap-day", "25", "--cap-month", f"{between:.6f}")
        self.stack.ok("tenant", "set", "poor", "--cap-day", f"{expected / 2:.6f}", "--cap-job", f"{between / 4:.6f}", "--on-cap", "park")
        found, done = self.dry("--jsonl", "-", stdin=lines)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(
            [(c["tenant"], c["cap"], c["fits"], c["otherwise"], c["jobs"]) for c in found["caps"]],
            [("poor", "day", "no", "park", 4), ("poor", "job", "maybe", "dead", 4),
             ("rich", "day", "yes", "park", 4), ("rich", "month", "maybe", "park", 4)],
        )  # fmt: skip
        self.assertEqual((found["caps"][2]["cap_usd"], found["caps"][2]["left_usd"]), ("25.000000", "25.000000"))
        self.assertAlmostEqual(float(found["caps"][2]["worst_usd"]), worst, places=9)
        self.stack.sql(
            "INSERT INTO millrace.calls (id, job_id, step, attempt, epoch, worker, tenant, pipeline, provider, endpoint,"
            " alias, model, state, hold_pico, cost_pico, price_unknown, expires_at) SELECT gen_random_uuid(), gen_random_uuid(),"
            " 's', 1, 1, 1, 'rich', 'other', 'p', 'p', 'a', 'm', state, 30e12, cost, false, now()"
            " FROM (VALUES ('open', 0), ('settled', 1e12)) v (state, cost)",
        )  # fmt: skip
        found, done = self.dry("--jsonl", "-", stdin=lines)
        self.assertEqual((found["caps"][2]["spent_usd"], found["caps"][2]["left_usd"], found["caps"][2]["fits"]), ("31.000000", "0.000000", "no"))
        text = self.stack.ok("enqueue", "--dry-run", "--jsonl", "-", stdin=lines)
        self.assertRegex(text, r"\n\nTENANT +CAP +DOLLARS +LEFT +EXPECTED +WORST +FITS +OTHERWISE\npoor +day ")
        self.assertRegex(text, r"\nrich +day +\$25\.000000 +\$0\.000000 .* no +park\n")
        self.stack.sql("DELETE FROM millrace.calls")

    def test_checks_like_the_real_thing(self):
        lines = '{"input":{"text":"a"}}\n{"input":{}}\n{"input":{"text":"b"},"pipeline":"nosuch"}\n'
        found, done = self.dry("--jsonl", "-", stdin=lines)
        self.assertEqual((found["jobs"], found["refused"], done.returncode), (1, 2, 1))
        self.assertIn("standard input:2", done.stderr)
        self.assertIn("nosuch is not in the configuration", done.stderr)
        self.assertEqual(self.stack.run("enqueue", "--dry-run").returncode, 2)

    def test_documents_whose_text_is_not_known(self):
        pdf = self.stack.folder / "a.pdf"
        pdf.write_bytes(b"%PDF-1.4" + b"x" * 50000)
        found, done = self.dry(pdf, "--url", "https://example.com/a")
        self.assertEqual((found["jobs"], found["sizes_guessed"], done.returncode), (2, 2, 0))
        self.assertIn("The text of 2 documents is not known here", done.stderr)
        done = self.stack.run("enqueue", "--dry-run", pdf)
        self.assertIn("total", done.stdout)
        self.assertIn("The text of 1 document is not known here: LOW and EXPECTED go by its size", done.stderr)

    def test_without_a_database(self):
        found, done = self.dry("--text", "x", env={"MILLRACE_DATABASE_HOSTS": "127.0.0.1:1"})
        self.assertEqual(found["jobs"], 1)
        self.assertIn("shipped prices, no history and no caps", done.stderr)


class DoctorTest(MoneyCase):
    """A healthy stack, and each thing that can be wrong with it."""

    def doctor(self, code, **more):
        done = self.stack.run("doctor", "-o", "json", **more)
        rows = json.loads(done.stdout)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertTrue(all(row["todo"] for row in rows if row["level"] != "ok"))
        self.assertEqual(any(row["level"] == "fail" for row in rows), code == 1)
        return {(row["level"], row["check"]): row["found"] for row in rows}

    def setUp(self):
        self.stack.ok("prices", "import", self.prices('input = "1"; output = "10";'), "--replace")

    def test_all_is_well(self):
        worker = self.stack.worker(config=self.config)
        alive = "SELECT count(*) FROM millrace.worker_overview WHERE alive"
        millrace.wait_until("the worker", lambda: self.stack.value(alive) == 1)
        found = self.doctor(0)
        self.assertEqual({level for level, _ in found}, {"ok"}, found)
        self.assertEqual(
            {check for _, check in found},
            {"database", "clock", "schema", "roles", "workers", "breakers", "jobs", "waits", "money", "holds", "caps", "prices", "broker",
             "lanes", "delays", "dead", "topology"},
        )  # fmt: skip
        self.assertIn("as millrace init makes them", found[("ok", "topology")])
        self.assertEqual(worker.stop(), 0)
        self.assertIn(("warn", "workers"), self.doctor(0))
        self.stack.enqueue("--text", "one")
        self.assertIn("1 message waits, and no worker", self.doctor(0)[("warn", "lanes")])
        self.stack.purge("millrace.main.normal")

    def test_what_the_tables_say(self):
        job, call = self.stack.sql("SELECT gen_random_uuid()::text, gen_random_uuid()::text")[0]
        self.stack.sql("DELETE FROM millrace.prices WHERE provider = 'standin'")
        self.stack.sql(
            "INSERT INTO millrace.jobs (id, tenant, pipeline, pool, state, worker, updated_at) VALUES"
            " (%s, 'acme', 'document', 'main', 'running', 99999, now() - interval '3 minutes')", job.replace(job[0], "f", 1),
        )  # fmt: skip
        self.stack.sql(
            "INSERT INTO millrace.calls (id, job_id, step, attempt, epoch, worker, tenant, pipeline, provider, endpoint,"
            " alias, model, state, hold_pico, cost_pico, price_unknown, expires_at) VALUES (%s, %s, 's', 1, 1, 1, 'acme',"
            " 'document', 'standin', 'standin', 'a', 'good', 'ambiguous', 5e9, 5e9, true, now())", call, job,
        )  # fmt: skip
        self.stack.sql(
            "INSERT INTO millrace.jobs (id, tenant, pipeline, pool, state, error_class, error_message, delay_until) VALUES"
            " (%s, 'acme', 'document', 'main', 'waiting', 'network', 'no host', now() + interval '1 minute')", job.replace(job[0], "e", 1),
        )  # fmt: skip
        found = self.doctor(1)
        self.assertIn("standin/moody", found[("fail", "missing")])
        self.assertIn("1 job waits with class network (no host), such as e", found[("warn", "waits")])
        self.assertIn("1 run without a living worker", found[("fail", "jobs")])
        self.assertEqual(found[("warn", "money")], "1 call of the last 24 hours is ambiguous, at most $0.005")
        self.stack.sql("DELETE FROM millrace.jobs")
        self.stack.sql("DELETE FROM millrace.calls")

    def test_a_call_that_cost_more_than_its_hold(self):
        """It must not happen: the caps rest on it."""
        job, call = self.stack.sql("SELECT gen_random_uuid()::text, gen_random_uuid()::text")[0]
        self.stack.sql(
            "INSERT INTO millrace.calls (id, job_id, step, attempt, epoch, worker, tenant, pipeline, provider, endpoint,"
            " alias, model, state, hold_pico, cost_pico, price_unknown, expires_at) VALUES (%s, %s, 's', 1, 1, 1, 'acme',"
            " 'document', 'standin', 'standin', 'a', 'good', 'settled', 5e9, 6e9, false, now())", call, job,
        )  # fmt: skip
        self.assertEqual(
            self.doctor(1)[("fail", "holds")],
            "1 call of standin/good in the last 7 days cost more than was held for it, by $0.001 in all, such as"
            f" {call} of job {job}",
        )
        # What recosting makes of it is no fault of the hold.
        self.stack.sql("UPDATE millrace.calls SET recosted_at = now()")
        self.assertIn(("ok", "holds"), self.doctor(0))
        self.stack.sql("DELETE FROM millrace.calls")

    def test_rights(self):
        self.stack.sql("GRANT update ON millrace.spend TO millrace_worker")
        found = self.doctor(1)
        self.assertIn("role millrace_worker may write tables", found[("fail", "roles")])
        self.stack.ok("init")
        self.assertIn(("ok", "roles"), self.doctor(0))

    def test_topology(self):
        with self.stack.broker() as connection:
            channel = connection.channel()
            channel.queue_delete("millrace.delay.2m")
            channel.queue_delete("millrace.main.low.0")
            channel.exchange_delete("millrace.events")
        found = self.doctor(1)
        self.assertIn("is missing", found[("fail", "topology")])
        text = self.stack.run("doctor").stdout
        for name in ("queue millrace.delay.2m", "queue millrace.main.low.0", "exchange millrace.events"):
            self.assertIn(f"{name} is missing\n", text)
        self.stack.ok("init")
        with self.stack.broker() as connection:
            channel = connection.channel()
            channel.queue_delete("millrace.delay.2m")
            channel.queue_declare("millrace.delay.2m", durable=True, arguments={"x-queue-type": "quorum"})
        self.assertIn("exists with other arguments", self.doctor(1)[("fail", "topology")])
        with self.stack.broker() as connection:
            connection.channel().queue_delete("millrace.delay.2m")
        self.stack.ok("init")
        self.assertIn(("ok", "topology"), self.doctor(0))

    def test_nothing_there(self):
        nowhere = {"MILLRACE_DATABASE_HOSTS": "127.0.0.1:1", "MILLRACE_BROKER_HOSTS": "127.0.0.1:1"}
        found = self.doctor(1, env=nowhere)
        self.assertEqual(set(found), {("fail", "database"), ("fail", "broker")})


class ReconcileTest(MoneyCase):
    """The stand-in's ledger, as a provider would export it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.ok("prices", "import", cls.prices('input = "1"; cached = "0.5"; output = "10";'))
        cls.standin.script("output=50+cached=30", model="good")
        worker = cls.stack.worker(config=cls.config)
        cls.ids = cls.stack.enqueue(*sum((["--text", f"text number {i}"] for i in range(6)), []))
        cls.stack.wait_ended(cls.ids)
        worker.stop()
        # The stand-in calls all requests by one name; a provider does not.
        cls.stack.sql("UPDATE millrace.calls SET request_id = 'req-' || id, recosted_at = now() WHERE state = 'settled'")
        cls.calls = {
            str(call): (request, cost)
            for call, request, cost in cls.stack.sql("SELECT id, request_id, cost_pico::bigint FROM millrace.calls WHERE provider = 'standin'")
        }

    def ledger(self):
        """One dictionary a billed call, in the columns of an export."""
        return [
            {
                "call_id": e["call"], "model": e["model"], "input_tokens": e["input"] + e["cached"],
                "cached_tokens": e["cached"], "output_tokens": e["output"], "cost": f"{self.calls[e['call']][1] / 1e12:.12f}",
            }
            for e in self.standin.ledger() if e["billed"]
        ]  # fmt: skip

    def reconcile(self, rows, *args, kind="csv"):
        """{finding: [rows]}; the exit code says whether there are any."""
        path = self.stack.folder / f"export.{kind}"
        if kind == "csv":
            keys = list(rows[0])
            path.write_text("".join(",".join(str(v) for v in row) + "\n" for row in [keys, *[[r[k] for k in keys] for r in rows]]))
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = self.stack.run("reconcile", "--file", path, *args, "-o", "json")
        self.assertIn(done.returncode, (0, 1), done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1 if told["findings"] else 0)
        found = {}
        for row in told["findings"]:
            found.setdefault(row["finding"], []).append(row)
        return found, {row["finding"]: row for row in told["totals"]}

    def test_the_same(self):
        for kind in ("csv", "json"):
            found, totals = self.reconcile(self.ledger(), kind=kind)
            self.assertEqual((found, totals["the same"]["count"]), ({}, 12))
            self.assertEqual(totals["the same"]["difference_usd"], "0.000000")
        exclusive = [{**row, "input_tokens": row["input_tokens"] - row["cached_tokens"]} for row in self.ledger()]
        self.assertEqual(self.reconcile(exclusive)[0], {})

    def test_by_their_request_id(self):
        rows = [{"request-id": self.calls[row.pop("call_id")][0], **row} for row in self.ledger()]
        self.assertEqual(self.reconcile(rows)[0], {})

    def test_differences(self):
        rows = self.ledger()
        missing = rows.pop()
        rows[0]["output_tokens"] += 1
        rows[1]["cost"] = "0.5"
        rows[2]["cost"] = str(float(rows[2]["cost"]) + 0.0000005)  # within the tolerance
        rows.append({**rows[3], "call_id": "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"})
        rows.append(rows[4])
        found, totals = self.reconcile(rows, "--provider", "standin")
        self.assertEqual({key: len(value) for key, value in found.items()}, {
            "ours only": 1, "tokens differ": 1, "cost differs": 1, "theirs only": 1, "billed twice": 2,
        })  # fmt: skip
        self.assertEqual(found["ours only"][0]["call"], missing["call_id"])
        self.assertEqual((found["cost differs"][0]["line"], found["cost differs"][0]["theirs_usd"]), (3, "0.500000"))
        self.assertEqual(totals["the same"]["count"], 8)
        self.assertIn("tokens differ", self.stack.run("reconcile", "--file", self.stack.folder / "export.csv").stdout)

    def test_one_provider(self):
        found, totals = self.reconcile(self.ledger(), "--provider", "local")
        self.assertEqual((set(found), "the same" in totals), ({"theirs only"}, False))
        self.assertEqual({row["call"] for row in found["theirs only"]}, {row["call_id"] for row in self.ledger()})
        done = self.stack.run("reconcile", "--file", self.stack.folder / "export.csv", "--provider", "nobody")
        self.assertEqual((done.returncode, "--provider nobody" in done.stderr), (2, True), done.stderr)

    def test_theirs_only_by_its_own_id(self):
        rows = [{"call_id": call, "id": request, "cost": "1"} for call, request in (("-" * 36, "r-1"), ("batch 7", ""), ("", "r-3"))]
        found, _ = self.reconcile(rows)
        self.assertEqual([(row["call"], row["request_id"]) for row in found["theirs only"]],
                         [("-" * 36, "r-1"), ("batch 7", None), (None, "r-3")])  # fmt: skip

    def test_ambiguous(self):
        rows = self.ledger()
        first, second = rows[0]["call_id"], rows[1]["call_id"]
        self.stack.sql("ALTER TABLE millrace.calls DISABLE TRIGGER calls_moves")
        change = "UPDATE millrace.calls SET state = %s, cost_pico = %s WHERE id = %s"
        for call in (first, second):
            self.stack.sql(change, "ambiguous", 7_000_000_000, call)
        found, _ = self.reconcile(rows[:1] + rows[2:], "--provider", "standin")
        self.assertEqual(set(found), {"ambiguous, billed", "ambiguous, not billed"})
        self.assertEqual((found["ambiguous, billed"][0]["call"], found["ambiguous, billed"][0]["ours_usd"]), (first, "0.007000"))
        self.assertEqual(found["ambiguous, not billed"][0]["call"], second)
        self.stack.sql(change, "released", 0, second)
        self.assertEqual(set(self.reconcile(rows)[0]), {"ambiguous, billed", "released, billed"})
        for call in (first, second):
            self.stack.sql(change, "settled", self.calls[call][1], call)
        self.stack.sql("ALTER TABLE millrace.calls ENABLE TRIGGER calls_moves")

    def test_sums_by_day_and_model(self):
        day = self.stack.value("SELECT to_char(now() at time zone 'UTC', 'YYYY-MM-DD')")
        sums = {}
        for row in self.ledger():
            entry = sums.setdefault(row["model"], {"day": day, "model": row["model"], "requests": 0, "prompt_tokens": 0,
                                                   "completion_tokens": 0, "cost": 0})  # fmt: skip
            entry["requests"] += 1
            entry["prompt_tokens"] += row["input_tokens"]
            entry["completion_tokens"] += row["output_tokens"]
            entry["cost"] += self.calls[row["call_id"]][1]
        rows = [{**entry, "cost": f"{entry['cost'] / 1e12:.12f}"} for entry in sums.values()]
        found, totals = self.reconcile(rows)
        self.assertEqual((found, totals["the same"]["count"]), ({}, 2))
        rows[0]["requests"] += 1
        rows[1]["cost"] = "3"
        found, _ = self.reconcile(rows)
        self.assertEqual(set(found), {"calls differ", "cost differs"})
        self.assertEqual(set(self.reconcile(rows[:1] + [{**rows[1], "model": "nosuch"}])[0]), {"calls differ", "ours only", "theirs only"})

    def test_errors(self):
        path = self.stack.folder / "wrong.csv"
        for text, words in (("a,b\n1,2\n", "must name the columns"), ("request_id,cost\nr,x\n", "wrong.csv:2"), ("", "is empty"),
                            ("request_id,cost\n", "no rows"), ("request_id,cost\nr\n", "wrong.csv:2: has 1 field")):
            path.write_text(text)
            done = self.stack.run("reconcile", "--file", path)
            self.assertEqual((done.returncode, words in done.stderr), (2, True), done.stderr)
        self.assertEqual(self.stack.run("reconcile").returncode, 2)
        self.assertEqual(self.stack.run("reconcile", "--file", "/nowhere").returncode, 2)


class CostsTest(MoneyCase):
    """Costs, estimates and recosting of the same few jobs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.standin.script("cached=40+output=70", model="good")
        cls.stack.ok("prices", "import", cls.prices('input = "1"; cached = "0.5"; output = "10";'))
        cls.worker = cls.stack.worker(config=cls.config)
        cls.ids = cls.stack.enqueue("--text", "one", "--text", "two", "--tenant", "acme")
        cls.ids += cls.stack.enqueue("--text", "three", "--tenant", "other")
        cls.stack.wait_ended(cls.ids)

    def test_by_several(self):
        rows = self.stack.json("costs", "--by", "tenant", "--by", "step", "--by", "tenant")
        self.assertEqual(
            [(r["tenant"], r["step"].split("/")[1], r["calls"], r["jobs"]) for r in sorted(rows, key=str)],
            [("acme", "entities", 2, 2), ("acme", "summarize", 2, 2), ("other", "entities", 1, 1), ("other", "summarize", 1, 1)],
        )  # fmt: skip
        row = next(r for r in rows if (r["tenant"], r["step"]) == ("acme", "document/summarize"))
        calls = [str(c) for (c,) in self.stack.sql("SELECT id FROM millrace.calls WHERE tenant = 'acme'")]
        bill = [e for e in self.standin.ledger("good") if e["call"] in calls]
        given, cached, output = (sum(e[key] for e in bill) for key in ("input", "cached", "output"))
        self.assertEqual((row["input_tokens"], row["cached_tokens"], row["output_tokens"]), (given, cached, output))
        self.assertGreater(cached, 0)
        self.assertEqual(row["cost_usd"], f"{(2 * given + cached + 20 * output) / 2e6:.7f}".rstrip("0").ljust(8, "0"))
        self.assertEqual((row["held_usd"], row["hits"], row["hit_percent"]), ("0.000000", 0, "0.0"))

    def test_filters(self):
        calls = lambda *args: sum(r["calls"] for r in self.stack.json("costs", *args))
        self.assertEqual(calls(), 6)
        self.assertEqual(calls("--tenant", "other"), 2)
        self.assertEqual(calls("--until", "1h"), 0)
        self.assertEqual(calls("--since", "1h", "--until", "2099-01-01"), 6)
        self.assertEqual(self.stack.run("costs", "--by", "weather").returncode, 2)
        for command in ("costs", "jobs list", "dlq list", "prices recost"):
            for since in ("99999999d", "0000-01-01", "3000-01-01"):
                done = self.stack.run(*command.split(), "--since", since)
                self.assertEqual((done.returncode, f"{since}: must be in one of the years" in done.stderr), (2, True), done.stderr)
        done = self.stack.run("costs", "--since", "1h", "--until", "2h")
        self.assertEqual((done.returncode, "--until 2h: is before --since 1h" in done.stderr), (2, True), done.stderr)
        self.assertIn("acme", self.stack.ok("costs", "--by", "day", "--by", "tenant"))

    def test_recost_counts_towards_a_cap(self):
        self.stack.ok("tenant", "set", "other", "--cap-day", "10", "--cap-month", "20")
        before = self.stack.sql("SELECT spent_pico FROM millrace.spend WHERE tenant = 'other' AND starts <= now()")
        cost = lambda: self.stack.value("SELECT sum(cost_pico) FROM millrace.calls WHERE tenant = 'other'")
        first = cost()
        self.stack.ok("prices", "import", self.prices('input = "2"; cached = "0.5"; output = "10";'), "--replace")
        self.stack.ok("prices", "recost", "--since", "1h", "--tenant", "other")
        after = "SELECT max(spent_pico) FROM millrace.spend WHERE tenant = 'other' AND period = %s"
        self.assertGreater(cost(), first)
        self.assertIn((first,), before)
        self.assertEqual([self.stack.value(after, period) for period in ("day", "month")], [cost()] * 2)
        self.stack.ok("prices", "import", self.prices('input = "1"; cached = "0.5"; output = "10";'), "--replace")
        self.stack.ok("prices", "recost", "--since", "1h")
        self.assertEqual([self.stack.value(after, period) for period in ("day", "month")], [first] * 2)
        shown = self.stack.json("tenant", "show", "other")
        self.assertEqual(int(float(shown["day_settled_usd"]) * 1e12 + 0.5), int(first))

    def test_recost(self):
        cost = lambda: self.stack.value("SELECT sum(cost_pico) FROM millrace.calls WHERE state = 'settled'")
        before = cost()
        file = self.prices('input = "1"; cached = "0.5"; output = "11";', name="later.cfg")
        self.stack.ok("prices", "import", file, "--replace")
        output = sum(entry["output"] for entry in self.standin.ledger())
        dry = self.stack.json("prices", "recost", "--since", "1h", "--dry-run")
        self.assertEqual(sum(row["changed"] for row in dry), 6)
        self.assertEqual(cost(), before)
        self.assertEqual(self.stack.json("prices", "recost", "--since", "1h", "--tenant", "nobody"), [])
        rows = self.stack.json("prices", "recost", "--since", "2026-01-01")
        self.assertEqual(rows, dry)
        self.assertEqual(cost() - before, output * 1_000_000)
        self.assertEqual(sum(float(row["difference_usd"]) for row in rows), output / 1e6)
        again = self.stack.json("prices", "recost", "--since", "1d")
        self.assertEqual([row["changed"] for row in again], [0, 0])
        self.stack.ok("prices", "import", self.prices('input = "1"; cached = "0.5"; output = "10";'), "--replace")
        self.assertIn("-$0.0", self.stack.ok("prices", "recost", "--since", "1h"))
        self.assertEqual(cost(), before)
        self.assertEqual(self.stack.run("prices", "recost").returncode, 2)


if __name__ == "__main__":
    millrace.main()

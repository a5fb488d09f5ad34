"""`millrace serve`: what it promises over HTTP, and what it refuses."""

import base64
import contextlib
import json
import resource
import selectors
import signal
import socket
import threading
import time
import unittest
import uuid

import millrace

LANES = ("millrace.main.high", "millrace.main.normal", "millrace.main.low")
TEXT = "The mill by the river was sold in 1912. Anna Keller of Basel bought it for 4,000 francs."
JOB = {"input": {"text": TEXT}}
SLOW_S = 1.5


class ServeCase(unittest.TestCase):
    """Cases with a service of their own on one stack for all of them."""

    stack = None
    extra = ""
    args = ()

    @classmethod
    def setUpClass(cls):
        if not ServeCase.stack:
            ServeCase.stack = millrace.Stack()
            cls.stack.ok("init")
            token = cls.stack.state / "token"
            token.write_text("open-sesame\n")
            token.chmod(0o600)
        cls.config = cls.stack.config(cls.extra, name=f"{cls.__name__}.cfg")
        cls.service = cls.stack.service(*cls.args, config=cls.config)
        cls.addClassCleanup(cls.service.kill)

    def setUp(self):
        self.stack.purge(*LANES)

    def queued(self):
        """Takes every message out: {id: body}."""
        found = {}
        with self.stack.broker() as connection:
            channel = connection.channel()
            for lane in LANES:
                for shard in millrace.shards(lane):
                    while (got := channel.basic_get(shard, auto_ack=True))[0]:
                        found[got[1].message_id] = json.loads(got[2])
        return found

    def problem(self, want, answer):
        status, headers, body = answer
        self.assertEqual(status, want, body)
        self.assertEqual(headers["Content-Type"], "application/problem+json")
        self.assertEqual(body["status"], want)
        self.assertTrue(body["title"] and body["detail"])
        return body


class PostTest(ServeCase):
    def test_one(self):
        status, headers, body = self.service.post({"tenant": "acme", "priority": 9, "metadata": {"k": 1}, **JOB})
        self.assertEqual((status, headers["Content-Type"], list(body)), (202, "application/json", ["job"]))
        self.assertEqual(uuid.UUID(body["job"]).version, 7)
        ((job, message),) = self.queued().items()
        self.assertEqual(job, body["job"])
        self.assertEqual(list(message)[0], "v")
        self.assertEqual(
            (message["id"], message["tenant"], message["pipeline"], message["priority"], message["metadata"]),
            (job, "acme", "document", 9, {"k": 1}),
        )

    def test_an_array(self):
        status, _, body = self.service.post([JOB, {"tenant": "b", **JOB}, JOB])
        self.assertEqual(status, 202)
        self.assertEqual([e["status"] for e in body["jobs"]], [202] * 3)
        queued = self.queued()
        self.assertEqual({e["job"] for e in body["jobs"]}, queued.keys())
        self.assertEqual(queued[body["jobs"][1]["job"]]["tenant"], "b")
        status, _, body = self.service.post([JOB])
        self.assertEqual((status, len(body["jobs"])), (202, 1))

    def test_lines(self):
        lines = "".join(json.dumps({"metadata": {"n": n}, **JOB}) + "\r\n\n" for n in range(500))
        status, _, body = self.service.post(lines, kind="application/x-ndjson; charset=utf-8")
        self.assertEqual(status, 202)
        queued = self.queued()
        self.assertEqual([queued[e["job"]]["metadata"]["n"] for e in body["jobs"]], list(range(500)))

    def test_mixed(self):
        jobs = [JOB, {"priority": 11, **JOB}, {"input": {"txt": "a"}}, 5, {"pipeline": "none", **JOB}, JOB]
        status, _, body = self.service.post(jobs)
        self.assertEqual(status, 207)
        self.assertEqual([e["status"] for e in body["jobs"]], [202, 422, 422, 422, 422, 202])
        self.assertEqual([e.get("field") for e in body["jobs"]], [None, "priority", "input.txt", None, "pipeline", None])
        self.assertEqual(self.queued().keys(), {body["jobs"][0]["job"], body["jobs"][5]["job"]})
        lines = json.dumps(JOB) + '\n{"input":\n'
        status, _, body = self.service.post(lines, kind="application/x-ndjson")
        self.assertEqual((status, [e["status"] for e in body["jobs"]]), (207, [202, 400]))
        self.assertIn("line 2", body["jobs"][1]["detail"])

    def test_fields(self):
        big = base64.b64encode(b"x" * ((1 << 20) + 1)).decode()
        for status, field, job in (
            (422, "priority", {"priority": "high", **JOB}),
            (422, "tenant", {"tenant": "a b", **JOB}),
            (422, "pipeline", {"pipeline": "nosuch", **JOB}),
            (422, "colour", {"colour": "red", **JOB}),
            (422, "input", {}),
            (422, "input", {"input": {"name": "a"}}),
            (422, "input.base64", {"input": {"base64": "?"}}),
            (422, "input.url", {"input": {"url": "ftp://a"}}),
            (422, "metadata.k", {"metadata": {"k": []}, **JOB}),
            (422, "deadline", {"deadline": "soon", **JOB}),
            (422, "id", {"id": "7", **JOB}),
            (413, "input", {"input": {"base64": big}}),
        ):
            with self.subTest(field=field, status=status):
                self.assertEqual(self.problem(status, self.service.post(job))["field"], field)
        body = self.problem(422, self.service.post([{}, {"colour": 1, **JOB}]))
        self.assertEqual([e["field"] for e in body["jobs"]], ["input", "colour"])
        self.assertEqual(self.queued(), {})

    def test_what_is_no_job(self):
        for status, body, kind in (
            (400, '{"input":', "application/json"),
            (400, "", "application/json"),
            (400, b'{"input":{"text":"\xff"}}', "application/json"),
            (400, '{"a":1,"a":2}', "application/json"),
            (400, "[" * 100000, "application/json"),
            (400, json.dumps(JOB) * 2, "application/json"),
            (422, "[]", "application/json"),
            (422, "\n \n", "application/x-ndjson"),
            (422, '"x"', "application/json"),
            (415, json.dumps(JOB), "text/plain"),
            (415, json.dumps(JOB), None),
            (413, json.dumps([JOB] * 1001), "application/json"),
            (413, (json.dumps(JOB) + "\n") * 1001, "application/x-ndjson"),
        ):
            with self.subTest(status=status, body=body[:20], kind=kind):
                self.problem(status, self.service.post(body, kind=kind))
        self.assertEqual(self.queued(), {})

    def test_paths(self):
        self.problem(404, self.service.ask("GET", "/"))
        self.problem(404, self.service.ask("GET", "/v1/jobs/7"))
        answer = self.service.ask("GET", "/v1/jobs")
        self.problem(405, answer)
        self.assertEqual(answer[1]["Allow"], "POST")
        self.problem(403, self.service.post(JOB, Host="evil.example"))

    def test_a_huge_body(self):
        """Too long is too long, said or not said beforehand; the connection is still good."""
        answer = self.service.post(b" " * ((16 << 20) + 1))
        self.assertIn("16777216", self.problem(413, answer)["detail"])
        chunks = (b" " * (1 << 20) for _ in range(17))
        self.problem(413, self.service.post(chunks))
        self.assertEqual(self.service.post(JOB)[0], 202)

    def test_large_arrays_do_not_hold_up_others(self):
        large = json.dumps([{"input": {"text": "x" * 14000}}] * 1000)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.service.post(large))) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(t.is_alive() for t in threads):
            self.assertIn(self.service.post(JOB)[0], (202, 503))
        for thread in threads:
            thread.join()
        self.assertEqual({status for status, _, _ in answers} - {202, 503}, set())

    def test_a_thousand_at_once(self):
        """Each on a connection of its own, all open before the first answer."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 4000:
            self.skipTest("too few descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        body = json.dumps(JOB).encode()
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        clients = [socket.create_connection(("127.0.0.1", self.service.port)) for _ in range(1000)]
        for client in clients:
            client.sendall(head.encode() + body)
        selector, text = selectors.DefaultSelector(), dict.fromkeys(clients, b"")
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        deadline = time.monotonic() + 60 * millrace.PATIENCE
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(1):
                text[key.fileobj] += key.fileobj.recv(4096)
                if text[key.fileobj].endswith(b"}"):
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
        self.assertEqual({t[:12] for t in text.values()}, {b"HTTP/1.1 202"})
        ids = {json.loads(t.split(b"\r\n\r\n")[1])["job"] for t in text.values()}
        self.assertEqual(len(ids), 1000)
        self.assertEqual(self.queued().keys(), ids)

    def test_the_log_says_who_and_what_but_no_text(self):
        before = len(self.service.events("http.request"))
        self.service.post({"input": {"text": "a secret of ours"}})
        millrace.wait_until("the line", lambda: len(self.service.events("http.request")) > before)
        line = self.service.events("http.request")[before]
        self.assertEqual((line["method"], line["path"], line["status"]), ("POST", "/v1/jobs", 202))
        self.assertGreater(line["bytes_in"], 0)
        self.assertNotIn("secret", self.service.log.read_text())


class KeyTest(ServeCase):
    def test_again(self):
        """The same key has the same id: again, as a field, from another process, and later."""
        key = uuid.uuid4().hex
        _, _, first = self.service.post(JOB, Idempotency_Key=key)
        _, _, again = self.service.post(JOB, Idempotency_Key=f'"{key}"')
        _, _, field = self.service.post([{"idempotency_key": key, **JOB}])
        other = self.stack.service(config=self.config)
        _, _, elsewhere = other.post(JOB, Idempotency_Key=key)
        self.assertEqual(other.stop(), 0)
        self.assertEqual({first["job"], again["job"], field["jobs"][0]["job"], elsewhere["job"]}, {first["job"]})
        _, _, tenant = self.service.post({"tenant": "other", **JOB}, Idempotency_Key=key)
        self.assertNotEqual(tenant["job"], first["job"])

    def test_wrong(self):
        for job in ({"idempotency_key": "other", **JOB}, [JOB], [JOB, JOB]):
            body = self.problem(422, self.service.post(job, Idempotency_Key="k"))
            self.assertEqual(body["field"], "Idempotency-Key")
        body = self.problem(422, self.service.post(JOB, Idempotency_Key="x" * 256))
        self.assertEqual(body["field"], "idempotency_key")
        self.assertEqual(self.queued(), {})

    def test_runs_once(self):
        """Two at once, and again after the end: one job, one run."""
        worker = self.stack.worker()
        key, answers = uuid.uuid4().hex, []
        threads = [
            threading.Thread(target=lambda: answers.append(self.service.post(JOB, Idempotency_Key=key)[2]["job"]))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(answers)), 1)
        self.assertEqual(self.stack.wait_ended(answers[:1]), {"done": 1})
        self.assertEqual(self.service.post(JOB, Idempotency_Key=key)[2]["job"], answers[0])
        self.stack.wait_queues_empty()
        self.assertEqual(worker.stop(), 0)
        calls = self.stack.value("SELECT count(*) FROM millrace.calls WHERE job_id = %s", answers[0])
        self.assertEqual(calls, 2)

    def test_newest_first_whatever_the_id(self):
        """Ids that follow from keys do not grow with time; lists go by time all the same."""
        worker = self.stack.worker()
        want = []
        for n in range(6):
            more = {"Idempotency_Key": uuid.uuid4().hex} if n % 2 else {}
            _, _, body = self.service.post({"tenant": "newest", **JOB}, **more)
            want.insert(0, body["job"])
            self.stack.wait_ended([body["job"]])
        self.assertEqual([j["job"] for j in self.stack.json("jobs", "list", "--tenant", "newest")], want)
        self.assertEqual(worker.stop(), 0)


class ReadTest(ServeCase):
    def test_status_and_results(self):
        job = self.service.post({"tenant": "acme", **JOB})[2]["job"]
        path = f"/v1/jobs/{job}"
        self.assertIn("no worker has taken it", self.problem(404, self.service.ask("GET", path))["detail"])
        self.problem(404, self.service.ask("GET", f"{path}/results"))
        worker = self.stack.worker()
        self.stack.wait_ended([job])
        status, _, body = self.service.ask("GET", path)
        (want,) = self.stack.json("status", job)
        self.assertEqual((status, body), (200, want))
        self.assertEqual((body["state"], [s["step"] for s in body["steps"]]), ("done", ["extract", "summarize", "entities"]))
        status, _, body = self.service.ask("GET", f"{path}/results")
        self.assertEqual((status, body), (200, self.stack.json("results", job)))
        status, _, body = self.service.ask("GET", f"{path.upper().replace('V1/JOBS', 'v1/jobs')}/results?step=summarize")
        self.assertEqual((status, [r["step"] for r in body]), (200, ["summarize"]))
        self.assertEqual(self.service.ask("GET", f"{path}/results?step=nosuch")[::2], (200, []))
        self.assertEqual(worker.stop(), 0)

    def test_the_database_is_away(self):
        """Reading says so; taking jobs does not need it; then it goes on by itself."""
        path = f"/v1/jobs/{uuid.uuid4()}"
        self.problem(404, self.service.ask("GET", path))
        self.stack.ops("stop", "database")
        try:
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(self.service.ask("GET", path))) for _ in range(20)]
            for thread in threads:
                thread.start()
            self.assertEqual(self.service.post(JOB)[0], 202)
            self.assertEqual(self.service.post([{"input": {"text": "x" * 10000}}] * 20)[0], 202)
            for thread in threads:
                thread.join()
            for answer in answers:
                self.problem(503, answer)
                self.assertTrue(answer[1]["Retry-After"])
        finally:
            self.stack.ops("start", "database")
        self.problem(404, self.service.ask("GET", path))


class SlowTest(ServeCase):
    extra = f'serve: {{ timeout = "{int(SLOW_S * 1000)}ms"; max_connections = 50; }};\n'

    def trickle(self, begin, drop):
        """A client that never gets to the end; returns how long it was borne."""
        client = socket.create_connection(("127.0.0.1", self.service.port))
        began = time.monotonic()
        client.sendall(begin)
        client.settimeout(0.1)
        while time.monotonic() - began < 60 * millrace.PATIENCE:
            try:
                client.sendall(drop)
                if client.recv(1000) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        client.close()
        return time.monotonic() - began

    def test_slow_clients(self):
        """Trickled heads and bodies are cut off in time, and nobody waits for them."""
        head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        cases = [(b"", b"P"), (head, b"a: b\r\n"), (head + b"Content-Length: 10000\r\n\r\n", b" ")] * 5
        borne = []
        threads = [threading.Thread(target=lambda c=c: borne.append(self.trickle(*c))) for c in cases]
        for thread in threads:
            thread.start()
        posts, slowest = 0, 0
        while any(t.is_alive() for t in threads):
            began = time.monotonic()
            self.assertEqual(self.service.post(JOB)[0], 202)
            slowest = max(slowest, time.monotonic() - began)
            posts += 1
        self.assertEqual(len(borne), 15)
        self.assertGreater(posts, 5)
        self.assertLess(slowest, SLOW_S * millrace.PATIENCE)
        self.assertGreater(min(borne), SLOW_S - 0.1)
        self.assertLess(max(borne), 10 * SLOW_S * millrace.PATIENCE)

    def test_more_clients_than_places(self):
        """Idle connections lose theirs; who comes later waits and is served."""
        idle = [socket.create_connection(("127.0.0.1", self.service.port)) for _ in range(60)]
        self.assertEqual(self.service.post(JOB)[0], 202)
        for client in idle:
            client.close()


class TokenTest(ServeCase):
    extra = 'serve: { token_file = "token"; };\n'
    args = ("--listen", "0.0.0.0")

    def test_token(self):
        for header in (None, "Bearer open-sesame2", "Bearer open", "Bearer ", "Basic open-sesame", "open-sesame"):
            more = {"Authorization": header} if header else {}
            for answer in (self.service.post(JOB, **more), self.service.ask("GET", "/nothing", **more)):
                self.problem(401, answer)
                self.assertTrue(answer[1]["WWW-Authenticate"].startswith("Bearer"))
        self.assertEqual(self.queued(), {})
        for header in ("Bearer open-sesame", "bearer open-sesame"):
            self.assertEqual(self.service.post(JOB, Authorization=header, Host="jobs.example")[0], 202)
        self.assertNotIn("sesame", self.service.log.read_text())

    def refusal(self, *args, extra=""):
        config = self.stack.config(extra, name="refused.cfg")
        done = self.stack.run("serve", "--port", "0", *args, env={"MILLRACE_CONFIG": str(config)}, timeout=20)
        self.assertEqual(done.returncode, 2, done.stderr)
        return done.stderr

    def test_refuses_to_start(self):
        self.assertIn("token_file", self.refusal("--listen", "0.0.0.0"))
        self.assertIn("token_file", self.refusal(extra='serve: { listen = "::"; };\n'))
        self.assertIn("nosuch", self.refusal(extra='serve: { token_file = "nosuch"; };\n'))
        (self.stack.state / "open").write_text("x\n")
        (self.stack.state / "open").chmod(0o644)
        self.assertIn("chmod", self.refusal(extra='serve: { token_file = "open"; };\n') + "chmod")
        done = self.stack.run("serve", "--port", self.service.port)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another program does", done.stderr)
        (warning,) = [
            line
            for line in self.stack.run(
                "config", "check",
                env={"MILLRACE_CONFIG": str(self.stack.config('serve: { listen = "0.0.0.0"; };\n', name="warned.cfg"))},
            ).stderr.splitlines()  # fmt: skip
            if "serve" in line
        ]
        self.assertIn("token", warning)


class BrokerTest(ServeCase):
    extra = 'serve: { confirm_timeout = "2s"; max_pending = 2000; };\n'

    def hammer(self, until):
        """Posts single jobs and arrays on four threads until until() holds; returns (ids of 202s,
        statuses, ids that may run)."""
        promised, statuses, maybe = [], [], []
        stop = threading.Event()

        def entry(e):
            statuses.append(e["status"])
            if e["status"] == 202:
                promised.append(e["job"])
            elif "job" in e:
                maybe.append(e["job"])

        def client(n):
            while not stop.is_set():
                try:
                    status, _, body = self.service.post(JOB if n % 2 else [JOB] * 20)
                except OSError:  # no answer, no promise
                    statuses.append(0)
                    time.sleep(0.05)
                    continue
                for e in body.get("jobs") or [{"status": status, **body}]:
                    entry(e)

        threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        try:
            until(promised, statuses)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        return promised, statuses, maybe

    def test_the_broker_dies_and_comes_back(self):
        """503 while it is away, nothing half-said: what got a 202 is there afterwards."""

        def until(promised, statuses):
            millrace.wait_until("promises", lambda: len(promised) > 200)
            self.stack.ops("kill", "broker")
            millrace.wait_until("refusals", lambda: statuses[-20:] == [503] * 20)
            answer = self.service.post(JOB)
            self.assertTrue(answer[1]["Retry-After"])
            self.assertNotIn("job", self.problem(503, answer))
            self.stack.ops("start", "broker")
            before = len(promised)
            millrace.wait_until("new promises", lambda: len(promised) > before + 100, 60)

        promised, statuses, maybe = self.hammer(until)
        self.assertEqual(set(statuses), {202, 503})
        queued = self.queued()
        self.assertEqual(set(promised) - queued.keys(), set())
        self.assertEqual(queued.keys() - set(promised) - set(maybe), set())

    def test_the_broker_is_down_from_the_beginning(self):
        self.stack.ops("stop", "broker")
        try:
            service = self.stack.service(config=self.config)
            self.problem(503, service.post(JOB))
            self.problem(503, service.post([JOB, JOB]))
        finally:
            self.stack.ops("start", "broker")
        millrace.wait_until("a promise", lambda: service.post(JOB)[0] == 202)
        self.assertEqual(service.stop(), 0)

    def test_a_broker_that_takes_nothing(self):
        self.stack.ops("rabbitmqctl", "-q", "set_vm_memory_high_watermark", "0.000001")
        try:
            answer = millrace.wait_until("a refusal", lambda: (a := self.service.post(JOB))[0] != 202 and a)
            self.problem(503, answer)
            answer = self.service.post(JOB)
            self.assertNotIn("job", self.problem(503, answer))
            self.assertIn("alarm", answer[2]["detail"])
        finally:
            self.stack.ops("rabbitmqctl", "-q", "set_vm_memory_high_watermark", "0.4")
        millrace.wait_until("a promise", lambda: self.service.post(JOB)[0] == 202)

    def test_a_full_queue(self):
        """Who does not fit is told, the others get their promise; and it heals."""
        self.stack.ops(
            "rabbitmqctl", "-q", "set_policy", "--priority", "100", "full", "^millrace.main.low",
            '{"max-length":5,"overflow":"reject-publish"}', "--apply-to", "queues",
        )  # fmt: skip
        low = {"priority": 1, **JOB}
        try:
            answer = millrace.wait_until("a refusal", lambda: (a := self.service.post(low))[0] != 202 and a)
            self.assertNotIn("job", self.problem(503, answer))
            status, headers, body = self.service.post([JOB, low, JOB])
            self.assertEqual((status, [e["status"] for e in body["jobs"]]), (207, [202, 503, 202]))
            self.assertTrue(headers["Retry-After"])
        finally:
            self.stack.ops("rabbitmqctl", "-q", "clear_policy", "full")
        millrace.wait_until("a promise", lambda: self.service.post(low)[0] == 202)

    def test_no_queue(self):
        """A pool nobody has declared: no promise, and the reason."""
        extra = self.extra + 'pipelines: ( { name = "far"; steps: ( { name = "a"; kind = "extract"; pool = "far"; } ); } );\n'
        service = self.stack.service(config=self.stack.config(extra, name="far.cfg"))
        answer = service.post({"pipeline": "far", **JOB})
        self.assertIn("millrace init", self.problem(503, answer)["detail"])
        self.assertEqual(service.post(JOB)[0], 202)
        self.assertEqual(service.stop(), 0)

    def test_a_broker_that_does_not_answer(self):
        """What was sent and never confirmed is named, for it may run; no more than max_pending wait."""
        config = self.stack.config('serve: { confirm_timeout = "2s"; max_pending = 5; };\n', name="few.cfg")
        service = self.stack.service(config=config)
        self.assertEqual(service.post(JOB)[0], 202)
        self.queued()
        self.stack.ops("pause", "broker")
        try:
            with contextlib.closing(service.begin("POST", "/v1/jobs", [JOB] * 5)) as first:
                self.assertIn("too many", self.problem(503, service.post(JOB))["detail"])
                five = service.end(first)
        finally:
            self.stack.ops("resume", "broker")
        body = self.problem(503, five)
        self.assertTrue(five[1]["Retry-After"])
        self.assertEqual([e["status"] for e in body["jobs"]], [503] * 5)
        self.stack.ops("pause", "broker")
        try:
            body = self.problem(503, service.post(JOB))
        finally:
            self.stack.ops("resume", "broker")
        self.assertIn("may run", body["detail"])
        sent, found = {e["job"] for e in five[2]["jobs"]} | {body["job"]}, set()
        millrace.wait_until("them all the same", lambda: found.update(self.queued()) or found >= sent)
        self.assertEqual(service.post(JOB)[0], 202)
        self.assertEqual(service.stop(), 0)

    def test_a_broker_that_stops_reading(self):
        """One message more than the socket holds: the write hangs, the client does not."""
        config = self.stack.config(self.extra + 'producer: { inline_max_bytes = "8MiB"; };\n', name="large.cfg")
        service = self.stack.service(config=config)
        large = {"input": {"text": "x" * 8000000}}
        self.assertEqual(service.post(JOB)[0], 202)
        self.stack.ops("pause", "broker")
        began = time.monotonic()
        try:
            body = self.problem(503, service.post(large))
        finally:
            self.stack.ops("resume", "broker")
        self.assertLess(time.monotonic() - began, 12 * millrace.PATIENCE)
        self.assertIn("job", body)
        millrace.wait_until("a promise", lambda: service.post(large)[0] == 202)
        self.assertEqual(service.stop(), 0)

    def test_sigterm_under_load(self):
        """Every 202 has its job, and the exit code is 0."""
        self.service = self.stack.service(config=self.config)

        def until(promised, statuses):
            millrace.wait_until("promises", lambda: len(promised) > 300)
            self.service.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.service.process.wait(30 * millrace.PATIENCE), 0)

        promised, statuses, maybe = self.hammer(until)
        self.assertEqual(set(statuses) - {202, 0}, set())
        self.assertEqual(maybe, [])
        self.assertEqual(set(promised) - self.queued().keys(), set())

    def test_sigint_when_idle(self):
        service = self.stack.service(config=self.config)
        idle = socket.create_connection(("127.0.0.1", service.port))
        service.post(JOB)
        service.process.send_signal(signal.SIGINT)
        self.assertEqual(service.process.wait(30 * millrace.PATIENCE), 0)
        self.assertEqual(idle.recv(10), b"")
        idle.close()


if __name__ == "__main__":
    millrace.main()

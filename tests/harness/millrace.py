"""What the integration and chaos suites stand on: a private stack, workers, the stand-in provider,
and TAP out of unittest. Waiting is always for an event with a deadline, never for a time."""

import atexit
import contextlib
import http.client
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import pika
import psycopg2

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MILLRACE_BUILD", ROOT / "build"))
DATA = ROOT / "tests" / "data"
# Programs under valgrind or a sanitizer are slower by this much.
PATIENCE = float(os.environ.get("MILLRACE_TEST_PATIENCE", "1"))
# What the command and the workers run under, such as valgrind.
WRAPPER = shlex.split(os.environ.get("MILLRACE_TEST_WRAPPER", ""))


LANE_SHARDS = 8  # broker.lane_shards


def shards(queue):
    """The queues behind a name: of a lane all its shards."""
    if queue.endswith((".high", ".normal", ".low")):
        return [f"{queue}.{n}" for n in range(LANE_SHARDS)]
    return [queue]


def wait_until(what, check, seconds=30.0):
    """Polls until check() is true and returns its value; fails naming what never came."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds * PATIENCE:g} s for {what}")
        time.sleep(0.05)


class Stack:
    """A private broker and database, gone without a trace at close()."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-it-"))
        self.folder.chmod(0o711)
        self.state = self.folder / "state"
        self.env = {**os.environ, "MILLRACE_STATE": str(self.state), "MILLRACE_BUILD": str(BUILD)}
        for name in [n for n in self.env if n.startswith(("PG", "MILLRACE_BROKER", "AMQP"))]:
            del self.env[name]
        self.closers = []
        self.closed = False
        atexit.register(self.close)  # also when a signal ends the program between two cases
        try:
            self.ops("up")
            self._read_env()
        except BaseException:
            self.close()
            raise

    def ops(self, *args):
        done = subprocess.run(
            [str(ROOT / "ops" / "stack"), *args],
            env=self.env, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise AssertionError(f"ops/stack {' '.join(args)}: {done.stdout}{done.stderr}")
        return done.stdout

    def _read_env(self):
        for word in shlex.split(self.ops("env").replace("export ", "")):
            name, _, value = word.partition("=")
            self.env[name] = value.replace("$PATH", os.environ["PATH"])

    def close(self):
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        for closer in reversed(self.closers):
            with contextlib.suppress(Exception):
                closer()
        subprocess.run(
            [str(ROOT / "ops" / "stack"), "down", "--purge"],
            env=self.env, check=False, capture_output=True,
        )  # fmt: skip
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- the command

    def run(self, *args, stdin=None, timeout=120, env=None):
        """Runs `millrace ARGS`; the caller looks at returncode, stdout and stderr."""
        text = not isinstance(stdin, bytes)
        return subprocess.run(
            [*WRAPPER, str(BUILD / "producer" / "millrace"), *map(str, args)],
            env={**self.env, **(env or {})}, check=False, capture_output=True, text=text,
            input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
            timeout=timeout * PATIENCE,
        )  # fmt: skip

    def ok(self, *args, **more):
        done = self.run(*args, **more)
        if done.returncode != 0:
            raise AssertionError(
                f"millrace {' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def json(self, *args, **more):
        return json.loads(self.ok(*args, "-o", "json", **more))

    def enqueue(self, *args, **more):
        """Returns the job ids."""
        return self.ok("enqueue", *args, "-o", "ids", **more).split()

    # ---- the database

    def connect(self, user="millrace_owner"):
        password = (self.state / "secrets" / user.replace("millrace_", "pg_")).read_text().strip()
        return psycopg2.connect(
            host=self.env["PGHOST"], port=self.env["PGPORT"], dbname=self.env["PGDATABASE"],
            user=user, password=password,
        )  # fmt: skip

    def sql(self, query, *args, user="millrace_owner"):
        """Runs one statement and returns its rows as tuples."""
        with contextlib.closing(self.connect(user)) as connection:
            with connection, connection.cursor() as cursor:
                cursor.execute(query, args)
                return cursor.fetchall() if cursor.description else []

    def value(self, query, *args, **more):
        return self.sql(query, *args, **more)[0][0]

    def states(self, ids):
        rows = self.sql("SELECT state, count(*) FROM millrace.jobs WHERE id = ANY(%s::uuid[]) GROUP BY 1", ids)
        return dict(rows)

    def wait_ended(self, ids, seconds=60):
        """Waits until every job has ended; returns {state: count}."""

        def ended():
            states = self.states(ids)
            done = sum(states.get(s, 0) for s in ("done", "dead", "cancelled"))
            return states if done == len(ids) else None

        try:
            return wait_until("all jobs to end", ended, seconds)
        except AssertionError as err:
            raise AssertionError(f"{err}: {self.states(ids)} of {len(ids)}") from None

    # ---- the broker

    def broker(self):
        parameters = pika.URLParameters(self.env["AMQP_URL"])
        return contextlib.closing(pika.BlockingConnection(parameters))

    def dead_letters(self, ids=None):
        """Takes a look at every dead letter: [(properties, body)], of these jobs."""
        found = []
        with self.broker() as connection:
            channel = connection.channel()
            while True:
                method, properties, body = channel.basic_get("millrace.dead")
                if not method:
                    break
                if ids is None or properties.message_id in ids:
                    found.append((properties, body))
        return found

    def publish(self, body, key="main.normal.0", exchange="millrace.jobs", **properties):
        properties.setdefault("delivery_mode", 2)
        with self.broker() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(
                exchange, key, body, pika.BasicProperties(**properties), mandatory=True
            )

    def queues(self):
        """{queue: messages, ready and unacked}; up to a second old."""
        rows = self.ops("rabbitmqctl", "-q", "--no-table-headers", "list_queues", "name", "messages")
        return {name: int(n) for name, n in (row.split() for row in rows.splitlines() if row.strip())}

    def ready(self, queue):
        """Messages ready in a queue or lane, as of now."""
        with self.broker() as connection:
            channel = connection.channel()
            counts = [channel.queue_declare(q, passive=True).method.message_count for q in shards(queue)]
        return sum(counts)

    def purge(self, *queues):
        with self.broker() as connection:
            channel = connection.channel()
            for queue in queues:
                for shard in shards(queue):
                    channel.queue_purge(shard)

    def wait_queues_empty(self, seconds=30, but=()):
        """No message anywhere, twice in a row, further apart than the counts are old."""

        def empty():
            return not any(n for name, n in self.queues().items() if name not in but)

        def twice():
            if not empty():
                return False
            time.sleep(1.5)
            return empty()

        wait_until("empty queues", twice, seconds)

    # ---- programs

    def config(self, extra="", name="test.cfg"):
        """Writes the stack's configuration and extra sections to a file; returns its path."""
        path = self.state / name
        path.write_text((self.state / "millrace.cfg").read_text() + extra)
        return path

    def worker(self, **more):
        worker = Worker(self, **more)
        self.closers.append(worker.kill)
        return worker

    def service(self, *args, **more):
        service = Service(self, *args, **more)
        self.closers.append(service.kill)
        return service

    def standin(self, *args):
        standin = Standin(self.folder, *args)
        self.closers.append(standin.stop)
        return standin


class Worker:
    """A millrace-worker with the worker's own broker user."""

    count = 0

    def __init__(self, stack, config=None, env=None, args=()):
        Worker.count += 1
        self.log = stack.folder / f"worker-{Worker.count}.log"
        secret = stack.state / "secrets" / "broker_worker"
        self.env = {
            **stack.env,
            "MILLRACE_CONFIG": str(config or stack.env["MILLRACE_CONFIG"]),
            "MILLRACE_BROKER_USER": "millrace_worker",
            "MILLRACE_BROKER_PASSWORD_FILE": str(secret),
            **(env or {}),
        }
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [*WRAPPER, str(BUILD / "worker" / "millrace-worker"), *args],
                env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip

    def signal(self, number):
        """Not before there is somebody to take it: with its first log line it listens."""
        wait_until("the worker's first words", lambda: not self.alive() or self.text())
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL, as a crash."""
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()

    def stop(self, seconds=90):
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(seconds * PATIENCE)

    def alive(self):
        return self.process.poll() is None

    def text(self):
        return self.log.read_text(errors="replace")


class Service:
    """`millrace serve` on a port of its own."""

    count = 0

    def __init__(self, stack, *args, config=None):
        Service.count += 1
        self.log = stack.folder / f"serve-{Service.count}.log"
        env = {**stack.env, "MILLRACE_CONFIG": str(config or stack.env["MILLRACE_CONFIG"])}
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [*WRAPPER, str(BUILD / "producer" / "millrace"), "serve", "--port", "0", *args],
                env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        wait_until("the service", lambda: self.events("serve.listening") or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text())
        self.port = self.events("serve.listening")[0]["port"]

    def events(self, name=None):
        """Its log lines, of this event."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                found.append(json.loads(line))
        return [e for e in found if name in (None, e["event"])]

    def begin(self, method, path, body=None, kind="application/json", timeout=60, **headers):
        """Sends a request and returns its connection. `_` in a header is `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and kind:
            sent["Content-Type"] = kind
        connection.request(method, path, body, sent)
        return connection

    def end(self, connection):
        """Waits for the answer: (status, headers, the body, JSON parsed)."""
        answer = connection.getresponse()
        text = answer.read()
        has_json = "json" in (answer.headers["Content-Type"] or "")
        return answer.status, answer.headers, json.loads(text) if has_json else text

    def ask(self, *args, **more):
        with contextlib.closing(self.begin(*args, **more)) as connection:
            return self.end(connection)

    def post(self, body, **more):
        return self.ask("POST", "/v1/jobs", body, **more)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()

    def stop(self, seconds=60):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds * PATIENCE)


class Standin:
    """The scripted provider and its ledger."""

    def __init__(self, folder, *args):
        self.file = pathlib.Path(folder) / f"ledger-{time.monotonic_ns()}.jsonl"
        self.process = subprocess.Popen(
            [str(BUILD / "tests" / "standin" / "millrace-standin"), "--ledger", str(self.file), *args],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def config(self, kind="openai", more="", **models):
        """Configuration text: a provider `standin`, and the shipped aliases pointing at it."""
        base = f"{self.url}/v1" if kind == "openai" else self.url
        aliases = ", ".join(
            f'{{ alias = "{a}"; provider = "standin"; model = "{models.get(a, "standin")}"; }}'
            for a in ("summarizer", "extractor", "default")
        )
        return (
            f'providers: ( {{ name = "standin"; kind = "{kind}"; base_url = "{base}"; {more} }} );\n'
            f"models: ( {aliases} );\n"
        )

    def script(self, text, model="standin"):
        """What requests for the model meet from now on; see tests/standin/script.h."""
        request = urllib.request.Request(
            f"{self.url}/control/{model}", data=text.encode(), method="PUT"
        )
        urllib.request.urlopen(request, timeout=10).read()

    def stats(self):
        return json.load(urllib.request.urlopen(f"{self.url}/stats", timeout=10))

    def ledger(self, model=None):
        entries = [json.loads(line) for line in self.file.read_text().splitlines()]
        return [e for e in entries if model in (None, e["model"])]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.process.stdout.close()


class StackCase(unittest.TestCase):
    """Test cases that share one initialised stack."""

    stack = None
    init = True

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        if cls.init:
            cls.stack.ok("init")


class TapResult(unittest.TestResult):
    """Prints TAP as the cases end."""

    def __init__(self):
        super().__init__()
        self.number = 0

    def _line(self, word, test, extra=""):
        self.number += 1
        print(f"{word} {self.number} - {test.id().replace('__main__.', '').replace('#', '')}{extra}", flush=True)

    def _diagnose(self, test, err):
        for line in self._exc_info_to_string(err, test).splitlines():
            print(f"# {line}")

    def addSuccess(self, test):
        self._line("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._diagnose(test, err)
        self._line("not ok", test)

    def addError(self, test, err):
        super().addError(test, err)
        self._diagnose(test, err)
        self._line("not ok", test)

    def addSubTest(self, test, subtest, err):
        """Reported only when it fails: such a case has no success of its own."""
        super().addSubTest(test, subtest, err)
        if err:
            self._diagnose(subtest, err)
            self._line("not ok", subtest)

    def addSkip(self, test, reason):
        self._line("ok", test, f" # SKIP {reason}")


def main():
    """Runs the cases of the calling file (or those whose names hold an argument) as TAP."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    cases = []

    def collect(item):
        for inner in item:
            if isinstance(inner, unittest.TestSuite):
                collect(inner)
            else:
                cases.append(inner)

    collect(suite)
    if len(sys.argv) > 1:
        cases = [c for c in cases if any(word in c.id() for word in sys.argv[1:])]
    print(f"1..{len(cases)}", flush=True)
    # unittest lets nothing but KeyboardInterrupt through; then the stacks are closed at exit.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    result = TapResult()
    unittest.TestSuite(cases).run(result)
    sys.exit(0 if result.wasSuccessful() else 1)

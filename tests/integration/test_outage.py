"""Neighbours that are away, slow, full or strict, and secrets that must stay secret."""

import pathlib
import subprocess
import threading
import time

import judge
import millrace

TEXT = "The mill by the river was sold in 1912. Acme Ltd paid 900 pounds for it."
KEY = "sk-outage-0123456789"


class OutageTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.standin = cls.stack.standin("--key", KEY)
        cls.config = cls.stack.config(cls.standin.config(more='key_env = "STANDIN_KEY";'))
        cls.env = {"STANDIN_KEY": KEY}

    def setUp(self):
        self.standin.script("")
        self.workers = []

    def tearDown(self):
        for worker in self.workers:
            worker.kill()

    def worker(self, env=None, config=None):
        self.workers.append(self.stack.worker(config=config or self.config, env={**self.env, **(env or {})}))
        return self.workers[-1]

    def in_flight(self, n):
        millrace.wait_until("calls in flight", lambda: self.standin.stats()["in_flight"] >= n)

    def settle_up(self, ids, seconds=90):
        """All is done, each call once, and nothing was left to guesswork."""
        self.assertEqual(self.stack.wait_ended(ids, seconds), {"done": len(ids)})
        rows = self.stack.sql("SELECT state, class, count(*) FROM millrace.calls WHERE job_id = ANY(%s::uuid[]) GROUP BY 1, 2", ids)
        self.assertEqual(rows, [("settled", None, 2 * len(ids))])

    # ---- a full lane

    def test_a_delay_ends_before_a_full_lane(self):
        """What a lane refuses is offered again soon, and not only after the broker's three minutes."""
        lane = "main.low.0"
        policy = ("rabbitmqctl", "-q", "set_policy", "--priority", "30", "--apply-to", "queues", "full")
        self.stack.ops(*policy, "^millrace[.]main[.]low[.]0$", '{"max-length":1,"overflow":"reject-publish"}')
        self.addCleanup(self.stack.purge, "millrace.main.low")
        try:
            self.stack.publish("{}", lane)
            self.stack.publish("{}", lane)  # the length is looked at behind the message that exceeds it
            self.stack.publish("{}", lane, exchange="millrace.delay.5s")
            millrace.wait_until("the delay to end", lambda: self.stack.ready("millrace.delay.5s") == 0)
            before = self.stack.ready("millrace.main.low")
        finally:
            self.stack.ops("rabbitmqctl", "-q", "clear_policy", "full")
        millrace.wait_until("the job to come home", lambda: self.stack.ready("millrace.main.low") == before + 1, 60)
        self.assertEqual(before, 2)

    # ---- credentials

    def secret(self, text, mode=0o600):
        path = self.stack.state / f"secret-{time.monotonic_ns()}"
        path.write_text(text + "\n")
        path.chmod(mode)
        return str(path)

    def test_wrong_passwords_at_the_command(self):
        wrong = self.secret("not-the-password")
        done = self.stack.run("enqueue", "--text", "x", "-o", "ids", "--timeout", "2s", env={"MILLRACE_BROKER_PASSWORD_FILE": wrong})
        self.assertEqual((done.returncode, done.stdout), (3, ""), done.stderr)
        self.assertRegex(done.stderr, "(?i)refused|password|login")
        done = self.stack.run("jobs", "list", env={"MILLRACE_DATABASE_CLIENT_PASSWORD_FILE": wrong})
        self.assertEqual((done.returncode, done.stdout), (3, ""), done.stderr)
        self.assertIn("password", done.stderr)
        self.assertNotIn("not-the-password", done.stderr)

    def test_wrong_passwords_at_the_worker(self):
        """It says so and keeps trying: the password may be mended without it."""
        path = self.secret("not-the-password")
        for variable, good in (
            ("MILLRACE_BROKER_PASSWORD_FILE", "broker_worker"),
            ("MILLRACE_DATABASE_WORKER_PASSWORD_FILE", "pg_worker"),
        ):
            with self.subTest(variable=variable):
                pathlib.Path(path).write_text("not-the-password\n")
                worker = self.worker({variable: path})
                millrace.wait_until("the complaint", lambda: "ACCESS_REFUSED" in worker.text() or "password" in worker.text().lower() or "login" in worker.text().lower())
                self.assertTrue(worker.alive())
                self.assertNotIn("not-the-password", worker.text())
                pathlib.Path(path).write_text((self.stack.state / "secrets" / good).read_text())
                self.settle_up(self.stack.enqueue("--text", TEXT))
                self.assertEqual(worker.stop(), 0)

    def test_open_secret_files(self):
        """A password that others can read is refused by everyone who would use it."""
        opened = self.secret("whatever", 0o644)
        for variable in ("MILLRACE_BROKER_PASSWORD_FILE", "MILLRACE_DATABASE_WORKER_PASSWORD_FILE"):
            worker = self.worker({variable: opened})
            millrace.wait_until("the complaint", lambda: "chmod 600" in worker.text())
            worker.stop()
        done = self.stack.run("enqueue", "--text", "x", "--timeout", "1s", env={"MILLRACE_BROKER_PASSWORD_FILE": opened})
        self.assertIn("chmod 600", done.stderr)
        self.assertNotEqual(done.returncode, 0)
        done = self.stack.run("jobs", "list", env={"MILLRACE_DATABASE_CLIENT_PASSWORD_FILE": opened})
        self.assertIn("chmod 600", done.stderr)
        self.assertNotEqual(done.returncode, 0)

    def test_no_secret_shows(self):
        """Not in arguments, logs, --print, or what the command says."""
        secrets = [p.read_text().strip() for p in (self.stack.state / "secrets").iterdir() if p.name != "pgpass"]
        worker = self.worker({"MILLRACE_WORKER_LOG_LEVEL": "debug"})
        self.settle_up(self.stack.enqueue("--text", TEXT))
        arguments = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        # The stand-in is no part of Millrace: it is told its key.
        seen = [worker.text(), *(line for line in arguments.splitlines() if "millrace-standin" not in line)]
        for args in (("config", "--print"), ("config", "check"), ("jobs", "list"), ("dlq", "list")):
            done = self.stack.run(*args, env={"MILLRACE_CONFIG": str(self.config), **self.env})
            seen.append(done.stdout + done.stderr)
        for secret in [*secrets, KEY]:
            for text in seen:
                self.assertNotIn(secret, text)

    # ---- hosts

    def test_first_host_is_down(self):
        env = {
            "MILLRACE_BROKER_HOSTS": "127.0.0.1:1," + self.stack.env["AMQP_URL"].rsplit("@", 1)[1].split("/")[0],
            "MILLRACE_DATABASE_HOSTS": f"127.0.0.1:1,127.0.0.1:{self.stack.env['PGPORT']}",
        }
        self.worker(env)
        for _ in range(4):
            self.settle_up(self.stack.enqueue("--text", TEXT, env=env))

    # ---- services under load; each test leaves them as they were

    def test_database_hangs(self):
        """A database that answers nobody for a while costs time and nothing else."""
        self.standin.script("delay=300-900")
        worker = self.worker()
        ids = self.stack.enqueue(*(["--text", TEXT] * 80))
        self.in_flight(20)
        self.stack.ops("pause", "database")
        self.addCleanup(self.stack.ops, "resume", "database")
        time.sleep(5)
        self.assertTrue(worker.alive())
        self.stack.ops("resume", "database")
        self.settle_up(ids)

    def test_broker_out_of_memory(self):
        """While the broker takes nothing, finished work is committed; then all goes on."""
        self.standin.script("delay=200-400")
        self.worker()
        ids = self.stack.enqueue(*(["--text", TEXT] * 80))
        self.in_flight(20)
        self.stack.ops("rabbitmqctl", "-q", "set_vm_memory_high_watermark", "0.000001")
        try:
            settled = "SELECT count(*) FROM millrace.jobs WHERE id = ANY(%s::uuid[]) AND state = 'done'"
            millrace.wait_until("jobs that end", lambda: self.stack.value(settled, ids) >= 20)
        finally:
            self.stack.ops("rabbitmqctl", "-q", "set_vm_memory_high_watermark", "0.4")
        self.settle_up(ids)
        self.stack.wait_queues_empty(60)

    def test_wait_outlives_the_broker(self):
        """--wait reads the truth in SQL, so that a restart of the broker only takes time."""
        self.standin.script("delay=1500")
        self.worker()
        result = {}

        def wait():
            result["jobs"] = self.stack.json("enqueue", "--wait", "--text", TEXT, "--text", TEXT, timeout=90)

        thread = threading.Thread(target=wait)
        thread.start()
        self.in_flight(2)
        self.stack.ops("restart", "broker")
        thread.join(90 * millrace.PATIENCE)
        self.assertEqual([job["state"] for job in result["jobs"]], ["done", "done"])

    def test_worker_is_first(self):
        """Started before broker and database, it waits for them."""
        self.stack.ops("stop", "broker")
        self.stack.ops("stop", "database")
        try:
            worker = self.worker()
            millrace.wait_until("the complaint", lambda: "worker.waiting" in worker.text())
            done = self.stack.run("enqueue", "--text", "x", "-o", "ids", "--timeout", "1s")
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertIn("nothing was enqueued", done.stderr)
        finally:
            self.stack.ops("start", "database")
            self.stack.ops("start", "broker")
        self.settle_up(self.stack.enqueue("--text", TEXT))
        self.assertEqual(worker.stop(), 0)

    def test_enqueue_needs_no_database(self):
        self.stack.ops("stop", "database")
        try:
            ids = self.stack.enqueue("--text", TEXT)
        finally:
            self.stack.ops("start", "database")
        self.worker()
        self.settle_up(ids)

    def test_zz_ledger_equals_calls(self):
        self.stack.wait_queues_empty(60)
        faults, facts = judge.compare_ledger(self.stack, self.standin)
        print(f"# {facts}")
        self.assertEqual(faults, [])
        self.assertEqual(list(facts), ["settled", "billed", "ambiguous and billed"])


if __name__ == "__main__":
    millrace.main()

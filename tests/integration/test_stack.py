"""ops/stack: up and down, twice, closed to others, least privilege."""

import os
import socket
import stat
import subprocess
import unittest

import millrace
import pika


class StackTest(millrace.StackCase):
    init = False

    def test_up_again_changes_nothing(self):
        before = self.stack.ops("status")
        self.assertEqual(self.stack.ops("up"), before)

    def test_secrets_are_closed(self):
        for path in (self.stack.state / "secrets").iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_listens_on_loopback_only(self):
        ports = [line.split("=")[1] for line in (self.stack.state / "ports").read_text().split()]
        with open("/proc/net/tcp", encoding="ascii") as table:
            lines = [line.split() for line in table.readlines()[1:]]
        for port in ports:
            heard = {l[1].split(":")[0] for l in lines if l[3] == "0A" and int(l[1].split(":")[1], 16) == int(port)}
            self.assertEqual(heard, {"0100007F"}, port)

    def test_no_guest(self):
        url = self.stack.env["AMQP_URL"]
        port = pika.URLParameters(url).port
        with self.assertRaises(pika.exceptions.AMQPConnectionError):
            pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))

    def test_worker_may_not_declare(self):
        secret = (self.stack.state / "secrets" / "broker_worker").read_text()
        parameters = pika.URLParameters(self.stack.env["AMQP_URL"])
        parameters.credentials = pika.PlainCredentials("millrace_worker", secret)
        connection = pika.BlockingConnection(parameters)
        with self.assertRaises(pika.exceptions.ChannelClosedByBroker) as caught:
            connection.channel().queue_declare("mine")
        self.assertEqual(caught.exception.reply_code, 403)
        connection.close()

    def test_roles_are_plain(self):
        rows = self.stack.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'millrace%%' AND (rolsuper OR rolcreaterole OR rolcreatedb)")
        self.assertEqual(rows, [])

    def test_kill_and_start(self):
        self.stack.ops("kill", "broker")
        self.stack.ops("kill", "database")
        with self.assertRaises(AssertionError):
            self.stack.ops("status")
        self.stack.ops("up")
        self.assertEqual(self.stack.value("SELECT 1"), 1)
        with self.stack.broker() as connection:
            self.assertTrue(connection.is_open)

    def test_pause_and_resume(self):
        self.stack.ops("pause", "database")
        with socket.create_connection(("127.0.0.1", int(self.stack.env["PGPORT"])), 5) as probe:
            probe.settimeout(0.3)
            probe.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")  # SSLRequest
            with self.assertRaises(TimeoutError):
                probe.recv(1)
        self.stack.ops("resume", "database")
        self.assertEqual(self.stack.value("SELECT 1"), 1)


class WorkersTest(millrace.StackCase):
    init = False

    def run_ops(self, *args):
        return subprocess.run(
            [str(millrace.ROOT / "ops" / "stack"), *args], env=self.stack.env, check=False, capture_output=True, text=True
        )  # fmt: skip

    def alive(self):
        return self.stack.value("SELECT count(*) FROM millrace.worker_overview WHERE alive")

    def test_workers_are_ready_and_read_their_configuration_again(self):
        self.addCleanup(self.run_ops, "workers", "0")
        self.assertIn("no worker runs", self.run_ops("reload").stderr)
        early = self.run_ops("workers", "1")
        self.assertEqual((early.returncode, "millrace init" in early.stderr), (0, True), early.stderr)
        self.stack.ok("init")
        self.stack.ops("workers", "2")
        self.assertEqual(self.alive(), 2)
        again = self.run_ops("reload")
        self.assertEqual(again.returncode, 0, again.stderr)
        for number in (1, 2):
            self.assertRegex(again.stderr, rf'(?m)^worker {number}: reload\.done "prices":\d+$')
        path = self.stack.state / "millrace.cfg"
        good = path.read_text()
        path.write_text(good + "worker: { slots = 0; };\n")
        refused = self.run_ops("reload")
        self.assertEqual((refused.returncode, "no worker was told" in refused.stderr), (1, True), refused.stderr)
        path.write_text(good + "worker: { slots = 7; };\n")
        self.assertRegex(self.run_ops("reload").stderr, r"(?m)^worker 1: reload\.partial .*needs_restart")
        self.stack.ops("workers", "0")
        self.assertEqual(self.alive(), 0)


class DownTest(unittest.TestCase):
    def test_down_without_up(self):
        state = f"/tmp/millrace-none-{os.getpid()}"
        env = {**os.environ, "MILLRACE_STATE": state}
        subprocess.run([str(millrace.ROOT / "ops" / "stack"), "down"], env=env, check=True)
        self.assertFalse(os.path.exists(state))


if __name__ == "__main__":
    millrace.main()

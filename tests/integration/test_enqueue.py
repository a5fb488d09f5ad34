"""`millrace enqueue`: what counts as confirmed, and what is refused."""

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid

import millrace

LANES = ("millrace.main.high", "millrace.main.normal", "millrace.main.low")


class EnqueueTest(millrace.StackCase):
    def setUp(self):
        self.stack.purge(*LANES)

    def lanes(self):
        return tuple(self.stack.ready(q) for q in LANES)

    def refused(self, *args, code=1, **more):
        done = self.stack.run("enqueue", *args, **more)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(self.lanes(), (0, 0, 0))
        return done.stderr

    def messages(self, queue):
        with self.stack.broker() as connection:
            channel = connection.channel()
            for shard in millrace.shards(queue):
                while True:
                    method, properties, body = channel.basic_get(shard, auto_ack=True)
                    if not method:
                        break
                    yield properties, json.loads(body)

    def test_text(self):
        ids = self.stack.enqueue("--text", "Hello", "--tenant", "acme", "-m", "k=v")
        ((properties, body),) = self.messages("millrace.main.normal")
        self.assertEqual(list(body)[0], "v")
        self.assertEqual(body["id"], ids[0])
        self.assertEqual(body["tenant"], "acme")
        self.assertEqual(body["input"], {"text": "Hello"})
        self.assertEqual(body["metadata"], {"k": "v"})
        self.assertEqual(properties.delivery_mode, 2)
        self.assertEqual(properties.message_id, ids[0])
        self.assertEqual(uuid.UUID(ids[0]).version, 7)

    def test_lanes(self):
        for priority in range(1, 11):
            self.stack.enqueue("--text", "x", "--priority", priority)
        self.assertEqual(self.lanes(), (3, 4, 3))

    def test_stdin_and_files(self):
        ids = self.stack.enqueue("-", millrace.ROOT / "README.md", millrace.ROOT / "LICENSE", stdin="from a pipe")
        self.assertEqual(len(set(ids)), 3)
        self.assertEqual(self.lanes(), (0, 3, 0))

    def test_jsonl(self):
        lines = [{"input": {"text": f"line {i}"}, "tenant": "many"} for i in range(5000)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        ids = self.stack.enqueue("--jsonl", "-", stdin=text)
        self.assertEqual(len(set(ids)), 5000)
        self.assertEqual(self.lanes(), (0, 5000, 0))

    def test_jsonl_goes_on_after_a_bad_line(self):
        done = self.stack.run(
            "enqueue", "--jsonl", "-", "-o", "ids",
            stdin='{"input":{"text":"a"}}\n{"input":\n{"input":{"text":"b"},"priority":11}\n{"input":{"text":"c"}}\n',
        )  # fmt: skip
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stdout.split()), 2)
        self.assertIn("2 confirmed, 2 refused, 0 failed", done.stderr)
        self.assertRegex(done.stderr, r"2\b")
        self.assertIn("priority", done.stderr)

    def test_bad_values(self):
        for args, words in (
            (("--text", "x", "--priority", "11"), "1 to 10"),
            (("--text", "x", "--priority", "0"), "1 to 10"),
            (("--text", "x", "--tenant", "a'; DROP TABLE jobs;--"), "tenant"),
            (("--text", "x", "--tenant", "two\nlines"), "tenant"),
            (("--text", "x", "--deadline", "yesterday"), "deadline"),
            (("--text", "x", "--bogus",), "bogus"),
            (("--text", "x", "-m", "k=1", "-m", "k=2"), "the key k is given twice"),
        ):
            with self.subTest(args=args):
                self.assertIn(words, self.refused(*args, code=2))

    def test_unknown_pipeline(self):
        done = self.stack.run("enqueue", "--text", "x", "--pipeline", "nosuch")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nosuch", done.stderr)

    def test_bad_files(self):
        folder = self.stack.folder
        empty, huge = folder / "empty.txt", folder / "huge.bin"
        empty.touch()
        huge.touch()
        os.truncate(huge, 2 << 30)
        self.assertIn("empty", self.refused(empty))
        self.assertIn("--url", self.refused(huge))
        self.assertIn("nosuch", self.refused(folder / "nosuch"))
        self.assertIn("a file's name is empty", self.refused(""))
        self.assertIn("nothing but blanks", self.refused("--text", " \n\t"))
        self.assertIn("standard input:1: the document holds", self.refused("--jsonl", "-", stdin='{"input":{"text":" "}}'))
        self.assertIn("directory", self.refused(folder))

    def test_no_claim_while_the_broker_is_down(self):
        self.stack.ops("stop", "broker")
        self.addCleanup(self.stack.ops, "start", "broker")
        done = self.stack.run("enqueue", "--text", "x", "-o", "ids", "--timeout", "1s")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, "RabbitMQ|broker")

    def begin_without_a_broker(self, *args):
        """An enqueue that has said that it waits for the broker, which is down."""
        self.stack.ops("stop", "broker")
        self.addCleanup(self.stack.ops, "start", "broker")
        process = subprocess.Popen(
            [str(millrace.BUILD / "producer" / "millrace"), "enqueue", "--text", "x", "-o", "ids", *args],
            env=self.stack.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.addCleanup(process.kill)
        said = process.stderr.readline()
        self.assertRegex(said, r"^RabbitMQ cannot be reached \(.*\); trying for up to \d+ s$")
        return process

    def test_a_broker_that_is_down_at_the_start_is_waited_for(self):
        process = self.begin_without_a_broker("--timeout", "300s")
        self.stack.ops("start", "broker")
        out, err = process.communicate(timeout=120 * millrace.PATIENCE)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn("connected to RabbitMQ\n", err)
        self.assertEqual([body["id"] for _, body in self.messages("millrace.main.normal")], out.split())

    def test_interrupted_before_there_was_a_broker(self):
        process = self.begin_without_a_broker("--timeout", "300s")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30 * millrace.PATIENCE)
        self.assertEqual((process.returncode, out), (130, ""), err)
        self.assertIn("0 confirmed, 0 refused, 1 failed", err)

    def test_no_wait_for_what_will_not_come(self):
        """A wrong password or a missing exchange is told at once."""
        wrong = self.stack.folder / "wrong"
        wrong.write_text("wrong")
        wrong.chmod(0o600)
        env = {"MILLRACE_BROKER_PASSWORD_FILE": str(wrong)}
        self.assertNotIn("trying", self.refused("--text", "x", "--timeout", "300s", code=3, env=env, timeout=60))

    def test_broker_restart_in_the_middle(self):
        """Ids that were printed are in the queue, once each or again, but never missing."""
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [str(millrace.BUILD / "producer" / "millrace"), "enqueue", "--jsonl", "-", "-o", "ids"],
            env=self.stack.env, stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.close(reader)
        line = b'{"input":{"text":"x"}}\n'
        with contextlib.closing(os.fdopen(writer, "wb", buffering=0)) as pipe:
            pipe.write(line * 2000)
            printed = {os.read(process.stdout.fileno(), 37).decode().strip()}  # it has begun
            self.stack.ops("kill", "broker")
            pipe.write(line * 100)
            self.stack.ops("start", "broker")
            pipe.write(line * 2000)
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, err)
        printed |= set(out.split())
        self.assertEqual(len(printed), 4100)
        queued = {body["id"] for _, body in self.messages("millrace.main.normal")}
        self.assertEqual(printed - queued, set())

    def test_blocked_broker_makes_no_promise(self):
        """A broker out of memory takes nothing: the command says so when its time is up."""
        self.stack.ops("rabbitmqctl", "-q", "set_vm_memory_high_watermark", "0.000001")
        self.addCleanup(self.stack.ops, "rabbitmqctl", "-q", "set_vm_memory_high_watermark", "0.4")
        time.sleep(1)  # the alarm is set by a poll of the broker's own
        done = self.stack.run("enqueue", "--text", "x", "-o", "ids", "--timeout", "3s")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    millrace.main()

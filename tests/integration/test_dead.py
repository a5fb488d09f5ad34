"""What cannot be done ends in millrace.dead with the reason, and the worker goes on."""

import datetime
import json
import random
import subprocess
import sys
import uuid

import millrace
import pika


# How documents that are broken or mean harm end; None: well. See tests/data/make_hostile.py.
HOSTILE = {
    "empty.txt": "empty",
    "blank.txt": "nothing but blanks",
    "junk.pdf": "binary data",
    "junk.docx": "binary data",
    "junk.bin": "unsupported",
    "cut.pdf": "damaged",
    "headed-junk.pdf": "damaged",
    "circular.pdf": "damaged",
    "looping.pdf": "too long",
    "bomb.pdf": "the PDF|too long",
    "scanned.pdf": "scanned",
    "encrypted.pdf": "password",
    "zip-bomb.docx": "zip bomb",
    "laughs.docx": "damaged",
    "external-entity.docx": "document type declaration",
    "encrypted.docx": "password",
    "old.doc": "before 2007",
    "cut.docx": "damaged",
    "scrambled.docx": "corrupt",
    "deep.docx": "not well-formed",
    "invalid-utf8.txt": None,
    "nul.txt": "binary data",
    "controls.txt": None,
    "utf16.txt": None,
    "deep.json": None,
    "sparse-2g.txt": "--url",
}


def envelope(**more):
    body = {"v": 1, "id": str(uuid.uuid4()), "tenant": "acme", "pipeline": "document", "input": {"text": "x y z"}}
    return {**body, **more}


class DeadTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        config = cls.stack.config('worker: { extract_timeout = "3s"; log_level = "debug"; };\n')
        cls.worker = cls.stack.worker(config=config)

    def setUp(self):
        self.stack.purge("millrace.dead")

    def tearDown(self):
        self.assertTrue(self.worker.alive(), self.worker.text())

    def dead(self, body, error_class="invalid", words=""):
        """Publishes a body as it is; returns the properties of its dead letter."""
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        self.stack.publish(body)
        millrace.wait_until("the dead letter", lambda: self.stack.ready("millrace.dead") == 1)
        ((properties, letter),) = self.stack.dead_letters()
        self.assertEqual(letter, body)
        headers = properties.headers
        self.assertEqual(headers["x-millrace-error-class"], error_class)
        self.assertIn(words, headers["x-millrace-error"])
        rows = self.stack.sql(
            "SELECT error_class, error_message FROM millrace.dead_jobs WHERE job_id = %s",
            properties.message_id, user="millrace_reader")  # fmt: skip
        self.assertEqual(len(rows), 1)
        self.assertEqual(rows[0][0], error_class)
        return properties

    def test_not_json(self):
        self.dead(b"this is no json")

    def test_nothing(self):
        self.dead(b"")

    def test_invalid_utf8(self):
        self.dead(json.dumps(envelope(input={"text": "AAAA"})).encode().replace(b"AAAA", b"\xff\xfe\xc0\x80"))

    def test_deep_json(self):
        deep = {"a": 1}
        for _ in range(10):
            deep = {"a": deep}
        self.dead(envelope(metadata=deep), words="deeper than")
        self.stack.purge("millrace.dead")
        self.dead(deep)

    def test_wrong_fields(self):
        self.dead(envelope(priority=11), words="priority")
        self.stack.purge("millrace.dead")
        self.dead(envelope(tenant="o'neil\n\"x\""), words="tenant")
        self.stack.purge("millrace.dead")
        self.dead(envelope(surprise=1), words="surprise")
        self.stack.purge("millrace.dead")
        self.dead(envelope(v=2))

    def test_unknown_pipeline(self):
        properties = self.dead(envelope(pipeline="nosuch"), words="nosuch")
        self.assertEqual(properties.headers["x-millrace-pipeline"], "nosuch")
        self.assertEqual(properties.headers["x-millrace-tenant"], "acme")

    def test_deadline_passed(self):
        past = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)).isoformat()
        self.dead(envelope(deadline=past), "deadline")

    def test_hostile_documents(self):
        """Each is refused at the door, or dead with a reason that a person understands."""
        folder = self.stack.folder / "hostile"
        maker = millrace.DATA / "make_hostile.py"
        subprocess.run([sys.executable, str(maker), str(folder)], check=True)
        jobs = {}
        for name, reason in HOSTILE.items():
            done = self.stack.run("enqueue", folder / name, "-o", "ids", "--tenant", "hostile")
            if done.returncode == 0:
                jobs[done.stdout.strip()] = (name, reason)
            else:
                self.assertRegex(done.stderr, reason, name)
        self.assertGreater(len(jobs), 15)
        self.stack.wait_ended(list(jobs), 120)
        letters = {p.message_id: p.headers for p, _ in self.stack.dead_letters(jobs)}
        for job, (name, reason) in jobs.items():
            with self.subTest(name=name):
                self.assertEqual(self.stack.states([job]), {"dead" if reason else "done": 1})
                if reason:
                    self.assertRegex(letters[job]["x-millrace-error"], reason)
                    self.assertEqual(letters[job]["x-millrace-error-class"], "invalid")
                    self.assertEqual(letters[job]["x-millrace-step"], "extract")

    def test_garbage_among_good_jobs(self):
        """Mutilated messages, and every one ends: as a job, or dead with a row and a letter."""
        chance = random.Random(11)
        bodies = [chance.randbytes(chance.randrange(0, 3000)) for _ in range(60)]
        for _ in range(140):
            body = bytearray(json.dumps(envelope(tenant="garbage")).encode())
            for _ in range(chance.randrange(1, 4)):
                at = chance.randrange(len(body))
                body[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
            bodies.append(bytes(body))
        bodies += [b"[" * 100_000, b'{"v":1' + b',"a":1' * 50_000 + b"}", b"null", b"1e999", b'"' + b"x" * 2_000_000 + b'"']
        good = self.stack.enqueue(*(["--text", "a good job"] * 50), "--tenant", "good")
        self.publish_all(bodies)
        self.assertEqual(self.stack.wait_ended(good), {"done": 50})
        self.stack.wait_queues_empty(60, but=("millrace.dead",))
        dead = self.stack.dead_letters()
        done = self.stack.value("SELECT count(*) FROM millrace.jobs WHERE tenant LIKE 'g%%' AND tenant <> 'good' AND state = 'done'")
        letters = [body for _, body in dead]
        self.assertTrue(all(body in bodies for body in letters))
        # A mutilated id may name no job of its own, but a whole body is never forgotten.
        unparsed = [body for body in bodies[:60] + bodies[200:]]
        self.assertEqual([body[:40] for body in unparsed if body not in letters], [])
        self.assertGreaterEqual(len(letters) + done, len(set(bodies)))
        for properties, _ in dead:
            headers = properties.headers
            self.assertEqual(headers["x-millrace-error-class"], "invalid")
            self.assertTrue(headers["x-millrace-error"].isprintable(), headers)
            self.assertTrue(headers["x-millrace-worker"])
            self.assertTrue(headers["x-millrace-died-at"])

    def publish_all(self, bodies):
        with self.stack.broker() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish("millrace.jobs", "main.normal.0", body, pika.BasicProperties(delivery_mode=2))

    def test_odd_properties(self):
        """The properties and headers are a stranger's too."""
        odd = (
            {"message_id": "x" * 255, "headers": {"x-millrace-tenant": "a\nb", "x-millrace-replay": "many"}},
            {"headers": {"x-millrace-replay": -7, "x-millrace-hops": 2**40, "x-millrace-origin": {"a": [1, {}]}}},
            {"headers": {"x-death": [{"count": 9, "queue": "q"}], "x-millrace-priority": True}, "priority": 200},
            {"content_type": "text/html", "content_encoding": "gzip", "delivery_mode": 1, "expiration": "600000"},
        )
        ids = []
        for properties in odd:
            body = envelope(tenant="odd")
            ids.append(body["id"])
            self.stack.publish(json.dumps(body), **properties)
        self.assertEqual(self.stack.wait_ended(ids), {"done": len(ids)})

    def test_addresses_that_are_not_fetched(self):
        for url in (
            "http://169.254.169.254/latest/meta-data/",
            "https://169.254.169.254/",
            "https://127.0.0.1:1/",
            "https://[::1]/",
            "https://localhost/",
            "https://10.0.0.1/",
            "https://0x7f000001/",
        ):
            with self.subTest(url=url):
                done = self.stack.run("enqueue", "--url", url, "-o", "ids")
                if done.returncode != 0:
                    continue  # refused at the door
                ids = done.stdout.split()
                self.assertEqual(self.stack.wait_ended(ids, 60), {"dead": 1})

    def test_list_show_drop(self):
        properties = self.dead(envelope(pipeline="nosuch"))
        job = properties.message_id
        listed = self.stack.json("dlq", "list")
        self.assertIn(job, [entry["job"] for entry in listed])
        self.assertIn("nosuch", self.stack.ok("dlq", "show", job))
        self.stack.ok("dlq", "drop", job, "--yes")
        self.assertEqual(self.stack.ready("millrace.dead"), 0)
        self.assertNotIn(job, [entry["job"] for entry in self.stack.json("dlq", "list")])
        self.assertEqual(self.stack.states([job]), {"dead": 1})  # its row stays


if __name__ == "__main__":
    millrace.main()

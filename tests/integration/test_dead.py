"""What cannot be done ends in millrace.dead with the reason, and the worker goes on."""

import datetime
import json
import uuid

import millrace


def envelope(**more):
    body = {"v": 1, "id": str(uuid.uuid4()), "tenant": "acme", "pipeline": "document", "input": {"text": "x y z"}}
    return {**body, **more}


class DeadTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.worker = cls.stack.worker()

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
        self.dead(envelope(metadata=deep))

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

    def test_junk_named_pdf(self):
        path = self.stack.folder / "junk.pdf"
        path.write_bytes(bytes(range(256)) * 40)
        self.document(path)

    def document(self, path, *args):
        ids = self.stack.enqueue(path, *args)
        self.assertEqual(self.stack.wait_ended(ids, 120), {"dead": 1})
        ((properties, _),) = millrace.wait_until("the dead letter", lambda: self.stack.dead_letters(ids))
        self.assertEqual(properties.headers["x-millrace-step"], "extract")
        self.assertEqual(properties.headers["x-millrace-error-class"], "invalid")
        return properties.headers["x-millrace-error"]

    def test_hostile_documents(self):
        folder = millrace.DATA / "hostile"
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        if not files:
            self.skipTest("no tests/data/hostile")
        for path in files:
            with self.subTest(path=path.name):
                self.document(path)

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


if __name__ == "__main__":
    millrace.main()

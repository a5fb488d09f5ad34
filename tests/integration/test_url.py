"""Documents by URL: fetched when they may be, and never from where they may not."""

import contextlib
import time

import millrace
import web

HTML = b"<html><title>Mill</title><body><p>The mill by the river was sold in 1912.</p></body></html>"


def redirect(to, status=302):
    return (status, {"Location": to}, b"")


def slow(handler):
    """A byte now and then, for longer than anybody waits."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/plain")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(600):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.1)


def endless(handler):
    """Far more than a document may have, without saying so beforehand."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/plain")
    handler.send_header("Connection", "close")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(1000):
            handler.wfile.write(b"word " * 20000)


def hang_up(handler):
    handler.close_connection = True
    handler.connection.close()


class Once:
    """The first request is answered one way, all others another."""

    def __init__(self, first, then):
        self.answers, self.then = [first], then

    def __call__(self, handler):
        status, headers, body = self.answers.pop() if self.answers else self.then
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)


TEXT = {"Content-Type": "text/plain"}
GOOD = (200, {"Content-Type": "text/html; charset=utf-8"}, HTML)
PAGES = {
    "/good.html": GOOD,
    "/once": redirect("/good.html"),
    "/loop": redirect("/loop"),
    "/metadata": redirect("http://169.254.169.254/latest/meta-data/"),
    "/private": redirect("http://10.0.0.1/"),
    "/six": redirect("http://[::ffff:169.254.169.254]/"),
    "/decimal": redirect("http://2852039166/"),
    "/file": redirect("file:///etc/passwd"),
    "/nowhere": (302, {}, b""),
    "/denied": (403, {}, b""),
    "/picture": (200, {"Content-Type": "image/png"}, b"\x89PNG"),
    "/packed": (200, {**TEXT, "Content-Encoding": "gzip"}, b"\x1f\x8b"),
    "/empty": (200, TEXT, b""),
    "/lies": (200, {**TEXT, "Content-Length": "999999999999"}, b"x"),
    "/endless": endless,
    "/slow": slow,
    "/hang-up": hang_up,
    "/busy": Once((503, {}, b""), GOOD),
}
# path: the end of its job, and words of the reason
ENDS = {
    "/good.html": None,
    "/once": None,
    "/busy": None,
    "/loop": "redirected more than 3 times",
    "/metadata": "forbidden address",
    "/private": "forbidden address",
    "/six": "forbidden address",
    "/decimal": "forbidden address",
    "/file": "malformed",
    "/nowhere": "redirects to nowhere",
    "/denied": "denies access (403)",
    "/missing": "(404)",
    "/picture": "image/png",
    "/packed": "compressed",
    "/empty": "empty",
    "/lies": "larger than",
    "/endless": "larger than",
    "/slow": "time",
    "/hang-up": "cannot fetch",
}
FORBIDDEN = (
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254/",
    "https://10.0.0.1/",
    "https://192.168.1.1/",
    "https://[fd00::1]/",
    "https://0x0a000001/",
    "https://metadata.google.internal/",
    "https://user:secret@example.com/",
    "https://example.com:22/",
)


class UrlTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.web = web.Web(PAGES)
        cls.addClassCleanup(cls.web.close)
        config = cls.stack.config(
            'worker: { fetch_http = true; fetch_allow = ["127.0.0.1"]; extract_timeout = "2s"; extract_max_bytes = "4MiB"; };\n'
        )
        cls.worker = cls.stack.worker(config=config)
        cls.jobs = {}
        for path in ENDS:
            (cls.jobs[path],) = cls.stack.enqueue("--url", cls.web.url(path))

    def tearDown(self):
        self.assertTrue(self.worker.alive(), self.worker.text())

    def end(self, job):
        """What became of it: None if done, else its dead letter's reason."""
        states = self.stack.wait_ended([job], 60)
        if states == {"done": 1}:
            return None
        letters = millrace.wait_until("the dead letter", lambda: self.stack.dead_letters([job]))
        return letters[0][0].headers["x-millrace-error"]

    def test_pages(self):
        self.stack.wait_ended(list(self.jobs.values()), 120)
        for path, reason in ENDS.items():
            with self.subTest(path=path):
                ended = self.end(self.jobs[path])
                if reason:
                    self.assertIn(reason, ended)
                else:
                    self.assertIsNone(ended)
        output = self.stack.value(
            "SELECT output FROM millrace.results WHERE job_id = %s AND step = 'extract'", self.jobs["/once"])  # fmt: skip
        self.assertEqual((output["title"], output["media_type"]), ("Mill", "text/html"))
        self.assertIn("sold in 1912", output["text"])

    def test_forbidden_addresses(self):
        for url in FORBIDDEN:
            with self.subTest(url=url):
                done = self.stack.run("enqueue", "--url", url, "-o", "ids")
                if done.returncode == 0:
                    self.assertTrue(self.end(done.stdout.strip()))
        self.assertNotIn("secret", self.worker.text())

    def test_z_no_allowance_by_default(self):
        """Without fetch_allow and fetch_http even this machine's own web server is out of reach."""
        self.assertEqual(self.worker.stop(), 0)
        seen = len(self.web.seen)
        plain = self.stack.worker()
        try:
            (job,) = self.stack.enqueue("--url", self.web.url("/good.html"))
            self.assertIn("https only", self.end(job))
            (job,) = self.stack.enqueue("--url", "https://127.0.0.1:8443/")
            self.assertIn("forbidden address: loopback", self.end(job))
        finally:
            plain.kill()
        self.assertEqual(len(self.web.seen), seen)
        type(self).worker = self.stack.worker()


if __name__ == "__main__":
    millrace.main()

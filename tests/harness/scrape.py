"""Asks a worker how it is: /metrics as exact numbers, /readyz and /healthz as they are answered."""

import decimal
import json
import re
import urllib.error
import urllib.request

import millrace

SAMPLE = re.compile(r'^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
ANYWHERE = ("--listen", "127.0.0.1:0")


def port_of(worker):
    def told():
        lines = [json.loads(line) for line in worker.text().splitlines() if '"http.listening"' in line]
        return lines[0]["port"] if lines else None

    return millrace.wait_until("the worker to listen", told)


class Scrape:
    """Of a worker that was started with ANYWHERE among its arguments."""

    def __init__(self, worker):
        self.url = f"http://127.0.0.1:{port_of(worker)}"

    def get(self, path):
        """(status, content type, body)"""
        try:
            answer = urllib.request.urlopen(self.url + path, timeout=30 * millrace.PATIENCE)
        except urllib.error.HTTPError as err:
            answer = err
        with answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()

    def ready(self):
        """(whether, [reasons])"""
        status, _, body = self.get("/readyz")
        value = json.loads(body)
        if (status == 200) != value["ready"] or status not in (200, 503):
            raise AssertionError(f"{status}: {body}")
        return value["ready"], value["reasons"]

    def wait_ready(self, seconds=60):
        millrace.wait_until("the worker to be ready", lambda: self.ready()[0], seconds)

    def wait_not_ready(self, reason, seconds=60):
        """Until it is not, for a reason with these words."""
        millrace.wait_until(
            f"a worker that is not ready: {reason}",
            lambda: any(reason in r for r in self.ready()[1]), seconds,
        )  # fmt: skip

    def samples(self):
        """{(name, ((label, value), ...)): Decimal}"""
        found = {}
        for line in self.get("/metrics")[2].splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = SAMPLE.match(line).groups()
            key = (name, tuple(LABEL.findall(labels or "")))
            if key in found:
                raise AssertionError(f"twice: {line}")
            found[key] = decimal.Decimal(value)
        return found

    def by(self, name, *labels):
        """{(values of these labels): sum}, without those that are zero."""
        sums = {}
        for (found, pairs), value in self.samples().items():
            if found == name and value:
                key = tuple(dict(pairs)[label] for label in labels)
                sums[key] = sums.get(key, 0) + value
        return sums

    def total(self, name):
        return sum(self.by(name).values(), decimal.Decimal(0))

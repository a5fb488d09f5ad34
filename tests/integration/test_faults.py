"""Every way a provider misbehaves: its class, how often it is tried, and what it costs.

Each case is a pipeline of one call against a scripted model. All jobs run at the same time, since
most of the time of such a job is back-off."""

import socket

import judge
import millrace

MISS, GONE, PAID = "ambiguous", "released", "settled"

# case: (script of the model, how the job ends, its calls in order as (state, class), words said)
OPENAI = {
    "good": ("", "done", [(PAID, None)], ""),
    "throttled": ("error=429*1+retry_after=3", "done", [(GONE, "rate_limited"), (PAID, None)], ""),
    "throttled-on": ("error=429", "dead", [(GONE, "rate_limited")] * 5, "HTTP 429"),
    "error-500": ("error=500*1", "done", [(GONE, "server"), (PAID, None)], ""),
    "error-502": ("html*1", "done", [(GONE, "server"), (PAID, None)], ""),
    "error-503": ("error=503*1", "done", [(GONE, "overloaded"), (PAID, None)], ""),
    "error-504": ("error=504*1", "done", [(MISS, "server"), (PAID, None)], ""),
    "error-529": ("error=529*1", "done", [(GONE, "overloaded"), (PAID, None)], ""),
    "error-500-on": ("error=500", "dead", [(GONE, "server")] * 4, "HTTP 500"),
    "bad-request": ("error=400", "dead", [(GONE, "invalid")], "as the script says"),
    "no-such-model": ("error=404", "dead", [(GONE, "invalid")], "HTTP 404"),
    "too-large": ("error=413", "dead", [(GONE, "invalid")], "HTTP 413"),
    "key": ("error=401", "dead", [(GONE, "auth")], "HTTP 401"),
    "purse": ("error=402", "dead", [(GONE, "quota")], "HTTP 402"),
    "forbidden": ("error=403", "dead", [(GONE, "auth")], "HTTP 403"),
    "quota": ("quota", "dead", [(GONE, "quota")], "quota"),
    "truncated": ("truncate*1", "done", [(MISS, "ambiguous"), (PAID, None)], ""),
    "malformed": ("malformed*1", "done", [(MISS, "ambiguous"), (PAID, None)], ""),
    "hang-up-before": ("hangup=before*1", "done", [(MISS, "ambiguous"), (PAID, None)], ""),
    "hang-up-after": ("hangup=after*1", "done", [(MISS, "ambiguous"), (PAID, None)], ""),
    "silent-before": ("hang=before*1", "done", [(MISS, "ambiguous"), (PAID, None)], ""),
    "silent-after": ("hang=after*1", "done", [(MISS, "ambiguous"), (PAID, None)], ""),
    "late": ("delay=4000*1", "done", [(MISS, "ambiguous"), (PAID, None)], ""),
    "lost-on": ("hangup=after", "dead", [(MISS, "ambiguous")] * 2, ""),
    "empty": ("empty*1", "done", [(PAID, "bad_output"), (PAID, None)], ""),
    "empty-on": ("empty", "dead", [(PAID, "bad_output")] * 2, "empty"),
    "cut": ("length*1", "done", [(PAID, "bad_output"), (PAID, None)], ""),
    "cut-on": ("length", "dead", [(PAID, "bad_output")] * 2, "raise max_tokens"),
    "refusal": ("refusal", "dead", [(PAID, "refused")], "cannot help"),
    "schema": ("", "dead", [(PAID, "bad_output")] * 2, "schema"),
    "no-json": ("", "dead", [(PAID, "bad_output")] * 2, "not JSON"),
}
ANTHROPIC = {
    "a-good": ("cached=50", "done", [(PAID, None)], ""),
    "a-overloaded": ("error=529*1", "done", [(GONE, "overloaded"), (PAID, None)], ""),
    "a-throttled": ("error=429*1+retry_after=1", "done", [(GONE, "rate_limited"), (PAID, None)], ""),
    "a-refusal": ("refusal", "dead", [(PAID, "refused")], ""),
    "a-cut": ("length*1", "done", [(PAID, "bad_output"), (PAID, None)], ""),
    "a-key": ("error=401", "dead", [(GONE, "auth")], "HTTP 401"),
}
ELSEWHERE = {
    "closed-port": (None, "dead", [(GONE, "network")] * 3, "127.0.0.1"),
    "wrong-key": (None, "dead", [(GONE, "auth")], "wrong key"),
}
CASES = {**OPENAI, **ANTHROPIC, **ELSEWHERE}
LATE = ("silent-before", "silent-after", "late")
# No value the stand-in makes up is as large as this.
SCHEMA = '{"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 5}}}'
# provider and model of ops/prices.cfg: dollars per million input, cached and output tokens
PRICED = {"model": "gpt-6-luna", "input": 100_000, "cached": 10_000, "output": 500_000}


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def case_config(name, standin):
    """The provider, the model and the pipeline of one case: nobody else's failures open its breaker."""
    kind, url = ("anthropic", standin.url) if name in ANTHROPIC else ("openai", f"{standin.url}/v1")
    url = f"http://127.0.0.1:{closed_port()}/v1" if name == "closed-port" else url
    key = "other" if name == "wrong-key" else "good"
    provider = f'{{ name = "{name}"; kind = "{kind}"; base_url = "{url}"; key_file = "{key}.key"; }}'
    accepts = 'accepts = ["max_tokens"];' if name == "no-json" else ""
    schema = 'schema_file = "strict.json";' if name in ("schema", "no-json") else ""
    timeout = 'timeout = "2s";' if name in LATE else 'timeout = "20s";'
    model = f'{{ alias = "{name}"; provider = "{name}"; model = "{name}"; {accepts} }}'
    step = f'{{ name = "call"; kind = "chat"; model = "{name}"; prompt = "{{{{input.text}}}}"; max_attempts = 2; patience = "0s"; {timeout} {schema} }}'
    return provider, model, f'{{ name = "{name}"; steps = ( {step} ); }}'


def configuration(standin, state):
    files = {"good.key": "sk-good-0123456789", "other.key": "sk-other-0123456789"}
    for name, key in files.items():
        path = state / name
        path.write_text(key + "\n")
        path.chmod(0o600)
    (state / "strict.json").write_text(SCHEMA)
    cases = [case_config(name, standin) for name in CASES]
    models = [model for _, model, _ in cases] + [f'{{ alias = "priced"; provider = "openai"; model = "{PRICED["model"]}"; }}']
    pipelines = [pipeline for *_, pipeline in cases]
    pipelines.append('{ name = "priced"; steps = ( { name = "call"; kind = "chat"; model = "priced"; prompt = "{{input.text}}"; } ); }')
    return f"""
providers: (
    {{ name = "openai"; kind = "openai"; base_url = "{standin.url}/v1"; key_file = "good.key"; }},
    {", ".join(provider for provider, *_ in cases)}
);
models: ( {", ".join(models)} );
pipelines: ( {", ".join(pipelines)} );
"""


class FaultsTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.standin = cls.stack.standin("--key", "sk-good-0123456789")
        cls.config = cls.stack.config(configuration(cls.standin, cls.stack.state))
        cls.stack.env["MILLRACE_CONFIG"] = str(cls.config)
        cls.worker = cls.stack.worker(config=cls.config)
        cls.jobs = {}
        for name, (script, *_) in CASES.items():
            if script:
                cls.standin.script(script, name)
            (cls.jobs[name],) = cls.stack.enqueue("--pipeline", name, "--text", "The mill was sold in 1912.")
        cls.standin.script("cached=30+output=77", PRICED["model"])
        (cls.priced,) = cls.stack.enqueue("--pipeline", "priced", "--text", "What is it? " * 200)

    def calls(self, job):
        return self.stack.sql(
            "SELECT state, class, message, cost_pico, hold_pico, http_status, started_at, settled_at"
            " FROM millrace.calls WHERE job_id = %s ORDER BY attempt", job)  # fmt: skip

    def test_cases(self):
        self.stack.wait_ended(list(self.jobs.values()), 90)
        for name, (_, end, expected, words) in CASES.items():
            with self.subTest(name=name):
                job = self.jobs[name]
                self.assertEqual(self.stack.states([job]), {end: 1})
                calls = self.calls(job)
                self.assertEqual([row[:2] for row in calls], expected)
                for state, error_class, message, cost, hold, *_ in calls:
                    self.assertEqual(cost, {GONE: 0, MISS: hold, PAID: cost}[state])
                    self.assertTrue(0 < hold and cost <= hold and (state != PAID or cost > 0))
                    self.assertEqual(message is None, error_class is None)
                if end == "dead":
                    (row,) = self.stack.sql("SELECT error_class, error_message, step FROM millrace.dead_jobs WHERE job_id = %s", job)
                    self.assertEqual((row[0], row[2]), (expected[-1][1], "call"))
                    self.assertIn(words, row[1])

    def test_retry_after_is_kept(self):
        self.stack.wait_ended([self.jobs["throttled"]], 90)
        first, second = self.calls(self.jobs["throttled"])
        self.assertGreater((second[6] - first[7]).total_seconds(), 2.9)

    def test_dead_letters_say_what_was_spent(self):
        self.stack.wait_ended(list(self.jobs.values()), 90)
        jobs = {self.jobs[n]: n for n in CASES if CASES[n][1] == "dead"}
        millrace.wait_until("the letters", lambda: len(self.stack.dead_letters(jobs)) == len(jobs))
        for properties, _ in self.stack.dead_letters(jobs):
            expected = CASES[jobs[properties.message_id]][2]
            headers = properties.headers
            self.assertEqual(headers["x-millrace-error-class"], expected[-1][1])
            self.assertEqual(headers["x-millrace-attempts"], len(expected))
            self.assertEqual(float(headers["x-millrace-spent-usd"]) > 0, expected[-1][0] != GONE)

    def test_price_to_the_last_digit(self):
        self.assertEqual(self.stack.wait_ended([self.priced], 60), {"done": 1})
        (row,) = self.stack.sql(
            "SELECT price_unknown, input_tokens, cached_tokens, output_tokens, cost_pico, hold_pico FROM millrace.calls WHERE job_id = %s", self.priced
        )
        unknown, given, cached, output, cost, hold = row
        self.assertFalse(unknown)
        self.assertEqual(output, 77)
        self.assertGreater(cached, 0)
        self.assertEqual(cost, given * PRICED["input"] + cached * PRICED["cached"] + output * PRICED["output"])
        self.assertGreater(hold, cost)
        usd = self.stack.value("SELECT cost_usd FROM millrace.job_overview WHERE job_id = %s", self.priced)
        self.assertEqual(int(usd * 10**12), cost)

    def test_no_key_in_logs_rows_or_letters(self):
        self.stack.wait_ended(list(self.jobs.values()), 90)
        messages = self.stack.sql("SELECT message FROM millrace.calls UNION ALL SELECT error_message FROM millrace.jobs")
        letters = [str(p.headers) for p, _ in self.stack.dead_letters()]
        for text in (self.worker.text(), str(messages), *letters):
            self.assertNotIn("0123456789", text.replace("-0000-", ""))

    def test_z_ledger_equals_calls(self):
        self.stack.wait_queues_empty(60, but=("millrace.dead",))
        faults, facts = judge.compare_ledger(self.stack, self.standin)
        print(f"# {facts}")
        self.assertEqual(faults, [])
        self.assertNotIn("open", facts)
        # Of the lost answers, those the provider did bill are known to us by their id.
        self.assertEqual(facts["ambiguous and billed"], 7)


if __name__ == "__main__":
    millrace.main()

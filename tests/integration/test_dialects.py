"""The same jobs through the other wire formats: Anthropic's, and one that is described in the configuration."""

import judge
import millrace

TEXT = "The mill by the river was sold in 1912. Acme Ltd paid 900 pounds for it."

CUSTOM = r"""
    custom = {
        path = "/v1/chat/completions";
        key_header = "x-api-key";
        headers = ["x-test: custom"];
        body = "{\"model\":{{model}},\"messages\":[{\"role\":\"user\",\"content\":{{user}}}],"
               "\"max_tokens\":{{max_tokens}},\"response_format\":{\"schema\":{{schema}}}}";
        text = "choices[0].message.content";
        finish = "choices[0].finish_reason";
        ok = ["stop"]; length = ["length"];
        served_model = "model";
        input = "usage.prompt_tokens"; cached = "usage.prompt_tokens_details.cached_tokens";
        output = "usage.completion_tokens";
        error = "error.message";
    };
"""


class Dialect:
    """What holds in every dialect; subclasses say which."""

    kind = ""
    more = ""
    accepts = ""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        key = "sk-very-secret-123456"
        cls.standin = cls.stack.standin("--key", key)
        key_file = cls.stack.state / "standin.key"
        key_file.write_text(key + "\n")
        key_file.chmod(0o600)
        more = f'key_file = "standin.key"; {cls.more}'
        text = cls.standin.config(kind=cls.kind, more=more, summarizer="sum", extractor="ent")
        # Elsewhere than at the vendor's, its way of structured output is for those who name it.
        text = text.replace('model = "ent";', f'model = "ent"; {cls.accepts}')
        cls.worker = cls.stack.worker(config=cls.stack.config(text))

    def run_job(self, state="done", **scripts):
        for model in ("sum", "ent"):
            self.standin.script(scripts.get(model, ""), model)
        ids = self.stack.enqueue("--text", TEXT)
        self.assertEqual(self.stack.wait_ended(ids, 90), {state: 1})
        return ids[0]

    def calls(self, job, step):
        return self.stack.sql(
            "SELECT state, class FROM millrace.calls WHERE job_id = %s AND step = %s ORDER BY attempt", job, step
        )

    def test_good(self):
        job = self.run_job(sum="cached=50+output=7")
        self.assertEqual(self.calls(job, "summarize"), [("settled", None)])
        self.assertEqual(self.calls(job, "entities"), [("settled", None)])
        (row,) = self.stack.sql(
            "SELECT id::text, input_tokens, cached_tokens, output_tokens, served_model, request_id"
            " FROM millrace.calls WHERE job_id = %s AND step = 'summarize'", job)  # fmt: skip
        (entry,) = [e for e in self.standin.ledger("sum") if e["call"] == row[0]]
        self.assertEqual(row[1:], (entry["input"], entry["cached"], 7, "sum", "standin"))

    def test_throttled_by_its_own_limit(self):
        self.standin.script("", "ent")
        self.standin.script("ratelimit=60/0/1", "sum")
        ids = self.stack.enqueue("--text", TEXT) + self.stack.enqueue("--text", TEXT + " And so on.")
        self.assertEqual(self.stack.wait_ended(ids, 90), {"done": 2})
        classes = self.stack.sql("SELECT class, count(*)::int FROM millrace.calls WHERE job_id = ANY(%s::uuid[])"
                                 " AND step = 'summarize' AND state = 'settled' GROUP BY 1", ids)  # fmt: skip
        self.assertEqual(classes, [(None, 2)])

    def test_cut(self):
        job = self.run_job(sum="length*1")
        self.assertEqual(self.calls(job, "summarize"), [("settled", "bad_output"), ("settled", None)])

    def test_bad_request(self):
        job = self.run_job("dead", sum="error=400")
        self.assertIn("as the script says", self.stack.value("SELECT error_message FROM millrace.jobs WHERE id = %s", job))

    def test_zz_ledger_equals_calls(self):
        self.stack.wait_queues_empty(60, but=("millrace.dead",))
        faults, facts = judge.compare_ledger(self.stack, self.standin)
        print(f"# {facts}")
        self.assertEqual(faults, [])


class AnthropicTest(Dialect, millrace.StackCase):
    kind = "anthropic"
    accepts = 'accepts = ["output_config"];'


class CustomTest(Dialect, millrace.StackCase):
    kind = "custom"
    more = CUSTOM


if __name__ == "__main__":
    millrace.main()

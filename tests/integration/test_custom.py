"""A provider whose wire format is described in the configuration: here the stand-in's, which is OpenAI's."""

import millrace

TEXT = "The mill by the river was sold in 1912. Acme Ltd paid 900 pounds for it."

CUSTOM = r"""
custom = {
    path = "/chat/completions";
    key_header = "Authorization: Bearer";
    headers = ["x-team: documents"];
    body = "{ \"model\": {{model}}, \"max_tokens\": {{max_tokens}}, \"messages\": ["
           "{ \"role\": \"system\", \"content\": {{system}} }, { \"role\": \"user\", \"content\": {{user}} } ] }";
    text = "choices[0].message.content";
    finish = "choices[0].finish_reason"; ok = ["stop"]; length = ["length"]; refused = ["content_filter"];
    served_model = "model";
    input = "usage.prompt_tokens"; cached = "usage.prompt_tokens_details.cached_tokens";
    output = "usage.completion_tokens";
    error = "error.message";
};
"""


class CustomTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.standin = cls.stack.standin("--key", "sk-custom-key")
        key_file = cls.stack.state / "custom.key"
        key_file.write_text("sk-custom-key\n")
        key_file.chmod(0o600)
        url = f'base_url = "{cls.standin.url}/v1"; key_file = "custom.key";'
        provider = f'{{ name = "described"; kind = "custom"; {url} {CUSTOM} }}'
        model = '{ alias = "default"; provider = "described"; model = "standin"; }'
        config = cls.stack.config(f"providers: ( {provider} );\nmodels: ( {model} );\n")
        cls.worker = cls.stack.worker(config=config)

    def call_of(self, script, state):
        self.standin.script(script)
        (job,) = self.stack.enqueue("--pipeline", "prompt", "--text", TEXT)
        self.assertEqual(self.stack.wait_ended([job], 90), {state: 1})
        return self.stack.sql(
            "SELECT c.id::text, class, model, input_tokens, cached_tokens, output_tokens"
            " FROM millrace.calls c WHERE job_id = %s AND state = 'settled' ORDER BY attempt", job)  # fmt: skip

    def test_the_answer_and_its_usage_are_read(self):
        (row,) = self.call_of("output=70+cached=40", "done")
        (entry,) = [e for e in self.standin.ledger("standin") if e["call"] == row[0]]
        self.assertEqual(row[1:], (None, "standin", entry["input"], entry["cached"], 70))
        self.assertGreater(entry["cached"], 0)

    def test_failures_are_told_apart(self):
        self.assertEqual([row[1] for row in self.call_of("length*1", "done")], ["bad_output", None])
        self.assertEqual([row[1] for row in self.call_of("empty", "dead")], ["bad_output"] * 2)
        self.assertEqual(self.call_of("error=400", "dead"), [])


if __name__ == "__main__":
    millrace.main()

"""What is set around the jobs of a chaos run: the fleet's limits, endpoints with fates of their own,
rules that choose a model, caps that come and go meanwhile, one tenant's flood. Drawn from the seed by
a chance of their own, so that drawing more here changes no other part of a run."""

import math
import random

TEXT_MANY = 1000  # bytes; a prompt has some hundred or some thousand, see Plan._job
ASKED = 80  # tokens a call asks of its limits beside those of its text

# What an endpoint does beside a good one. "gone": nobody listens there.
FATES = (
    "gone", "error=503", "error=401", "html@50", "delay=20-200", "error=429@20*5+retry_after=1",
    "hangup=before@50", "error=529@40*10", "hangup=after@10*3",
)  # fmt: skip
# When a rule takes another model: its words, and the same of a job.
WHENS = (
    (f"prompt_bytes < {TEXT_MANY}", lambda job: len(job["input"]["text"]) < TEXT_MANY),
    (f"prompt_tokens >= {TEXT_MANY // 4}", lambda job: len(job["input"]["text"]) >= TEXT_MANY),
    ("metadata.tier == 'cheap'", lambda job: job.get("metadata", {}).get("tier") == "cheap"),
    ("tenant in ('t0', 't2') && priority < 6", lambda job: job["tenant"] in ("t0", "t2") and job["priority"] < 6),
)
# Tenants whose jobs share no queue (common/shard.c; tests/integration/test_fair.py).
FLOOD, QUIET = "flood", "bay"
FLOOD_JOBS, QUIET_JOBS = 500, 12


class Terms:
    def __init__(self, seed):
        self.chance = random.Random(f"millrace-terms-{seed}")
        self.limits = {}  # alias: {rpm, tpm, concurrency}
        self.tenants = {}  # tenant: (rpm, tpm)
        self.enforced = {}  # alias: requests a minute that the provider itself keeps to
        self.endpoints = {}  # provider: {name: fate}, "" for as its models do
        self.choose = {}  # alias: (words, condition, alias)
        self.changes = []  # (second, "cap", tenant, cap)
        self.flood = False
        self.calm = False  # nothing that would excuse a limit that is not kept

    def draw(self, plan, pipelines, aliases):
        chance = self.chance
        if chance.random() < 0.06:
            self.flood = True
            return
        for job in plan.jobs:
            if chance.random() < 0.5:
                job["metadata"] = {"tier": chance.choice(("cheap", "gold"))}
        if chance.random() < 0.25:
            words, holds = chance.choice(WHENS)
            self.choose["luna"] = (words, holds, chance.choice(("haiku", "nano")))
        if chance.random() < 0.3:
            for alias in chance.sample(aliases, chance.randint(1, 3)):
                self.limits[alias] = self._limits(plan, self._calls(plan.jobs, pipelines, alias), plan.manners[alias][0])
        if chance.random() < 0.2:
            for tenant in {job["tenant"]: 0 for job in plan.jobs}:
                limits = self._limits(plan, self._calls([j for j in plan.jobs if j["tenant"] == tenant], pipelines), "")
                self.tenants[tenant] = (limits.get("rpm"), limits.get("tpm"))
        self.calm = bool(self.limits or self.tenants) and chance.random() < 0.5
        if chance.random() < 0.1:
            alias = chance.choice(aliases)
            self.enforced[alias] = max(600, len(self._calls(plan.jobs, pipelines, alias)) * 30)
        if chance.random() < 0.25:
            names = chance.choice((("b",), ("b", "c")))
            self.endpoints[chance.choice(("openai", "openai", "anthropic"))] = {"a": "", **{n: chance.choice(FATES) for n in names}}
        if chance.random() < 0.25:
            for _ in range(chance.randint(1, 3)):
                tenant = chance.choice(plan.jobs)["tenant"]
                self.changes.append((round(chance.uniform(0, 2.5), 2), "cap", tenant, plan._cap(chance)))

    @staticmethod
    def _calls(jobs, pipelines, alias=None):
        """The text of each call that these jobs will make of a model, or of any."""
        return [
            job["input"]["text"] for job in jobs for _, model, _, _ in pipelines[job["pipeline"]]
            if model and alias in (None, model)
        ]  # fmt: skip

    def _limits(self, plan, texts, manner):
        """So wide that they are felt, and add some seconds at most: rarely so many that a fleet that
        kept to none would be seen by them (see judge.limits_kept)."""
        seconds = self.chance.choice((0.5, 1, 1, 2, 2, 3, 6))
        slow = 0.35 if "100-600" in manner else 0.1
        tokens = sum(len(text) // 4 + ASKED for text in texts)
        found = {
            "rpm": max(120, math.ceil(len(texts) * 60 / seconds)),
            "tpm": max(60_000, math.ceil(tokens * 60 / seconds)),
            "concurrency": max(2, math.ceil(len(texts) * slow / seconds)),
        }
        return {name: found[name] for name in self.chance.sample(list(found), self.chance.randint(1, 3))}

    # ---- what follows from it

    def more(self, alias):
        """The keys of a model in the configuration."""
        words = [f"{name} = {value};" for name, value in self.limits.get(alias, {}).items()]
        if alias in self.choose:
            when, _, use = self.choose[alias]
            words.append(f'choose = ( {{ when = "{when}"; use = "{use}"; }} );')
        return " ".join(words)

    def taken(self, job, alias):
        """The alias that a step of this job gets."""
        if alias in self.choose and self.choose[alias][1](job):
            return self.choose[alias][2]
        return alias

    def __str__(self):
        lines = [f"  model {alias}: {self.more(alias)}" for alias in {**self.limits, **self.choose}]
        lines += [f"  model {alias}: the provider keeps to {rpm} requests a minute" for alias, rpm in self.enforced.items()]
        lines += [f"  tenant {tenant}: rpm {rpm}, tpm {tpm}" for tenant, (rpm, tpm) in self.tenants.items()]
        lines += [
            f"  endpoint {name} of {provider}: {fate or 'as its models'}"
            for provider, places in self.endpoints.items() for name, fate in places.items()
        ]  # fmt: skip
        return "\n".join(lines)

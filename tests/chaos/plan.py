"""What happens in one chaos run, all of it drawn from the seed: jobs, tenants, how the providers
behave, and which faults come when; terms.py has what is set around them. Drawing needs nothing else,
so a seed says it all."""

import random
import uuid

import terms

SLOTS = 3  # places for workers; the enqueue command has one more
PRODUCER = SLOTS

# Provider and model of ops/prices.cfg, and their rates by heart: pico-dollars a token as input,
# cached, output. An unknown model is charged at the ceiling.
MODELS = {
    "luna": ("openai", "gpt-6-luna", (100_000, 10_000, 500_000)),
    "haiku": ("anthropic", "claude-haiku-5.5", (100_000, 10_000, 500_000)),
    "nobody": ("openai", "a-model-nobody-knows", (30_000_000, 30_000_000, 100_000_000)),
}
# One that no step names, only rules.
CHOSEN = {"nano": ("openai", "gpt-5.4-nano", (200_000, 20_000, 1_250_000))}

# pipeline: [(step, model or None for extract, after, more)]
PIPELINES = {
    "one": [("ask", "luna", [], "")],
    "line": [("extract", None, [], ""), ("sum", "luna", ["extract"], ""), ("judge", "haiku", ["sum"], "")],
    "deep": [("a", "luna", [], ""), ("b", "luna", ["a"], ""), ("c", "haiku", ["b"], ""), ("d", "luna", ["c"], "")],
    "fan": [
        ("extract", None, [], ""),
        ("x", "luna", ["extract"], ""), ("y", "haiku", ["extract"], ""), ("z", "nobody", ["extract"], ""),
        ("join", "luna", ["x", "y", "z"], ""),
    ],
    "side": [
        ("main", "luna", [], ""), ("side", "nobody", ["main"], 'on_error = "skip";'),
        ("end", "haiku", ["main", "side"], ""),
    ],
    "shared": [("ask", "luna", [], 'cache = "1h";')],
    "soft": [("ask", "haiku", [], 'task = "summary"; on_error = "degrade";'), ("end", "luna", ["ask"], "")],
    "hop": [("here", "luna", [], ""), ("there", "haiku", ["here"], 'pool = "other";')],
}  # fmt: skip

# How a model behaves: (script, what a job may die of because of it). See tests/standin/script.h. No
# outage is among what it may die of.
MANNERS = [
    ("", ()), ("", ()), ("", ()),
    ("error=429@30*6+retry_after=1", ()),
    ("error=529@30*4", ()), ("error=503@30*4", ()),
    ("error=500@20*3", ()), ("html@30*3", ()),
    ("hangup=after@20*4", ()), ("hangup=before@20*4", ()), ("truncate@20*4", ()), ("malformed@20*4", ()),
    ("hang=after*1", ()), ("hang=before*1", ()),
    ("empty@10*2", ("bad_output",)), ("length@10*2", ("bad_output",)), ("refusal@10*2", ("refused",)),
    ("cached=60", ()),
]  # fmt: skip
DELAYS = ("", "delay=1-30", "delay=20-150", "delay=100-600")

WIRE = (
    # point, largest k, when, weight
    ("claim", 3, ("before", "sent", "lost", "after"), 3),
    ("commit", 12, ("before", "sent", "lost", "after"), 6),
    ("settle", 12, ("before", "sent", "lost", "after"), 4),
    ("sync", 15, ("before", "sent", "lost", "after"), 2),
    ("beat", 4, ("before", "sent", "lost", "after"), 1),
    ("request", 20, ("before", "sent", "lost", "after"), 5),
    ("response", 20, ("before", "after"), 3),
    ("ack", 20, ("before", "sent"), 4),
    ("publish", 10, ("before", "sent", "lost", "after"), 4),
    ("confirm", 8, ("before", "after"), 2),
    ("deliver", 10, ("before", "after"), 2),
)
ACTIONS = (("kill", 6, 0, 0), ("reset", 3, 0, 0), ("cut", 2, 0, 0), ("stall", 2, 100, 2500),
           ("stop", 2, 200, 3000), ("term", 1, 0, 0))  # fmt: skip
# Faults from outside: kind, weight. The slow ones are rare.
OUTSIDE = (
    ("kill", 6), ("freeze", 4), ("term", 2), ("drop", 4), ("stall", 4), ("restart-database", 2),
    ("kill-database", 1), ("pause-database", 2), ("pause-broker", 2), ("fill", 1.5), ("memory", 1),
    ("storm", 4), ("cancel", 2), ("restart-broker", 0.5), ("clock", 1.5),
)  # fmt: skip


POINTS = [name for name, *_ in WIRE]


def of(name):
    """The plan of a seed, or of a point."""
    return Plan.of_point(name) if name in POINTS else Plan(name)


def pick(chance, rows, weight=-1):
    return chance.choices(rows, [row[weight] for row in rows])[0]


class Plan:
    def __init__(self, seed):
        chance = random.Random(f"millrace-{seed}")
        self.seed = seed
        self.workers = chance.choice((2, 3))
        self.slots = chance.choice((2, 8, 32, 64))
        self.lease_max = chance.choice(("15m",) * 9 + ("1s",))
        self.more = {"luna": 'fallback = ["haiku"];'} if chance.random() < 0.25 else {}
        self.manners = {m: self._manner(chance) for m in MODELS}
        names = chance.sample([p for p in PIPELINES if p != "hop"], chance.randint(1, 3))
        self.hops = chance.random() < 0.15
        if self.hops:
            names.append("hop")
            self.workers = 3  # the last one serves the pool "other"
        tenants = [f"t{i}" for i in range(chance.randint(1, 5))]
        self.jobs = [self._job(chance, n, tenants, names) for n in range(chance.randint(5, 60))]
        self.rules = [self._rule(chance, n) for n in range(chance.randint(0, 5))]
        self.faults = sorted((self._fault(chance) for _ in range(chance.randint(0, 3))), key=lambda f: f[0])
        self.caps = {t: self._cap(chance) for t in tenants if chance.random() < 0.5} if chance.random() < 0.4 else {}
        self.relief = chance.choice(("cancel", "lift"))  # what becomes of those that a cap has parked
        # No job dies of an outage: only of answers it got itself, and of answers lost in a row.
        self.allowed = {"ambiguous"} | {may for _, all_may in self.manners.values() for may in all_may}
        if self.caps:
            self.allowed.add("capped")
        self.strict = False  # a worker's first calls wait until it knows the fleet's limits
        self.terms = terms.Terms(seed)
        self.terms.draw(self, PIPELINES, list(MODELS))
        self._set_terms()

    def _set_terms(self):
        if self.terms.flood:
            self._set_flood()
        for alias, rpm in self.terms.enforced.items():
            script, may = self.manners[alias]
            self.manners[alias] = "+".join(s for s in (script, f"ratelimit={rpm}/0/2") if s), may
        if self.terms.calm:
            kept = [rule.split(" ", 1)[1] for rule in self.rules if not self._stops_way(rule)]
            self.rules = [f"{n} {rule}" for n, rule in enumerate(kept)]
            self.faults = [fault for fault in self.faults if not self._stops_fleet(fault)]
        self.faults = sorted(self.faults + self.terms.changes, key=lambda f: f[0])
        if self.terms.changes:
            self.allowed.add("capped")

    def _set_flood(self):
        """One tenant sends very many jobs, another one some after them; who dies are workers at most."""
        chance = self.terms.chance
        self.workers, self.slots, self.lease_max, self.hops = 2, 8, "15m", False
        self.manners, self.more = {m: ("delay=20-150", ()) for m in MODELS}, {}
        who = [terms.FLOOD] * terms.FLOOD_JOBS + [terms.QUIET] * terms.QUIET_JOBS
        self.jobs = [{**self._job(chance, n, [tenant], ["one"]), "priority": 5} for n, tenant in enumerate(who)]
        for job in self.jobs:
            job.pop("idempotency_key", None)
        self.rules, self.caps, self.allowed = [], {}, {"ambiguous"}
        self.faults = [(at, kind, slot % 2) for at, kind, slot, *_ in self.faults[:1] if kind in ("kill", "term")]

    @classmethod
    def of_point(cls, point):
        """kill -9 at one point of the protocol, in each of its places, among quiet jobs."""
        self = cls(0)
        chance = random.Random(point)
        self.seed = point
        self.workers, self.slots, self.lease_max, self.hops = 2, 8, "15m", False
        self.manners, self.more = {m: ("delay=5-30", ()) for m in MODELS}, {}
        self.jobs = [self._job(chance, n, ["t0"], ["line", "fan"]) for n in range(40)]
        (whens,) = [whens for name, _, whens, _ in WIRE if name == point]
        self.rules = [f"{n} * {point} {2 * n + 1} {when} kill 0" for n, when in enumerate(whens)]
        self.faults, self.caps, self.allowed = [], {}, {"ambiguous"}
        self.terms = terms.Terms(point)
        return self

    def disturbed(self):
        """Whether the way to the database or the providers is: then limits need not be kept to. What
        the database cannot be asked is let through, and what a stalled connection holds back counts
        nowhere."""
        return any(map(self._stops_way, self.rules)) or any(map(self._stops_fleet, self.faults))

    @staticmethod
    def _stops_way(rule):
        _, _, point, _, _, action, _ = rule.split()
        far = ("claim", "commit", "settle", "sync", "beat", "request", "response")
        return action == "stop" or point in far and action in ("reset", "cut", "stall")

    @staticmethod
    def _stops_fleet(fault):
        _, kind, *more = fault
        return kind == "freeze" or kind.endswith("-database") or kind in ("drop", "stall") and more[1] != "amqp"

    def takes_caps(self):
        """Tenants that have caps, or will have."""
        return [*self.caps, *(tenant for _, _, tenant, _ in self.terms.changes if tenant not in self.caps)]

    def chosen(self):
        """(job, alias of a step, models it may get, by number of the fallback)."""
        models = {**MODELS, **CHOSEN}
        rows = []
        for job in self.jobs:
            for alias in MODELS:
                taken = self.terms.taken(job, alias)
                chain = [taken, *(["haiku"] if taken == "luna" and self.more else [])]
                rows.append((job["id"], alias, [models[a][1] for a in chain]))
        return rows

    @staticmethod
    def _cap(chance):
        """(day, month, job, what happens at the cap) in pico-dollars: from a call or two to plenty."""

        def pico(low, high):
            return int(10 ** chance.uniform(low, high))

        day = pico(8, 11.7)
        month = chance.choice((None, None, day, day * 2, pico(8, 11.7)))
        job = pico(8, 10.7) if chance.random() < 0.2 else None
        return chance.choice((None, day, day)), month, job, chance.choice(("park", "park", "dead", "degrade"))

    def replay(self):
        return f"tests/chaos/run --{'seed' if isinstance(self.seed, int) else 'point'} {self.seed}"

    @staticmethod
    def _manner(chance):
        script, may = chance.choice(MANNERS)
        return "+".join(s for s in (chance.choice(DELAYS), script) if s), may

    def _job(self, chance, n, tenants, names):
        # As a producer makes them: version 7, random but for the version.
        job = {
            "id": str(uuid.UUID(int=0x0192F5A0_0000_7000_8000 << 48 | chance.getrandbits(32) << 16 | n)),
            "tenant": chance.choice(tenants),
            "pipeline": chance.choice(names),
            "priority": chance.randint(1, 10),
            "input": {"text": f"Document {chance.randint(0, 9)}. Ada Lovelace paid 12 EUR to Acme Ltd. " * chance.choice((1, 1, 5, 40))},
        }
        if chance.random() < 0.1:
            job["idempotency_key"] = f"key-{chance.randint(0, 3)}"
        return job

    @staticmethod
    def _rule(chance, n):
        point, most, whens, _ = pick(chance, WIRE)
        action, _, low, high = pick(chance, ACTIONS, 1)
        slot = chance.choice(("*", "*", *range(SLOTS)))
        if point in ("publish", "confirm") and chance.random() < 0.3:
            slot = PRODUCER
        return f"{n} {slot} {point} {chance.randint(1, most)} {chance.choice(whens)} {action} {chance.randint(low, high)}"

    def _fault(self, chance):
        kind = pick(chance, OUTSIDE)[0]
        at, slot, ms = round(chance.uniform(0, 2.5), 2), chance.randrange(self.workers), chance.randint(100, 2500)
        if kind in ("kill", "term"):
            return at, kind, slot
        if kind == "freeze":
            return at, kind, slot, ms
        if kind in ("drop", "stall"):
            return (at, kind, slot, chance.choice(("pg", "amqp", "http")), ms)
        if kind == "storm":
            return at, kind, chance.choice(list(MODELS)), chance.choice(("429", "529")), min(ms, 1500)
        if kind == "clock":  # seconds, of the workers' wall clocks
            return at, kind, chance.choice((-1, 1)) * int(10 ** chance.uniform(0.5, 5))
        if kind == "cancel":
            return at, kind, chance.randint(1, 5)
        return at, kind, ms

    def __str__(self):
        lines = [
            f"seed {self.seed}: {len(self.jobs)} jobs of {len({j['tenant'] for j in self.jobs})} tenants,"
            f" pipelines {' '.join(sorted({j['pipeline'] for j in self.jobs}))},"
            f" {self.workers} workers of {self.slots} slots, lease_max {self.lease_max}",
        ]
        lines += [f"  model {m}: {script} {self.more.get(m, '')}" for m, (script, _) in self.manners.items() if script]
        lines += [f"  cap of {t} (day, month, job in pico-dollars): {cap}; then {self.relief}" for t, cap in self.caps.items()]
        lines += str(self.terms).splitlines()
        lines += [f"  wire: {rule}" for rule in self.rules]
        lines += [f"  at {at} s: {' '.join(map(str, what))}" for at, *what in self.faults]
        return "\n".join(lines)

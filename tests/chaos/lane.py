"""One running stack with the fault proxy, the witness and the stand-in, on which seeds run one after
another. Nothing is slept through: the loop of a run looks at processes, clock and tables in turn."""

import contextlib
import glob
import json
import signal
import socket
import subprocess
import threading
import time

import judge
import millrace
import psycopg2

import plan as plans
import terms

PROXY = millrace.BUILD / "tests" / "faultproxy" / "millrace-faultproxy"
DEADLINE = 90  # seconds a run may take before it counts as stuck
# Seconds for which a share of a limit is good once a worker has it, and one more.
SLACK = 3
FAKETIME = next(glob.iglob("/usr/lib/*/faketime/libfaketimeMT.so.1"), None)
END = ("done", "dead", "cancelled")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy:
    """millrace-faultproxy, and what it has done."""

    def __init__(self, slots, pg, amqp, http):
        self.process = subprocess.Popen(
            [str(PROXY), str(slots), str(pg), str(amqp), str(http)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        ports = [int(word) for word in self.process.stdout.readline().split()]
        self.ports = [ports[i : i + 3] for i in range(0, len(ports), 3)]
        self.fired, self.wrong, self.pongs = [], [], 0
        self.changed = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            word, *rest = line.split()
            with self.changed:
                if word == "fired":
                    self.fired.append((int(rest[0]), int(rest[1]), rest[2], int(rest[3])))
                elif word == "pong":
                    self.pongs += 1
                else:
                    self.wrong.append(line.strip())
                self.changed.notify_all()

    def tell(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def settle(self):
        """Returns when all that was told is in force."""
        with self.changed:
            pongs = self.pongs
            self.tell("ping")
            if not self.changed.wait_for(lambda: self.pongs > pongs, 10):
                raise AssertionError("the fault proxy does not answer")

    def killed(self):
        with self.changed:
            return {pid for _, _, action, pid in self.fired if action == "kill"}

    def told(self):
        with self.changed:
            return {pid for _, _, action, pid in self.fired if action == "term"}

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Lane:
    def __init__(self):
        self.stack = millrace.Stack()
        try:
            self._prepare()
        except BaseException:
            self.stack.close()
            raise

    def _prepare(self):
        self.http = free_port()
        broker = int(self.stack.env["AMQP_URL"].rsplit(":", 1)[1].split("/")[0])
        self.proxy = Proxy(plans.SLOTS + 1, self.stack.env["PGPORT"], broker, self.http)
        self.stack.closers.append(self.proxy.close)
        self.folder = self.stack.folder / "run"
        self.folder.mkdir()
        (self.stack.state / "standin.key").write_text("sk-chaos\n")
        (self.stack.state / "standin.key").chmod(0o600)
        self.stack.ok("init", env={"MILLRACE_CONFIG": str(self.config(plans.Plan(0), 0))})
        judge.watch(self.stack)
        self.queues = [name for name in self.stack.queues() if name != "millrace.dead"]
        # Tiers that bring a job home soon: a run is short. See hurry().
        for name, tiers, ttl in (("short", "(5s|30s)", 300), ("long", "(2m|10m|1h)", 1500)):
            self.policy(f"chaos-{name}", f"^millrace[.]delay[.]{tiers}", {"message-ttl": ttl, "max-length": 1000000, "overflow": "reject-publish"})

    def close(self):
        self.stack.close()

    def policy(self, name, pattern, definition):
        self.stack.ops("rabbitmqctl", "-q", "set_policy", "--priority", "20", "--apply-to", "queues", name, pattern, json.dumps(definition))

    def config(self, plan, slot):
        """The configuration of the worker at a slot: every way out leads through the proxy."""
        http = self.proxy.ports[slot][2]
        models, pipelines = [], []
        for alias, (provider, model, _) in {**plans.MODELS, **plans.CHOSEN}.items():
            more = f"{plan.more.get(alias, '')} {plan.terms.more(alias)}"
            models.append(f'{{ alias = "{alias}"; provider = "{provider}"; model = "{model}"; {more} }}')
        for name, steps in plans.PIPELINES.items():
            texts = []
            for step, model, after, more in steps:
                kind = f'kind = "chat"; model = "{model}"; prompt = "{step}: {{{{input.text}}}}"; max_tokens = 64; timeout = "2s"; max_attempts = 30;'
                kind = kind if model else 'kind = "extract";'
                needs = ", ".join(f'"{a}"' for a in after)
                texts.append(f'{{ name = "{step}"; {kind} after = [{needs}]; {more} }}')
            pipelines.append(f'{{ name = "{name}"; steps = ( {", ".join(texts)} ); }}')
        pool = "other" if plan.hops and slot == plan.workers - 1 else "main"
        return self.stack.config(
            f"""
worker: {{ pool = "{pool}"; slots = {plan.slots}; max_redeliveries = 1000; dead_after = "1s"; heartbeat = "200ms";
    grace = "5s"; lease_max = "{plan.lease_max}"; }};
breaker: {{ open = "500ms"; }};
retry: (
    {{ class = "rate_limited"; tries = 5; first = "200ms"; max = "2s"; }},
    {{ class = "overloaded"; tries = 4; first = "200ms"; max = "2s"; }},
    {{ class = "server"; tries = 4; first = "200ms"; max = "2s"; }},
    {{ class = "network"; tries = 3; first = "100ms"; max = "2s"; }},
    {{ class = "ambiguous"; tries = 3; first = "200ms"; max = "2s"; }},
    {{ class = "bad_output"; tries = 2; first = "0s"; }}
);
providers: (
    {{ name = "openai"; kind = "openai"; key_file = "standin.key"; {self.endpoints(plan, "openai", http, "/v1")} }},
    {{ name = "anthropic"; kind = "anthropic"; key_file = "standin.key"; {self.endpoints(plan, "anthropic", http, "")} }}
);
models: ( {", ".join(models)} );
pipelines: ( {", ".join(pipelines)} );
""",
            name=f"slot-{slot}.cfg",
        )

    @staticmethod
    def endpoints(plan, provider, port, path):
        """Where a provider is: at one place, or at several with fates of their own."""
        places = plan.terms.endpoints.get(provider)
        if not places:
            return f'base_url = "http://127.0.0.1:{port}{path}";'
        rows = []
        for name, fate in places.items():
            at = "http://127.0.0.1:1" if fate == "gone" else f"http://127.0.0.1:{port}/{name}"
            rows.append(f'{{ name = "{name}"; base_url = "{at}{path}"; health = "/models"; }}')
        return f"endpoints = ( {', '.join(rows)} );"

    # ---- a run

    def run(self, plan):
        """Returns (faults, facts): what broke, and what happened."""
        run = Run(self, plan)
        try:
            faults = run.go()
            return faults, run.facts
        finally:
            run.stop()

    def forget(self):
        self.stack.sql("SELECT witness.forget()")
        for queue in self.ready():
            self.stack.purge(queue)

    def ready(self):
        """{queue: messages ready}, those that have any."""
        found = {}
        with self.stack.broker() as connection:
            channel = connection.channel()
            for queue in self.queues:
                n = channel.queue_declare(queue, passive=True).method.message_count
                if n:
                    found[queue] = n
        return found


class Run:
    def __init__(self, lane, plan):
        self.lane, self.stack, self.proxy, self.plan = lane, lane.stack, lane.proxy, plan
        self.workers = [None] * plan.workers
        self.configs = [lane.config(plan, slot) for slot in range(plan.workers)]
        self.shot, self.ending = set(), set()  # pids we killed, and told to end
        self.faults, self.facts = [], {}
        self.threads, self.service, self.frozen = [], threading.Lock(), {}
        self.parked, self.looked, self.relieved = set(), 0.0, not plan.takes_caps()
        self.rouse = self.pity = 0.0
        self.starts = 0
        self.standin = None
        self.enqueue = None
        self.started = time.monotonic()

    # ---- workers

    def start_worker(self, slot):
        pg, amqp, _ = self.proxy.ports[slot]
        self.starts += 1
        worker = millrace.Worker(self.stack, config=self.configs[slot], env={
            **self.clock_env(),
            "MILLRACE_BROKER_HOSTS": f"127.0.0.1:{amqp}",
            "MILLRACE_DATABASE_HOSTS": f"127.0.0.1:{pg}",
            "MILLRACE_BROKER_HEARTBEAT": "2s",
            "MILLRACE_BROKER_CONNECT_TIMEOUT": "2s",
            "MILLRACE_DATABASE_CONNECT_TIMEOUT": "2s",
        })  # fmt: skip
        self.workers[slot] = worker
        self.proxy.tell(f"pid {slot} {worker.process.pid}")

    def clock_env(self):
        """libfaketime reads an offset from a file, whenever the program asks for the wall clock."""
        if not any(kind == "clock" for _, kind, *_ in self.plan.faults) or not FAKETIME:
            return {}
        file = self.lane.folder / "clock"
        if not file.exists():
            file.write_text("+0\n")
        return {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}  # fmt: skip

    def watch_workers(self):
        """Who has died gets a successor; who died of itself is a fault."""
        for slot, worker in enumerate(self.workers):
            if worker.alive():
                continue
            code, pid = worker.process.returncode, worker.process.pid
            if code == -signal.SIGKILL and pid not in self.shot:
                self.proxy.settle()  # its word may be on the way
            if code != 0 and not (code == -signal.SIGKILL and (pid in self.shot or pid in self.proxy.killed())):
                self.faults.append(f"a worker ended with {code}: {' | '.join(worker.text().splitlines()[-3:])}")
            self.start_worker(slot)

    def signal(self, slot, number):
        process = self.workers[slot].process
        if number == signal.SIGKILL:
            self.shot.add(process.pid)
            self.proxy.tell(f"pid {slot} 0")
        if number == signal.SIGTERM:
            self.ending.add(process.pid)
            self.proxy.tell(f"pid {slot} 0")
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)

    # ---- faults from outside

    def aside(self, *commands):
        """Runs ops/stack commands, apart by a pause where a number stands, on a thread."""

        def work():
            try:
                # What is paused cannot be restarted: one after another.
                with self.service:
                    for command in commands:
                        if isinstance(command, float):
                            time.sleep(command)
                        else:
                            self.stack.ops(*command)
            except AssertionError as err:
                self.faults.append(f"the test's own fault failed: {err}")

        thread = threading.Thread(target=work)
        thread.start()
        self.threads.append(thread)

    def fault(self, kind, *args):
        if kind == "kill":
            self.signal(args[0], signal.SIGKILL)
        elif kind == "term":
            if self.workers[args[0]].process.pid not in self.proxy.told() | self.ending:
                self.signal(args[0], signal.SIGTERM)
        elif kind == "freeze":
            self.signal(args[0], signal.SIGSTOP)
            self.frozen[self.workers[args[0]].process] = time.monotonic() + args[1] / 1000
        elif kind == "drop":
            self.proxy.tell(f"drop {args[0]} {args[1]}")
        elif kind == "stall":
            self.proxy.tell(f"stall {args[0]} {args[1]} {args[2]}")
        elif kind == "storm":
            model = plans.MODELS[args[0]][1]
            self.standin.script(f"error={args[1]}+retry_after=1", model)
            self.later.append((time.monotonic() + args[2] / 1000, lambda: self.standin.script(self.plan.manners[args[0]][0], model)))
        elif kind == "clock":
            if FAKETIME:
                (self.lane.folder / "clock").write_text(f"{args[0]:+d}\n")
            else:
                self.facts["no clock jump"] = "libfaketime is missing (package faketime)"
        elif kind == "cancel":
            for job in self.plan.jobs[: args[0]]:
                with contextlib.suppress(psycopg2.OperationalError, psycopg2.InterfaceError):
                    self.stack.sql("SELECT millrace.cancel(%s)", job["id"])
        elif kind == "cap":
            self.set_cap(*args)
        elif kind in ("restart-database", "restart-broker"):
            self.aside(("restart", kind.split("-")[1]))
        elif kind == "kill-database":
            self.aside(("kill", "database"), ("start", "database"))
        elif kind in ("pause-database", "pause-broker"):
            name = kind.split("-")[1]
            self.aside(("pause", name), args[0] / 1000, ("resume", name))
        elif kind == "memory":
            ctl = ("rabbitmqctl", "-q", "set_vm_memory_high_watermark")
            self.aside((*ctl, "0.000001"), args[0] / 1000, (*ctl, "0.4"))
        elif kind == "fill":
            small = {"max-length": 1, "overflow": "reject-publish"}
            ctl = ("rabbitmqctl", "-q")
            full = (*ctl, "set_policy", "--priority", "30", "--apply-to", "queues", "chaos-full")
            # Whatever a tier takes in meanwhile keeps the time to live of that moment: a short one.
            self.aside((*full, "^millrace[.](?!delay)", json.dumps(small)),
                       (*full[:-1], "chaos-tier", "^millrace[.]delay", json.dumps({**small, "message-ttl": 300})),
                       args[0] / 1000, (*ctl, "clear_policy", "chaos-full"), (*ctl, "clear_policy", "chaos-tier"))  # fmt: skip

    def set_cap(self, tenant, cap):
        """Again, if nobody can say whether it was done."""
        try:
            change = ["cap_day", "cap_month", "cap_job", "on_cap"]
            self.stack.sql("SELECT millrace.tenant_set(%s, %s, %s, %s, %s, p_change => %s)", tenant, *cap, change)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self.later.append((time.monotonic() + 0.2, lambda: self.set_cap(tenant, cap)))

    def due_faults(self):
        now = time.monotonic()
        while self.schedule and self.zero + self.schedule[0][0] <= now:
            _, kind, *args = self.schedule.pop(0)
            self.fault(kind, *args)
        for process, until in list(self.frozen.items()):
            if until <= now:
                del self.frozen[process]
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
        for item in [i for i in self.later if i[0] <= now]:
            self.later.remove(item)
            item[1]()
        self.threads = [t for t in self.threads if t.is_alive()]

    # ---- the run

    def begin(self):
        self.lane.forget()
        for tenant, cap in self.plan.caps.items():
            self.stack.sql("SELECT millrace.tenant_set(%s, %s, %s, %s, %s)", tenant, *cap)
        for tenant, (rpm, tpm) in self.plan.terms.tenants.items():
            self.stack.sql("SELECT millrace.tenant_set(%s, p_rpm => %s, p_tpm => %s)", tenant, rpm, tpm)
        self.standin = millrace.Standin(self.lane.folder, "--seed", str(sum(map(ord, str(self.plan.seed)))), "--port", str(self.lane.http))
        for name, (script, _) in self.plan.manners.items():
            self.standin.script(script, plans.MODELS[name][1])
        for provider, places in self.plan.terms.endpoints.items():
            for place, fate in places.items():
                for where, model, _ in plans.MODELS.values():
                    if where == provider and fate not in ("", "gone"):
                        self.standin.script(fate, f"{place}:{model}")
        self.proxy.fired.clear()
        self.proxy.tell("reset", *(f"rule {rule}" for rule in self.plan.rules))
        self.proxy.settle()
        for slot in range(self.plan.workers):
            self.start_worker(slot)
        self.ids = self.lane.folder / "ids"
        jobs = self.lane.folder / "jobs.jsonl"
        jobs.write_text("".join(json.dumps(job) + "\n" for job in self.plan.jobs))
        with open(jobs, "rb") as given, open(self.ids, "wb") as ids, open(self.lane.folder / "enqueue.log", "wb") as log:
            self.enqueue = subprocess.Popen(
                [str(millrace.BUILD / "producer" / "millrace"), "enqueue", "--jsonl", "-", "-o", "ids", "--timeout", "20s"],
                env={**self.stack.env, "MILLRACE_CONFIG": str(self.configs[0]), "MILLRACE_BROKER_HOSTS": f"127.0.0.1:{self.proxy.ports[plans.PRODUCER][1]}"},
                stdin=given, stdout=ids, stderr=log,
            )  # fmt: skip
        self.proxy.tell(f"pid {plans.PRODUCER} {self.enqueue.pid}")
        self.zero = time.monotonic()
        self.schedule, self.later = list(self.plan.faults), []

    def open_jobs(self):
        """How many jobs have not ended, of those confirmed and those in SQL; None while nobody can
        say."""
        confirmed = self.ids.read_text().split()
        query = "SELECT count(*) FILTER (WHERE id = ANY(%s::uuid[]) AND state = ANY(%s)), count(*) FILTER (WHERE state <> ALL(%s)) FROM millrace.jobs"
        try:
            ((ended, others),) = self.stack.sql(query, confirmed, list(END), list(END))
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            return None
        return len(confirmed) - ended + others

    def hurry(self):
        """Time passes: who waits out an outage need not wait longer; who waits for a cap to have room
        waits in vain, until somebody has pity."""
        if time.monotonic() < self.looked + 0.2:
            return
        self.looked = time.monotonic()
        with contextlib.suppress(psycopg2.OperationalError, psycopg2.InterfaceError):
            self.stack.sql(
                "UPDATE millrace.jobs SET delay_until = now() WHERE id IN (SELECT id FROM millrace.jobs WHERE state = 'waiting'"
                " AND delay_until > now() AND (%s OR error_class IS DISTINCT FROM 'capped') FOR UPDATE SKIP LOCKED)",
                self.relieved,
            )
            rows = self.stack.sql("SELECT id::text, error_class FROM millrace.jobs WHERE state <> ALL(%s)", list(END))
            if self.relieved:
                self.go_on([job for job, why in rows if why == "capped"])
                return
            self.parked.update(job for job, why in rows if why == "capped")
            if not rows or not self.parked or self.enqueue.poll() is None or not self.quiet():
                return
            self.pity = self.pity or time.monotonic() + 5
            if time.monotonic() > self.pity or all(job in self.parked for job, _ in rows):
                self.relieved, self.rouse = True, time.monotonic() + 1.5
                self.facts["parked"] = len(rows)
                self.relieve([job for job, _ in rows if job in self.parked])

    def go_on(self, parked):
        """After the relief: a job may have been with the broker then, and park only now; or it came
        home before its time and waits in a worker, for half a minute at most, where it hears of
        nothing until the worker hands it on."""
        if not self.plan.takes_caps() or not self.quiet():
            return
        self.relieve(parked)
        if time.monotonic() > self.rouse:
            self.rouse = time.monotonic() + 10
            for slot in range(self.plan.workers):
                self.fault("term", slot)

    def relieve(self, jobs):
        if self.plan.relief == "cancel":
            for job in jobs:
                self.stack.sql("SELECT millrace.cancel(%s)", job)
            return
        for tenant in self.plan.takes_caps() if jobs else ():
            self.stack.sql("SELECT millrace.tenant_set(%s, p_change => array['cap_day', 'cap_month', 'cap_job'])", tenant)

    def until(self, what, check, beat=0.03):
        """Keeps the run going until check() is true; False when it is stuck."""
        deadline = self.started + DEADLINE * millrace.PATIENCE
        while True:
            self.due_faults()
            self.watch_workers()
            self.hurry()
            if check():
                return True
            if time.monotonic() > deadline:
                self.faults.append(f"stuck: waited for {what}")
                return False
            time.sleep(beat)

    def quiet(self):
        return not self.schedule and not self.frozen and not self.later and not self.threads

    def empty(self):
        try:
            return not self.lane.ready()
        except Exception:
            return False

    def drain(self):
        """SIGTERM to all; they end well, and soon. A second one would make an end at once."""
        told = self.proxy.told()
        for worker in self.workers:
            worker.process.send_signal(signal.SIGCONT)
            if worker.process.pid not in told | self.ending:
                worker.process.send_signal(signal.SIGTERM)
        for worker in self.workers:
            try:
                code = worker.process.wait(30)
            except subprocess.TimeoutExpired:
                code = "no end within 30 s"
                worker.kill()
            if code != 0:
                self.faults.append(f"SIGTERM: {code}: {' | '.join(worker.text().splitlines()[-3:])}")

    def go(self):
        self.begin()
        good = self.until("enqueue to end", lambda: self.enqueue.poll() is not None)
        good = good and self.until("the faults to be over", self.quiet)
        good = good and self.until("every job to end", lambda: self.open_jobs() == 0)
        self.proxy.tell("reset")
        self.proxy.settle()
        # A message may be at a worker, unseen by all counts: what comes back when they have gone
        # was not the end.
        while good:
            good = self.until("empty queues", self.empty)
            good = good and self.until("workers that listen", lambda: all(w.text() for w in self.workers))
            self.drain()
            if self.empty() and self.open_jobs() == 0:
                break
            for slot in range(self.plan.workers):
                self.start_worker(slot)
            good = good and self.until("every job to end", lambda: self.open_jobs() == 0)
        self.facts["seconds"] = round(time.monotonic() - self.started, 1)
        return self.faults + self.judge()

    def judge(self):
        confirmed = self.ids.read_text().split()
        plan = [
            (name, step, bool(model), after)
            for name, steps in plans.PIPELINES.items() for step, model, after, _ in steps
        ]  # fmt: skip
        faults = judge.witness_judge(
            self.stack, confirmed, [job["id"] for job in self.plan.jobs], plan, self.plan.allowed, self.plan.strict,
            self.plan.chosen(),
        )  # fmt: skip
        models = {**plans.MODELS, **plans.CHOSEN}
        more, calls = judge.compare_money(self.stack, self.standin, {model: rates for _, model, rates in models.values()})
        faults += more + self.judge_limits(models)
        if self.plan.terms.flood:
            faults += self.judge_flood()
        dead = {row[0] for row in self.stack.sql("SELECT id::text FROM millrace.jobs WHERE state = 'dead'")}
        letters = [p.message_id for p, _ in self.stack.dead_letters()]
        faults += [f"dead, but no letter: {job}" for job in sorted(dead - set(letters))]
        faults += [f"a letter, but not dead: {job}" for job in sorted(set(letters) - dead)]
        faults += self.proxy.wrong
        self.stack.purge("millrace.dead")
        self.facts.update(
            confirmed=len(confirmed), calls=calls, starts=self.starts, fired=[f[0] for f in self.proxy.fired],
            states=dict(self.stack.sql("SELECT state, count(*) FROM millrace.jobs GROUP BY 1")),
            letters=len(letters),
        )  # fmt: skip
        return faults

    def judge_limits(self, models):
        if self.plan.disturbed():
            return []
        of_models = {models[alias][1]: limits for alias, limits in self.plan.terms.limits.items()}
        of_tenants = {tenant: {"rpm": rpm, "tpm": tpm} for tenant, (rpm, tpm) in self.plan.terms.tenants.items()}
        return judge.limits_kept(self.stack, self.standin, of_models, of_tenants, SLACK * millrace.PATIENCE)

    def judge_flood(self):
        """The slowest of the quiet tenant's jobs: how long it took, and how much of the flood that was
        there when they came was still to be done when it ended."""
        rows = self.stack.sql("SELECT tenant, extract(epoch FROM created_at)::float8, extract(epoch FROM ended_at)::float8 FROM millrace.jobs")
        quiet = [(made, ended) for tenant, made, ended in rows if tenant == terms.QUIET]
        flood = [ended for tenant, _, ended in rows if tenant == terms.FLOOD]
        faults, facts = judge.flood_bounded(quiet, flood)
        self.facts["flood"] = facts
        return faults

    def stop(self):
        """Whatever happened, nothing of this run stays."""
        for thread in self.threads:
            thread.join()
        for worker in self.workers:
            if worker:
                worker.kill()
        if self.enqueue and self.enqueue.poll() is None:
            self.enqueue.kill()
            self.enqueue.wait()
        if self.standin:
            self.standin.stop()
        self.facts["logs"] = [str(w.log) for w in self.workers if w]

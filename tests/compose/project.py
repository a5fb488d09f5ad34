"""docker-compose.yml as a user has it: a copy of the checkout with secrets of its own, the commands, and
looks from outside at what runs."""

import base64
import contextlib
import json
import os
import re
import shlex
import shutil
import time
import urllib.error
import urllib.request

import engine
import psycopg2
from millrace import ROOT, wait_until

NAME = "millrace"
FILES = ["-f", "docker-compose.yml", "-f", "tests/compose/override.yml"]
OWNER = 12345  # of the secrets: neither root nor the user in the containers


def copy_checkout(to):
    skip = shutil.ignore_patterns(".git", ".state", ".secrets", "build*", "__pycache__")
    shutil.copytree(ROOT, to, ignore=skip, symlinks=True)


def readme_commands():
    """The lines of the README that begin with `docker compose`, without their comments."""
    text = (ROOT / "README.md").read_text()
    return [shlex.split(line, comments=True)[2:] for line in re.findall(r"^docker compose .*$", text, re.M)]


class Project:
    def __init__(self, docker, source, command, plugin=False):
        self.docker, self.source, self.command, self.plugin = docker, source, command, plugin
        self.env = {"COMPOSE_DOCKER_CLI_BUILD": "0"}

    def close(self):
        self.compose("--profile", "demo", "down", "-v", "--remove-orphans", check=False)

    # ---- commands

    def compose(self, *args, **more):
        args = [*FILES, "-p", NAME, *map(str, args)]
        env = {**self.env, **more.pop("env", {})}
        if not self.plugin:
            return self.docker.call([*self.command, *args], cwd=self.source, env=env, **more)
        inside = [f"--env={k}={v}" for k, v in env.items()]
        return self.docker.run(
            "run", "--rm", "-i", "--network", "none", *inside,
            "-v", f"{self.docker.socket}:/var/run/docker.sock", "-v", f"{self.source}:{self.source}",
            "-w", self.source, *self.command, *args, **more,
        )  # fmt: skip

    def typed(self, words, **more):
        """A line of the README. There is no terminal here, which `run` and `exec` must be told."""
        at = next((i + 1 for i, w in enumerate(words) if w in ("run", "exec")), len(words))
        extra = ["-T"] if at < len(words) else []
        return self.compose(*words[:at], *extra, *words[at:], **more)

    def up(self, workers, **more):
        return self.compose("--profile", "demo", "up", "-d", "--scale", f"worker={workers}", timeout=600, **more)

    def cli(self, *args, **more):
        return self.compose("run", "--rm", "-T", "cli", *args, **more).stdout

    def enqueue(self, count, *args, tenant):
        """Returns the ids of that many small jobs."""
        text = "The mill number %d by the river was sold in 1912 to a baker of the town."
        lines = "".join(json.dumps({"input": {"text": text % i}}) + "\n" for i in range(count))
        ids = self.cli("enqueue", "--jsonl", "-", "--tenant", tenant, "-o", "ids", *args, stdin=lines).split()
        if len(ids) != count:
            raise AssertionError(f"{len(ids)} of {count} jobs were confirmed")
        return ids

    # ---- looks

    def containers(self, service=None, everyone=False):
        label = [] if service is None else ["--filter", f"label=com.docker.compose.service={service}"]
        listing = self.docker.run(
            "ps", "-q", "--no-trunc", *(["-a"] if everyone else []),
            "--filter", f"label=com.docker.compose.project={NAME}", *label,
        )  # fmt: skip
        return listing.stdout.split()

    def inspect(self, container):
        return json.loads(self.docker.run("inspect", container).stdout)[0]

    def exits(self, service, since):
        """The exit codes of a service's containers since then, of removed ones too."""
        filters = ["event=die", f"label=com.docker.compose.project={NAME}", f"label=com.docker.compose.service={service}"]
        return self.docker.run(
            "events", "--since", f"{since:.3f}", "--until", f"{time.time():.3f}",
            *(word for f in filters for word in ("--filter", f)), "--format", "{{.Actor.Attributes.exitCode}}",
        ).stdout.split()  # fmt: skip

    def health(self, container):
        return self.inspect(container)["State"].get("Health", {}).get("Status")

    def wait_healthy(self, service, count=1, seconds=120):
        def healthy():
            ids = self.containers(service)
            return len(ids) == count and all(self.health(i) == "healthy" for i in ids)

        wait_until(f"{count} healthy containers of {service}", healthy, seconds)

    def address(self, service, network):
        container = self.inspect(self.containers(service)[0])
        return container["NetworkSettings"]["Networks"][f"{NAME}_{network}"]["IPAddress"]

    def secret(self, name):
        return (self.source / ".secrets" / name).read_text().strip()

    def connect(self, user="millrace_owner"):
        return psycopg2.connect(
            host=self.address("postgres", "database"), dbname="millrace", user=user,
            password=self.secret(user.replace("millrace_", "pg_")), connect_timeout=5,
        )  # fmt: skip

    def sql(self, query, *args):
        with contextlib.closing(self.connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(query, args)
            return cursor.fetchall() if cursor.description else []

    def ledger(self):
        """What the stand-in provider has written down."""
        text = self.compose("--profile", "demo", "exec", "-T", "standin", "cat", "/tmp/ledger.jsonl").stdout
        return [json.loads(line) for line in text.splitlines()]

    def console(self, path, body=None):
        """The management API, with the rights of the person who reads .secrets."""
        login = base64.b64encode(f"millrace_admin:{self.secret('broker_admin')}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:15672{path}", data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def api(self, path, body=None, token=None):
        """(status, JSON) of `millrace serve`."""
        request = urllib.request.Request(
            f"http://127.0.0.1:8080{path}", data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token or self.secret('api_token')}", "Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as err:
            with err:
                return err.code, json.load(err)

    def wait_ended(self, ids, seconds):
        """{state: count} once all have ended."""
        query = "SELECT state, count(*) FROM millrace.jobs WHERE id = ANY(%s::uuid[]) GROUP BY 1"

        def ended():
            try:
                states = dict(self.sql(query, ids))
            except (psycopg2.Error, IndexError, KeyError):  # the database restarts
                return None
            return states if sum(states.get(s, 0) for s in ("done", "dead", "cancelled")) == len(ids) else None

        return wait_until("all jobs to end", ended, seconds)

    def wait_busy(self, tenant, count, seconds=60):
        """Until that many calls of the tenant have been settled."""
        query = "SELECT count(*) FROM millrace.calls WHERE tenant = %s AND state = 'settled'"
        wait_until("calls to be settled", lambda: self.sql(query, tenant)[0][0] >= count, seconds)


def prepare(docker):
    """(Project with the machine's own compose, Project with the plugin, why BuildKit was not tried)"""
    source = docker.folder / "checkout"
    copy_checkout(source)
    docker.call([str(source / "ops" / "compose-secrets")])
    for path in [source / ".secrets", *(source / ".secrets").iterdir()]:
        os.chown(path, OWNER, OWNER)
    docker.folder.chmod(0o711)
    docker.call([str(source / "ops" / "images" / "offline"), "--network", "host"], timeout=900)
    own = Project(docker, source, engine.compose_command())
    own.compose("--profile", "demo", "build", "init", "worker", "standin", timeout=900)
    docker.run("build", "--network", "host", "-t", "compose-plugin", "-f", "tests/compose/plugin.Dockerfile",
               "tests/compose", timeout=600)  # fmt: skip
    plugin = Project(docker, source, ["compose-plugin", "docker", "compose"], plugin=True)
    return own, plugin, buildkit(docker, source)


def buildkit(docker, source):
    """Builds an image with BuildKit; returns why it could not, or None."""
    version = docker.run("version", "--format", "{{.Client.Version}}").stdout
    plugin = docker.run("buildx", "version", check=False).returncode == 0
    if int(version.split(".")[0]) >= 23 and not plugin:
        return "this client has no BuildKit (docker-buildx)"
    docker.run("build", "--network", "host", "-f", "ops/Dockerfile", "--target", "worker", "-t", "millrace-buildkit", ".",
               cwd=source, env={"DOCKER_BUILDKIT": "1"}, timeout=900)  # fmt: skip
    return None

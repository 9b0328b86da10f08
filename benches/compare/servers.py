"""The upstream and the proxies before it, each with one worker; one proxy runs at a time, all on the same port."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rows import UNAUDITED
from sandbox import Process, wait_until

MODULES = Path("/usr/lib/nginx/modules")

# What every nginx here has: one worker that never closes a connection because of its age.
NGINX = """daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{load}
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off;
    default_type application/fhir+json;
    keepalive_requests 1000000000;
    keepalive_timeout 75s;
    large_client_header_buffers 4 64k;
    {http}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        {server}
    }}
}}
"""

UPSTREAM_HTTP = """sendfile on;
    tcp_nopush on;
    open_file_cache max=100;
    map $arg_category $bundle { default small; large large; }"""

UPSTREAM_SERVER = """location = /fhir/Observation/1 {{ alias {files}/read.json; etag on; }}
        location = /fhir/Observation {{ alias {files}/$bundle.json; }}
        location / {{ return 404; }}"""

PASS_HTTP = """upstream fhir {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    {more}"""

OUTCOME = '{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"forbidden","diagnostics":"not in the scopes of the token"}]}'

# A check such as documentation and tutorials show: signature, expiry, scope.
NJS = """const pem = `%s`;
const key = Buffer.from(pem.replace(/-----[A-Z ]+-----/g, '').replace(/\\n/g, ''), 'base64');
const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };

function json(part) { return JSON.parse(Buffer.from(part, 'base64url').toString()); }

function check(r) {
    const parts = (r.headersIn.Authorization || '').slice(7).split('.');
    if (parts.length !== 3 || json(parts[0]).alg !== 'RS256') { r.return(401); return; }
    crypto.subtle.importKey('spki', key, algorithm, false, ['verify'])
        .then(key => crypto.subtle.verify(algorithm, key, Buffer.from(parts[2], 'base64url'), Buffer.from(parts[0] + '.' + parts[1])))
        .then(good => {
            const claims = json(parts[1]);
            const allowed = good && claims.exp > Date.now() / 1000 && claims.scope.split(' ').includes('patient/Observation.rs');
            r.return(allowed ? 204 : 403);
        })
        .catch(() => r.return(403));
}

export default { check };
"""

HAPROXY = """global
    maxconn 8000
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 75s
    timeout http-keep-alive 75s
frontend gate
    bind 127.0.0.1:{port}
{rules}    default_backend fhir
backend fhir
    http-reuse always
    server fhir 127.0.0.1:{upstream} maxconn 4096
"""

HAPROXY_JWT = """    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
    http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
    http-request set-var(txn.scope) var(txn.token),jwt_payload_query('$.scope')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str {algorithm} }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify("{algorithm}","{key}") -m int 1 }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request deny deny_status 403 unless {{ var(txn.scope) -m sub patient/Observation.rs }}
"""

# The shipped defaults, but for what is marked.
GATE = """[server]
listen = ["127.0.0.1:{port}"]
public_url = "http://127.0.0.1:{port}"
threads = 1                 # as every proxy here
drain_delay = "0s"          # nobody waits for a load balancer
max_connections = 20000     # 10,000 idle ones, and the others
[admin]
listen = ["127.0.0.1:{admin}"]
[fhir]
upstream = "http://127.0.0.1:{upstream}/fhir"
max_waiting = 10000         # of 5,000 requests at once each gets its turn
[store]
url = "sqlite:state/smartgate.db"
[audit]
file = "{audit}"
[[clients]]
id = "growth-chart"
kind = "public"
redirect_uris = ["http://127.0.0.1:9000/callback"]
consent = "granted"
scopes = ["launch/patient", "openid", "fhirUser", "offline_access", "patient/*.cruds"]
[[clients]]
id = "service"
kind = "confidential-asymmetric"
jwks_file = "service.json"
scopes = ["system/*.rs"]
[[users]]
username = "amy"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$igwfqVQzyPO3KYROnNacNw$8Q6Q+lKm2GI6LrmFuCBwE4aTMJADlFyNEDFyMaf7wv4"
fhir_user = "Patient/amy"
"""

# Of the hash above, which is the demo's.
PASSWORD = "amy-demo"
PASSWORD_HASH = GATE.split('password_hash = "')[1].split('"')[0]


@dataclass
class Ports:
    upstream: int
    proxy: int
    admin: int


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started within runs on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Servers:
    """Starts them; `folder` keeps their configuration, `binaries` are the programs of this repository."""

    def __init__(self, folder: Path, binaries: Path, ports: Ports, core: int, other_core: int) -> None:
        self.folder, self.binaries, self.ports = folder, binaries, ports
        self.core, self.other_core = core, other_core
        self.files = folder / "files"

    def upstream(self) -> Process:
        self._nginx("upstream", self.ports.upstream, UPSTREAM_HTTP, UPSTREAM_SERVER.format(files=self.files))
        upstream = self.run("upstream", self._nginx_command("upstream"), self.ports.upstream, self.other_core)
        # A batch process takes its core from nobody when something arrives for it, and so the proxy need not send for it: it runs when
        # the load generator, which is never asleep, has nothing to do. What the first process forks from now on is one, too.
        os.sched_setscheduler(upstream.pid, os.SCHED_BATCH, os.sched_param(0))
        for process in self.processes(upstream):
            os.sched_setscheduler(process, os.SCHED_BATCH, os.sched_param(0))
        return upstream

    def start(self, name: str) -> Process:
        return self.run(name, self.command(name), self.ports.proxy, self.core)

    def command(self, name: str) -> list[str | Path]:
        return {
            "pingora": self._pingora, "nginx": self._nginx_pass, "nginx-njs": self._nginx_njs, "nginx-403": self._nginx_403,
            "haproxy": self._haproxy, "haproxy-rs256": self._haproxy_rs256, "haproxy-es256": self._haproxy_es256,
            "smartgate": self.smartgate, UNAUDITED: lambda: self.smartgate(audit="off"),
        }[name]()

    def processes(self, process: Process) -> list[int]:
        """The process and its children, which is where nginx does its work."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [process.pid, *map(int, children)]

    def home(self, name: str) -> Path:
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        return home

    def run(self, name: str, command: list[str | Path], port: int, core: int) -> Process:
        """Starts a program on a core; it listens when this returns."""
        with on_core(core):
            process = Process(name, command, self.home(name) / "log.txt", cwd=self.home(name))

        def listens() -> bool:
            if not process.running():
                raise SystemExit(f"{name} ended:\n{process.last_words()}")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(listens, 60, f"{name} on port {port}")
        return process

    def _nginx(self, name: str, port: int, http: str, server: str, load: str = "") -> None:
        values = {"folder": self.home(name), "port": port, "http": http, "server": server, "load": load}
        (self.home(name) / "nginx.conf").write_text(NGINX.format(**values))

    def _nginx_command(self, name: str) -> list[str | Path]:
        return ["nginx", "-p", self.home(name), "-c", self.home(name) / "nginx.conf", "-e", self.home(name) / "error.log"]

    def _nginx_pass(self) -> list[str | Path]:
        http = PASS_HTTP.format(upstream=self.ports.upstream, more="")
        self._nginx("nginx", self.ports.proxy, http, "location / { proxy_pass http://fhir; }")
        return self._nginx_command("nginx")

    def _nginx_njs(self) -> list[str | Path]:
        home = self.home("nginx-njs")
        (home / "check.js").write_text(NJS % (self.folder / "rs256.pem").read_text())
        http = PASS_HTTP.format(upstream=self.ports.upstream, more=f"js_path {home}; js_import check.js;")
        server = "location / { auth_request /_check; proxy_pass http://fhir; }\n        location = /_check { internal; js_content check.check; }"
        self._nginx("nginx-njs", self.ports.proxy, http, server, f"load_module {MODULES}/ngx_http_js_module.so;")
        return self._nginx_command("nginx-njs")

    def _nginx_403(self) -> list[str | Path]:
        self._nginx("nginx-403", self.ports.proxy, "", f"location / {{ return 403 '{OUTCOME}'; }}")
        return self._nginx_command("nginx-403")

    def _haproxy_with(self, name: str, rules: str) -> list[str | Path]:
        file = self.home(name) / "haproxy.cfg"
        file.write_text(HAPROXY.format(port=self.ports.proxy, upstream=self.ports.upstream, rules=rules))
        return ["haproxy", "-db", "-f", file]

    def _haproxy(self) -> list[str | Path]:
        return self._haproxy_with("haproxy", "")

    def _haproxy_rs256(self) -> list[str | Path]:
        return self._haproxy_with("haproxy-rs256", HAPROXY_JWT.format(algorithm="RS256", key=self.folder / "rs256.pem"))

    def _haproxy_es256(self) -> list[str | Path]:
        return self._haproxy_with("haproxy-es256", HAPROXY_JWT.format(algorithm="ES256", key=self.folder / "es256.pem"))

    def _pingora(self) -> list[str | Path]:
        return [self.binaries / "bare", f"127.0.0.1:{self.ports.proxy}", f"127.0.0.1:{self.ports.upstream}"]

    def smartgate(self, more: str = "", limits: str = "", audit: str = "log/audit.jsonl") -> list[str | Path]:
        """The gate; its audit log begins anew. `more` is added to its configuration."""
        home = self.home("smartgate")
        shutil.rmtree(home / "log", ignore_errors=True)
        (home / "log").mkdir()
        values = {"port": self.ports.proxy, "admin": self.ports.admin, "upstream": self.ports.upstream, "audit": audit}
        (home / "smartgate.toml").write_text(limits + GATE.format(**values) + more)
        return [self.binaries / "smartgate", "run", "--config", home / "smartgate.toml"]

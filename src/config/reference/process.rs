//! What the process keeps, issues, writes down and allows.

use super::sections;

sections! {
    "[store]" {
        /// Where codes, grants, keys and revocations are kept; of codes and refresh tokens only digests. [Replicas](operations.md#replicas) share PostgreSQL
        url: "`sqlite:PATH` | `postgres://…`";
        /// PostgreSQL: password of the user in the URL; it is never in the URL itself
        password: "secret";
        /// PostgreSQL: PEM of the certificate authorities that the server's certificate must come from
        ca_file: "path" = "the system's authorities";
        /// PostgreSQL: most connections of this process, besides one that listens
        connections;
        /// PostgreSQL: longest time for one operation, waiting for a connection included; then it has failed. The server ends what takes longer
        timeout;
        /// After so long without word from the store the gate refuses its own tokens (503 `token-unchecked`), because it does not know what was revoked; tokens of other issuers go on
        stale_max;
    }

    /// The URL of PostgreSQL is libpq's: `postgres://USER@HOST:PORT/DATABASE?key=value&…`; several hosts (`HOST1:PORT1,HOST2:PORT2`) are tried in order until one takes writes; `postgres://USER@%2Frun%2Fpostgresql/DATABASE`
    /// is a socket. `options=-c%20search_path%3DSCHEMA` chooses a schema. `sslmode` in it is one of
    ///
    /// - `verify-full`: TLS, and the server's certificate comes from an authority (`ca_file`, or the system's) and bears the name in the URL. **The default**, but for sockets.
    /// - `require`: TLS with any certificate, which keeps out who only listens; with a `ca_file` it is `verify-full`.
    /// - `prefer`: TLS where the server offers it, else none: no protection from anybody on the way. With a `ca_file` a certificate that is offered must be right.
    /// - `disable`: no TLS, for loopback and for networks that are trusted with every secret of the gate.
    "[store]" {
    }

    "[tokens]" {
        /// What access tokens are signed with; id_tokens are always RS256
        algorithm;
        /// Lifetime of access tokens that people's apps get; `check` warns of more than an hour
        access_lifetime;
        /// Lifetime of access tokens of backend services
        backend_lifetime;
        /// Lifetime of authorization codes
        code_lifetime;
        /// Lifetime of a refresh token that nobody uses; each use gives a new one
        refresh_lifetime;
        /// How long after the login access by `online_access` ends
        session_lifetime;
        /// How long a new key is published before it signs
        key_overlap;
    }

    "[audit]" {
        /// Where audit lines go. With `off`, which `check` warns of, nothing is kept of who saw what: it is there to measure what the log costs
        file: "`stdout`, path or `off`";
        /// What happens when lines come faster than they can be written: requests wait (`block`), or lines are dropped and counted (`shed`)
        on_full;
        /// Whether lines say what was searched for, which may be health data
        search_values;
    }

    /// Every line as a FHIR R4 AuditEvent, too, to a server that keeps them ([operations.md](operations.md#auditevents)). Without this section there are none; to add it or to take it away needs a restart.
    "[audit.fhir]" {
        /// FHIR base of that server, http or https
        url: "URL";
        /// How the gate proves itself there
        auth;
        /// PEM of a private certificate authority of an https server
        ca_file: "path";
        /// The folder where lines wait until they are sent, across restarts; each process needs its own
        spool: "path";
        /// How many bytes of lines may wait; then `on_full` says what happens
        spool_bytes: "bytes";
    }

    "[audit.fhir]" in "auth" {
        /// Kind of credentials
        kind;
        /// For `bearer`: the token
        token: "secret";
        /// For `basic`: the name
        username;
        /// For `basic`: the password
        password: "secret";
    }

    /// Spans to an OpenTelemetry collector ([operations.md](operations.md#traces)). Without this section there are none. Only a binary built with the feature `otel` takes it, as that of the container image is.
    "[traces]" {
        /// Where spans are sent, by OTLP over HTTP in protobuf: with its path, mostly `/v1/traces`
        url: "URL";
        /// Of requests whose caller says nothing of a trace one in so many is recorded: `1` records each, `0` none. A `traceparent` decides for itself, by its flag
        one_in;
        /// What the gate is called there (`service.name`)
        service_name;
        /// Headers by which the gate proves itself there: `{ authorization = "file:secrets/collector" }`
        headers: "table of header to secret";
        /// PEM of a private certificate authority of an https collector
        ca_file: "path";
    }

    "[log]" {
        /// How log lines look; they go to standard error
        format;
        /// What is logged, as in `RUST_LOG`: `"info,smartgate::token=debug"`
        level: "filter";
    }

    "[limits]" {
        /// Largest body of a request that is held in memory, such as a write that is checked
        request_body: "bytes";
        /// Largest answer of the FHIR server that is held in memory to be verified; while it is looked at, it takes about five times that
        response_body: "bytes";
        /// Longest request target (path and query), and longest search form
        target: "bytes";
        /// Longest `Authorization` header
        authorization: "bytes";
        /// Most search parameters of one request
        parameters;
        /// Largest `_count` under a patient's scopes; more is lowered to it
        count;
        /// Most pages of the FHIR server that are read to fill one page of a patient's search
        scan_pages;
        /// Most references of a written body that are looked up under a patient's scopes; the patient and shared types need none
        write_references;
        /// Most resources that are looked up for one answer under a patient's scopes, to tell whether a Provenance or a Binary may be seen; a Provenance that would need more is not
        look_ups;
        /// Most entries of a batch or transaction; more are refused before any is looked at
        bundle_entries;
        /// Deepest nesting of a JSON body
        json_depth;
        /// How fast requests with tokens of one client may come, at each replica; beyond it 429 `rate-client`
        client_rate;
        /// How fast requests from one address, of IPv6 from one /64, may come, at each replica; beyond it 429 `rate-address`. Behind a load balancer it needs `[server] forwarded` or `proxy_protocol`
        address_rate;
        /// How many tokens are remembered as verified
        token_cache;
    }

    "[limits]" in "client_rate", "address_rate" {
        /// Requests that pass in each second
        per_second;
        /// Requests that may come at once after a pause
        burst = "as `per_second`";
    }
}

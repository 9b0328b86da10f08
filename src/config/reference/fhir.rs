//! The FHIR server, and what is let through to it.

use super::sections;

sections! {
    "[fhir]" {
        /// `public_url` + `base_path` is the FHIR base for apps, and the `aud` of every token
        base_path: "path";
        /// The FHIR server's version of FHIR
        version;
        /// FHIR base of the FHIR server, http or https; several are addresses of the same server, with the same data: [operations.md](operations.md#several-fhir-servers)
        upstream: "URL, or list of up to 16";
        /// Which elements make a resource a patient's: its subject, or FHIR's whole Patient compartment
        patient_data;
        /// How a search under a patient's scopes is narrowed to the patient: by a search parameter, by the compartment in the URL, or not at all (every page is read and filtered). `parameter` does not go with `patient_data = "compartment"`. With `compartment`, types that FHIR's compartment lacks are narrowed by their parameter; a chain through the patient needs `parameter`, or a type whose compartment is its subject
        narrowing;
        /// Search parameter to narrow by, for single types: `{ Appointment = "actor" }`; it must look at every element that makes the type a patient's
        narrowing_by_type: "table of type to search parameter";
        /// Types that hold no patient's data; a type that names a patient cannot be one, nor AuditEvent, Binary, Bundle, Group, Linkage, Parameters, Provenance
        shared_types: "list of types";
        /// Methods by which tokens in a patient context or with a constraint may write although the FHIR server ignores a stale `If-Match`, or nobody could try; a race, see [security.md](security.md)
        unpinned_writes;
        /// Whether a PUT under a patient's scopes may create; `allow` tells whether an id is taken, and needs a FHIR server that obeys `If-None-Match: *` on PUT, or `PUT` in `unpinned_writes`
        upsert;
        /// How the gate proves itself at the FHIR server
        upstream_auth;
        /// Where files of a bulk export may be besides below `upstream`; asked without any credentials, unless it is the FHIR server's own origin
        bulk_hosts: "list of origins";
        /// Headers that tell the FHIR server who asks; always set or removed, never passed on
        identity_headers;
        /// PEM of a private certificate authority of an https upstream
        ca_file: "path";
        /// How addresses of the FHIR server are checked, and when one is left out: [operations.md](operations.md#several-fhir-servers)
        health = "below";
        /// Certificate chain and key in PEM that the gate shows an https upstream (mutual TLS); new connections use a new one
        client_cert;
        /// Oldest TLS that the gate speaks to an https upstream
        tls_min;
        /// How long connecting may take
        connect_timeout;
        /// Longest silence while an answer is read
        read_timeout;
        /// How long an idle connection is kept; shorter than the upstream's own keep-alive
        idle_timeout;
        /// How long a request may be with the FHIR server, from waiting for its turn to the last byte of its answer; files of a bulk export have as long as they need
        exchange_timeout;
        /// How many requests the FHIR server gets from this gate at a time
        max_concurrent;
        /// How many requests may wait for their turn; further ones are 503 `upstream-busy` at once
        max_waiting;
        /// How long a request waits for its turn; then they are 503 `upstream-busy`
        max_wait;
    }

    "[fhir]" in "upstream_auth" {
        /// With `passthrough` the FHIR server gets the app's own token, with `bearer` and `basic` always the same credentials; with `client_credentials` the gate gets itself a token
        kind;
        /// For `bearer`: the token
        token: "secret";
        /// For `basic`: the name
        username;
        /// For `basic`: the password
        password: "secret";
        /// For `client_credentials`: the token endpoint, https
        token_url: "URL";
        /// For `client_credentials`: what the gate is called there
        client_id;
        /// For `client_credentials`: the secret, sent as `client_secret_basic`
        client_secret: "secret";
        /// Instead of `client_secret`: a private key in PKCS#8 PEM, which signs `private_key_jwt`
        key_file: "path";
        /// The `kid` of that key, as it is registered
        key_id = "required with `key_file`";
        /// What that key signs with
        algorithm;
        /// Scopes to ask for, with spaces between
        scope;
    }

    "[fhir]" in "client_cert" {
        /// Certificate chain, the gate's own first
        cert: "path";
        /// Private key
        key: "path";
    }

    "[fhir]" in "health" {
        /// How each address is checked: by a connection (with TLS where it has TLS), or by a GET of `metadata`, which any answer below 500 passes
        check;
        /// Time between two checks of an address
        interval;
        /// Longest time that a check may take
        timeout;
        /// Checks in a row that bring an address back
        rise;
        /// Checks in a row that take it out
        fall;
        /// Requests in a row that take it out by failing: no connection, no answer in time, or a 5xx but 501
        failures;
        /// How long it is out after that, before one request tries it
        out_for;
    }

    "[fhir]" in "identity_headers" {
        /// Header for the user's `fhirUser`, or the token's subject
        user: "header";
        /// Header for the patient in context
        patient: "header";
        /// Header for the client's id
        client: "header";
    }

    "[enforcement]" {
        /// Whether rules are enforced. `report` lets pass what rules of scope, patient and filter would refuse, and writes it to the audit log: for [introducing the gate](operations.md#report-mode), nothing else
        mode;
        /// From the beginning of this day (UTC) the gate enforces by itself: `"2027-01-31"`. Needed by `report`, at most 90 days ahead
        report_until: "day";
    }

    /// Operations that pass besides [the built-in ones](operations.md#fhir-operations); a built-in one stays as it is. Operations that administer a FHIR server,
    /// and `$graphql`, are never let through. What the FHIR server computes for an operation of a row is the row's author's to know: the gate verifies
    /// the resources that come back, not what they were computed from.
    "[[operations]]" {
        /// Name of the operation, with or without the `$`
        name;
        /// Where it is called
        levels;
        /// Types it is called on, `["*"]` for all; at system level those whose scopes it needs
        types: "list of types";
        /// Methods it may be called by; a `bundle` is always asked for by GET, with the simple values of a POSTed Parameters resource in the query
        methods;
        /// The letter of a scope that it needs on each of its types; a token in a patient context calls only what needs `r` or `s`
        scope;
        /// The parameter that names the patient, or `instance`: the resource in the path, which the token must be able to read. Without it no token in a patient context may call it
        patient;
        /// How the answer is verified: entry by entry (`bundle`), as one resource, or not at all (`none`), which `smartgate check` warns of and no token in a patient context or with a constraint gets
        answer;
    }
}

//! Where apps, Prometheus and the orchestrator connect.

use super::sections;

sections! {
    "[server]" {
        /// Addresses and ports where apps connect
        listen: "list of addresses";
        /// What apps see, without a path. It is the issuer of tokens and the root of every published URL
        public_url: "origin";
        /// TLS towards apps; without it TLS ends before the gate. Open connections keep what they were begun with
        tls;
        /// Proxies whose word on the client's address counts; see [operations.md](operations.md#behind-a-load-balancer)
        forwarded;
        /// Load balancers that begin each connection with the PROXY protocol, version 1 or 2
        proxy_protocol;
        /// How many connections may be open at a time; more are closed at once. The process needs as many file descriptors, and those to the FHIR server
        max_connections;
        /// The same for one address, of IPv6 for one /64; addresses in `from` of `forwarded` and `proxy_protocol` are not counted
        max_connections_per_address = "as `max_connections`";
        /// How long to go on serving after SIGTERM, when `/readyz` has turned red
        drain_delay;
        /// How long requests in flight may take to finish after that
        drain_timeout;
        /// How long a connection without a request is kept. A change holds for HTTP/2 from the next start
        idle_timeout;
        /// Longest silence of a client in the middle of a request or of its answer, and longest time for the PROXY header and the TLS handshake
        client_timeout;
        /// Longest time that the head of a request may take to arrive, and its body again
        request_timeout;
        /// Worker threads
        threads = "one for each core";
    }

    "[server]" in "tls" {
        /// Certificate chain in PEM, the server's own first
        cert: "path";
        /// Private key in PEM
        key: "path";
        /// More certificates; a client that asks for a name in one of them gets it, everybody else the first
        certificates;
        /// Oldest version of TLS
        min;
        /// PEM of the authorities whose certificates clients show (mutual TLS)
        client_ca: "path";
        /// With `client_ca`: whether a connection without such a certificate is closed (`require`) or served (`request`). A certificate that is shown must be good either way. It opens the connection and says nothing of who the client is
        client_auth;
    }

    "[server]" in "tls.certificates" {
        /// As in `tls`
        cert: "path";
        /// As in `tls`
        key: "path";
    }

    "[server]" in "forwarded", "proxy_protocol" {
        /// Addresses of the proxies, such as `"10.0.0.0/8"`; `check` warns where that is all the world
        from: "list of networks";
        /// For `forwarded` only: which header they write. The other one is not looked at
        header;
    }

    "[admin]" {
        /// Addresses and ports where Prometheus and the orchestrator connect; apps must not reach them
        listen: "list of addresses";
        /// The bearer token that anything but `/metrics`, `/healthz` and `/readyz` needs; without it there is no [admin page and no search for decisions](operations.md#the-admin-page)
        token: "secret";
        /// Memory for the last audit lines, which the page and the search show: 8 MiB hold some 15,000. None without `token`
        recent: "bytes";
        /// Values of the `Host` header that are accepted besides loopback
        hosts: "list of hosts";
    }
}

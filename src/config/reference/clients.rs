//! Apps, and other authorization servers.

use super::sections;

sections! {
    "[[clients]]" {
        /// The app's `client_id`
        id;
        /// What people read when they are asked for consent
        name = "the id";
        /// How the app proves who it is: not at all, by a secret, or by a key (`private_key_jwt`)
        kind;
        /// For `confidential-symmetric`: digest of its secret, made by `smartgate hash-password --secret`
        secret_hash;
        /// For `confidential-asymmetric`: a JWK set with its public keys; or `jwks`, or `jwks_url`
        jwks_file: "path";
        /// Instead of `jwks_file`: the JWK set itself, `'{"keys": […]}'`
        jwks;
        /// Instead of `jwks_file`: where its JWK set is fetched
        jwks_url: "URL";
        /// Whether `jwks_url` may be http to other machines too
        allow_http;
        /// Where the browser may be sent with the answer: https, http on this machine, or a scheme like `org.example.app`; compared exactly
        redirect_uris: "list of URLs";
        /// Where an EHR's launch sends the browser: https, or http on this machine
        launch_uris: "list of URLs";
        /// The most it may be granted
        scopes: "list of scopes" = "required, but for an EHR that only launches";
        /// How it may get tokens. By default `authorization_code` where it has `redirect_uris`, `refresh_token` too if it may have `offline_access` or `online_access`, `client_credentials` if it is confidential and has `system/` scopes only
        grant_types = "see meaning";
        /// Origins whose pages may call the gate (CORS)
        origins: "list of origins" = "those of `redirect_uris`";
        /// Whether people are asked before it gets access to their data, or are taken to have agreed
        consent;
        /// How fast its requests may come, at each replica
        rate = "that of `[limits] client_rate`";
        /// Whether it may ask what a token says (`/auth/introspect`)
        may_introspect;
        /// Whether it is an EHR that launches apps (`POST /auth/launch`); not for public clients
        may_launch;
        /// For whom it may launch: it vouches that this person is logged in. People of `[login.oidc]` are `{issuer}#{sub}`, and log in at the provider all the same
        launch_users: "list of user names, or `any`" = "required with `may_launch`";
        /// How the browser that an EHR sends is known to be the one it launched for. `none` is for an EHR that cannot send the browser through the launch's `start_url`: whoever has the launch value is then taken for the EHR's user, which `smartgate check` warns of
        launch_binding;
        /// Origins of the EHR's pages that may show the gate's pages in a frame during a launch
        frame_ancestors: "list of origins";
        /// `enforce` exempts it from report mode; a client can only be stricter, so `report` says what holds anyway
        mode;
        /// `false` shuts it out: it gets no token, and its tokens are refused
        enabled;
    }

    "[[clients]]" in "rate" {
        /// Requests that pass in each second
        per_second;
        /// Requests that may come at once after a pause
        burst = "as `per_second`";
    }

    /// Apps register themselves ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591)) at `/auth/register`; see [operations.md](operations.md#apps-that-register-themselves). Without
    /// this section there is no such endpoint, and apps that registered before are unknown. With `tokens = []` nobody registers any more, and those who did stay.
    "[registration]" {
        /// Digests of the initial access tokens that let an app register, made by `smartgate hash-password --secret`
        tokens: "list of texts";
        /// The most that such an app may be granted, now and later; no `system/` scopes
        scopes: "list of scopes";
        /// How many such apps there may be; they are held in memory
        max_clients;
    }

    "[auth]" {
        /// Where a URL that came from a client may lead besides the public internet, such as `"https://jwks.internal.example:8443"`; https, or http on this machine
        fetch_allow: "list of origins";
    }

    /// Other authorization servers whose tokens are accepted. One of `jwks_file`, `jwks`, `jwks_url` and `discovery` says where their keys are; an issuer with
    /// `introspection` may have none.
    "[[issuers]]" {
        /// The `iss` of its tokens, compared exactly
        issuer: "URL";
        /// One of them must be in `aud`
        audience: "list of texts";
        /// File with its JWK set: its public keys
        jwks_file: "path";
        /// Instead of a file: the JWK set itself
        jwks;
        /// Instead of a file: where its JWK set is fetched
        jwks_url: "URL";
        /// Instead of a file: its JWK set is where `{issuer}/.well-known/openid-configuration` says
        discovery;
        /// How it is asked about tokens that cannot be verified here (RFC 7662)
        introspection;
        /// Whether it may be reached by http on other machines too
        allow_http;
        /// What its tokens may be signed with
        algorithms;
        /// The most that this issuer may grant
        scopes: "list of scopes";
        /// The `typ` of its access tokens; most providers send `jwt`
        token_type;
        /// How far its clock may be ahead, for `iat` and `nbf`; `exp` has no leeway
        leeway;
        /// Which claims say what, if not those of RFC 9068 and SMART
        claims = "below";
        /// Claims that its tokens must have, and their values: `{ tid = "…" }`
        require: "table of texts";
        /// Origins of its clients' pages that may call the gate (CORS)
        origins: "list of origins";
    }

    "[[issuers]]" in "claims" {
        /// Claim with the scopes, as a text with spaces between; under another name than `scope` a list will do. Of several names the first counts that the token has
        scope: "text, list of texts";
        /// What stands before each scope of this server's, and is taken off; scopes without it grant nothing, `openid` aside
        scope_prefix;
        /// How it writes scopes: `dotted` reads `patient.Observation.rs` as `patient/Observation.rs`, `patient.all.rs` as `patient/*.rs` and `launch.patient` as `launch/patient`
        scope_form;
        /// Claim with the patient in context
        patient;
        /// Claim with the encounter in context
        encounter;
        /// Claim with the user's FHIR resource
        fhir_user;
        /// Claim with the client's id; with `token_type = "jwt"` a token must have it, or `azp`
        client;
    }

    "[[issuers]]" in "introspection" {
        /// Where it is asked; otherwise at the `introspection_endpoint` of `{issuer}/.well-known/openid-configuration`
        url: "URL" = "by its discovery document";
        /// What the gate is called there
        client_id;
        /// The gate's secret there; or `private_key`
        client_secret: "secret";
        /// How the secret is sent: in a header, or in the form
        auth;
        /// Instead of `client_secret`, for `private_key_jwt`: a key in PEM as PKCS#8, RSA (signs RS256) or EC on P-256 (ES256) or P-384 (ES384); the audience is `url`
        private_key: "secret";
        /// The `kid` that the issuer knows the key by
        key_id = "required with `private_key`";
        /// What its opaque tokens begin with. Of several issuers with `introspection` all but one need it
        prefix;
        /// How long an answer holds, at most until the token expires. A token that is revoked there is good here for as long. `"0s"` asks for each request
        cache;
        /// Most questions a second about tokens that were not known to be good; what is above is refused with 503
        rate;
    }

    /// Which issuer is asked about what is in [issuers.md](issuers.md#opaque-tokens).
    ///
    /// A name of `claims` that begins with `/` is a JSON Pointer (RFC 6901) into the claims: `/realm_access/roles`. A name like `https://example.org/patient` is just a name.
    /// Which settings Keycloak, Entra ID, Okta and Auth0 need is in [issuers.md](issuers.md).
    "[[issuers]]" {
    }
}

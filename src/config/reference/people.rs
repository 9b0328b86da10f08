//! People, and what they see.

use super::sections;

sections! {
    "[[users]]" {
        /// What the person types to log in
        username;
        /// Digest of the password, made by `smartgate hash-password`
        password_hash;
        /// Who this is: `Patient/…`, `Practitioner/…`, `PractitionerRole/…`, `RelatedPerson/…`, `Person/…`; without it `user/` scopes grant nothing
        fhir_user: "reference";
        /// Patients that this user may choose. By default a Patient only self, a clinician any, a RelatedPerson or Person their links
        patients: "list of ids, or `any`" = "see meaning";
        /// `false` shuts them out: they cannot log in, and their tokens are refused
        enabled;
    }

    "[[links]]" {
        /// Who acts: `RelatedPerson/…` or `Person/…`
        person: "reference";
        /// Patients that this person acts for
        patients: "list of ids";
    }

    /// People of an existing OpenID provider log in here as well, or instead of local users. The gate is a client of that provider; register it there with the
    /// redirect URI `{public_url}/auth/callback`. It uses the authorization code flow with PKCE and `nonce`, asks for the language of its own pages (`ui_locales`), and takes the claims of the id_token. A person's
    /// user name here is `{issuer}#{sub}`, in tokens and in the audit log; e-mail addresses and other names never decide who somebody is. What the login said
    /// of a person holds for the grants that it made, until the next login; take `[login.oidc]` away, or change the issuer, and the tokens of its people are refused.
    ///
    /// An EHR launches for them as `{issuer}#{sub}`, which is what `launch_users` lists. Who such a person is here is known from a login only, so the gate first asks
    /// the provider without a page (`prompt=none`, once), and shows its login page where the provider does not know them. In a frame of the EHR that works
    /// as far as the provider lets its cookies and pages be used in frames; else open `start_url` in a tab.
    "[login.oidc]" {
        /// The provider, exactly as its discovery document and id_tokens have it; https, or http to this machine
        issuer: "URL";
        /// What the gate is called there
        client_id;
        /// The gate's secret there, sent by HTTP Basic, or in the form where the provider has only that; without, the gate is a public client
        client_secret: "secret";
        /// Scopes that the provider is asked for; `openid` always
        scopes: "list of scopes";
        /// What follows "Log in with" on the button
        label = "your organisation, in the page's language";
        /// How a person's own resource is found: `{ claim = … }` or `{ search = … }`
        fhir_user = "see `patients`";
        /// `{ claim = … }`: ids of the patients whom a person may choose; who does not have the claim chooses nobody. Without this key it goes by the kind of person as for local users. `fhir_user` or `patients` must be there
        patients;
    }

    "[login.oidc]" in "fhir_user", "patients" {
        /// Name of the claim: a reference (`Practitioner/…`) for `fhir_user`, a list of ids for `patients`
        claim;
        /// For `fhir_user` only: a search at the FHIR server such as `Patient?identifier=urn:mrn|{mrn}`, filled in from claims; it must have exactly one hit
        search;
    }

    /// What people see who log in. Without this section the pages have no name and the colours of the stylesheet. How to brand and to translate them:
    /// [operations.md](operations.md#the-pages-for-people).
    "[pages]" {
        /// What this site is called: in the head and the title of every page
        name;
        /// SVG or PNG, at most 128 KiB; needs `name`. Served at `{public_url}/auth/logo` to anybody, with a policy by which an SVG runs and fetches nothing
        logo: "file";
        /// Whether the logo shows the name: then it is read out in place of the logo and not written beside it
        name_in_logo;
        /// Colour of buttons, links and outlines. `check` refuses one that has too little contrast to the page (WCAG 2.2 AA, 4.5) and names the nearest that has enough
        color: "`#rrggbb`" = "that of the stylesheet";
        /// That colour on dark screens
        color_dark: "`#rrggbb`" = "`color`, lighter";
        /// Whom to ask; at the foot of every page after "Questions?"
        support;
        /// Text and target (`"Legal notice" = "https://…"`; `https:`, `mailto:`, `tel:`) of at most five links at the foot of every page, as written; they open in a window of their own
        links;
        /// The languages of the pages; the first where neither the app (`ui_locales`) nor the browser (`Accept-Language`) asks for one of them
        languages;
    }

    /// The organisations behind this server, as apps show them to people who look for their records: a
    /// [User-Access Brands bundle](https://hl7.org/fhir/smart-app-launch/brands.html), which is served to anybody at
    /// `{public_url}/.well-known/user-access-brands.json` and named in smart-configuration. The file is read again like the rest of the configuration, and held
    /// against the rules for who publishes one: a Bundle of the type `collection` with a `timestamp`, of Organizations and Endpoints only; each reference to an
    /// Endpoint leads to one in the bundle; the primary brand (the only one, or the one that `identifier` fits) refers to each Endpoint; a Data Absent Reason is
    /// `asked-declined` or `asked-unknown`. Raise `timestamp` with each change. `smartgate check` warns if no Endpoint has this server's FHIR base as its `address`.
    "[brands]" {
        /// The Bundle, in FHIR JSON; it is served as it stands in the file
        bundle: "path";
        /// The primary brand's: fits exactly one `Organization.identifier`; required where the bundle has several
        identifier;
    }

    "[brands]" in "identifier" {
        /// System of that identifier; `urn:ietf:rfc:3986` is recommended
        system = "any";
        /// Value of that identifier: with the recommended system the https URL of the brand's main web site, without `www.` and path
        value;
    }
}

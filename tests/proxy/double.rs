//! A FHIR server that keeps every byte it was sent, holds the resources of attacks.md's conventions, and misbehaves when told to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use smartgate::fhir::target::Target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::joined;
use crate::processed::{Below, process};
use crate::resources::{OF_ANOTHER, conventional, observation};
use crate::wire::{head_end, header_lines};

/// How the server behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Manners {
    #[default]
    Good,
    /// Looks at no search parameter but its own paging.
    IgnoresParameters,
    /// Puts ten on a page whatever `_count` says.
    IgnoresCount,
    /// Answers a search for one type with every type.
    EveryType,
    /// Adds includes, outcomes and links that nobody asked for.
    Talkative,
    /// Does not say how it found what it found.
    NoModes,
    /// Answers every read with another resource: B's, or a place.
    OtherResource,
    /// Answers without versions and without an ETag.
    NoVersions,
    Xml,
    /// Errors that name B.
    Error500,
    Error422,
    Error404,
    Gone,
    Unauthorized,
    Redirect,
    Gzip,
    /// One key twice in a resource.
    DuplicateKeys,
    /// One key twice in each resource that is B's.
    OthersUnreadable,
    /// Fewer bytes than promised.
    Truncated,
    Slow,
    ClosesEarly,
    /// Page links that lead to another host.
    ForeignLinks,
    /// Whatever was read becomes B's right after.
    ChangesHands,
    /// Whatever was read is deleted right after.
    Vanishes,
    /// Refuses every write, naming B.
    RefusesWrites,
    /// Answers every write with another resource, at another place.
    WritesElsewhere,
    /// Answers a Bundle with an entry too few.
    FewerEntries,
    /// Answers a Bundle with an entry too many, B's.
    MoreEntries,
    /// Answers a Bundle's entries from the last to the first.
    OtherOrder,
    /// Answers each entry of a Bundle with what is B's, in every place there is.
    OthersEntries,
    /// Says of each entry of a Bundle that it failed, naming B, once all is done.
    FailsLate,
    /// Two versions at once: in the ETag another than in the body.
    TwoVersions,
    /// Applies every write, whatever its condition says.
    IgnoresConditions,
    /// Applies every entry of a Bundle, whatever its condition says.
    IgnoresConditionsInBundles,
    /// Answers 404 to every Bundle.
    NoBundles,
    /// Applies every deletion.
    IgnoresConditionsOfDelete,
    /// Takes no Basic.
    NoBasic,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub raw: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    manners: Mutex<Manners>,
    resources: Mutex<Vec<Value>>,
    steals: AtomicBool,
    arriving: Mutex<Option<Value>>,
    /// Answers by request line.
    scripted: Mutex<HashMap<String, Answer>>,
}

pub(crate) struct Double {
    base: String,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

impl Double {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/fhir", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        *state.resources.lock() = conventional();
        let server = Server { base: base.clone(), state: state.clone() };
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(server.clone().connection(stream));
            }
        });
        Self { base, state, _serving: serving }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn behave(&self, manners: Manners) {
        *self.state.manners.lock() = manners;
    }

    /// Whatever is read or found becomes B's right after, besides its other manners.
    pub(crate) fn steal(&self, steals: bool) {
        self.state.steals.store(steals, Ordering::Relaxed);
    }

    /// Answers requests with this line from now on as told.
    pub(crate) fn script(&self, line: &str, status: u16, headers: &[(&'static str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.state.scripted.lock().insert(line.to_owned(), Answer { status, headers, body: body.into() });
    }

    /// This will be there as soon as the next search is answered.
    pub(crate) fn after_search(&self, resource: Value) {
        *self.state.arriving.lock() = Some(resource);
    }

    /// Other resources than the conventional ones.
    pub(crate) fn hold(&self, resources: Vec<Value>) {
        *self.state.resources.lock() = resources;
    }

    /// The newest version of a resource.
    pub(crate) fn held(&self, of: &str, id: &str) -> Option<Value> {
        self.state.resources.lock().iter().rfind(|resource| is(resource, of, id)).cloned()
    }

    /// What arrived since the last time; the gate's own look at `metadata` is left out.
    pub(crate) fn take(&self) -> Vec<Seen> {
        let seen = std::mem::take(&mut *self.state.seen.lock());
        seen.into_iter().filter(|seen| seen.target != "/fhir/metadata").collect()
    }
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) base: String,
    state: Arc<State>,
}

#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("Content-Type", "application/fhir+json;charset=utf-8".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Server {
    async fn connection(self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        while let Some(seen) = read_request(&mut stream, &mut buffer).await {
            let manners = if seen.target == "/fhir/metadata" { Manners::Good } else { *self.state.manners.lock() };
            self.state.seen.lock().push(seen.clone());
            match manners {
                Manners::Slow => return std::future::pending().await,
                Manners::ClosesEarly => return,
                _ => {}
            }
            let scripted = self.state.scripted.lock().get(&seen.line()).cloned();
            let answer = scripted.unwrap_or_else(|| self.answer(&seen, manners));
            let mut head = format!("HTTP/1.1 {} -\r\n", answer.status);
            for (name, value) in &answer.headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let body = if seen.method == "HEAD" { &[][..] } else { &answer.body[..] };
            let promised = answer.body.len() + if manners == Manners::Truncated { 10 } else { 0 };
            head.push_str(&format!("Link: <{}/Patient/B>; rel=\"next\"\r\n", self.base));
            head.push_str(&format!("Content-Length: {promised}\r\nServer: double/1\r\nX-Internal: secret\r\n\r\n"));
            let sent = stream.write_all(head.as_bytes()).await.and(stream.write_all(body).await);
            if sent.is_err() || manners == Manners::Truncated {
                return;
            }
        }
    }

    fn answer(&self, seen: &Seen, manners: Manners) -> Answer {
        let lone = |status| Answer::json(status, &outcome(&format!("Patient/B is in the way: {OF_ANOTHER}")));
        match manners {
            Manners::Error500 => lone(500),
            Manners::Error422 => lone(422),
            Manners::Error404 => lone(404),
            Manners::Gone => lone(410),
            Manners::Unauthorized => lone(401).with("WWW-Authenticate", "Basic realm=\"upstream\""),
            Manners::Redirect => lone(302).with("Location", "http://elsewhere.example/Patient/B"),
            Manners::Xml => Answer {
                status: 200,
                headers: vec![("Content-Type", "application/fhir+xml".to_owned())],
                body: format!("<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"{OF_ANOTHER}\"/></Patient>").into(),
            },
            Manners::Gzip => {
                let mut answer = self.well_behaved(seen, manners).with("Content-Encoding", "gzip");
                answer.body = vec![0x1f, 0x8b, 8, 0, 0];
                answer
            }
            Manners::DuplicateKeys => {
                let mut answer = self.well_behaved(seen, manners);
                let text = String::from_utf8(answer.body).unwrap();
                let twice = "\"subject\":{\"reference\":\"Patient/B\"},\"subject\":{\"reference\":\"Patient/A\"}";
                answer.body = text.replace("\"subject\":{\"reference\":\"Patient/A\"}", twice).into_bytes();
                answer
            }
            Manners::OthersUnreadable => {
                let mut answer = self.well_behaved(seen, manners);
                let text = String::from_utf8(answer.body).unwrap();
                let once = "\"subject\":{\"reference\":\"Patient/B\"}";
                answer.body = text.replace(once, &format!("{once},{once}")).into_bytes();
                answer
            }
            _ => self.well_behaved(seen, manners),
        }
    }

    fn well_behaved(&self, seen: &Seen, manners: Manners) -> Answer {
        let Ok(target) = Target::parse(&seen.target, 1000) else {
            return Answer::json(400, &outcome("unreadable"));
        };
        let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
        if path.last().is_some_and(|last| last.starts_with('$')) {
            return self.operation(seen, &target, manners);
        }
        if let (false, ["fhir", of, id @ ..]) = (matches!(seen.method.as_str(), "GET" | "HEAD"), path.as_slice()) {
            return self.written(seen, of, id, manners);
        }
        let resources = self.state.resources.lock().clone();
        match (seen.method.as_str(), path.as_slice()) {
            (_, ["fhir", "metadata"]) => Answer::json(200, &capabilities(&self.base)),
            ("GET" | "HEAD", ["fhir", of, id]) => {
                let (of, id) = match (manners, *of) {
                    (Manners::OtherResource, "Patient") => ("Patient", "B"),
                    (Manners::OtherResource, "Observation") => ("Observation", "b1"),
                    (Manners::OtherResource, _) => ("Location", "l"),
                    (_, of) => (of, *id),
                };
                let found = resources.iter().rfind(|resource| is(resource, of, id));
                match manners {
                    _ if self.steals() && found.is_some() => self.hand_over(of, id),
                    Manners::ChangesHands if found.is_some() => self.hand_over(of, id),
                    Manners::Vanishes => self.state.resources.lock().retain(|resource| !is(resource, of, id)),
                    _ => {}
                }
                match found {
                    Some(resource) => self.resource(resource, manners),
                    None => Answer::json(404, &outcome(&format!("{of}/{id} is not known"))),
                }
            }
            ("GET" | "HEAD", ["fhir", of, id, "_history", version]) => {
                let found = resources.iter().find(|r| is(r, of, id) && r["meta"]["versionId"] == *version);
                found.map_or_else(|| Answer::json(404, &outcome("no such version")), |r| self.resource(r, manners))
            }
            ("GET" | "HEAD", ["fhir", of, id, "_history"]) => {
                let versions = resources.iter().filter(|r| is(r, of, id)).rev().cloned().collect();
                self.bundle("history", versions, &target, manners)
            }
            ("GET" | "HEAD", ["fhir", "Patient", id, of]) => {
                let patient = format!("Patient/{id}");
                let of_patient = |r: &&Value| {
                    is_of(r, of)
                        && (names(r, &patient) || mentions(r, &patient))
                        && selected(&resources, r, &target.query)
                };
                let found = resources.iter().filter(of_patient).cloned().collect();
                self.bundle("searchset", found, &target, manners)
            }
            ("GET" | "HEAD", ["fhir", of]) => {
                let found = resources.iter().filter(|r| manners == Manners::EveryType || is_of(r, of));
                let found =
                    found.filter(|r| manners == Manners::IgnoresParameters || selected(&resources, r, &target.query));
                let found: Vec<Value> = found.cloned().collect();
                for resource in found.iter().filter(|_| self.steals()) {
                    self.hand_over(of, resource["id"].as_str().unwrap());
                }
                self.state.resources.lock().extend(self.state.arriving.lock().take());
                self.bundle("searchset", found, &target, manners)
            }
            ("GET" | "HEAD", ["fhir"]) => {
                let types = target.query.iter().find(|(name, _)| name == "_type").map(|(_, value)| value.as_str());
                let asked = |r: &&Value| types.is_none_or(|types| types.split(',').any(|of| is_of(r, of)));
                let found = resources.iter().filter(asked).cloned().collect();
                self.bundle("searchset", found, &target, manners)
            }
            ("POST", ["fhir"]) if manners == Manners::NoBundles => Answer::json(404, &outcome(OF_ANOTHER)),
            ("POST", ["fhir"]) => {
                let below = Below {
                    ask: &|single| self.well_behaved(single, manners),
                    taken: &|of, id| resources.iter().any(|resource| is(resource, of, id)),
                    roll_back: &|| self.state.resources.lock().clone_from(&resources),
                };
                process(&seen.body, manners, &below)
            }
            _ => Answer::json(200, &json!({ "resourceType": "Parameters" })),
        }
    }

    /// A write: to a version if the request says so, answered with content whatever it prefers.
    fn written(&self, seen: &Seen, of: &str, id: &[&str], manners: Manners) -> Answer {
        match manners {
            Manners::RefusesWrites => return Answer::json(422, &outcome(&format!("Patient/B has it: {OF_ANOTHER}"))),
            Manners::WritesElsewhere => {
                return Answer::json(200, &observation("b1", "B", "x"))
                    .with("Location", format!("{}/Patient/B/_history/1", self.base))
                    .with("Content-Location", format!("{}/Observation/b1", self.base));
            }
            _ => {}
        }
        let mut resources = self.state.resources.lock();
        let (new, id) = match id {
            [] if !of.starts_with('$') => (true, "new"),
            [id] if !id.starts_with('$') => (false, *id),
            _ => return Answer::json(200, &json!({ "resourceType": "Parameters" })),
        };
        if let Some(criteria) = seen.header("if-none-exist").filter(|_| seen.method == "POST") {
            let query = Target::parse(&format!("/x?{criteria}"), 1000).unwrap().query;
            let meets =
                |r: &&Value| is_of(r, of) && (manners == Manners::IgnoresParameters || selected(&resources, r, &query));
            let found: Vec<&Value> = resources.iter().filter(meets).collect();
            match found.as_slice() {
                [] => {}
                [one] => {
                    let location = format!("{}/{of}/{}", self.base, one["id"].as_str().unwrap());
                    return Answer::json(200, one).with("Location", location);
                }
                _ => return Answer::json(412, &outcome(&format!("several are Patient/B's: {OF_ANOTHER}"))),
            }
        }
        let held = resources.iter().rfind(|resource| is(resource, of, id)).cloned();
        let version = held.as_ref().and_then(|held| held["meta"]["versionId"].as_str()).map(str::to_owned);
        let tag = version.as_ref().map(|version| format!("W/\"{version}\""));
        if manners == Manners::NoBasic && of == "Basic" {
            return Answer::json(404, &outcome("no such type"));
        }
        let expected = seen.header("if-match");
        let ignores = manners == Manners::IgnoresConditions
            || manners == Manners::IgnoresConditionsOfDelete && seen.method == "DELETE";
        if !ignores
            && (expected.is_some() && expected != tag.as_deref()
                || seen.header("if-none-match") == Some("*") && held.is_some())
        {
            return Answer::json(412, &outcome(&format!("the version is Patient/B's: {OF_ANOTHER}")));
        }
        if seen.method == "DELETE" {
            resources.retain(|resource| !is(resource, of, id));
            return Answer { status: 204, headers: Vec::new(), body: Vec::new() };
        }
        let mut resource: Value = match seen.method.as_str() {
            "PATCH" => held.clone().unwrap_or_default(),
            _ => serde_json::from_str(&seen.body).unwrap_or_default(),
        };
        if !resource.is_object() {
            return Answer::json(200, &json!({ "resourceType": of, "id": id }));
        }
        let next = version.and_then(|version| version.parse::<u32>().ok()).map_or(1, |version| version + 1);
        resource["id"] = json!(id);
        resource["meta"]["versionId"] = json!(next.to_string());
        resources.push(resource.clone());
        Answer::json(if new || held.is_none() { 201 } else { 200 }, &resource)
            .with("Location", format!("{}/{of}/{id}/_history/{next}", self.base))
            .with("ETag", format!("W/\"{next}\""))
    }

    fn steals(&self) -> bool {
        self.state.steals.load(Ordering::Relaxed)
    }

    /// Makes the resource B's, behind everyone's back.
    fn hand_over(&self, of: &str, id: &str) {
        let mut resources = self.state.resources.lock();
        let Some(mut resource) = resources.iter().rfind(|resource| is(resource, of, id)).cloned() else { return };
        let next =
            resource["meta"]["versionId"].as_str().and_then(|version| version.parse().ok()).map_or(1, |v: u32| v + 1);
        resource["meta"]["versionId"] = json!(next.to_string());
        resource["subject"] = json!({ "reference": "Patient/B" });
        resource["note"] = json!([{ "text": OF_ANOTHER }]);
        resources.push(resource);
    }

    fn resource(&self, resource: &Value, manners: Manners) -> Answer {
        let mut resource = resource.clone();
        if manners == Manners::NoVersions {
            resource.as_object_mut().unwrap().remove("meta");
            return Answer::json(200, &resource);
        }
        let version = resource["meta"]["versionId"].as_str().unwrap_or("1").to_owned();
        let tag = if manners == Manners::TwoVersions { "99" } else { version.as_str() };
        Answer::json(200, &resource)
            .with("ETag", format!("W/\"{tag}\""))
            .with("Last-Modified", "Tue, 01 Dec 2026 10:00:00 GMT")
            .with("Content-Location", format!("{}/somewhere", self.base))
    }

    pub(crate) fn held_now(&self) -> Vec<Value> {
        self.state.resources.lock().clone()
    }

    pub(crate) fn bundle(&self, kind: &str, resources: Vec<Value>, target: &Target, manners: Manners) -> Answer {
        let number = |name: &str| {
            let found = target.query.iter().find(|(given, _)| given == name);
            found.and_then(|(_, value)| value.parse::<usize>().ok())
        };
        let asked = number("_count").filter(|_| manners != Manners::IgnoresCount);
        let (from, count) = (number("_offset").unwrap_or(0), asked.unwrap_or(10));
        let total = resources.len();
        let base = if manners == Manners::ForeignLinks { "http://elsewhere.example/fhir" } else { &self.base };
        let page = |offset: usize| {
            let mut pairs: Vec<String> =
                target.query.iter().filter(|(name, _)| name != "_offset").map(|(n, v)| format!("{n}={v}")).collect();
            pairs.push(format!("_offset={offset}"));
            format!("{base}/{}?{}", target.path[1..].join("/"), pairs.join("&"))
        };
        let mut links = vec![json!({ "relation": "self", "url": page(from) })];
        if from + count < total && count > 0 {
            links.push(json!({ "relation": "next", "url": page(from + count) }));
        }
        if from > 0 {
            links.push(json!({ "relation": "previous", "url": page(from.saturating_sub(count)) }));
        }
        let matches: Vec<Value> = resources.into_iter().skip(from).take(count).collect();
        let mut entries: Vec<Value> = matches.iter().map(|resource| self.entry(kind, resource)).collect();
        let held = self.state.resources.lock().clone();
        for resource in joined::included(&held, &matches, &target.query) {
            let mut entry = self.entry(kind, &resource);
            entry["search"] = json!({ "mode": "include" });
            entries.push(entry);
        }
        if manners == Manners::Talkative {
            let secret = json!({ "resourceType": "Observation", "id": "b9", "subject": { "reference": "Patient/B" }, "note": OF_ANOTHER });
            let full_url = format!("{}/Observation/b9", self.base);
            for entry in &mut entries {
                entry["search"] = json!({ "mode": "match", "score": 0.5, "extension": [{ "url": OF_ANOTHER }] });
                entry["response"] = json!({ "status": "200", "outcome": secret });
                entry["extension"] = json!([{ "url": OF_ANOTHER }]);
            }
            entries.push(json!({ "fullUrl": full_url, "resource": secret, "search": { "mode": "include" } }));
            entries.push(json!({ "resource": outcome(OF_ANOTHER), "search": { "mode": "outcome" } }));
        }
        if manners == Manners::NoModes {
            for entry in &mut entries {
                entry.as_object_mut().unwrap().remove("search");
            }
        }
        let bundle = json!({
            "resourceType": "Bundle",
            "id": "upstream-bundle",
            "meta": { "lastUpdated": "2026-12-01T10:00:00Z" },
            "type": kind,
            "total": total,
            "link": links,
            "entry": entries,
        });
        Answer::json(200, &bundle)
    }

    fn entry(&self, kind: &str, resource: &Value) -> Value {
        let name = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        let mut entry = json!({ "fullUrl": format!("{}/{name}", self.base), "resource": resource });
        if kind == "history" {
            entry["request"] = json!({ "method": "PUT", "url": name });
            entry["response"] = json!({ "status": "200", "etag": resource["meta"]["versionId"] });
        } else {
            entry["search"] = json!({ "mode": "match" });
        }
        entry
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let mut chunk = [0u8; 8192];
    let end = loop {
        if let Some(end) = head_end(buffer) {
            break end;
        }
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => buffer.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let headers = header_lines(&head);
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    while buffer.len() < end + length {
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => buffer.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
    let raw: Vec<u8> = buffer.drain(..end + length).collect();
    let mut first = head.split(' ');
    Some(Seen {
        method: first.next()?.to_owned(),
        target: first.next()?.to_owned(),
        headers,
        body: String::from_utf8_lossy(&raw[end..]).into_owned(),
        raw: String::from_utf8_lossy(&raw).into_owned(),
    })
}

pub(crate) fn is_of(resource: &Value, of: &str) -> bool {
    resource["resourceType"] == of
}

pub(crate) fn is(resource: &Value, of: &str, id: &str) -> bool {
    is_of(resource, of) && resource["id"] == id
}

/// Whether an element that says whose the resource is names `patient`.
pub(crate) fn names(resource: &Value, patient: &str) -> bool {
    let elements =
        ["subject", "patient", "for", "beneficiary", "individual", "actor", "candidate", "deliverTo", "deliverFor"];
    let inside =
        |outer: &str, inner: &'static str| resource[outer].as_array().into_iter().flatten().map(move |one| &one[inner]);
    let inner = inside("participant", "actor").chain(inside("link", "target"));
    elements.map(|name| &resource[name]).into_iter().chain(inner).any(|element| element["reference"] == patient)
}

/// Whether an element names `patient` that the compartment has besides.
fn mentions(resource: &Value, patient: &str) -> bool {
    let performers = resource["performer"].as_array().into_iter().flatten();
    performers.into_iter().any(|performer| performer["reference"] == patient)
}

pub(crate) fn selected(held: &[Value], resource: &Value, query: &[(String, String)]) -> bool {
    query.iter().all(|(name, value)| match name.as_str() {
        "_id" => value.split(',').any(|id| resource["id"] == id),
        "patient" | "subject" | "actor" => value.split(',').any(|patient| names(resource, patient)),
        "target" => value.split(',').any(|target| {
            let leads =
                |text: &str| text == target || text.strip_prefix(target).is_some_and(|r| r.starts_with("/_history/"));
            let targets = resource["target"].as_array().into_iter().flatten();
            targets.filter_map(|one| one["reference"].as_str()).any(leads)
        }),
        "location" => value.split(',').any(|url| resource["content"][0]["attachment"]["url"] == url),
        "code" => resource["code"]["text"] == value.as_str(),
        "category" => value.split(',').any(|token| is_coded(&resource["category"][0]["coding"], token)),
        "_security" => value.split(',').any(|token| is_coded(&resource["meta"]["security"], token)),
        name => joined::selects(held, resource, name, value),
    })
}

/// Whether one of `codings` is `token`. The case of letters does not count, as FHIR lets servers choose.
fn is_coded(codings: &Value, token: &str) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_ascii_lowercase();
    let codings = codings.as_array().into_iter().flatten();
    let mut named = codings.map(|coding| (text(&coding["system"]), text(&coding["code"])));
    match token.to_ascii_lowercase().split_once('|') {
        Some((system, code)) => named.any(|known| known == (system.to_owned(), code.to_owned())),
        None => named.any(|(_, known)| known == token.to_ascii_lowercase()),
    }
}

pub(crate) fn outcome(text: &str) -> Value {
    json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "error", "code": "processing", "diagnostics": text }] })
}

fn capabilities(base: &str) -> Value {
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "implementation": { "description": "double", "url": base },
        "rest": [{ "mode": "server", "security": { "description": "open" } }],
    })
}

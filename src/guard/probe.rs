//! Tries out, on a resource of the gate's own, what the FHIR server makes of the conditions of a write (enforcement.md §2.7).
//!
//! What counts is what is stored afterwards, not only what the server says.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::entries::{Upward, print_upward};
use super::outgoing;
use super::precondition;
use crate::config::Upstream;
use crate::decide::{Obeyed, ObeyedInTransaction, Pin, ProbeResource, UpstreamRequest, bundle_request};
use crate::fhir::json::Document;
use crate::fhir::outcome::FHIR_JSON;
use crate::fhir::reference::is_id;
use crate::fhir::{AddressKey, ResourceType};
use crate::upstream::UpstreamClient;

/// Most bytes of an answer that are read, and deepest nesting.
const ANSWER: usize = 16 << 20;
const DEPTH: usize = 64;

/// A FHIR server that is tried out.
pub(crate) struct Probe<'a> {
    pub(crate) client: &'a UpstreamClient,
    pub(crate) upstream: &'a Arc<Upstream>,
    /// The address that is asked.
    pub(crate) at: AddressKey,
}

/// What an answer says.
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Probe<'_> {
    /// Finds out what the server obeys, and leaves nothing behind.
    ///
    /// # Errors
    /// Why it cannot be found out, for the operator.
    pub(crate) async fn conditions(&self) -> Result<Obeyed, String> {
        let made = self.make().await?;
        let found = self.try_out(&made).await;
        self.remove(&made).await;
        found
    }

    /// Sends one request of the gate's own.
    pub(crate) async fn ask(&self, request: &UpstreamRequest, body: Option<&Value>) -> Result<Said, String> {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static(FHIR_JSON);
        headers.insert(header::ACCEPT, json.clone());
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, json);
        }
        outgoing::pin(request, &mut headers);
        let body = body.map(|body| Bytes::from(body.to_string()));
        let answer = self.client.send(self.upstream, request, headers, body, Some(self.at)).await;
        let mut answer = answer.map_err(|error| error.to_string())?;
        if answer.at != self.at {
            return Err("the FHIR server cannot be reached at this address".to_owned());
        }
        let body = answer.collect(ANSWER).await.map_err(|error| error.to_string())?;
        Ok(Said { status: answer.status, headers: answer.headers, body })
    }

    async fn make(&self) -> Result<ProbeResource, String> {
        let mut refused = Vec::new();
        for of in [ResourceType::BASIC, ResourceType::OBSERVATION] {
            let said = self.ask(&ProbeResource::create(of), Some(&content(of, None, "made"))).await?;
            if !said.status.is_success() {
                refused.push(format!("{} to POST {of}", said.status));
                continue;
            }
            return match id(of, &said) {
                Some(id) => Ok(ProbeResource { of, id }),
                None => Err(format!("the FHIR server does not say where the {of} is that it created")),
            };
        }
        Err(format!("the FHIR server answers {}", refused.join(" and ")))
    }

    async fn try_out(&self, made: &ProbeResource) -> Result<Obeyed, String> {
        let first = self.version(made).await?.ok_or("the FHIR server does not show what it created")?;
        let stale = || Pin::Version(first.clone());
        let right = self.put(made, stale(), "changed").await?;
        let second = self.version(made).await?;
        if !right.is_success() || second.is_none() || second.as_ref() == Some(&first) {
            return Err(format!("the FHIR server answers {right} to a PUT with the right `If-Match`"));
        }
        let refused = !self.put(made, stale(), "stale").await?.is_success();
        let third = self.version(made).await?;
        let put = refused && third == second;
        let refused = !self.put(made, Pin::Absent, "absent").await?.is_success();
        let absent = refused && self.version(made).await? == third;
        let mut transaction = self.try_transaction(made, &first).await?;
        let refused = !self.ask(&made.delete(Some(stale())), None).await?.status.is_success();
        let delete = refused && self.version(made).await?.is_some();
        if delete && transaction.put {
            let refused = !self.together(&made.delete(Some(stale())), None).await?;
            transaction.delete = refused && self.version(made).await?.is_some();
        }
        Ok(Obeyed { put, delete, absent, transaction })
    }

    /// What the server obeys in a transaction: nothing, if it does not take one that is right. `first` is a stale version.
    async fn try_transaction(&self, made: &ProbeResource, first: &str) -> Result<ObeyedInTransaction, String> {
        let mut obeyed = ObeyedInTransaction::default();
        let before = self.version(made).await?.ok_or("the FHIR server does not show what it created")?;
        let body = content(made.of, Some(&made.id), "changed together");
        let right = self.together(&made.update(Pin::Version(before.clone())), Some(&body)).await?;
        let current = self.version(made).await?;
        if !right || current.is_none() || current.as_ref() == Some(&before) {
            return Ok(obeyed);
        }
        let refused = !self.together(&made.update(Pin::Version(first.to_owned())), Some(&body)).await?;
        obeyed.put = refused && self.version(made).await? == current;
        if obeyed.put {
            let refused = !self.together(&made.update(Pin::Absent), Some(&body)).await?;
            obeyed.absent = refused && self.version(made).await? == current;
        }
        Ok(obeyed)
    }

    /// Sends one request as a transaction of its own; whether that was answered as done.
    async fn together(&self, request: &UpstreamRequest, body: Option<&Value>) -> Result<bool, String> {
        let resource = body.map(to_raw_value).transpose().map_err(|error| error.to_string())?;
        let bundle = print_upward("transaction", &[Upward::own(request, resource.as_deref())])
            .map_err(|_| "the probe cannot be printed")?;
        let bundle: Value = serde_json::from_slice(&bundle).map_err(|error| error.to_string())?;
        Ok(self.ask(&bundle_request(true), Some(&bundle)).await?.status.is_success())
    }

    async fn put(&self, made: &ProbeResource, pin: Pin, text: &str) -> Result<StatusCode, String> {
        let body = content(made.of, Some(&made.id), text);
        Ok(self.ask(&made.update(pin), Some(&body)).await?.status)
    }

    /// The present version; none if the resource is gone.
    async fn version(&self, made: &ProbeResource) -> Result<Option<String>, String> {
        let said = self.ask(&made.read(), None).await?;
        match said.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            status => return Err(format!("the FHIR server answers {status} to a read of what it created")),
        }
        let resource = Document::parse(&said.body, DEPTH).map_err(|error| error.to_string())?;
        match precondition::version(resource.root(), &said.headers) {
            Ok(version) => Ok(Some(version)),
            Err(_) => Err("the FHIR server gives its resources no version".to_owned()),
        }
    }

    async fn remove(&self, made: &ProbeResource) {
        let pin = self.version(made).await.ok().flatten().map(Pin::Version);
        for pin in [pin, None] {
            match self.ask(&made.delete(pin), None).await {
                Ok(said) if said.status.is_success() => return,
                Ok(said) if matches!(said.status, StatusCode::NOT_FOUND | StatusCode::GONE) => return,
                _ => {}
            }
        }
        tracing::warn!(resource = format!("{}/{}", made.of, made.id), "the gate's own probe cannot be deleted again");
    }
}

/// A resource about nobody that says what it is.
fn content(of: ResourceType, id: Option<&str>, text: &str) -> Value {
    let code = ("code", json!({ "text": format!("Smartgate probe, {text}") }));
    let status = (of == ResourceType::OBSERVATION).then(|| ("status", json!("entered-in-error")));
    let id = id.map(|id| ("id", json!(id)));
    let members = [Some(("resourceType", json!(of.name()))), id, status, Some(code)];
    members.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The id that the server gave: in the body, or else in `Location`.
fn id(of: ResourceType, said: &Said) -> Option<String> {
    let body: Option<Value> = serde_json::from_slice(&said.body).ok();
    let text = |name| body.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str);
    let own = text("id").filter(|_| text("resourceType") == Some(of.name()));
    let location = said.headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    let located =
        location.and_then(|url| url.rsplit_once(&format!("{of}/"))).and_then(|(_, rest)| rest.split('/').next());
    own.or(located).filter(|id| is_id(id)).map(str::to_owned)
}

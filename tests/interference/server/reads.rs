//! Read, vread, history and search.

use serde_json::{Value, json};

use super::data::{LAST_UPDATED, Version, name_of, text};
use super::parameters::parameters_of;
use super::search::{OFFSET, Query, is};
use super::{Answer, Manners, Request, Server};

/// Matches on a page where `_count` does not say.
const PAGE: usize = 10;

/// `LAST_UPDATED` as HTTP writes it.
const LAST_MODIFIED: &str = "Fri, 15 Jan 2027 08:00:00 GMT";

impl Server {
    pub(super) fn read(&self, request: &Request, of: &str, id: &str, version: Option<&str>) -> Answer {
        if self.manners == Manners::AnswersOthers && request.hash().is_multiple_of(8) {
            return self.resource(&Version { id: "1".to_owned(), body: Some(self.other(request)) }, 200);
        }
        let Some(record) = self.data.find(of, id) else { return self.error(404) };
        let found = match version {
            None => Some(record.last()),
            Some(wanted) => record.versions.iter().find(|version| version.id == wanted),
        };
        let Some(found) = found else { return self.error(404) };
        if found.body.is_none() {
            return self.error(410);
        }
        let unchanged = request.header("if-none-match").is_some_and(|tags| tags.contains(&format!("\"{}\"", found.id)))
            || request.header("if-modified-since").is_some();
        if unchanged {
            return Answer { body: None, ..self.resource(found, 304) };
        }
        self.resource(found, 200)
    }

    /// An answer with one version of a resource.
    pub(super) fn resource(&self, version: &Version, status: u16) -> Answer {
        let mut body = version.body.clone();
        if self.manners == Manners::NoVersions {
            if let Some(meta) = body.as_mut().and_then(|body| body["meta"].as_object_mut()) {
                meta.remove("versionId");
            }
            return Answer::new(status, body);
        }
        Answer::new(status, body)
            .with("ETag", format!("W/\"{}\"", version.id))
            .with("Last-Modified", LAST_MODIFIED.to_owned())
    }

    pub(super) fn history(&self, request: &Request, of: &str, id: &str) -> Answer {
        let Some(record) = self.data.find(of, id) else { return self.error(404) };
        let entry = |version: &Version| {
            let method = match (&version.body, version.id.as_str()) {
                (None, _) => "DELETE",
                (Some(_), "1") => "POST",
                (Some(_), _) => "PUT",
            };
            let mut entry = json!({
                "fullUrl": format!("{}/{of}/{id}", self.base),
                "request": { "method": method, "url": format!("{of}/{id}") },
                "response": { "status": "200", "etag": format!("W/\"{}\"", version.id), "lastModified": LAST_UPDATED },
            });
            if let Some(body) = &version.body {
                entry["resource"] = body.clone();
            }
            entry
        };
        let entries: Vec<Value> = record.versions.iter().rev().map(entry).collect();
        self.page(request, "history", &entries, &Query::read(&request.query))
    }

    pub(super) fn search(&self, request: &Request, of: &str, compartment: Option<(&str, &str)>) -> Answer {
        let mut pairs = request.query.clone();
        if self.manners == Manners::IgnoresNarrowing {
            pairs.retain(|(name, value)| !value.contains("Patient/") && (of != "Patient" || name != "_id"));
        }
        let mut query = Query::read(&pairs);
        query.ignores_case = self.manners == Manners::IgnoresCase;
        let all = self.data.current();
        let mut matches = query.matches(&all, of);
        if let Some((owner, id)) = compartment.filter(|_| self.manners != Manners::IgnoresNarrowing) {
            matches.retain(|resource| {
                is(resource, owner, id)
                    || parameters_of(of).flat_map(|p| p.references(resource)).any(|found| found == (owner, id))
            });
        }
        if query.counted_only {
            let total = matches.len();
            return Answer::new(200, Some(json!({ "resourceType": "Bundle", "type": "searchset", "total": total })));
        }
        let entries: Vec<Value> = matches.iter().map(|resource| self.entry(resource, "match", &query)).collect();
        let mut answer = self.page(request, "searchset", &entries, &query);
        let on_page: Vec<&Value> = matches.into_iter().skip(query.offset).take(self.size(&query)).collect();
        let mut brought: Vec<Value> = query.included(&all, &on_page).into_iter().cloned().collect();
        if self.manners == Manners::Talkative {
            brought.extend(self.others.iter().take(3).cloned());
        }
        let brought = brought.iter().map(|resource| self.entry(resource, "include", &query));
        if let Some(entries) = answer.body.as_mut().and_then(|body| body["entry"].as_array_mut()) {
            entries.extend(brought);
        }
        answer
    }

    fn entry(&self, resource: &Value, mode: &str, query: &Query) -> Value {
        let mut resource = resource.clone();
        let full_url = format!("{}/{}", self.base, name_of(&resource));
        if !query.elements.is_empty()
            && let Some(members) = resource.as_object_mut()
        {
            let kept = |name: &String| {
                matches!(name.as_str(), "id" | "meta" | "resourceType") || query.elements.contains(name)
            };
            members.retain(|name, _| kept(name));
        }
        if self.manners == Manners::NoVersions
            && let Some(meta) = resource["meta"].as_object_mut()
        {
            meta.remove("versionId");
        }
        json!({ "fullUrl": full_url, "resource": resource, "search": { "mode": mode, "score": 1 } })
    }

    fn size(&self, query: &Query) -> usize {
        match self.manners {
            Manners::SmallPages => 3,
            _ => query.count.unwrap_or(PAGE),
        }
    }

    /// One page of `entries`.
    fn page(&self, request: &Request, kind: &str, entries: &[Value], query: &Query) -> Answer {
        let size = self.size(query);
        let mut bundle = json!({ "resourceType": "Bundle", "type": kind, "id": "page", "total": entries.len() });
        let link = |relation: &str, offset: usize| {
            let mut printed = form_urlencoded::Serializer::new(String::new());
            printed.extend_pairs(request.query.iter().filter(|(name, _)| name != OFFSET));
            printed.append_pair(OFFSET, &offset.to_string());
            let url = format!("{}/{}?{}", self.base, request.path.join("/"), printed.finish());
            json!({ "relation": relation, "url": url })
        };
        let mut links = vec![link("self", query.offset)];
        let mut on_page: Vec<Value> = entries.iter().skip(query.offset).take(size).cloned().collect();
        if query.offset + size < entries.len() {
            links.push(link("next", query.offset + size));
        }
        if query.offset > 0 {
            links.push(link("previous", query.offset.saturating_sub(size)));
        }
        if self.manners == Manners::Talkative {
            bundle["total"] = json!(self.data.records.len());
            let said: Vec<String> = self.others.iter().map(|other| text(&other["text"], "div")).collect();
            let outcome = json!({
                "resourceType": "OperationOutcome",
                "issue": [{ "severity": "warning", "code": "informational", "diagnostics": said.join(" ") }],
            });
            on_page.push(json!({ "resource": outcome, "search": { "mode": "outcome" } }));
        }
        bundle["link"] = Value::from(links);
        bundle["entry"] = Value::from(on_page);
        Answer::new(200, Some(bundle))
    }
}

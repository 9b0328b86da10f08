//! Create, update, delete and their conditional forms (FHIR R4 http.html).

use serde_json::{Value, json};

use super::data::text;
use super::search::Query;
use super::{Answer, Manners, Request, Server, hash};

impl Server {
    pub(super) fn create(&mut self, request: &Request, of: &str) -> Answer {
        if let Some(criteria) = request.header("if-none-exist") {
            match self.selected(of, criteria).as_slice() {
                [] => {}
                [id] => return self.stored(request, of, id, 200),
                _ => return self.error(412),
            }
        }
        let Some(body) = request.body.clone() else { return self.error(400) };
        // The same content twice is two resources.
        let id = (0..)
            .map(|attempt| format!("n{:x}", hash(&format!("{of} {body} {attempt}"))))
            .find(|id| self.data.find(of, id).is_none());
        let id = id.unwrap_or_default();
        self.store(of, &id, Some(body));
        self.stored(request, of, &id, 201)
    }

    pub(super) fn update(&mut self, request: &Request, of: &str, id: &str) -> Answer {
        let current = self.data.find(of, id).filter(|record| record.current().is_some()).map(|r| r.last().id.clone());
        if self.fails_condition(request, current.as_deref()) {
            return self.error(412);
        }
        let Some(body) = request.body.clone() else { return self.error(400) };
        if text(&body, "resourceType") != of || text(&body, "id") != id {
            return self.error(400);
        }
        self.store(of, id, Some(body));
        self.stored(request, of, id, if current.is_some() { 200 } else { 201 })
    }

    pub(super) fn delete(&mut self, request: &Request, of: &str, id: &str) -> Answer {
        let Some(current) = self.data.find(of, id).filter(|record| record.current().is_some()) else {
            return Answer::new(204, None);
        };
        let current = current.last().id.clone();
        if self.fails_condition(request, Some(&current)) {
            return self.error(412);
        }
        self.store(of, id, None);
        Answer::new(204, None)
    }

    pub(super) fn conditional_update(&mut self, request: &Request, of: &str) -> Answer {
        match self.selected_by_query(request, of).as_slice() {
            [] => self.create(request, of),
            [id] => {
                let mut single = request.clone();
                if let Some(body) = &mut single.body {
                    body["id"] = json!(id);
                }
                self.update(&single, of, id)
            }
            _ => self.error(412),
        }
    }

    pub(super) fn conditional_delete(&mut self, request: &Request, of: &str) -> Answer {
        match self.selected_by_query(request, of).as_slice() {
            [] => Answer::new(204, None),
            [id] => self.delete(request, of, id),
            _ => self.error(412),
        }
    }

    fn selected_by_query(&self, request: &Request, of: &str) -> Vec<String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        self.selected(of, &query.extend_pairs(&request.query).finish())
    }

    fn selected(&self, of: &str, criteria: &str) -> Vec<String> {
        let mut pairs: Vec<(String, String)> =
            form_urlencoded::parse(criteria.trim_start_matches('?').as_bytes()).into_owned().collect();
        if self.manners == Manners::IgnoresNarrowing {
            pairs.retain(|(_, value)| !value.contains("Patient/"));
        }
        Query::read(&pairs).matches(&self.data.current(), of).iter().map(|found| text(found, "id")).collect()
    }

    fn fails_condition(&self, request: &Request, current: Option<&str>) -> bool {
        let names =
            |tags: &str| current.is_some_and(|current| tags.trim() == "*" || tags.contains(&format!("\"{current}\"")));
        request.header("if-match").is_some_and(|tags| !names(tags))
            || request.header("if-none-match").is_some_and(names)
    }

    /// Stores a version; its id follows from what is stored and from what was there.
    fn store(&mut self, of: &str, id: &str, mut body: Option<Value>) {
        if let Some(body) = &mut body {
            body["id"] = json!(id);
            if let Some(meta) = body["meta"].as_object_mut() {
                meta.remove("versionId");
                meta.remove("lastUpdated");
            }
        }
        let before = self.data.find(of, id).map(|record| record.last().id.clone());
        let version = format!("v{:x}", hash(&format!("{before:?} {body:?}")));
        self.data.put(of, id, version, body);
    }

    /// The answer to a write that was carried out.
    fn stored(&self, request: &Request, of: &str, id: &str, status: u16) -> Answer {
        let Some(record) = self.data.find(of, id) else { return self.error(404) };
        let version = record.last();
        let mut answer = self.resource(version, status);
        let mut place = format!("{}/{of}/{id}/_history/{}", self.base, version.id);
        if self.manners == Manners::AnswersOthers {
            let other = self.other(request);
            place = format!("{}/{}/{}", self.base, text(&other, "resourceType"), text(&other, "id"));
            answer.body = Some(other);
        } else if request.header("prefer").is_some_and(|prefer| prefer.contains("return=minimal")) {
            answer.body = None;
        }
        answer.with("Location", place)
    }
}

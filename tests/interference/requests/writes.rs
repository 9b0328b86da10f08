//! Writes: of what is the patient's and of what is not, with conditions and without.

use serde_json::{Value, json};

use super::{Asked, Roller};
use crate::server::data::text;

const JSON: &str = "application/fhir+json";

impl Roller<'_> {
    pub(super) fn write(&mut self) -> Asked {
        let rolled = self.dice.below(20);
        let mut asked = match rolled {
            0..=5 => self.create(),
            6..=10 => self.update(),
            11..=13 => self.patch(),
            14..=15 => self.delete(),
            16 => self.conditional("conditional-update"),
            17 => self.conditional("conditional-delete"),
            _ => self.conditional("conditional-create"),
        };
        if self.dice.chance(15) && asked.method != "DELETE" {
            let prefer = self.dice.pick(&["return=minimal", "return=representation", "return=OperationOutcome"]);
            asked = asked.with("Prefer", prefer);
        }
        asked
    }

    /// A resource of the patient's, changed: mostly into one that the patient may write.
    pub(super) fn body(&mut self) -> Value {
        let of = self.of();
        let of_type: Vec<_> = self.pool.bodies.iter().filter(|body| body["resourceType"] == of).cloned().collect();
        let mut body = self.dice.pick(if of_type.is_empty() { &self.pool.bodies } else { &of_type });
        if let Some(members) = body.as_object_mut() {
            members.remove("meta");
        }
        if body["status"].is_string() && self.dice.chance(50) {
            body["status"] = json!(self.dice.pick(&["final", "active", "completed", "amended"]));
        }
        body["language"] = json!(self.dice.pick(&["en", "de", "fr", "nl", "da"]));
        if self.dice.chance(25) {
            self.lead_away(&mut body);
        }
        body
    }

    /// Makes the body another's, or refer to another's.
    fn lead_away(&mut self, body: &mut Value) {
        let (of, id) = self.dice.pick(&self.pool.strangers);
        let elsewhere = match self.dice.below(8) {
            0 => json!({ "reference": "Patient/B" }),
            1 => json!({ "reference": "Patient/nobody" }),
            2 => json!({ "reference": format!("{of}?identifier=x") }),
            3 => json!({ "identifier": { "system": "urn:mrn", "value": "mrn-B" } }),
            4 => json!({ "reference": "Practitioner/p1" }),
            5 => json!({ "reference": "Encounter/A-free" }),
            _ => json!({ "reference": format!("{of}/{id}") }),
        };
        let at = self.dice.pick(&["subject", "encounter", "patient", "focus", "extra"]);
        match at {
            "focus" => body["focus"] = json!([elsewhere]),
            "extra" => body["extension"] = json!([{ "url": "urn:x", "valueReference": elsewhere }]),
            at => body[at] = elsewhere,
        }
    }

    pub(super) fn create(&mut self) -> Asked {
        let mut body = self.body();
        let of = text(&body, "resourceType");
        if self.dice.chance(80)
            && let Some(members) = body.as_object_mut()
        {
            members.remove("id");
        }
        sending("create", "POST", format!("/{of}"), &body)
    }

    fn update(&mut self) -> Asked {
        let mut body = self.body();
        let (mut of, mut id) = (text(&body, "resourceType"), text(&body, "id"));
        if self.dice.chance(40) {
            let place = self.place();
            id = place.1;
            if self.dice.chance(70) {
                of = place.0;
            }
            body["resourceType"] = json!(of);
            body["id"] = json!(id);
        }
        let asked = sending("update", "PUT", format!("/{of}/{id}"), &body);
        self.on_condition(asked)
    }

    fn patch(&mut self) -> Asked {
        let (of, id) = self.place();
        let operations = self.dice.pick(&[
            json!([{ "op": "add", "path": "/language", "value": "en" }]),
            json!([{ "op": "replace", "path": "/status", "value": "final" }]),
            json!([{ "op": "test", "path": "/status", "value": "final" }, { "op": "add", "path": "/language", "value": "x" }]),
            json!([{ "op": "replace", "path": "/subject/reference", "value": "Patient/B" }]),
            json!([{ "op": "remove", "path": "/status" }]),
            json!([{ "op": "add", "path": "/encounter", "value": { "reference": "Encounter/B-enc-1" } }]),
            json!([{ "op": "copy", "from": "/status", "path": "/language" }]),
            json!({ "op": "add" }),
        ]);
        let asked = sending("patch", "PATCH", format!("/{of}/{id}"), &operations);
        let asked = Asked { headers: Vec::new(), ..asked }.with("Content-Type", "application/json-patch+json");
        self.on_condition(asked)
    }

    fn delete(&mut self) -> Asked {
        let (of, id) = self.place();
        let asked = Asked { method: "DELETE", plain: false, ..Asked::get("delete", format!("/{of}/{id}")) };
        self.on_condition(asked)
    }

    fn on_condition(&mut self, asked: Asked) -> Asked {
        if self.dice.chance(65) {
            return asked;
        }
        let earlier = self.written.first().map_or("W/\"1\"".to_owned(), |of| format!("{{etag:{of}}}"));
        let (name, value) = self.dice.pick(&[
            ("If-Match", "W/\"1\"".to_owned()),
            ("If-Match", "W/\"2\"".to_owned()),
            ("If-Match", "*".to_owned()),
            ("If-Match", earlier),
            ("If-None-Match", "*".to_owned()),
            ("If-None-Match", "W/\"1\"".to_owned()),
        ]);
        asked.with(name, &value).kind("condition")
    }

    /// Criteria that select something of the patient's, of others, of both or of nobody.
    pub(super) fn criteria(&mut self, of: &str) -> String {
        let patient = self.dice.pick(&self.patients);
        let mut criteria = form_urlencoded::Serializer::new(String::new());
        for _ in 0..1 + self.dice.below(2) {
            let parameters = self.pool.parameters(of);
            let parameter = self.dice.pick(&parameters);
            criteria.append_pair(parameter.code, &self.dice.pick(self.pool.values(parameter)));
        }
        if self.dice.chance(40) {
            criteria.append_pair("patient", self.dice.pick(&[patient, patient, "B"]));
        }
        criteria.finish()
    }

    fn conditional(&mut self, interaction: &'static str) -> Asked {
        let mut body = self.body();
        let of = text(&body, "resourceType");
        let criteria = self.criteria(&of);
        if self.dice.chance(80)
            && let Some(members) = body.as_object_mut()
        {
            members.remove("id");
        }
        match interaction {
            "conditional-create" => {
                sending(interaction, "POST", format!("/{of}"), &body).with("If-None-Exist", &criteria)
            }
            "conditional-update" => sending(interaction, "PUT", format!("/{of}?{criteria}"), &body),
            _ => Asked { method: "DELETE", plain: false, ..Asked::get(interaction, format!("/{of}?{criteria}")) },
        }
    }
}

fn sending(interaction: &'static str, method: &'static str, target: String, body: &Value) -> Asked {
    let asked = Asked { interaction, method, target, body: body.to_string(), ..Asked::default() };
    asked.with("Content-Type", JSON)
}

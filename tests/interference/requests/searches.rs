//! Searches: of a type by GET and POST, and in a compartment, with every kind of parameter.

use super::{Asked, Roller};
use crate::server::parameters::{Kind, Parameter, TYPES};

/// A name, a value, and whether it may be refused only for scopes.
type Rolled = (String, String, &'static str, bool);

impl Roller<'_> {
    pub(super) fn search(&mut self) -> Asked {
        let of = if self.dice.chance(8) { "Patient" } else { self.of() };
        let mut parameters: Vec<Rolled> =
            (0..self.dice.weighted(&[(2, 0), (4, 1), (3, 2), (1, 3)])).map(|_| self.filter(of)).collect();
        if self.dice.chance(35) {
            parameters.push(self.of_patient(of));
        }
        if self.dice.chance(18) {
            parameters.push(self.include(of));
        }
        if self.dice.chance(14) {
            parameters.push(self.include(of));
        }
        for _ in 0..self.dice.below(3) {
            parameters.push(self.result(of));
        }
        let mut asked = self.assembled(of, &parameters);
        asked.kinds = parameters.iter().map(|(_, _, kind, _)| (*kind).to_owned()).collect();
        asked.plain &= parameters.iter().all(|(_, _, _, plain)| *plain);
        asked
    }

    fn assembled(&mut self, of: &str, parameters: &[Rolled]) -> Asked {
        let print = |parameters: &[Rolled]| {
            let mut printed = form_urlencoded::Serializer::new(String::new());
            printed.extend_pairs(parameters.iter().map(|(name, value, ..)| (name, value))).finish()
        };
        let with = |path: String, query: String| if query.is_empty() { path } else { format!("{path}?{query}") };
        let form = |asked: Asked| asked.with("Content-Type", "application/x-www-form-urlencoded");
        match self.dice.below(20) {
            0..=3 => {
                let split = self.dice.below(parameters.len() + 1);
                let target = with(format!("/{of}/_search"), print(&parameters[..split]));
                form(Asked { method: "POST", body: print(&parameters[split..]), ..Asked::get("search-post", target) })
            }
            4..=5 => {
                let patient = self.dice.pick(&self.patients);
                let patient = self.dice.weighted(&[(4, patient), (1, "B")]);
                let asked =
                    Asked::get("search-compartment", with(format!("/Patient/{patient}/{of}"), print(parameters)));
                Asked { plain: false, ..asked }
            }
            6 => Asked { method: "HEAD", ..Asked::get("search-type", with(format!("/{of}"), print(parameters))) },
            _ => Asked::get("search-type", with(format!("/{of}"), print(parameters))),
        }
    }

    /// A parameter that selects.
    fn filter(&mut self, of: &str) -> Rolled {
        match self.dice.below(16) {
            0 => self.chain(of),
            1 => self.has(of),
            2..=6 if of == "Patient" => self.has(of),
            2..=12 if of == "Provenance" => self.target(),
            _ => {
                let parameter = self.dice.pick(&self.pool.parameters(of));
                self.plain(parameter)
            }
        }
    }

    fn plain(&mut self, parameter: &'static Parameter) -> Rolled {
        let mut value = self.dice.pick(self.pool.values(parameter));
        if self.dice.chance(10) {
            value = format!("{value},{}", self.dice.pick(self.pool.values(parameter)));
        }
        let (modifiers, kind): (&[(usize, &str)], _) = match parameter.kind {
            Kind::Token => (&[(20, ""), (2, ":not"), (1, ":missing"), (1, ":text"), (1, ":of-type")], "token"),
            Kind::String => (&[(10, ""), (2, ":exact"), (2, ":contains"), (1, ":missing")], "string"),
            Kind::Reference => (&[(12, ""), (2, ":identifier"), (1, ":missing"), (2, ":Patient")], "reference"),
            Kind::Date => (&[(10, ""), (1, ":missing")], "date"),
            Kind::Quantity => (&[(10, ""), (1, ":missing")], "quantity"),
            Kind::Uri => (&[(1, "")], "uri"),
        };
        let modifier = self.dice.weighted(modifiers);
        if modifier == ":missing" {
            value = self.dice.pick(&["true", "false"]).to_owned();
        }
        if matches!(parameter.kind, Kind::Date | Kind::Quantity) && modifier.is_empty() {
            value = format!("{}{value}", self.dice.pick(&["", "", "ge", "lt", "ne", "gt", "le"]));
        }
        if parameter.kind == Kind::Token && self.dice.chance(10) {
            value = value.to_uppercase();
        }
        // What names a patient is another's matter.
        let plain = modifier.is_empty() && parameter.kind != Kind::Reference && parameter.code != "_id";
        (format!("{}{modifier}", parameter.code), value, kind, plain)
    }

    fn references(&mut self, of: &str) -> Vec<&'static Parameter> {
        let parameters = self.pool.parameters(of);
        parameters.into_iter().filter(|parameter| parameter.kind == Kind::Reference).collect()
    }

    fn chain(&mut self, of: &str) -> Rolled {
        let references = self.references(of);
        if references.is_empty() {
            return ("_id".to_owned(), "none".to_owned(), "token", false);
        }
        let by = self.dice.pick(&references);
        let target = self.dice.pick(&by.targets);
        let target = if target == "*" { "Patient" } else { target };
        let (rest, value, ..) = match self.pool.parameters(target).as_slice() {
            [] => ("_id".to_owned(), "x".to_owned(), "", false),
            [..] if self.dice.chance(15) => self.chain(target),
            parameters => {
                let parameter = self.dice.pick(parameters);
                self.plain(parameter)
            }
        };
        let named = if self.dice.chance(80) { format!(":{target}") } else { String::new() };
        (format!("{}{named}.{rest}", by.code), value, "chain", false)
    }

    fn has(&mut self, of: &str) -> Rolled {
        let source = if self.dice.chance(40) { "Observation" } else { self.dice.pick(&TYPES) };
        let leading: Vec<_> = self.references(source).into_iter().filter(|parameter| parameter.leads_to(of)).collect();
        if leading.is_empty() {
            return self.chain(of);
        }
        // What is about a patient is the one way that a patient's grant may go.
        let about = leading.iter().find(|parameter| parameter.code == "patient" && self.dice.chance(70));
        let by = about.copied().unwrap_or_else(|| self.dice.pick(&leading)).code;
        let parameters = self.pool.parameters(source);
        let parameter = self.dice.pick(&parameters);
        let (rest, value, ..) = self.plain(parameter);
        (format!("_has:{source}:{by}:{rest}"), value, "_has", false)
    }

    fn target(&mut self) -> Rolled {
        let from = if self.dice.chance(70) { &self.pool.own } else { &self.pool.strangers };
        let ((of, id), (other, other_id)) = (self.dice.pick(from), self.dice.pick(&self.pool.own));
        let value = self.dice.pick(&[format!("{of}/{id}"), format!("{of}/{id},{other}/{other_id}")]);
        ("target".to_owned(), value, "target", false)
    }

    /// A parameter that names the patient, in each way in which it can.
    fn of_patient(&mut self, of: &str) -> Rolled {
        let own = self.dice.pick(&self.patients);
        let patient = self.dice.weighted(&[(7, own), (2, "B"), (1, "nobody")]);
        let codes: &[&str] = match of {
            "Patient" => &["_id"],
            "Coverage" => &["beneficiary", "patient"],
            "AllergyIntolerance" | "Immunization" | "RelatedPerson" | "Device" => &["patient"],
            "Appointment" => &["patient", "actor"],
            _ => &["patient", "subject"],
        };
        let code = self.dice.pick(codes);
        let value = match self.dice.below(6) {
            0 if code != "_id" => format!("Patient/{patient},Patient/B"),
            1 | 2 if code != "_id" => format!("Patient/{patient}"),
            3 if code != "_id" => format!("https://p/fhir/Patient/{patient}"),
            4 => format!("B,{patient}"),
            _ => patient.to_owned(),
        };
        let modifier = if code != "_id" && self.dice.chance(10) { ":Patient" } else { "" };
        (format!("{code}{modifier}"), value, "patient", false)
    }

    fn include(&mut self, of: &str) -> Rolled {
        let reverse = self.dice.chance(35);
        let iterate = if self.dice.chance(20) { ":iterate" } else { "" };
        let source = match (reverse, iterate) {
            (false, "") => of,
            _ if self.dice.chance(50) => "Observation",
            _ => self.dice.pick(&TYPES),
        };
        let references = self.references(source);
        let name = format!("{}{iterate}", if reverse { "_revinclude" } else { "_include" });
        if references.is_empty() || self.dice.chance(6) {
            let all = self.dice.pick(&["*", "Observation:*"]);
            return (name, all.to_owned(), "include all", false);
        }
        let by = self.dice.pick(&references);
        let target = if self.dice.chance(30) {
            format!(":{}", self.dice.pick(&by.targets).replace('*', "Patient"))
        } else {
            String::new()
        };
        let kind = match (reverse, iterate) {
            (_, ":iterate") => ":iterate",
            (true, _) => "_revinclude",
            (false, _) => "_include",
        };
        (name, format!("{source}:{}{target}", by.code), kind, false)
    }

    /// A parameter that says how the result is to be shown.
    fn result(&mut self, of: &str) -> Rolled {
        let parameters = self.pool.parameters(of);
        let sorted = self.dice.pick(&parameters).code;
        match self.dice.below(10) {
            0..=3 => ("_count".to_owned(), self.dice.pick(&["1", "2", "3", "4", "5", "50"]).to_owned(), "_count", true),
            4..=6 => {
                let down = self.dice.pick(&["", "-"]);
                ("_sort".to_owned(), format!("{down}{sorted}"), "_sort", true)
            }
            7 => {
                let elements = self.dice.pick(&["code", "status,code", "id", "subject", "text"]);
                ("_elements".to_owned(), elements.to_owned(), "_elements", true)
            }
            8 => ("_total".to_owned(), self.dice.pick(&["accurate", "none", "estimate"]).to_owned(), "_total", true),
            _ => {
                let summary = self.dice.pick(&["true", "count", "data", "text", "false"]);
                ("_summary".to_owned(), summary.to_owned(), "_summary", summary != "count")
            }
        }
    }
}

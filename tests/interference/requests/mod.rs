//! Requests over the whole grammar, so that about half of them pass. A sequence is written down before it is run: what it takes
//! from earlier answers stands in it as `{next:3}`, `{location:3}`, `{id:3}` and `{etag:3}`.

mod bundles;
mod pool;
mod searches;
mod writes;

pub(crate) use pool::Pool;

use crate::dice::Dice;
use crate::grants::Grant;
use crate::server::parameters::TYPES;

/// One request of a sequence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub interaction: &'static str,
    pub method: &'static str,
    /// Below the FHIR base.
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// What the table of coverage counts it under, besides the interaction.
    pub kinds: Vec<String>,
    /// Whether nothing in it may be refused but for scopes: a gate that refuses it is wrong.
    pub plain: bool,
}

impl Asked {
    fn get(interaction: &'static str, target: String) -> Self {
        Self { interaction, method: "GET", target, plain: true, ..Self::default() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn kind(mut self, kind: &str) -> Self {
        self.kinds.push(kind.to_owned());
        self
    }
}

/// Rolls the requests of one sequence.
pub(crate) struct Roller<'p> {
    dice: Dice,
    pool: &'p Pool,
    patients: Vec<&'static str>,
    /// Types that the grant names, so that not everything fails for want of a scope.
    granted: Vec<&'static str>,
    /// Positions of earlier requests in the sequence, by what their answers may have.
    written: Vec<usize>,
    searched: Vec<usize>,
}

impl<'p> Roller<'p> {
    pub(crate) fn new(dice: Dice, pool: &'p Pool, grant: &Grant) -> Self {
        let granted = grant.permits.iter().filter_map(|permit| permit.of).collect();
        let patients = grant.patients.clone();
        Self { dice, pool, patients, granted, written: Vec::new(), searched: Vec::new() }
    }

    pub(crate) fn sequence(&mut self, length: usize) -> Vec<Asked> {
        (0..length).map(|position| self.one(position)).collect()
    }

    fn one(&mut self, position: usize) -> Asked {
        match self.dice.below(100) {
            0..=15 => self.read(),
            16..=20 => self.vread(),
            21..=25 => self.history(),
            26..=58 => {
                self.searched.push(position);
                self.search()
            }
            59..=60 => self.many_types(),
            61..=63 => self.odd(),
            64..=84 => {
                self.written.push(position);
                self.write()
            }
            85..=87 => self.bundle("batch"),
            88..=94 => self.bundle("transaction"),
            _ => self.earlier(),
        }
    }

    fn read(&mut self) -> Asked {
        let (of, id) = self.place();
        let mut asked = Asked::get("read", format!("/{of}/{id}"));
        if self.dice.chance(8) {
            asked.method = "HEAD";
        }
        if self.dice.chance(25) {
            let (name, value) = self.dice.pick(&[
                ("If-None-Match", "W/\"1\""),
                ("If-None-Match", "W/\"2\""),
                ("If-None-Match", "*"),
                ("If-Modified-Since", "Fri, 15 Jan 2027 08:00:00 GMT"),
            ]);
            asked = asked.with(name, value).kind("condition");
            asked.plain = false;
        }
        if self.dice.chance(10) {
            let query =
                self.dice.pick(&["_elements=code", "_summary=true", "_format=json", "_pretty=true", "_summary=count"]);
            asked.target.push_str(&format!("?{query}"));
            asked = asked.kind("result parameter");
            asked.plain = false;
        }
        asked
    }

    fn vread(&mut self) -> Asked {
        let (of, id) = self.place();
        let version = self.dice.pick(&["1", "1", "2", "3"]);
        Asked::get("vread", format!("/{of}/{id}/_history/{version}"))
    }

    fn history(&mut self) -> Asked {
        let (of, id) = self.place();
        let query = self.dice.pick(&["", "", "?_count=1", "?_count=2", "?_since=2020-01-01T00:00:00Z"]);
        let mut asked = Asked::get("history-instance", format!("/{of}/{id}/_history{query}"));
        asked.plain = query.is_empty();
        asked
    }

    /// Searches and histories of more than one type, which a patient's grant does not reach.
    fn many_types(&mut self) -> Asked {
        let patient = self.dice.pick(&self.patients);
        let target = self.dice.pick(&[
            "/?_type=Observation&code=718-7".to_owned(),
            format!("/?patient={patient}"),
            format!("/Patient/{patient}/*"),
            "/_history".to_owned(),
            "/Observation/_history".to_owned(),
            "/Patient/B/*".to_owned(),
        ]);
        let mut asked = Asked::get("many-types", target);
        asked.plain = false;
        asked
    }

    /// What is known to be refused, and what is nearly right.
    fn odd(&mut self) -> Asked {
        let patient = self.dice.pick(&self.patients);
        let target = self.dice.pick(&[
            "/Observation?_filter=subject eq Patient/B".to_owned(),
            "/Observation?_list=B-lis-1".to_owned(),
            "/Observation?_query=all".to_owned(),
            "/Observation?_text=Bond".to_owned(),
            "/Observation?_unknown=1".to_owned(),
            "/Observation?code:in=http://x/ValueSet/1".to_owned(),
            "/Observation?_contained=true".to_owned(),
            "/Observation?_page=AAAA".to_owned(),
            "/Observation?__offset=3".to_owned(),
            "/Patient/B/$everything".to_owned(),
            "/Observation/$lastn?patient=B".to_owned(),
            "/Observation/$stats".to_owned(),
            format!("/Observation?patient=Patient/{patient}&patient=Patient/B"),
            format!("/Observation?patient={patient}B"),
            "/observation".to_owned(),
            "/Observation/".to_owned(),
            "/AuditEvent".to_owned(),
            "/Subscription".to_owned(),
            "/metadata".to_owned(),
        ]);
        let mut asked = Asked::get("odd", target.replace(' ', "%20"));
        asked.plain = false;
        asked
    }

    /// Something that an earlier answer, or another patient's, has led to.
    fn earlier(&mut self) -> Asked {
        let mut asked = match self.dice.below(4) {
            0 if !self.searched.is_empty() => {
                let of = self.dice.pick(&self.searched);
                Asked::get("page", format!("{{next:{of}}}"))
            }
            1 | 2 if !self.written.is_empty() => {
                let of = self.dice.pick(&self.written);
                let suffix = self.dice.pick(&["", "", "/_history"]);
                Asked::get("read", format!("{{location:{of}}}{suffix}")).kind("location")
            }
            _ => Asked::get("page", "{stolen}".to_owned()).kind("another's seal"),
        };
        asked.plain = false;
        asked
    }

    /// A type: mostly one that the grant names.
    fn of(&mut self) -> &'static str {
        match self.dice.below(10) {
            0..=6 if !self.granted.is_empty() => self.dice.pick(&self.granted),
            0..=3 => "Observation",
            _ => self.dice.pick(&TYPES),
        }
    }

    /// A type and an id: of the grant's patients, of others, of nobody.
    fn place(&mut self) -> (String, String) {
        let nowhere =
            |dice: &mut Dice| (dice.pick(&["Observation", "Condition", "Encounter"]).to_owned(), "none".to_owned());
        match self.dice.below(20) {
            0..=15 => {
                let of = self.of();
                let from = if self.dice.chance(72) { &self.pool.own } else { &self.pool.strangers };
                let of_type: Vec<_> = from.iter().filter(|(own, _)| own == of).cloned().collect();
                if of_type.is_empty() { self.dice.pick(from) } else { self.dice.pick(&of_type) }
            }
            16..=18 => {
                let patient = self.dice.pick(&self.patients);
                let of = self.dice.pick(&["Observation", "Condition", "Encounter", "DocumentReference"]);
                let id = self.dice.pick(&["", "", "-free", "-came", "-went", "-gone"]);
                (of.to_owned(), format!("{patient}{id}"))
            }
            _ => nowhere(&mut self.dice),
        }
    }
}

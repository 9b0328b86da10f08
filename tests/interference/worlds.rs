//! Data sets that differ in other patients' data only; what belongs to the patients of a grant is the same in all.

use serde_json::{Value, json};

use crate::chart::{chart, observation, provenance, shared};
use crate::server::data::{Data, name_of, text};

/// Begins every mark that other patients' resources carry; no request has it.
pub(crate) const CANARY: &str = "CANARY-";

/// What there is of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Others {
    None,
    /// One other patient, with a chart like everybody's.
    Some,
    /// Five of them.
    Many,
    /// Under ids where the grant's patients have nothing, and under the patients' own ids in other types.
    SameIds,
    /// Resources that refer to the grant's patients and to what is theirs, but are about another.
    Referring,
}

pub(crate) struct World {
    pub data: Data,
    /// Resources of others, for ill manners; one at least.
    pub others: Vec<Value>,
}

/// The data set in which `own` are the grant's patients.
pub(crate) fn world(own: &[&str], others: Others) -> World {
    let strangers: Vec<Value> = strangers(own, others).into_iter().map(marked).collect();
    let mut data = Data::default();
    // Before what is the patients', behind it, or around it: no page may end elsewhere for that.
    let first = match others {
        Others::None | Others::Some => 0,
        Others::Many | Others::SameIds => strangers.len() / 2,
        Others::Referring => strangers.len(),
    };
    let (before, after) = strangers.split_at(first);
    before.iter().for_each(|stranger| data.add(vec![Some(stranger.clone())]));
    shared().into_iter().for_each(|resource| data.add(vec![Some(resource)]));
    own.iter().for_each(|patient| add_own(&mut data, patient, others != Others::None));
    after.iter().for_each(|stranger| data.add(vec![Some(stranger.clone())]));
    let ghost = || marked(observation("ghost", 1));
    let others = if strangers.is_empty() { vec![ghost()] } else { strangers };
    World { data, others }
}

/// The chart of one of the grant's patients, with links to others, and resources that changed hands.
fn add_own(data: &mut Data, patient: &str, others: bool) {
    for resource in chart(patient, "Adams") {
        let mut before = resource.clone();
        before["text"] = json!({ "status": "generated", "div": "<div>before</div>" });
        let twice = text(&resource, "id").ends_with("-1");
        data.add(if twice { vec![Some(before), Some(resource)] } else { vec![Some(resource)] });
    }
    linked(patient).into_iter().for_each(|resource| data.add(vec![Some(resource)]));
    let named = |mut resource: Value, name: &str| {
        resource["id"] = json!(format!("{patient}-{name}"));
        Some(resource)
    };
    let of_other = |name| named(marked(observation("B", 4)), name);
    // Before it was this patient's it was another's; where there is no other, that version is not known.
    let came = named(observation(patient, 4), "came");
    if others {
        data.add(vec![of_other("came"), came])
    } else {
        data.add_from(2, vec![came])
    }
    // And the other way round: the present version is another's, or there is none.
    let went = named(observation(patient, 5), "went");
    data.add(vec![went, if others { of_other("went") } else { None }]);
    data.add(vec![named(observation(patient, 6), "gone"), None]);
}

/// What is the patient's, and leads to others.
fn linked(patient: &str) -> Vec<Value> {
    let mut links = observation(patient, 1);
    links["id"] = json!(format!("{patient}-links"));
    links["encounter"] = json!({ "reference": "Encounter/B-enc-1" });
    links["hasMember"] = json!([{ "reference": "Observation/B-obs-1" }]);
    links["focus"] = json!([{ "reference": "Patient/B" }, { "reference": "Condition/B-con-1" }]);
    links["performer"] = json!([{ "reference": "Patient/B" }, { "reference": "Practitioner/p1" }]);
    let both = json!({
        "resourceType": "Appointment", "id": format!("{patient}-both"), "status": "booked",
        "start": "2027-03-03T10:00:00Z",
        "participant": [
            { "actor": { "reference": format!("Patient/{patient}") }, "status": "accepted" },
            { "actor": { "reference": "Patient/B" }, "status": "accepted" },
        ],
    });
    let mut takes = chart(patient, "").into_iter().find(|resource| resource["resourceType"] == "DocumentReference");
    if let Some(takes) = &mut takes {
        takes["id"] = json!(format!("{patient}-takes"));
        takes["content"] = attached("Binary/B-bin-1")["content"].clone();
    }
    let mixed = provenance(patient, 4, &[&format!("Observation/{patient}-obs-1"), "Observation/B-obs-1"]);
    [links, both, mixed].into_iter().chain(takes).collect()
}

fn strangers(own: &[&str], others: Others) -> Vec<Value> {
    let mut strangers = match others {
        Others::None => return Vec::new(),
        _ => chart("B", "Bond"),
    };
    for patient in own {
        match others {
            Others::None | Others::Some => {}
            Others::Many => ["D", "E", "F", "G"].iter().for_each(|other| strangers.extend(chart(other, "Adams"))),
            Others::SameIds => strangers.extend(same_ids(patient)),
            Others::Referring => strangers.extend(referring(patient)),
        }
    }
    let mut seen = std::collections::HashSet::new();
    strangers.retain(|stranger| seen.insert(name_of(stranger)));
    // There is one whom only others have to do with.
    let elsewhere = |stranger: Value| stranger.to_string().replace("Practitioner/p2", "Practitioner/p3");
    strangers.into_iter().map(|stranger| serde_json::from_str(&elsewhere(stranger)).unwrap()).collect()
}

/// Ids that the patient knows from elsewhere, or could make up.
fn same_ids(patient: &str) -> Vec<Value> {
    let ids = [
        ("obs-1", patient.to_owned()),
        ("obs-2", format!("{patient}-free")),
        ("con-1", patient.to_owned()),
        ("con-2", format!("{patient}-free")),
        ("enc-1", patient.to_owned()),
        ("pro-1", format!("{patient}-obs-1")),
        ("med-1", format!("{patient}-con-1")),
        ("doc-1", format!("{patient}-free")),
    ];
    let from = chart("B", "Bond");
    let renamed = |(of, id): (&str, String)| {
        let mut resource = from.iter().find(|r| text(r, "id") == format!("B-{of}")).cloned().unwrap_or_default();
        resource["id"] = json!(id);
        resource
    };
    ids.into_iter().map(renamed).collect()
}

/// What is about B, and mentions the patient.
fn referring(patient: &str) -> Vec<Value> {
    let own = format!("Patient/{patient}");
    let with = |mut resource: Value, id: &str, members: Value| {
        resource["id"] = json!(format!("B-{id}-{patient}"));
        for (name, value) in members.as_object().into_iter().flatten() {
            resource[name] = value.clone();
        }
        resource
    };
    let of = |of: &str| {
        let chart = chart("B", "Bond");
        chart.into_iter().find(|resource| resource["resourceType"] == of).unwrap_or_default()
    };
    let to = |name: &str| json!({ "reference": name });
    let who = |entity: &str| json!({ "entity": to(entity) });
    vec![
        with(observation("B", 1), "performed", json!({ "performer": [to(&own)] })),
        with(observation("B", 2), "focused", json!({ "focus": [to(&own)] })),
        with(observation("B", 3), "member", json!({ "hasMember": [to(&format!("Observation/{patient}-obs-1"))] })),
        with(observation("B", 4), "met", json!({ "encounter": to(&format!("Encounter/{patient}-enc-1")) })),
        with(of("Condition"), "asserted", json!({ "asserter": to(&own) })),
        with(of("DiagnosticReport"), "result", json!({ "result": [to(&format!("Observation/{patient}-obs-1"))] })),
        with(of("Task"), "focus", json!({ "focus": to(&own), "owner": to(&own) })),
        with(
            of("List"),
            "source",
            json!({ "source": to(&own), "entry": [{ "item": to(&format!("Condition/{patient}-con-1")) }] }),
        ),
        with(of("Coverage"), "payor", json!({ "payor": [to(&own)] })),
        with(of("DocumentReference"), "author", json!({ "author": [to(&own)] })),
        with(of("Patient"), "link", json!({ "link": [{ "other": to(&own), "type": "seealso" }] })),
        json!({
            "resourceType": "Group", "id": format!("B-group-{patient}"), "type": { "coding": [{ "code": "person" }] },
            "member": [who(&own), who("Patient/B")],
        }),
        with(provenance("B", 4, &["Observation/B-obs-1", &format!("Observation/{patient}-obs-1")]), "told", json!({})),
        with(provenance("B", 5, &["Observation/B-obs-2"]), "agent", json!({ "agent": [{ "who": to(&own) }] })),
        with(of("Binary"), "held", json!({ "securityContext": to("Observation/B-obs-1") })),
        with(of("DocumentReference"), "attached", attached(&format!("Binary/{patient}-bin-2"))),
        with(of("DocumentReference"), "taken", attached(&format!("Binary/{patient}-bin-1"))),
    ]
}

fn attached(url: &str) -> Value {
    json!({ "content": [{ "attachment": { "contentType": "text/plain", "url": url } }] })
}

/// Puts marks on another patient's resource, in places where no search looks.
fn marked(mut resource: Value) -> Value {
    let mark = format!("{CANARY}{}", name_of(&resource).replace('/', "-"));
    resource["text"] = json!({ "status": "generated", "div": format!("<div>{mark}</div>") });
    resource["extension"] = json!([{ "url": "urn:mark", "valueString": mark }]);
    resource["meta"] = json!({ "source": format!("urn:{mark}"), "tag": [{ "system": "urn:mark", "code": mark }] });
    resource
}

//! One sequence of requests in one data set: what is asked, what comes back, and what is wrong with it by itself.

use std::sync::Arc;

use serde_json::Value;

use crate::gate::Gate;
use crate::grants::Grant;
use crate::model::{Expected, expected, subjects};
use crate::requests::Asked;
use crate::server::data::{Data, name_of};
use crate::server::search::Query;
use crate::server::{Manners, Request};
use crate::wire::Reply;
use crate::worlds::{CANARY, World};

/// Pages of one result that are followed.
const PAGES: usize = 60;

/// A request as it went, and its answers: the first and those behind its page links.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub target: String,
    pub replies: Vec<Reply>,
}

/// Runs the sequence; what is wrong in this data set alone comes with the position of its request.
pub(crate) async fn run(
    gate: &mut Gate,
    grant: &Grant,
    manners: Manners,
    world: &World,
    sequence: &[Option<Asked>],
) -> Result<Vec<Option<Exchange>>, (usize, String)> {
    gate.upstream.server.lock().hold(world.data.clone(), manners, world.others.clone());
    let token = gate.token(grant);
    let stolen = stolen(gate, sequence).await;
    let mut done: Vec<Option<Exchange>> = Vec::new();
    for (position, asked) in sequence.iter().enumerate() {
        let Some(asked) = asked else {
            done.push(None);
            continue;
        };
        let before = gate.upstream.server.lock().data.clone();
        let exchange = one(gate, &token, asked, &done, &stolen).await;
        for reply in &exchange.replies {
            if let Some(found) = canary(reply) {
                return Err((position, format!("{found} is in the answer\n{}", printed(&exchange))));
            }
        }
        if let Err(why) = judge(grant, manners, &before, asked, &exchange) {
            return Err((position, format!("{why}\n{}", printed(&exchange))));
        }
        if let Err(why) = untouched(grant, &before, &gate.upstream.server.lock().data) {
            return Err((position, format!("{why}\n{}", printed(&exchange))));
        }
        done.push(Some(exchange));
    }
    Ok(done)
}

async fn one(gate: &mut Gate, token: &str, asked: &Asked, done: &[Option<Exchange>], stolen: &str) -> Exchange {
    let target = filled(&asked.target, done, stolen);
    let headers: Vec<(&'static str, String)> =
        asked.headers.iter().map(|(name, value)| (*name, filled(value, done, stolen))).collect();
    let body = filled(&asked.body, done, stolen);
    let first = gate.ask(token, asked.method, &target, &headers, &body).await;
    let mut replies = vec![first];
    while replies.len() < PAGES
        && let Some(next) = replies.last().and_then(next_page)
    {
        let reply = gate.ask(token, "GET", &next, &[], "").await;
        replies.push(reply);
    }
    Exchange { target, replies }
}

/// A page link that another patient was given; one that nobody was given where there is no other.
async fn stolen(gate: &mut Gate, sequence: &[Option<Asked>]) -> String {
    if !sequence.iter().flatten().any(|asked| asked.target == "{stolen}") {
        return String::new();
    }
    let token = gate.token(&Grant::of_stranger());
    let reply = gate.ask(&token, "GET", "/Observation?_count=2", &[], "").await;
    next_page(&reply).unwrap_or_else(|| "/Observation?_page=AAAA".to_owned())
}

fn below_base(url: &str) -> &str {
    url.strip_prefix("https://p/fhir").unwrap_or(url)
}

fn next_page(reply: &Reply) -> Option<String> {
    reply.link("next").map(|url| below_base(&url).to_owned())
}

/// Puts in what earlier answers have given.
fn filled(template: &str, done: &[Option<Exchange>], stolen: &str) -> String {
    if template == "{stolen}" {
        return stolen.to_owned();
    }
    let mut filled = template.to_owned();
    for (name, absent) in [("next", "/Observation?_page=none"), ("location", "/Observation/none"), ("etag", "W/\"0\"")]
    {
        while let Some((before, rest)) = filled.split_once(&format!("{{{name}:")) {
            let (position, after) = rest.split_once('}').expect("a placeholder ends");
            let position: usize = position.parse().expect("a placeholder has a position");
            let reply = done.get(position).and_then(Option::as_ref).and_then(|exchange| exchange.replies.first());
            let value = reply.and_then(|reply| match name {
                "next" => next_page(reply),
                "location" => {
                    let location = below_base(reply.header("location")?);
                    location.split("/_history").next().map(str::to_owned)
                }
                _ => reply.header("etag").map(str::to_owned),
            });
            filled = format!("{before}{}{after}", value.unwrap_or_else(|| absent.to_owned()));
        }
    }
    filled
}

fn canary(reply: &Reply) -> Option<String> {
    let text = format!("{:?} {}", reply.headers, reply.text());
    let at = text.find(CANARY)?;
    Some(text[at..].chars().take(30).collect())
}

/// Compares the answer with the model's.
fn judge(grant: &Grant, manners: Manners, data: &Data, asked: &Asked, exchange: &Exchange) -> Result<(), String> {
    let mut request = Request::new(asked.method, &exchange.target, Vec::new(), b"");
    if asked.interaction == "page" || asked.interaction == "odd" || request.path.is_empty() {
        return Ok(());
    }
    request.query.extend(form_urlencoded::parse(asked.body.as_bytes()).into_owned());
    let Some(expected) = expected(grant, data, manners, &request) else { return Ok(()) };
    let first = &exchange.replies[0];
    let helpful = !matches!(manners, Manners::NamesOthers | Manners::AnswersOthers);
    let letter = if matches!(expected, Expected::Found { .. }) { 's' } else { 'r' };
    let open = asked.plain && helpful && grant.covers(&request.path[0], letter);
    if open && !matches!(first.status, 200 | 404) {
        return Err(format!("refused with {} {:?}", first.status, first.rule()));
    }
    match expected {
        Expected::One(Some(_)) if first.status == 404 && helpful => Err("missing: it is visible".to_owned()),
        Expected::One(None) if first.status == 200 => Err("not visible, and yet".to_owned()),
        // A Binary leaves as what it holds.
        Expected::One(Some(_)) if request.path[0] == "Binary" => Ok(()),
        Expected::One(Some(wanted)) if first.status == 200 && request.query.is_empty() => {
            same(&[wanted], &[first.json()], manners)
        }
        Expected::Versions(wanted) if wanted.is_empty() && first.status == 200 => {
            Err("not visible, and yet".to_owned())
        }
        Expected::Versions(wanted) if !wanted.is_empty() && first.status == 404 && helpful => {
            Err(format!("missing: {} versions", wanted.len()))
        }
        Expected::Versions(wanted) if first.status == 200 => same(&wanted, &entries(exchange, "match"), manners),
        // What a Provenance is about was looked up first, at a server that may have answered with something else.
        Expected::Found { .. } if manners == Manners::AnswersOthers && request.path[0] == "Provenance" => Ok(()),
        Expected::Found { matches, .. } if first.status == 200 && Query::read(&request.query).counted_only => {
            if manners == Manners::IgnoresNarrowing { Ok(()) } else { total(&first.json(), matches.len()) }
        }
        Expected::Found { matches, included } if first.status == 200 => {
            let mut whole = matches;
            let mut got = entries(exchange, "match");
            let mut brought = entries(exchange, "include");
            let mut wanted = included;
            if request.query.iter().any(|(name, _)| name == "_elements" || name == "_summary") {
                [&mut whole, &mut got, &mut brought, &mut wanted].into_iter().for_each(|list| reduce(list));
            }
            if manners == Manners::IgnoresNarrowing {
                // What the client itself said about patients was passed over, too.
                got.retain(|found| whole.contains(found));
                brought.retain(|found| wanted.contains(found));
            }
            same(&whole, &got, manners).map_err(|why| format!("matches: {why}"))?;
            // The same resource may be brought along by several pages.
            let sorted = |mut list: Vec<Value>| {
                list.sort_by_key(name_of);
                list.dedup();
                list
            };
            same(&sorted(wanted), &sorted(brought), manners).map_err(|why| format!("includes: {why}"))?;
            if manners == Manners::IgnoresNarrowing { Ok(()) } else { total(&first.json(), whole.len()) }
        }
        _ => Ok(()),
    }
}

/// Whether the total, where one is shown, is right.
fn total(bundle: &Value, matches: usize) -> Result<(), String> {
    match bundle["total"].as_u64() {
        Some(total) if total != matches as u64 => Err(format!("total is {total}, and {matches} match")),
        _ => Ok(()),
    }
}

/// Leaves the names of the resources only.
fn reduce(list: &mut [Value]) {
    for resource in list {
        *resource = serde_json::json!({ "resourceType": resource["resourceType"], "id": resource["id"] });
    }
}

fn entries(exchange: &Exchange, mode: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for reply in &exchange.replies {
        let bundle = reply.json();
        for entry in bundle["entry"].as_array().into_iter().flatten() {
            if entry["search"]["mode"].as_str().unwrap_or("match") == mode {
                found.push(entry["resource"].clone());
            }
        }
    }
    found
}

fn same(wanted: &[Value], got: &[Value], manners: Manners) -> Result<(), String> {
    let plain = |list: &[Value]| {
        let mut list = list.to_vec();
        if manners == Manners::NoVersions {
            for resource in &mut list {
                if let Some(meta) = resource["meta"].as_object_mut() {
                    meta.remove("versionId");
                }
            }
        }
        list
    };
    if plain(wanted) == plain(got) {
        return Ok(());
    }
    let names = |list: &[Value]| list.iter().map(name_of).collect::<Vec<_>>().join(" ");
    Err(format!("expected [{}], got [{}]", names(wanted), names(got)))
}

/// Nothing of others was written, and nothing was written that is about others.
fn untouched(grant: &Grant, before: &Data, after: &Data) -> Result<(), String> {
    for record in &after.records {
        if before.records.iter().any(|old| Arc::ptr_eq(old, record)) {
            continue;
        }
        let old = before.find(&record.of, &record.id);
        let own = |body: &Value| {
            let about = subjects(body);
            !about.is_empty() && about.iter().all(|patient| grant.patients.contains(&patient.as_str()))
        };
        if let Some(stored) = old.and_then(|old| old.current())
            && !own(stored)
        {
            return Err(format!("{} is not the patient's and was written", name_of(stored)));
        }
        if let Some(body) = record.current()
            && !own(body)
        {
            return Err(format!("{} was written, and is about {:?}", name_of(body), subjects(body)));
        }
    }
    Ok(())
}

pub(crate) fn printed(exchange: &Exchange) -> String {
    let mut text = format!("    asked: {}\n", exchange.target);
    for reply in &exchange.replies {
        text.push_str(&format!("    {} {:?}\n    {}\n", reply.status, reply.headers, reply.text()));
    }
    text
}

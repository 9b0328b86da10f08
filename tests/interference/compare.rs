//! Runs sequences against data sets that differ in others' data and compares every byte that comes back.
//!
//! A page link holds a seal, which is encrypted under a fresh nonce: what it tells a client is its length, so that is what is
//! compared of it; where it leads is compared by following it. `Date` is the HTTP server's own clock.

use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::gate::Gate;
use crate::grants::Grant;
use crate::requests::{Asked, Pool, Roller};
use crate::run::{Exchange, printed, run};
use crate::server::Manners;
use crate::wire::Reply;
use crate::worlds::{Others, World, world};

/// Requests in a sequence, before pages.
const LENGTH: usize = 8;

const MANNERS: &[(usize, Manners)] = &[
    (9, Manners::Good),
    (5, Manners::IgnoresNarrowing),
    (2, Manners::Talkative),
    (6, Manners::AnswersOthers),
    (2, Manners::NamesOthers),
    (1, Manners::NoVersions),
    (2, Manners::IgnoresCase),
    (2, Manners::SmallPages),
];

const VARIANTS: [Others; 4] = [Others::Some, Others::SameIds, Others::Referring, Others::Many];

/// Everything about one sequence, from its seed.
struct Trial {
    grant: Grant,
    manners: Manners,
    others: Vec<Others>,
    sequence: Vec<Option<Asked>>,
}

/// Data sets and values for one set of patients.
struct Ground {
    patients: Vec<&'static str>,
    pool: Pool,
    worlds: Vec<(Others, World)>,
}

pub(crate) struct Campaign {
    gate: Gate,
    /// Before a FHIR server of which is known that it cannot be asked for less.
    unnarrowed: Gate,
    grounds: Vec<Ground>,
    pub coverage: Coverage,
}

impl Campaign {
    pub(crate) async fn start() -> Self {
        let grounds = [&["A"][..], &["C"], &["A", "C"]].map(|patients| {
            let all = [Others::None].into_iter().chain(VARIANTS);
            let worlds = all.map(|others| (others, world(patients, others))).collect();
            Ground { patients: patients.to_vec(), pool: Pool::of(patients), worlds }
        });
        let (gate, unnarrowed) = (Gate::start("parameter").await, Gate::start("none").await);
        Self { gate, unnarrowed, grounds: grounds.into(), coverage: Coverage::default() }
    }

    /// Runs the sequence of `seed`; a difference is shrunk, and told with all that is needed to see it again.
    pub(crate) async fn trial(&mut self, seed: u64) -> Result<(), String> {
        let mut trial = self.rolled(seed);
        let Err(first) = self.differs(&trial, true).await else { return Ok(()) };
        let mut found = first;
        for position in (0..trial.sequence.len()).rev() {
            let Some(left_out) = trial.sequence[position].take() else { continue };
            match self.differs(&trial, false).await {
                Err(smaller) => found = smaller,
                Ok(()) => trial.sequence[position] = Some(left_out),
            }
        }
        found = self.with_fewer_parameters(&mut trial, found).await;
        let asked: Vec<String> =
            trial.sequence.iter().enumerate().filter_map(|(n, a)| Some(shown(n, a.as_ref()?))).collect();
        Err(format!(
            "INTERFERENCE_SEED={seed}\n  claims: {}\n  manners: {:?}\n{}\n{found}",
            serde_json::Value::from(trial.grant.claims),
            trial.manners,
            asked.join("\n")
        ))
    }

    fn rolled(&self, seed: u64) -> Trial {
        let mut dice = Dice::new(seed);
        let grant = Grant::roll(&mut dice);
        let manners = dice.weighted(MANNERS);
        let first = dice.below(VARIANTS.len());
        let others = vec![VARIANTS[first]];
        let pool = &self.grounds[ground(&self.grounds, &grant)].pool;
        let sequence = Roller::new(dice, pool, &grant).sequence(LENGTH).into_iter().map(Some).collect();
        Trial { grant, manners, others, sequence }
    }

    /// Runs the sequence in each data set.
    async fn differs(&mut self, trial: &Trial, counted: bool) -> Result<(), String> {
        let ground = &self.grounds[ground(&self.grounds, &trial.grant)];
        let narrowed = trial.manners != Manners::IgnoresNarrowing;
        let gate = if narrowed { &mut self.gate } else { &mut self.unnarrowed };
        let mut alone: Option<Vec<Option<Exchange>>> = None;
        for others in [Others::None].iter().chain(&trial.others) {
            let world = ground.worlds.iter().find(|(kind, _)| kind == others).map(|(_, world)| world);
            let world = world.expect("a data set of each kind");
            let done = run(gate, &trial.grant, trial.manners, world, &trial.sequence)
                .await
                .map_err(|(position, why)| format!("  request {position}, others {others:?}: {why}"))?;
            match &alone {
                None => {
                    if counted {
                        self.coverage.count(&trial.sequence, &done);
                    }
                    alone = Some(done);
                }
                Some(alone) => compare(alone, &done, *others)?,
            }
        }
        Ok(())
    }

    async fn with_fewer_parameters(&mut self, trial: &mut Trial, mut found: String) -> String {
        for position in 0..trial.sequence.len() {
            let mut at = 0;
            while let Some(asked) = &trial.sequence[position]
                && let Some((path, query)) = asked.target.clone().split_once('?')
                && at < query.split('&').count()
            {
                let kept: Vec<&str> = query.split('&').enumerate().filter(|(n, _)| *n != at).map(|(_, p)| p).collect();
                let target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
                let before = trial.sequence[position].clone();
                if let Some(asked) = &mut trial.sequence[position] {
                    asked.target = target;
                }
                match self.differs(trial, false).await {
                    Err(smaller) => found = smaller,
                    Ok(()) => {
                        trial.sequence[position] = before;
                        at += 1;
                    }
                }
            }
        }
        found
    }
}

fn ground(grounds: &[Ground], grant: &Grant) -> usize {
    let same = |ground: &Ground| {
        ground.patients.len() == grant.patients.len() && grant.patients.iter().all(|p| ground.patients.contains(p))
    };
    grounds.iter().position(same).expect("a data set for these patients")
}

fn shown(position: usize, asked: &Asked) -> String {
    format!("  request {position}: {} {} {:?} {}", asked.method, asked.target, asked.headers, asked.body)
}

fn compare(alone: &[Option<Exchange>], other: &[Option<Exchange>], others: Others) -> Result<(), String> {
    for (position, (alone, other)) in alone.iter().zip(other).enumerate() {
        let (Some(alone), Some(other)) = (alone, other) else { continue };
        let seen = |exchange: &Exchange| exchange.replies.iter().map(seen).collect::<Vec<_>>();
        if seen(alone) != seen(other) {
            let (alone, other) = (printed(alone), printed(other));
            return Err(format!("  request {position} differs\n  without others:\n{alone}  with {others:?}:\n{other}"));
        }
    }
    Ok(())
}

/// What a client can see of an answer.
fn seen(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let headers = reply.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    (reply.status, headers, measured(&reply.text()))
}

/// The text with the length of each seal in its place.
fn measured(text: &str) -> String {
    let mut parts = text.split("_page=");
    let mut measured = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(part.len());
        measured.push_str(&format!("_page=<{end}>{}", &part[end..]));
    }
    measured
}

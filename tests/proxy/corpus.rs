//! Runs the corpus: each request through `decide` alone where that is possible, and always through the running gate.

use serde_json::Value;

use crate::case::{self, Case};
use crate::granular;
use crate::joined;
use crate::linked;
use crate::operations;
use crate::resources;
use crate::tokens::Signature;
use crate::trial::Trial;
use crate::typed;
use crate::world::World;

macro_rules! sections {
    ($($name:ident),+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            run(concat!(stringify!($name), ".toml")).await;
        }
    )+};
}

sections!(
    a_tokens,
    b_scopes,
    c_paths,
    d_interactions,
    e_patient_filter,
    f_joins_and_results,
    g_granular,
    h_compartment,
    h_linked,
    h_reads,
    h_types,
    h_users,
    i_writes,
    j_bundles,
    k_operations,
    l_bodies,
    m_answers,
    n_http,
    q_second_reading
);

async fn run(file: &str) {
    let section = case::section(file);
    let rows = if file == "k_operations.toml" { operations::ROWS } else { "" };
    let tokens = case::tokens();
    let mut failures = Vec::new();
    for version in &section.versions {
        let fhir = format!("version = \"{version}\"\n{}", section.fhir);
        let world = World::start(&fhir, &format!("{}\n[limits]\nrequest_body = 65536\n{rows}", section.rest)).await;
        world.capabilities_known().await;
        let held = held(file, version);
        let holds = |case: &&Case| case.versions.is_empty() || case.versions.contains(version);
        for case in section.case.iter().filter(holds) {
            for target in &case.targets {
                let wrong = Trial { world: &world, tokens: &tokens, case, target, held: &held }.run().await;
                let about = format!("{}: {version} {} {target} ({})", case.row, case.method, case.about);
                failures.extend(wrong.into_iter().map(|wrong| format!("{about}: {wrong}")));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures in {file}\n{}", failures.len(), failures.join("\n"));
}

fn held(file: &str, version: &str) -> Vec<Value> {
    match file {
        "f_joins_and_results.toml" => joined::resources(),
        "g_granular.toml" => granular::resources(),
        "h_compartment.toml" => linked::of_several(),
        "h_linked.toml" => linked::resources(),
        "h_types.toml" => typed::resources(version),
        "h_users.toml" => linked::of_a_family(),
        "k_operations.toml" => operations::resources(),
        _ => resources::conventional(),
    }
}

#[test]
fn a_good_token_is_the_default() {
    assert_eq!(Signature::default(), Signature::Good);
}

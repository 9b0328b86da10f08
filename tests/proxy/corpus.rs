//! Runs the corpus: each request through `decide` alone where that is possible, and always through the running gate.

use crate::case;
use crate::granular;
use crate::operations;
use crate::resources;
use crate::tokens::Signature;
use crate::trial::Trial;
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
    h_reads,
    i_writes,
    j_bundles,
    k_operations,
    l_bodies,
    m_answers,
    n_http,
    q_second_reading,
    later
);

async fn run(file: &str) {
    let rows = if file == "k_operations.toml" { operations::ROWS } else { "" };
    let world = World::start("", &format!("[limits]\nrequest_body = 65536\n{rows}")).await;
    world.capabilities_known().await;
    let held = match file {
        "g_granular.toml" => granular::resources(),
        "k_operations.toml" => operations::resources(),
        _ => resources::conventional(),
    };
    let tokens = case::tokens();
    let mut failures = Vec::new();
    for case in case::section(file) {
        for target in &case.targets {
            let wrong = Trial { world: &world, tokens: &tokens, case: &case, target, held: &held }.run().await;
            failures.extend(
                wrong
                    .into_iter()
                    .map(|wrong| format!("{}: {} {target} ({}): {wrong}", case.row, case.method, case.about)),
            );
        }
    }
    assert!(failures.is_empty(), "{} failures in {file}\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn a_good_token_is_the_default() {
    assert_eq!(Signature::default(), Signature::Good);
}

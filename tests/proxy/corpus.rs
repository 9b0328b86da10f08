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
fn every_row_that_concerns_this_version_has_a_case() {
    let rows = |files: &[&str]| -> Vec<u32> {
        files.iter().flat_map(|file| case::section(file)).map(|case| case.row).collect()
    };
    // 9 and 10 are about fetching keys, 11 about revocation: they have tests of their own.
    let a = rows(&["a_tokens.toml"]);
    let missing: Vec<u32> = (1..=16).filter(|row| !matches!(row, 9..=11) && !a.contains(row)).collect();
    assert!(missing.is_empty(), "A lacks {missing:?}");
    let c = rows(&["c_paths.toml"]);
    let missing: Vec<u32> =
        [26, 28, 29, 30, 31, 32, 33, 34, 35, 37, 38, 39, 40].into_iter().filter(|row| !c.contains(row)).collect();
    assert!(missing.is_empty(), "C lacks {missing:?}");
    let k = rows(&["k_operations.toml"]);
    let missing: Vec<u32> = (164..=174).chain([255]).filter(|row| !k.contains(row)).collect();
    assert!(missing.is_empty(), "K lacks {missing:?}");
}

#[test]
fn a_good_token_is_the_default() {
    assert_eq!(Signature::default(), Signature::Good);
}

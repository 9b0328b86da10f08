//! `[[operations]]`.

use super::{RIGHT, errors, right};
use crate::config::{OperationAnswer, PatientInput};
use crate::scope::Letter;

const ROW: &str = "name = \"$stats\"\nlevels = [\"type\"]\ntypes = [\"Observation\"]\nanswer = \"bundle\"";

/// The row with these lines instead of its own.
fn row(lines: &str) -> String {
    let keys: Vec<&str> = lines.lines().filter_map(|line| line.split_once(" =")).map(|(key, _)| key).collect();
    let own = ROW.lines().filter(|line| !keys.iter().any(|key| line.starts_with(&format!("{key} ="))));
    format!("\n[[operations]]\n{}\n{lines}\n", own.collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_row_says_little_and_the_rest_is_careful() {
    let snapshot = right(&format!("{RIGHT}{}", row("")));
    let [row] = snapshot.operations.as_slice() else { panic!("{:?}", snapshot.operations) };
    assert_eq!((row.name.as_str(), row.letter, &row.patient), ("stats", Letter::Read, &None));
    assert_eq!((row.system, row.of_type, row.instance, row.get, row.post), (false, true, false, true, false));
    assert_eq!(row.answer, OperationAnswer::Bundle);
}

#[test]
fn a_row_is_read_as_it_is_written() {
    let lines = "levels = [\"instance\"]\ntypes = [\"*\"]\nmethods = [\"POST\"]\nscope = \"d\"\npatient = \"instance\"\nanswer = \"resource\"";
    let snapshot = right(&format!("{RIGHT}{}", row(lines)));
    let row = &snapshot.operations[0];
    assert_eq!((row.instance, row.post, row.letter), (true, true, Letter::Delete));
    assert_eq!((&row.patient, row.answer), (&Some(PatientInput::Instance), OperationAnswer::Resource));
    assert_eq!(row.types, *snapshot.fhir.tables.types());
}

#[test]
fn one_wrong_value_of_a_row_is_one_error() {
    for (lines, expected) in [
        ("name = \"$\"", "is no name of an operation"),
        ("name = \"a/b\"", "is no name of an operation"),
        ("name = \"$graphql\"", "is never let through"),
        ("name = \"GraphQL\"", "is never let through"),
        ("name = \"$meta-add\"", "is never let through"),
        ("name = \"$partition-management-create-partition\"", "is never let through"),
        ("name = \"$export-status\"", "is never let through"),
        ("name = \"$reindex-dryrun\"", "is never let through"),
        ("levels = []", "[[operations]] levels: is empty"),
        ("levels = [\"everywhere\"]", "is none of \"system\", \"type\", \"instance\""),
        ("types = [\"Observatio\"]", "is no resource type of R4"),
        ("methods = [\"PUT\"]", "is none of \"GET\", \"POST\""),
        ("methods = [\"POST\"]", "must have \"GET\""),
        ("scope = \"rs\"", "is none of"),
        ("patient = \"a b\"", "is no name of a parameter"),
        ("patient = \"instance\"", "levels must be [\"instance\"]"),
        ("patient = \"instance\"\nlevels = [\"instance\"]", "is for types = [\"Patient\"] only"),
        ("patient = \"subject\"\nanswer = \"none\"", "means nothing with answer = \"none\""),
        ("answer = \"stream\"", "is none of \"bundle\", \"resource\", \"none\""),
        ("verify = true", "there is no such key"),
    ] {
        let found = errors(&format!("{RIGHT}{}", row(lines)));
        let told: Vec<_> = found.iter().filter(|error| error.contains(expected)).collect();
        assert!(told.len() == 1 && told[0].starts_with("smartgate.toml:"), "{lines}: {found:#?}");
    }
}

#[test]
fn an_operation_is_said_once() {
    let found = errors(&format!("{RIGHT}{}{}", row(""), row("types = [\"Patient\", \"Observation\"]")));
    assert!(found.len() == 1 && found[0].contains("$stats is already said"), "{found:?}");
    right(&format!("{RIGHT}{}{}", row(""), row("types = [\"Patient\"]")));
}

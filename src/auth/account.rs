//! Whose account a login, a code or a refresh token speaks for: a local user of the configuration, or somebody of the provider.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ambient::UnixSeconds;
use crate::config::{PatientChoice, Snapshot, User};

/// Somebody who logged in at the provider. Nobody keeps a list of them, so that what the login showed goes along.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Federated {
    /// What the pages call them.
    pub(super) name: String,
    pub(super) fhir_user: Option<String>,
    /// Whom they may choose; none where that goes by the kind of person.
    pub(super) patients: Option<PatientChoice>,
    /// When they logged in there, where the provider says so.
    #[serde(default)]
    pub(super) authenticated: Option<UnixSeconds>,
}

/// The account of `username` as things are now; none if it is gone, or its provider is.
pub(super) fn account(snapshot: &Snapshot, username: &str, federated: Option<&Federated>) -> Option<Arc<User>> {
    if !snapshot.has_user(username) {
        return None;
    }
    let Some(Federated { name, fhir_user, patients, .. }) = federated else {
        return snapshot.users.get(username).cloned();
    };
    // A local user of this name is another person.
    if snapshot.users.contains_key(username) {
        return None;
    }
    let patients = patients.clone().unwrap_or_else(|| PatientChoice::of(fhir_user.as_deref(), &snapshot.links));
    Some(Arc::new(User {
        username: username.to_owned(),
        name: name.clone(),
        // No password fits it.
        password_hash: String::new(),
        fhir_user: fhir_user.clone(),
        patients,
        enabled: true,
    }))
}

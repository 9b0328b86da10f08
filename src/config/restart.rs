//! What cannot change while the process runs, because it was made once at start.

use std::path::Path;

use super::Snapshot;

type Same = fn(&Snapshot, &Snapshot) -> bool;

/// Keys of one section, as an operator knows them, and whether they are the same in two configurations.
pub(super) const COMPARED: [(&str, Same); 11] = [
    ("[server] listen", |old, new| old.server.listen == new.server.listen),
    ("[server] threads", |old, new| old.server.threads == new.server.threads),
    ("[admin] listen", |old, new| old.admin.listen == new.admin.listen),
    ("[store] url, password, ca_file, connections, timeout", |old, new| old.store.url == new.store.url),
    ("[audit] file", |old, new| old.audit.sink == new.audit.sink),
    ("[audit] on_full", |old, new| old.audit.on_full == new.audit.on_full),
    ("[audit.fhir] (whether it is there)", |old, new| old.audit.fhir.is_some() == new.audit.fhir.is_some()),
    ("[audit.fhir] spool, spool_bytes", |old, new| spool(old) == spool(new)),
    ("[log] format", |old, new| old.log.format == new.log.format),
    ("[log] level", |old, new| old.log.filter == new.log.filter),
    ("[limits] token_cache", |old, new| old.limits.token_cache == new.limits.token_cache),
];

/// The keys that differ and would need a restart.
pub(super) fn needing_restart(old: &Snapshot, new: &Snapshot) -> Vec<&'static str> {
    COMPARED.into_iter().filter(|(_, same)| !same(old, new)).map(|(keys, _)| keys).collect()
}

/// Where lines wait for the FHIR endpoint, and how many may.
fn spool(snapshot: &Snapshot) -> Option<(&Path, u64)> {
    snapshot.audit.fhir.as_ref().map(|to| (to.spool.as_path(), to.spool_bytes))
}

//! What cannot change while the process runs, because it was made once at start.

use std::path::Path;

use super::Snapshot;

/// The keys that differ and would need a restart, as an operator knows them.
pub(super) fn needing_restart(old: &Snapshot, new: &Snapshot) -> Vec<&'static str> {
    let compared = [
        ("[server] listen", old.server.listen == new.server.listen),
        ("[server] threads", old.server.threads == new.server.threads),
        ("[admin] listen", old.admin.listen == new.admin.listen),
        ("[store] (all but stale_max)", old.store.url == new.store.url),
        ("[audit] file", old.audit.sink == new.audit.sink),
        ("[audit] on_full", old.audit.on_full == new.audit.on_full),
        ("[audit.fhir] (from none to some or back)", old.audit.fhir.is_some() == new.audit.fhir.is_some()),
        ("[audit.fhir] spool", spool(old) == spool(new)),
        ("[log] format", old.log.format == new.log.format),
        ("[log] level", old.log.filter == new.log.filter),
        ("[limits] token_cache", old.limits.token_cache == new.limits.token_cache),
    ];
    compared.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

/// Where lines wait for the FHIR endpoint, and how many may.
fn spool(snapshot: &Snapshot) -> Option<(&Path, u64)> {
    snapshot.audit.fhir.as_ref().map(|to| (to.spool.as_path(), to.spool_bytes))
}

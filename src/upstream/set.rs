//! The addresses of one configuration, and which of them is asked.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::UpstreamError;
use super::circuit::Standing;
use super::server::Server;
use crate::config::Upstream;
use crate::fhir::AddressKey;

/// The servers at the addresses of an upstream.
pub(super) struct Set {
    upstream: Arc<Upstream>,
    first: Arc<Server>,
    others: Vec<Arc<Server>>,
    turn: AtomicUsize,
}

impl Set {
    /// The servers of `upstream`; what `before` had at the same addresses goes on.
    pub(super) fn new(upstream: &Arc<Upstream>, before: Option<&Self>) -> Result<Self, UpstreamError> {
        let server = |address| {
            let known = before.and_then(|set| set.servers().find(|server| server.fits(address, &upstream.tls)));
            known.map_or_else(|| Server::new(address, &upstream.tls).map(Arc::new), |known| Ok(known.clone()))
        };
        let first = server(&upstream.addresses.first)?;
        let others = upstream.addresses.others.iter().map(server).collect::<Result<_, _>>()?;
        Ok(Self { upstream: upstream.clone(), first, others, turn: AtomicUsize::new(0) })
    }

    pub(super) fn is_of(&self, upstream: &Arc<Upstream>) -> bool {
        Arc::ptr_eq(&self.upstream, upstream)
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        iter::once(&self.first).chain(&self.others)
    }

    pub(super) fn len(&self) -> usize {
        1 + self.others.len()
    }

    /// The server at `at` if it is in; else one that is out and may be tried, else the one with the least to do of those that are in, or
    /// of all if none is. Those that were tried come last.
    pub(super) fn pick(&self, at: Option<AddressKey>, tried: &[AddressKey]) -> &Arc<Server> {
        if self.others.is_empty() {
            return &self.first;
        }
        let untried = |server: &&Arc<Server>| !tried.contains(&server.address.key);
        let meant = self.servers().filter(untried).find(|server| Some(server.address.key) == at);
        if let Some(server) = meant.filter(|server| server.circuit.standing() == Standing::In) {
            return server;
        }
        let health = &self.upstream.health;
        if let Some(server) = self
            .servers()
            .filter(untried)
            .find(|server| server.circuit.standing() == Standing::Trial && server.circuit.take_trial(health))
        {
            return server;
        }
        let from = self.turn.fetch_add(1, Ordering::Relaxed) % self.len();
        let turned = || self.servers().skip(from).chain(self.servers().take(from)).filter(untried);
        let is_in = |server: &&Arc<Server>| server.circuit.standing() == Standing::In;
        // Each answer that is being read holds its server.
        let least = turned().filter(is_in).min_by_key(|server| Arc::strong_count(server));
        least.or_else(|| turned().min_by_key(|server| Arc::strong_count(server))).unwrap_or(&self.first)
    }
}

//! Every client there is: those of the configuration, and those that registered themselves (RFC 7591).
//!
//! A row of the configuration rules over a registration of the same id: by it an operator approves an app, or shuts it out.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::registered::Registration;
use super::{Client, Rate, Snapshot};

/// Clients by `client_id`.
pub struct Clients {
    /// Those of the configuration.
    pub configured: HashMap<String, Arc<Client>>,
    /// Rates of those that have one of their own.
    rates: HashMap<String, Rate>,
    /// Those that registered themselves; they come and go while the configuration stays.
    registered: ArcSwap<Registered>,
    /// Held while they are read from the store, so that what was read earlier does not take the place of what was read later.
    turn: Mutex<()>,
}

/// Clients that registered themselves, as the present configuration lets them be.
#[derive(Clone, Default)]
struct Registered {
    registrations: Arc<HashMap<String, Registration>>,
    clients: Arc<HashMap<String, Arc<Client>>>,
    origins: Arc<HashSet<String>>,
    /// Counts up whenever one of them was removed or changed.
    generation: u64,
}

impl Clients {
    pub(super) fn new(configured: HashMap<String, Arc<Client>>) -> Self {
        let rates = configured.iter().filter_map(|(id, client)| Some((id.clone(), client.rate?))).collect();
        Self { configured, rates, registered: ArcSwap::default(), turn: Mutex::default() }
    }

    /// The client with this id, enabled or not.
    pub fn get(&self, id: &str) -> Option<Arc<Client>> {
        self.configured.get(id).cloned().or_else(|| self.registered.load().clients.get(id).cloned())
    }

    /// How fast requests of this client may come, where that is its own.
    pub fn rate(&self, id: &str) -> Option<Rate> {
        self.rates.get(id).copied()
    }

    /// Changes whenever what was concluded from a client that registered itself may be wrong now.
    pub fn generation(&self) -> u64 {
        self.registered.load().generation
    }
}

impl Snapshot {
    /// Puts in effect the clients that have registered themselves: all that `read` finds, by id.
    ///
    /// # Errors
    /// What `read` fails with; those that are known stay.
    pub async fn follow_registered<E>(
        &self,
        read: impl Future<Output = Result<HashMap<String, Registration>, E>>,
    ) -> Result<(), E> {
        let _turn = self.clients.turn.lock().await;
        self.put_registered(Arc::new(read.await?));
        Ok(())
    }

    /// Takes over the clients that registered themselves from the configuration before.
    pub(super) fn keep_registered(&self, before: &Self) {
        self.put_registered(before.clients.registered.load().registrations.clone());
    }

    /// Whether pages of this origin may call: some client's, or another issuer's (SMART App Launch 2.2 app-launch, CORS).
    pub fn knows_origin(&self, origin: &str) -> bool {
        self.origins.contains(origin) || self.clients.registered.load().origins.contains(origin)
    }

    fn put_registered(&self, registrations: Arc<HashMap<String, Registration>>) {
        let compiled = registrations.iter().filter(|(id, _)| !self.clients.configured.contains_key(*id));
        let compiled = compiled.filter_map(|(id, registration)| Some((id.clone(), registration.client(id, self)?)));
        let clients: Arc<HashMap<String, Arc<Client>>> =
            Arc::new(compiled.map(|(id, client)| (id, Arc::new(client))).collect());
        let origins = Arc::new(clients.values().flat_map(|client| client.origins.iter().cloned()).collect());
        self.clients.registered.rcu(|before| {
            let kept = before.registrations.iter().all(|(id, known)| registrations.get(id) == Some(known));
            Registered {
                registrations: registrations.clone(),
                clients: clients.clone(),
                origins: Arc::clone(&origins),
                generation: before.generation + u64::from(!kept),
            }
        });
    }
}

#[cfg(test)]
#[path = "clients_tests.rs"]
mod tests;

//! How many connections there are, in all and of each address, so that nobody takes every one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::address::ClientAddress;
use crate::telemetry::Metrics;

/// The connections that are open.
pub(super) struct Crowd {
    metrics: Metrics,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default, Debug)]
struct Inside {
    all: usize,
    /// By the address's block; never more than `all`.
    by_block: HashMap<IpAddr, usize>,
}

impl Crowd {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, inside: Arc::default() }
    }

    /// A place for one more connection, unless there are `most` already.
    pub(super) fn enter(&self, most: usize) -> Option<Place> {
        let mut inside = self.inside.lock();
        if inside.all >= most {
            return None;
        }
        inside.all += 1;
        self.metrics.connections(inside.all);
        Some(Place { metrics: self.metrics.clone(), inside: self.inside.clone(), block: None })
    }
}

/// The place of one connection; it is free again when this is dropped.
pub(super) struct Place {
    metrics: Metrics,
    inside: Arc<Mutex<Inside>>,
    block: Option<IpAddr>,
}

impl Place {
    /// Counts the connection for an address; false if that has `most` already.
    pub(super) fn of(&mut self, address: ClientAddress, most: usize) -> bool {
        let block = address.block();
        let mut inside = self.inside.lock();
        let held = inside.by_block.entry(block).or_insert(0);
        if *held >= most {
            return false;
        }
        *held += 1;
        self.block = Some(block);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.inside.lock();
        inside.all -= 1;
        self.metrics.connections(inside.all);
        if let Some(block) = self.block
            && let Some(held) = inside.by_block.get_mut(&block)
        {
            *held -= 1;
            if *held == 0 {
                inside.by_block.remove(&block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ClientAddress {
        ClientAddress::new(text.parse().unwrap())
    }

    #[test]
    fn places_are_counted_in_all_and_by_address_and_given_back() {
        let crowd = Crowd::new(Metrics::new().unwrap());
        let mut places: Vec<Place> = (0..3).map(|_| crowd.enter(3).unwrap()).collect();
        assert!(crowd.enter(3).is_none());
        assert!(places[0].of(address("2001:db8::1"), 2) && places[1].of(address("2001:db8::2"), 2));
        assert!(!places[2].of(address("2001:db8::3"), 2), "one owner has all of these");
        assert!(places[2].of(address("192.0.2.1"), 2));
        places.truncate(1);
        assert_eq!(crowd.inside.lock().all, 1);
        assert!(crowd.enter(2).unwrap().of(address("2001:db8::9"), 2));
        drop(places);
        let inside = crowd.inside.lock();
        assert!(inside.all == 0 && inside.by_block.is_empty(), "{inside:?}");
    }
}

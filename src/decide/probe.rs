//! The gate's own requests by which it finds out what the FHIR server does: with conditions of a write, on a resource that the
//! gate makes for that, and with the parameters of a search (enforcement.md §2.7).

use http::Method;

use super::permit::{Pin, UpstreamRequest};
use crate::fhir::ResourceType;
use crate::fhir::search::{Parameter, print_parameters};

/// Requests about one resource of the gate's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbeResource {
    pub of: ResourceType,
    pub id: String,
}

impl ProbeResource {
    /// Makes one of this type.
    pub fn create(of: ResourceType) -> UpstreamRequest {
        UpstreamRequest::new(Method::POST, format!("/{of}")).inspected()
    }

    pub fn read(&self) -> UpstreamRequest {
        self.request(Method::GET, None)
    }

    pub fn update(&self, pin: Pin) -> UpstreamRequest {
        self.request(Method::PUT, Some(pin))
    }

    pub fn delete(&self, pin: Option<Pin>) -> UpstreamRequest {
        self.request(Method::DELETE, pin)
    }

    fn request(&self, method: Method, pin: Option<Pin>) -> UpstreamRequest {
        let mut request = UpstreamRequest::new(method, format!("/{}/{}", self.of, self.id)).inspected();
        request.pin = pin;
        request
    }
}

/// A search of which only the number of entries is looked at; `path` is a type, or one within a compartment.
pub fn probe_search(path: &str, parameters: &[Parameter]) -> UpstreamRequest {
    UpstreamRequest::new(Method::GET, format!("/{path}?{}", print_parameters(parameters))).inspected()
}

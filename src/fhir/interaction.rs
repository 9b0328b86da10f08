//! Request to interaction: the typed meaning of a method and a path below the FHIR base (FHIR R4 http.html).

use http::Method;

use super::reference::is_id;
use super::search::{KeyError, MAX_CRITERIA, Parameter, print_parameters};
use super::target::parse_query;
use super::{AddressKey, FhirVersion, ResourceType};

/// The level an operation is called at (FHIR R4 operations.html).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Level {
    System,
    Type(ResourceType),
    Instance(ResourceType, String),
}

/// What one request means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Interaction {
    Capabilities,
    Read {
        of: ResourceType,
        id: String,
    },
    Vread {
        of: ResourceType,
        id: String,
        version: String,
    },
    HistoryInstance {
        of: ResourceType,
        id: String,
    },
    HistoryType {
        of: ResourceType,
    },
    HistorySystem,
    SearchType {
        of: ResourceType,
    },
    /// Search below a compartment; `of` is `None` for `*`.
    SearchCompartment {
        compartment: ResourceType,
        id: String,
        of: Option<ResourceType>,
    },
    SearchSystem,
    Create {
        of: ResourceType,
    },
    Update {
        of: ResourceType,
        id: String,
    },
    Patch {
        of: ResourceType,
        id: String,
    },
    Delete {
        of: ResourceType,
        id: String,
    },
    ConditionalUpdate {
        of: ResourceType,
    },
    ConditionalPatch {
        of: ResourceType,
    },
    ConditionalDelete {
        of: ResourceType,
    },
    /// A batch or transaction: the body says which.
    Bundle,
    Operation {
        level: Level,
        name: String,
    },
}

impl Interaction {
    /// The interaction's code, bounded in number: a metrics label and an audit field.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::Read { .. } => "read",
            Self::Vread { .. } => "vread",
            Self::HistoryInstance { .. } => "history-instance",
            Self::HistoryType { .. } => "history-type",
            Self::HistorySystem => "history-system",
            Self::SearchType { .. } => "search-type",
            Self::SearchCompartment { .. } => "search-compartment",
            Self::SearchSystem => "search-system",
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Patch { .. } => "patch",
            Self::Delete { .. } => "delete",
            Self::ConditionalUpdate { .. } => "conditional-update",
            Self::ConditionalPatch { .. } => "conditional-patch",
            Self::ConditionalDelete { .. } => "conditional-delete",
            Self::Bundle => "bundle",
            Self::Operation { .. } => "operation",
        }
    }

    /// The resource type that the path names.
    pub fn resource_type(&self) -> Option<ResourceType> {
        match self {
            Self::Read { of, .. }
            | Self::Vread { of, .. }
            | Self::HistoryInstance { of, .. }
            | Self::HistoryType { of }
            | Self::SearchType { of }
            | Self::Create { of }
            | Self::Update { of, .. }
            | Self::Patch { of, .. }
            | Self::Delete { of, .. }
            | Self::ConditionalUpdate { of }
            | Self::ConditionalPatch { of }
            | Self::ConditionalDelete { of }
            | Self::Operation { level: Level::Type(of) | Level::Instance(of, _), .. } => Some(*of),
            Self::SearchCompartment { of, .. } => *of,
            Self::Capabilities
            | Self::HistorySystem
            | Self::SearchSystem
            | Self::Bundle
            | Self::Operation { level: Level::System, .. } => None,
        }
    }

    /// The id of the resource that the path names.
    pub fn resource_id(&self) -> Option<&str> {
        match self {
            Self::Read { id, .. }
            | Self::Vread { id, .. }
            | Self::HistoryInstance { id, .. }
            | Self::Update { id, .. }
            | Self::Patch { id, .. }
            | Self::Delete { id, .. }
            | Self::Operation { level: Level::Instance(_, id), .. } => Some(id),
            _ => None,
        }
    }

    /// Whether the request carries search parameters in a form body (FHIR R4 http.html#search, POST `_search`).
    pub fn is_search(&self) -> bool {
        matches!(self, Self::SearchType { .. } | Self::SearchCompartment { .. } | Self::SearchSystem)
    }
}

/// Where a page of the gate's begins in the pages of the upstream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PagePosition {
    /// The upstream's page, below its base.
    pub target: String,
    /// Entries of that page that were dealt with before.
    pub skip: usize,
    /// Matches on a page of the gate's, once that is settled.
    pub size: Option<usize>,
    /// Whether verification removed something on the way here, so that a further page of the upstream may hold nothing visible.
    pub doubtful: bool,
    /// The address that made that page: FHIR servers keep searches for a while, each its own.
    pub at: Option<AddressKey>,
}

/// One FHIR request as the decision sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    pub method: Method,
    pub interaction: Interaction,
    /// Query parameters, and those of the form body of a POST `_search`, in order.
    pub parameters: Vec<Parameter>,
    /// Criteria of a conditional create (`If-None-Exist`).
    pub if_none_exist: Option<Vec<Parameter>>,
    /// Where to go on with this search or history: only an opened seal sets it.
    pub page: Option<PagePosition>,
    /// Whether the client takes JSON, by `_format` or else by `Accept`.
    pub accepts_json: bool,
}

impl Request {
    /// Puts a request together from its decoded pairs (query first, then form), `If-None-Exist` and `Accept`.
    ///
    /// # Errors
    /// A parameter name outside FHIR's grammar.
    pub fn new(
        method: &Method,
        interaction: Interaction,
        pairs: &[(String, String)],
        if_none_exist: Option<&str>,
        accept: Option<&str>,
    ) -> Result<Self, GrammarError> {
        let parameters = Parameter::parse_all(pairs)?;
        let if_none_exist = match if_none_exist {
            Some(criteria) if matches!(interaction, Interaction::Create { .. }) => {
                let pairs =
                    parse_query(criteria.trim_start_matches('?'), MAX_CRITERIA).map_err(|_| GrammarError::Ambiguous)?;
                Some(Parameter::parse_all(&pairs)?)
            }
            _ => None,
        };
        let format = parameters.iter().find(|parameter| parameter.code() == "_format").map(|p| p.value.as_str());
        let accepts_json = accepts_json(format, accept);
        Ok(Self { method: method.clone(), interaction, parameters, if_none_exist, page: None, accepts_json })
    }

    /// The request's target below the FHIR base, printed from what was parsed; POST and GET `_search` are the search of the path
    /// above.
    pub fn target(&self, path: &[&str]) -> String {
        let mut target = String::new();
        for (index, segment) in path.iter().enumerate() {
            match *segment {
                // Without it `Patient/A/_search`, a search of every type, would be a read.
                "_search" if index == 2 => target.push_str("/*"),
                "_search" => {}
                segment => {
                    target.push('/');
                    target.push_str(segment);
                }
            }
        }
        if !self.parameters.is_empty() {
            target.push('?');
            target.push_str(&print_parameters(&self.parameters));
        }
        target
    }
}

/// Whether `format` or a media type is one of FHIR's names for JSON (FHIR R4 http.html#mime-type).
pub fn is_json(format: &str) -> bool {
    let essence = format.split(';').next().unwrap_or_default().trim();
    // `application/fhir json` is what arrives when a client did not encode the plus.
    ["json", "application/json", "application/fhir+json", "application/fhir json", "text/json"]
        .iter()
        .any(|name| essence.eq_ignore_ascii_case(name))
}

/// Whether a client takes JSON: `_format` overrides `Accept`, and no `Accept` takes anything (FHIR R4 http.html#parameters).
pub fn accepts_json(format: Option<&str>, accept: Option<&str>) -> bool {
    match (format, accept) {
        (Some(format), _) => is_json(format),
        (None, None) => true,
        (None, Some(accept)) => accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default();
            let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            !refused && (is_json(essence) || matches!(essence, "*/*" | "application/*" | ""))
        }),
    }
}

/// Why a request is no FHIR interaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GrammarError {
    #[error("the path is no FHIR interaction of this version")]
    NotFound,
    #[error("the method does not fit the path")]
    Method,
    #[error("the request says two things at once")]
    Ambiguous,
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Classifies `method` on the path segments below the FHIR base.
///
/// # Errors
/// [`GrammarError::NotFound`] for a path that is none of FHIR's, [`GrammarError::Method`] for one that is with another method.
pub fn classify(
    version: FhirVersion,
    method: &Method,
    path: &[&str],
    has_query: bool,
) -> Result<Interaction, GrammarError> {
    let named = |name: &str| ResourceType::parse(version, name).ok_or(GrammarError::NotFound);
    match path {
        [] if is_get(method) => Ok(Interaction::SearchSystem),
        [] if method == Method::POST => Ok(Interaction::Bundle),
        [] => Err(GrammarError::Method),
        ["metadata"] => get(method, Interaction::Capabilities),
        ["_history"] => get(method, Interaction::HistorySystem),
        ["_search"] => get_or_post(method, Interaction::SearchSystem),
        // The one operation that is cancelled (Bulk Data Access IG 2.0, "Bulk Data Delete Request").
        ["$export-status"] if method == Method::DELETE => {
            Ok(Interaction::Operation { level: Level::System, name: "export-status".to_owned() })
        }
        [operation] if operation.starts_with('$') => operation_at(method, Level::System, operation),
        [of] => type_level(method, named(of)?, has_query),
        [of, "_search"] => get_or_post(method, Interaction::SearchType { of: named(of)? }),
        [of, "_history"] => get(method, Interaction::HistoryType { of: named(of)? }),
        [of, operation] if operation.starts_with('$') => operation_at(method, Level::Type(named(of)?), operation),
        [of, id, rest @ ..] => instance_level(version, method, named(of)?, id, rest),
    }
}

fn type_level(method: &Method, of: ResourceType, has_query: bool) -> Result<Interaction, GrammarError> {
    match method.as_str() {
        "GET" | "HEAD" => Ok(Interaction::SearchType { of }),
        "POST" => Ok(Interaction::Create { of }),
        // Without criteria these would touch every resource of the type on some servers.
        "PUT" if has_query => Ok(Interaction::ConditionalUpdate { of }),
        "PATCH" if has_query => Ok(Interaction::ConditionalPatch { of }),
        "DELETE" if has_query => Ok(Interaction::ConditionalDelete { of }),
        _ => Err(GrammarError::Method),
    }
}

fn instance_level(
    version: FhirVersion,
    method: &Method,
    of: ResourceType,
    id: &str,
    rest: &[&str],
) -> Result<Interaction, GrammarError> {
    if !is_id(id) {
        return Err(GrammarError::NotFound);
    }
    let id = id.to_owned();
    match rest {
        [] => match method.as_str() {
            "GET" | "HEAD" => Ok(Interaction::Read { of, id }),
            "PUT" => Ok(Interaction::Update { of, id }),
            "PATCH" => Ok(Interaction::Patch { of, id }),
            "DELETE" => Ok(Interaction::Delete { of, id }),
            _ => Err(GrammarError::Method),
        },
        ["_history"] => get(method, Interaction::HistoryInstance { of, id }),
        ["_history", version] if is_id(version) => {
            get(method, Interaction::Vread { of, id, version: (*version).to_owned() })
        }
        ["*"] => get(method, Interaction::SearchCompartment { compartment: of, id, of: None }),
        ["_search" | "*", ..] if matches!(rest, ["_search"] | ["*", "_search"]) => {
            get_or_post(method, Interaction::SearchCompartment { compartment: of, id, of: None })
        }
        [operation] if operation.starts_with('$') => operation_at(method, Level::Instance(of, id), operation),
        [name] | [name, "_search"] => {
            let searched = Some(ResourceType::parse(version, name).ok_or(GrammarError::NotFound)?);
            let interaction = Interaction::SearchCompartment { compartment: of, id, of: searched };
            if rest.len() == 1 { get(method, interaction) } else { get_or_post(method, interaction) }
        }
        _ => Err(GrammarError::NotFound),
    }
}

fn operation_at(method: &Method, level: Level, segment: &str) -> Result<Interaction, GrammarError> {
    let name = segment.trim_start_matches('$');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || segment.len() != name.len() + 1 || !name.chars().all(plain) {
        return Err(GrammarError::NotFound);
    }
    get_or_post(method, Interaction::Operation { level, name: name.to_owned() })
}

fn is_get(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

fn get(method: &Method, interaction: Interaction) -> Result<Interaction, GrammarError> {
    if is_get(method) { Ok(interaction) } else { Err(GrammarError::Method) }
}

fn get_or_post(method: &Method, interaction: Interaction) -> Result<Interaction, GrammarError> {
    if is_get(method) || method == Method::POST { Ok(interaction) } else { Err(GrammarError::Method) }
}

#[cfg(test)]
#[path = "interaction_tests.rs"]
mod tests;

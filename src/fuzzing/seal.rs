//! Page links: only what the gate sealed opens, for nobody but the grant it was sealed for, and only whole.

use std::sync::{Arc, LazyLock};

use super::decision::{WORLD, World};
use crate::ambient::{Ambient, Clock, Entropy, UnixSeconds};
use crate::fhir::target::Target;
use crate::guard::{PAGE_PARAMETER, Pages};
use crate::store::{KeyPurpose, StoredKey};
use crate::token::GateKeys;

const NOW: UnixSeconds = 1_800_000_000;

/// An hour, which is how long a page link lives.
const LATER: UnixSeconds = NOW + 3600;

/// A clock that stands still and randomness that is none.
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixSeconds {
        NOW
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

static KEYS: LazyLock<Option<Arc<GateKeys>>> = LazyLock::new(|| {
    let key = StoredKey {
        id: "seal".to_owned(),
        purpose: KeyPurpose::Seal,
        algorithm: "A256GCM".to_owned(),
        secret: vec![7; 32],
        created: NOW,
        active_from: NOW,
        retired: None,
    };
    let ambient = Ambient { clock: Arc::new(Fixed), entropy: Arc::new(Fixed) };
    GateKeys::of(&[key], &ambient).ok().map(Arc::new)
});

/// Two bytes say what is spoilt; then the target that was searched, and the upstream's link below its base, in a line each.
pub(super) fn seal(bytes: &[u8]) {
    let (Some(world), Some(keys)) = (&*WORLD, &*KEYS) else { panic!("no configuration or no keys") };
    let World { snapshot, grants, stranger } = world;
    let (Some((at, text)), [.., renewed, grant]) = (bytes.split_first_chunk::<2>(), grants.as_slice()) else {
        return;
    };
    let pages = |grant, now| Pages::new(keys.clone(), snapshot, grant, now);
    let own = pages(grant, NOW);
    let text = String::from_utf8_lossy(text);
    assert_eq!(own.open(&text), None, "nobody can make a seal");
    let Some((original, link)) = text.split_once('\n') else { return };
    let Some(url) = own.seal(original, &format!("http://u:8080/fhir{link}")) else {
        assert!(!link.is_empty() && !link.starts_with(['/', '?']));
        return;
    };
    let Some((_, seal)) = url.split_once(&format!("?{PAGE_PARAMETER}=")) else { panic!("no page link: {url}") };
    if Target::parse(original, 50).is_ok() {
        let target = Target::parse(url.trim_start_matches("https://p"), 1);
        assert_eq!(target.map(|target| target.query), Ok(vec![(PAGE_PARAMETER.to_owned(), seal.to_owned())]));
    }
    // A link that is longer than any the gate opens is one that nobody follows.
    let opened = own.open(seal).map(crate::guard::Page::into_parts);
    assert_eq!(
        opened.map(|(original, position)| (original, position.target)),
        (seal.len() <= 64 * 1024).then(|| (original.to_owned(), link.to_owned()))
    );
    assert_eq!(pages(grant, LATER).open(seal), None);
    assert_eq!(pages(stranger, NOW).open(seal), None);
    assert_eq!(pages(renewed, NOW).open(seal), own.open(seal), "a renewed token has the same pages");
    assert_eq!(own.open(&spoilt(seal, u16::from_be_bytes(*at))), None);
}

/// The seal with another character at one place, or without its last.
fn spoilt(seal: &str, at: u16) -> String {
    let at = usize::from(at) % (seal.len() + 1);
    let mut chars: Vec<char> = seal.chars().collect();
    match chars.get_mut(at) {
        Some(spoilt) => *spoilt = if *spoilt == 'A' { 'B' } else { 'A' },
        None => drop(chars.pop()),
    }
    chars.into_iter().collect()
}

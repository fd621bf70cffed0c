//! Share links: tokens an owner makes for guests, each for one project, with a role and an end, revocable.
//!
//! What is kept is a hash of each token, in one file of the data folder, replaced as a whole at every change: there are
//! few links and they change seldom. A token is 256 random bits, so a plain hash is enough; nothing can be tried.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cobuild_protocol::{ErrorBody, ProjectId, value::Role};
use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    grant::{Grant, LinkGrant, Roles},
    private_file, refused,
};

/// How a link's token begins, so that it is told from other tokens without asking.
const TOKEN_PREFIX: &str = "share_";
/// Random bytes of a token and of a link's id. The id is no secret.
const TOKEN_BYTES: usize = 32;
const ID_BYTES: usize = 8;
/// Where the links are kept, below the data folder.
const FILE: &str = "share-links.json";
/// Most links of one project that count. People make a handful; a program that makes one per visitor should sign
/// tokens.
pub(crate) const LINKS_MAX: usize = 100;
/// How long a link is remembered after its end, so that whoever comes with it is told what happened to it.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// All share links of the server.
#[derive(Debug)]
pub(crate) struct ShareLinks {
    /// `None`: they are forgotten with the process.
    file: Option<PathBuf>,
    links: RwLock<Links>,
    /// Held from the decision about a change until it is stored.
    changing: Mutex<()>,
}

/// By hash of the token.
type Links = BTreeMap<String, Link>;

#[derive(Debug, Clone)]
struct Link {
    record: Record,
    revoked: CancellationToken,
}

/// A link as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    token_sha256: String,
    project: ProjectId,
    #[serde(flatten)]
    shared: SharedLink,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
}

/// A link as owners see it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ShareLink")]
pub(crate) struct SharedLink {
    pub(crate) id: String,
    pub(crate) role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    #[schemars(with = "String")]
    pub(crate) created_at: Timestamp,
    #[schemars(with = "String")]
    pub(crate) expires_at: Timestamp,
}

/// What a new link is to be.
#[derive(Debug, Clone)]
pub(crate) struct NewLink {
    pub(crate) project: ProjectId,
    pub(crate) role: Role,
    pub(crate) label: Option<String>,
    pub(crate) expires_at: Timestamp,
}

/// Why a link was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShareLinkError {
    #[error("there is no such share link")]
    NotFound,
    #[error("a project has at most {LINKS_MAX} share links; revoke one first")]
    TooMany,
    #[error("the share links could not be stored")]
    Store(#[from] io::Error),
}

/// The file. The version is for whoever changes its shape.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    links: Vec<Record>,
}

const VERSION: u32 = 1;

impl Record {
    fn counts(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.shared.expires_at
    }
}

impl ShareLinks {
    /// Those of a data folder.
    pub(super) fn open(data_dir: &Path) -> io::Result<Self> {
        let file = Self::path(data_dir);
        let links = match fs::read(&file) {
            Ok(json) => read(&json)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Links::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { file: Some(file), links: RwLock::new(links), changing: Mutex::default() })
    }

    /// Where they are kept.
    pub(super) fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE)
    }

    #[cfg(test)]
    pub(super) fn in_memory() -> Self {
        Self { file: None, links: RwLock::default(), changing: Mutex::default() }
    }

    /// Whether a token is a share link's, by its looks.
    pub(super) fn is_token(token: &str) -> bool {
        token.starts_with(TOKEN_PREFIX)
    }

    /// What the guest with this token may do.
    pub(super) fn admit(&self, token: &str) -> Result<Grant, ErrorBody> {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        let Link { record, revoked } =
            links.get(&hash(token)).ok_or_else(|| refused("there is no such share link, or no more"))?;
        if record.revoked_at.is_some() {
            return Err(refused("this share link has been revoked"));
        }
        if !record.counts(Timestamp::now()) {
            return Err(refused("this share link has expired"));
        }
        let projects = BTreeMap::from([(record.project.clone(), record.shared.role)]);
        let link = LinkGrant { id: record.shared.id.clone(), revoked: revoked.clone() };
        Ok(Grant {
            subject: None,
            name: None,
            roles: Roles { everywhere: None, projects },
            expires_at: Some(record.shared.expires_at),
            link: Some(link),
        })
    }

    /// The links of a project that count, newest first.
    pub(crate) fn of_project(&self, project: &ProjectId) -> Vec<SharedLink> {
        let now = Timestamp::now();
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        let records = links.values().map(|link| &link.record);
        let mut shared: Vec<_> = records
            .filter(|record| record.project == *project && record.counts(now))
            .map(|record| record.shared.clone())
            .collect();
        shared.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        shared
    }

    /// Makes a link and returns it with its token, which is not kept. Blocks.
    pub(crate) fn make(&self, new: NewLink) -> Result<(SharedLink, String), ShareLinkError> {
        let now = Timestamp::now();
        let token = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random::<TOKEN_BYTES>()));
        let NewLink { project, role, label, expires_at } = new;
        let id = hex::encode(random::<ID_BYTES>());
        let shared = SharedLink { id, role, label, created_at: now, expires_at };
        let record = Record { token_sha256: hash(&token), project, shared: shared.clone(), revoked_at: None };
        self.change(|links| {
            let counting = links.values().filter(|link| link.record.counts(now));
            if counting.filter(|link| link.record.project == record.project).count() >= LINKS_MAX {
                return Err(ShareLinkError::TooMany);
            }
            links.insert(record.token_sha256.clone(), Link { record, revoked: CancellationToken::new() });
            Ok(())
        })?;
        Ok((shared, token))
    }

    /// Revokes a link of a project; connections that came by it end. Blocks.
    pub(crate) fn revoke(&self, project: &ProjectId, id: &str) -> Result<(), ShareLinkError> {
        let now = Timestamp::now();
        let revoked = self.change(|links| {
            let wanted = |link: &&mut Link| link.record.project == *project && link.record.shared.id == id;
            let link = links.values_mut().filter(|link| link.record.counts(now)).find(wanted);
            let link = link.ok_or(ShareLinkError::NotFound)?;
            link.record.revoked_at = Some(now);
            Ok(link.revoked.clone())
        })?;
        revoked.cancel();
        Ok(())
    }

    /// Revokes all links of a project, before it is deleted: another may get its name. Blocks.
    pub(crate) fn revoke_all(&self, project: &ProjectId) -> Result<(), ShareLinkError> {
        let now = Timestamp::now();
        let is_of_project = |link: &Link| link.record.project == *project && link.record.counts(now);
        if !self.links.read().unwrap_or_else(PoisonError::into_inner).values().any(is_of_project) {
            return Ok(());
        }
        let revoked = self.change(|links| {
            let links = links.values_mut().filter(|link| is_of_project(link));
            Ok(links
                .map(|link| {
                    link.record.revoked_at = Some(now);
                    link.revoked.clone()
                })
                .collect::<Vec<_>>())
        })?;
        revoked.iter().for_each(CancellationToken::cancel);
        Ok(())
    }

    /// Stores what the change makes of the links; only then it counts.
    fn change<T>(&self, change: impl FnOnce(&mut Links) -> Result<T, ShareLinkError>) -> Result<T, ShareLinkError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut links = self.links.read().unwrap_or_else(PoisonError::into_inner).clone();
        let forgotten = Timestamp::now() - REMEMBERED;
        links.retain(|_, link| link.record.shared.expires_at > forgotten);
        let changed = change(&mut links)?;
        if let Some(file) = &self.file {
            private_file::write(file, &written(&links)?)?;
        }
        *self.links.write().unwrap_or_else(PoisonError::into_inner) = links;
        Ok(changed)
    }
}

fn read(json: &[u8]) -> io::Result<Links> {
    let Stored { version, links } = serde_json::from_slice(json)?;
    if version != VERSION {
        let message = format!("they are of version {version}, and this server knows {VERSION}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let link = |record: Record| (record.token_sha256.clone(), Link { record, revoked: CancellationToken::new() });
    Ok(links.into_iter().map(link).collect())
}

fn written(links: &Links) -> io::Result<String> {
    let links = links.values().map(|link| link.record.clone()).collect();
    Ok(serde_json::to_string_pretty(&Stored { version: VERSION, links })?)
}

fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(project: &str, hours: i64) -> NewLink {
        NewLink {
            project: project.parse().expect("valid"),
            role: Role::Editor,
            label: Some("for Bob".into()),
            expires_at: Timestamp::now() + SignedDuration::from_hours(hours),
        }
    }

    fn message(result: Result<Grant, ErrorBody>) -> String {
        result.expect_err("must be refused").message
    }

    #[test]
    fn a_link_is_for_its_project_and_role() {
        let links = ShareLinks::in_memory();
        let (_, token) = links.make(new("p", 1)).expect("made");
        assert!(ShareLinks::is_token(&token));
        let grant = links.admit(&token).expect("admitted");
        assert_eq!(grant.role_in(&"p".parse().expect("valid")), Some(Role::Editor));
        assert_eq!(grant.role_in(&"q".parse().expect("valid")), None);
        assert!(grant.administer().is_err());
        assert!(message(links.admit("share_x")).contains("no such"));
    }

    #[test]
    fn links_outlive_a_restart_and_their_tokens_are_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let links = ShareLinks::open(folder.path()).expect("opened");
        let (kept, token) = links.make(new("p", 1)).expect("made");
        let (gone, revoked) = links.make(new("p", 1)).expect("made");
        links.revoke(&"p".parse().expect("valid"), &gone.id).expect("revoked");
        let text = fs::read_to_string(ShareLinks::path(folder.path())).expect("there");
        assert!(!text.contains(&token) && !text.contains(token.trim_start_matches(TOKEN_PREFIX)));

        let links = ShareLinks::open(folder.path()).expect("opened again");
        assert!(links.admit(&token).is_ok());
        assert!(message(links.admit(&revoked)).contains("revoked"));
        let listed: Vec<_> = links.of_project(&"p".parse().expect("valid")).into_iter().map(|link| link.id).collect();
        assert_eq!(listed, [kept.id]);
    }

    #[test]
    fn revoking_acts_on_those_who_are_in() {
        let links = ShareLinks::in_memory();
        let (link, token) = links.make(new("p", 1)).expect("made");
        let (_, other) = links.make(new("p", 1)).expect("made");
        let (_, elsewhere) = links.make(new("q", 1)).expect("made");
        let revoked = |token: &str| links.admit(token).expect("admitted").link.expect("by a link").revoked;
        let (first, second, third) = (revoked(&token), revoked(&other), revoked(&elsewhere));
        let project = "p".parse().expect("valid");
        assert!(matches!(links.revoke(&"q".parse().expect("valid"), &link.id), Err(ShareLinkError::NotFound)));
        links.revoke(&project, &link.id).expect("revoked");
        assert!(first.is_cancelled() && !second.is_cancelled());
        assert!(matches!(links.revoke(&project, &link.id), Err(ShareLinkError::NotFound)), "only once");
        links.revoke_all(&project).expect("revoked");
        assert!(second.is_cancelled() && !third.is_cancelled());
        assert!(links.of_project(&project).is_empty());
    }

    #[test]
    fn links_end_and_are_forgotten_in_the_end() {
        let links = ShareLinks::in_memory();
        let (_, expired) = links.make(new("p", -1)).expect("made");
        let (_, old) = links.make(new("p", -24 * 8)).expect("made");
        assert!(message(links.admit(&expired)).contains("expired"));
        links.make(new("p", 1)).expect("made");
        assert!(message(links.admit(&old)).contains("no such"));
    }

    #[test]
    fn there_is_a_limit_per_project() {
        let links = ShareLinks::in_memory();
        for _ in 0..LINKS_MAX {
            links.make(new("p", 1)).expect("made");
        }
        assert!(matches!(links.make(new("p", 1)), Err(ShareLinkError::TooMany)));
        assert!(links.make(new("q", 1)).is_ok());
    }

    #[test]
    fn what_cannot_be_stored_does_not_count() {
        let folder = tempfile::tempdir().expect("a folder");
        let links = ShareLinks::open(&folder.path().join("missing")).expect("opened");
        assert!(matches!(links.make(new("p", 1)), Err(ShareLinkError::Store(_))));
        assert!(links.of_project(&"p".parse().expect("valid")).is_empty());
    }

    #[test]
    fn a_file_that_is_not_ours_is_refused() {
        for bad in ["", "[]", "{\"version\":2,\"links\":[]}"] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

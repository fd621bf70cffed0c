//! The token of a server that was told of no other: whoever has it owns everything.

use std::{fs, io, path::Path};

use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use super::private_file;
use crate::config::Secret;

/// Random bytes of a secret: 192 bits cannot be guessed and still fit in a link.
const SECRET_BYTES: usize = 24;
/// Where the owner token is kept, below the data folder; removing the file revokes it.
const OWNER_TOKEN_FILE: &str = "owner-token";
/// Where the secret is kept by which the server knows names it has made up itself.
const SEAL_FILE: &str = "name-seal";

/// The owner's token of a data folder, made at first use, so that links and stored tokens outlive a restart.
pub(super) fn of_folder(data_dir: &Path) -> io::Result<Secret> {
    secret_in(&data_dir.join(OWNER_TOKEN_FILE))
}

/// What the server's own names of a data folder are sealed with. Kept like the token: what it has named must be found
/// again after a restart.
pub(super) fn seal_of_folder(data_dir: &Path) -> io::Result<Secret> {
    secret_in(&data_dir.join(SEAL_FILE))
}

fn secret_in(path: &Path) -> io::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(Secret::new(text.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut bytes = [0_u8; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let token = hex::encode(bytes);
    private_file::write(path, &token)?;
    Ok(Secret::new(token))
}

/// Compares in a time that tells nothing about how much of the two is alike: what is compared are digests, which an
/// attacker can neither choose nor predict bit by bit.
pub(super) fn same(secret: &Secret, candidate: &str) -> bool {
    let (a, b) = (Sha256::digest(secret.expose().as_bytes()), Sha256::digest(candidate.as_bytes()));
    a.iter().zip(b.iter()).fold(0_u8, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_outlives_a_restart_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let first = of_folder(folder.path()).expect("made");
        assert_eq!(of_folder(folder.path()).expect("read"), first);
        assert_eq!(first.expose().len(), SECRET_BYTES * 2);
        let seal = seal_of_folder(folder.path()).expect("made");
        assert_eq!(seal_of_folder(folder.path()).expect("read"), seal);
        assert_ne!(seal, first);
        let mode = fs::metadata(folder.path().join(OWNER_TOKEN_FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn only_the_same_is_the_same() {
        let secret = Secret::new("abc");
        for (candidate, expected) in [("abc", true), ("", false), ("ab", false), ("abcd", false), ("abd", false)] {
            assert_eq!(same(&secret, candidate), expected, "{candidate}");
        }
    }
}

//! As whom this machine's user enters a room: as the same participant at every call, not as one more "Terminal" each time.
//!
//! A random text is kept in the user's configuration folder. Servers never see it, only what is made of it and of the
//! server's address and the name: no two of them learn that it is the same person, and whoever goes by another name is
//! somebody else.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use crate::{
    client::{RoomOptions, Server},
    config,
};

/// The file in the user's folder.
const FILE: &str = "client-id";
/// 128 random bits, in hexadecimal.
const LENGTH: usize = 32;

/// How to enter a server's rooms by this name. Where nothing can be kept it is as somebody new each time.
pub(super) fn room_options(server: &Server, name: &str) -> RoomOptions {
    let new = RoomOptions::named(name);
    let Some(folder) = config::user_folder() else { return new };
    match kept_in(&folder) {
        Ok(secret) => RoomOptions { client: client(&secret, server.url(), name), ..new },
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "the client's id cannot be kept");
            new
        }
    }
}

fn client(secret: &str, server: &str, name: &str) -> String {
    let digest = Sha256::digest(format!("cobuild client\0{secret}\0{server}\0{name}"));
    hex::encode(&digest[..LENGTH / 2])
}

/// The text that is kept; made at the first call. Of two that make it at once, both get the same.
fn kept_in(folder: &Path) -> io::Result<String> {
    let path = folder.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) if is_whole(&text) => return Ok(text),
        // Somebody has changed it: then it is made anew.
        Ok(_) => fs::remove_file(&path)?,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => fs::remove_file(&path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = folder.join(format!("{FILE}.{:016x}", rand::random::<u64>()));
    let made = make(&draft, &path);
    // What is wrong with a draft that was not made, or stays behind, is said by what was made of it.
    let _ = fs::remove_file(&draft);
    made
}

fn make(draft: &Path, path: &Path) -> io::Result<String> {
    let text = hex::encode(rand::random::<[u8; LENGTH / 2]>());
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(text.as_bytes())?;
    // Whole or not at all, and the first one counts.
    match fs::hard_link(draft, path) {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(path),
        Err(error) => Err(error),
    }
}

fn is_whole(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_kept_privately_and_made_anew_when_it_is_damaged() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("config/cobuild");
        let first = kept_in(&folder).expect("kept");
        assert!(is_whole(&first));
        assert_eq!(kept_in(&folder).expect("kept"), first);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join(FILE))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&folder).expect("read").count(), 1, "no draft is left");
        fs::write(folder.join(FILE), [0xff, 0xfe]).expect("written");
        let second = kept_in(&folder).expect("kept");
        assert!(is_whole(&second) && second != first);
    }

    #[test]
    fn those_who_begin_at_once_are_the_same() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("cobuild");
        let all: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| kept_in(&folder).expect("kept"))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(all.iter().all(|text| *text == all[0]), "{all:?}");
    }

    #[test]
    fn servers_and_names_have_an_id_each() {
        let ids =
            [("s", "http://a", "Ada"), ("s", "http://b", "Ada"), ("s", "http://a", "Bob"), ("t", "http://a", "Ada")]
                .map(|(secret, server, name)| client(secret, server, name));
        assert!((0..4).all(|at| ids[at].len() == LENGTH && !ids[at + 1..].contains(&ids[at])), "{ids:?}");
        assert_eq!(client("s", "http://a", "Ada"), ids[0]);
    }
}

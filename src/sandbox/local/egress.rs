//! The only way out of a sandbox: a proxy for `CONNECT` to the package registry. It accepts on a socket that the
//! helper bound inside; what it decides, it decides from the request's target alone, and when in doubt refuses.

mod address;
mod client_hello;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use address::is_public;
use client_hello::ServerName;

/// Most connections of one sandbox at once: npm opens up to 15.
const CONNECTIONS_MAX: usize = 64;
/// Longest request head: `CONNECT`, a host and a few headers.
const HEAD_SIZE_BYTES_MAX: usize = 8 * 1024;
/// How long a client may take for the request's head and the first bytes of TLS.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// How long name resolution and the connection outwards may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);
/// How long a tunnel may be silent: longer than npm's own patience with a slow registry.
const IDLE_TIME_MAX: Duration = Duration::from_secs(120);
/// Most bytes through one tunnel in one direction: far above the largest package, an end for a leak.
const TUNNEL_SIZE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Copied at a time.
const COPY_SIZE_BYTES: usize = 16 * 1024;

/// Where sandboxes may connect to.
#[derive(Debug, Clone)]
pub(super) struct AllowList(Arc<[Target]>);

/// A host and a port, as they stand in a request: names are compared exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    host: String,
    port: u16,
}

/// Why a request was refused. The audit line says it; the client learns only that it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Denial {
    #[error("not a CONNECT request")]
    Method,
    #[error("not a host and a port")]
    Malformed,
    #[error("not on the list")]
    NotListed,
    #[error("the name leads to an address that is not public")]
    Address,
    #[error("the name cannot be resolved")]
    Unresolved,
}

impl std::fmt::Display for AllowList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let targets: Vec<String> = self.0.iter().map(|target| format!("{}:{}", target.host, target.port)).collect();
        f.write_str(&targets.join(", "))
    }
}

impl AllowList {
    /// The registry of an `https:` address; its port is 443 unless the address says otherwise.
    pub(super) fn registry(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("https://").ok_or_else(|| format!("the package registry {url} is not https"))?;
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| format!("the port of {url} is no number"))?),
            None => (authority, 443),
        };
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
        {
            return Err(format!("the package registry {url} has no plain lower-case host name"));
        }
        Ok(Self(Arc::new([Target { host: host.into(), port }])))
    }

    fn allows(&self, target: &Target) -> bool {
        self.0.contains(target)
    }
}

/// Serves a sandbox's listener until `stop`.
pub(super) async fn serve(listener: TcpListener, allowed: AllowList, sandbox: Arc<str>, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = accepted else {
            // Out of descriptors, most likely; a moment later there may be some.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // With no room the client waits in the listener's own queue.
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let (allowed, sandbox, stop) = (allowed.clone(), sandbox.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = stop.cancelled() => {}
                outcome = tunnel(client, &allowed, &sandbox) => if let Err(error) = outcome {
                    tracing::debug!(%sandbox, %error, "a sandbox's connection ended early");
                }
            }
        });
    }
}

async fn tunnel(mut client: TcpStream, allowed: &AllowList, sandbox: &str) -> io::Result<()> {
    let (head, early) = timeout(HEAD_TIME_MAX, read_head(&mut client)).await??;
    let line = String::from_utf8_lossy(head.split(|&b| b == b'\r').next().unwrap_or_default()).into_owned();
    let verdict = match parse(&head) {
        Ok(target) if allowed.allows(&target) => resolve(&target).await.map(|address| (target, address)),
        Ok(_) => Err(Denial::NotListed),
        Err(denial) => Err(denial),
    };
    let (target, address) = match verdict {
        Ok(allowed) => allowed,
        Err(denial) => {
            audit(sandbox, &line, &denial.to_string());
            let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return client.write_all(refusal.as_bytes()).await;
        }
    };
    let Ok(Ok(mut server)) = timeout(CONNECT_TIME_MAX, TcpStream::connect(address)).await else {
        tracing::warn!(%sandbox, host = target.host, "the package registry cannot be reached");
        let failure = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return client.write_all(failure.as_bytes()).await;
    };
    client.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n").await?;
    // The tunnel carries TLS for that host or nothing: another name would reach another site on a shared address.
    let hello = timeout(HEAD_TIME_MAX, client_hello::read(&mut client, early)).await??;
    match hello.server_name {
        ServerName::Is(name) if name == target.host => {}
        other => {
            audit(sandbox, &line, &format!("TLS asks for {other:?}"));
            return Ok(());
        }
    }
    server.write_all(&hello.bytes).await?;
    copy_both(client, server).await
}

/// One line per refusal, for whoever watches the server.
fn audit(sandbox: &str, request: &str, reason: &str) {
    /// Longest part of a request that is logged.
    const SHOWN_CHARS_MAX: usize = 200;
    // Debug formatting neutralises control characters.
    let request: String = request.chars().take(SHOWN_CHARS_MAX).collect();
    tracing::warn!(target: "egress", sandbox, request = ?request, reason, "a sandbox's connection was refused");
}

/// Reads up to the empty line; returns the head and what came behind it.
async fn read_head(client: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::with_capacity(512);
    loop {
        if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
            let early = head.split_off(end + 4);
            return Ok((head, early));
        }
        if head.len() >= HEAD_SIZE_BYTES_MAX {
            return Err(io::Error::other("the request's head is too long"));
        }
        if client.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The target of a request, exactly as it was written.
fn parse(head: &[u8]) -> Result<Target, Denial> {
    let head = std::str::from_utf8(head).map_err(|_| Denial::Malformed)?;
    let line = head.split("\r\n").next().unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words[..] else { return Err(Denial::Malformed) };
    if method != "CONNECT" {
        return Err(Denial::Method);
    }
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err(Denial::Malformed);
    }
    let (host, port) = target.rsplit_once(':').ok_or(Denial::Malformed)?;
    let canonical = !port.is_empty() && !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|_| canonical).ok_or(Denial::Malformed)?;
    Ok(Target { host: host.into(), port })
}

/// Resolves once; the connection goes to the very address that was checked. One bad address spoils the name.
async fn resolve(target: &Target) -> Result<SocketAddr, Denial> {
    let found = timeout(CONNECT_TIME_MAX, tokio::net::lookup_host((target.host.as_str(), target.port))).await;
    let addresses: Vec<SocketAddr> = found.ok().and_then(Result::ok).ok_or(Denial::Unresolved)?.collect();
    check_addresses(&addresses, own_addresses())
}

fn check_addresses(addresses: &[SocketAddr], own: &[std::net::IpAddr]) -> Result<SocketAddr, Denial> {
    if addresses.iter().any(|address| !is_public(address.ip()) || own.contains(&address.ip().to_canonical())) {
        return Err(Denial::Address);
    }
    // IPv4 first: where only one of the two works, it is that one.
    addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied().ok_or(Denial::Unresolved)
}

/// The machine's own addresses, public ones too: its services are not for sandboxes.
fn own_addresses() -> &'static [std::net::IpAddr] {
    static OWN: OnceLock<Vec<std::net::IpAddr>> = OnceLock::new();
    OWN.get_or_init(|| {
        let interfaces = nix::ifaddrs::getifaddrs().map(Vec::from_iter).unwrap_or_default();
        interfaces
            .into_iter()
            .filter_map(|interface| interface.address)
            .filter_map(|address| {
                let v4 = address.as_sockaddr_in().map(|v4| std::net::IpAddr::from(v4.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
            })
            .collect()
    })
}

/// Copies both ways until both have ended, one has failed, was silent for too long or carried too much.
async fn copy_both(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::try_join!(copy(client_read, server_write), copy(server_read, client_write)).map(|_| ())
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; COPY_SIZE_BYTES];
    let mut left = TUNNEL_SIZE_BYTES_MAX;
    loop {
        let length = timeout(IDLE_TIME_MAX, from.read(&mut buffer)).await??;
        if length == 0 {
            return to.shutdown().await;
        }
        left = left.checked_sub(length as u64).ok_or_else(|| io::Error::other("the tunnel carried too much"))?;
        timeout(IDLE_TIME_MAX, to.write_all(&buffer[..length])).await??;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(head: &str) -> Result<(), Denial> {
        let allowed = AllowList::registry("https://registry.example.org/").expect("valid");
        match parse(head.as_bytes())? {
            target if allowed.allows(&target) => Ok(()),
            _ => Err(Denial::NotListed),
        }
    }

    #[test]
    fn allows_the_registry_only_exactly() {
        assert_eq!(verdict("CONNECT registry.example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n"), Ok(()));
        for (request, denial) in [
            ("CONNECT example.com:443 HTTP/1.1", Denial::NotListed),
            ("CONNECT registry.example.org.:443 HTTP/1.1", Denial::NotListed),
            ("CONNECT Registry.example.org:443 HTTP/1.1", Denial::NotListed),
            ("CONNECT registry.example.org:80 HTTP/1.1", Denial::NotListed),
            ("CONNECT registry.example.org:0443 HTTP/1.1", Denial::Malformed),
            ("CONNECT registry.example.org:+443 HTTP/1.1", Denial::Malformed),
            ("CONNECT registry.example.org HTTP/1.1", Denial::Malformed),
            ("CONNECT user@registry.example.org:443 HTTP/1.1", Denial::NotListed),
            ("CONNECT registry.example.org.evil.com:443 HTTP/1.1", Denial::NotListed),
            ("CONNECT [::ffff:127.0.0.1]:443 HTTP/1.1", Denial::NotListed),
            ("CONNECT 0x7f000001:443 HTTP/1.1", Denial::NotListed),
            ("CONNECT localhost:443 HTTP/1.1", Denial::NotListed),
            ("GET http://registry.example.org/ HTTP/1.1", Denial::Method),
            ("POST http://registry.example.org/ HTTP/1.1", Denial::Method),
            ("connect registry.example.org:443 HTTP/1.1", Denial::Method),
            ("CONNECT registry.example.org:443", Denial::Malformed),
            ("CONNECT  registry.example.org:443 HTTP/1.1", Denial::Malformed),
            ("", Denial::Malformed),
        ] {
            assert_eq!(verdict(&format!("{request}\r\n\r\n")), Err(denial), "{request}");
        }
    }

    #[test]
    fn reads_registry_addresses() {
        let of = |url| AllowList::registry(url).map(|list| list.0[0].clone());
        assert_eq!(of("https://npm.example.org/path"), Ok(Target { host: "npm.example.org".into(), port: 443 }));
        assert_eq!(of("https://npm.example.org:8443"), Ok(Target { host: "npm.example.org".into(), port: 8443 }));
        for bad in ["http://npm.example.org", "https://", "https://user@x/", "https://x:y/", "x"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_bad_address_spoils_a_name() {
        let public: SocketAddr = "93.184.216.34:443".parse().expect("valid");
        let private: SocketAddr = "10.0.0.1:443".parse().expect("valid");
        let public6: SocketAddr = "[2606:2800::1]:443".parse().expect("valid");
        assert_eq!(check_addresses(&[public6, public], &[]), Ok(public));
        assert_eq!(check_addresses(&[public, private], &[]), Err(Denial::Address));
        assert_eq!(check_addresses(&[public], &[public.ip()]), Err(Denial::Address));
        assert_eq!(check_addresses(&[], &[]), Err(Denial::Unresolved));
    }
}

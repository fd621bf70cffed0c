//! The only way out of a sandbox: a proxy for `CONNECT` to the package registry, and to what a command was granted for
//! as long as it runs. It accepts on a socket that the helper bound inside; what it decides, it decides from the
//! request's target alone, and when in doubt refuses.

mod client_hello;
mod grants;
mod outwards;

use std::{fmt, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub(super) use grants::{Granted, Grants};

use client_hello::ServerName;
use grants::Grant;
use outwards::Failure;

/// Most connections of one sandbox at once: npm opens up to 15.
const CONNECTIONS_MAX: usize = 64;
/// Longest request head: `CONNECT`, a host and a few headers.
const HEAD_SIZE_BYTES_MAX: usize = 8 * 1024;
/// How long a client may take for the request's head and the first bytes of TLS.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the registry may take to answer the first bytes of TLS. npm itself waits for that without end; a tunnel that is
/// closed makes it try again, and then say why it gives up.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a tunnel may be silent: longer than npm's own patience with a slow registry.
const IDLE_TIME_MAX: Duration = Duration::from_secs(120);
/// Most bytes through one tunnel in one direction: far above the largest package, an end for a leak.
const TUNNEL_SIZE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Copied at a time.
const COPY_SIZE_BYTES: usize = 16 * 1024;

/// Where sandboxes may connect to, and how the server gets there.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    allowed: Target,
    /// The server's own proxy, which sandboxes never see.
    upstream: Option<Target>,
}

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
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Fails, in one sentence, unless this can be the registry's address.
pub fn check_registry(url: &str) -> Result<(), String> {
    Policy::new(url, None).map(drop)
}

/// Fails, in one sentence that does not repeat it, unless this can be the server's own proxy.
pub fn check_proxy(url: &str) -> Result<(), String> {
    Policy::new(super::REGISTRY_DEFAULT, Some(url)).map(drop)
}

impl Policy {
    /// Only to the registry of this `https:` address, through the proxy of this `http:` address if there is one.
    pub(super) fn new(registry: &str, upstream: Option<&str>) -> Result<Self, String> {
        let allowed = Target::of_url(registry, "https://", 443).ok_or_else(|| {
            format!("The package registry {registry} is not an address like https://npm.example.org/")
        })?;
        // Its address may hold a password and is not repeated.
        let upstream = upstream
            .map(|url| Target::of_url(url, "http://", 80))
            .map(|target| {
                target.ok_or(
                    "The server's proxy is not an address like http://proxy.example.org:3128, without a password",
                )
            })
            .transpose()?;
        Ok(Self { allowed, upstream })
    }

    pub(super) fn allowed(&self) -> &Target {
        &self.allowed
    }

    /// Whether a target may be connected to, and by which grant unless it always may.
    fn rule(&self, target: &Target, grants: &Grants) -> Result<Option<Arc<Grant>>, Denial> {
        if *target == self.allowed {
            return Ok(None);
        }
        grants.find(target).map(Some).ok_or(Denial::NotListed)
    }
}

impl Target {
    /// As it must stand in a request. `None` for what is no host's name in lower case.
    fn new(host: &str, port: u16) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
        (!host.is_empty() && host.bytes().all(plain)).then(|| Self { host: host.into(), port })
    }

    fn of_url(url: &str, scheme: &str, default_port: u16) -> Option<Self> {
        let authority = url.strip_prefix(scheme)?.split('/').next()?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (authority, default_port),
        };
        Self::new(host, port)
    }
}

/// Serves a sandbox's listener until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    policy: Policy,
    grants: Grants,
    sandbox: Arc<str>,
    stop: CancellationToken,
) {
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
        let (policy, grants, sandbox, stop) = (policy.clone(), grants.clone(), sandbox.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = stop.cancelled() => {}
                outcome = tunnel(client, &policy, &grants, &sandbox) => if let Err(error) = outcome {
                    tracing::debug!(%sandbox, %error, "a sandbox's connection ended early");
                }
            }
        });
    }
}

async fn tunnel(mut client: TcpStream, policy: &Policy, grants: &Grants, sandbox: &str) -> io::Result<()> {
    let (head, early) = timeout(HEAD_TIME_MAX, read_head(&mut client)).await??;
    let line = String::from_utf8_lossy(head.split(|&b| b == b'\r').next().unwrap_or_default()).into_owned();
    let opened = match parse(&head).and_then(|target| Ok((policy.rule(&target, grants)?, target))) {
        Ok((rule, target)) => {
            let address = rule.as_ref().and_then(|grant| grant.address());
            outwards::connect(&target, address, policy.upstream.as_ref()).await.map(|server| (target, rule, server))
        }
        Err(denial) => Err(denial.into()),
    };
    let (target, grant, mut server) = match opened {
        Ok(opened) => opened,
        Err(Failure::Denied(denial)) => {
            audit(sandbox, &line, &denial.to_string());
            return answer(&mut client, "403 Forbidden").await;
        }
        Err(Failure::Unreachable(reason)) => {
            let target = line.split(' ').nth(1).unwrap_or_default();
            tracing::warn!(%sandbox, target, reason, "what a sandbox may connect to cannot be reached");
            return answer(&mut client, "502 Bad Gateway").await;
        }
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
    match grant {
        None => {
            let mut first = vec![0; COPY_SIZE_BYTES];
            let Ok(length) = timeout(ANSWER_TIME_MAX, server.read(&mut first)).await else {
                tracing::warn!(%sandbox, registry = %target, "the package registry does not answer");
                return Ok(());
            };
            client.write_all(&first[..length?]).await?;
            copy_both(client, server, None).await
        }
        Some(grant) => tokio::select! {
            // Nothing outlives the command it was granted to.
            () = grant.ended() => Ok(()),
            copied = copy_both(client, server, Some(&grant)) => copied,
        },
    }
}

async fn answer(client: &mut TcpStream, status: &str) -> io::Result<()> {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(answer.as_bytes()).await
}

/// One line per refusal, for whoever watches the server.
fn audit(sandbox: &str, request: &str, reason: &str) {
    /// Longest part of a request that is logged.
    const SHOWN_CHARS_MAX: usize = 200;
    // Debug formatting neutralises control characters.
    let request: String = request.chars().take(SHOWN_CHARS_MAX).collect();
    // Probes try what must be refused.
    if sandbox.starts_with("probe-") {
        tracing::debug!(target: "egress", sandbox, request = ?request, reason, "a probe's connection was refused");
    } else {
        tracing::warn!(target: "egress", sandbox, request = ?request, reason, "a sandbox's connection was refused");
    }
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

/// Copies both ways until both have ended, one has failed, was silent for too long or carried too much.
async fn copy_both(client: TcpStream, server: TcpStream, grant: Option<&Grant>) -> io::Result<()> {
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::try_join!(copy(client_read, server_write, None), copy(server_read, client_write, grant)).map(|_| ())
}

/// Copies one way. What comes in is counted against the grant, over all of its connections.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    grant: Option<&Grant>,
) -> io::Result<()> {
    let mut buffer = vec![0; COPY_SIZE_BYTES];
    let mut left = TUNNEL_SIZE_BYTES_MAX;
    loop {
        let length = timeout(IDLE_TIME_MAX, from.read(&mut buffer)).await??;
        if length == 0 {
            return to.shutdown().await;
        }
        left = left.checked_sub(length as u64).ok_or_else(|| io::Error::other("the tunnel carried too much"))?;
        if grant.is_some_and(|grant| !grant.take(length as u64)) {
            return Err(io::Error::other("more came than was granted"));
        }
        timeout(IDLE_TIME_MAX, to.write_all(&buffer[..length])).await??;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(head: &str) -> Result<(), Denial> {
        let policy = Policy::new("https://registry.example.org/", None).expect("valid");
        policy.rule(&parse(head.as_bytes())?, &Grants::default()).map(drop)
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
    fn reads_the_addresses_of_registry_and_proxy() {
        let target = |host: &str, port| Target { host: host.into(), port };
        let registry = |url| Policy::new(url, None).map(|policy| policy.allowed);
        assert_eq!(registry("https://npm.example.org/path"), Ok(target("npm.example.org", 443)));
        assert_eq!(registry("https://npm.example.org:8443"), Ok(target("npm.example.org", 8443)));
        for bad in ["http://npm.example.org", "https://", "https://user@x/", "https://x:y/", "x"] {
            assert!(registry(bad).is_err(), "{bad}");
        }
        let proxy = |url| Policy::new("https://x.org", Some(url)).map(|policy| policy.upstream);
        assert_eq!(proxy("http://proxy.example.org:3128/"), Ok(Some(target("proxy.example.org", 3128))));
        let error = proxy("http://name:password@proxy.example.org:3128").expect_err("no credentials");
        assert!(!error.contains("password"));
    }
}

//! The server's side of a tunnel: to the checked address, or through the server's own proxy.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::OnceLock,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Denial, Target};
use crate::public_address::is_public;

/// How long name resolution and the connection may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);
/// Longest answer of the server's own proxy.
const ANSWER_SIZE_BYTES_MAX: usize = 8 * 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It must not be.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// It cannot be, now.
    #[error("{0}")]
    Unreachable(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Connects to an allowed target: to the address the operator gave for it, or where its name leads.
pub(super) async fn connect(
    target: &Target,
    address: Option<SocketAddr>,
    upstream: Option<&Target>,
) -> Result<TcpStream, Failure> {
    let connecting = async {
        match (address, upstream) {
            // Whatever kind of address it is: somebody who runs the server wrote it down.
            (Some(address), _) => Ok(TcpStream::connect(address).await?),
            (None, Some(proxy)) => through(proxy, target).await,
            (None, None) => Ok(TcpStream::connect(resolve(target).await?).await?),
        }
    };
    timeout(CONNECT_TIME_MAX, connecting)
        .await
        .unwrap_or_else(|_| Err(Failure::Unreachable("no answer in time".into())))
}

/// Through the server's own proxy, which resolves the name. The proxy is the operator's choice: its address may be
/// private.
async fn through(proxy: &Target, target: &Target) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await?;
    stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    // Byte by byte at its end: what comes behind the answer belongs to the tunnel.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= ANSWER_SIZE_BYTES_MAX {
            return Err(Failure::Unreachable("the server's proxy answers too much".into()));
        }
        answer.push(stream.read_u8().await?);
    }
    let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
    match line.split(' ').nth(1) {
        Some("200") => Ok(stream),
        _ => Err(Failure::Unreachable(format!("the server's proxy answers {line:?}"))),
    }
}

/// Resolves once; the connection goes to the very address that was checked. One bad address spoils the name.
async fn resolve(target: &Target) -> Result<SocketAddr, Failure> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((target.host.as_str(), target.port)).await?.collect();
    check_addresses(&addresses, own_addresses())
}

fn check_addresses(addresses: &[SocketAddr], own: &[IpAddr]) -> Result<SocketAddr, Failure> {
    if addresses.iter().any(|address| !is_public(address.ip()) || own.contains(&address.ip().to_canonical())) {
        return Err(Denial::Address.into());
    }
    // IPv4 first: where only one of the two works, it is that one.
    let chosen = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    chosen.copied().ok_or_else(|| Failure::Unreachable("the name has no address".into()))
}

/// The machine's own addresses, public ones too: its services are not for sandboxes.
fn own_addresses() -> &'static [IpAddr] {
    static OWN: OnceLock<Vec<IpAddr>> = OnceLock::new();
    OWN.get_or_init(|| {
        let interfaces = nix::ifaddrs::getifaddrs().map(Vec::from_iter).unwrap_or_default();
        interfaces
            .into_iter()
            .filter_map(|interface| interface.address)
            .filter_map(|address| {
                let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_address_spoils_a_name() {
        let public: SocketAddr = "93.184.216.34:443".parse().expect("valid");
        let private: SocketAddr = "10.0.0.1:443".parse().expect("valid");
        let public6: SocketAddr = "[2606:2800::1]:443".parse().expect("valid");
        let denied = |result| matches!(result, Err(Failure::Denied(Denial::Address)));
        assert_eq!(check_addresses(&[public6, public], &[]).ok(), Some(public));
        assert!(denied(check_addresses(&[public, private], &[])));
        assert!(denied(check_addresses(&[public], &[public.ip()])));
        assert!(matches!(check_addresses(&[], &[]), Err(Failure::Unreachable(_))));
    }

    #[tokio::test]
    async fn a_listed_name_with_a_private_address_is_denied() {
        let target = Target { host: "localhost".into(), port: 443 };
        assert!(matches!(connect(&target, None, None).await, Err(Failure::Denied(Denial::Address))));
    }

    #[tokio::test]
    async fn the_servers_own_proxy_is_asked_for_the_target() {
        for (answer, works) in [("HTTP/1.1 200 OK\r\nVia: x\r\n\r\nhello", true), ("HTTP/1.1 407 No\r\n\r\n", false)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let proxy = Target { host: "127.0.0.1".into(), port: listener.local_addr().expect("bound").port() };
            let served = tokio::spawn(async move {
                let (mut client, _) = listener.accept().await.expect("accepted");
                let mut request = vec![0; 1024];
                let length = client.read(&mut request).await.expect("read");
                client.write_all(answer.as_bytes()).await.expect("written");
                String::from_utf8_lossy(&request[..length]).into_owned()
            });
            let target = Target { host: "registry.example.org".into(), port: 443 };
            let connected = connect(&target, None, Some(&proxy)).await;
            assert!(served.await.expect("served").starts_with("CONNECT registry.example.org:443 HTTP/1.1\r\n"));
            assert_eq!(connected.is_ok(), works);
            if let Ok(mut stream) = connected {
                let mut rest = String::new();
                stream.read_to_string(&mut rest).await.expect("read");
                assert_eq!(rest, "hello", "nothing of the tunnel is lost");
            }
        }
    }
}

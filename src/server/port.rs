//! The port the server listens on.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    time::{Instant, sleep},
};

use super::StartError;

/// Connections that may wait to be accepted: a room of people coming back at once after a restart.
const BACKLOG: u32 = 1024;
/// How long the port may still be taken: a server that was killed a moment ago holds it until the kernel has taken it apart.
const WAIT_MAX: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(20);

/// Binds the first address of a name that can be bound.
pub(super) async fn listen(host: &str, port: u16) -> Result<TcpListener, StartError> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        match listen_now(host, port) {
            Err(StartError::PortTaken { .. }) if Instant::now() < deadline => sleep(RETRY).await,
            decided => return decided,
        }
    }
}

fn listen_now(host: &str, port: u16) -> Result<TcpListener, StartError> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (name, port).to_socket_addrs().map_err(|reason| unreachable_address(host, reason))?;
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(match failure.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { host: host.into(), port },
        _ => unreachable_address(host, failure),
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the old connections' last minutes.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

pub(super) fn unreachable_address(host: &str, reason: io::Error) -> StartError {
    StartError::Address { host: host.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "127.0.0.1";

    #[tokio::test(start_paused = true)]
    async fn a_port_that_becomes_free_in_a_moment_is_waited_for() {
        let taken = listen(HOST, 0).await.expect("a port");
        let port = taken.local_addr().expect("its number").port();
        let waiting = tokio::spawn(listen(HOST, port));
        sleep(WAIT_MAX / 2).await;
        assert!(!waiting.is_finished());
        drop(taken);
        waiting.await.expect("no panic").expect("free again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_stays_taken_is_named() {
        let taken = listen(HOST, 0).await.expect("a port");
        let port = taken.local_addr().expect("its number").port();
        let refused = listen(HOST, port).await.expect_err("taken");
        assert!(matches!(refused, StartError::PortTaken { port: named, .. } if named == port), "{refused}");
    }
}

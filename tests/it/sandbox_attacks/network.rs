//! 18–20, 22, 29, 31, 32: the network.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener},
    os::linux::net::SocketAddrExt,
    sync::Mutex,
};

use super::*;

/// A listener of the suite's own, which greets whoever comes.
struct Greeter(SocketAddr);

impl Greeter {
    fn start(address: IpAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("bound");
        let address = listener.local_addr().expect("bound");
        // Ends with the test's process.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.write_all(b"200 greetings");
            }
        });
        Self(address)
    }

    /// A perl script that connects and prints the greeting.
    fn probe(&self) -> String {
        connect(&self.0.ip().to_string(), self.0.port())
    }
}

fn connect(host: &str, port: u16) -> String {
    format!(
        "use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0) or die; alarm 10; \
         connect($s, sockaddr_in({port}, inet_aton('{host}'))) or do {{ print 'errno ' . ($! + 0); exit }}; \
         print scalar <$s>;"
    )
}

const ECONNREFUSED: &str = "errno 111";
const ENETUNREACH: &str = "errno 101";

#[tokio::test]
async fn attack_18_the_hosts_loopback() {
    let Some(arena) = Arena::open("attack 18").await else { return };
    let greeter = Greeter::start([127, 0, 0, 1].into());
    assert_eq!(arena.perl(&greeter.probe()).await.succeeds(), ECONNREFUSED);
    assert_eq!(outside_perl(Path::new("/"), &greeter.probe()).succeeds(), "200 greetings");
}

#[tokio::test]
async fn attack_19_the_hosts_address_in_its_network() {
    let Some(arena) = Arena::open("attack 19").await else { return };
    let own = nix::ifaddrs::getifaddrs().expect("interfaces").find_map(|interface| {
        let address = interface.address?.as_sockaddr_in()?.ip();
        (!address.is_loopback()).then_some(address)
    });
    let Some(own) = own else {
        crate::support::not_run("attack 19: this machine has no address but the loopback's");
        return;
    };
    let greeter = Greeter::start(own.into());
    assert_eq!(arena.perl(&greeter.probe()).await.succeeds(), ENETUNREACH);
    assert_eq!(outside_perl(Path::new("/"), &greeter.probe()).succeeds(), "200 greetings");
}

#[tokio::test]
async fn attack_20_the_metadata_service() {
    let Some(arena) = Arena::open("attack 20").await else { return };
    assert_eq!(arena.perl(&connect("169.254.169.254", 80)).await.succeeds(), ENETUNREACH);
    // Aimed at a listener of our own: the probe connects where it can.
    let greeter = Greeter::start([127, 0, 0, 1].into());
    assert_eq!(outside_perl(Path::new("/"), &greeter.probe()).succeeds(), "200 greetings");
}

/// What the server logs, on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("not poisoned")).into_owned()
    }
}

// One thread, so that its subscriber sees every task.
#[tokio::test(flavor = "current_thread")]
async fn attack_22_hosts_that_are_not_on_the_list() {
    let Some(arena) = Arena::open("attack 22").await else { return };
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for request in [
        "CONNECT example.com:443 HTTP/1.1",
        "CONNECT registry.npmjs.org:80 HTTP/1.1",
        "CONNECT registry.npmjs.org.:443 HTTP/1.1",
        "CONNECT REGISTRY.npmjs.org:443 HTTP/1.1",
        "CONNECT registry.npmjs.org.example.com:443 HTTP/1.1",
        "CONNECT 127.0.0.1:443 HTTP/1.1",
        "CONNECT 2130706433:443 HTTP/1.1",
        "CONNECT localhost:443 HTTP/1.1",
        "GET http://registry.npmjs.org/ HTTP/1.1",
        "POST http://example.com/ HTTP/1.1",
    ] {
        // Another test's thread, which logs to nobody, may have switched the line off for all.
        tracing::callsite::rebuild_interest_cache();
        let seen = arena.perl(&ask_first_line(request)).await;
        assert_eq!(seen.succeeds(), "HTTP/1.1 403 Forbidden", "{request}");
        assert!(log.text().contains(&format!("request={request:?}")), "an audit line for {request}: {}", log.text());
    }
    let listed = arena.perl(&ask_first_line("CONNECT registry.npmjs.org:443 HTTP/1.1")).await;
    assert_eq!(listed.succeeds(), "HTTP/1.1 200 Connection Established");
}

/// A perl script that says this to the sandbox's way out and prints everything it answers.
fn say(request: &str) -> String {
    format!(
        "use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0) or die; alarm 20; \
         connect($s, sockaddr_in(3128, inet_aton('127.0.0.1'))) or die; \
         syswrite($s, qq({request})); while (<$s>) {{ print }}"
    )
}

#[tokio::test]
async fn attack_21_private_addresses_through_the_way_out() {
    let Some(arena) = Arena::open("attack 21").await else { return };
    for target in [
        "169.254.169.254:80",
        "169.254.169.254:443",
        "10.0.0.1:443",
        "172.16.0.1:443",
        "192.168.0.1:443",
        "100.64.0.1:443",
        "0.0.0.0:443",
        "[::1]:443",
        "[fc00::1]:443",
        "[fe80::1]:443",
        "[::ffff:10.0.0.1]:443",
        "[::ffff:127.0.0.1]:443",
    ] {
        let seen = arena.perl(&say(&format!("CONNECT {target} HTTP/1.1\\r\\n\\r\\n"))).await;
        assert!(seen.succeeds().starts_with("HTTP/1.1 403 Forbidden"), "{target}: {seen:?}");
    }
    // The twin, inside: the one address that is listed.
    let listed = arena.perl(&ask_first_line("CONNECT registry.npmjs.org:443 HTTP/1.1")).await;
    assert_eq!(listed.succeeds(), "HTTP/1.1 200 Connection Established");
}

fn ask_first_line(request: &str) -> String {
    format!(
        "use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0) or die; alarm 20; \
         connect($s, sockaddr_in(3128, inet_aton('127.0.0.1'))) or die; \
         syswrite($s, qq({request}\\r\\nHost: x\\r\\n\\r\\n)); my $a = <$s>; print $a;"
    )
}

#[tokio::test]
async fn attack_24_plain_http_and_what_hides_behind_it() {
    let Some(arena) = Arena::open("attack 24").await else { return };
    let head = |line: &str, more: &str| format!("{line}\\r\\nHost: registry.npmjs.org\\r\\n{more}\\r\\n");
    let second = head("CONNECT registry.npmjs.org:443 HTTP/1.1", "");
    for request in [
        head("GET http://registry.npmjs.org/ HTTP/1.1", ""),
        head("GET / HTTP/1.1", ""),
        head("POST http://registry.npmjs.org/ HTTP/1.1", "Content-Length: 3\\r\\n") + "abc",
        head("POST http://registry.npmjs.org/ HTTP/1.1", "Transfer-Encoding: chunked\\r\\n")
            + "3\\r\\nabc\\r\\n0\\r\\n\\r\\n",
        head("GET http://registry.npmjs.org/ HTTP/1.1", "") + &second,
        head("POST http://registry.npmjs.org/ HTTP/1.1", "Content-Length: 0\\r\\n") + &second,
    ] {
        let seen = arena.perl(&say(&request)).await;
        assert!(seen.succeeds().starts_with("HTTP/1.1 403 Forbidden"), "{request}: {seen:?}");
        assert_eq!(seen.text.matches("HTTP/1.1").count(), 1, "one answer, and the end: {request}: {seen:?}");
    }
    let listed = arena.perl(&ask_first_line("CONNECT registry.npmjs.org:443 HTTP/1.1")).await;
    assert_eq!(listed.succeeds(), "HTTP/1.1 200 Connection Established");
}

// One thread, so that its subscriber sees every task.
#[tokio::test(flavor = "current_thread")]
async fn attack_61_escapes_in_the_servers_log() {
    let Some(arena) = Arena::open("attack 61").await else { return };
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::callsite::rebuild_interest_cache();
    let request = "CONNECT \\e[2J\\e]0;owned\\aexample.com:443 HTTP/1.1\\r\\n\\r\\n";
    assert!(arena.perl(&say(request)).await.succeeds().starts_with("HTTP/1.1 403 Forbidden"));
    let text = log.text();
    assert!(text.contains("example.com:443"), "it is logged: {text}");
    assert!(!text.contains(['\u{1b}', '\u{7}']), "and harmless: {text:?}");
}

#[tokio::test]
async fn a_tunnel_carries_tls_for_its_host_or_nothing() {
    let Some(arena) = Arena::open("attack 26").await else { return };
    let script = |name: &str| {
        format!(
            "const net = require('net'), tls = require('tls');
             const s = net.connect(3128, '127.0.0.1', () => s.write('CONNECT registry.npmjs.org:443 HTTP/1.1\\r\\n\\r\\n'));
             s.once('data', () => {{
               const t = tls.connect({{ socket: s, servername: '{name}', checkServerIdentity: () => undefined }},
                 () => {{ console.log('tls'); process.exit() }});
               t.on('error', () => {{ console.log('closed'); process.exit() }});
             }});"
        )
    };
    assert_eq!(arena.run(&["node", "-e", &script("example.com")]).await.succeeds(), "closed");
    assert_eq!(arena.run(&["node", "-e", &script("registry.npmjs.org")]).await.succeeds(), "tls");
}

#[tokio::test]
async fn attack_29_name_service() {
    let Some(arena) = Arena::open("attack 29").await else { return };
    let listener = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
    let send = |host: &str, port: u16| {
        format!(
            "use Socket; socket(my $s, AF_INET, SOCK_DGRAM, 0) or die; \
             print send($s, 'query', 0, sockaddr_in({port}, inet_aton('{host}'))) ? 'sent' : 'errno ' . ($! + 0);"
        )
    };
    // An address that belongs to nobody stands for a public resolver's.
    assert_eq!(arena.perl(&send("198.51.100.53", 53)).await.succeeds(), ENETUNREACH);
    let port = listener.local_addr().expect("bound").port();
    assert_eq!(outside_perl(Path::new("/"), &send("127.0.0.1", port)).succeeds(), "sent");
    let mut received = [0; 16];
    listener.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    assert_eq!(listener.recv(&mut received).expect("received"), 5);

    let unknown = arena.run(&["getent", "hosts", "registry.npmjs.org"]).await;
    assert_eq!((&unknown.exit, unknown.text()), (&Exit::Code(2), ""));
    assert!(arena.run(&["getent", "hosts", "localhost"]).await.succeeds().contains("localhost"));
    assert!(outside(Path::new("/"), &["getent", "hosts", "localhost"]).succeeds().contains("localhost"));
}

#[tokio::test]
async fn attack_31_a_port_the_host_uses() {
    let Some(arena) = Arena::open("attack 31").await else { return };
    let greeter = Greeter::start([127, 0, 0, 1].into());
    let bind = format!(
        "use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0) or die; \
         print bind($s, sockaddr_in({}, inet_aton('127.0.0.1'))) ? 'bound' : 'errno ' . ($! + 0);",
        greeter.0.port()
    );
    assert_eq!(arena.perl(&bind).await.succeeds(), "bound");
    assert_eq!(outside_perl(Path::new("/"), &bind).succeeds(), "errno 98");
    let mut stream = std::net::TcpStream::connect(greeter.0).expect("the host's own listener lives");
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).expect("read");
    assert_eq!(greeting, "200 greetings");
}

#[tokio::test]
async fn attack_32_abstract_sockets() {
    let Some(arena) = Arena::open("attack 32").await else { return };
    let name = format!("cobuild-attack-{:016x}", rand::random::<u64>());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).expect("bound");
    let list = "cat /proc/net/unix";
    assert!(!arena.sh(list).await.succeeds().contains(&name));
    assert!(outside_sh(Path::new("/"), list).succeeds().contains(&name));
    let connect = format!(
        "use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; \
         print connect($s, pack('S', AF_UNIX) . qq(\\0{name})) ? 'connected' : 'errno ' . ($! + 0);"
    );
    assert_eq!(arena.perl(&connect).await.succeeds(), ECONNREFUSED);
    assert_eq!(outside_perl(Path::new("/"), &connect).succeeds(), "connected");
}

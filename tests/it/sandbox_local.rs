//! smoke
use cobuild::{project::sandbox_provider::*, sandbox::local::*};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

async fn run(sandbox: &dyn Sandbox, line: &str) -> (Exit, String) {
    let (tx, mut rx) = mpsc::channel(16);
    let mut p = sandbox
        .exec(ExecRequest { program: Program::Shell(line.into()), timeout: Duration::from_secs(60) }, tx)
        .await
        .unwrap();
    let mut s = String::new();
    while let Some(c) = rx.recv().await {
        s += &c.text;
    }
    (p.wait().await, s)
}

#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    let mut config = LocalConfig::new("/tmp/wt-sandbox-data");
    config.executable = env!("CARGO_BIN_EXE_cobuild").into();
    let provider = LocalProvider::new(config);
    let t = Instant::now();
    provider.check().await.unwrap();
    eprintln!("check {:?}", t.elapsed());
    let (ptx, mut prx) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(s) = prx.recv().await {
            eprintln!("progress: {s}");
        }
    });
    for round in 0..3 {
        let t = Instant::now();
        let files = provider.template().files;
        let sb = provider.create(SandboxSpec { project: "p".parse().unwrap(), files }, ptx.clone()).await.unwrap();
        eprintln!("{round} create {:?}", t.elapsed());
        sb.start_preview().await.unwrap();
        eprintln!("{round} preview {:?}", t.elapsed());
        eprintln!("{:?}", run(&*sb, "id").await);
        let t = Instant::now();
        eprintln!("{:?}", run(&*sb, "true").await);
        eprintln!("{round} true {:?}", t.elapsed());
        let t = Instant::now();
        eprintln!("{:?}", run(&*sb, "npm install axios --ignore-scripts --no-audit --no-fund 2>&1").await);
        eprintln!("{round} install {:?}", t.elapsed());
        for e in sb.list().await.unwrap() {
            eprintln!("{} {}", e.path, e.size_bytes);
        }
        eprintln!("log: {}", sb.preview_log());
        let t = Instant::now();
        sb.stop().await;
        eprintln!("{round} stop {:?}", t.elapsed());
    }
    provider.close().await;
}

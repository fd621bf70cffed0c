//! The `cobuild` process.

use std::process::ExitCode;

use cobuild::sandbox::local;

fn main() -> ExitCode {
    // Before anything starts a thread: a sandbox's helper is this program, too.
    if std::env::args().nth(1).as_deref() == Some(local::HELPER_ARGUMENT) {
        return local::helper_main();
    }
    ExitCode::SUCCESS
}

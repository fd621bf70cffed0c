//! The `cobuild` process.

fn main() {}

//! Chance that can be repeated.

use rand::{SeedableRng as _, rngs::StdRng};

/// Where a test's chance comes from. Printed, so that a failure can be repeated: `COBUILD_SEED=… cargo test …`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(u64);

impl Seed {
    /// A new one, or the one asked for.
    pub(crate) fn new() -> Self {
        let seed = match std::env::var("COBUILD_SEED") {
            Ok(seed) => seed.parse().expect("COBUILD_SEED is a number"),
            Err(_) => rand::random(),
        };
        println!("COBUILD_SEED={seed}");
        Self(seed)
    }

    /// The chance of one of several who act at the same time.
    pub(crate) fn of(self, who: u64) -> StdRng {
        StdRng::seed_from_u64(self.0.wrapping_add(who))
    }
}

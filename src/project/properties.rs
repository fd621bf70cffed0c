//! Whatever people, models, networks, disks and crashes do, and in whatever order: what each client has seen is the log,
//! every run that was accepted ends once, and every command counts once.
//!
//! This file says what can happen; [`house`] makes it happen and looks after every step. Chance shrinks what went wrong
//! to the few steps that matter.

mod disk;
mod happened;
mod house;
mod record;

use cobuild_protocol::{Seq, command::Delivery, value::Role};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use self::house::House;

/// People in the room: an owner, and others whose roles change.
const PEOPLE: usize = 3;

/// Something that happens. Numbers choose among what is there, whatever that is by then.
#[derive(Debug, Clone)]
enum Step {
    /// A person's connection is made: with their place in the log, or as if for the first time.
    Connect { person: usize, anew: bool },
    /// A person's connection is lost, with the replies on their way.
    Cut { person: usize },
    /// A person reads on.
    Read { person: usize, events_max: usize },
    /// A person reads nothing for a while, and what they read then is merged.
    Lag { person: usize },
    /// A person asks for something.
    Send { person: usize, wish: Wish },
    /// A person has many wishes at once, so that there is a line.
    Rush { person: usize, prompts: usize },
    /// A person sends a command again, their own or another's.
    Again { person: usize, command: usize },
    /// A model speaks.
    Model { call: usize, says: Says },
    /// The server gets this far with what it has to do.
    Work { steps: usize },
    /// Time passes.
    Wait { seconds: u64 },
    /// The server is killed and started again.
    Crash,
    /// The disk is full, or no longer.
    Disk { full: bool },
}

/// What somebody asks for.
#[derive(Debug, Clone)]
enum Wish {
    Generate {
        delivery: Delivery,
    },
    Apply,
    Exec,
    Write {
        file: u8,
    },
    Delete {
        file: u8,
    },
    Lock {
        file: u8,
    },
    /// To as it was so many events ago.
    Restore {
        back: Seq,
    },
    StopSandbox {
        end_run: bool,
    },
    Cancel {
        run: u64,
    },
    RemoveQueued {
        run: u64,
    },
    /// One of those that wait.
    MoveQueued {
        waiting: usize,
        position: u32,
    },
    /// Without a role, they are removed.
    SetRole {
        person: usize,
        role: Option<Role>,
    },
    Nonsense,
}

/// What a model does.
#[derive(Debug, Clone)]
enum Says {
    Text,
    /// More than the ring of recent events holds.
    Flood,
    File {
        file: u8,
    },
    Stop,
    Error,
    /// The connection just ends.
    Nothing,
}

/// The plan of what happens knows nothing of the server: what does not apply is left out when its time comes.
#[derive(Debug)]
struct Plan;

impl ReferenceStateMachine for Plan {
    type State = ();
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self::State> {
        Just(()).boxed()
    }

    fn transitions((): &Self::State) -> BoxedStrategy<Self::Transition> {
        let person = || 0..PEOPLE;
        prop_oneof![
            12 => (person(), prop::bool::weighted(0.1)).prop_map(|(person, anew)| Step::Connect { person, anew }),
            5 => person().prop_map(|person| Step::Cut { person }),
            12 => (person(), 1..40_usize).prop_map(|(person, events_max)| Step::Read { person, events_max }),
            12 => person().prop_map(|person| Step::Lag { person }),
            20 => (person(), wish()).prop_map(|(person, wish)| Step::Send { person, wish }),
            5 => (person(), 2..5_usize).prop_map(|(person, prompts)| Step::Rush { person, prompts }),
            8 => (person(), 0..100_usize).prop_map(|(person, command)| Step::Again { person, command }),
            20 => (0..10_usize, says()).prop_map(|(call, says)| Step::Model { call, says }),
            25 => (1..30_usize).prop_map(|steps| Step::Work { steps }),
            4 => prop_oneof![Just(1), Just(25), Just(700)].prop_map(|seconds| Step::Wait { seconds }),
            3 => Just(Step::Crash),
            4 => any::<bool>().prop_map(|full| Step::Disk { full }),
        ]
        .boxed()
    }

    fn apply((): Self::State, _: &Self::Transition) -> Self::State {}
}

fn wish() -> impl Strategy<Value = Wish> {
    let run = || 1..8_u64;
    let role = prop_oneof![Just(Role::Viewer), Just(Role::Editor), Just(Role::Owner)].prop_map(Some);
    let delivery = prop_oneof![7 => Just(Delivery::Queue), 2 => Just(Delivery::Interrupt), 3 => Just(Delivery::Steer)];
    prop_oneof![
        9 => delivery.prop_map(|delivery| Wish::Generate { delivery }),
        2 => Just(Wish::Apply),
        2 => Just(Wish::Exec),
        5 => (0..4_u8).prop_map(|file| Wish::Write { file }),
        1 => (0..4_u8).prop_map(|file| Wish::Delete { file }),
        5 => (0..4_u8).prop_map(|file| Wish::Lock { file }),
        2 => (0..20_u64).prop_map(|back| Wish::Restore { back }),
        2 => any::<bool>().prop_map(|end_run| Wish::StopSandbox { end_run }),
        8 => run().prop_map(|run| Wish::Cancel { run }),
        1 => run().prop_map(|run| Wish::RemoveQueued { run }),
        8 => (0..8_usize, 0..5_u32).prop_map(|(waiting, position)| Wish::MoveQueued { waiting, position }),
        2 => (0..PEOPLE, role).prop_map(|(person, role)| Wish::SetRole { person, role }),
        // One stays, to see the end.
        3 => (1..PEOPLE).prop_map(|person| Wish::SetRole { person, role: None }),
        1 => Just(Wish::Nonsense),
    ]
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        40 => Just(Says::Text),
        4 => Just(Says::Flood),
        15 => (0..4_u8).prop_map(|file| Says::File { file }),
        15 => Just(Says::Stop),
        4 => Just(Says::Error),
        3 => Just(Says::Nothing),
    ]
}

/// The test: the plan, carried out.
struct Promises;

impl StateMachineTest for Promises {
    type SystemUnderTest = House;
    type Reference = Plan;

    fn init_test((): &()) -> House {
        House::open()
    }

    fn apply(mut house: House, (): &(), step: Step) -> House {
        house.perform(step);
        house
    }

    fn teardown(house: House, (): ()) {
        house.finish();
    }
}

/// Samples, when `COBUILD_SAMPLES` does not say how many.
const SAMPLES: u32 = 800;

fn samples() -> u32 {
    std::env::var("COBUILD_SAMPLES").map_or(SAMPLES, |text| text.parse().expect("a number of samples"))
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(samples()) })]

    fn every_sample_keeps_its_promises(sequential 1..120 => Promises);
}

#[test]
fn promises_hold() {
    every_sample_keeps_its_promises();
    happened::check();
}

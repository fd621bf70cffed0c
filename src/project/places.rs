//! How many connections a project has, and whose: sockets and event streams, whoever is in the room and whoever only
//! reads along.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cobuild_protocol::ParticipantId;

use super::error::ProjectError;

/// Connections of one project at once: half of what a server takes.
pub(crate) const PROJECT_CONNECTIONS_MAX: usize = 10_000;
/// Connections of one participant in one project at once, and of all guests of one share link, since anybody can be
/// several of those. A person has a dozen, a class some hundred; programs that show the same token, or none, are one
/// participant together.
pub(crate) const PARTICIPANT_CONNECTIONS_MAX: usize = 2_000;

/// When to try again to come into a crowded project.
const CROWDED_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The connections of one project. Its clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    project_max: usize,
    holder_max: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_holder: HashMap<Holder, usize>,
}

/// Whose share of the places it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// Those who came together, such as the guests of one share link.
    Party(Arc<str>),
    /// One participant.
    Participant(ParticipantId),
    /// Whoever reads along where nobody says who they are: one of all.
    Anybody,
}

/// One connection's place. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    holder: Holder,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    pub(crate) fn new(project_max: usize, holder_max: usize) -> Self {
        Self { project_max, holder_max, taken: Arc::default() }
    }

    /// A place for one more connection. [`ProjectError::RateLimited`] when the project or the holder has as many as there
    /// may be.
    pub(crate) fn take(&self, holder: Holder) -> Result<Place, ProjectError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = taken.by_holder.get(&holder).copied().unwrap_or_default();
        self.check(&holder, taken.all, theirs)?;
        taken.all += 1;
        taken.by_holder.insert(holder.clone(), theirs + 1);
        drop(taken);
        Ok(Place { holder, taken: Arc::clone(&self.taken) })
    }

    /// Fails when there is no room for somebody new beside all connections and those who may still come back, of the
    /// project and of the newcomer's party: who connects under ever new names must not fill the project with people who
    /// have just left.
    pub(crate) fn check_room_for_newcomer(
        &self,
        holder: &Holder,
        (leaving, party_leaving): (usize, usize),
    ) -> Result<(), ProjectError> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = taken.by_holder.get(holder).copied().unwrap_or_default();
        self.check(holder, taken.all + leaving, theirs + party_leaving)
    }

    fn check(&self, holder: &Holder, all: usize, theirs: usize) -> Result<(), ProjectError> {
        let full = match holder {
            Holder::Party(_) if theirs >= self.holder_max => "this share link has too many connections",
            Holder::Participant(_) if theirs >= self.holder_max => "this participant has too many connections",
            _ if all >= self.project_max => "this project has too many connections",
            Holder::Party(_) | Holder::Participant(_) | Holder::Anybody => return Ok(()),
        };
        Err(ProjectError::RateLimited(full, CROWDED_RETRY_AFTER))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(theirs) = taken.by_holder.get_mut(&self.holder) {
            *theirs -= 1;
            if *theirs == 0 {
                taken.by_holder.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(result: Result<Place, ProjectError>) -> Option<String> {
        result.err().map(|error| error.to_string())
    }

    #[test]
    fn a_party_a_participant_and_a_project_have_as_many_as_there_may_be() {
        let places = Places::new(6, 2);
        let party = || Holder::Party("link".into());
        let ada = || Holder::Participant(ParticipantId::new(1));
        let mut guests = vec![places.take(party()).unwrap(), places.take(party()).unwrap()];
        let refused = refusal(places.take(party()));
        assert_eq!(refused.as_deref(), Some("this share link has too many connections"));
        let ada_twice = [places.take(ada()).unwrap(), places.clone().take(ada()).unwrap()];
        let refused = refusal(places.take(ada()));
        assert_eq!(refused.as_deref(), Some("this participant has too many connections"));
        let mut anybody = vec![places.take(Holder::Anybody).unwrap(), places.take(Holder::Anybody).unwrap()];
        let refused = refusal(places.take(Holder::Anybody));
        assert_eq!(refused.as_deref(), Some("this project has too many connections"));
        guests.pop();
        anybody.push(places.take(Holder::Anybody).unwrap());
        assert_eq!(anybody.len(), 3, "of what nobody says who they are there are as many as fit");
        guests.clear();
        let may_come = |holder, leaving| places.check_room_for_newcomer(&holder, leaving).is_ok();
        assert!(may_come(party(), (0, 0)) && !may_come(party(), (1, 0)), "one place is left");
        anybody.clear();
        assert!(may_come(party(), (2, 1)) && !may_come(party(), (2, 2)), "who left counts too");
        drop(ada_twice);
        assert!(places.taken.lock().unwrap().by_holder.is_empty());
    }
}

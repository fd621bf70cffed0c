//! A client of a Cobuild server: what `cobuild watch` and its siblings are made of, and load tools and tests may be.
//!
//! [`Server`] asks over HTTP. [`Room`] is one project over its WebSocket: it attaches, catches up, stays in step, comes
//! back when the connection is lost, and carries commands, each of which takes effect once however often that happens.
//! [`Replica`] folds what a room tells into the project's state, for whoever wants that.
//!
//! It is to the server what any client is: it knows the protocol, and of the server's own rooms only the pure fold of
//! the events and how to keep a token out of sight.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use cobuild::client::{Notice, RoomOptions, Server};
//!
//! let server = Server::new("http://localhost:3100", None)?;
//! let mut room = server.room(&"todo".parse()?, RoomOptions::named("Ada"));
//! while let Some(notice) = room.next().await {
//!     if let Notice::Event(event) = notice {
//!         println!("{} {}", event.frame.seq, event.frame.event.name());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod backoff;
mod connection;
mod error;
mod outbox;
mod place;
mod replica;
mod room;
mod server;
mod session;

pub use self::{
    error::{ClientError, CommandError},
    outbox::Reply,
    replica::Replica,
    room::{Commander, Happened, Notice, Phase, Room, RoomOptions, new_id},
    server::{ProjectLine, ProjectStatus, Server},
};

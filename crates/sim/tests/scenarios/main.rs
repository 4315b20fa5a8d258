//! Stories with roles: Anna invites, Ben rings, Anna lets go, and the link loses what it should not.
//!
//! Every story ends with [`Stage::end`](stage::Stage::end): all invariants of the monitor hold, every user was told
//! exactly one end of each session, and nothing remains.

mod bursts;
mod carried;
mod founding;
mod groups;
mod homes;
mod invitations;
mod losses;
mod moments;
mod outcomes;
mod servers;
mod stage;
mod strangers;
mod talking;

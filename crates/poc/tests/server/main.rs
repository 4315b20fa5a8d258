//! The PoC Server on its wire: a core that is played, and everything that it sees.

mod adding;
mod conference;
mod controlling;
mod directory;
mod groups;
mod messaging;
mod orders;
mod originating;
mod participating;
mod races;
mod records;
mod stage;
mod untidy;

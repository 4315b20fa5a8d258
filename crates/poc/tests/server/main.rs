//! The PoC Server on its wire: a core that is played, and everything that it sees.

mod controlling;
mod directory;
mod orders;
mod originating;
mod participating;
mod races;
mod records;
mod stage;
mod untidy;

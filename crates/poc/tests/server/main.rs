//! The PoC Server on its wire: a core that is played, and everything that it sees.

mod adding;
mod buffering;
mod census;
mod conference;
mod connected;
mod controlling;
mod directory;
mod groups;
mod messaging;
mod orders;
mod originating;
mod participating;
mod plain;
mod preestablished;
mod races;
mod ready;
mod recording;
mod records;
mod referring;
mod relaying;
mod releasing;
mod returning;
mod stage;
mod talking;
mod untidy;
mod using;

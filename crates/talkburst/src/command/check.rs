//! `talkburst check`: reads a configuration as `serve` does, and says what it comes to.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{DONE, Failure};
use crate::config::{self, Flags};
use crate::store::default_path;

/// What was typed behind `check`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The file of options: docs/configuration.md.
    #[arg(value_name = "FILE", required_unless_present = "options")]
    file: Option<PathBuf>,
    /// Tell every option instead: type, default, bounds and meaning, as docs/configuration.md has them.
    #[arg(long, conflicts_with_all = ["file", "json"])]
    options: bool,
    /// One JSON object on standard output: every option, or every fault.
    #[arg(long)]
    json: bool,
}

/// Reads it. Nothing is opened but the file and the secret that it names.
pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let mut out = anstream::stdout();
    // Without --options there is one.
    let Some(file) = arguments.file.as_deref() else {
        write!(out, "{}", config::document())?;
        return Ok(DONE);
    };
    let folder = || default_path(|name| std::env::var_os(name));
    let read = config::read(Some(file), &Flags::default(), folder);
    match read {
        Ok(configuration) if arguments.json => {
            let options = configuration.effective();
            line(&mut out, &json!({ "ok": true, "file": file, "options": options }))?;
            Ok(DONE)
        }
        Ok(configuration) => {
            writeln!(out, "# {} is fine; it comes to this:\n{}", file.display(), configuration.to_toml())?;
            Ok(DONE)
        }
        Err(Failure::Configuration(faults)) if arguments.json => {
            line(&mut out, &json!({ "ok": false, "file": file, "faults": faults.all }))?;
            Ok(Failure::USAGE)
        }
        Err(failure) => Err(failure),
    }
}

fn line(out: &mut impl Write, what: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, what).map_err(std::io::Error::from)?;
    Ok(writeln!(out)?)
}

//! `talkburst demo`: the founding text, played through over real sockets: by two clients, and by way of a server.

mod cast;
mod ear;
mod element;
mod report;
mod scene;
mod speaking;
mod stage;
mod timeline;
mod voices;

use std::path::{Path, PathBuf};

use clap::Args;

use self::report::Report;
use self::stage::Stage;
use super::{Failure, runtime};
use crate::capture::Capture;
use crate::voice::wav::Recording;

/// What was typed behind `demo`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// One JSON object a line: a scene each, then a summary.
    #[arg(long)]
    json: bool,
    /// Write every datagram to this file, which tshark and Wireshark open.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Write what each client heard to this folder: a WAV file each.
    #[arg(long, value_name = "FOLDER")]
    wav: Option<PathBuf>,
    /// Use `[::1]` instead of 127.0.0.1.
    #[arg(long)]
    ipv6: bool,
}

/// Plays every scene and reports; fails if one did not end as it must.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = runtime()?;
    let mut capture = match &arguments.pcap {
        Some(path) => {
            Some(Capture::create(path).map_err(|error| Failure::File(path.clone(), error.to_string()))?)
        }
        None => None,
    };
    let mut report = Report::new(arguments.json);
    report.begin()?;
    for scene in scene::ALL.iter().chain(speaking::ALL) {
        let stage = runtime.block_on(async {
            let mut stage = Stage::open(arguments.ipv6, scene.between).await?;
            let stuck = (scene.play)(&mut stage).await.err();
            stage.finish_ears();
            Ok::<_, Failure>((stage, stuck))
        });
        let (stage, stuck) = stage?;
        if let (Some(capture), Some(path)) = (&mut capture, &arguments.pcap) {
            for (at, transmit) in &stage.sent {
                let (from, to) = (transmit.path.local, transmit.path.remote);
                let written = capture.datagram(*at, from, to, &transmit.bytes);
                written.map_err(|error| Failure::File(path.clone(), error.to_string()))?;
            }
        }
        if let Some(folder) = &arguments.wav {
            write_voices(folder, scene.name, &stage)?;
        }
        report.scene(scene, &stage, stuck)?;
    }
    report.finish()
}

/// What each client has heard in a scene, if anything.
fn write_voices(folder: &Path, scene: &str, stage: &Stage) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::File(folder.to_owned(), error.to_string()))?;
    for side in 0..stage.clients {
        let (_, heard) = stage.heard_of(side, &[]);
        let Some(clock) = stage.clock_of(side).filter(|_| !heard.is_empty()) else { continue };
        let path = folder.join(format!("{scene}-{}-heard.wav", stage.name(side)));
        let written = Recording::create(&path, clock).and_then(|mut recording| {
            recording.write(&heard)?;
            recording.finish()
        });
        written.map_err(|why| Failure::File(path.clone(), why))?;
    }
    Ok(())
}

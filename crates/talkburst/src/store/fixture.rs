//! A folder of a test, and what is in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::AnyConnection;

use super::{Folder, Store, connect};

/// A folder that goes with its test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // A name that a URL has to escape.
        let name = format!("talkburst unit %20?#é {} {count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        drop(Folder::take(&path).unwrap());
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) async fn connection(&self) -> AnyConnection {
        let folder = Folder::take(&self.0).unwrap().unwrap();
        connect(&folder.database().unwrap()).await.unwrap()
    }

    pub(crate) async fn store(&self) -> Store {
        Store::open(Folder::take(&self.0).unwrap().unwrap()).await.unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

//! The data folder: one process at a time has it.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Only we look into the folder.
const FOLDER_MODE: u32 = 0o700;

/// Only we read its files.
const FILE_MODE: u32 = 0o600;

/// The data folder, held by this process.
pub(crate) struct Folder {
    path: PathBuf,
    /// The lock goes with the file.
    _lock: File,
}

impl Folder {
    /// Creates the folder if it is not there, and takes it; `None` if another process has it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>, StoreError> {
        let failed = |error| StoreError::Folder(path.to_owned(), error);
        let path = std::path::absolute(path).map_err(failed)?;
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&path).map_err(failed)?;
        let mode = std::fs::metadata(&path).map_err(failed)?.mode();
        if mode & 0o077 != 0 {
            return Err(StoreError::FolderIsOpen(path));
        }
        let lock = file(&path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the database; it is there, and only we read it.
    pub(super) fn database(&self) -> Result<PathBuf, StoreError> {
        let path = self.path.join("talkburst.sqlite");
        file(&path).map_err(|error| StoreError::Folder(path.clone(), error))?;
        Ok(path)
    }
}

/// The control socket of the server that has the folder `path`.
pub(crate) fn control_socket(path: &Path) -> PathBuf {
    path.join("control")
}

/// Makes a file such that only we use it.
pub(crate) fn close_to_others(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(FILE_MODE))
}

/// Opens a file, and creates it if it is not there.
fn file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

/// The folder that is used if none is named: `$TALKBURST_DATA`, or `talkburst` in the data home of the XDG Base
/// Directory Specification, which is `$XDG_DATA_HOME` or `$HOME/.local/share`.
pub(crate) fn default_path(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, StoreError> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = path("TALKBURST_DATA") {
        return Ok(folder);
    }
    // "If an implementation encounters a relative path in any of these variables it should consider the path invalid."
    let home = path("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let home = home.or_else(|| Some(path("HOME")?.join(".local/share")));
    home.map(|home| home.join("talkburst")).ok_or(StoreError::NoFolder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Scratch;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_folder_and_its_files_are_closed_to_others() {
        let scratch = Scratch::new();
        let inner = scratch.path().join("a/b");
        let folder = Folder::take(&inner).unwrap().unwrap();
        assert_eq!(mode(&inner), 0o700);
        assert_eq!(mode(&folder.database().unwrap()), 0o600);
        assert_eq!(mode(&inner.join("lock")), 0o600);
    }

    #[test]
    fn a_folder_that_is_open_to_others_is_refused_and_left_as_it_is() {
        let scratch = Scratch::new();
        let inner = scratch.path().join("open");
        std::fs::create_dir(&inner).unwrap();
        std::fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        let refused = Folder::take(&inner).err().unwrap().to_string();
        assert!(refused.contains("chmod 700"), "{refused}");
        assert_eq!(mode(&inner), 0o755);
    }

    #[test]
    fn one_at_a_time_has_the_folder() {
        let scratch = Scratch::new();
        let first = Folder::take(scratch.path()).unwrap().unwrap();
        assert!(Folder::take(scratch.path()).unwrap().is_none());
        drop(first);
        assert!(Folder::take(scratch.path()).unwrap().is_some());
    }

    #[test]
    fn the_default_is_found_by_way_of_the_environment() {
        let with = |given: &'static [(&str, &str)]| {
            default_path(|name| given.iter().find(|(each, _)| *each == name).map(|(_, value)| value.into()))
                .ok()
        };
        let all = &[("TALKBURST_DATA", "/t"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(with(all), Some("/t".into()));
        assert_eq!(with(&[("TALKBURST_DATA", ""), ("XDG_DATA_HOME", "/x")]), Some("/x/talkburst".into()));
        assert_eq!(with(&[("XDG_DATA_HOME", "x"), ("HOME", "/h")]), Some("/h/.local/share/talkburst".into()));
        assert_eq!(with(&[]), None);
    }
}

//! The files of `torture/`, read at run time.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// `crates/sip/tests/torture`.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture")
}

/// Every message of the corpus with its name as `expectations.tsv` writes it, in order.
pub(crate) fn messages() -> Vec<(String, Bytes)> {
    let mut names: Vec<_> = ["rfc4475", "rfc5118"].into_iter().flat_map(names_in).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), octets(&name))).collect()
}

/// The octets of one message.
pub(crate) fn octets(name: &str) -> Bytes {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}")).into()
}

fn names_in(part: &'static str) -> impl Iterator<Item = String> {
    let files = fs::read_dir(folder().join(part)).expect("the corpus is part of the repository");
    let paths = files.map(|file| file.expect("a readable folder").path());
    let data = paths.filter(|path| path.extension().is_some_and(|extension| extension == "dat"));
    data.map(move |path| format!("{part}/{}", path.file_name().expect("a file").to_string_lossy()))
}

//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where something stands in the file; both from 1, the column in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    /// The place of an octet of `text`.
    pub(super) fn of(text: &str, octet: usize) -> Self {
        let before = text.get(..octet).unwrap_or(text);
        let begin = before.rfind('\n').map_or(0, |end| end + 1);
        Self { line: 1 + before.matches('\n').count(), column: 1 + before[begin..].chars().count() }
    }
}

/// Who has given an option its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Nobody.
    Default,
    /// The file.
    File(Place),
    /// This flag.
    Flag(&'static str),
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub(crate) struct Fault {
    #[serde(flatten)]
    pub(crate) place: Option<Place>,
    /// The option or the flag; `None`: the file as a whole.
    pub(crate) option: Option<String>,
    /// What is expected, and what to do.
    pub(crate) why: String,
}

/// Everything that is wrong; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Faults {
    /// The file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// In the order of the file.
    pub(crate) all: Vec<Fault>,
}

impl Fault {
    fn write(&self, f: &mut fmt::Formatter<'_>, file: Option<&Path>) -> fmt::Result {
        match (file, self.place) {
            (Some(file), Some(Place { line, column })) => write!(f, "{}:{line}:{column}: ", file.display())?,
            (Some(file), None) if self.option.is_none() => write!(f, "{}: ", file.display())?,
            (Some(_), None) | (None, _) => {}
        }
        if let Some(option) = &self.option {
            write!(f, "{option}: ")?;
        }
        f.write_str(&self.why)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref();
        if let [fault] = &self.all[..] {
            f.write_str("failed to configure: ")?;
            return fault.write(f, file);
        }
        write!(f, "failed to configure; {} faults:", self.all.len())?;
        for fault in &self.all {
            f.write_str("\n  ")?;
            fault.write(f, file)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let place = |octet| {
            let Place { line, column } = Place::of("ä = 1\nbé = 2\n", octet);
            (line, column)
        };
        assert_eq!(place(0), (1, 1));
        assert_eq!(place(5), (1, 5));
        assert_eq!(place(7), (2, 1));
        assert_eq!(place(11), (2, 4));
        assert_eq!(place(1000), (3, 1));
    }
}

//! `docs/proof.md`, whose tables are written by the commands that it names.

use std::path::{Path, PathBuf};

/// Where it is.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proof.md")
}

/// It, with `table` between the marks of this name: `<!-- name -->` and `<!-- /name -->`. `None` if they are not there.
pub fn with(page: &str, name: &str, table: &str) -> Option<String> {
    let (first, last) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = page.split_once(&first)?;
    let (_, after) = rest.split_once(&last)?;
    Some(format!("{before}{first}\n{table}\n{last}{after}"))
}

/// Writes a table into it.
///
/// # Panics
/// If it cannot be read or written, or the marks are missing.
pub fn write(name: &str, table: &str) {
    let path = path();
    let page = std::fs::read_to_string(&path).expect("docs/proof.md");
    std::fs::write(&path, with(&page, name, table).expect("the marks of the table")).expect("written");
}

/// Writes a row into a table of it, in place of the one that begins with the same two cells.
///
/// # Panics
/// As [`write()`].
pub fn write_row(name: &str, head: &str, row: &str) {
    let page = std::fs::read_to_string(path()).expect("docs/proof.md");
    let mark = format!("<!-- {name} -->\n");
    let old = page.split_once(&mark).expect("the mark of the table").1;
    let old = old.split_once("<!-- /").expect("its end").0;
    let key = |row: &str| row.split('|').take(3).map(str::to_owned).collect::<Vec<_>>();
    let mut rows: Vec<_> = old.lines().filter(|line| line.starts_with("| `")).collect();
    match rows.iter().position(|each| key(each) == key(row)) {
        Some(place) => rows[place] = row,
        None => rows.push(row),
    }
    write(name, &(head.to_owned() + &rows.join("\n") + "\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_that_was() {
        let page = "a\n<!-- x -->\n\nold\n\n<!-- /x -->\nb\n";
        assert_eq!(with(page, "x", "new\n").as_deref(), Some("a\n<!-- x -->\n\nnew\n\n<!-- /x -->\nb\n"));
        assert_eq!(with(page, "y", "new"), None);
    }
}

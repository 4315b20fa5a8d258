//! What was measured, for readers and for programs.

use std::io::{self, Write};

/// Figures in the order in which they are told.
#[derive(Default)]
pub(super) struct Figures(Vec<Figure>);

struct Figure {
    name: &'static str,
    what: &'static str,
    value: f64,
    digits: usize,
}

impl Figures {
    /// A figure with so many digits behind the point.
    pub(super) fn put(&mut self, name: &'static str, what: &'static str, value: f64, digits: usize) {
        self.0.push(Figure { name, what, value, digits });
    }

    /// Three percentiles of these, which are sorted for it.
    pub(super) fn put_percentiles(&mut self, names: [(&'static str, &'static str); 3], all: &mut [u32]) {
        all.sort_unstable();
        for ((name, what), per_mille) in names.into_iter().zip([500, 990, 999]) {
            let place = all.len() * per_mille / 1000;
            if let Some(value) = all.get(place.min(all.len().saturating_sub(1))) {
                self.put(name, what, f64::from(*value), 0);
            }
        }
    }

    /// A table, and under it one line of `name=value`.
    pub(super) fn write(&self, label: &str, out: &mut impl Write) -> io::Result<()> {
        for Figure { what, value, digits, .. } in &self.0 {
            writeln!(out, "{value:>14.digits$}  {what}")?;
        }
        write!(out, "bench {label}")?;
        for Figure { name, value, digits, .. } in &self.0 {
            write!(out, " {name}={value:.digits$}")?;
        }
        writeln!(out)
    }

    /// One JSON object.
    pub(super) fn write_json(
        &self,
        labels: &[(&str, serde_json::Value)],
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut object = serde_json::Map::new();
        for (name, value) in labels {
            object.insert((*name).to_owned(), value.clone());
        }
        for Figure { name, value, digits, .. } in &self.0 {
            let value = if *digits == 0 { (value.round() as i64).into() } else { (*value).into() };
            object.insert(name.replace('/', "_per_"), value);
        }
        writeln!(out, "{}", serde_json::Value::Object(object))
    }
}

//! Text tables: columns as wide as their longest cell, numbers to the right.

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table under construction.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; a title that begins with `>` makes a column of numbers.
    pub(crate) fn new(titles: &[&str]) -> Self {
        let align = titles.iter().map(|t| if t.starts_with('>') { Align::Right } else { Align::Left }).collect();
        Self { align, rows: vec![titles.iter().map(|t| t.trim_start_matches('>').to_owned()).collect()] }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() <= 1
    }

    /// The table with every line indented by `indent` spaces.
    pub(crate) fn text(&self, indent: usize) -> String {
        let cell = |row: &'_ [String], c: usize| row.get(c).map_or(0, |t| t.chars().count());
        let widths: Vec<usize> = (0..self.align.len()).map(|c| self.rows.iter().map(|r| cell(r, c)).max().unwrap_or(0)).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for ((text, align), width) in row.iter().zip(&self.align).zip(&widths) {
                match align {
                    Align::Left => line.push_str(&format!("{text:<width$}  ")),
                    Align::Right => line.push_str(&format!("{text:>width$}  ")),
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Bytes as people read them: `615 KB` with a base of 1000, exact below 10,000.
pub(crate) fn bytes(n: usize) -> String {
    let n = n as f64;
    match n {
        _ if n < 1e4 => format!("{n} B"),
        _ if n < 1e6 => format!("{:.1} KB", n / 1e3),
        _ if n < 1e9 => format!("{:.1} MB", n / 1e6),
        _ => format!("{:.1} GB", n / 1e9),
    }
}

/// A name of at most 60 characters: of a longer one, its beginning and its end.
pub(crate) fn name(text: &str) -> String {
    const HEAD: usize = 28;
    const TAIL: usize = 30;
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= HEAD + TAIL + 2 {
        return text.to_owned();
    }
    let (head, tail) = (chars.iter().take(HEAD), chars.iter().skip(chars.len() - TAIL));
    head.chain(&['.', '.']).chain(tail).collect()
}

/// A count as people read it: `1.2 M`.
pub(crate) fn count(n: u64) -> String {
    let x = n as f64;
    match x {
        _ if x < 1e4 => n.to_string(),
        _ if x < 1e6 => format!("{:.1} k", x / 1e3),
        _ if x < 1e9 => format!("{:.2} M", x / 1e6),
        _ => format!("{:.2} G", x / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["name", ">bytes"]);
        table.row(["a", "12345"]);
        table.row(["longer", "1"]);
        assert_eq!(table.text(1), " name    bytes\n a       12345\n longer      1\n");
        assert_eq!(name(&"ab".repeat(40)).chars().count(), 60);
        assert_eq!((bytes(9999), bytes(615_000), count(1_234_567)), ("9999 B".into(), "615.0 KB".into(), "1.23 M".into()));
    }
}

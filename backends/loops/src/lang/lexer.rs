//! Tokens of the loop language.

/// A token with the line that it stands in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Word(String),
    Int(i64),
    Float(f32),
    Symbol(&'static str),
    /// `/// text`
    Doc(String),
}

/// Longer ones first.
const SYMBOLS: [&str; 42] = [
    "+%", "-%", "*%", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "->", "..", "+=", "-=", "*=", "+", "-", "*", "/", "%", "&", "|", "^",
    "~", "!", "<", ">", "=", "(", ")", "{", "}", "[", "]", ",", ";", ":", "@", "?", "#", ".",
];

/// Splits a source into tokens; the error names the line.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    for (number, text) in source.lines().enumerate() {
        let line = number + 1;
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (kind, after) = next(rest).ok_or_else(|| format!("line {line}: cannot read '{rest}'"))?;
            if let Some(kind) = kind {
                tokens.push(Token { kind, line });
            }
            rest = after.trim_start();
        }
    }
    Ok(tokens)
}

fn next(rest: &str) -> Option<(Option<Kind>, &str)> {
    if let Some(text) = rest.strip_prefix("///") {
        return Some((Some(Kind::Doc(text.trim().to_owned())), ""));
    }
    if rest.starts_with("//") {
        return Some((None, ""));
    }
    let first = rest.chars().next()?;
    if first.is_ascii_alphabetic() || first == '_' {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        return Some((Some(Kind::Word(word.to_owned())), after));
    }
    if first.is_ascii_digit() {
        let range = rest.find("..").unwrap_or(rest.len());
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_').unwrap_or(rest.len()).min(range);
        let (digits, after) = rest.split_at(end);
        let digits = digits.replace('_', "");
        let kind = if let Some(hex) = digits.strip_prefix("0x") {
            Kind::Int(i64::from_str_radix(hex, 16).ok()?)
        } else if digits.contains('.') {
            Kind::Float(digits.parse().ok()?)
        } else {
            Kind::Int(digits.parse().ok()?)
        };
        return Some((Some(kind), after));
    }
    let symbol = SYMBOLS.into_iter().find(|s| rest.starts_with(s))?;
    Some((Some(Kind::Symbol(symbol)), rest.strip_prefix(symbol)?))
}

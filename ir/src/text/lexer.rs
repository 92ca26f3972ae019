//! A cursor over the text: white space, words, numbers, strings, and positions for messages.

use crate::diagnostic::{Diagnostic, SourceLocation};

pub(super) type Parse<T> = Result<T, Diagnostic>;

/// Reads the text from front to back.
#[derive(Clone)]
pub(super) struct Cursor<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Cursor<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, at: 0 }
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or("")
    }

    /// An error at the current position.
    pub(super) fn error(&self, message: impl Into<String>) -> Diagnostic {
        let before = self.source.get(..self.at).unwrap_or(self.source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        Diagnostic::error("IRT001", message).at(SourceLocation { line_column: Some((line, column)), ..Default::default() })
    }

    /// Skips white space and `//` comments.
    pub(super) fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    pub(super) fn at_end(&mut self) -> bool {
        self.skip();
        self.rest().is_empty()
    }

    /// The next character, without skipping.
    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The next character after white space.
    pub(super) fn peek_token(&mut self) -> Option<char> {
        self.skip();
        self.peek()
    }

    /// Takes `token` if it comes next.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        self.skip();
        self.eat_here(token)
    }

    /// Takes `token` if it stands right here, without skipping white space.
    pub(super) fn eat_here(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// Takes `token` or says that it is missing.
    pub(super) fn expect(&mut self, token: &str) -> Parse<()> {
        if self.eat(token) { Ok(()) } else { Err(self.error(format!("expected '{token}'"))) }
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let length = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// A word that comes next, without taking it.
    pub(super) fn peek_word(&mut self) -> &'s str {
        self.skip();
        self.clone().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    }

    /// Takes a word.
    pub(super) fn word(&mut self) -> Parse<&'s str> {
        let word = self.peek_word();
        if !word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Err(self.error("expected a word"));
        }
        self.at += word.len();
        Ok(word)
    }

    /// Takes `word` if exactly it comes next.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == word;
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// Takes digits right here.
    pub(super) fn digits_here(&mut self) -> Parse<usize> {
        let digits = self.take_while(|c| c.is_ascii_digit());
        digits.parse().map_err(|_| self.error("expected a whole number that fits"))
    }

    /// Takes a whole number.
    pub(super) fn uint(&mut self) -> Parse<usize> {
        self.skip();
        self.digits_here()
    }

    /// Takes the characters of a number: digits, signs, `.`, `e`, and the words `inf` and `nan:bits`.
    pub(super) fn number(&mut self) -> Parse<&'s str> {
        self.skip();
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | ':'));
        if text.is_empty() { Err(self.error("expected a number")) } else { Ok(text) }
    }

    /// Takes a number without `:`, which separates a scale from its zero point.
    pub(super) fn plain_number(&mut self) -> Parse<&'s str> {
        self.skip();
        if self.rest().starts_with("nan:") {
            return self.number();
        }
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        if text.is_empty() { Err(self.error("expected a number")) } else { Ok(text) }
    }

    /// Takes hexadecimal digits.
    pub(super) fn hex(&mut self) -> Parse<u64> {
        self.skip();
        let digits = self.take_while(|c| c.is_ascii_hexdigit());
        u64::from_str_radix(digits, 16).map_err(|_| self.error("expected hexadecimal digits"))
    }

    /// Takes a quoted string.
    pub(super) fn string(&mut self) -> Parse<String> {
        self.expect("\"")?;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        loop {
            let Some((index, c)) = chars.next() else { return Err(self.error("the string has no end")) };
            match c {
                '"' => {
                    self.at += index + 1;
                    return Ok(text);
                }
                '\\' => match chars.next().map(|(_, e)| e) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(c @ ('"' | '\\')) => text.push(c),
                    Some('u') => {
                        let digits: String = chars.by_ref().map(|(_, c)| c).skip_while(|&c| c == '{').take_while(|&c| c != '}').collect();
                        let c = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                        text.push(c.ok_or_else(|| self.error("\\u{...} is not a character"))?);
                    }
                    _ => return Err(self.error("unknown escape in a string")),
                },
                c => text.push(c),
            }
        }
    }

    /// Takes bytes, `x"00ff"`.
    pub(super) fn bytes(&mut self) -> Parse<Vec<u8>> {
        self.expect("x\"")?;
        let digits = self.take_while(|c| c.is_ascii_hexdigit());
        let mut bytes = Vec::with_capacity(digits.len() / 2);
        for pair in digits.as_bytes().chunks(2) {
            let byte = std::str::from_utf8(pair).ok().filter(|p| p.len() == 2).and_then(|p| u8::from_str_radix(p, 16).ok());
            bytes.push(byte.ok_or_else(|| self.error("bytes need two digits each"))?);
        }
        if self.eat_here("\"") { Ok(bytes) } else { Err(self.error("the bytes have no end")) }
    }
}

/// Reads a float as `fmt_float` prints it.
pub(super) fn parse_f32(text: &str) -> Option<f32> {
    match text.strip_prefix("nan:") {
        Some(bits) => u32::from_str_radix(bits, 16).ok().map(f32::from_bits).filter(|v| v.is_nan()),
        None => text.parse().ok(),
    }
}

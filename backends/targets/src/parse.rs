//! The text of conditions: words, numbers, and how they bind.
//!
//! `or` binds weakest, then `and`, `not`, comparisons (which do not chain), `+ -`, `* / %`, a sign, and `[index]` or `[from..to]` closest.

use crate::condition::{Function, Node, Pair};

/// Nested parentheses at most; profiles of strangers must not exhaust the stack.
const DEEPEST: usize = 64;

/// Reads a condition; the error says what is wrong.
pub(crate) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let root = parser.either()?;
    match parser.tokens.get(parser.at) {
        None => Ok(root),
        Some(token) => Err(format!("{} is not expected there", told(token))),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Word(String),
    Sign(&'static str),
}

fn told(token: &Token) -> String {
    match token {
        Token::Number(n) => n.to_string(),
        Token::Text(text) => format!("'{text}'"),
        Token::Word(word) => format!("'{word}'"),
        Token::Sign(sign) => format!("'{sign}'"),
    }
}

/// Longer ones first.
const SIGNS: [&str; 18] = ["==", "!=", "<=", ">=", "..", "<", ">", "+", "-", "*", "/", "%", "(", ")", "[", "]", ",", "."];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = |f: &dyn Fn(char) -> bool| rest.find(|c: char| !f(c)).unwrap_or(rest.len());
        let length = if first.is_ascii_digit() {
            // "0..3" is two numbers and a range.
            let whole = end(&|c| c.is_ascii_digit());
            let fraction = rest.get(whole..).and_then(|r| r.strip_prefix('.')).filter(|r| r.starts_with(|c: char| c.is_ascii_digit()));
            let length = whole + fraction.map_or(0, |r| 1 + r.find(|c: char| !c.is_ascii_digit()).unwrap_or(r.len()));
            let number = rest.get(..length).and_then(|n| n.parse().ok()).ok_or("a number cannot be read")?;
            found.push(Token::Number(number));
            length
        } else if first == '\'' {
            let body = rest.get(1..).and_then(|r| r.split_once('\'')).ok_or("a quote is not closed")?.0;
            found.push(Token::Text(body.to_owned()));
            body.len() + 2
        } else if first.is_alphabetic() || first == '_' {
            let length = end(&|c| c.is_alphanumeric() || c == '_');
            found.push(Token::Word(rest.get(..length).unwrap_or_default().to_owned()));
            length
        } else {
            let sign = SIGNS.into_iter().find(|s| rest.starts_with(s)).ok_or_else(|| format!("'{first}' means nothing"))?;
            found.push(Token::Sign(sign));
            sign.len()
        };
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(found)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn takes(&mut self, wanted: &Token) -> bool {
        let there = self.tokens.get(self.at) == Some(wanted);
        self.at += usize::from(there);
        there
    }

    fn sign(&mut self, sign: &'static str) -> bool {
        self.takes(&Token::Sign(sign))
    }

    fn word(&mut self, word: &str) -> bool {
        self.takes(&Token::Word(word.to_owned()))
    }

    fn wants(&mut self, sign: &'static str) -> Result<(), String> {
        if self.sign(sign) { Ok(()) } else { Err(format!("a '{sign}' is missing")) }
    }

    fn either(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deeply".into());
        }
        let mut left = self.both()?;
        while self.word("or") {
            left = Node::Either(left.into(), self.both()?.into());
        }
        self.depth -= 1;
        Ok(left)
    }

    fn both(&mut self) -> Result<Node, String> {
        let mut left = self.not()?;
        while self.word("and") {
            left = Node::Both(left.into(), self.not()?.into());
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Node, String> {
        if self.word("not") { Ok(Node::Not(self.comparison()?.into())) } else { self.comparison() }
    }

    fn comparison(&mut self) -> Result<Node, String> {
        const COMPARISONS: [(&str, Pair); 6] = [
            ("==", Pair::Equal),
            ("!=", Pair::Differs),
            ("<=", Pair::AtMost),
            ("<", Pair::Less),
            (">=", Pair::AtLeast),
            (">", Pair::Greater),
        ];
        let left = self.sum()?;
        let found = COMPARISONS.into_iter().find(|(sign, _)| self.sign(sign)).map(|(_, pair)| pair);
        match found.or_else(|| self.word("in").then_some(Pair::In)) {
            Some(pair) => Ok(Node::Pair(pair, left.into(), self.sum()?.into())),
            None => Ok(left),
        }
    }

    fn chain(&mut self, signs: &[(&'static str, Pair)], next: fn(&mut Self) -> Result<Node, String>) -> Result<Node, String> {
        let mut left = next(self)?;
        while let Some((_, pair)) = signs.iter().find(|(sign, _)| self.sign(sign)) {
            left = Node::Pair(*pair, left.into(), next(self)?.into());
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Node, String> {
        self.chain(&[("+", Pair::Add), ("-", Pair::Subtract)], Self::product)
    }

    fn product(&mut self) -> Result<Node, String> {
        self.chain(&[("*", Pair::Multiply), ("/", Pair::Divide), ("%", Pair::Remainder)], Self::signed)
    }

    fn signed(&mut self) -> Result<Node, String> {
        if self.sign("-") { Ok(Node::Negate(self.indexed()?.into())) } else { self.indexed() }
    }

    fn indexed(&mut self) -> Result<Node, String> {
        let mut node = self.atom()?;
        while self.sign("[") {
            if self.sign("..") {
                node = Node::Part(node.into(), None, Some(self.sum()?.into()));
            } else {
                let first = self.sum()?;
                node = if self.sign("..") {
                    let to = if self.tokens.get(self.at) == Some(&Token::Sign("]")) { None } else { Some(self.sum()?.into()) };
                    Node::Part(node.into(), Some(first.into()), to)
                } else {
                    Node::Element(node.into(), first.into())
                };
            }
            self.wants("]")?;
        }
        Ok(node)
    }

    fn atom(&mut self) -> Result<Node, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("it ends too early")?;
        self.at += 1;
        match token {
            Token::Number(n) => Ok(Node::Number(n)),
            Token::Text(text) => Ok(Node::Text(text)),
            Token::Word(word) if self.sign("(") => {
                let function = Function::named(&word).ok_or_else(|| format!("there is no function '{word}'"))?;
                Ok(Node::Call(function, self.several(")")?))
            }
            Token::Word(word) => Ok(Node::Name(word)),
            Token::Sign("(") => {
                let inner = self.either()?;
                self.wants(")")?;
                Ok(inner)
            }
            Token::Sign("[") => Ok(Node::List(self.several("]")?)),
            Token::Sign(sign) => Err(format!("'{sign}' is not expected there")),
        }
    }

    fn several(&mut self, close: &'static str) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        while !self.sign(close) {
            if !nodes.is_empty() {
                self.wants(",")?;
            }
            nodes.push(self.either()?);
        }
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn conditions_are_read() {
        for text in [
            "all(stride <= 3) or (padding == 'valid' and not any(dilation != 1))",
            "product(dims(input)[..-3]) == 1",
            "elem(it) in ['i8', 'u8']",
            "dims(input)[0-rank(result)..] == dims(result)",
            "-1 + 2 * 3 % 4 / 5 == data(x)[0]",
        ] {
            parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, needle) in [
            ("", "ends too early"),
            ("a ==", "ends too early"),
            ("(a", "')' is missing"),
            ("f(a)", "no function 'f'"),
            ("a b", "'b' is not expected"),
            ("a & b", "'&' means nothing"),
            ("'a", "not closed"),
            (&"(".repeat(1000), "too deeply"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }
}

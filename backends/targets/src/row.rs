//! Rows of element types: `i8, i8|i4, i32? -> i8`.

use std::fmt;

use octet_ir::{ElementType, Graph, Operation};

/// One allowed combination of element types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    text: String,
    operands: Vec<Slot>,
    results: Vec<Slot>,
    variables: Vec<(char, Vec<ElementType>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    what: What,
    optional: bool,
    repeated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// Any type.
    Any,
    /// The operand must be left out.
    Absent,
    /// One of these.
    OneOf(Vec<ElementType>),
    /// The type that the letter stands for.
    Variable(char),
}

impl Row {
    /// Reads a row; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (types, variables) = match text.split_once(" where ") {
            Some((types, variables)) => (types, variables.split(',').map(variable).collect::<Result<_, _>>()?),
            None => (text, Vec::new()),
        };
        let (operands, results) = types.split_once("->").ok_or_else(|| format!("'{text}' has no '->'"))?;
        let slots =
            |list: &str| -> Result<Vec<Slot>, String> { list.split(',').map(str::trim).filter(|s| !s.is_empty()).map(slot).collect() };
        let row = Self { text: text.to_owned(), operands: slots(operands)?, results: slots(results)?, variables };
        for slot in row.operands.iter().chain(&row.results) {
            if let What::Variable(letter) = slot.what
                && !row.variables.iter().any(|(v, _)| *v == letter)
            {
                return Err(format!("'{text}' does not say what {letter} is"));
            }
        }
        Ok(row)
    }

    /// Whether an operation's types are this combination.
    pub fn matches(&self, graph: &Graph, operation: &Operation) -> bool {
        let operands: Vec<Option<ElementType>> = operation.operands().iter().map(|o| o.map(|v| graph.ty(v).elem)).collect();
        let results: Vec<Option<ElementType>> = operation.results().iter().map(|&v| Some(graph.ty(v).elem)).collect();
        let mut bound = Vec::new();
        self.matches_list(&self.operands, &operands, &mut bound) && self.matches_list(&self.results, &results, &mut bound)
    }

    fn matches_list(&self, slots: &[Slot], types: &[Option<ElementType>], bound: &mut Vec<(char, ElementType)>) -> bool {
        let mut types = types.iter();
        for slot in slots {
            if slot.repeated {
                return types.all(|t| t.is_none_or(|t| self.fits(slot, t, bound)));
            }
            match types.next() {
                Some(Some(ty)) if !self.fits(slot, *ty, bound) => return false,
                Some(Some(_)) => {}
                Some(None) | None => {
                    if !slot.optional && slot.what != What::Absent {
                        return false;
                    }
                }
            }
        }
        // Operands beyond the row: only left-out ones.
        types.all(Option::is_none)
    }

    fn fits(&self, slot: &Slot, ty: ElementType, bound: &mut Vec<(char, ElementType)>) -> bool {
        match &slot.what {
            What::Any => true,
            What::Absent => false,
            What::OneOf(types) => types.contains(&ty),
            What::Variable(letter) => match bound.iter().find(|(v, _)| v == letter) {
                Some((_, t)) => *t == ty,
                None => {
                    bound.push((*letter, ty));
                    self.variables.iter().any(|(v, types)| v == letter && types.contains(&ty))
                }
            },
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn slot(text: &str) -> Result<Slot, String> {
    let (text, repeated) = text.strip_suffix("..").map_or((text, false), |t| (t, true));
    let (text, optional) = text.strip_suffix('?').map_or((text, false), |t| (t, true));
    let what = match text {
        "*" => What::Any,
        "_" => What::Absent,
        letter if letter.len() == 1 && letter.chars().all(|c| c.is_ascii_uppercase()) => {
            What::Variable(letter.chars().next().unwrap_or('T'))
        }
        types => What::OneOf(elements(types)?),
    };
    Ok(Slot { what, optional, repeated })
}

fn variable(text: &str) -> Result<(char, Vec<ElementType>), String> {
    let (letter, types) = text.split_once('=').ok_or_else(|| format!("'{text}' has no '='"))?;
    let letter = letter.trim().chars().next().ok_or_else(|| format!("'{text}' has no letter"))?;
    Ok((letter, elements(types)?))
}

fn elements(text: &str) -> Result<Vec<ElementType>, String> {
    text.split('|').map(str::trim).map(|t| ElementType::from_name(t).ok_or_else(|| format!("there is no element type '{t}'"))).collect()
}

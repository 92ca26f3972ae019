//! Texts of plugins, made fit to be shown: a plugin must not draw on the user's terminal, pass its words off as the compiler's, or fill the screen.

use octet_ir::Diagnostic;

/// Most characters of one text.
const LONGEST: usize = 2000;

/// Whether a character is seen as one, where it stands: no control, no line break, nothing that turns or hides what stands beside it.
pub(crate) fn prints(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text on one line, with escapes where a character does not print, and cut where it is too long.
pub(crate) fn text(text: &str) -> String {
    let mut shown = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == LONGEST {
            return shown + "...";
        }
        if prints(c) { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    shown
}

/// A diagnostic that has words of a plugin, or of its file, in it.
pub(crate) fn diagnostic(mut diagnostic: Diagnostic) -> Diagnostic {
    diagnostic.message = text(&diagnostic.message);
    diagnostic.help = diagnostic.help.map(|help| text(&help));
    diagnostic.notes.iter_mut().for_each(|note| *note = text(note));
    diagnostic
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn what_does_not_print_is_escaped_and_what_is_long_is_cut() {
        assert_eq!(text("größer als 3 \"Kanäle\""), "größer als 3 \"Kanäle\"");
        assert_eq!(text("a\x1b[2J\nerror[X]: b\u{202e}\u{9b}"), "a\\u{1b}[2J\\nerror[X]: b\\u{202e}\\u{9b}");
        assert_eq!(text(&"ä".repeat(5000)).chars().count(), 2003);
    }
}

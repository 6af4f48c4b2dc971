/// Characters kept of a title, an artist or an album.
const MAX_CHARS: usize = 512;

/// One tidy line of text: no control or direction characters, no outer blanks, at most 512 characters.
pub(crate) fn tidy(raw: &str) -> Option<String> {
    let line: String = raw
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_direction(*c))
        .take(4 * MAX_CHARS)
        .collect();
    let text: String = line.trim().chars().take(MAX_CHARS).collect();
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Marks that reorder text on a terminal or a page.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn text_is_one_short_line_without_control_characters() {
        assert_eq!(tidy(" a\tb\u{0}\u{1b}[31m\u{202e}c\r\n").as_deref(), Some("a b[31mc"));
        assert_eq!(tidy("\u{0}\n \u{feff}"), None);
        assert_eq!(tidy(&"ü".repeat(5000)).map(|text| text.chars().count()), Some(512));
    }
}

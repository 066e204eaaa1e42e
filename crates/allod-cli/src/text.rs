//! Text that fits into columns.
//!
//! Names come from programs and may hold anything, an escape sequence for the
//! terminal included. What is not printable becomes a question mark, and what is
//! too wide is cut, by columns and not by characters: some take two.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const CUT: &str = "...";

/// The columns that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` without what is not printable, in at most `columns` columns.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let printable = |character: char| if character.is_control() { '?' } else { character };
    let text: String = text.chars().map(printable).collect();
    if width(&text) <= columns {
        return text;
    }
    let room = columns.saturating_sub(CUT.len());
    let mut used = 0;
    let fits = |character: &char| {
        used += character.width().unwrap_or(0);
        used <= room
    };
    text.chars().take_while(fits).chain(CUT.chars()).collect()
}

/// `text` in exactly `columns` columns, at the left.
pub(crate) fn left(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    let gap = columns.saturating_sub(width(&text));
    text + &" ".repeat(gap)
}

/// `text` in exactly `columns` columns, at the right.
#[cfg(any(feature = "screen", test))]
pub(crate) fn right(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    " ".repeat(columns.saturating_sub(width(&text))) + &text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdefg", 6), "abc...");
    }

    #[test]
    fn columns_are_filled() {
        assert_eq!(left("漢", 4), "漢  ");
        assert_eq!(right("abc", 5), "  abc");
        assert_eq!(right("abcdefgh", 5), "ab...");
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(fit("漢字漢字", 8), "漢字漢字");
        let cut = fit("漢字漢字漢字", 8);
        assert_eq!(cut, "漢字...");
        assert!(width(&cut) <= 8);
    }

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        assert_eq!(fit("a\x1b[2Jb\nc", 80), "a?[2Jb?c");
    }
}

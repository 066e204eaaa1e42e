//! Where an atomic operation asks for an order, and how to take it away.
//!
//! A site is one word `Ordering::Acquire`, `Release`, `AcqRel` or `SeqCst` in
//! code. A compare-and-exchange has two. Weakened, it says `Relaxed`; a fence
//! cannot be relaxed and is removed.

const STRONG: [&str; 4] =
    ["Ordering::Acquire", "Ordering::Release", "Ordering::AcqRel", "Ordering::SeqCst"];

/// One ordering in a source text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// From 1, for people.
    pub(super) line: usize,
    /// The line of code, trimmed, with the ordering in brackets: the name by
    /// which the list of survivors knows the site. It holds as long as the
    /// line does, however the file grows above it.
    pub(super) label: String,
    start: usize,
    end: usize,
    replacement: &'static str,
}

/// All sites in `text`, comments and an inline test module apart.
pub(super) fn find(text: &str) -> Vec<Site> {
    let mut sites = Vec::new();
    let mut offset = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if code.trim_start().starts_with("mod tests {") {
            break;
        }
        let mut found: Vec<(usize, &str)> =
            STRONG.iter().flat_map(|word| code.match_indices(word)).collect();
        found.sort_unstable();
        for (at, word) in found {
            let (before, after) = (&code[..at], &code[at + word.len()..]);
            let label = format!("{before}[{word}]{after}").trim().to_owned();
            let mut site = Site {
                line: i + 1,
                label,
                start: offset + at,
                end: offset + at + word.len(),
                replacement: "Ordering::Relaxed",
            };
            if before.ends_with("fence(") && after.starts_with(')') {
                let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
                let path = before.trim_end_matches('(').trim_end_matches(is_path);
                (site.start, site.end) = (offset + path.len(), site.end + 1);
                site.replacement = "()";
            }
            sites.push(site);
        }
        offset += line.len();
    }
    sites
}

/// The text with one site weakened.
pub(super) fn weaken(text: &str, site: &Site) -> String {
    format!("{}{}{}", &text[..site.start], site.replacement, &text[site.end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strong_ordering_is_a_site() {
        let text = "// Ordering::Acquire\nlet x = a.load(Ordering::Acquire); // Ordering::SeqCst\nb.store(1, Ordering::Relaxed);\n";
        let sites = find(text);
        assert_eq!(sites.len(), 1);
        assert_eq!(sites[0].line, 2);
        assert_eq!(sites[0].label, "let x = a.load([Ordering::Acquire]);");
        assert!(weaken(text, &sites[0]).contains("a.load(Ordering::Relaxed);"));
    }

    #[test]
    fn an_exchange_has_two() {
        let text = "a.compare_exchange(x, y, Ordering::AcqRel, Ordering::Acquire)";
        let sites = find(text);
        let labels: Vec<_> = sites.iter().map(|site| site.label.as_str()).collect();
        let expected = [
            "a.compare_exchange(x, y, [Ordering::AcqRel], Ordering::Acquire)",
            "a.compare_exchange(x, y, Ordering::AcqRel, [Ordering::Acquire])",
        ];
        assert_eq!(labels, expected);
        let weak = weaken(text, &sites[1]);
        assert_eq!(weak, "a.compare_exchange(x, y, Ordering::AcqRel, Ordering::Relaxed)");
    }

    #[test]
    fn a_fence_is_removed() {
        let text = "    sync::fence(Ordering::SeqCst);\n";
        let sites = find(text);
        assert_eq!(sites[0].label, "sync::fence([Ordering::SeqCst]);");
        assert_eq!(weaken(text, &sites[0]), "    ();\n");
    }

    #[test]
    fn tests_are_not_weakened() {
        let text = "a.load(Ordering::Acquire);\n#[cfg(test)]\nmod tests {\n  a.load(Ordering::Acquire);\n}\n";
        assert_eq!(find(text).len(), 1);
    }
}

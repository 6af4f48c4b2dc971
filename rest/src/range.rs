//! Parts of a file: the header `Range`, and the conditions under which it counts. Source: RFC 9110, 13 and 14.

use std::ops::Range;

/// What a request wants of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: no range, several at once, or one of a kind that is not known here.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that the file does not have.
    Nothing,
}

/// Reads the header for a file of `len` bytes.
pub(crate) fn wanted(header: &str, len: u64) -> Wanted {
    let Some(set) = header.trim().strip_prefix("bytes=") else { return Wanted::Whole };
    let Some((first, last)) = set.split_once('-').filter(|_| !set.contains(',')) else {
        return Wanted::Whole;
    };
    let number = |text: &str| {
        let digits = text.trim();
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (Some(from), Some(to)) = (number(first), number(last)) else { return Wanted::Whole };
    match (first.trim().is_empty(), last.trim().is_empty()) {
        (true, true) => Wanted::Whole,
        (true, false) if to == 0 || len == 0 => Wanted::Nothing,
        (true, false) => Wanted::Part(len.saturating_sub(to)..len),
        (false, _) if from >= len => Wanted::Nothing,
        (false, true) => Wanted::Part(from..len),
        (false, false) if to < from => Wanted::Whole,
        (false, false) => Wanted::Part(from..to.saturating_add(1).min(len)),
    }
}

/// Whether a list of entity tags names this one; `*` names all. Weak ones count where `weak` says so.
pub(crate) fn names(list: &str, etag: &str, weak: bool) -> bool {
    list.split(',').map(str::trim).any(|tag| {
        let tag = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
        tag == "*" && weak || tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(etag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file() {
        for (header, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=5-99999999999999999999999", Wanted::Part(5..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header}");
        }
        assert_eq!(wanted("bytes=-1", 0), Wanted::Nothing);
    }

    #[test]
    fn entity_tags_are_compared_as_the_header_asks() {
        assert!(names("\"a\", W/\"b\"", "b", true) && !names("W/\"b\"", "b", false));
        assert!(names("*", "b", true) && !names("*", "b", false) && !names("b", "b", true));
    }
}

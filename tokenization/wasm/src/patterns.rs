//! Regular expressions as Python's build of the library understands them.
//!
//! Python's `tokenizers` runs the expressions of a tokenizer.json with Oniguruma, this build with fancy-regex,
//! since Oniguruma is C. Both agree on `\d`, `\s` and the Unicode properties, tried on all code points. They
//! differ on `\w`, where Oniguruma lacks the two joiners and has the superscript digits and fractions of
//! Latin-1, and on POSIX classes, which fancy-regex takes as ASCII. These are rewritten before an expression
//! is compiled, and put back when a tokenizer is saved.

use std::borrow::Cow;
use std::cell::RefCell;

const WORD: &str = r"[\w\x{b2}\x{b3}\x{b9}\x{bc}-\x{be}&&[^\x{200c}\x{200d}]]";
const NOT_WORD: &str = r"[^[\w\x{b2}\x{b3}\x{b9}\x{bc}-\x{be}&&[^\x{200c}\x{200d}]]]";

const POSIX: [(&str, &str); 7] = [
    ("[:alpha:]", r"\p{Alphabetic}"),
    ("[:alnum:]", r"\p{Alphabetic}\p{Nd}"),
    ("[:punct:]", r"\p{P}\p{S}"),
    ("[:digit:]", r"\p{Nd}"),
    ("[:lower:]", r"\p{Lowercase}"),
    ("[:upper:]", r"\p{Uppercase}"),
    ("[:space:]", r"\s"),
];

thread_local! {
    /// JSON literals of rewritten expressions, and of what they were.
    static REWRITTEN: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

/// `json` with the values of all `"Regex"` fields rewritten.
pub fn rewrite(json: &str) -> Cow<'_, str> {
    const KEY: &str = "\"Regex\"";
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = json[at..].find(KEY) {
        at += found + KEY.len();
        let Some(start) = value_start(json, at) else { continue };
        let Some(end) = literal_end(json, start) else { break };
        let literal = &json[start..end];
        at = end;
        let Some(replacement) = rewrite_literal(literal) else { continue };
        out.push_str(&json[copied..start]);
        out.push_str(&replacement);
        copied = end;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    out.push_str(&json[copied..]);
    Cow::Owned(out)
}

/// The reverse, for a tokenizer.json that the library wrote.
pub fn restore(json: String) -> String {
    REWRITTEN.with_borrow(|list| {
        list.iter().fold(json, |json, (new, old)| if json.contains(new) { json.replace(new, old) } else { json })
    })
}

/// Where the string begins that a key's colon is followed by, if it is a string.
fn value_start(json: &str, after_key: usize) -> Option<usize> {
    let rest = json[after_key..].trim_start().strip_prefix(':')?.trim_start();
    rest.starts_with('"').then(|| json.len() - rest.len())
}

fn literal_end(json: &str, start: usize) -> Option<usize> {
    let mut escaped = false;
    for (i, byte) in json.bytes().enumerate().skip(start + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(i + 1),
            _ => {}
        }
    }
    None
}

/// Nothing where the expression needs no change.
fn rewrite_literal(literal: &str) -> Option<String> {
    let pattern: String = serde_json::from_str(literal).ok()?;
    let rewritten = rewrite_pattern(&pattern);
    if rewritten == pattern {
        return None;
    }
    let new = serde_json::to_string(&rewritten).ok()?;
    let old = serde_json::to_string(&pattern).ok()?;
    REWRITTEN.with_borrow_mut(|list| {
        if list.iter().all(|(known, _)| *known != new) {
            list.push((new.clone(), old));
        }
    });
    Some(new)
}

fn rewrite_pattern(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if let Some((name, class)) = POSIX.iter().find(|(name, _)| rest.starts_with(name)) {
            out.push_str(class);
            rest = &rest[name.len()..];
            continue;
        }
        // A backslash and what it escapes belong together: in `\\w` there is no `\w`.
        let length =
            if c == '\\' { c.len_utf8() + rest[1..].chars().next().map_or(0, char::len_utf8) } else { c.len_utf8() };
        let (piece, after) = rest.split_at(length);
        out.push_str(match piece {
            r"\w" => WORD,
            r"\W" => NOT_WORD,
            other => other,
        });
        rest = after;
    }
    out
}
